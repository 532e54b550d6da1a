//! What is well formed: the vectors of the protocol, the golden files of storage, what the model's
//! people said, and what was found before (`corpus/TARGET/*.hex`).

use anser_core::conversation::Conversation;
use anser_core::record::{Record, RecordHeader};
use anser_core::rows::{conversation_row, member_row};
use anser_core::storage::{encode_fact, push_fact};
use anser_model::{N, Reign, Slot, Timeline};
use serde_json::Value;

use super::unhex;
use crate::model::samples;

const CLIENT: &str = include_str!("../../../anser-proto/vectors/client.json");
const SERVER: &str = include_str!("../../../anser-proto/vectors/server.json");
const FACTS: &str = include_str!("../../../anser-core/tests/golden/facts_v1.hex");
const RECORDS: &str = include_str!("../../../anser-core/tests/golden/record-1.hex");
/// Cases of the model that samples are taken from, and every how manyeth fact is one.
const SAMPLED_CASES: u64 = 6;
const SAMPLED_EVERY: usize = 2;
const FACTS_PER_RECORD: usize = 4;

/// What was found before, and must never be again.
pub(super) fn found(target: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| unhex(&std::fs::read_to_string(path).ok()?);
    files.iter().map(|path| read(path).expect("a file of hexadecimal digits")).collect()
}

fn vectors(file: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(file).expect("the vectors are JSON");
    file["vectors"].as_array().expect("a list of vectors").clone()
}

fn binary(file: &str) -> Vec<Vec<u8>> {
    let hex = |vector: &Value| unhex(vector["binary"].as_str().expect("hexadecimal digits"));
    vectors(file).iter().map(|vector| hex(vector).expect("hexadecimal digits")).collect()
}

fn json(file: &str) -> Vec<Vec<u8>> {
    vectors(file).iter().map(|vector| vector["json"].to_string().into_bytes()).collect()
}

pub(super) fn client_binary() -> Vec<Vec<u8>> {
    binary(CLIENT)
}

pub(super) fn client_json() -> Vec<Vec<u8>> {
    json(CLIENT)
}

