//! What handles, names and passwords may look like.

use super::error::AccessError;
use super::secret::Secret;

/// Characters of the shortest handle.
pub const HANDLE_CHARS_MIN: usize = 3;
/// Characters of the longest handle.
pub const HANDLE_CHARS_MAX: usize = 32;
/// Characters of the longest name of a person or a device.
pub const NAME_CHARS_MAX: usize = 64;
/// Bytes of the longest avatar.
pub const AVATAR_BYTES_MAX: usize = 256;
/// Bytes of the longest text about oneself.
pub const BIO_BYTES_MAX: usize = 1_024;
/// Bytes of the longest key by which an application server knows a device.
pub const DEVICE_KEY_BYTES_MAX: usize = 128;
/// Bytes of the shortest password.
pub const PASSWORD_BYTES_MIN: usize = 8;
/// Bytes of the longest password.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Bytes of the shortest nonce of a refresh: short ones repeat by chance, and then hide a theft.
pub const NONCE_BYTES_MIN: usize = 16;
/// Bytes of the longest nonce of a refresh.
pub const NONCE_BYTES_MAX: usize = 128;

/// Folds a handle to its canonical form, or says what is wrong with it.
pub fn handle(text: &str) -> Result<String, AccessError> {
    let folded = text.to_ascii_lowercase();
    let length = folded.chars().count();
    if !(HANDLE_CHARS_MIN..=HANDLE_CHARS_MAX).contains(&length) {
        let what = format!("has {length} characters, {HANDLE_CHARS_MIN} to {HANDLE_CHARS_MAX} are allowed");
        return Err(AccessError::bad("handle", what));
    }
    if !folded.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(AccessError::bad("handle", "must begin with a letter from a to z"));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    if !folded.chars().all(allowed) {
        return Err(AccessError::bad("handle", "may hold letters from a to z, digits, and _ . - only"));
    }
    Ok(folded)
}

/// Checks what people see of a person or a device; `field` is how the asker calls it.
pub fn name(field: &'static str, text: &str) -> Result<String, AccessError> {
    let trimmed = text.trim();
    let length = trimmed.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) {
        let what = format!("has {length} characters, 1 to {NAME_CHARS_MAX} are allowed");
        return Err(AccessError::bad(field, what));
    }
    if trimmed.chars().any(|c| c.is_control() || is_direction_or_separator(c)) {
        return Err(AccessError::bad(field, "must not hold control characters or line breaks"));
    }
    Ok(trimmed.to_owned())
}

