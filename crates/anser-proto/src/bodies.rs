//! Bodies of the standard kinds of messages: what each may hold. A kind that is not standard stays opaque.
//!
//! A body is a JSON object with the fields named here and no others. It is stored and given as it was sent.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Characters of a file id.
const FILE_ID_CHARACTERS: usize = 128;
/// Characters of a media type.
const MIME_CHARACTERS: usize = 100;
/// Characters of a name or a title inside a body.
const NAME_CHARACTERS: usize = 255;
/// Characters of a postal address.
const ADDRESS_CHARACTERS: usize = 500;
/// Bytes that a file may say to have: what a JSON number holds exactly.
const FILE_BYTES: u64 = (1 << 53) - 1;
/// Pixels of one side of a picture.
const PIXELS: u64 = 65_535;
/// How long a recording may say to be.
const DURATION_MS: u64 = 24 * 60 * 60 * 1000;
/// Characters of a blurhash: between these.
const BLURHASH_CHARACTERS: std::ops::RangeInclusive<usize> = 6..=100;
/// Samples of a waveform, each 0 to 255.
const WAVEFORM_SAMPLES: usize = 256;
/// Messages in one transcript.
const TRANSCRIPT_ITEMS: usize = 100;
/// How deep transcripts may hold transcripts.
const TRANSCRIPT_DEPTH: u32 = 4;

/// A body is not what its kind says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {right}")]
pub struct BadBody {
    /// Where in the body; empty: the body itself.
    pub field: String,
    /// What would be right.
    pub right: String,
}

type Checked = Result<(), BadBody>;

/// Looks at the body of a message of this kind. Says nothing against the body of a kind that is not standard.
///
/// # Errors
/// Which field is wrong, and what would be right.
pub fn check(kind: &str, body: &[u8]) -> Result<(), BadBody> {
    check_at(kind, body, 0)
}

fn check_at(kind: &str, body: &[u8], depth: u32) -> Checked {
    match kind {
        "text" if body.is_empty() => Ok(()),
        "text" => wrong("", "a text message has its text in text, and no body"),
        "image" => read::<Image>(body)?.check(),
        "file" => read::<File>(body)?.check(),
        "voice" => read::<Voice>(body)?.check(),
        "video" => read::<Video>(body)?.check(),
        "location" => read::<Location>(body)?.check(),
        "card" => read::<Card>(body)?.check(),
        "transcript" => read::<Transcript>(body)?.check(depth),
        "custom" => read::<BTreeMap<String, IgnoredAny>>(body).map(drop),
        _ => Ok(()),
    }
}

fn wrong(field: &str, right: impl Into<String>) -> Checked {
    Err(BadBody { field: field.to_owned(), right: right.into() })
}

fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, BadBody> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize::<_, Object<T>>(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        BadBody { field, right: format!("a JSON object as its kind says: {}", error.into_inner()) }
    })?;
    match json.end() {
        Ok(()) => Ok(read.0),
        Err(error) => Err(BadBody { field: String::new(), right: format!("one JSON object: {error}") }),
    }
}

