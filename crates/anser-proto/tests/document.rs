//! `docs/protocol.md` tells what the code does: its tables are generated, its examples are frames.
//! `ANSER_WRITE=1` rewrites the tables.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use anser_model::limits;
use anser_proto::{CLIENT_FRAME_BYTES, Encoding, JSON_NESTING, SERVER_FRAME_BYTES};
use anser_proto::{decode_client, decode_server, encode_client, encode_server, tables};
use serde_json::Value;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");

fn document() -> String {
    std::fs::read_to_string(PATH).unwrap()
}

#[test]
fn tables_are_up_to_date() {
    let mut current = document();
    let generated =
        [("errors", tables::errors()), ("frames", tables::frames()), ("messages", tables::messages())];
    for (name, table) in generated {
        current = tables::embed(&current, name, &table).unwrap_or_else(|| panic!("no markers for {name}"));
    }
    if std::env::var_os("ANSER_WRITE").is_some() {
        std::fs::write(PATH, &current).unwrap();
    }
    assert!(document() == current, "run this test with ANSER_WRITE=1");
}

#[test]
fn examples_are_canonical_frames() {
    let document = document();
    let mut examples = 0;
    for (fence, is_client) in [("```json client\n", true), ("```json server\n", false)] {
        for block in document.split(fence).skip(1) {
            let json = block.split("```").next().unwrap();
            let again = if is_client {
                encode_client(&decode_client(json.as_bytes(), Encoding::Json).expect(json), Encoding::Json)
            } else {
                encode_server(&decode_server(json.as_bytes(), Encoding::Json).expect(json), Encoding::Json)
            };
            let (written, read): (Value, Value) =
                (serde_json::from_str(json).unwrap(), serde_json::from_slice(&again).unwrap());
            assert_eq!(written, read);
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples}");
}

#[test]
fn limits_are_those_of_the_code() {
    let document = document();
    let rows = [
        format!("| a frame of a client | {} KiB,", CLIENT_FRAME_BYTES / 1024),
        format!("| a frame of a server | {} MiB;", SERVER_FRAME_BYTES / 1024 / 1024),
        format!("| nesting of JSON | {JSON_NESTING} levels |"),
        format!(
            "| {} KiB; {} KiB; {} bytes |",
            limits::MESSAGE_TEXT_BYTES / 1024,
            limits::MESSAGE_BODY_BYTES / 1024,
            limits::MESSAGE_KIND_BYTES
        ),
        format!("| mentions in a message | {} |", limits::MENTIONS_PER_MESSAGE),
        format!("| title of a conversation | {} bytes |", limits::TITLE_BYTES),
        format!("| avatar of a group | {} bytes,", limits::AVATAR_BYTES),
        format!(
            "| ranges in one `hide`; separate hidden runs of a conversation | {}; {} |",
            limits::HIDDEN_RANGES_PER_COMMAND,
            limits::HIDDEN_RANGES
        ),
        format!("| {}; {} |\n| conversations", limits::GROUP_MEMBERS, limits::MEMBERS_PER_COMMAND),
        format!("at once | {}; 200 |", limits::PAGE_MESSAGES),
        format!(
            "| {} days; {} minutes |",
            limits::CLIENT_ID_ACCEPTED_MS / limits::DAY_MS,
            limits::CLIENT_ID_FUTURE_MS / 60_000
        ),
        format!("makes more than {},", limits::OWN_SENDS_KEPT),
    ];
    for row in rows {
        assert!(document.contains(&row), "docs/protocol.md lacks {row:?}");
    }
}