/// Invisible characters that turn the text around or break its line: with them one name can be made
/// to look like another.
fn is_direction_or_separator(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Checks what clients show as a picture: an address, or the name of a file. Empty: nothing.
pub fn avatar(text: &str) -> Result<String, AccessError> {
    let trimmed = text.trim();
    at_most("avatar", trimmed, AVATAR_BYTES_MAX)?;
    if trimmed.chars().any(|c| c.is_control() || c.is_whitespace() || is_direction_or_separator(c)) {
        return Err(AccessError::bad("avatar", "must not hold spaces, line breaks or control characters"));
    }
    Ok(trimmed.to_owned())
}

/// Checks what somebody says of itself: several lines are fine. Empty: nothing.
pub fn bio(text: &str) -> Result<String, AccessError> {
    let trimmed = text.trim();
    at_most("bio", trimmed, BIO_BYTES_MAX)?;
    if trimmed.chars().any(|c| (c.is_control() && c != '\n') || is_direction_or_separator(c)) {
        return Err(AccessError::bad("bio", "must not hold control characters but line feeds"));
    }
    Ok(trimmed.to_owned())
}

/// Checks the key by which an application server knows a device.
pub fn device_key(text: &str) -> Result<String, AccessError> {
    at_most("device_key", text, DEVICE_KEY_BYTES_MAX)?;
    if text.is_empty() || text.chars().any(|c| c.is_control() || is_direction_or_separator(c)) {
        let what = "must hold something, and no control characters or line breaks";
        return Err(AccessError::bad("device_key", what));
    }
    Ok(text.to_owned())
}

fn at_most(field: &'static str, text: &str, max: usize) -> Result<(), AccessError> {
    match text.len() {
        length if length > max => {
            Err(AccessError::bad(field, format!("has {length} bytes, at most {max} are allowed")))
        }
        _ => Ok(()),
    }
}

/// Checks the length of a password that is being chosen.
pub fn password(field: &'static str, secret: &Secret) -> Result<(), AccessError> {
    length(field, secret, PASSWORD_BYTES_MIN, PASSWORD_BYTES_MAX)
}

/// Checks the length of a nonce.
pub fn nonce(secret: &Secret) -> Result<(), AccessError> {
    length("nonce", secret, NONCE_BYTES_MIN, NONCE_BYTES_MAX)
}

fn length(field: &'static str, secret: &Secret, min: usize, max: usize) -> Result<(), AccessError> {
    let length = secret.expose().len();
    if (min..=max).contains(&length) {
        return Ok(());
    }
    Err(AccessError::bad(field, format!("has {length} bytes, {min} to {max} are allowed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_folded_and_checked() {
        assert_eq!(handle("Hong.Yan_9-x"), Ok("hong.yan_9-x".into()));
        assert_eq!(handle("abc"), Ok("abc".into()));
        for (bad, why) in [
            ("ab", "3 to 32"),
            (&"a".repeat(33), "3 to 32"),
            ("9abc", "begin"),
            (".abc", "begin"),
            ("a b c", "only"),
            ("鸿雁鸿雁", "begin"),
            ("abc鸿", "only"),
            ("abc\n", "only"),
            ("K\u{212a}elvin", "only"),
        ] {
            let error = handle(bad).unwrap_err().to_string();
            assert!(error.starts_with("handle ") && error.contains(why), "{bad:?}: {error}");
        }
    }

    #[test]
    fn names_may_be_of_any_script_but_not_invisible() {
        assert_eq!(name("name", "  鸿雁 Ünïcode 🪿 "), Ok("鸿雁 Ünïcode 🪿".into()));
        assert_eq!(name("name", &"鸿".repeat(64)), Ok("鸿".repeat(64)));
        for bad in ["", "   ", &"x".repeat(65), "a\nb", "a\0b", "a\u{202e}b", "\u{85}x\u{85}y", "a\u{2028}b"]
        {
            assert!(name("name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_profile_says_has_its_limits() {
        assert_eq!(avatar(" https://x.example/a.png "), Ok("https://x.example/a.png".into()));
        assert_eq!(avatar(""), Ok(String::new()));
        assert_eq!(avatar(&"a".repeat(256)).map(|text| text.len()), Ok(256));
        let long = avatar(&"鸿".repeat(86)).unwrap_err().to_string();
        assert_eq!(long, "avatar has 258 bytes, at most 256 are allowed");
        for bad in ["a b", "a\nb", "a\u{202e}b"] {
            assert!(avatar(bad).is_err(), "{bad:?}");
        }
        assert_eq!(bio(" two\nlines 鸿雁 "), Ok("two\nlines 鸿雁".into()));
        assert!(bio(&"x".repeat(1_024)).is_ok() && bio(&"x".repeat(1_025)).is_err());
        assert!(bio("a\tb").is_err() && bio("a\u{2067}b").is_err());
        assert_eq!(device_key("u:7/ios"), Ok("u:7/ios".into()));
        for bad in ["", "a\0", &"x".repeat(129)] {
            assert!(device_key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lengths_count_in_bytes() {
        assert!(password("password", &Secret::new("鸿雁鸿")).is_ok(), "nine bytes");
        assert!(password("password", &Secret::new("1234567")).is_err());
        assert!(password("password", &Secret::new("x".repeat(1_024))).is_ok());
        let error = password("new_password", &Secret::new("x".repeat(1_025))).unwrap_err();
        assert_eq!(error.to_string(), "new_password has 1025 bytes, 8 to 1024 are allowed");
        assert!(nonce(&Secret::new("short")).is_err());
    }
}
