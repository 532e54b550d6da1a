//! One row for each request frame: how it is asked, and what each actor is to be answered. The matches are
//! exhaustive, so that a frame without a row does not compile.

use anser_proto::ErrorCode;
use anser_proto::v1::{self, client_frame::Request};
use bytes::Bytes;

use super::line::Line;
use super::scene::{Actor, EARLY, LATE, RENAMED, Scene, TITLE, at, text};

/// What an actor is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It takes effect.
    Accepted,
    /// The answer holds these words, and none of the others.
    Shows(Vec<&'static str>),
    /// It is about the asker alone, and answered.
    Own,
    /// By a named error: the asker may know that there is something.
    Refused(ErrorCode),
    /// Byte for byte as if there were nothing.
    AsIfNothing,
}

/// One of each request about a conversation, and one of each that is about the asker.
pub fn requests(cid: &Bytes, scene: &Scene, third: u64, line: &mut Line) -> Vec<Request> {
    let (seq, timeline) = (scene.early, scene.timeline);
    let words = format!("{LATE}{} of the cell", scene.number);
    let mut id = || line.client_id();
    let cid = || cid.clone();
    vec![
        Request::Hello(v1::Hello::default()),
        Request::Ping(v1::Ping {}),
        Request::Sync(v1::Sync { cursor: None }),
        Request::Send(v1::Send { to: Some(at(&cid())), client_id: id(), message: Some(text(words)) }),
        Request::ReadUpTo(v1::ReadUpTo { r#in: Some(at(&cid())), seq: scene.late, timeline }),
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
        Request::AddMembers(v1::AddMembers { cid: cid(), client_id: id(), members: vec![third] }),
        Request::RemoveMember(v1::RemoveMember { cid: cid(), client_id: id(), member: third }),
        Request::Leave(v1::Leave { cid: cid(), client_id: id() }),
        Request::SetRole(v1::SetRole {
            cid: cid(),
            client_id: id(),
            member: third,
            role: v1::Role::Admin as i32,
        }),
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
        Request::GetVersions(v1::GetVersions { r#in: Some(at(&cid())), seq }),
        Request::GetPage(v1::GetPage { r#in: Some(at(&cid())), limit: 200, ..v1::GetPage::default() }),
        Request::GetMembers(v1::GetMembers { cid: cid() }),
        Request::GetMarks(v1::GetMarks { r#in: Some(at(&cid())) }),
        Request::Typing(v1::Typing { r#in: Some(at(&cid())) }),
        Request::Watch(v1::Watch { r#in: Some(at(&cid())), accounts: vec![third] }),
        Request::GetProfiles(v1::GetProfiles { accounts: vec![third] }),
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

/// What an actor is answered who asks this of the group. `third` of the request is the newcomer for the
/// others, and the member for the newcomer.
pub fn in_group(request: &Request, actor: Actor) -> Expected {
    use Actor::{Former, Member, Newcomer, Owner};
    let by_role = |owner, member| match actor {
        Owner => owner,
        Member | Newcomer => member,
        Former => Expected::Refused(ErrorCode::NoLongerMember),
        _ => Expected::AsIfNothing,
    };
    let refused = Expected::Refused;
    match request {
        Request::Hello(_) => refused(ErrorCode::HelloRepeated),
        Request::Ping(_) | Request::Sync(_) | Request::GetProfiles(_) => Expected::Own,
        Request::CreateGroup(_) => Expected::Accepted,
        Request::Typing(_) | Request::Watch(_) => by_role(Expected::Own, Expected::Own),
        Request::Send(_) | Request::Leave(_) => by_role(Expected::Accepted, Expected::Accepted),
        Request::ReadUpTo(_) => match actor {
            // To a former member the conversation ends with its removal.
            Former => refused(ErrorCode::BeyondHead),
            _ => by_role(Expected::Accepted, Expected::Accepted),
        },
        // What came to whom is told between two alone.
        Request::DeliveredUpTo(_) => match actor {
            Former => refused(ErrorCode::BadValue),
            _ => by_role(refused(ErrorCode::BadValue), refused(ErrorCode::BadValue)),
        },
        // One's own view of it also a former member goes on to decide on.
        Request::MarkUnread(_) | Request::Hide(_) | Request::ClearHistory(_) => match actor {
            Former => Expected::Accepted,
            _ => by_role(Expected::Accepted, Expected::Accepted),
        },
        Request::SetAvatar(_) | Request::SetHistoryVisible(_) | Request::Dissolve(_) => {
            by_role(Expected::Accepted, refused(ErrorCode::NotAllowed))
        }
        Request::AddMembers(_) => {
            by_role(refused(ErrorCode::AlreadyMember), refused(ErrorCode::AlreadyMember))
        }
        Request::RemoveMember(_) | Request::SetRole(_) | Request::Rename(_) => {
            by_role(Expected::Accepted, refused(ErrorCode::NotAllowed))
        }
        // Of a message that was never edited there are no versions, for whoever may see it.
        Request::GetVersions(_) => match actor {
            Newcomer => refused(ErrorCode::NotFound),
            Former => Expected::Shows(vec![]),
            _ => by_role(Expected::Shows(vec![]), Expected::Shows(vec![])),
        },
        Request::Recall(_) | Request::Edit(_) => match actor {
            // The message lies before it came.
            Newcomer => refused(ErrorCode::NotFound),
            _ => by_role(Expected::Accepted, refused(ErrorCode::NotAllowed)),
        },
        Request::GetMembers(_) | Request::GetMarks(_) => {
            by_role(Expected::Shows(vec![]), Expected::Shows(vec![]))
        }
        Request::GetPage(_) => match actor {
            Newcomer => Expected::Shows(vec![LATE]),
            Former => Expected::Shows(vec![EARLY, TITLE]),
            _ => by_role(
                Expected::Shows(vec![EARLY, LATE, TITLE, RENAMED]),
                Expected::Shows(vec![EARLY, LATE, TITLE, RENAMED]),
            ),
        },
        Request::GetConversations(_) => match actor {
            Former => Expected::Shows(vec![EARLY, TITLE]),
            _ => by_role(Expected::Shows(vec![LATE, RENAMED]), Expected::Shows(vec![LATE, RENAMED])),
        },
    }
}
