//! One row for each request frame: how it is asked of a conversation, and its name. The match is exhaustive, so
//! that a frame without a name does not compile; a run fails unless each has one row.

use std::collections::BTreeSet;

use anser_proto::v1::{self, client_frame::Request};
use anyhow::Context as _;
use bytes::Bytes;

use super::actors::{LATE, RENAMED};
use super::scene::{Scene, at, text};

/// Whom requests name.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// A member other than the asker.
    pub member: u64,
    /// Somebody who is in no conversation.
    pub guest: u64,
}

impl Named {
    /// For a list of requests that nobody asks.
    pub const NOBODY: Named = Named { member: 0, guest: 0 };
}

/// One of each request about a conversation, and one of each that is about the asker, each under an id of its own.
pub fn requests(cid: &Bytes, scene: &Scene, named: Named, mut id: impl FnMut() -> Bytes) -> Vec<Request> {
    let (seq, timeline, member) = (scene.early, scene.timeline, named.member);
    let words = format!("{LATE}{} of the cell", scene.number);
    let cid = || cid.clone();
    vec![
        Request::Hello(v1::Hello::default()),
        Request::Ping(v1::Ping {}),
        Request::Sync(v1::Sync { cursor: None }),
        Request::Send(v1::Send { to: Some(at(&cid())), client_id: id(), message: Some(text(words)) }),
        Request::ReadUpTo(v1::ReadUpTo { r#in: Some(at(&cid())), seq: scene.newest, timeline }),
        Request::DeliveredUpTo(v1::DeliveredUpTo { r#in: Some(at(&cid())), seq, timeline }),
        Request::MarkUnread(v1::MarkUnread { r#in: Some(at(&cid())), marked: true }),
        Request::Hide(v1::Hide {
            r#in: Some(at(&cid())),
            ranges: vec![v1::SeqRange { low: seq, high: seq }],
            timeline,
        }),
        Request::ClearHistory(v1::ClearHistory { r#in: Some(at(&cid())), seq, timeline }),
        Request::CreateGroup(v1::CreateGroup {
            client_id: id(),
            title: "a group of one's own".to_owned(),
            ..v1::CreateGroup::default()
        }),
        Request::AddMembers(v1::AddMembers { cid: cid(), client_id: id(), members: vec![named.guest] }),
        Request::RemoveMember(v1::RemoveMember { cid: cid(), client_id: id(), member }),
        Request::Leave(v1::Leave { cid: cid(), client_id: id() }),
        Request::SetRole(v1::SetRole { cid: cid(), client_id: id(), member, role: v1::Role::Admin as i32 }),
        Request::Rename(v1::Rename { cid: cid(), client_id: id(), title: format!("{RENAMED}again") }),
        Request::SetAvatar(v1::SetAvatar { cid: cid(), client_id: id(), avatar: "picture".to_owned() }),
        Request::SetHistoryVisible(v1::SetHistoryVisible { cid: cid(), client_id: id(), visible: true }),
        Request::Dissolve(v1::Dissolve { cid: cid(), client_id: id() }),
        Request::Recall(v1::Recall { r#in: Some(at(&cid())), client_id: id(), seq, timeline }),
        Request::Edit(v1::Edit {
            r#in: Some(at(&cid())),
            client_id: id(),
            seq,
            timeline,
            message: Some(text("something else".to_owned())),
        }),
        Request::GetVersions(v1::GetVersions { r#in: Some(at(&cid())), seq: scene.draft }),
        Request::GetPage(v1::GetPage { r#in: Some(at(&cid())), limit: 200, ..v1::GetPage::default() }),
        Request::GetMembers(v1::GetMembers { cid: cid() }),
        Request::GetMarks(v1::GetMarks { r#in: Some(at(&cid())) }),
        Request::Typing(v1::Typing { r#in: Some(at(&cid())) }),
        Request::Watch(v1::Watch { r#in: Some(at(&cid())), accounts: vec![member, named.guest] }),
        Request::GetProfiles(v1::GetProfiles { accounts: vec![member] }),
        Request::GetConversations(v1::GetConversations { cids: vec![cid()] }),
    ]
}

/// The name of a request, as the schema has it.
pub fn name(request: &Request) -> &'static str {
    match request {
        Request::Hello(_) => "hello",
        Request::Ping(_) => "ping",
        Request::Sync(_) => "sync",
        Request::Send(_) => "send",
        Request::ReadUpTo(_) => "read_up_to",
        Request::DeliveredUpTo(_) => "delivered_up_to",
        Request::MarkUnread(_) => "mark_unread",
        Request::Hide(_) => "hide",
        Request::ClearHistory(_) => "clear_history",
        Request::CreateGroup(_) => "create_group",
        Request::AddMembers(_) => "add_members",
        Request::RemoveMember(_) => "remove_member",
        Request::Leave(_) => "leave",
        Request::SetRole(_) => "set_role",
        Request::Rename(_) => "rename",
        Request::SetAvatar(_) => "set_avatar",
        Request::SetHistoryVisible(_) => "set_history_visible",
        Request::Dissolve(_) => "dissolve",
        Request::Recall(_) => "recall",
        Request::Edit(_) => "edit",
        Request::GetVersions(_) => "get_versions",
        Request::GetPage(_) => "get_page",
        Request::GetMembers(_) => "get_members",
        Request::GetMarks(_) => "get_marks",
        Request::Typing(_) => "typing",
        Request::Watch(_) => "watch",
        Request::GetProfiles(_) => "get_profiles",
        Request::GetConversations(_) => "get_conversations",
    }
}

/// Names of all rows.
#[cfg(test)]
pub fn names() -> Vec<&'static str> {
    let nothing = Bytes::from_static(&[0; 16]);
    let requests = requests(&nothing, &Scene::nowhere(), Named::NOBODY, || nothing.clone());
    requests.iter().map(name).collect()
}

/// Fails unless each request of the schema has exactly one row.
///
/// # Errors
/// One has none, or two.
pub fn every_request_has_a_row(requests: &[Request]) -> anyhow::Result<()> {
    let schema = include_str!("../../../anser-proto/schema/anser/v1/client.proto");
    let (_, list) = schema.split_once("oneof request {").context("the schema lists requests")?;
    let (list, _) = list.split_once('}').context("the list ends")?;
    let mut missing: BTreeSet<&str> =
        list.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    for request in requests {
        let name = name(request);
        anyhow::ensure!(missing.remove(name), "{name} has two rows, or is not in the schema");
    }
    anyhow::ensure!(missing.is_empty(), "no row in the matrix: {missing:?}");
    Ok(())
}
