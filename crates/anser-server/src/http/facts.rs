//! Heads, events and answers as JSON.

use anser_model::limits::{
    AVATAR_BYTES, GROUP_MEMBERS, HIDDEN_RANGES, MEMBERS_PER_COMMAND, MESSAGE_TEXT_BYTES, OWN_SENDS_KEPT,
    PAGE_MESSAGES, TITLE_BYTES, VERSIONS_KEPT,
};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, event::Change, response::Result as Wire};
use anser_proto::{ErrorCode, wire};
use base64::Engine as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::kinds::{BODY_BASE64_CHARS, MessageBody, OPAQUE};
use super::scalars::{Account, CommandId, Conversation, Position, Timeline, Whole};

/// What a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two people.
    Direct,
    /// Many people.
    Group,
    /// As a group, but only admins and the owner write.
    Channel,
    /// One's own: saved messages.
    #[serde(rename = "self")]
    OfSelf,
}

impl Kind {
    fn of(kind: v1::ConversationKind) -> Option<Kind> {
        match kind {
            v1::ConversationKind::Direct => Some(Kind::Direct),
            v1::ConversationKind::Group => Some(Kind::Group),
            v1::ConversationKind::Channel => Some(Kind::Channel),
            v1::ConversationKind::Self_ => Some(Kind::OfSelf),
            v1::ConversationKind::Unspecified => None,
        }
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Manages too.
    Admin,
    /// The one whose group it is.
    Owner,
}

impl Role {
    fn of(role: v1::Role) -> Option<Role> {
        match role {
            v1::Role::Member => Some(Role::Member),
            v1::Role::Admin => Some(Role::Admin),
            v1::Role::Owner => Some(Role::Owner),
            v1::Role::Unspecified => None,
        }
    }

    /// As frames carry it.
    pub fn wire(self) -> v1::Role {
        match self {
            Role::Member => v1::Role::Member,
            Role::Admin => v1::Role::Admin,
            Role::Owner => v1::Role::Owner,
        }
    }
}

/// Enough of a conversation to show it in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HeadBody {
    conversation: Conversation,
    kind: Kind,
    /// Of the newest fact that this head reports: one with a smaller n than known is stale.
    n: Whole,
    /// Of groups.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = TITLE_BYTES))]
    title: String,
    /// Direct: the other one.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Account>,
    /// The seq of the newest thing that the asker may see; 0: nothing yet.
    seq: Whole,
    /// Countable messages up to there.
    ordinal: Whole,
    /// The newest message that the asker may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message: Option<EventBody>,
    /// The asker's own; absent when no longer a member, and then the head tells of the time of the removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// The asker has read so far.
    mark: Whole,
    /// Unread messages are counted from here: ordinal - base_ordinal - own_sends past base_seq.
    base_seq: Whole,
    base_ordinal: Whole,
    /// The asker's own countable messages past the base.
    #[schemars(length(max = OWN_SENDS_KEPT))]
    own_sends: Vec<Position>,
    /// Their ordinals, in the same order.
    #[schemars(length(max = OWN_SENDS_KEPT))]
    own_send_ordinals: Vec<Whole>,
    unread: Whole,
    /// Unread messages of others that mention the asker by name: the newest 64.
    #[schemars(length(max = 64))]
    mentions: Vec<Position>,
    /// The newest unread message of another that mentions everybody; 0: none.
    mention_all_seq: Whole,
    /// Direct: how far the other one has read.
    peer_mark: Whole,
    /// Direct: how far messages have come to devices of the other one.
    peer_delivered: Whole,
    /// The asker marked it as unread, and has not read on since.
    marked_unread: bool,
    /// The asker has cleared everything up to here.
    cleared_seq: Whole,
    /// What the asker has hidden past cleared_seq.
    #[schemars(length(max = HIDDEN_RANGES))]
    hidden: Vec<Range>,
    /// Groups and channels: the picture, as whoever set it named it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = AVATAR_BYTES))]
    avatar: String,
    /// Groups and channels: whether those who join later see what was before.
    history_visible: bool,
    member_count: Whole,
    /// When the newest thing was decided.
    at_ms: Whole,
    /// The first seq that the asker may see.
    first_visible_seq: Whole,
}

