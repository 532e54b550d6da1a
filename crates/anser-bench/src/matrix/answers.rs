//! What each is to be answered, by what it is to the conversation: said by docs/protocol.md, not by the code. The
//! matches are exhaustive, so that a frame without an answer does not compile. Over HTTP the same is expected.

use anser_proto::ErrorCode;
use anser_proto::v1::client_frame::Request;

use super::actors::{Actor, DIRECT, DRAFT, EARLY, Kind, LATE, OWN, RENAMED, REVISED, Seat, TITLE};

/// What an actor is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It takes effect.
    Accepted,
    /// The answer holds these words, and none of the others.
    Shows(Vec<&'static str>),
    /// The same, of less than there is.
    Clipped(Vec<&'static str>),
    /// It is about the asker alone, and answered.
    Own,
    /// By a named error: the asker may know that there is something.
    Refused(ErrorCode),
    /// Byte for byte as if there were nothing.
    AsIfNothing,
}

use Expected::{Accepted, AsIfNothing, Clipped, Own, Refused, Shows};

/// Who hears of something that took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Nobody but the asker.
    Asker,
    /// Who is in the conversation.
    Members,
    /// Who was in it as well: a former member's head is told again when what it holds is void.
    FormerToo,
}

/// Who hears of it, if it is answered as expected.
pub fn audience(request: &Request, kind: Kind, expected: &Expected) -> Audience {
    let is_of_oneself = match request {
        Request::MarkUnread(_) | Request::Hide(_) | Request::ClearHistory(_) => true,
        // Between two it is a receipt.
        Request::ReadUpTo(_) => kind != Kind::Direct,
        Request::Typing(_) => kind == Kind::OfSelf,
        _ => false,
    };
    let takes_effect = *expected == Accepted || matches!((request, expected), (Request::Typing(_), Own));
    match request {
        Request::Recall(_) | Request::Edit(_) if takes_effect => Audience::FormerToo,
        _ if takes_effect && !is_of_oneself => Audience::Members,
        _ => Audience::Asker,
    }
}

/// What an actor is answered who asks this of a conversation.
pub fn expected(request: &Request, kind: Kind, actor: Actor) -> Expected {
    let seat = kind.seat(actor);
    if let Some(own) = of_asker(request) {
        return own;
    }
    match (kind, seat) {
        (_, Seat::Outside) => AsIfNothing,
        (Kind::Group, seat) => in_group(request, seat),
        (Kind::Channel, seat) => in_channel(request, seat),
        (Kind::Direct, seat) => between_two(request, seat),
        (Kind::OfSelf, _) => alone(request),
    }
}

/// What is about no conversation.
fn of_asker(request: &Request) -> Option<Expected> {
    match request {
        Request::Hello(_) => Some(Refused(ErrorCode::HelloRepeated)),
        Request::Ping(_) | Request::Sync(_) | Request::GetProfiles(_) => Some(Own),
        Request::CreateGroup(_) => Some(Accepted),
        Request::Send(_)
        | Request::ReadUpTo(_)
        | Request::DeliveredUpTo(_)
        | Request::MarkUnread(_)
        | Request::Hide(_)
        | Request::ClearHistory(_)
        | Request::AddMembers(_)
        | Request::RemoveMember(_)
        | Request::Leave(_)
        | Request::SetRole(_)
        | Request::Rename(_)
        | Request::SetAvatar(_)
        | Request::SetHistoryVisible(_)
        | Request::Dissolve(_)
        | Request::Recall(_)
        | Request::Edit(_)
        | Request::GetVersions(_)
        | Request::GetPage(_)
        | Request::GetMembers(_)
        | Request::GetMarks(_)
        | Request::Typing(_)
        | Request::Watch(_)
        | Request::GetConversations(_) => None,
    }
}

