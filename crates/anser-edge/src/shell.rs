//! What a session takes at once from the shell around it.

use anser_core::fanout::EdgeId;
use anser_model::{AccountId, ConversationId, N, Slot, Timeline, UnixMillis};
use anser_proto::{Encoding, v1};
use bytes::Bytes;

use crate::Grant;
use crate::quota::Rate;

/// What carries the frames of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// WebSocket messages.
    #[default]
    WebSocket,
    /// The same, and those may be compressed.
    Deflated,
    /// A stream of bytes, each frame behind its length.
    Stream,
}

/// How the frames of a session go over its transport. An event is encoded once for each form in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Protobuf or JSON.
    pub encoding: Encoding,
    /// What carries it.
    pub transport: Transport,
}

impl Form {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// Its place among all of them.
    pub fn place(self) -> usize {
        2 * self.transport as usize + usize::from(self.encoding == Encoding::Json)
    }
}

/// Frames as they go over the transport.
pub trait Framing {
    /// A frame.
    fn frame(&self, frame: &v1::ServerFrame, form: Form) -> Bytes;

    /// The last words to somebody who is not wanted (any more), where the transport has such words.
    fn close(&self, transport: Transport) -> Option<Bytes>;
}

/// What all sessions of an edge have in common.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Which edge of the installation it is.
    pub edge: EdgeId,
    /// The history of the installation.
    pub timeline: Timeline,
    /// After how long without a frame a client pings.
    pub heartbeat_interval_ms: u64,
    /// What a client's backoff is capped at.
    pub backoff_cap_ms: u64,
    /// How much one session may ask.
    pub session_rate: Rate,
}

/// What a session asks of its shell and is told without waiting. None of it may call a session.
pub trait Shell: Framing {
    /// What all its sessions have in common.
    fn terms(&self) -> &Terms;

    /// The slot of a conversation.
    fn slot(&self, cid: ConversationId) -> Slot;

    /// Whether it is going: nothing is begun any more.
    fn is_draining(&self) -> bool;

    /// Milliseconds by a clock that is never set.
    fn monotonic_ms(&self) -> u64;

    /// How long what is taken now would wait for those before it, in milliseconds.
    fn queueing_delay_ms(&self) -> u64;

    /// n of the newest fact decided in a slot, where that is known at once: whoever entered the routing before is sent every
    /// fact above it. `None`: the slot has to be asked.
    fn newest(&self, slot: Slot) -> Option<N>;

    /// Takes so much from what the account may ask, or says in how many milliseconds there will be as much.
    ///
    /// # Errors
    /// It has asked too much: nothing was taken.
    fn charge(&self, account: AccountId, weight: u32) -> Result<(), u64>;

    /// Whether all of them are known here to exist; `false` says nothing.
    fn known_to_exist(&self, accounts: &[AccountId]) -> bool;

    /// The profiles of all of them, where they are known at once. `None`: they have to be looked up.
    fn known_profiles(&self, accounts: &[AccountId]) -> Option<Vec<v1::Profile>>;

    /// A ticket with which the session may come back for a while.
    fn resume_ticket(&self, grant: &Grant, session: u64, now: UnixMillis) -> String;
}