/// Read from an object alone: a list of values in the order of the fields is none.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    file: String,
    mime: String,
    bytes: u64,
    width: u64,
    height: u64,
    name: Option<String>,
    blurhash: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    file: String,
    mime: String,
    bytes: u64,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Voice {
    file: String,
    mime: String,
    bytes: u64,
    duration_ms: u64,
    waveform: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Video {
    file: String,
    mime: String,
    bytes: u64,
    duration_ms: u64,
    width: u64,
    height: u64,
    name: Option<String>,
    poster: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Location {
    latitude: f64,
    longitude: f64,
    name: Option<String>,
    address: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    account: String,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transcript<'a> {
    title: String,
    #[serde(borrow)]
    items: Vec<Object<Item<'a>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    author: String,
    name: String,
    #[serde(rename = "at_ms")]
    _at_ms: u64,
    kind: String,
    text: String,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl Image {
    fn check(&self) -> Checked {
        file(&self.file, &self.mime, "image/", self.bytes)?;
        sides(self.width, self.height)?;
        optional("name", &self.name, NAME_CHARACTERS)?;
        let Some(blurhash) = &self.blurhash else { return Ok(()) };
        let fits =
            BLURHASH_CHARACTERS.contains(&blurhash.len()) && blurhash.bytes().all(|it| it.is_ascii_graphic());
        if fits { Ok(()) } else { wrong("blurhash", "6 to 100 printable ASCII characters") }
    }
}

impl File {
    fn check(&self) -> Checked {
        file(&self.file, &self.mime, "", self.bytes)?;
        name("name", &self.name, NAME_CHARACTERS)
    }
}

impl Voice {
    fn check(&self) -> Checked {
        file(&self.file, &self.mime, "audio/", self.bytes)?;
        between("duration_ms", self.duration_ms, DURATION_MS)?;
        let samples = self.waveform.as_ref().map_or(0, Vec::len);
        if samples <= WAVEFORM_SAMPLES {
            return Ok(());
        }
        wrong("waveform", format!("at most {WAVEFORM_SAMPLES} numbers from 0 to 255, not {samples}"))
    }
}

impl Video {
    fn check(&self) -> Checked {
        file(&self.file, &self.mime, "video/", self.bytes)?;
        between("duration_ms", self.duration_ms, DURATION_MS)?;
        sides(self.width, self.height)?;
        optional("name", &self.name, NAME_CHARACTERS)?;
        self.poster.as_deref().map_or(Ok(()), |poster| file_id("poster", poster))
    }
}

impl Location {
    fn check(&self) -> Checked {
        for (field, degrees, most) in
            [("latitude", self.latitude, 90.0), ("longitude", self.longitude, 180.0)]
        {
            if !(-most..=most).contains(&degrees) {
                return wrong(field, format!("degrees from -{most} to {most}, not {degrees}"));
            }
        }
        optional("name", &self.name, NAME_CHARACTERS)?;
        optional("address", &self.address, ADDRESS_CHARACTERS)
    }
}

impl Card {
    fn check(&self) -> Checked {
        account("account", &self.account)?;
        optional("name", &self.name, NAME_CHARACTERS)
    }
}

impl Transcript<'_> {
    fn check(&self, depth: u32) -> Checked {
        if depth >= TRANSCRIPT_DEPTH {
            return wrong("", format!("transcripts in transcripts, at most {TRANSCRIPT_DEPTH} deep"));
        }
        name("title", &self.title, NAME_CHARACTERS)?;
        if self.items.is_empty() || self.items.len() > TRANSCRIPT_ITEMS {
            return wrong("items", format!("1 to {TRANSCRIPT_ITEMS} messages, not {}", self.items.len()));
        }
        for (index, Object(item)) in self.items.iter().enumerate() {
            item.check(depth).map_err(|BadBody { field, right }| {
                let dot = if field.is_empty() { "" } else { "." };
                BadBody { field: format!("items[{index}]{dot}{field}"), right }
            })?;
        }
        Ok(())
    }
}

impl Item<'_> {
    fn check(&self, depth: u32) -> Checked {
        account("author", &self.author)?;
        name("name", &self.name, NAME_CHARACTERS)?;
        name("kind", &self.kind, anser_model::limits::MESSAGE_KIND_BYTES)?;
        if self.kind == "text" && self.text.is_empty() {
            return wrong("text", "a text message is not empty");
        }
        let body = self.body.map_or("", RawValue::get);
        check_at(&self.kind, body.as_bytes(), depth + 1).map_err(|BadBody { field, right }| {
            let dot = if field.is_empty() { "" } else { "." };
            BadBody { field: format!("body{dot}{field}"), right }
        })
    }
}

fn file(id: &str, mime: &str, begins: &str, bytes: u64) -> Checked {
    file_id("file", id)?;
    let part = |it: &str| {
        !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&it))
    };
    let is_type = mime.split_once('/').is_some_and(|(kind, subkind)| part(kind) && part(subkind));
    if !is_type || mime.len() > MIME_CHARACTERS || !mime.starts_with(begins) {
        let begins = if begins.is_empty() { "type/" } else { begins };
        return wrong("mime", format!("a media type {begins}… of at most {MIME_CHARACTERS} characters"));
    }
    between("bytes", bytes, FILE_BYTES)
}

