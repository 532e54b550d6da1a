//! What handles, names and passwords may look like.

use super::error::AccessError;
use super::secret::Secret;

/// Characters of the shortest handle.
pub const HANDLE_CHARS_MIN: usize = 3;
/// Characters of the longest handle.
pub const HANDLE_CHARS_MAX: usize = 32;
/// Characters of the longest name of a person or a device.
pub const NAME_CHARS_MAX: usize = 64;
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
    fn lengths_count_in_bytes() {
        assert!(password("password", &Secret::new("鸿雁鸿")).is_ok(), "nine bytes");
        assert!(password("password", &Secret::new("1234567")).is_err());
        assert!(password("password", &Secret::new("x".repeat(1_024))).is_ok());
        let error = password("new_password", &Secret::new("x".repeat(1_025))).unwrap_err();
        assert_eq!(error.to_string(), "new_password has 1025 bytes, 8 to 1024 are allowed");
        assert!(nonce(&Secret::new("short")).is_err());
    }
}
