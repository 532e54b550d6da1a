//! Messages as JSON: what each kind says besides its text, and kinds that nobody here knows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anser_model::AccountId;
use anser_model::limits::{MENTIONS_PER_MESSAGE, MESSAGE_BODY_BYTES, MESSAGE_KIND_BYTES, MESSAGE_TEXT_BYTES};
use anser_proto::{ErrorCode, bodies, v1};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::ApiError;
use super::scalars::{Account, Position, WHOLE_MAX, Whole};

/// The kind of a message that is text and nothing else.
const TEXT: &str = "text";
/// The kind whose body is whatever JSON object its author likes.
const CUSTOM: &str = "custom";
/// Names of kinds that others may invent.
const KIND_PATTERN: &str = "^[!-~]*[./:-][!-~]*$";
/// One part of a media type.
const MIME_PART: &str = "[A-Za-z0-9!#$&^_.+-]+";
const ONE_LINE_PATTERN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
const BASE64_PATTERN: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";
/// Base64 as the pattern has it: whatever the last character says besides the last byte is of no account.
pub const OPAQUE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);
/// Characters of the base64 of the longest body.
pub const BODY_BASE64_CHARS: usize = MESSAGE_BODY_BYTES.div_ceil(3) * 4;

/// For each slot an n.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotNumbers(#[serde(deserialize_with = "slot_numbers")] pub BTreeMap<u8, Whole>);

fn slot_numbers<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<u8, Whole>, D::Error> {
    use serde::de::Error as _;
    let by_name = BTreeMap::<String, Whole>::deserialize(from)?;
    let numbered = by_name.into_iter().map(|(name, n)| match name.parse::<u8>() {
        Ok(slot) if slot.to_string() == name => Ok((slot, n)),
        _ => Err(D::Error::custom(format!("a slot is a number from 0 to 255, not {name:?}"))),
    });
    numbered.collect()
}

impl JsonSchema for SlotNumbers {
    fn schema_name() -> Cow<'static, str> {
        "SlotNumbers".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let number = schemas.subschema_for::<Whole>();
        json_schema!({
            "type": "object",
            "propertyNames": {"pattern": "^([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$"},
            "additionalProperties": number,
            "maxProperties": 256,
        })
    }
}

/// Any JSON value.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonValue(Value);

impl JsonSchema for JsonValue {
    fn schema_name() -> Cow<'static, str> {
        "JsonValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Not by its parts: a schema that refers to itself keeps testers and generators of clients busy for ever.
        json_schema!({
            "description": "Any JSON value.",
            "type": ["null", "boolean", "number", "string", "array", "object"],
        })
    }
}

/// Any JSON object.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JsonObject(BTreeMap<String, JsonValue>);

/// The kinds whose bodies have a shape of their own: name, what it is, and the body. `anser_proto::bodies` checks
/// the same; a test compares the two.
fn standard_kinds() -> Vec<(&'static str, &'static str, Value)> {
    let file = json!({
        "type": "string", "pattern": "^[A-Za-z0-9_-]+$", "minLength": 1, "maxLength": 128,
        "description": "The id of an uploaded file. Until files can be uploaded, the server does not look what it names.",
    });
    let name = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": ONE_LINE_PATTERN});
    let whole = |least: u64, most: u64| json!({"type": "integer", "minimum": least, "maximum": most});
    let perhaps = |schema: Value| json!({"anyOf": [schema, {"type": "null"}]});
    let mime = |begins: &str| json!({"type": "string", "pattern": format!("^{begins}{MIME_PART}$"), "maxLength": 100});
    let (bytes, pixels, duration) = (whole(1, WHOLE_MAX), whole(1, 65_535), whole(1, 86_400_000));
    let blurhash = json!({"type": "string", "pattern": "^[!-~]+$", "minLength": 6, "maxLength": 100});
    let waveform = json!({"type": "array", "items": whole(0, 255), "maxItems": 256});
    let degrees = |most: i64| json!({"type": "number", "minimum": -most, "maximum": most});
    let title = perhaps(name(255));
    vec![
        (
            "image",
            "A picture.",
            closed(
                &["file", "mime", "bytes", "width", "height"],
                json!({
                    "file": file, "mime": mime("image/"), "bytes": bytes, "width": pixels, "height": pixels,
                    "name": title, "blurhash": perhaps(blurhash),
                }),
            ),
        ),
        (
            "file",
            "A file.",
            closed(
                &["file", "mime", "bytes", "name"],
                json!({"file": file, "mime": mime(&format!("{MIME_PART}/")), "bytes": bytes, "name": name(255)}),
            ),
        ),
        (
            "voice",
            "Something spoken.",
            closed(
                &["file", "mime", "bytes", "duration_ms"],
                json!({
                    "file": file, "mime": mime("audio/"), "bytes": bytes, "duration_ms": duration,
                    "waveform": perhaps(waveform),
                }),
            ),
        ),
        (
            "video",
            "A film.",
            closed(
                &["file", "mime", "bytes", "duration_ms", "width", "height"],
                json!({
                    "file": file, "mime": mime("video/"), "bytes": bytes, "duration_ms": duration,
                    "width": pixels, "height": pixels, "name": title, "poster": perhaps(file.clone()),
                }),
            ),
        ),
        (
            "location",
            "A place.",
            closed(
                &["latitude", "longitude"],
                json!({
                    "latitude": degrees(90), "longitude": degrees(180), "name": title,
                    "address": perhaps(name(500)),
                }),
            ),
        ),
        (
            "card",
            "Somebody's card.",
            closed(&["account"], json!({"account": {"$ref": "#/components/schemas/Account"}, "name": title})),
        ),
    ]
}

