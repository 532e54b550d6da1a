//! One conversation as this client knows it: its head kept current by events, and the facts it holds.

mod registers;

use std::collections::BTreeMap;

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, ConversationKind, Role, event::Change};
use anser_proto::wire::{self, BadId};

use crate::session::doubt::Doubt;
use crate::session::ranges::Ranges;
use crate::session::unread::Unread;

/// Facts that are held of one conversation; the oldest go first, and are fetched when looked at.
pub const FACTS_HELD: usize = 1_000;
/// Fewer facts than this in one run are forgotten when they may be void: to fetch them anew, when
/// somebody looks, costs no more than to ask what has become of them.
const FACTS_WORTH_A_RECHECK: usize = 8;

/// One conversation as this client knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    cid: ConversationId,
    /// As the last head or event left it; its unread fields live in `unread`.
    head: v1::Head,
    unread: Unread,
    needs_head: bool,
    facts: BTreeMap<u64, v1::Event>,
    ranges: Ranges,
    /// Up to this n no sequenced fact was missed: what is held is right as of it, but for what is in doubt.
    sure_n: u64,
    doubt: Doubt,
}

/// What an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// The head is not what it was.
    pub head: bool,
    /// The held facts are not what they were.
    pub facts: bool,
    /// Seqs, both included, that went missing between the last known fact and this one.
    pub gap: Option<(u64, u64)>,
}

impl Conversation {
    /// A conversation as a head tells it.
    pub fn from_head(head: v1::Head) -> Result<Self, BadId> {
        let cid = wire::cid(&head.cid)?;
        let unread = Unread::from_head(&head);
        let facts = BTreeMap::new();
        let (ranges, sure_n, doubt) = (Ranges::default(), head.n, Doubt::default());
        Ok(Conversation { cid, head, unread, needs_head: false, facts, ranges, sure_n, doubt })
    }

    /// The head as it is saved. What needs a head still needs it after a restart, when the cursor has
    /// moved past the reason: it is saved without a kind.
    pub fn to_save(&self) -> v1::Head {
        let mut head = self.head();
        if self.needs_head {
            head.kind = ConversationKind::Unspecified.into();
        }
        head
    }

    /// A conversation as it was saved.
    pub fn from_saved(head: v1::Head) -> Result<Self, BadId> {
        let needs_head = head.kind() == ConversationKind::Unspecified;
        Ok(Conversation { needs_head, ..Conversation::from_head(head)? })
    }

    /// A conversation that an event tells of first. Unless it is the creation, a head is needed.
    pub fn from_event(event: &v1::Event, own: AccountId) -> Result<Self, BadId> {
        let head = v1::Head { cid: event.cid.clone(), role: Role::Member.into(), ..v1::Head::default() };
        let mut conversation = Conversation::from_head(head)?;
        match &event.change {
            Some(Change::Created(created)) => conversation.begin(created, AccountId(event.author), own),
            _ => conversation.needs_head = true,
        }
        Ok(conversation)
    }

    /// Its id.
    pub fn cid(&self) -> ConversationId {
        self.cid
    }

    /// n of the newest fact that its head reports.
    pub fn n(&self) -> u64 {
        self.head.n
    }

    /// Its head as of now, as a server would tell it.
    pub fn head(&self) -> v1::Head {
        let mut head = self.head.clone();
        self.unread.write_to(&mut head);
        head
    }

    /// The newest sequenced fact.
    pub fn seq(&self) -> u64 {
        self.head.seq
    }

    /// When the newest sequenced fact was decided.
    pub fn at_ms(&self) -> u64 {
        self.head.at_ms
    }

    /// The other one of a direct conversation.
    pub fn peer(&self) -> Option<AccountId> {
        (self.head.kind() == ConversationKind::Direct).then_some(AccountId(self.head.peer))
    }

    /// How many messages are unread.
    pub fn unread(&self) -> u64 {
        self.unread.count(self.head.ordinal)
    }

    /// seqs of unread messages that mention its owner by name: the newest 64.
    pub fn mentions(&self) -> &[u64] {
        self.unread.mentions()
    }

    /// seq of the newest unread message by which somebody else mentions everybody.
    pub fn mention_all(&self) -> Option<u64> {
        self.unread.mention_all()
    }

    /// How far its owner has read.
    pub fn mark(&self) -> u64 {
        self.head.mark
    }

