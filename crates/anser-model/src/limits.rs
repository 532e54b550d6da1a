//! Every limit of the product, with its unit in its name.

/// Members of a small conversation at most; above it, fan-out goes by declared interest.
pub const SMALL_CONVERSATION_MEMBERS: usize = 512;
/// Members that a group may have.
pub const GROUP_MEMBERS: usize = 512;
/// Members that one command may add.
pub const MEMBERS_PER_COMMAND: usize = 512;
/// Conversations that an account may be in.
pub const CONVERSATIONS_PER_ACCOUNT: usize = 5_000;
/// Bytes of one message's body.
pub const MESSAGE_BODY_BYTES: usize = 32 * 1024;
/// Bytes of the text of a message.
pub const MESSAGE_TEXT_BYTES: usize = 16 * 1024;
/// Bytes of the name of a message kind.
pub const MESSAGE_KIND_BYTES: usize = 64;
/// People that one message may mention by name.
pub const MENTIONS_PER_MESSAGE: usize = 64;
/// How long after it was sent a message may be recalled by its author.
pub const RECALL_WINDOW_MS: u64 = 2 * 60 * 1000;
/// How long after it was sent a message may be edited by its author.
pub const EDIT_WINDOW_MS: u64 = DAY_MS;
/// Former versions that an edited message remembers; the oldest go first.
pub const VERSIONS_KEPT: usize = 16;
/// Bytes of all former versions that an edited message remembers.
pub const VERSIONS_BYTES: usize = 64 * 1024;
/// Bytes of a conversation's title.
pub const TITLE_BYTES: usize = 256;
/// Bytes of the name of a group's picture.
pub const AVATAR_BYTES: usize = 256;
/// Runs of hidden facts that one member may have in one conversation.
pub const HIDDEN_RANGES: usize = 500;
/// Ranges that one command may hide.
pub const HIDDEN_RANGES_PER_COMMAND: usize = 100;
/// People of one conversation that one request may watch.
pub const WATCHED_PER_REQUEST: usize = 200;
/// People that one connection may watch.
pub const WATCHED_PER_CONNECTION: usize = 1_000;
/// Bytes of one protocol frame.
pub const FRAME_BYTES: usize = 64 * 1024;
/// Messages in one page of history.
pub const PAGE_MESSAGES: usize = 200;
/// Own sends past the base that a member's state keeps; above it the cap moves up.
pub const OWN_SENDS_KEPT: usize = 64;
/// Seqs of unread mentions that a member's state keeps; the oldest go first.
pub const UNREAD_MENTIONS_KEPT: usize = 64;
/// How long a client id is accepted after it was minted.
pub const CLIENT_ID_ACCEPTED_MS: u64 = 30 * DAY_MS;
/// How long a client id is remembered, by its own time.
pub const CLIENT_ID_REMEMBERED_MS: u64 = 31 * DAY_MS;
/// How far a client id may lie in the future.
pub const CLIENT_ID_FUTURE_MS: u64 = 5 * 60 * 1000;
/// One day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Slots that one client may name in a cursor: all of them.
pub const CURSOR_SLOTS: usize = crate::ids::Slot::COUNT;
