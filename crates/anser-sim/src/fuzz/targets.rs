//! The decoders, each with its corpus and with what must hold of what it reads.

use std::fmt::Debug;

use anser_client::ServerAddress;
use anser_client::store::FileStore;
use anser_core::ports::index::{ConversationRow, MemberRow};
use anser_core::record::{RECORD_HEADER_BYTES, Record};
use anser_core::rows::{conversation_row, member_from, member_row, shared_from};
use anser_core::storage::{decode_fact, encode_fact, encode_slot_fact, push_fact, split_facts};
use anser_edge::convert::{Wanted, wanted};
use anser_model::limits::{
    AVATAR_BYTES, FRAME_BYTES, HIDDEN_RANGES_PER_COMMAND, MEMBERS_PER_COMMAND, MESSAGE_BODY_BYTES,
    MESSAGE_TEXT_BYTES, TITLE_BYTES,
};
use anser_model::{AccountId, Actor, ClientId, ConversationId, DeviceId, Fact, Intent, N, Slot};
use anser_proto::{Encoding, bodies, decode_client, decode_server, encode_client, encode_server, wire};
use bytes::Bytes;

use super::{corpus, log_folder};
use crate::chance::Chance;

/// Bytes of an input of storage at most.
const STORED_BYTES: usize = 64 * 1024;
/// Bytes of a text that a person types at most.
const TYPED_BYTES: usize = 4 * 1024;

/// A decoder.
#[derive(Debug)]
pub struct Target {
    /// Its name on a command line.
    pub name: &'static str,
    /// Its share of the executions.
    pub weight: u64,
    /// Bytes of its inputs at most: a little above what the decoder is ever given.
    pub limit_bytes: usize,
    /// What is well formed.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Makes damage reach what lies behind a checksum.
    pub mend: fn(&mut Chance, &mut [u8]),
    /// Whether it reads an input; what must not happen.
    pub check: fn(&[u8]) -> Result<bool, String>,
}

/// The target of that name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

const PLAIN: Target = Target {
    name: "",
    weight: 100,
    limit_bytes: STORED_BYTES,
    corpus: Vec::new,
    mend: |_, _| {},
    check: |_| Ok(false),
};
const FRAME: Target = Target { limit_bytes: FRAME_BYTES + 1, ..PLAIN };

/// Every decoder of the crates below the server. (Those of the server, WebSocket frames and tokens,
/// are fuzzed in its own tests.)
pub static TARGETS: &[Target] = &[
    Target {
        name: "log-folder",
        weight: 2,
        limit_bytes: 64,
        corpus: log_folder::corpus,
        check: log_folder::check,
        ..PLAIN
    },
    Target { name: "client-binary", corpus: corpus::client_binary, check: client_binary, ..FRAME },
    Target { name: "client-json", corpus: corpus::client_json, check: client_json, ..FRAME },
    Target { name: "server-binary", corpus: corpus::server_binary, check: server_binary, ..FRAME },
    Target { name: "server-json", weight: 40, corpus: corpus::server_json, check: server_json, ..FRAME },
    Target { name: "request", corpus: corpus::client_binary, check: request, ..FRAME },
    Target { name: "bodies", corpus: corpus::bodies, check: body, ..PLAIN },
    Target { name: "ids", limit_bytes: TYPED_BYTES, corpus: corpus::ids, check: ids, ..PLAIN },
    Target { name: "fact", corpus: corpus::facts, check: fact, ..PLAIN },
    Target {
        name: "payload",
        weight: 20,
        limit_bytes: 8 * 1024,
        corpus: corpus::payloads,
        check: payload,
        ..PLAIN
    },
    Target { name: "record", corpus: corpus::records, mend: mend_record, check: record, ..PLAIN },
    Target { name: "conversation-row", corpus: corpus::conversation_rows, check: shared, ..PLAIN },
    Target { name: "member-row", corpus: corpus::member_rows, check: member, ..PLAIN },
    Target { name: "client-store", weight: 10, corpus: corpus::store_files, check: store, ..PLAIN },
    Target { name: "address", limit_bytes: TYPED_BYTES, corpus: corpus::addresses, check: address, ..PLAIN },
];

fn same<T: PartialEq + Debug>(what: &str, again: T, first: T) -> Result<(), String> {
    if again == first { Ok(()) } else { Err(format!("{what}: read {first:?}, read back {again:?}")) }
}

