//! What goes into the session machine and what comes out of it.

use anser_model::{AccountId, ClientId, ConversationId, DeviceId, SessionId, Timeline, UnixMillis};
use anser_proto::v1;

use crate::session::command::{Intent, Ticket};
use crate::store::Change;

/// Which connection an input or output is about; another one for each that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// The time of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock; may be wrong, and may jump.
    pub unix: UnixMillis,
    /// Milliseconds of a clock that never steps back; its zero means nothing.
    pub monotonic_ms: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is taken at once: no queue of them grows long")]
pub enum Input {
    /// Connect, and stay connected.
    Start,
    /// The connection that [`Output::Open`] asked for is open.
    Opened(LinkId),
    /// A frame came.
    Frame(LinkId, Box<v1::ServerFrame>),
    /// The connection ended, or could not be opened.
    Lost(LinkId),
    /// The access token that [`Output::NeedToken`] asked for.
    Token(Result<String, TokenRefused>),
    /// The time named by [`Session::wake_at_ms`](crate::session::Session::wake_at_ms) came.
    Tick,
    /// The application asks for something.
    Do(Ticket, Intent),
    /// Close, and stay closed.
    Stop,
}

/// Why there is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefused {
    /// Whoever issues them cannot be reached: ask again later.
    Unavailable,
    /// The device is signed out: nothing helps but signing in.
    SignedOut,
}

/// What to do. To be done in order: what is persisted before a frame is persisted before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a connection to the address at this turn (modulo how many there are).
    Open {
        /// What to call it.
        link: LinkId,
        /// Grows whenever an address failed.
        address_turn: u32,
    },
    /// Send a frame.
    Send(LinkId, Box<v1::ClientFrame>),
    /// Close the connection. Nothing is expected of it any more.
    Close(LinkId),
    /// Get a new access token, then say [`Input::Token`].
    NeedToken,
    /// Write to the store.
    Persist(Box<Change>),
    /// Answer the application.
    Answer(Ticket, Result<Answer, Failure>),
    /// Tell the application.
    Tell(Update),
}

/// The answer to an intent.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A command took effect.
    Accepted(v1::Accepted),
    /// Facts.
    Page(v1::Page),
    /// Members.
    Members(v1::MemberList),
    /// Profiles.
    Profiles(v1::ProfileList),
    /// How far members have read.
    Marks(v1::MarkList),
    /// Who is there.
    Presences(v1::PresenceList),
    /// Heads.
    Conversations(v1::ConversationList),
    /// What a message said before.
    Versions(v1::VersionList),
    /// It is done, and there is nothing to say of it.
    Done,
}

/// Why an intent came to nothing, as far as is known.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The server said no.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(v1::Error),
    /// No answer in time. For questions only: a command is repeated until it has one.
    #[error("no answer in time")]
    TimedOut,
    /// Too much is waiting already.
    #[error("too much is waiting for the server already")]
    Full,
    /// The request names no conversation.
    #[error("the request names no conversation")]
    NoTarget,
    /// No failed send has this client id.
    #[error("no failed send has this client id")]
    NoSuchSend,
    /// The session ended for good. A command may have taken effect all the same.
    #[error("the session has ended: {0}")]
    Ended(Ended),
}

/// Why a session ended for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The application stopped it.
    #[error("stopped")]
    Stopped,
    /// There is no valid token, and none to be had.
    #[error("signed out")]
    SignedOut,
    /// The server ended it.
    #[error("{code}: {message}")]
    Kicked {
        /// A name from the error catalogue.
        code: String,
        /// For people.
        message: String,
    },
    /// The server will not have this client.
    #[error("{code}: {message}")]
    Refused {
        /// A name from the error catalogue.
        code: String,
        /// For people.
        message: String,
    },
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not started.
    Idle,
    /// Opening, or saying hello.
    Connecting,
    /// Attached; heads may still be owed.
    Attached {
        /// Whose session it is.
        account: AccountId,
        /// On which device.
        device: DeviceId,
        /// Which session.
        session: SessionId,
    },
    /// Lost; tries again by itself.
    Waiting {
        /// When, in milliseconds from the input that caused it.
        retry_in_ms: u64,
    },
    /// Over.
    Ended(Ended),
}

/// What the application is told without asking.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The connection stands otherwise.
    Status(Status),
    /// An event came, as it was sent. In order, but after a reconnect some may be missing: what they
    /// did is in the heads.
    Event(Box<v1::Event>),
    /// A newer head came.
    Head(Box<v1::Head>),
    /// The conversation's head or held facts are not what they were.
    Conversation(ConversationId),
    /// Somebody is typing. Kept nowhere: to be shown for a few seconds.
    Typing {
        /// Where.
        cid: ConversationId,
        /// Who.
        account: AccountId,
    },
    /// Of these it is known otherwise whether they are there.
    Presence(Vec<AccountId>),
    /// No slot owes anything any more: everything known is current.
    Synced,
    /// Another history began (a restore): everything that was known of conversations is gone.
    Restarted(Timeline),
    /// Profiles are known, or newer.
    Profiles(Vec<AccountId>),
    /// A command was accepted.
    Sent {
        /// The client id it went by.
        client_id: ClientId,
        /// What the server said, or what its echo showed.
        accepted: v1::Accepted,
    },
    /// A command was refused for good.
    Failed {
        /// The client id it went by.
        client_id: ClientId,
        /// Why.
        error: v1::Error,
    },
    /// A waiting command got another client id, because the old one would have been refused.
    Reminted {
        /// The old one, never sent.
        old: ClientId,
        /// The new one.
        new: ClientId,
    },
    /// What should be kept over a restart could not be written, for this reason.
    NotSaved(String),
    /// The application was too slow, and so many updates were dropped. What they said is in the state.
    Missed(u64),
}
