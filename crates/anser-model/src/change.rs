//! Facts: what was decided, as recorded. Past tense; replaying one needs no business rule.

use bytes::Bytes;

use crate::client_id::ClientId;
use crate::ids::{AccountId, ConversationId, DeviceId, N, Ordinal, Reign, Seq, Slot};
use crate::limits::{VERSIONS_BYTES, VERSIONS_KEPT};
use crate::ranges::SeqRanges;
use crate::time::UnixMillis;

/// One entry of a slot's log; its n follows from where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every fact is of the large kind")]
pub enum Fact {
    /// About the slot itself.
    Slot(SlotFact),
    /// About one conversation.
    Conversation(ConversationFact),
}

/// A fact about a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotFact {
    /// A reign began.
    Opened {
        /// The reign that ended by it.
        after: Reign,
        /// When it began, by the new owner's clock.
        at: UnixMillis,
    },
    /// The reign in force ended by itself: nothing of it follows, and whoever opens next need not wait
    /// for its lease.
    Closed {
        /// When.
        at: UnixMillis,
    },
}

/// A fact about one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationFact {
    /// Which conversation.
    pub cid: ConversationId,
    /// When it was decided. Never steps back from one sequenced fact of a conversation to the next; in a slot
    /// it may, where a later owner's clock lags.
    pub at: UnixMillis,
    /// Who did it; nobody (0) for the system.
    pub author: AccountId,
    /// On which device.
    pub device: DeviceId,
    /// The author's profile version as the edge knew it.
    pub author_profile_version: u64,
    /// The command that this fact answers, if it is the one that answers.
    pub command: Option<CommandKey>,
    /// Position in the conversation; `None` for a register.
    pub seq: Option<Seq>,
    /// Countable messages of the conversation up to and with this fact.
    pub ordinal: Ordinal,
    /// What a later fact made of this message, if one did. No fact is decided with it: it comes into the
    /// fact's row, and into every copy, by the fact that rewrote it.
    pub rewritten: Option<Box<Rewritten>>,
    /// What changed.
    pub change: Change,
}

impl ConversationFact {
    /// The message of this fact as it stands once the fact at seq `by` has recalled it: that it was sent,
    /// when, by whom and of which kind remains, and nothing of what it said. `n` is the message's own.
    ///
    /// # Panics
    /// When this fact is no message, or was recalled before.
    pub fn without_body(&self, n: N, by: Seq) -> ConversationFact {
        assert!(!self.is_recalled(), "a message is recalled once");
        self.emptied(Rewritten { by, n, what: Rewrite::Recalled })
    }

    /// The message of this fact as it is shown to one who may not see the fact that edited it last.
    ///
    /// # Panics
    /// When this fact is no message that was edited.
    pub fn withheld(&self) -> ConversationFact {
        let Some(rewritten) = &self.rewritten else { panic!("only what was edited is withheld") };
        self.emptied(Rewritten { by: rewritten.by, n: rewritten.n, what: Rewrite::Withheld })
    }

    /// The message without anything that it said.
    fn emptied(&self, rewritten: Rewritten) -> ConversationFact {
        let message = self.message().expect("only a message is rewritten");
        let (kind, uncounted) = (message.kind.clone(), message.uncounted);
        self.rewritten_as(Message { kind, uncounted, ..Message::default() }, rewritten)
    }

    /// The message of this fact as it stands once the fact at seq `by`, decided at `at`, has given it the
    /// text, body and mentions of `new`. `n` is the message's own.
    ///
    /// # Panics
    /// When this fact is no message, or was recalled before.
    pub fn edited(&self, new: &Message, n: N, by: Seq, at: UnixMillis) -> ConversationFact {
        let message = self.message().expect("only a message is edited");
        assert!(!self.is_recalled(), "nothing is left to edit of what was recalled");
        let first = Edits { at: self.at, times: 0, versions: Vec::new() };
        let (mut edits, said_by) = match self.rewritten.as_deref() {
            Some(Rewritten { by, what: Rewrite::Edited(edits), .. }) => (edits.clone(), *by),
            _ => (first, self.seq.expect("a message is sequenced")),
        };
        let (text, body) = (message.text.clone(), message.body.clone());
        edits.versions.push(Version { by: said_by, at: edits.at, text, body });
        edits.drop_oldest();
        (edits.at, edits.times) = (at, edits.times.saturating_add(1));
        let message = Message {
            kind: message.kind.clone(),
            text: new.text.clone(),
            body: new.body.clone(),
            reply_to: message.reply_to,
            mentions: new.mentions.clone(),
            mention_all: new.mention_all,
            uncounted: message.uncounted,
            forwarded: message.forwarded,
        };
        self.rewritten_as(message, Rewritten { by, n, what: Rewrite::Edited(edits) })
    }