/// Something that happened in a conversation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EventBody {
    #[schemars(range(max = 255))]
    slot: u8,
    n: Whole,
    conversation: Conversation,
    at_ms: Whole,
    /// Who did it; absent: the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<Account>,
    /// That of the command that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<CommandId>,
    /// Its position; absent for marks, which have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Position>,
    /// Countable messages up to here.
    ordinal: Whole,
    /// That of the author then: fetch the profile when it is newer than the one known.
    author_profile_version: Whole,
    change: ChangeBody,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChangeBody {
    /// The conversation came to be.
    Created {
        kind: Kind,
        #[schemars(length(max = TITLE_BYTES))]
        title: String,
        /// The first members, without the author.
        #[schemars(length(max = MEMBERS_PER_COMMAND))]
        members: Vec<Account>,
        #[schemars(length(max = AVATAR_BYTES))]
        avatar: String,
        /// Whether those who join later see what was before.
        history_visible: bool,
    },
    /// Somebody said something.
    Message { message: MessageBody },
    /// People joined.
    MembersAdded {
        #[schemars(length(max = MEMBERS_PER_COMMAND))]
        members: Vec<Account>,
    },
    /// Somebody left, or was removed.
    MemberRemoved {
        member: Account,
        /// Went by themselves.
        left: bool,
        /// Owner from now on, when the owner left.
        #[serde(skip_serializing_if = "Option::is_none")]
        new_owner: Option<Account>,
    },
    /// A member has another role.
    RoleSet { member: Account, role: Role },
    /// The group has another title.
    Renamed {
        #[schemars(length(max = TITLE_BYTES))]
        title: String,
    },
    /// A member has read so far.
    MarkMoved { member: Account, seq: Whole, ordinal: Whole },
    /// A message was taken back: what it said must not be shown any more.
    Recalled { seq: Whole },
    /// A message was edited: what it said before must not be shown any more.
    Edited {
        seq: Whole,
        /// The message as it stands from now on. Absent where not everybody who is told may see it: whoever holds
        /// the message asks for its page.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<MessageBody>,
    },
    /// The group or channel ended: nobody is a member any more.
    Dissolved {},
    /// The group or channel has another picture; empty: none.
    AvatarSet {
        #[schemars(length(max = AVATAR_BYTES))]
        avatar: String,
    },
    /// What those who join from now on see of the past.
    HistoryVisibleSet { visible: bool },
    /// Messages have come to a device of somebody.
    DeliveredMoved { member: Account, seq: Whole },
    /// One marked the conversation as unread for oneself, or took that away.
    UnreadMarked { marked: bool },
    /// One hid things from oneself.
    MessagesHidden {
        #[schemars(length(max = HIDDEN_RANGES))]
        ranges: Vec<Range>,
    },
    /// One cleared the conversation for oneself: everything up to here is in no page, and counts as read.
    HistoryCleared { seq: Whole, ordinal: Whole },
    /// Something that this version of the HTTP API has no words for.
    Other {},
}

/// A command took effect.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AcceptedBody {
    conversation: Conversation,
    #[schemars(range(max = 255))]
    slot: u8,
    n: Whole,
    /// Where its fact stands, if it has a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Position>,
    ordinal: Whole,
    at_ms: Whole,
    /// It had taken effect before, under the same client id.
    duplicate: bool,
}

/// A page of a conversation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PageBody {
    conversation: Conversation,
    #[schemars(range(max = 255))]
    slot: u8,
    /// The newest n that this page takes into account.
    n: Whole,
    /// Ascending by seq. One that is missing inside may not be seen by the asker.
    #[schemars(length(max = PAGE_MESSAGES))]
    events: Vec<EventBody>,
    /// More lies beyond on the side that the limit cut.
    more: bool,
}

/// What a message said before it was edited.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionsBody {
    conversation: Conversation,
    #[schemars(range(max = 255))]
    slot: u8,
    seq: Whole,
    /// How often it was edited.
    edits: Whole,
    /// The newest n that this list takes into account.
    n: Whole,
    /// Oldest first; without what it says now, and without what was said where the asker could not see.
    #[schemars(length(max = VERSIONS_KEPT))]
    versions: Vec<VersionBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VersionBody {
    /// From when on it said so.
    at_ms: Whole,
    #[schemars(length(max = MESSAGE_TEXT_BYTES))]
    text: String,
    /// Base64 of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = BODY_BASE64_CHARS))]
    body: Option<String>,
}

/// Everything from one seq to another, both included.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    low: Position,
    high: Position,
}

impl From<v1::SeqRange> for Range {
    fn from(range: v1::SeqRange) -> Self {
        Range { low: Position(range.low), high: Position(range.high) }
    }
}

impl From<Range> for v1::SeqRange {
    fn from(range: Range) -> Self {
        v1::SeqRange { low: range.low.0, high: range.high.0 }
    }
}