    /// Whether this client's account is a member. A conversation it left stays as a tombstone.
    pub fn is_member(&self) -> bool {
        self.head.role() != Role::Unspecified
    }

    /// Whether what is known came from events alone, and a head is to be fetched.
    pub fn needs_head(&self) -> bool {
        self.needs_head
    }

    /// The sequenced facts that are held, ascending by seq. What may have been changed by facts that were
    /// missed is left out until the server has said so or not.
    pub fn facts(&self) -> impl DoubleEndedIterator<Item = &v1::Event> {
        self.facts.values().filter(|event| !self.doubt.contains(event.seq))
    }

    /// One fact that is held, and not in doubt.
    pub fn fact(&self, seq: u64) -> Option<&v1::Event> {
        self.facts.get(&seq).filter(|_| !self.doubt.contains(seq))
    }

    /// Which seqs are held, or known not to be visible.
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Which seqs are held and not in doubt: what a store may keep.
    pub fn sure_ranges(&self) -> Ranges {
        let mut sure = self.ranges.clone();
        self.doubt.runs().islands().iter().for_each(|&(low, high)| sure.remove(low, high));
        sure
    }

    /// What to ask the server so that less is in doubt; nothing when nothing is.
    pub fn recheck(&self) -> Option<v1::GetPage> {
        self.doubt.question(self.cid)
    }

    /// The server will not say what has become of what is in doubt: it is held no more.
    pub fn forget_doubted(&mut self) {
        for (low, high) in self.doubt.runs().islands().to_vec() {
            self.forget(low, high);
        }
    }

    /// Takes a newer head. Whether it was taken: an older one than known is stale.
    pub fn take_head(&mut self, head: v1::Head, keep_facts: bool) -> bool {
        if head.n < self.head.n {
            return false;
        }
        // A tombstone changes only by a recall or an edit of what its owner may see.
        let missed = head.seq > self.head.seq || head.role() == Role::Unspecified;
        if missed && head.n > self.sure_n {
            self.doubt_what_is_held();
        }
        self.sure_n = self.sure_n.max(head.n);
        let last = head.last_message.clone().filter(|_| keep_facts);
        self.unread = Unread::from_head(&head);
        self.head = head;
        self.needs_head = false;
        self.forget_what_is_hidden();
        if let Some(last) = last {
            self.doubt.clear(last.seq, last.seq);
            self.hold(last);
        }
        true
    }

    /// Takes an event of the stream. One that the head reports already changes at most what is held.
    pub fn take_event(&mut self, event: &v1::Event, own: AccountId, keep_facts: bool) -> Applied {
        let mut applied = Applied::default();
        let held_some = !self.ranges.islands().is_empty();
        if event.n > self.head.n {
            applied.head = true;
            let expected = self.head.seq + 1;
            if held_some && self.head.seq > 0 && event.seq > expected {
                applied.gap = Some((expected, event.seq - 1));
            }
            if event.seq > expected {
                self.forget_withheld();
                let held = self.ranges.islands().iter();
                held.for_each(|&(low, high)| self.doubt.raise(low, high, self.sure_n));
            }
            self.advance(event, own);
        }
        applied.facts = keep_facts && self.hold(event.clone());
        if event.seq > 0 && event.n >= self.sure_n {
            self.sure_n = event.n;
        } else if applied.facts {
            // As old as its command: what has become of it since is not known.
            self.doubt.raise(event.seq, event.seq, event.n);
        }
        applied
    }