macro_rules! frame_checks {
    ($of_encoding:ident, $binary:ident, $json:ident, $decode:ident, $encode:ident) => {
        fn $of_encoding(input: &[u8], encoding: Encoding) -> Result<bool, String> {
            let Ok(frame) = $decode(input, encoding) else { return Ok(false) };
            let binary = $encode(&frame, Encoding::Binary);
            let json = $encode(&frame, Encoding::Json);
            // The binary form may come out longer than a peer would take it; then it is refused.
            if let Ok(again) = $decode(&binary, Encoding::Binary) {
                same("binary", again, frame)?;
            }
            // Values of enums that this version does not know become "unspecified" in JSON: so once.
            if let Ok(known) = $decode(&json, Encoding::Json) {
                let json = $encode(&known, Encoding::Json);
                let again = $decode(&json, Encoding::Json).map_err(|error| format!("JSON again: {error}"))?;
                same("JSON", again, known)?;
            } else if json.len() <= FRAME_BYTES {
                return Err("its JSON form is not read".into());
            }
            Ok(true)
        }

        fn $binary(input: &[u8]) -> Result<bool, String> {
            $of_encoding(input, Encoding::Binary)
        }

        fn $json(input: &[u8]) -> Result<bool, String> {
            $of_encoding(input, Encoding::Json)
        }
    };
}

frame_checks!(client_frame, client_binary, client_json, decode_client, encode_client);
frame_checks!(server_frame, server_binary, server_json, decode_server, encode_server);

/// A kind, a line end, and a body. What is read as a standard kind is an object to any reader of JSON.
fn body(input: &[u8]) -> Result<bool, String> {
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(false) };
    let (kind, body) = (String::from_utf8_lossy(&input[..end]), &input[end + 1..]);
    if bodies::check(&kind, body).is_err() {
        return Ok(false);
    }
    let flat = ["image", "file", "voice", "video", "location", "card"].contains(&&*kind);
    match serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(body) {
        Err(error) if flat => Err(format!("a body that is no object got through: {error}")),
        _ => Ok(true),
    }
}

fn request(input: &[u8]) -> Result<bool, String> {
    let Ok(frame) = decode_client(input, Encoding::Binary) else { return Ok(false) };
    let Some(request) = frame.request else { return Ok(false) };
    let actor = Actor { account: AccountId(7), device: DeviceId(1), profile_version: 1 };
    let Ok(wanted) = wanted(actor, request) else { return Ok(false) };
    let Wanted::Command(command) = wanted else { return Ok(true) };
    let within = match &command.intent {
        Intent::Send(message) | Intent::Edit { message, .. } => {
            message.text.len() <= MESSAGE_TEXT_BYTES
                && message.body.len() <= MESSAGE_BODY_BYTES
                && message.reply_to.is_none_or(|seq| seq.0 > 0)
        }
        Intent::CreateGroup { title, members, avatar, .. } => {
            title.len() <= TITLE_BYTES && members.len() <= MEMBERS_PER_COMMAND && avatar.len() <= AVATAR_BYTES
        }
        Intent::SetAvatar(avatar) => avatar.len() <= AVATAR_BYTES,
        Intent::Hide { ranges, .. } => !ranges.is_empty() && ranges.len() <= HIDDEN_RANGES_PER_COMMAND,
        Intent::AddMembers(members) => members.len() <= MEMBERS_PER_COMMAND,
        Intent::Rename(title) => title.len() <= TITLE_BYTES,
        Intent::Recall { .. }
        | Intent::ReadUpTo { .. }
        | Intent::DeliveredUpTo { .. }
        | Intent::MarkUnread(_)
        | Intent::ClearHistory { .. }
        | Intent::SetHistoryVisible(_)
        | Intent::Dissolve
        | Intent::RemoveMember(_)
        | Intent::Leave
        | Intent::SetRole { .. } => true,
        Intent::Enter(_) | Intent::RaiseCredentials { .. } => false,
    };
    let named = command.peer.is_none_or(|peer| match peer == actor.account {
        true => command.cid == ConversationId::of_self(peer),
        false => command.cid == ConversationId::direct(actor.account, peer),
    });
    if within && named && command.actor == actor { Ok(true) } else { Err(format!("{command:?} got through")) }
}