/// How far the members of a conversation have read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MarksBody {
    conversation: Conversation,
    #[schemars(range(max = 255))]
    slot: u8,
    /// The newest n that this list takes into account.
    n: Whole,
    /// Present members. Their marks change without a word to the others.
    #[schemars(length(max = GROUP_MEMBERS))]
    marks: Vec<MarkBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MarkBody {
    account: Account,
    /// 0: nothing.
    seq: Whole,
    /// The seq by which its membership began: of what was before, it is not asked whether it has read it.
    joined_seq: Whole,
}

/// Who is in a conversation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MembersBody {
    conversation: Conversation,
    #[schemars(length(max = GROUP_MEMBERS))]
    members: Vec<MemberBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MemberBody {
    account: Account,
    role: Role,
    joined_at_ms: Whole,
}

/// How far a client has come.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CursorBody {
    /// The history that the numbers belong to.
    pub timeline: Timeline,
    /// For each slot, from 0 to 255, the largest n of which everything is there.
    pub slots: super::kinds::SlotNumbers,
}

/// What a poll or a list came upon that no client is shown.
pub fn broken(what: &str) -> ApiError {
    tracing::error!(what, "an answer has another shape than was asked for");
    ApiError::new(ErrorCode::Internal, "a fault of the server, which has been logged")
}

pub fn account(number: u64) -> Option<Account> {
    (number != 0).then_some(Account(AccountId(number)))
}

fn accounts(numbers: Vec<u64>) -> Vec<Account> {
    numbers.into_iter().filter_map(account).collect()
}

fn conversation(cid: &[u8]) -> Conversation {
    Conversation(cid.try_into().map(ConversationId).unwrap_or_default())
}

fn position(seq: u64) -> Option<Position> {
    (seq != 0).then_some(Position(seq))
}

fn slot(number: u32) -> u8 {
    u8::try_from(number).expect("a slot is below 256")
}

fn wholes(numbers: Vec<u64>) -> Vec<Whole> {
    numbers.into_iter().map(Whole).collect()
}

/// A head as JSON; `None` for one that this version has no words for.
pub fn head(head: v1::Head) -> Option<HeadBody> {
    Some(HeadBody {
        conversation: conversation(&head.cid),
        kind: Kind::of(head.kind())?,
        n: Whole(head.n),
        peer: account(head.peer),
        seq: Whole(head.seq),
        ordinal: Whole(head.ordinal),
        role: Role::of(head.role()),
        mark: Whole(head.mark),
        base_seq: Whole(head.base_seq),
        base_ordinal: Whole(head.base_ordinal),
        unread: Whole(head.unread),
        mentions: head.mentions.into_iter().map(Position).collect(),
        mention_all_seq: Whole(head.mention_all_seq),
        peer_mark: Whole(head.peer_mark),
        peer_delivered: Whole(head.peer_delivered),
        marked_unread: head.marked_unread,
        cleared_seq: Whole(head.cleared_seq),
        hidden: head.hidden.into_iter().map(Range::from).collect(),
        avatar: head.avatar,
        history_visible: head.history_visible,
        member_count: Whole(head.member_count.into()),
        at_ms: Whole(head.at_ms),
        first_visible_seq: Whole(head.first_visible_seq),
        title: head.title,
        last_message: head.last_message.map(event),
        own_sends: head.own_sends.into_iter().map(Position).collect(),
        own_send_ordinals: wholes(head.own_send_ordinals),
    })
}

/// An event as JSON.
pub fn event(event: v1::Event) -> EventBody {
    EventBody {
        slot: slot(event.slot),
        n: Whole(event.n),
        conversation: conversation(&event.cid),
        at_ms: Whole(event.at_ms),
        author: account(event.author),
        client_id: wire::client_id(&event.client_id).ok().map(CommandId),
        seq: position(event.seq),
        ordinal: Whole(event.ordinal),
        author_profile_version: Whole(event.author_profile_version),
        change: change(event.change),
    }
}