    /// Takes the answer to a page request.
    pub fn take_page(&mut self, asked: &v1::GetPage, page: &v1::Page) {
        let first = page.events.first().map(|event| event.seq);
        let last = page.events.last().map(|event| event.seq);
        let end = if asked.before_seq > 0 {
            asked.before_seq - 1
        } else {
            // Without a bound, the page reaches the newest fact, visible or not, that it knew of.
            last.unwrap_or_default().max(if page.n >= self.head.n { self.head.seq } else { 0 })
        };
        let above_cleared = self.head.cleared_seq + 1;
        let floor = self.head.first_visible_seq.max(above_cleared);
        let is_recheck = asked.changed_after_n > 0;
        let upwards = asked.after_seq > 0 || asked.from_oldest || is_recheck;
        let (low, high) = match (upwards, page.more) {
            (true, true) => (asked.after_seq + 1, last.unwrap_or(asked.after_seq)),
            (true, false) => (asked.after_seq + 1, end),
            (false, true) => (first.unwrap_or(end + 1), end),
            (false, false) => (floor, end),
        };
        let low = low.max(above_cleared);
        if !is_recheck {
            self.ranges.insert(low, high);
        }
        for event in &page.events {
            // What was let go of meanwhile is not asked for by a recheck.
            if !is_recheck || self.ranges.contains(event.seq) {
                self.hold(event.clone());
            }
        }
        if page.n < self.sure_n {
            // Made before something of which this client knows more.
            if !is_recheck {
                self.doubt.raise(low, high, page.n);
            }
        } else if !is_recheck || self.doubt.is_settled_by(asked.changed_after_n) {
            self.doubt.clear(low, high);
        }
    }

    /// Puts back what was saved.
    pub fn restore_facts(&mut self, facts: impl IntoIterator<Item = v1::Event>, ranges: Ranges) {
        self.facts = facts.into_iter().map(|event| (event.seq, event)).collect();
        self.ranges = ranges;
        self.forget_what_is_hidden();
        // The head may have moved on by what proves nothing about the facts.
        self.sure_n = self.facts.values().map(|event| event.n).max().unwrap_or(self.sure_n);
    }

    /// Holds a sequenced fact, unless what is held is newer. Whether it was not held before.
    fn hold(&mut self, mut event: v1::Event) -> bool {
        if event.seq == 0 {
            return false;
        }
        self.rewrite_held(&event);
        if let Some(Change::Edited(edited)) = &mut event.change {
            // As pages tell it: what the message says is held where it stands, or a recall would miss it here.
            edited.message = None;
        }
        if self.is_hidden(event.seq) {
            return false;
        }
        self.ranges.insert(event.seq, event.seq);
        let known_n = self.facts.get(&event.seq).map(|known| known.n);
        if known_n.is_none_or(|known_n| known_n <= event.n) {
            self.facts.insert(event.seq, event);
        }
        if self.facts.len() > FACTS_HELD {
            self.facts.pop_first();
            if let Some((&first, _)) = self.facts.first_key_value() {
                self.ranges.forget_below(first);
                self.doubt.clear(0, first - 1);
            }
        }
        known_n.is_none()
    }