/// Messages forwarded together: the one kind that holds others.
const TRANSCRIPT: &str = "transcript";

/// Its body. Transcripts in transcripts are taken too, and are not described.
fn transcript() -> Value {
    let name = |most: usize| json!({"type": "string", "minLength": 1, "maxLength": most, "pattern": ONE_LINE_PATTERN});
    let item = |kind: Value, least: usize, body: Option<Value>, needed: &[&str]| {
        let mut fields = json!({
            "author": {"$ref": "#/components/schemas/Account"}, "name": name(255),
            "at_ms": {"type": "integer", "minimum": 0, "maximum": u64::MAX}, "kind": kind,
            "text": {"type": "string", "minLength": least, "maxLength": MESSAGE_TEXT_BYTES},
        });
        if let Some(body) = body {
            fields["body"] = body;
        }
        let needed: Vec<&str> =
            ["author", "name", "at_ms", "kind", "text"].iter().chain(needed).copied().collect();
        closed(&needed, fields)
    };
    let mut items = vec![item(json!({"const": TEXT}), 1, None, &[])];
    let mut known = vec![TEXT, TRANSCRIPT, CUSTOM];
    for (kind, _, body) in standard_kinds() {
        known.push(kind);
        items.push(item(json!({"const": kind}), 0, Some(body), &["body"]));
    }
    let (object, value) = (reference("JsonObject"), reference("JsonValue"));
    items.push(item(json!({"const": CUSTOM}), 0, Some(object), &["body"]));
    let mut other = name(MESSAGE_KIND_BYTES);
    other["not"] = json!({"enum": known});
    items.push(item(other, 0, Some(value), &[]));
    let title = name(255);
    let items = json!({"type": "array", "items": {"oneOf": items}, "minItems": 1, "maxItems": 100});
    closed(&["title", "items"], json!({"title": title, "items": items}))
}

fn closed(needed: &[&str], fields: Value) -> Value {
    json!({"type": "object", "required": needed, "properties": fields, "additionalProperties": false})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// What somebody says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageToSend {
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default, deserialize_with = "even_null")]
    body: Option<Value>,
    reply_to: Option<Position>,
    #[serde(default)]
    mentions: Vec<Account>,
    #[serde(default)]
    mention_all: bool,
    #[serde(default)]
    uncounted: bool,
    #[serde(default)]
    forwarded: bool,
}

