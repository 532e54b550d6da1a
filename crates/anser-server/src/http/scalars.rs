//! Ids, numbers and short texts as JSON has them here. Each is checked where it is read, by the same rule
//! that its schema states.

use std::borrow::Cow;
use std::fmt;

use anser_model::{AccountId, ClientId, ConversationId, DeviceId};
use anser_proto::v1;
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest number that every JSON reader keeps exactly.
pub const WHOLE_MAX: u64 = (1 << 53) - 1;

/// How an account is written in an address that names the conversation with it.
const WITH: &str = "with-";
const CLIENT_ID_PATTERN: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
const ID_PATTERN: &str = "^[1-9][0-9]{0,18}$";
const CID_PATTERN: &str = "^[0-9a-f]{32}$";

/// A schema of the name that stands in the document once.
macro_rules! schema_of {
    ($name:ident, $schema:tt) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(super) use schema_of;

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Cow<'de, str>, D::Error> {
    Cow::<'de, str>::deserialize(from)
}

/// Digits of an id: no sign, no leading zero, not 0.
fn id<E: serde::de::Error>(digits: &str) -> Result<u64, E> {
    let fits = (1..=19).contains(&digits.len()) && !digits.starts_with('0');
    let number = fits.then_some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    number
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| E::custom(format!("an id is a string of 1 to 19 decimal digits, not {digits:?}")))
}

/// An account, as a string of decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account(pub AccountId);
schema_of!(Account, {
    "type": "string", "pattern": ID_PATTERN, "maxLength": 19,
    "description": "The id of an account: decimal digits.",
});

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        id(&text(from)?).map(AccountId).map(Account)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A device, as a string of decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device(pub DeviceId);
schema_of!(Device, {
    "type": "string", "pattern": ID_PATTERN, "maxLength": 19,
    "description": "The id of a device: decimal digits.",
});

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// An API key, as a string of decimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId(pub u64);
schema_of!(KeyId, {
    "type": "string", "pattern": ID_PATTERN, "maxLength": 19,
    "description": "The id of an API key: decimal digits.",
});

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        id(&text(from)?).map(KeyId)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A timeline, as a string of decimal digits. One beyond 64 bits is simply another timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline(pub u64);
schema_of!(Timeline, {
    "type": "string", "pattern": "^[0-9]{1,20}$", "maxLength": 20,
    "description": "The history of the installation that positions belong to: decimal digits. A restore starts another one.",
});

impl<'de> Deserialize<'de> for Timeline {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = text(from)?;
        if !(1..=20).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(D::Error::custom("a timeline is a string of 1 to 20 decimal digits"));
        }
        Ok(Timeline(digits.parse().unwrap_or(u64::MAX)))
    }
}

impl Serialize for Timeline {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// A conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation(pub ConversationId);
schema_of!(Conversation, {
    "type": "string", "pattern": CID_PATTERN, "minLength": 32, "maxLength": 32,
    "description": "The id of a conversation: 32 hexadecimal digits.",
});

/// 32 hexadecimal digits.
pub fn conversation_id(digits: &str) -> Option<ConversationId> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != 32 || !digits.bytes().all(is_hex) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(|number| ConversationId(number.to_be_bytes()))
}

impl<'de> Deserialize<'de> for Conversation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = text(from)?;
        conversation_id(&digits)
            .map(Conversation)
            .ok_or_else(|| D::Error::custom("a conversation is 32 hexadecimal digits in lower case"))
    }
}

impl Serialize for Conversation {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:032x}", u128::from_be_bytes(self.0.0)))
    }
}

/// A conversation as an address names it: by its id, or by the other one of a direct conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationName {
    /// By its id.
    Id(ConversationId),
    /// The direct conversation with this account; one's own: the self conversation.
    With(AccountId),
}
schema_of!(ConversationName, {
    "type": "string", "pattern": "^([0-9a-f]{32}|with-[1-9][0-9]{0,18})$", "maxLength": 32,
    "description": "A conversation: its id of 32 hexadecimal digits, or `with-` and an account for the direct \
        conversation with it; `with-` and one's own account is the self conversation.",
});

impl ConversationName {
    /// As frames name it.
    pub fn target(self) -> v1::Target {
        match self {
            ConversationName::Id(cid) => v1::Target::cid(cid),
            ConversationName::With(peer) => v1::Target::peer(peer),
        }
    }

    /// Its id, as `account` sees it.
    pub fn id(self, account: AccountId) -> ConversationId {
        match self {
            ConversationName::Id(cid) => cid,
            ConversationName::With(peer) if peer == account => ConversationId::of_self(account),
            ConversationName::With(peer) => ConversationId::direct(account, peer),
        }
    }
}

impl<'de> Deserialize<'de> for ConversationName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = text(from)?;
        match (name.strip_prefix(WITH), conversation_id(&name)) {
            (Some(account), _) => id(account).map(AccountId).map(ConversationName::With),
            (None, Some(cid)) => Ok(ConversationName::Id(cid)),
            (None, None) => {
                let right =
                    "a conversation is 32 hexadecimal digits in lower case, or with- and an account id";
                Err(D::Error::custom(right))
            }
        }
    }
}

/// The idempotency key of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandId(pub ClientId);
schema_of!(CommandId, {
    "type": "string", "pattern": CLIENT_ID_PATTERN, "minLength": 36, "maxLength": 36,
    "description": "A UUIDv7 minted when the person acted: the same one again has no second effect. Accepted for 30 days.",
});

