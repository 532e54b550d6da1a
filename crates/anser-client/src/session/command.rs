//! What an application asks of the session: commands, which go through the outbox, and questions.

use anser_model::{AccountId, ClientId, ConversationId, UnixMillis, limits};
use anser_proto::v1::{self, client_frame::Request, target};
use anser_proto::wire;

/// Names one asking of the application; its answer carries the same.
pub type Ticket = u64;

/// Changes something; idempotent by client id, which the session fills in.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Say something.
    Send(v1::Send),
    /// Make a group.
    CreateGroup(v1::CreateGroup),
    /// Bring people in.
    AddMembers(v1::AddMembers),
    /// Put somebody out.
    RemoveMember(v1::RemoveMember),
    /// Go.
    Leave(v1::Leave),
    /// Give a role.
    SetRole(v1::SetRole),
    /// Change the title.
    Rename(v1::Rename),
    /// Take a message back. The timeline is the session's to fill in.
    Recall(v1::Recall),
    /// Say something else in one's own message. The timeline is the session's to fill in.
    Edit(v1::Edit),
    /// Change the picture.
    SetAvatar(v1::SetAvatar),
    /// Decide what newcomers see of the past.
    SetHistoryVisible(v1::SetHistoryVisible),
    /// End it for everybody.
    Dissolve(v1::Dissolve),
}

/// Reads something, or sets something for oneself alone, which is idempotent without an id. Asked again after a
/// lost connection, until it times out. Timelines are the session's to fill in.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// Facts of a conversation.
    Page(v1::GetPage),
    /// Members of a conversation.
    Members(v1::GetMembers),
    /// Profiles of people.
    Profiles(v1::GetProfiles),
    /// Heads of conversations.
    Conversations(v1::GetConversations),
    /// What a message said before it was edited.
    Versions(v1::GetVersions),
    /// How far the members of a conversation have read.
    Marks(v1::GetMarks),
    /// Mark a conversation as unread, or take that away. Answered with `Accepted`.
    MarkUnread(v1::MarkUnread),
    /// Hide facts from oneself. Answered with `Accepted`.
    Hide(v1::Hide),
    /// Clear a conversation for oneself. Answered with `Accepted`.
    ClearHistory(v1::ClearHistory),
    /// Who of a conversation is there. The session asks it by itself; see [`Intent::Watch`].
    Watch(v1::Watch),
    /// Say that one is typing. Answered with `Done`; of no use any more after a few seconds, and then given up.
    Typing(v1::Typing),
}

/// What the session can be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Answered with `Accepted`, once, whatever happens to the connection in between.
    Command(Command),
    /// Move one's own read mark. Only the furthest of a conversation is asked for.
    ReadUpTo {
        /// In which conversation.
        target: v1::Target,
        /// Up to which seq.
        seq: u64,
    },
    /// Answered with what it names.
    Query(Query),
    /// Watch whether these people of a conversation are there, in place of those watched in it before; none: nobody
    /// any more. Kept over reconnects. Answered with `Done` at once; what is known comes as an update.
    Watch {
        /// Through which conversation they are known.
        cid: ConversationId,
        /// Whom, at most 200.
        accounts: Vec<AccountId>,
    },
    /// Try a failed send again, as a new command. Answered like the command.
    Retry(ClientId),
    /// Forget a failed send.
    Discard(ClientId),
}

/// What keeps its order: commands in one lane are sent one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A conversation.
    Conversation(ConversationId),
    /// The direct conversation with somebody, while one's own account is not known.
    Peer(AccountId),
    /// A creation, which depends on nothing.
    Creation(u64),
}

impl Lane {
    /// The lane of a target. None when it names nothing.
    pub fn of_target(target: Option<&v1::Target>, own: Option<AccountId>) -> Option<Lane> {
        match target?.target.as_ref()? {
            target::Target::Cid(cid) => wire::cid(cid).ok().map(Lane::Conversation),
            target::Target::Peer(peer) => Some(Lane::Peer(AccountId(*peer)).settled(own)),
        }
    }

    /// The same lane once one's own account is known.
    pub fn settled(self, own: Option<AccountId>) -> Lane {
        match (self, own) {
            (Lane::Peer(peer), Some(own)) if peer == own => Lane::Conversation(ConversationId::of_self(own)),
            (Lane::Peer(peer), Some(own)) => Lane::Conversation(ConversationId::direct(own, peer)),
            _ => self,
        }
    }
}