    /// What is held of the message that this fact rewrote is held as it stands since.
    fn rewrite_held(&mut self, event: &v1::Event) {
        match &event.change {
            Some(Change::Recalled(recalled)) => {
                if let Some(held) = self.facts.get_mut(&recalled.seq) {
                    held.recall(event.n);
                }
            }
            Some(Change::Edited(edited)) => match (self.facts.get_mut(&edited.seq), &edited.message) {
                (Some(held), Some(stands)) => {
                    held.edit(event.n, stands);
                }
                // What it says now, only a page tells.
                (Some(held), None) if held.n < event.n => {
                    self.doubt.raise(edited.seq, edited.seq, held.n);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Sequenced facts were missed: what is held is right only as of what was sure before.
    fn doubt_what_is_held(&mut self) {
        self.forget_withheld();
        for (low, high) in self.ranges.islands().to_vec() {
            if self.facts.range(low..=high).count() < FACTS_WORTH_A_RECHECK {
                self.forget(low, high);
            } else {
                self.doubt.raise(low, high, self.sure_n);
            }
        }
    }

    /// What was withheld may be shown to one who came back, under the n that it has.
    fn forget_withheld(&mut self) {
        let withheld = |event: &v1::Event| match &event.change {
            Some(Change::Message(message)) => message.withheld,
            _ => false,
        };
        let seqs: Vec<u64> = self.facts.values().filter(|event| withheld(event)).map(|it| it.seq).collect();
        seqs.into_iter().for_each(|seq| self.forget(seq, seq));
    }

    fn forget(&mut self, low: u64, high: u64) {
        self.facts.retain(|&seq, _| seq < low || seq > high);
        self.ranges.remove(low, high);
        self.doubt.clear(low, high);
    }

    fn begin(&mut self, created: &v1::Created, author: AccountId, own: AccountId) {
        self.head.kind = created.kind;
        self.head.title.clone_from(&created.title);
        self.head.avatar.clone_from(&created.avatar);
        self.head.history_visible = created.history_visible && is_group(created.kind());
        self.head.member_count = created.members.len() as u32 + 1;
        if created.kind() == ConversationKind::Direct {
            let other = created.members.iter().copied().find(|&member| member != own.get());
            self.head.peer = if author == own { other.unwrap_or(own.get()) } else { author.get() };
        }
        if is_group(created.kind()) && author == own {
            self.head.role = Role::Owner.into();
        }
    }

    /// Folds an event that is newer than the head into it.
    fn advance(&mut self, event: &v1::Event, own: AccountId) {
        self.head.n = event.n;
        if event.seq > 0 {
            self.head.seq = self.head.seq.max(event.seq);
            self.head.ordinal = self.head.ordinal.max(event.ordinal);
            self.head.at_ms = event.at_ms;
        }
        match &event.change {
            Some(Change::Message(message)) => {
                self.head.last_message = Some(event.clone());
                if event.author != own.get() {
                    let by_name = message.mentions.contains(&own.get());
                    self.unread.mentioned(event.seq, by_name, message.mention_all);
                } else if !message.uncounted {
                    self.unread.own_send(event.seq, event.ordinal);
                }
            }
            Some(Change::MarkMoved(moved)) => self.move_mark(moved, own),
            Some(Change::Renamed(renamed)) => self.head.title.clone_from(&renamed.title),
            Some(Change::MembersAdded(added)) => {
                self.head.member_count += added.members.len() as u32;
                // What a newcomer may see, and from where it counts, only a head tells.
                if added.members.contains(&own.get()) {
                    self.needs_head = true;
                    self.forget_withheld();
                }
            }
            Some(Change::MemberRemoved(removed)) => self.remove_member(removed, own),
            Some(Change::RoleSet(set)) => {
                if set.member == own.get() {
                    self.head.role = set.role;
                } else if set.role() == Role::Owner && self.head.role() == Role::Owner {
                    self.needs_head = true;
                }
            }
            Some(Change::Recalled(recalled)) => {
                if let Some(last) = self.head.last_message.as_mut().filter(|last| last.seq == recalled.seq) {
                    last.recall(event.n);
                }
            }
            Some(Change::Edited(edited)) => {
                if let Some(last) = self.head.last_message.as_mut().filter(|last| last.seq == edited.seq) {
                    match &edited.message {
                        Some(stands) => drop(last.edit(event.n, stands)),
                        None => self.needs_head = true,
                    }
                }
            }
            Some(Change::AvatarSet(set)) => self.head.avatar.clone_from(&set.avatar),
            Some(Change::HistoryVisibleSet(set)) => self.head.history_visible = set.visible,
            Some(Change::Dissolved(_)) => self.end(),
            Some(Change::DeliveredMoved(moved)) => self.move_delivered(moved),
            Some(Change::UnreadMarked(set)) => self.head.marked_unread = set.marked,
            Some(Change::MessagesHidden(hidden)) => self.hide(&hidden.ranges),
            Some(Change::HistoryCleared(cleared)) => self.clear(cleared),
            Some(Change::Created(_)) => {}
            // A kind of a newer server: what it did to the head only a head tells.
            None => self.needs_head = true,
        }
    }

    fn move_mark(&mut self, moved: &v1::MarkMoved, own: AccountId) {
        if moved.member == own.get() {
            self.head.mark = self.head.mark.max(moved.seq);
            self.head.marked_unread = false;
            self.unread.raise_base(moved.seq, moved.ordinal);
        } else if self.peer() == Some(AccountId(moved.member)) {
            self.head.peer_mark = self.head.peer_mark.max(moved.seq);
            // What was read has come.
            self.head.peer_delivered = self.head.peer_delivered.max(moved.seq);
        }
    }

    fn remove_member(&mut self, removed: &v1::MemberRemoved, own: AccountId) {
        self.head.member_count = self.head.member_count.saturating_sub(1);
        if removed.member == own.get() {
            self.head.role = Role::Unspecified.into();
            self.unread.part();
            self.head.history_visible = false;
        } else if removed.new_owner == own.get() && removed.new_owner > 0 {
            self.head.role = Role::Owner.into();
        }
    }
}

fn is_group(kind: ConversationKind) -> bool {
    matches!(kind, ConversationKind::Group | ConversationKind::Channel)
}

#[cfg(test)]
mod tests;