impl CommandId {
    /// As frames carry it.
    pub fn bytes(self) -> bytes::Bytes {
        anser_proto::wire::client_id_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for CommandId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = text(from)?;
        let right = "a client id is a UUIDv7 in lower case, as 018f3c1e-7b2a-7c3d-8e4f-0123456789ab";
        let wrong = || D::Error::invalid_value(Unexpected::Str(&written), &right);
        let dashes = [8, 13, 18, 23];
        let fits = written.len() == 36
            && written.bytes().enumerate().all(|(at, byte)| match dashes.contains(&at) {
                true => byte == b'-',
                false => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            });
        if !fits {
            return Err(wrong());
        }
        let number = u128::from_str_radix(&written.replace('-', ""), 16).map_err(|_| wrong())?;
        ClientId::from_bytes(&number.to_be_bytes()).map(CommandId).map_err(|_| wrong())
    }
}

impl Serialize for CommandId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let hex = format!("{:032x}", u128::from_be_bytes(*self.0.as_bytes()));
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        to.serialize_str(&parts.join("-"))
    }
}

/// A whole number that every JSON reader keeps exactly: a position, a count, a time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Whole(pub u64);
schema_of!(Whole, { "type": "integer", "minimum": 0, "maximum": WHOLE_MAX });

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "a whole number from 0 to {WHOLE_MAX}")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Whole, E> {
        match number <= WHOLE_MAX {
            true => Ok(Whole(number)),
            false => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Whole, E> {
        // 1.0 and 1e3 are whole numbers to JSON Schema.
        match number.fract() == 0.0 && (0.0..=WHOLE_MAX as f64).contains(&number) {
            true => Ok(Whole(number as u64)),
            false => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_u64(WholeVisitor)
    }
}

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

/// A position in a conversation, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);
schema_of!(Position, {
    "type": "integer", "minimum": 1, "maximum": WHOLE_MAX,
    "description": "The seq of something in its conversation: 1, 2, 3 … without gaps.",
});

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Whole::deserialize(from)?.0 {
            0 => Err(D::Error::custom("a seq is above 0")),
            seq => Ok(Position(seq)),
        }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json, to_value};

    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let account: Account = from_value(json!("9223372036854775807")).unwrap();
        assert_eq!(to_value(account).unwrap(), "9223372036854775807");
        for bad in ["", "0", "01", "+1", "-1", " 1", "1 ", "1.0", "١", "12345678901234567890"] {
            assert!(from_value::<Account>(json!(bad)).is_err(), "{bad:?}");
        }
        assert!(from_value::<Account>(json!(1)).is_err(), "a number is no id");
        let cid = "00112233445566778899aabbccddeeff";
        let conversation: Conversation = from_value(json!(cid)).unwrap();
        assert_eq!(to_value(conversation).unwrap(), cid);
        assert_eq!(conversation.0.0[1], 0x11);
        for bad in [&cid[1..], &cid.to_uppercase(), &cid.replace('f', "g"), &format!("+{}", &cid[1..])] {
            assert!(from_value::<Conversation>(json!(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(from_value::<Timeline>(json!("99999999999999999999")).unwrap(), Timeline(u64::MAX));
        assert!(from_value::<Timeline>(json!("-1")).is_err());
    }

    #[test]
    fn conversations_are_named_in_two_ways() {
        let name = |text: &str| from_value::<ConversationName>(json!(text));
        let (ann, ben) = (AccountId(7), AccountId(8));
        assert_eq!(name("with-8").unwrap(), ConversationName::With(ben));
        assert_eq!(name("with-8").unwrap().id(ann), ConversationId::direct(ben, ann));
        assert_eq!(name("with-7").unwrap().id(ann), ConversationId::of_self(ann));
        assert!(name("with-").is_err() && name("with-0").is_err() && name("8").is_err());
    }

    #[test]
    fn client_ids_are_uuids_of_version_7() {
        let written = "018f3c1e-7b2a-7c3d-8e4f-0123456789ab";
        let id: CommandId = from_value(json!(written)).unwrap();
        assert_eq!(to_value(id).unwrap(), written);
        assert_eq!(id.bytes()[..2], [0x01, 0x8f]);
        for bad in [
            "018f3c1e-7b2a-4c3d-8e4f-0123456789ab",
            "018f3c1e-7b2a-7c3d-ce4f-0123456789ab",
            "018F3C1E-7B2A-7C3D-8E4F-0123456789AB",
            "018f3c1e7b2a7c3d8e4f0123456789ab",
            "018f3c1e-7b2a-7c3d-8e4f-0123456789a",
            "",
        ] {
            assert!(from_value::<CommandId>(json!(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn whole_numbers_are_exact() {
        let whole = |value: Value| from_value::<Whole>(value).ok().map(|whole| whole.0);
        assert_eq!(whole(json!(WHOLE_MAX)), Some(WHOLE_MAX));
        assert_eq!(whole(json!(3.0)), Some(3));
        for bad in [json!(WHOLE_MAX + 1), json!(-1), json!(0.5), json!("1"), json!(1e300), json!(null)] {
            assert_eq!(whole(bad.clone()), None, "{bad}");
        }
        assert!(from_value::<Position>(json!(0)).is_err());
    }
}
