//! Commands: what somebody wants, validated in shape, not yet decided.

use crate::change::{KickReason, Message, Role};
use crate::client_id::ClientId;
use crate::ids::{AccountId, ConversationId, DeviceId, Seq, Slot, SlotKey, Timeline};
use crate::ranges::SeqRanges;

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The account; nobody (0) for the system itself.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceId,
    /// The account's profile version as the edge knows it.
    pub profile_version: u64,
}

impl Actor {
    /// The server itself.
    pub const SYSTEM: Actor = Actor { account: AccountId(0), device: DeviceId(0), profile_version: 0 };
}

/// What somebody wants of one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Who wants it.
    pub actor: Actor,
    /// Of which conversation.
    pub cid: ConversationId,
    /// The other one, where the conversation is direct and may not exist yet.
    pub peer: Option<AccountId>,
    /// The idempotency key; registers have none.
    pub client_id: Option<ClientId>,
    /// What is wanted.
    pub intent: Intent,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Say something.
    Send(Message),
    /// Take a message back: one's own, within [`RECALL_WINDOW_MS`](crate::limits::RECALL_WINDOW_MS),
    /// or, as an admin or the owner of a group, any.
    Recall {
        /// Which message.
        seq: Seq,
        /// Of which timeline.
        timeline: Timeline,
    },
    /// Say something else in a message of one's own, within
    /// [`EDIT_WINDOW_MS`](crate::limits::EDIT_WINDOW_MS).
    Edit {
        /// Which message.
        seq: Seq,
        /// Of which timeline.
        timeline: Timeline,
        /// Its new text, body and mentions, and the kind that it has. The rest stays as it was.
        message: Message,
    },
    /// Move one's own read mark.
    ReadUpTo {
        /// Up to which seq.
        seq: Seq,
        /// Of which timeline.
        timeline: Timeline,
    },
    /// Say that everything up to a seq has come to a device of one's own. Direct conversations only.
    DeliveredUpTo {
        /// Up to which seq.
        seq: Seq,
        /// Of which timeline.
        timeline: Timeline,
    },
    /// Mark the conversation as unread for oneself, or take that away.
    MarkUnread(bool),
    /// Hide facts from oneself.
    Hide {
        /// Which, in runs.
        ranges: SeqRanges,
        /// Of which timeline.
        timeline: Timeline,
    },
    /// Hide everything up to a seq from oneself, and count it as read.
    ClearHistory {
        /// Up to which seq.
        seq: Seq,
        /// Of which timeline.
        timeline: Timeline,
    },
    /// Make a group or a channel.
    CreateGroup {
        /// Its title.
        title: String,
        /// Others in it from the start.
        members: Vec<AccountId>,
        /// Whether later members see what was before.
        history_visible: bool,
        /// Whether only admins and the owner write.
        channel: bool,
        /// Its picture; empty for none.
        avatar: String,
    },
    /// Bring people in.
    AddMembers(Vec<AccountId>),
    /// Put somebody out.
    RemoveMember(AccountId),
    /// Go.
    Leave,
    /// Give a role.
    SetRole {
        /// To whom.
        member: AccountId,
        /// Which.
        role: Role,
    },
    /// Change the title.
    Rename(String),
    /// Change the picture; empty for none.
    SetAvatar(String),
    /// Decide what those who join from now on see of the past.
    SetHistoryVisible(bool),
    /// End it for everybody.
    Dissolve,
    /// Note in the self conversation that the account has something in a slot. The server's own.
    Enter(Slot),
    /// Note in the self conversation that older credentials are void. The server's own.
    RaiseCredentials {
        /// The account version from now on.
        account_version: u64,
        /// One device's version from now on.
        device: Option<(DeviceId, u64)>,
        /// Why, as live connections are told.
        why: KickReason,
    },
}

impl Intent {
    /// Keyed hash of the canonical form of the request. Two requests under one client id
    /// are the same request iff their hashes are equal.
    pub fn request_hash(&self, key: &SlotKey) -> u64 {
        let mut canonical = Canonical(Vec::with_capacity(CANONICAL_BYTES_USUAL));
        canonical.tag(CANONICAL_VERSION);
        match self {
            Intent::Send(message) => canonical.tag(1).message(message),
            Intent::ReadUpTo { seq, timeline } => canonical.tag(2).number(seq.0).number(timeline.0),
            Intent::CreateGroup { title, members, history_visible, channel, avatar } => {
                canonical.tag(3).bytes(title.as_bytes()).accounts(members);
                canonical.number(u64::from(*history_visible));
                // What no client could ask for before adds to the form only where it is asked for.
                if *channel || !avatar.is_empty() {
                    canonical.number(u64::from(*channel)).bytes(avatar.as_bytes());
                }
                &mut canonical
            }
            Intent::AddMembers(members) => canonical.tag(4).accounts(members),
            Intent::RemoveMember(member) => canonical.tag(5).number(member.0),
            Intent::Leave => canonical.tag(6),
            Intent::SetRole { member, role } => canonical.tag(7).number(member.0).number(*role as u64),
            Intent::Rename(title) => canonical.tag(8).bytes(title.as_bytes()),
            Intent::Enter(slot) => canonical.tag(9).number(u64::from(slot.0)),
            Intent::RaiseCredentials { account_version, device, why } => {
                let (device, version) = device.map_or((0, 0), |(device, version)| (device.0, version));
                canonical.tag(10).number(*account_version).number(device).number(version).number(*why as u64)
            }
            Intent::Recall { seq, timeline } => canonical.tag(11).number(seq.0).number(timeline.0),
            Intent::Edit { seq, timeline, message } => {
                canonical.tag(12).number(seq.0).number(timeline.0).message(message)
            }
            Intent::DeliveredUpTo { seq, timeline } => canonical.tag(13).number(seq.0).number(timeline.0),
            Intent::MarkUnread(marked) => canonical.tag(14).number(u64::from(*marked)),
            Intent::Hide { ranges, timeline } => canonical.tag(15).ranges(ranges).number(timeline.0),
            Intent::ClearHistory { seq, timeline } => canonical.tag(16).number(seq.0).number(timeline.0),
            Intent::SetAvatar(avatar) => canonical.tag(17).bytes(avatar.as_bytes()),
            Intent::SetHistoryVisible(visible) => canonical.tag(18).number(u64::from(*visible)),
            Intent::Dissolve => canonical.tag(19),
        };
        key.hash128(b"request", &[&canonical.0]) as u64
    }
}