    fn rewritten_as(&self, message: Message, rewritten: Rewritten) -> ConversationFact {
        // Named one by one: cloning the rest would copy the body first.
        ConversationFact {
            cid: self.cid,
            at: self.at,
            author: self.author,
            device: self.device,
            author_profile_version: self.author_profile_version,
            command: self.command,
            seq: self.seq,
            ordinal: self.ordinal,
            rewritten: Some(Box::new(rewritten)),
            change: Change::MessageSent(message),
        }
    }

    /// The message that it is, if it is one.
    pub fn message(&self) -> Option<&Message> {
        match &self.change {
            Change::MessageSent(message) => Some(message),
            _ => None,
        }
    }

    /// Whether its body was taken away for ever.
    pub fn is_recalled(&self) -> bool {
        matches!(self.rewritten.as_deref(), Some(Rewritten { what: Rewrite::Recalled, .. }))
    }

    /// What is remembered of its edits, if it was edited and not recalled since.
    pub fn edits(&self) -> Option<&Edits> {
        match self.rewritten.as_deref() {
            Some(Rewritten { what: Rewrite::Edited(edits), .. }) => Some(edits),
            _ => None,
        }
    }
}

/// What a message remembers of the facts that rewrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The seq of the fact that rewrote it last.
    pub by: Seq,
    /// n of the message itself: wherever it stands, it stands under the n of the fact that rewrote it.
    pub n: N,
    /// What that came to.
    pub what: Rewrite,
}

/// What became of a message after it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// Nothing of what it said remains, now or of earlier.
    Recalled,
    /// It says something else.
    Edited(Edits),
    /// It says something that this reader may not see. Made for an answer, never recorded.
    Withheld,
}

/// What an edited message remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits {
    /// When it was edited last.
    pub at: UnixMillis,
    /// How often.
    pub times: u32,
    /// What it said before, oldest first: the newest of them, at most
    /// [`VERSIONS_KEPT`](crate::limits::VERSIONS_KEPT) and
    /// [`VERSIONS_BYTES`](crate::limits::VERSIONS_BYTES) in all.
    pub versions: Vec<Version>,
}

impl Edits {
    fn drop_oldest(&mut self) {
        let mut bytes = 0;
        let fits = |version: &&Version| {
            bytes += version.text.len() + version.body.len();
            bytes <= VERSIONS_BYTES
        };
        let kept = self.versions.iter().rev().take(VERSIONS_KEPT).take_while(fits).count();
        self.versions.drain(..self.versions.len() - kept);
    }
}

/// What a message said before it was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The seq of the fact by which it came to say so: its own, or that of an edit.
    pub by: Seq,
    /// When.
    pub at: UnixMillis,
    /// The text then.
    pub text: String,
    /// The body then.
    pub body: Bytes,
}

/// What idempotency remembers of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandKey {
    /// The client id it came with.
    pub client_id: ClientId,
    /// Keyed hash of the canonical request.
    pub request_hash: u64,
}

/// What kind of conversation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConversationKind {
    /// Two people.
    Direct,
    /// Many people, with roles.
    Group,
    /// As a group, but only admins and the owner write.
    Channel,
    /// One's own.
    OfSelf,
}

