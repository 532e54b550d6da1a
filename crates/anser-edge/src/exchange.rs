//! What goes into a session and what comes out.

use anser_core::engine::{Answer, Query, ReplyTo};
use anser_model::{AccountId, Command, ConversationId, DeviceId, Refusal, Slot};
use anser_proto::{Encoding, v1};

/// In whose name a token speaks, and under which versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Whose.
    pub account: AccountId,
    /// On which device.
    pub device: DeviceId,
    /// Void once the home's is larger.
    pub account_version: u64,
    /// Void once the home's is larger.
    pub device_version: u64,
}

/// Whose token it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// In whose name it speaks. Whether its versions are still in use, the home says.
    pub grant: Grant,
    /// The profile version of the account as far as it is known; 0 if it is not.
    pub profile_version: u64,
}

/// What a session asked of a core without waiting for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A request of its own.
    Request(u64),
    /// A sync of one slot, in this round.
    Sync(Slot, u32),
}

impl Asked {
    /// What a session asked whose answer goes there. `None` for what no session asks.
    pub fn of(reply: ReplyTo) -> Option<Asked> {
        match reply {
            ReplyTo::Session { request, .. } => Some(Asked::Request(request)),
            ReplyTo::Sync { slot, round, .. } => Some(Asked::Sync(slot, round)),
            ReplyTo::Slot { .. } | ReplyTo::Caller(_) => None,
        }
    }
}

/// What goes in.
#[derive(Debug)]
pub enum Input {
    /// A frame of the client, or why what came is none. Not while [`Session::is_busy`].
    ///
    /// [`Session::is_busy`]: crate::Session::is_busy
    Frame {
        /// The form it came in; that of the first one is the session's.
        encoding: Encoding,
        /// What came.
        frame: Result<v1::ClientFrame, v1::Error>,
    },
    /// The answer to [`Question::Token`].
    Verified(Result<Verified, v1::Error>),
    /// The answer to an [`Effect::AskCore`].
    Told(Result<Answer, Refusal>),
    /// The answer to [`Question::Missing`]: those that do not exist.
    Missing(Result<Vec<AccountId>, v1::Error>),
    /// The answer to [`Question::Profiles`].
    Profiles(Result<Vec<v1::Profile>, v1::Error>),
    /// A core answered an [`Effect::Command`] or an [`Effect::Query`].
    Answered(Asked, Result<Answer, Refusal>),
    /// An [`Effect::Command`] or [`Effect::Query`] could not even be given to its core: nothing happened.
    NotTaken(Asked, Refusal),
    /// The answer to [`Effect::Look`]: of those of whom it is told.
    Looked {
        /// For which request.
        request: u64,
        /// In which conversation.
        cid: ConversationId,
        /// Who is there.
        presences: Result<Vec<v1::Presence>, v1::Error>,
    },
    /// It is time, after [`Effect::AskLater`].
    AskAgain {
        /// Which slot.
        slot: Slot,
        /// In which of the session's syncs.
        round: u32,
    },
}

/// What comes out, to be performed in this order.
#[derive(Debug)]
pub enum Effect {
    /// The session is one of this account from now on: enter it into the edge's table and the routing,
    /// before anything that follows is done. It stays there until the connection ends.
    Enter(AccountId),
    /// Find out, and give the answer as an input: the session waits for it and takes no frame.
    Ask(Question),
    /// Ask the core of a slot in the server's own name. The session waits for [`Input::Told`], of which there is one for each
    /// where it asks several at once.
    AskCore {
        /// Which slot.
        slot: Slot,
        /// What is asked.
        query: Query,
    },
    /// Give a command to its core. [`Input::Answered`] follows, or [`Input::NotTaken`].
    Command {
        /// Where the answer goes.
        reply: ReplyTo,
        /// What is wanted.
        command: Command,
    },
    /// Give a question to the core of a slot. [`Input::Answered`] follows, or [`Input::NotTaken`].
    Query {
        /// Which slot.
        slot: Slot,
        /// Where the answer goes.
        reply: ReplyTo,
        /// What is asked.
        query: Query,
    },
    /// Tell the session whether these are there whenever that changes, and of nobody else.
    Watch(Vec<AccountId>),
    /// Find out who of these is there. [`Input::Looked`] follows.
    Look {
        /// For which request.
        request: u64,
        /// In which conversation.
        cid: ConversationId,
        /// Of whom.
        accounts: Vec<AccountId>,
    },
    /// Give [`Input::AskAgain`] in [`SYNC_RETRY_MS`](crate::session::SYNC_RETRY_MS).
    AskLater {
        /// Which slot could not answer.
        slot: Slot,
        /// In which of the session's syncs.
        round: u32,
    },
}

/// What a session waits for before it takes another frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whose token or resume ticket this is.
    Token(String),
    /// Which of these accounts do not exist.
    Missing(Vec<AccountId>),
    /// The profiles of those that exist.
    Profiles(Vec<AccountId>),
}
