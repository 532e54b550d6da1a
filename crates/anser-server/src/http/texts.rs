//! Texts that people choose: handles, names, passwords, titles. What is refused here is what the schema
//! refuses; the use cases check again what they keep.

use anser_model::limits::TITLE_BYTES;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::scalars::schema_of;
use crate::accounts::{AccessError, Secret};

/// Something visible, and nothing that breaks lines, turns the text around or cannot be seen.
const VISIBLE_PATTERN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]*\
    [^\\s\\u0000-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]\
    [^\\u0000-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]*$";
const BIO_PATTERN: &str =
    "^[^\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]*$";
const NAME_CHARS: usize = 64;
const AVATAR_BYTES: usize = 256;
const DEVICE_KEY_CHARS: usize = 128;
const BIO_BYTES: usize = 1_024;
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_CHARS_MAX: usize = 1_024;
const NONCE_CHARS_MIN: usize = 16;
const NONCE_CHARS_MAX: usize = 128;
const HANDLE_PATTERN: &str = "^[A-Za-z][A-Za-z0-9_.-]{2,31}$";

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_visible(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(is_hidden)
}

fn at_most<E: serde::de::Error>(text: &str, most: usize) -> Result<(), E> {
    match text.len() {
        length if length > most => Err(E::custom(format!("has {length} bytes, at most {most} are allowed"))),
        _ => Ok(()),
    }
}

fn within<E: serde::de::Error>(text: &str, least: usize, most: usize) -> Result<(), E> {
    let count = text.chars().count();
    match (least..=most).contains(&count) {
        true => Ok(()),
        false => Err(E::custom(format!("has {count} characters, {least} to {most} are allowed"))),
    }
}

/// The name of a person or a device.
#[derive(Debug)]
pub struct Name(pub String);
schema_of!(Name, {
    "type": "string", "minLength": 1, "maxLength": NAME_CHARS, "pattern": VISIBLE_PATTERN,
    "description": "What people see: one line with something visible in it.",
});

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        within(&name, 1, NAME_CHARS)?;
        match is_visible(&name) {
            true => Ok(Name(name)),
            false => Err(D::Error::custom("is one line of visible text, without control characters")),
        }
    }
}

/// The title of a group.
#[derive(Debug)]
pub struct Title(pub String);
schema_of!(Title, {
    "type": "string", "minLength": 1, "maxLength": TITLE_BYTES, "pattern": VISIBLE_PATTERN,
    "description": "The title of a group: one line with something visible in it, at most 256 bytes of UTF-8.",
});

impl<'de> Deserialize<'de> for Title {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let title = String::deserialize(from)?;
        if title.len() > TITLE_BYTES {
            return Err(D::Error::custom(format!(
                "has {} bytes, at most {TITLE_BYTES} are allowed",
                title.len()
            )));
        }
        match is_visible(&title) {
            true => Ok(Title(title)),
            false => Err(D::Error::custom("a title is one line of visible text, without control characters")),
        }
    }
}

/// What clients show as a picture.
#[derive(Debug)]
pub struct Avatar(pub String);
schema_of!(Avatar, {
    "type": "string", "maxLength": AVATAR_BYTES, "pattern": "^[!-~]*$",
    "description": "What clients show as a picture: an address, or the name of a file. Empty: nothing.",
});

impl<'de> Deserialize<'de> for Avatar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let avatar = String::deserialize(from)?;
        at_most(&avatar, AVATAR_BYTES)?;
        match avatar.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Avatar(avatar)),
            false => Err(D::Error::custom("holds visible characters of ASCII, without spaces")),
        }
    }
}

/// What somebody says of themselves.
#[derive(Debug)]
pub struct Bio(pub String);
schema_of!(Bio, {
    "type": "string", "maxLength": BIO_BYTES, "pattern": BIO_PATTERN,
    "description": "What somebody says of themselves, at most 1,024 bytes of UTF-8. Empty: nothing.",
});

impl<'de> Deserialize<'de> for Bio {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bio = String::deserialize(from)?;
        at_most(&bio, BIO_BYTES)?;
        match bio.chars().any(|c| c != '\n' && is_hidden(c)) {
            false => Ok(Bio(bio)),
            true => Err(D::Error::custom("must not hold control characters but line feeds")),
        }
    }
}