impl ConversationKind {
    /// Whether it has a title, roles, and members that come and go.
    pub fn is_group(self) -> bool {
        matches!(self, ConversationKind::Group | ConversationKind::Channel)
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Adds and removes members.
    Admin,
    /// Does everything; a group has exactly one.
    Owner,
}

/// What changed in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It came to be, with its first members. Sequenced.
    Created {
        /// Its kind, for ever.
        kind: ConversationKind,
        /// Its title; empty but for groups and channels.
        title: String,
        /// First members without the author.
        members: Vec<AccountId>,
        /// Whether later members see what was before.
        history_visible: bool,
        /// Its picture, for clients to read; empty for none.
        avatar: String,
    },
    /// A message. Sequenced; countable unless it says otherwise.
    MessageSent(Message),
    /// People joined. Sequenced.
    MembersAdded {
        /// Who joined.
        members: Vec<AccountId>,
        /// The first seq that they may see.
        visible_from: Seq,
    },
    /// Somebody left or was removed. Sequenced.
    MemberRemoved {
        /// Who is gone.
        member: AccountId,
        /// Whether by itself.
        left: bool,
        /// Who owns the group from now on, if the owner left and somebody is there.
        new_owner: Option<AccountId>,
    },
    /// A role was given. Sequenced.
    RoleSet {
        /// To whom.
        member: AccountId,
        /// Which role.
        role: Role,
    },
    /// The title changed. Sequenced.
    Renamed {
        /// The new title.
        title: String,
    },
    /// The picture changed. Sequenced.
    AvatarSet {
        /// The new one; empty for none.
        avatar: String,
    },
    /// What those who join from now on see of the past was decided. Sequenced.
    HistoryVisibleSet {
        /// Whether they see it.
        visible: bool,
    },
    /// It ended: nobody is a member any more. Sequenced, and the last.
    Dissolved,
    /// A message was recalled. Sequenced.
    Recalled {
        /// The message as it stands from now on, in every row and every copy: without its body.
        stands: Box<ConversationFact>,
    },
    /// A message was edited. Sequenced.
    Edited {
        /// Which message.
        seq: Seq,
        /// Whether everybody who was there may see that message. Only then the event carries it.
        to_all: bool,
        /// The message as it stands from now on, in its row and every copy. Where the edit itself is kept
        /// it is left out: a later recall would not find it there.
        stands: Option<Box<ConversationFact>>,
    },
    /// A member has read up to a seq. Register: the largest wins.
    ReadUpTo {
        /// Who has read.
        member: AccountId,
        /// Up to which seq.
        seq: Seq,
        /// Countable messages up to that seq.
        ordinal: Ordinal,
    },
    /// Everything up to a seq has come to a device of a member. Register: the largest wins.
    DeliveredUpTo {
        /// Whose device.
        member: AccountId,
        /// Up to which seq.
        seq: Seq,
    },
    /// A member marked the conversation as unread, or took that away. Register: the last wins.
    UnreadMarked {
        /// Who.
        member: AccountId,
        /// Whether it is to be shown as unread.
        marked: bool,
    },
    /// A member hid facts from itself. Register: they stay hidden.
    MessagesHidden {
        /// Who.
        member: AccountId,
        /// Which, in runs.
        ranges: SeqRanges,
    },
    /// A member cleared what it saw. Register: the largest wins.
    HistoryCleared {
        /// Who.
        member: AccountId,
        /// Up to which seq.
        seq: Seq,
        /// Countable messages up to that seq.
        ordinal: Ordinal,
    },
    /// The account has, or is about to have, a conversation in a slot. Register of the self
    /// conversation, durable before any membership there.
    Entered {
        /// Whose self conversation it is.
        account: AccountId,
        /// Which slot.
        slot: Slot,
    },
    /// Credentials below these versions are void. Register of the self conversation.
    CredentialsRaised {
        /// Whose.
        account: AccountId,
        /// Tokens with a smaller account version are void.
        account_version: u64,
        /// Tokens of this device with a smaller device version are void, if one is named.
        device: Option<(DeviceId, u64)>,
        /// Why, as live connections are told.
        why: KickReason,
    },
}

/// Why credentials end before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KickReason {
    /// Somebody signed the device out, or changed the password.
    #[default]
    Revoked = 0,
    /// Another device took its place.
    Replaced = 1,
    /// The account was deactivated.
    Deactivated = 2,
}

impl KickReason {
    /// The reason behind its number as stored.
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(KickReason::Revoked),
            1 => Some(KickReason::Replaced),
            2 => Some(KickReason::Deactivated),
            _ => None,
        }
    }
}

impl Change {
    /// Whether it takes a seq; what only one person may see never does.
    pub fn is_sequenced(&self) -> bool {
        !matches!(
            self,
            Change::ReadUpTo { .. }
                | Change::DeliveredUpTo { .. }
                | Change::UnreadMarked { .. }
                | Change::MessagesHidden { .. }
                | Change::HistoryCleared { .. }
                | Change::Entered { .. }
                | Change::CredentialsRaised { .. }
        )
    }

    /// Whether it raises the ordinal.
    pub fn is_countable(&self) -> bool {
        matches!(self, Change::MessageSent(message) if !message.uncounted)
    }
}

/// A message: what the server reads of it, around a body that it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// "text", or another kind.
    pub kind: String,
    /// The text, or what shows in place of an unknown kind.
    pub text: String,
    /// Opaque.
    pub body: Bytes,
    /// The message that it replies to.
    pub reply_to: Option<Seq>,
    /// Who is mentioned by name.
    pub mentions: Vec<AccountId>,
    /// Whether everybody is mentioned.
    pub mention_all: bool,
    /// Does not raise unread counts.
    pub uncounted: bool,
    /// Its sender had it from somewhere else.
    pub forwarded: bool,
}