pub(super) fn bodies() -> Vec<Vec<u8>> {
    let item = r#"{"author":"7","name":"Ann","at_ms":5,"kind":"card","text":"x","body":{"account":"9"}}"#;
    let transcript = format!(r#"{{"title":"t","items":[{item},{item}]}}"#);
    let all = [
        (
            "image",
            r#"{"file":"f","mime":"image/png","bytes":9,"width":3,"height":2,"blurhash":"LEHV6nWB2yk8"}"#,
        ),
        ("file", r#"{"file":"f","mime":"a/b","bytes":1,"name":"a.xls"}"#),
        ("voice", r#"{"file":"f","mime":"audio/ogg","bytes":1,"duration_ms":900,"waveform":[0,255]}"#),
        ("video", r#"{"file":"f","mime":"video/mp4","bytes":1,"duration_ms":1,"width":4,"height":3}"#),
        ("location", r#"{"latitude":31.2,"longitude":-180,"name":"Bund"}"#),
        ("card", r#"{"account":"7","name":"Ben"}"#),
        ("transcript", &transcript),
        ("custom", r#"{"anything":[{"at":"all"}]}"#),
    ];
    all.iter().map(|(kind, body)| format!("{kind}\n{body}").into_bytes()).collect()
}

pub(super) fn server_binary() -> Vec<Vec<u8>> {
    binary(SERVER)
}

pub(super) fn server_json() -> Vec<Vec<u8>> {
    json(SERVER)
}

/// The lines of a golden file, but for those that say something about it.
fn golden(file: &str) -> Vec<Vec<u8>> {
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| unhex(line).expect("hexadecimal digits")).collect()
}

pub(super) fn facts() -> Vec<Vec<u8>> {
    let (facts, _) = samples(1, SAMPLED_CASES);
    let sampled = facts.iter().step_by(SAMPLED_EVERY).map(|fact| encode_fact(fact).to_vec());
    golden(FACTS).into_iter().chain(sampled).collect()
}

pub(super) fn payloads() -> Vec<Vec<u8>> {
    facts()
        .chunks(FACTS_PER_RECORD)
        .map(|facts| {
            let mut payload = Vec::new();
            facts.iter().for_each(|fact| push_fact(&mut payload, fact));
            payload
        })
        .collect()
}

/// Records of one slot, one after another.
pub(super) fn record_chain() -> Vec<Record> {
    let (timeline, slot, reign) = (Timeline(9), Slot(3), Reign(5));
    let mut last = N(0);
    payloads()
        .into_iter()
        .enumerate()
        .map(|(index, payload)| {
            let header = RecordHeader {
                timeline,
                slot,
                reign,
                opens_after: (index == 0).then_some(Reign(0)),
                first_n: last.next(),
                count: FACTS_PER_RECORD as u32,
                must_understand: index % 5 == 1,
            };
            last = header.last_n();
            Record { header, payload: payload.into() }
        })
        .collect()
}

pub(super) fn records() -> Vec<Vec<u8>> {
    let encoded = record_chain().into_iter().map(|record| {
        let mut bytes = Vec::new();
        record.encode_into(&mut bytes);
        bytes
    });
    golden(RECORDS).into_iter().chain(encoded).collect()
}

fn conversations() -> Vec<Conversation> {
    samples(1, SAMPLED_CASES).1
}

pub(super) fn conversation_rows() -> Vec<Vec<u8>> {
    conversations().iter().map(|known| conversation_row(&known.shared).state.to_vec()).collect()
}

/// Rows of members; the first byte says whether it is there now.
pub(super) fn member_rows() -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    for known in conversations() {
        for (&account, member) in &known.members {
            let row = member_row(known.shared.cid, account, member);
            rows.push([&[u8::from(row.present)], row.state.as_ref()].concat());
        }
    }
    rows
}

pub(super) fn store_files() -> Vec<Vec<u8>> {
    let commands: Vec<Value> = vectors(CLIENT)
        .iter()
        .map(|vector| vector["json"].clone())
        .filter(|frame| frame.to_string().contains("clientId"))
        .enumerate()
        .map(|(order, frame)| serde_json::json!({ "order": order, "frame": frame, "written": true, "error": null }))
        .collect();
    let outbox = serde_json::json!({ "format": 1, "entries": commands });
    let heads: Vec<Value> = vectors(SERVER)
        .iter()
        .filter_map(|vector| vector["json"]["syncHeads"]["heads"].as_array().cloned())
        .flatten()
        .collect();
    let state = serde_json::json!({
        "format": 1, "account": 7, "cursor": { "timeline": "7", "slots": [{ "slot": 3, "n": "9" }] },
        "heads": heads, "profiles": [],
    });
    [("s", state), ("o", outbox)].map(|(file, json)| format!("{file}{json}").into_bytes()).into()
}

pub(super) fn addresses() -> Vec<Vec<u8>> {
    let addresses = [
        "localhost:7000",
        "ws://localhost:7000/ws",
        "http://10.0.0.1:7000/",
        "example.org",
        "[::1]:7000",
        "http://[2001:db8::1]",
        "a-b_c.example:65535",
    ];
    addresses.map(|address| address.as_bytes().to_vec()).into()
}

/// Ids as bytes and as text.
pub(super) fn ids() -> Vec<Vec<u8>> {
    let mut ids = vec![b"02bc2e549083fc924897924488722037".to_vec(), vec![7; 16]];
    for fact in golden(FACTS) {
        // Field 1 is a conversation id, field 6 a client id, each of 16 bytes.
        ids.extend(
            fact.windows(18).filter(|at| matches!(at[..2], [0x0a | 0x32, 16])).map(|at| at[2..].to_vec()),
        );
    }
    ids
}