/// The version of the canonical form.
const CANONICAL_VERSION: u8 = 1;
/// Most requests are not longer in their canonical form.
const CANONICAL_BYTES_USUAL: usize = 512;

/// An unambiguous byte form: every part is a tag, a fixed-width number or length-prefixed bytes.
struct Canonical(Vec<u8>);

impl Canonical {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.push(tag);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).0.extend_from_slice(bytes);
        self
    }

    fn accounts(&mut self, accounts: &[AccountId]) -> &mut Self {
        self.number(accounts.len() as u64);
        accounts.iter().for_each(|account| {
            self.number(account.0);
        });
        self
    }

    fn ranges(&mut self, ranges: &SeqRanges) -> &mut Self {
        self.number(ranges.len() as u64);
        ranges.parts().iter().for_each(|(low, high)| {
            self.number(low.0).number(high.0);
        });
        self
    }

    fn message(&mut self, message: &Message) -> &mut Self {
        self.bytes(message.kind.as_bytes())
            .bytes(message.text.as_bytes())
            .bytes(&message.body)
            .number(message.reply_to.map_or(0, |seq| seq.0))
            .accounts(&message.mentions)
            .number(u64::from(message.mention_all))
            .number(u64::from(message.uncounted));
        // Left out where it is not set: a request of before it existed hashes as it did.
        if message.forwarded { self.number(1) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes are stored: a retry over an upgrade must be found by them.
    #[test]
    fn the_canonical_form_is_what_it_was() {
        let key = SlotKey::new([1; 16]);
        for length in [1, 5_000] {
            let text = "a".repeat(length);
            let message = Message { kind: "text".into(), text: text.clone(), ..Message::default() };
            let number = |number: usize| (number as u64).to_be_bytes();
            // The version, what is asked for, then the parts; of no body, no reply, no mentions, not for all, counted.
            let parts = [&[1, 1], &number(4)[..], b"text", &number(length), text.as_bytes(), &[0; 5 * 8]];
            let expected = key.hash128(b"request", &[&parts.concat()]) as u64;
            assert_eq!(Intent::Send(message).request_hash(&key), expected);
        }
    }

    #[test]
    fn different_requests_hash_differently() {
        let key = SlotKey::new([1; 16]);
        let text = |text: &str| {
            Intent::Send(Message { kind: "text".into(), text: text.into(), ..Message::default() })
        };
        let edit = |seq, text: &str| Intent::Edit {
            seq: Seq(seq),
            timeline: Timeline(1),
            message: Message { text: text.into(), ..Message::default() },
        };
        let group = |channel, avatar: &str| Intent::CreateGroup {
            title: "a".into(),
            members: Vec::new(),
            history_visible: false,
            channel,
            avatar: avatar.into(),
        };
        let intents = [
            text("a"),
            text("b"),
            Intent::Rename("a".into()),
            Intent::Leave,
            Intent::AddMembers(vec![AccountId(1), AccountId(2)]),
            Intent::AddMembers(vec![AccountId(2), AccountId(1)]),
            Intent::RemoveMember(AccountId(1)),
            Intent::Send(Message {
                text: "a".into(),
                kind: "text".into(),
                forwarded: true,
                ..Message::default()
            }),
            edit(1, "a"),
            edit(2, "a"),
            edit(1, "b"),
            Intent::Recall { seq: Seq(1), timeline: Timeline(1) },
            Intent::Recall { seq: Seq(2), timeline: Timeline(1) },
            Intent::Recall { seq: Seq(1), timeline: Timeline(2) },
            Intent::ReadUpTo { seq: Seq(1), timeline: Timeline(1) },
            Intent::DeliveredUpTo { seq: Seq(1), timeline: Timeline(1) },
            Intent::MarkUnread(true),
            Intent::MarkUnread(false),
            Intent::Hide { ranges: SeqRanges::gather(&[(Seq(1), Seq(1))]), timeline: Timeline(1) },
            Intent::Hide { ranges: SeqRanges::gather(&[(Seq(1), Seq(2))]), timeline: Timeline(1) },
            Intent::ClearHistory { seq: Seq(1), timeline: Timeline(1) },
            Intent::SetAvatar("a".into()),
            Intent::SetHistoryVisible(true),
            Intent::Dissolve,
            group(false, ""),
            group(true, ""),
            group(false, "a"),
        ];
        let hashes: std::collections::HashSet<_> = intents.iter().map(|i| i.request_hash(&key)).collect();
        assert_eq!(hashes.len(), intents.len());
        assert_eq!(text("a").request_hash(&key), text("a").request_hash(&key));
        assert_ne!(text("a").request_hash(&key), text("a").request_hash(&SlotKey::new([2; 16])));
    }
}