/// What is given as null is given.
fn even_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl JsonSchema for MessageToSend {
    fn schema_name() -> Cow<'static, str> {
        "MessageToSend".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let account = schemas.subschema_for::<Account>();
        let position = schemas.subschema_for::<Position>();
        let custom = schemas.subschema_for::<JsonObject>();
        let text = |least: usize, about: &str| json!({"type": "string", "minLength": least, "maxLength": MESSAGE_TEXT_BYTES, "description": about});
        let shown = text(0, "What a client shows that does not know the kind, and what is searched.");
        let message = |needed: &[&str], kind: Value, text: Value, body: Option<Value>, about: &str| {
            let mut fields = json!({
                "kind": kind, "text": text,
                "reply_to": {
                    "anyOf": [position, {"type": "null"}], "description": "The message that this one replies to.",
                },
                "mentions": {"type": "array", "items": account, "maxItems": MENTIONS_PER_MESSAGE},
                "mention_all": {"type": "boolean", "description": "Groups: everybody is meant."},
                "uncounted": {"type": "boolean", "description": "Does not raise anybody's unread count."},
                "forwarded": {"type": "boolean", "description": "Its sender had it from another conversation."},
            });
            if let Some(body) = body {
                fields["body"] = body;
            }
            let mut schema = closed(needed, fields);
            schema["description"] = about.into();
            schema
        };
        let mut variants = vec![(
            TEXT,
            message(&["kind", "text"], json!({"const": TEXT}), text(1, "What is said."), None, "Text."),
        )];
        let needed = ["kind", "body"];
        schemas.subschema_for::<JsonValue>();
        let mut standard = standard_kinds();
        standard.push((TRANSCRIPT, "Messages forwarded together, as their sender gives them.", transcript()));
        for (kind, about, body) in standard {
            let kind_schema = json!({"const": kind});
            variants.push((kind, message(&needed, kind_schema, shown.clone(), Some(body), about)));
        }
        let about = "Whatever the author's and the reader's programs agree on.";
        let body = Some(custom.to_value());
        variants.push((CUSTOM, message(&needed, json!({"const": CUSTOM}), shown.clone(), body, about)));
        let known: Vec<&str> = variants.iter().map(|(kind, _)| *kind).collect();
        let other = json!({
            "type": "string", "minLength": 1, "maxLength": MESSAGE_KIND_BYTES, "pattern": KIND_PATTERN,
            "not": {"enum": known},
        });
        let body = json!({
            "type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN,
            "maxLength": BODY_BASE64_CHARS,
        });
        let about = "A kind that this server does not know: its body is opaque bytes.";
        let other = message(&["kind"], other, shown, Some(body), about);
        let mut mapping = Map::new();
        let mut choices = Vec::new();
        for (kind, schema) in variants {
            let name = format!("{}Message", capital(kind));
            choices.push(reference(&name));
            mapping.insert(kind.into(), format!("#/components/schemas/{name}").into());
            schemas.definitions_mut().insert(name, schema);
        }
        schemas.definitions_mut().insert("OtherMessage".into(), other);
        choices.push(reference("OtherMessage"));
        json_schema!({
            "oneOf": choices,
            "discriminator": {"propertyName": "kind", "mapping": mapping},
        })
    }
}

