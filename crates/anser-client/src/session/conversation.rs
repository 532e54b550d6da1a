//! One conversation as this client knows it: its head kept current by events, and the facts it holds.

use std::collections::BTreeMap;

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, ConversationKind, Role, event::Change};
use anser_proto::wire::{self, BadId};

use crate::session::ranges::Ranges;
use crate::session::unread::Unread;

/// Facts that are held of one conversation; the oldest go first, and are fetched when looked at.
pub const FACTS_HELD: usize = 1_000;

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
        Ok(Conversation { cid, head, unread, needs_head: false, facts, ranges: Ranges::default() })
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

    /// The sequenced facts that are held, ascending by seq.
    pub fn facts(&self) -> impl DoubleEndedIterator<Item = &v1::Event> {
        self.facts.values()
    }

    /// Which seqs are held, or known not to be visible.
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Takes a newer head. Whether it was taken: an older one than known is stale.
    pub fn take_head(&mut self, head: v1::Head, keep_facts: bool) -> bool {
        if head.n < self.head.n {
            return false;
        }
        if let Some(last) = head.last_message.as_ref().filter(|_| keep_facts) {
            self.hold(last.clone());
        }
        self.unread = Unread::from_head(&head);
        self.head = head;
        self.needs_head = false;
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
            self.advance(event, own);
        }
        applied.facts = keep_facts && self.hold(event.clone());
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
        let floor = self.head.first_visible_seq.max(1);
        let (low, high) = match (asked.after_seq > 0, page.more) {
            (true, true) => (asked.after_seq + 1, last.unwrap_or(asked.after_seq)),
            (true, false) => (asked.after_seq + 1, end),
            (false, true) => (first.unwrap_or(end + 1), end),
            (false, false) => (floor, end),
        };
        self.ranges.insert(low, high);
        for event in &page.events {
            self.hold(event.clone());
        }
    }

    /// Puts back what was saved.
    pub fn restore_facts(&mut self, facts: impl IntoIterator<Item = v1::Event>, ranges: Ranges) {
        self.facts = facts.into_iter().map(|event| (event.seq, event)).collect();
        self.ranges = ranges;
    }

    /// Holds a sequenced fact, once. Whether it is new.
    fn hold(&mut self, event: v1::Event) -> bool {
        if event.seq == 0 {
            return false;
        }
        self.ranges.insert(event.seq, event.seq);
        let is_new = self.facts.insert(event.seq, event).is_none();
        if self.facts.len() > FACTS_HELD {
            self.facts.pop_first();
            if let Some((&first, _)) = self.facts.first_key_value() {
                self.ranges.forget_below(first);
            }
        }
        is_new
    }

    fn begin(&mut self, created: &v1::Created, author: AccountId, own: AccountId) {
        self.head.kind = created.kind;
        self.head.title.clone_from(&created.title);
        self.head.member_count = created.members.len() as u32 + 1;
        if created.kind() == ConversationKind::Direct {
            let other = created.members.iter().copied().find(|&member| member != own.get());
            self.head.peer = if author == own { other.unwrap_or(own.get()) } else { author.get() };
        }
        if created.kind() == ConversationKind::Group && author == own {
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
                if event.author == own.get() && !message.uncounted {
                    self.unread.own_send(event.seq, event.ordinal);
                }
            }
            Some(Change::MarkMoved(moved)) => self.move_mark(moved, own),
            Some(Change::Renamed(renamed)) => self.head.title.clone_from(&renamed.title),
            Some(Change::MembersAdded(added)) => {
                self.head.member_count += added.members.len() as u32;
                // What a newcomer may see, and from where it counts, only a head tells.
                self.needs_head |= added.members.contains(&own.get());
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
            Some(Change::Created(_)) => {}
            // A kind of a newer server: what it did to the head only a head tells.
            None => self.needs_head = true,
        }
    }

    fn move_mark(&mut self, moved: &v1::MarkMoved, own: AccountId) {
        if moved.member == own.get() {
            self.head.mark = self.head.mark.max(moved.seq);
            self.unread.raise_base(moved.seq, moved.ordinal);
        } else if self.peer() == Some(AccountId(moved.member)) {
            self.head.peer_mark = self.head.peer_mark.max(moved.seq);
        }
    }

    fn remove_member(&mut self, removed: &v1::MemberRemoved, own: AccountId) {
        self.head.member_count = self.head.member_count.saturating_sub(1);
        if removed.member == own.get() {
            self.head.role = Role::Unspecified.into();
        } else if removed.new_owner == own.get() && removed.new_owner > 0 {
            self.head.role = Role::Owner.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: AccountId = AccountId(1);
    const PEER: AccountId = AccountId(2);

    fn event(n: u64, seq: u64, author: AccountId, change: Change) -> v1::Event {
        let cid = wire::cid_bytes(ConversationId::direct(OWN, PEER));
        let ordinal = seq.saturating_sub(1);
        v1::Event {
            n,
            seq,
            ordinal,
            cid,
            author: author.get(),
            at_ms: n,
            change: Some(change),
            ..v1::Event::default()
        }
    }

    fn text(n: u64, seq: u64, author: AccountId) -> v1::Event {
        event(n, seq, author, Change::Message(v1::Message::text("x")))
    }

    fn direct() -> Conversation {
        let created = v1::Created {
            kind: ConversationKind::Direct.into(),
            title: String::new(),
            members: vec![OWN.get()],
        };
        let first = event(1, 1, PEER, Change::Created(created));
        let mut conversation = Conversation::from_event(&first, OWN).unwrap();
        conversation.take_event(&first, OWN, true);
        conversation
    }

    #[test]
    fn events_keep_the_head() {
        let mut it = direct();
        assert_eq!((it.peer(), it.needs_head(), it.unread()), (Some(PEER), false, 0));
        it.take_event(&text(2, 2, PEER), OWN, true);
        it.take_event(&text(3, 3, OWN), OWN, true);
        it.take_event(&text(4, 4, PEER), OWN, true);
        assert_eq!(it.unread(), 2);
        let mark = v1::MarkMoved { member: OWN.get(), seq: 3, ordinal: 2 };
        it.take_event(&event(5, 0, OWN, Change::MarkMoved(mark)), OWN, true);
        assert_eq!((it.unread(), it.mark(), it.seq()), (1, 3, 4));
        let mark = v1::MarkMoved { member: PEER.get(), seq: 4, ordinal: 3 };
        it.take_event(&event(6, 0, PEER, Change::MarkMoved(mark)), OWN, true);
        assert_eq!((it.head().peer_mark, it.unread()), (4, 1));
        assert_eq!(it.ranges().islands(), [(1, 4)]);
    }

    #[test]
    fn what_the_head_reports_already_changes_nothing() {
        let mut it = direct();
        it.take_event(&text(2, 2, PEER), OWN, true);
        assert_eq!(it.take_event(&text(2, 2, PEER), OWN, true), Applied::default());
        assert_eq!(it.facts().count(), 2);
        let stale = v1::Head { n: 1, ..it.head() };
        assert!(!it.take_head(stale, true));
        assert_eq!(it.unread(), 1);
    }

    #[test]
    fn a_jump_is_a_gap_and_a_page_fills_it() {
        let mut it = direct();
        let applied = it.take_event(&text(9, 5, PEER), OWN, true);
        assert_eq!(applied.gap, Some((2, 4)));
        assert_eq!(it.ranges().gap_below(5, 1), Some((2, 4)));
        let asked = v1::GetPage { after_seq: 1, before_seq: 5, limit: 200, ..v1::GetPage::default() };
        let events = vec![text(2, 2, PEER), text(4, 4, OWN)];
        it.take_page(&asked, &v1::Page { events, n: 9, ..v1::Page::default() });
        assert_eq!(it.ranges().islands(), [(1, 5)]);
        assert_eq!(it.facts().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 4, 5]);
    }

    #[test]
    fn pages_cover_what_they_say_they_cover() {
        let page = |asked: v1::GetPage, seqs: &[u64], more| {
            let mut it = Conversation::from_head(v1::Head {
                cid: wire::cid_bytes(ConversationId::direct(OWN, PEER)),
                n: 50,
                seq: 20,
                first_visible_seq: 3,
                ..v1::Head::default()
            })
            .unwrap();
            let events = seqs.iter().map(|&seq| text(seq, seq, PEER)).collect();
            it.take_page(&asked, &v1::Page { events, more, n: 50, ..v1::Page::default() });
            it.ranges().islands().to_vec()
        };
        let asked = |after_seq, before_seq| v1::GetPage { after_seq, before_seq, ..v1::GetPage::default() };
        assert_eq!(page(asked(0, 0), &[18, 19], true), [(18, 20)]);
        assert_eq!(page(asked(0, 0), &[], false), [(3, 20)]);
        assert_eq!(page(asked(0, 10), &[7, 8], true), [(7, 9)]);
        assert_eq!(page(asked(5, 0), &[6, 7], true), [(6, 7)]);
        assert_eq!(page(asked(5, 12), &[6, 7], false), [(6, 11)]);
        assert_eq!(page(asked(5, 12), &[], true), []);
    }

    #[test]
    fn being_removed_leaves_a_tombstone() {
        let mut it = direct();
        let removed = v1::MemberRemoved { member: OWN.get(), left: false, new_owner: 0 };
        it.take_event(&event(7, 2, PEER, Change::MemberRemoved(removed)), OWN, true);
        assert!(!it.is_member());
    }
}