impl Command {
    /// The lane it goes in; None when it names no conversation. `order` tells creations apart.
    pub fn lane(&self, own: Option<AccountId>, order: u64) -> Option<Lane> {
        let conversation = |cid: &[u8]| wire::cid(cid).ok().map(Lane::Conversation);
        match self {
            Command::Send(send) => Lane::of_target(send.to.as_ref(), own),
            Command::CreateGroup(_) => Some(Lane::Creation(order)),
            Command::AddMembers(it) => conversation(&it.cid),
            Command::RemoveMember(it) => conversation(&it.cid),
            Command::Leave(it) => conversation(&it.cid),
            Command::SetRole(it) => conversation(&it.cid),
            Command::Rename(it) => conversation(&it.cid),
            Command::Recall(it) => Lane::of_target(it.r#in.as_ref(), own),
            Command::Edit(it) => Lane::of_target(it.r#in.as_ref(), own),
            Command::SetAvatar(it) => conversation(&it.cid),
            Command::SetHistoryVisible(it) => conversation(&it.cid),
            Command::Dissolve(it) => conversation(&it.cid),
        }
    }

    /// Whether it quotes a seq, which belongs to one timeline.
    pub fn names_seq(&self) -> bool {
        match self {
            Command::Send(send) => send.message.as_ref().is_some_and(|message| message.reply_to > 0),
            Command::Recall(_) | Command::Edit(_) => true,
            _ => false,
        }
    }

    /// The request, under a client id.
    pub fn request(&self, client_id: ClientId) -> Request {
        let client_id = wire::client_id_bytes(client_id);
        match self.clone() {
            Command::Send(it) => Request::Send(v1::Send { client_id, ..it }),
            Command::CreateGroup(it) => Request::CreateGroup(v1::CreateGroup { client_id, ..it }),
            Command::AddMembers(it) => Request::AddMembers(v1::AddMembers { client_id, ..it }),
            Command::RemoveMember(it) => Request::RemoveMember(v1::RemoveMember { client_id, ..it }),
            Command::Leave(it) => Request::Leave(v1::Leave { client_id, ..it }),
            Command::SetRole(it) => Request::SetRole(v1::SetRole { client_id, ..it }),
            Command::Rename(it) => Request::Rename(v1::Rename { client_id, ..it }),
            Command::Recall(it) => Request::Recall(v1::Recall { client_id, ..it }),
            Command::Edit(it) => Request::Edit(v1::Edit { client_id, ..it }),
            Command::SetAvatar(it) => Request::SetAvatar(v1::SetAvatar { client_id, ..it }),
            Command::SetHistoryVisible(it) => {
                Request::SetHistoryVisible(v1::SetHistoryVisible { client_id, ..it })
            }
            Command::Dissolve(it) => Request::Dissolve(v1::Dissolve { client_id, ..it }),
        }
    }

    /// The command in a saved request. None for requests that are no commands.
    pub fn from_request(request: Request) -> Option<Command> {
        match request {
            Request::Send(it) => Some(Command::Send(it)),
            Request::CreateGroup(it) => Some(Command::CreateGroup(it)),
            Request::AddMembers(it) => Some(Command::AddMembers(it)),
            Request::RemoveMember(it) => Some(Command::RemoveMember(it)),
            Request::Leave(it) => Some(Command::Leave(it)),
            Request::SetRole(it) => Some(Command::SetRole(it)),
            Request::Rename(it) => Some(Command::Rename(it)),
            Request::Recall(it) => Some(Command::Recall(it)),
            Request::Edit(it) => Some(Command::Edit(it)),
            Request::SetAvatar(it) => Some(Command::SetAvatar(it)),
            Request::SetHistoryVisible(it) => Some(Command::SetHistoryVisible(it)),
            Request::Dissolve(it) => Some(Command::Dissolve(it)),
            _ => None,
        }
    }
}

impl Query {
    /// The request.
    pub fn request(&self) -> Request {
        match self.clone() {
            Query::Page(it) => Request::GetPage(it),
            Query::Members(it) => Request::GetMembers(it),
            Query::Profiles(it) => Request::GetProfiles(it),
            Query::Conversations(it) => Request::GetConversations(it),
            Query::Versions(it) => Request::GetVersions(it),
            Query::Marks(it) => Request::GetMarks(it),
            Query::MarkUnread(it) => Request::MarkUnread(it),
            Query::Hide(it) => Request::Hide(it),
            Query::ClearHistory(it) => Request::ClearHistory(it),
            Query::Watch(it) => Request::Watch(it),
            Query::Typing(it) => Request::Typing(it),
        }
    }

    /// A seq that it names is of this timeline.
    pub(super) fn fill_in(&mut self, timeline: u64) {
        match self {
            Query::Hide(it) => it.timeline = timeline,
            Query::ClearHistory(it) => it.timeline = timeline,
            _ => {}
        }
    }
}

/// Margin in milliseconds by which a client id that was never written is judged too old or too new, so
/// that it is still accepted when it arrives.
const MINTING_MARGIN_MS: u64 = 60_000;

/// Whether a server whose clock shows `server_now` would refuse a client id minted at `minted_at`.
pub fn needs_minting_anew(minted_at: UnixMillis, server_now: UnixMillis) -> bool {
    minted_at > server_now.plus_ms(limits::CLIENT_ID_FUTURE_MS - MINTING_MARGIN_MS)
        || minted_at.plus_ms(limits::CLIENT_ID_ACCEPTED_MS) < server_now.plus_ms(MINTING_MARGIN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_and_its_cid_share_a_lane_once_the_account_is_known() {
        let (own, peer) = (AccountId(1), AccountId(2));
        let by_cid = Lane::of_target(Some(&v1::Target::cid(ConversationId::direct(own, peer))), None);
        let by_peer = Lane::of_target(Some(&v1::Target::peer(peer)), None).unwrap();
        assert_ne!(by_cid, Some(by_peer));
        assert_eq!(by_cid, Some(by_peer.settled(Some(own))));
        let to_self = Lane::of_target(Some(&v1::Target::peer(own)), Some(own));
        assert_eq!(to_self, Some(Lane::Conversation(ConversationId::of_self(own))));
        assert_eq!(Lane::of_target(None, None), None);
    }

    #[test]
    fn ids_outside_the_accepted_window_are_minted_anew() {
        let now = UnixMillis(100 * limits::DAY_MS);
        assert!(!needs_minting_anew(now, now));
        assert!(needs_minting_anew(now.plus_ms(limits::CLIENT_ID_FUTURE_MS), now));
        assert!(needs_minting_anew(now.minus_ms(limits::CLIENT_ID_ACCEPTED_MS), now));
    }
}