/// 3.0 is a whole number to JSON, and becomes one that every reader takes for one.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            if let Some(float) = float.filter(|float| (0.0..=WHOLE_MAX as f64).contains(float)) {
                *number = (float as u64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

/// Which message of a transcript is longer than a message may be.
fn too_long_in(transcript: &Map<String, Value>) -> Option<usize> {
    let items = transcript.get("items")?.as_array()?;
    let is_long = |text: &str| text.chars().nth(MESSAGE_TEXT_BYTES).is_some();
    items.iter().position(|item| item["text"].as_str().is_some_and(is_long))
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

fn is_standard(kind: &str) -> bool {
    kind == CUSTOM || kind == TRANSCRIPT || standard_kinds().iter().any(|(standard, ..)| *standard == kind)
}

impl MessageToSend {
    /// As frames carry it, or what is wrong with it.
    pub fn wire(self) -> Result<v1::Message, ApiError> {
        let bad = |field: &str, right: String| {
            ApiError::new(ErrorCode::BadValue, format!("message.{field}: {right}"))
        };
        let fits = (1..=MESSAGE_KIND_BYTES).contains(&self.kind.len())
            && self.kind.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        if !fits {
            let right = format!("1 to {MESSAGE_KIND_BYTES} visible characters of ASCII without spaces");
            return Err(bad("kind", right));
        }
        let is_named_apart = self.kind.contains(['.', '/', ':', '-']);
        if !(is_standard(&self.kind) || self.kind == TEXT || is_named_apart) {
            let right = "a kind of one's own has one of . / : - in its name, so that it is never taken for a standard one";
            return Err(bad("kind", right.into()));
        }
        if self.text.len() > MESSAGE_TEXT_BYTES {
            let right = format!("at most {MESSAGE_TEXT_BYTES} bytes, not {}", self.text.len());
            return Err(bad("text", right));
        }
        if self.mentions.len() > MENTIONS_PER_MESSAGE {
            let right = format!("at most {MENTIONS_PER_MESSAGE}, not {}", self.mentions.len());
            return Err(bad("mentions", right));
        }
        let body = match (self.kind.as_str(), self.body) {
            (TEXT, Some(_)) => {
                return Err(bad("body", "a text message has its text in text, and no body".into()));
            }
            (TEXT, None) if self.text.is_empty() => {
                return Err(bad("text", "a text message is not empty".into()));
            }
            (TEXT, None) => Bytes::new(),
            (kind, Some(Value::Object(mut body))) if is_standard(kind) => {
                if kind != CUSTOM {
                    body.values_mut().for_each(whole_numbers);
                }
                if let Some(at) = too_long_in(&body).filter(|_| kind == TRANSCRIPT) {
                    let right = format!("at most {MESSAGE_TEXT_BYTES} characters");
                    return Err(bad(&format!("body.items[{at}].text"), right));
                }
                serde_json::to_vec(&body).expect("a JSON value is written").into()
            }
            (kind, _) if is_standard(kind) => {
                return Err(bad("body", format!("the body of kind {kind} is a JSON object")));
            }
            (_, None) => Bytes::new(),
            (_, Some(Value::String(base64))) => match OPAQUE.decode(base64) {
                Ok(body) => body.into(),
                Err(error) => return Err(bad("body", format!("base64 of an opaque body: {error}"))),
            },
            (kind, Some(_)) => {
                return Err(bad("body", format!("the body of kind {kind} is a string of base64")));
            }
        };
        if body.len() > MESSAGE_BODY_BYTES {
            return Err(bad("body", format!("at most {MESSAGE_BODY_BYTES} bytes, not {}", body.len())));
        }
        bodies::check(&self.kind, &body).map_err(|error| {
            let dot = if error.field.is_empty() { "" } else { "." };
            bad(&format!("body{dot}{}", error.field), error.right)
        })?;
        Ok(v1::Message {
            kind: self.kind,
            text: self.text,
            body,
            reply_to: self.reply_to.map_or(0, |Position(seq)| seq),
            mentions: self.mentions.into_iter().map(|Account(account)| account.0).collect(),
            mention_all: self.mention_all,
            uncounted: self.uncounted,
            forwarded: self.forwarded,
            ..v1::Message::default()
        })
    }
}

/// A message as its readers see it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MessageBody {
    /// See MessageToSend.
    #[schemars(length(max = MESSAGE_KIND_BYTES))]
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = MESSAGE_TEXT_BYTES))]
    text: String,
    /// What the kind says besides its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Said>,
    /// The message that this one replies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Position>,
    #[schemars(length(max = MENTIONS_PER_MESSAGE))]
    mentions: Vec<Account>,
    mention_all: bool,
    uncounted: bool,
    /// Its sender had it from another conversation, and says so.
    forwarded: bool,
    /// It was taken back: kind and uncounted remain, nothing of what it said.
    recalled: bool,
    /// It was edited where the reader cannot see: kind and uncounted remain, nothing of what it says or said.
    withheld: bool,
    /// How often it was edited.
    edits: Whole,
    /// When it was edited last.
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at_ms: Option<Whole>,
}

/// The body of a message.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Said {
    /// Of a kind that is known, or custom.
    Object(JsonObject),
    /// Base64 of the opaque bytes of any other.
    Opaque(#[schemars(length(max = BODY_BASE64_CHARS))] String),
}

impl From<v1::Message> for MessageBody {
    fn from(message: v1::Message) -> Self {
        let object = is_standard(&message.kind).then(|| serde_json::from_slice(&message.body).ok()).flatten();
        let body = match object {
            Some(object) => Some(Said::Object(object)),
            None if message.body.is_empty() => None,
            None => Some(Said::Opaque(OPAQUE.encode(&message.body))),
        };
        MessageBody {
            body,
            kind: message.kind,
            text: message.text,
            reply_to: (message.reply_to != 0).then_some(Position(message.reply_to)),
            mentions: message.mentions.into_iter().map(|account| Account(AccountId(account))).collect(),
            mention_all: message.mention_all,
            uncounted: message.uncounted,
            forwarded: message.forwarded,
            recalled: message.recalled,
            withheld: message.withheld,
            edits: Whole(message.edits.into()),
            edited_at_ms: (message.edited_at_ms != 0).then_some(Whole(message.edited_at_ms)),
        }
    }
}

#[cfg(test)]
mod tests;