fn ids(input: &[u8]) -> Result<bool, String> {
    let mut read = false;
    if let Ok(cid) = wire::cid(input) {
        same("conversation id", wire::cid_bytes(cid).as_ref(), input)?;
        same("conversation id as text", cid.to_string().parse(), Ok(cid))?;
        read = true;
    }
    if let Ok(id) = wire::client_id(input) {
        same("client id", ClientId::from_bytes(&wire::client_id_bytes(id)), Ok(id))?;
        let _ = (id.minted_at(), id.to_string());
        read = true;
    }
    if let Some(number) = input.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))
        && let Ok(slot) = wire::slot(number)
    {
        same("slot", u32::from(slot.0), number)?;
    }
    if let Some(cid) = std::str::from_utf8(input).ok().and_then(|text| text.parse::<ConversationId>().ok()) {
        same("text", cid.to_string().parse(), Ok(cid))?;
        read = true;
    }
    Ok(read)
}

fn fact(input: &[u8]) -> Result<bool, String> {
    let Ok(fact) = decode_fact(&Bytes::copy_from_slice(input)) else { return Ok(false) };
    let encoded = match &fact {
        Fact::Conversation(fact) => encode_fact(fact),
        Fact::Slot(fact) => encode_slot_fact(fact),
    };
    same("fact", decode_fact(&encoded), Ok(fact))?;
    Ok(true)
}

fn payload(input: &[u8]) -> Result<bool, String> {
    let Ok(facts) = split_facts(&Bytes::copy_from_slice(input)) else { return Ok(false) };
    let mut payload = Vec::new();
    facts.iter().for_each(|fact| push_fact(&mut payload, fact));
    same("payload", split_facts(&payload.into()), Ok(facts))?;
    Ok(true)
}

/// Half of the damaged records get a checksum that fits, or nothing behind it would be looked at.
fn mend_record(chance: &mut Chance, bytes: &mut [u8]) {
    let checked = 4..8;
    if bytes.len() < RECORD_HEADER_BYTES || chance.happens(1, 2) {
        return;
    }
    let length = u32::from_le_bytes([bytes[44], bytes[45], bytes[46], bytes[47]]) as usize;
    let end = RECORD_HEADER_BYTES.saturating_add(length).min(bytes.len());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..checked.start]), &bytes[checked.end..end]);
    bytes[checked].copy_from_slice(&sum.to_le_bytes());
}

fn record(input: &[u8]) -> Result<bool, String> {
    let Ok((record, length)) = Record::decode(&Bytes::copy_from_slice(input)) else { return Ok(false) };
    let mut again = Vec::new();
    record.encode_into(&mut again);
    same("record", again.as_slice(), &input[..length])?;
    let _ = record.header.last_n();
    Ok(true)
}

fn shared(input: &[u8]) -> Result<bool, String> {
    let state = Bytes::copy_from_slice(input);
    let row = ConversationRow { cid: ConversationId([7; 16]), n_shared: N(2), n_receipts: N(1), state };
    let Ok(shared) = shared_from(Slot(3), &row) else { return Ok(false) };
    same("row", shared_from(Slot(3), &conversation_row(&shared)), Ok(shared))?;
    Ok(true)
}

fn member(input: &[u8]) -> Result<bool, String> {
    let Some((present, state)) = input.split_first() else { return Ok(false) };
    let (cid, account) = (ConversationId([7; 16]), AccountId(7));
    let state = Bytes::copy_from_slice(state);
    let row = MemberRow { cid, account, n: N(2), present: *present == 1, state };
    let Ok(member) = member_from(Slot(3), &row) else { return Ok(false) };
    same("row", member_from(Slot(3), &member_row(cid, account, &member)), Ok(member))?;
    Ok(true)
}

/// The first byte says which of the two files it is.
fn store(input: &[u8]) -> Result<bool, String> {
    let Some((file, content)) = input.split_first() else { return Ok(false) };
    let read = match file {
        b's' => FileStore::decode(Some(content), None),
        _ => FileStore::decode(None, Some(content)),
    };
    let Ok(saved) = read else { return Ok(false) };
    for entry in &saved.outbox {
        let named = entry.frame.client_id().map(|id| wire::client_id(id));
        same("client id of an entry", named, Some(Ok(entry.client_id)))?;
    }
    Ok(true)
}

fn address(input: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(false) };
    let Ok(address) = text.parse::<ServerAddress>() else { return Ok(false) };
    same("address", address.to_string().parse(), Ok(address.clone()))?;
    same("its URL", address.socket_url().parse(), Ok(address))?;
    Ok(true)
}