/// By what an application server knows a device.
#[derive(Debug)]
pub struct DeviceKey(pub String);
schema_of!(DeviceKey, {
    "type": "string", "minLength": 1, "maxLength": DEVICE_KEY_CHARS, "pattern": "^[ -~]+$",
    "description": "By what the application server knows a device: the same key is the same device.",
});

impl<'de> Deserialize<'de> for DeviceKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let key = String::deserialize(from)?;
        within(&key, 1, DEVICE_KEY_CHARS)?;
        match key.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            true => Ok(DeviceKey(key)),
            false => Err(D::Error::custom("holds characters of ASCII, without control characters")),
        }
    }
}

/// A handle, in either case.
#[derive(Debug)]
pub struct Handle(pub String);
schema_of!(Handle, {
    "type": "string", "minLength": 3, "maxLength": 32, "pattern": HANDLE_PATTERN,
    "description": "What one signs in with and is found by. Upper and lower case are the same.",
});

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let handle = String::deserialize(from)?;
        match crate::accounts::check_handle(&handle) {
            Ok(_) => Ok(Handle(handle)),
            Err(AccessError::BadValue { what, .. }) => Err(D::Error::custom(what)),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

/// A password that is being chosen.
#[derive(Debug)]
pub struct NewPassword(pub Secret);
schema_of!(NewPassword, {
    "type": "string", "format": "password", "minLength": PASSWORD_CHARS_MIN, "maxLength": PASSWORD_CHARS_MAX,
    "description": "A password, of at most 1,024 bytes of UTF-8.",
});

impl<'de> Deserialize<'de> for NewPassword {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let password = Secret::deserialize(from)?;
        within(password.expose(), PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX)?;
        Ok(NewPassword(password))
    }
}

/// A password, a token or an invitation that was given out before.
#[derive(Debug)]
pub struct KnownSecret(pub Secret);
schema_of!(KnownSecret, {
    "type": "string", "format": "password", "maxLength": 2_048,
    "description": "A password, a token or an invitation.",
});

impl<'de> Deserialize<'de> for KnownSecret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(from)?;
        within(secret.expose(), 0, 2_048)?;
        Ok(KnownSecret(secret))
    }
}

/// The nonce of a refresh.
#[derive(Debug)]
pub struct Nonce(pub Secret);
schema_of!(Nonce, {
    "type": "string", "minLength": NONCE_CHARS_MIN, "maxLength": NONCE_CHARS_MAX, "pattern": "^[ -~]*$",
    "description": "Random ASCII of the client's own: the same one asked again gets the same answer.",
});

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let nonce = Secret::deserialize(from)?;
        within(nonce.expose(), NONCE_CHARS_MIN, NONCE_CHARS_MAX)?;
        match nonce.expose().bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            true => Ok(Nonce(nonce)),
            false => Err(D::Error::custom("holds characters of ASCII, without control characters")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn texts_are_checked_as_their_schemas_say() {
        assert_eq!(from_value::<Name>(json!(" 鸿雁 ")).unwrap().0, " 鸿雁 ");
        for bad in ["", " ", "a\nb", "a\n", "\u{202e}a", &"x".repeat(65)] {
            assert!(from_value::<Name>(json!(bad)).is_err(), "{bad:?}");
        }
        assert!(from_value::<Title>(json!("鸿".repeat(85))).is_ok());
        assert!(from_value::<Title>(json!("鸿".repeat(86))).is_err(), "bytes count");
        assert!(from_value::<Title>(json!("\u{3000}")).is_err());
        assert!(
            from_value::<Handle>(json!("Hong.Yan")).is_ok() && from_value::<Handle>(json!("9ab")).is_err()
        );
        assert!(from_value::<NewPassword>(json!("1234567")).is_err());
        assert!(from_value::<Nonce>(json!("nonce number tw\u{7f}")).is_err());
        assert!(from_value::<Nonce>(json!("nonce number two")).is_ok());
    }
}