fn change(change: Option<Change>) -> ChangeBody {
    let member = |number: u64| Account(AccountId(number));
    match change {
        Some(Change::Created(created)) => match Kind::of(created.kind()) {
            Some(kind) => {
                let (members, history_visible) = (accounts(created.members), created.history_visible);
                ChangeBody::Created {
                    kind,
                    title: created.title,
                    members,
                    avatar: created.avatar,
                    history_visible,
                }
            }
            None => ChangeBody::Other {},
        },
        Some(Change::Message(message)) => ChangeBody::Message { message: message.into() },
        Some(Change::MembersAdded(added)) => ChangeBody::MembersAdded { members: accounts(added.members) },
        Some(Change::MemberRemoved(removed)) => ChangeBody::MemberRemoved {
            member: member(removed.member),
            left: removed.left,
            new_owner: account(removed.new_owner),
        },
        Some(Change::RoleSet(set)) => match Role::of(set.role()) {
            Some(role) => ChangeBody::RoleSet { member: member(set.member), role },
            None => ChangeBody::Other {},
        },
        Some(Change::Renamed(renamed)) => ChangeBody::Renamed { title: renamed.title },
        Some(Change::MarkMoved(moved)) => ChangeBody::MarkMoved {
            member: member(moved.member),
            seq: Whole(moved.seq),
            ordinal: Whole(moved.ordinal),
        },
        Some(Change::Recalled(recalled)) => ChangeBody::Recalled { seq: Whole(recalled.seq) },
        Some(Change::Dissolved(_)) => ChangeBody::Dissolved {},
        Some(Change::AvatarSet(set)) => ChangeBody::AvatarSet { avatar: set.avatar },
        Some(Change::HistoryVisibleSet(set)) => ChangeBody::HistoryVisibleSet { visible: set.visible },
        Some(Change::DeliveredMoved(moved)) => {
            ChangeBody::DeliveredMoved { member: member(moved.member), seq: Whole(moved.seq) }
        }
        Some(Change::UnreadMarked(marked)) => ChangeBody::UnreadMarked { marked: marked.marked },
        Some(Change::MessagesHidden(hidden)) => {
            ChangeBody::MessagesHidden { ranges: hidden.ranges.into_iter().map(Range::from).collect() }
        }
        Some(Change::HistoryCleared(cleared)) => {
            ChangeBody::HistoryCleared { seq: Whole(cleared.seq), ordinal: Whole(cleared.ordinal) }
        }
        Some(Change::Edited(edited)) => {
            let message = edited.message.map(MessageBody::from);
            ChangeBody::Edited { seq: Whole(edited.seq), message }
        }
        None => ChangeBody::Other {},
    }
}

/// A command's answer as JSON.
pub fn accepted(answer: Wire) -> Result<AcceptedBody, ApiError> {
    let Wire::Accepted(accepted) = answer else { return Err(broken("a command's")) };
    Ok(AcceptedBody {
        conversation: conversation(&accepted.cid),
        slot: slot(accepted.slot),
        n: Whole(accepted.n),
        seq: position(accepted.seq),
        ordinal: Whole(accepted.ordinal),
        at_ms: Whole(accepted.at_ms),
        duplicate: accepted.duplicate,
    })
}

/// A page as JSON.
pub fn page(answer: Wire) -> Result<PageBody, ApiError> {
    let Wire::Page(page) = answer else { return Err(broken("a page's")) };
    Ok(PageBody {
        conversation: conversation(&page.cid),
        slot: slot(page.slot),
        n: Whole(page.n),
        events: page.events.into_iter().map(event).collect(),
        more: page.more,
    })
}

/// The marks of a conversation as JSON.
pub fn marks(answer: Wire) -> Result<MarksBody, ApiError> {
    let Wire::MarkList(list) = answer else { return Err(broken("a list of marks")) };
    let marks = list.marks.into_iter().filter_map(|mark| {
        Some(MarkBody {
            account: account(mark.account)?,
            seq: Whole(mark.seq),
            joined_seq: Whole(mark.joined_seq),
        })
    });
    Ok(MarksBody {
        conversation: conversation(&list.cid),
        slot: slot(list.slot),
        n: Whole(list.n),
        marks: marks.collect(),
    })
}

/// What a message said before, as JSON.
pub fn versions(answer: Wire) -> Result<VersionsBody, ApiError> {
    let Wire::VersionList(list) = answer else { return Err(broken("a list of versions")) };
    let versions = list.versions.into_iter().map(|version| VersionBody {
        at_ms: Whole(version.at_ms),
        text: version.text,
        body: (!version.body.is_empty()).then(|| OPAQUE.encode(&version.body)),
    });
    Ok(VersionsBody {
        conversation: conversation(&list.cid),
        slot: slot(list.slot),
        seq: Whole(list.seq),
        edits: Whole(list.edits.into()),
        n: Whole(list.n),
        versions: versions.collect(),
    })
}

/// The members of a conversation as JSON.
pub fn members(answer: Wire) -> Result<MembersBody, ApiError> {
    let Wire::MemberList(list) = answer else { return Err(broken("a member list's")) };
    let members = list.members.into_iter().filter_map(|member| {
        let role = Role::of(member.role())?;
        Some(MemberBody { account: account(member.account)?, role, joined_at_ms: Whole(member.joined_at_ms) })
    });
    Ok(MembersBody { conversation: conversation(&list.cid), members: members.collect() })
}