/// Of a group, to those who are or were in it. The member that requests name is the newcomer, and for the
/// newcomer the member.
fn in_group(request: &Request, seat: Seat) -> Expected {
    // To the owner, to an admin, to anybody else who is there; to a former member.
    let by_role = |owner, deputy, member| match seat {
        Seat::Owner => owner,
        Seat::Deputy => deputy,
        Seat::Former => Refused(ErrorCode::NoLongerMember),
        _ => member,
    };
    let to_all = |answer: Expected| by_role(answer.clone(), answer.clone(), answer);
    let not_allowed = || Refused(ErrorCode::NotAllowed);
    match request {
        Request::Send(_) | Request::Leave(_) | Request::AddMembers(_) => to_all(Accepted),
        Request::Typing(_) | Request::Watch(_) => to_all(Own),
        // To a former member the conversation ends with its removal.
        Request::ReadUpTo(_) if seat == Seat::Former => Refused(ErrorCode::BeyondHead),
        Request::ReadUpTo(_) => Accepted,
        // What came to whom is told between two alone.
        Request::DeliveredUpTo(_) => Refused(ErrorCode::BadValue),
        // One's own view of it also a former member goes on to decide on.
        Request::MarkUnread(_) | Request::Hide(_) | Request::ClearHistory(_) => Accepted,
        Request::SetAvatar(_)
        | Request::SetHistoryVisible(_)
        | Request::RemoveMember(_)
        | Request::Rename(_) => by_role(Accepted, Accepted, not_allowed()),
        Request::SetRole(_) | Request::Dissolve(_) => by_role(Accepted, not_allowed(), not_allowed()),
        // The message lies before it came.
        Request::Recall(_) | Request::Edit(_) if seat == Seat::Newcomer => Refused(ErrorCode::NotFound),
        Request::Recall(_) => by_role(Accepted, Accepted, not_allowed()),
        Request::Edit(_) => by_role(Accepted, not_allowed(), not_allowed()),
        Request::GetVersions(_) => match seat {
            Seat::Newcomer => Refused(ErrorCode::NotFound),
            // It was edited where the former member cannot see: of that nothing is told, not even what it said.
            Seat::Former => Clipped(vec![]),
            _ => Shows(vec![DRAFT]),
        },
        Request::GetMembers(_) | Request::GetMarks(_) => to_all(Shows(vec![])),
        Request::GetPage(_) => match seat {
            Seat::Newcomer => Clipped(vec![LATE]),
            Seat::Former => Clipped(vec![EARLY, TITLE]),
            _ => Shows(vec![EARLY, REVISED, LATE, TITLE, RENAMED]),
        },
        Request::GetConversations(_) => match seat {
            Seat::Former => Clipped(vec![EARLY, TITLE]),
            _ => Shows(vec![LATE, RENAMED]),
        },
        Request::Hello(_)
        | Request::Ping(_)
        | Request::Sync(_)
        | Request::GetProfiles(_)
        | Request::CreateGroup(_) => unreachable!("they are about no conversation"),
    }
}

/// Of a channel: as of a group, but that only its admins and its owner speak, and are told who has read and who is there.
fn in_channel(request: &Request, seat: Seat) -> Expected {
    let is_plain = matches!(seat, Seat::Member | Seat::Newcomer);
    match request {
        Request::Send(_) | Request::Typing(_) | Request::Watch(_) | Request::GetMarks(_) if is_plain => {
            Refused(ErrorCode::NotAllowed)
        }
        _ => in_group(request, seat),
    }
}

/// Of a direct conversation, to one of the two.
fn between_two(request: &Request, seat: Seat) -> Expected {
    match request {
        Request::Send(_)
        | Request::ReadUpTo(_)
        | Request::DeliveredUpTo(_)
        | Request::MarkUnread(_)
        | Request::Hide(_)
        | Request::ClearHistory(_) => Accepted,
        Request::Typing(_) | Request::Watch(_) => Own,
        // One's own, and nobody's else.
        Request::Recall(_) | Request::Edit(_) if seat == Seat::Owner => Accepted,
        Request::Recall(_) | Request::Edit(_) => Refused(ErrorCode::NotAllowed),
        Request::AddMembers(_)
        | Request::RemoveMember(_)
        | Request::Leave(_)
        | Request::SetRole(_)
        | Request::Rename(_)
        | Request::SetAvatar(_)
        | Request::SetHistoryVisible(_)
        | Request::Dissolve(_) => Refused(ErrorCode::BadValue),
        Request::GetVersions(_) | Request::GetMembers(_) | Request::GetMarks(_) => Shows(vec![]),
        Request::GetPage(_) | Request::GetConversations(_) => Shows(vec![DIRECT]),
        Request::Hello(_)
        | Request::Ping(_)
        | Request::Sync(_)
        | Request::GetProfiles(_)
        | Request::CreateGroup(_) => unreachable!("they are about no conversation"),
    }
}

/// Of one's own conversation: as of two, but that nothing is delivered to oneself.
fn alone(request: &Request) -> Expected {
    match request {
        Request::DeliveredUpTo(_) => Refused(ErrorCode::BadValue),
        Request::GetPage(_) | Request::GetConversations(_) => Shows(vec![OWN]),
        _ => between_two(request, Seat::Owner),
    }
}
