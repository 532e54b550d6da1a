//! Refusals: a command was understood and will not be done, and nothing happened.

use crate::ids::{AccountId, Seq};
use crate::limits::{EDIT_WINDOW_MS, RECALL_WINDOW_MS};

/// Why a command is refused. Each maps to one code of the protocol's error catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such conversation or message, or none that the asker may know of.
    #[error("there is no such conversation or message, or you may not know of it")]
    NotFound,
    /// The role does not allow it.
    #[error("your role in this conversation does not allow this: {0}")]
    NotAllowed(&'static str),
    /// A message is older than its author may recall.
    #[error("the message was sent {age_ms} ms ago, its author may recall it for {} ms", RECALL_WINDOW_MS)]
    RecallTooLate {
        /// How long ago it was sent.
        age_ms: u64,
    },
    /// A message is older than its author may edit.
    #[error("the message was sent {age_ms} ms ago, its author may edit it for {} ms", EDIT_WINDOW_MS)]
    EditTooLate {
        /// How long ago it was sent.
        age_ms: u64,
    },
    /// The message that another one replies to is not there, or cannot be seen.
    #[error("reply_to: there is no seq {0} in this conversation, or you may not see it")]
    NothingToReplyTo(Seq),
    /// The asker was removed or left.
    #[error("you are no longer a member of this conversation")]
    NoLongerMember,
    /// Nobody named is new.
    #[error("everybody named is a member already")]
    AlreadyMember,
    /// The one named is no member.
    #[error("account {0} is no member of this conversation")]
    NoSuchMember(AccountId),
    /// Over the limit of members.
    #[error("the group would have {would_have} members, at most {limit} are allowed")]
    TooManyMembers {
        /// How many there would be.
        would_have: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Over the limit of hidden runs.
    #[error(
        "{would_have} separate runs of facts would be hidden, at most {limit} are allowed: clear the history"
    )]
    TooManyHidden {
        /// How many there would be.
        would_have: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The seq is past the head.
    #[error("seq {asked} lies past the newest one, {head}")]
    BeyondHead {
        /// The seq asked for.
        asked: u64,
        /// The newest seq that the asker may see.
        head: u64,
    },
    /// The seq belongs to another history.
    #[error("the seq belongs to another history of this installation: drop the caches and sync")]
    ForeignTimeline,
    /// Minted too long ago.
    #[error("the client id is older than 30 days: whether it took effect can no longer be told")]
    ClientIdTooOld,
    /// Minted in the future.
    #[error("the client id lies {ahead_ms} ms ahead of the server's clock, at most 300000 are allowed")]
    ClientIdInFuture {
        /// How far ahead.
        ahead_ms: u64,
    },
    /// The same client id named another request.
    #[error("the client id was used before, for another request")]
    ClientIdReused,
    /// A command that needs a client id came without one.
    #[error("this request needs a client id")]
    ClientIdMissing,
    /// The command does not fit the kind of conversation.
    #[error("this cannot be done in a conversation of this kind: {0}")]
    WrongKind(&'static str),
    /// Nothing is lost, nothing happened, ask again.
    #[error("the server has more to do than it can")]
    Overloaded,
    /// The medium is full; nothing happened.
    #[error("the server's disk is full: nothing can be sent until there is space")]
    StorageFull,
    /// A store or another slot cannot be asked now; nothing happened.
    #[error("a part of the server cannot be reached now")]
    Unavailable,
    /// It may have taken effect.
    #[error("whether it took effect is not known: ask again with the same client id")]
    UnknownOutcome,
}
