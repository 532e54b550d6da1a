//! `vectors/*.json`, which every implementation of the protocol must agree with. `ANSER_WRITE=1` fills
//! in the binary form of new vectors; a person writes the JSON form.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use anser_proto::v1::{ClientFrame, ServerFrame};
use anser_proto::{Encoding, FrameError, decode_client, decode_server, encode_client, encode_server, tables};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
struct File<T> {
    about: String,
    vectors: Vec<T>,
}

#[derive(Serialize, Deserialize)]
struct Canonical {
    name: String,
    json: Value,
    #[serde(default)]
    binary: String,
}

#[derive(Deserialize)]
struct Odd {
    name: String,
    side: Side,
    encoding: String,
    input: String,
    #[serde(default)]
    frame: Value,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Side {
    Client,
    Server,
}

#[derive(Debug, PartialEq)]
enum Frame {
    Client(ClientFrame),
    Server(ServerFrame),
}

impl Side {
    fn decode(self, bytes: &[u8], encoding: Encoding) -> Result<Frame, FrameError> {
        match self {
            Side::Client => decode_client(bytes, encoding).map(Frame::Client),
            Side::Server => decode_server(bytes, encoding).map(Frame::Server),
        }
    }
}

impl Frame {
    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match self {
            Frame::Client(frame) => encode_client(frame, encoding).to_vec(),
            Frame::Server(frame) => encode_server(frame, encoding).to_vec(),
        }
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> File<T> {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn check_canonical(name: &str, side: Side) {
    let mut file: File<Canonical> = read(name);
    for vector in &mut file.vectors {
        let json = serde_json::to_vec(&vector.json).unwrap();
        let frame =
            side.decode(&json, Encoding::Json).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let binary = frame.encode(Encoding::Binary);
        if std::env::var_os("ANSER_WRITE").is_some() {
            vector.binary = hex(&binary);
        }
        assert_eq!(hex(&binary), vector.binary, "{}", vector.name);
        assert_eq!(side.decode(&unhex(&vector.binary), Encoding::Binary).unwrap(), frame, "{}", vector.name);
        let again: Value = serde_json::from_slice(&frame.encode(Encoding::Json)).unwrap();
        assert_eq!(again, vector.json, "{}", vector.name);
    }
    if std::env::var_os("ANSER_WRITE").is_some() {
        std::fs::write(path(name), serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
    }
}

#[test]
fn canonical_vectors_agree_in_both_directions() {
    check_canonical("client.json", Side::Client);
    check_canonical("server.json", Side::Server);
}

fn odd(name: &str) -> impl Iterator<Item = (Odd, Vec<u8>, Encoding)> {
    read::<Odd>(name)
        .vectors
        .into_iter()
        .map(|vector| match vector.encoding.as_str() {
            "json" => (vector.input.clone().into_bytes(), Encoding::Json, vector),
            "binary" => (unhex(&vector.input), Encoding::Binary, vector),
            other => panic!("{other}"),
        })
        .map(|(bytes, encoding, vector)| (vector, bytes, encoding))
}

#[test]
fn what_is_not_canonical_is_read() {
    for (vector, bytes, encoding) in odd("tolerated.json") {
        let frame =
            vector.side.decode(&bytes, encoding).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let json: Value = serde_json::from_slice(&frame.encode(Encoding::Json)).unwrap();
        assert_eq!(json, vector.frame, "{}", vector.name);
    }
}

#[test]
fn what_is_malformed_is_refused_by_name() {
    for (vector, bytes, encoding) in odd("malformed.json") {
        match vector.side.decode(&bytes, encoding) {
            Ok(frame) => panic!("{}: read as {frame:?}", vector.name),
            Err(error) => assert_eq!(error.code().as_str(), vector.error, "{}", vector.name),
        }
    }
}

/// Marks every field that a JSON form holds, by message and JSON name.
fn mark(message: &str, value: &Value, seen: &mut BTreeSet<(String, String)>) {
    let Some(object) = value.as_object() else { return };
    let Some(doc) = tables::schema().iter().find(|doc| doc.name == message) else { return };
    for (name, value) in object {
        let field = doc.fields.iter().find(|field| field.json == name).expect(name);
        seen.insert((message.to_owned(), name.clone()));
        let kind = field.kind.trim_matches(['[', ']']);
        match value.as_array() {
            Some(values) => values.iter().for_each(|value| mark(kind, value, seen)),
            None => mark(kind, value, seen),
        }
    }
}

#[test]
fn every_field_of_the_schema_has_a_vector() {
    let mut seen = BTreeSet::new();
    for (file, message) in [("client.json", "ClientFrame"), ("server.json", "ServerFrame")] {
        read::<Canonical>(file).vectors.iter().for_each(|vector| mark(message, &vector.json, &mut seen));
    }
    let fields = tables::schema()
        .iter()
        .flat_map(|doc| doc.fields.iter().map(|field| (doc.name.to_owned(), field.json.to_owned())));
    let missing = fields.filter(|field| !seen.contains(field)).collect::<Vec<_>>();
    assert_eq!(missing, []);
}
