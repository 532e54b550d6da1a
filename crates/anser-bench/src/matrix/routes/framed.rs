//! Operations that do what a frame does: the same request, said in HTTP, is expected to be answered alike.

use anser_proto::v1::{self, client_frame::Request, target::Target};
use bytes::Bytes;
use serde_json::{Value, json};

use super::super::actors::{Actor, Asker, Kind};
use super::super::answers::{self, Expected};
use super::super::cells::clipping;
use super::super::frames::{self, Named};
use super::super::http::{Ask, HttpAnswer};
use super::super::scene::Scene;
use super::super::stage::Stage;
use super::{Cell, Door};

/// A request as an operation with its id; none where there is no such operation. The match is exhaustive, so that
/// a frame about which nothing is said here does not compile.
pub fn over_http(request: &Request) -> Option<(&'static str, Ask)> {
    Some(match request {
        // Of sockets alone.
        Request::Hello(_) | Request::Ping(_) => return None,
        Request::Sync(_) => ("sync", Ask::post("/sync", json!({}))),
        Request::Send(it) => {
            let body = json!({"client_id": uuid(&it.client_id), "message": message(it.message.as_ref())});
            ("sendMessage", Ask::post(within(it.to.as_ref(), "/messages"), body))
        }
        Request::ReadUpTo(it) => {
            let body = json!({"seq": it.seq, "timeline": it.timeline.to_string()});
            ("markRead", Ask::put(within(it.r#in.as_ref(), "/read"), body))
        }
        Request::DeliveredUpTo(it) => {
            let body = json!({"seq": it.seq, "timeline": it.timeline.to_string()});
            ("markDelivered", Ask::put(within(it.r#in.as_ref(), "/delivered"), body))
        }
        Request::MarkUnread(it) => {
            ("markUnread", Ask::put(within(it.r#in.as_ref(), "/unread"), json!({"marked": it.marked})))
        }
        Request::Hide(it) => {
            let range = |range: &v1::SeqRange| json!({"low": range.low, "high": range.high});
            let ranges = it.ranges.iter().map(range).collect::<Value>();
            let body = json!({"ranges": ranges, "timeline": it.timeline.to_string()});
            ("hideMessages", Ask::post(within(it.r#in.as_ref(), "/hide"), body))
        }
        Request::ClearHistory(it) => {
            let body = json!({"seq": it.seq, "timeline": it.timeline.to_string()});
            ("clearHistory", Ask::post(within(it.r#in.as_ref(), "/clear"), body))
        }
        Request::CreateGroup(it) => {
            let body = json!({"client_id": uuid(&it.client_id), "title": it.title});
            ("createGroup", Ask::post("/conversations", body))
        }
        Request::Recall(it) => {
            let body = json!({"client_id": uuid(&it.client_id), "timeline": it.timeline.to_string()});
            let path = within(it.r#in.as_ref(), &format!("/messages/{}/recall", it.seq));
            ("recallMessage", Ask::post(path, body))
        }
        Request::Edit(it) => {
            let (id, message) = (uuid(&it.client_id), message(it.message.as_ref()));
            let body = json!({"client_id": id, "timeline": it.timeline.to_string(), "message": message});
            ("editMessage", Ask::put(within(it.r#in.as_ref(), &format!("/messages/{}", it.seq)), body))
        }
        Request::GetVersions(it) => {
            let path = within(it.r#in.as_ref(), &format!("/messages/{}/versions", it.seq));
            ("listVersions", Ask::get(path))
        }
        Request::GetPage(it) => {
            let path = within(it.r#in.as_ref(), &format!("/messages?limit={}", it.limit));
            ("listMessages", Ask::get(path))
        }
        Request::GetMembers(it) => ("listMembers", Ask::get(below(&it.cid, "/members"))),
        Request::GetMarks(it) => ("listMarks", Ask::get(within(it.r#in.as_ref(), "/marks"))),
        Request::Typing(it) => ("typing", Ask::act(within(it.r#in.as_ref(), "/typing"))),
        Request::Watch(it) => {
            let path = within(it.r#in.as_ref(), &format!("/presence?accounts={}", listed(&it.accounts)));
            ("listPresence", Ask::get(path))
        }
        Request::GetProfiles(it) => {
            ("listProfiles", Ask::get(format!("/profiles?accounts={}", listed(&it.accounts))))
        }
        Request::GetConversations(it) => {
            ("getConversation", Ask::get(below(it.cids.first().unwrap_or(&Bytes::new()), "")))
        }
        Request::AddMembers(_)
        | Request::RemoveMember(_)
        | Request::Leave(_)
        | Request::SetRole(_)
        | Request::Rename(_)
        | Request::SetAvatar(_)
        | Request::SetHistoryVisible(_)
        | Request::Dissolve(_) => return of_a_group(request),
    })
}

fn of_a_group(request: &Request) -> Option<(&'static str, Ask)> {
    Some(match request {
        Request::AddMembers(it) => {
            let members = it.members.iter().map(u64::to_string).collect::<Value>();
            let body = json!({"client_id": uuid(&it.client_id), "members": members});
            ("addMembers", Ask::post(below(&it.cid, "/members"), body))
        }
        Request::RemoveMember(it) => {
            let query = format!("/members/{}?client_id={}", it.member, uuid(&it.client_id));
            ("removeMember", Ask::delete(below(&it.cid, &query)))
        }
        Request::Leave(it) => ("leaveGroup", Ask::post(below(&it.cid, "/leave"), only(&it.client_id))),
        Request::SetRole(it) => {
            let body = json!({"client_id": uuid(&it.client_id), "role": "admin"});
            ("setRole", Ask::put(below(&it.cid, &format!("/members/{}/role", it.member)), body))
        }
        Request::Rename(it) => {
            let body = json!({"client_id": uuid(&it.client_id), "title": it.title});
            ("renameGroup", Ask::put(below(&it.cid, "/title"), body))
        }
        Request::SetAvatar(it) => {
            let body = json!({"client_id": uuid(&it.client_id), "avatar": it.avatar});
            ("setGroupAvatar", Ask::put(below(&it.cid, "/avatar"), body))
        }
        Request::SetHistoryVisible(it) => {
            let body = json!({"client_id": uuid(&it.client_id), "visible": it.visible});
            ("setHistoryVisible", Ask::put(below(&it.cid, "/history-visible"), body))
        }
        Request::Dissolve(it) => {
            ("dissolveGroup", Ask::post(below(&it.cid, "/dissolve"), only(&it.client_id)))
        }
        _ => return None,
    })
}

/// Every such operation.
pub fn operations() -> Vec<&'static str> {
    let nothing = Bytes::from_static(&[0; 16]);
    let requests = frames::requests(&nothing, &Scene::nowhere(), Named::NOBODY, || nothing.clone());
    requests.iter().filter_map(over_http).map(|(operation, _)| operation).collect()
}

/// The operation of one request, of every kind of conversation, by every person.
pub fn cells(stage: &mut Stage<'_>, row: usize, statuses: &[u16]) -> anyhow::Result<()> {
    for kind in Kind::ALL {
        for &actor in kind.askers() {
            cell(stage, (kind, actor), row, statuses)?;
        }
    }
    Ok(())
}

fn cell(
    stage: &mut Stage<'_>,
    (kind, actor): (Kind, Actor),
    row: usize,
    statuses: &[u16],
) -> anyhow::Result<()> {
    let scene = stage.set(kind)?;
    let request = stage.requests(&scene.cid, &scene, actor).swap_remove(row);
    let nowhere = stage.nowhere();
    let of_nothing = stage.requests(&nowhere, &scene, actor).swap_remove(row);
    let (Some((operation, ask)), Some((_, nothing))) = (over_http(&request), over_http(&of_nothing)) else {
        return Ok(());
    };
    let expected = answers::expected(&request, kind, actor);
    let mut cell = Cell::new(stage, operation, Asker::Person(actor), Door::Token, statuses);
    cell.audience = answers::audience(&request, kind, &expected);
    cell.scene = Some(scene.clone());
    let answer = cell.expects(&ask, &expected, nothing)?;
    let is_shown = matches!(expected, Expected::Shows(_) | Expected::Clipped(_));
    if operation == "listMessages" && is_shown {
        let (seqs, withheld) = page_of(&answer);
        if let Some(why) = clipping(&scene, kind.seat(actor), &seqs, &withheld) {
            cell.fault(&why);
        }
    }
    Ok(())
}

/// The seqs of a page, and those that do not say what they say.
fn page_of(answer: &HttpAnswer) -> (Vec<u64>, Vec<u64>) {
    let page = answer.json();
    let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let seq = |event: &Value| event["seq"].as_u64();
    let is_withheld = |event: &&Value| event["change"]["message"]["withheld"] == true;
    (events.iter().filter_map(seq).collect(), events.iter().filter(is_withheld).filter_map(seq).collect())
}

fn within(target: Option<&v1::Target>, below_it: &str) -> String {
    match target.and_then(|target| target.target.as_ref()) {
        Some(Target::Cid(cid)) => below(cid, below_it),
        Some(Target::Peer(peer)) => format!("/conversations/with-{peer}{below_it}"),
        None => String::new(),
    }
}

fn listed(accounts: &[u64]) -> String {
    accounts.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn below(cid: &[u8], path: &str) -> String {
    format!("/conversations/{}{path}", hex(cid))
}

/// Bytes as the API writes the ids of conversations.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A client id as the API writes it.
pub fn uuid(bytes: &[u8]) -> String {
    let hex = hex(bytes);
    let part = |low: usize, high: usize| hex.get(low..high).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

fn only(client_id: &[u8]) -> Value {
    json!({"client_id": uuid(client_id)})
}

fn message(message: Option<&v1::Message>) -> Value {
    message.map_or(Value::Null, |message| json!({"kind": message.kind, "text": message.text}))
}