fn file_id(field: &str, id: &str) -> Checked {
    let fits = (1..=FILE_ID_CHARACTERS).contains(&id.len())
        && id.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
    if fits {
        return Ok(());
    }
    wrong(field, format!("the id of a file: 1 to {FILE_ID_CHARACTERS} characters of A-Z, a-z, 0-9, _ and -"))
}

fn account(field: &str, id: &str) -> Checked {
    let fits = id.parse::<u64>().is_ok_and(|number| number > 0 && number.to_string() == id);
    if fits { Ok(()) } else { wrong(field, "the id of an account: decimal digits, as a string") }
}

fn name(field: &str, name: &str, most: usize) -> Checked {
    let count = name.chars().count();
    if count == 0 || count > most || name.chars().any(char::is_control) {
        return wrong(field, format!("1 to {most} characters without control characters"));
    }
    Ok(())
}

fn optional(field: &str, text: &Option<String>, most: usize) -> Checked {
    text.as_deref().map_or(Ok(()), |text| name(field, text, most))
}

fn sides(width: u64, height: u64) -> Checked {
    between("width", width, PIXELS)?;
    between("height", height, PIXELS)
}

fn between(field: &str, number: u64, most: u64) -> Checked {
    if (1..=most).contains(&number) { Ok(()) } else { wrong(field, format!("1 to {most}, not {number}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = r#"{"file":"f_1-A","mime":"image/png","bytes":9,"width":3,"height":2}"#;

    #[track_caller]
    fn refused(kind: &str, body: &str, field: &str) {
        let error = check(kind, body.as_bytes()).expect_err(body);
        assert_eq!(error.field, field, "{body}: {error}");
    }

    #[test]
    fn every_kind_takes_what_it_says() {
        let item = |kind: &str, body: &str| {
            format!(r#"{{"author":"7","name":"Ann","at_ms":5,"kind":"{kind}","text":"x","body":{body}}}"#)
        };
        let text = r#"{"author":"7","name":"Ann","at_ms":5,"kind":"text","text":"hi"}"#;
        let inner = format!(r#"{{"title":"inner","items":[{text}]}}"#);
        let items = [text.to_owned(), item("image", IMAGE), item("transcript", &inner), item("x-own", "[1]")];
        let transcript = format!(r#"{{"title":"Ann and Ben","items":[{}]}}"#, items.join(","));
        for (kind, body) in [
            ("text", ""),
            ("image", IMAGE),
            (
                "image",
                r#"{"file":"f","mime":"image/webp","bytes":1,"width":1,"height":1,"name":"海.webp","blurhash":"LEHV6nWB2yk8"}"#,
            ),
            ("file", r#"{"file":"f","mime":"application/vnd.ms-excel","bytes":1,"name":"a.xls"}"#),
            ("voice", r#"{"file":"f","mime":"audio/ogg","bytes":1,"duration_ms":900,"waveform":[0,255]}"#),
            (
                "video",
                r#"{"file":"f","mime":"video/mp4","bytes":1,"duration_ms":1,"width":4,"height":3,"poster":"p"}"#,
            ),
            ("location", r#"{"latitude":31.2,"longitude":-180,"name":"外滩","address":"中山东一路"}"#),
            ("card", r#"{"account":"18446744073709551615","name":"Ben"}"#),
            ("transcript", &transcript),
            ("custom", r#"{"anything":[{"at":"all"}]}"#),
            ("x-own", "\u{0}not JSON"),
        ] {
            assert_eq!(check(kind, body.as_bytes()), Ok(()), "{kind} {body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |from: &str, to: &str| IMAGE.replace(from, to);
        refused("text", "x", "");
        refused("image", "", "");
        refused("image", r#"["f","image/png",9,3,2,null,null]"#, "");
        refused("image", &format!("{IMAGE}{{}}"), "");
        refused("image", &with("f_1-A", "../etc"), "file");
        refused("image", &with("f_1-A", &"f".repeat(129)), "file");
        refused("image", &with("image/png", "text/html"), "mime");
        refused("image", &with("image/png", "image/"), "mime");
        refused("image", &with(":9", ":0"), "bytes");
        refused("image", &with(":9", ":\"9\""), "bytes");
        refused("image", &with(":3", ":65536"), "width");
        refused("image", &with("\"height\":2", "\"height\":-2"), "height");
        refused("image", &with("\"height\":2", "\"height\":2,\"blurhash\":\"é\""), "blurhash");
        refused("image", &with("\"height\":2", "\"height\":2,\"name\":\"a\\nb\""), "name");
        assert!(
            check("image", with("\"height\":2", "\"depth\":2").as_bytes())
                .unwrap_err()
                .right
                .contains("depth")
        );
        assert!(check("image", with(",\"height\":2", "").as_bytes()).unwrap_err().right.contains("height"));
        refused("location", r#"{"latitude":90.5,"longitude":0}"#, "latitude");
        refused("location", r#"{"latitude":0,"longitude":1e999}"#, "longitude");
        refused("card", r#"{"account":7}"#, "account");
        for account in ["0", "07", "+7", "", "18446744073709551616", "me"] {
            refused("card", &format!(r#"{{"account":"{account}"}}"#), "account");
        }
        refused(
            "voice",
            r#"{"file":"f","mime":"audio/ogg","bytes":1,"duration_ms":86400001}"#,
            "duration_ms",
        );
        refused(
            "voice",
            r#"{"file":"f","mime":"audio/ogg","bytes":1,"duration_ms":1,"waveform":[256]}"#,
            "waveform[0]",
        );
        refused("file", r#"{"file":"f","mime":"a/b","bytes":1,"name":""}"#, "name");
        refused("custom", "[]", "");
        refused("custom", "\u{0}", "");
    }

    #[test]
    fn a_transcript_is_looked_into() {
        let of = |item: &str| format!(r#"{{"title":"t","items":[{item}]}}"#);
        let item = |kind: &str, text: &str, body: &str| {
            of(&format!(r#"{{"author":"7","name":"Ann","at_ms":5,"kind":"{kind}","text":"{text}"{body}}}"#))
        };
        refused("transcript", r#"{"title":"t","items":[]}"#, "items");
        refused("transcript", &of(&["{}"; 3].join(",")), "items[0]");
        refused("transcript", &of(r#"["7","Ann",5,"text","hi",null]"#), "items[0]");
        refused("transcript", &item("text", "", ""), "items[0].text");
        refused("transcript", &item("text", "hi", r#","body":{}"#), "items[0].body");
        refused("transcript", &item("image", "", ""), "items[0].body");
        let image = format!(r#","body":{}"#, IMAGE.replace(":3", ":0"));
        refused("transcript", &item("image", "", &image), "items[0].body.width");
        let mut deep = item("text", "hi", "");
        for _ in 1..TRANSCRIPT_DEPTH {
            deep = item("transcript", "", &format!(r#","body":{deep}"#));
        }
        assert_eq!(check("transcript", deep.as_bytes()), Ok(()));
        let deeper = item("transcript", "", &format!(r#","body":{deep}"#));
        assert!(check("transcript", deeper.as_bytes()).unwrap_err().right.contains("4 deep"));
    }
}
