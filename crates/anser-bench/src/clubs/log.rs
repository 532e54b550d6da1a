//! What happened in one conversation, as those who did it were told, and what must follow from it for each of
//! them: said plainly, fact by fact, without the rules of the product.

use std::collections::{BTreeMap, BTreeSet};

use anser_model::limits::{OWN_SENDS_KEPT, VERSIONS_KEPT};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, ConversationKind, Role, event::Change};

/// Something that happened at a seq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The conversation came to be.
    Created {
        /// Its title.
        title: String,
        /// Who is in it besides its author.
        members: Vec<AccountId>,
        /// Whether those who join see what was before.
        visible: bool,
    },
    /// Somebody said something.
    Said(String),
    /// Somebody said something else in a message.
    Edited(u64, String),
    /// A message was taken back.
    Recalled(u64),
    /// Somebody joined.
    Added(AccountId),
    /// Somebody was put out.
    Removed(AccountId),
    /// Its author left.
    Left,
    /// Somebody is an admin from now on, or no longer.
    Appointed(AccountId, bool),
    /// It has another title.
    Renamed(String),
    /// It has another picture.
    Pictured(String),
    /// Those who join from now on see what was before, or do not.
    Opened(bool),
    /// It ended.
    Dissolved,
}

/// A fact that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Whose doing it was.
    pub author: AccountId,
    /// Its number in its slot, where it was told.
    pub n: Option<u64>,
    /// What it was.
    pub what: What,
}

/// What one member decided for itself alone, as it was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registers {
    /// It has read up to here.
    pub mark: u64,
    /// It has cleared everything up to here.
    pub cleared: u64,
    /// It has hidden these.
    pub hidden: BTreeSet<u64>,
    /// It wants it to be shown as unread.
    pub marked_unread: bool,
}

/// One conversation.
#[derive(Debug, Clone)]
pub struct Log {
    /// Which.
    pub cid: ConversationId,
    /// Of which kind.
    pub kind: ConversationKind,
    /// By seq, from 1.
    pub facts: Vec<Fact>,
    /// By account.
    pub registers: BTreeMap<AccountId, Registers>,
}

/// What a row says to one who is shown it.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// A message: what it says, and how often it was edited.
    Says(String, u32),
    /// A message that was taken back.
    Recalled,
    /// A message that was edited where one cannot see.
    Withheld,
    /// Anything else.
    Change(Change),
}

/// A head, in the parts that follow from the log.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadShown {
    pub kind: i32,
    pub seq: u64,
    pub ordinal: u64,
    pub title: String,
    pub avatar: String,
    pub history_visible: bool,
    pub role: i32,
    pub mark: u64,
    pub unread: u64,
    pub marked_unread: bool,
    pub cleared: u64,
    pub hidden: Vec<u64>,
    pub member_count: u64,
    pub first_visible: u64,
    pub peer: u64,
    pub peer_mark: u64,
    pub last_message: Option<(u64, Shown)>,
}

impl Shown {
    /// Of an event, as it came.
    pub fn of(event: &v1::Event) -> Option<Shown> {
        Some(match event.change.clone()? {
            Change::Message(message) if message.recalled && message.text.is_empty() => Shown::Recalled,
            Change::Message(message) if message.withheld && message.text.is_empty() => Shown::Withheld,
            Change::Message(message) => Shown::Says(message.text, message.edits),
            // Whom an edit is told with its words depends on who is there.
            Change::Edited(edited) => Shown::Change(Change::Edited(v1::Edited { message: None, ..edited })),
            change => Shown::Change(change),
        })
    }
}

impl HeadShown {
    /// Of a head, as it came.
    pub fn of(head: &v1::Head) -> HeadShown {
        let hidden = head.hidden.iter().flat_map(|range| range.low..=range.high).collect();
        let last = head.last_message.as_ref();
        HeadShown {
            kind: head.kind,
            seq: head.seq,
            ordinal: head.ordinal,
            title: head.title.clone(),
            avatar: head.avatar.clone(),
            history_visible: head.history_visible,
            role: head.role,
            mark: head.mark,
            unread: head.unread,
            marked_unread: head.marked_unread,
            cleared: head.cleared_seq,
            hidden,
            member_count: u64::from(head.member_count),
            // A client that was told of the creation knows of no bound.
            first_visible: head.first_visible_seq.max(1),
            peer: head.peer,
            peer_mark: head.peer_mark,
            last_message: last.and_then(|last| Some((last.seq, Shown::of(last)?))),
        }
    }
}

impl Log {
    /// Facts with their seqs.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = (u64, &Fact)> {
        (1..).zip(&self.facts).collect::<Vec<_>>().into_iter()
    }

    /// The newest seq.
    pub fn newest(&self) -> u64 {
        self.facts.len() as u64
    }

    /// What a member decided for itself.
    pub fn registers_of(&self, account: AccountId) -> Registers {
        self.registers.get(&account).cloned().unwrap_or_default()
    }

    /// Everybody who is or was in it.
    pub fn everybody(&self) -> BTreeSet<AccountId> {
        let mut everybody = BTreeSet::new();
        for fact in &self.facts {
            match &fact.what {
                What::Created { members, .. } => {
                    everybody.insert(fact.author);
                    everybody.extend(members);
                }
                What::Added(member) => _ = everybody.insert(*member),
                _ => {}
            }
        }
        everybody
    }

    /// When somebody was in it: from the seq by which it came to the one by which it went, both included.
    pub fn stays(&self, account: AccountId) -> Vec<(u64, u64)> {
        let mut stays: Vec<(u64, u64)> = Vec::new();
        for (seq, fact) in self.rows() {
            let is_in = stays.last().is_some_and(|(_, end)| *end == u64::MAX);
            let comes = match &fact.what {
                What::Created { members, .. } => fact.author == account || members.contains(&account),
                What::Added(member) => *member == account,
                _ => false,
            };
            let goes = match &fact.what {
                What::Removed(member) => *member == account,
                What::Left => fact.author == account,
                What::Dissolved => true,
                _ => false,
            };
            if comes && !is_in {
                stays.push((seq, u64::MAX));
            } else if goes
                && is_in
                && let Some(stay) = stays.last_mut()
            {
                stay.1 = seq;
            }
        }
        stays
    }

    /// Whether somebody was in it when something happened.
    pub fn was_there(&self, account: AccountId, seq: u64) -> bool {
        self.stays(account).iter().any(|&(from, to)| (from..=to).contains(&seq))
    }

    /// Whether somebody may see what happened: while it was there, and before, where that was decided.
    pub fn may_see(&self, account: AccountId, seq: u64) -> bool {
        let sees_before = |from: u64| from > 1 && self.is_open_before(from);
        self.stays(account).iter().any(|&(from, to)| seq <= to && (seq >= from || sees_before(from)))
    }

    /// Whether those who join by a seq see what was before.
    fn is_open_before(&self, seq: u64) -> bool {
        let before = self.facts.iter().take(seq as usize - 1).rev();
        let decided = before.filter_map(|fact| match &fact.what {
            What::Created { visible, .. } | What::Opened(visible) => Some(*visible),
            _ => None,
        });
        decided.take(1).any(|visible| visible)
    }

    /// Whether somebody is in it now.
    pub fn is_present(&self, account: AccountId) -> bool {
        self.stays(account).last().is_some_and(|&(_, to)| to == u64::MAX)
    }

    /// Who is in it once a seq has happened.
    pub fn present_at(&self, seq: u64) -> Vec<AccountId> {
        let there =
            |account: &AccountId| self.stays(*account).iter().any(|&(from, to)| from <= seq && seq < to);
        self.everybody().into_iter().filter(there).collect()
    }

    /// What somebody is in it once a seq has happened, if it is in it.
    pub fn role_at(&self, account: AccountId, seq: u64) -> Role {
        let mut role = Role::Unspecified;
        for (_, fact) in self.rows().take_while(|(at, _)| *at <= seq) {
            match &fact.what {
                What::Created { .. } if fact.author == account && self.kind != ConversationKind::Direct => {
                    role = Role::Owner;
                }
                What::Created { members, .. } if members.contains(&account) || fact.author == account => {
                    role = Role::Member;
                }
                What::Added(member) if *member == account => role = Role::Member,
                What::Appointed(member, is_admin) if *member == account => {
                    role = if *is_admin { Role::Admin } else { Role::Member };
                }
                What::Removed(member) if *member == account => role = Role::Unspecified,
                What::Left if fact.author == account => role = Role::Unspecified,
                What::Dissolved => role = Role::Unspecified,
                _ => {}
            }
        }
        role
    }

    /// The newest seq that somebody may see.
    pub fn newest_for(&self, account: AccountId) -> u64 {
        self.stays(account).last().map_or(0, |&(_, to)| to.min(self.newest()))
    }

    /// What changed a message: the seqs of its edits, and that of its recall.
    fn rewrites(&self, seq: u64) -> (Vec<(u64, &str)>, Option<u64>) {
        let edit = |(at, fact): (u64, &'_ Fact)| match &fact.what {
            What::Edited(of, _) if *of == seq => Some(at),
            _ => None,
        };
        let edits = self.rows().filter_map(edit).collect::<Vec<_>>();
        let text = |at: u64| match &self.facts[at as usize - 1].what {
            What::Edited(_, text) => text.as_str(),
            _ => "",
        };
        let is_recall = |fact: &Fact| fact.what == What::Recalled(seq);
        let recall = self.rows().find(|(_, fact)| is_recall(fact)).map(|(at, _)| at);
        (edits.into_iter().map(|at| (at, text(at))).collect(), recall)
    }

    /// Everything that a row ever said, each with the n by which it did; the last one is what stands.
    pub fn forms(&self, account: AccountId, seq: u64) -> Vec<(Option<u64>, Shown)> {
        let Some(fact) = self.facts.get((seq as usize).wrapping_sub(1)) else { return Vec::new() };
        let What::Said(text) = &fact.what else {
            return vec![(fact.n, Shown::Change(self.change(fact)))];
        };
        let (edits, recall) = self.rewrites(seq);
        let n_of = |at: u64| self.facts[at as usize - 1].n;
        let mut forms = vec![(fact.n, Shown::Says(text.clone(), 0))];
        for (times, (at, text)) in (1..).zip(edits) {
            let says = Shown::Says(text.to_owned(), times);
            forms.push((n_of(at), if self.may_see(account, at) { says } else { Shown::Withheld }));
        }
        forms.extend(recall.map(|at| (n_of(at), Shown::Recalled)));
        forms
    }

    /// Whether a row was shown without its words, under an n: an edit of that n happened while one was not there,
    /// which may be visible by now.
    pub fn was_withheld(&self, account: AccountId, seq: u64, n: u64) -> bool {
        let (edits, _) = self.rewrites(seq);
        let edit = edits.into_iter().find(|&(at, _)| self.facts[at as usize - 1].n == Some(n));
        edit.is_some_and(|(at, _)| !self.was_there(account, at))
    }

    /// What a row says now, to one who may see it.
    pub fn stands(&self, account: AccountId, seq: u64) -> Option<(Option<u64>, Shown)> {
        self.forms(account, seq).pop().filter(|_| self.may_see(account, seq))
    }

    /// The rows that somebody is given: what it may see, and has neither hidden nor cleared.
    pub fn page(&self, account: AccountId) -> Vec<(u64, Option<u64>, Shown)> {
        let given = (1..=self.newest()).filter(|&seq| self.is_given(account, seq));
        given.filter_map(|seq| self.stands(account, seq).map(|(n, shown)| (seq, n, shown))).collect()
    }

    fn is_given(&self, account: AccountId, seq: u64) -> bool {
        let registers = self.registers_of(account);
        self.may_see(account, seq) && seq > registers.cleared && !registers.hidden.contains(&seq)
    }

    /// What a message said before each edit, oldest first, as far as somebody could see it.
    pub fn versions(&self, account: AccountId, seq: u64) -> Vec<String> {
        let Some(What::Said(first)) = self.facts.get(seq as usize - 1).map(|fact| &fact.what) else {
            return Vec::new();
        };
        let (edits, _) = self.rewrites(seq);
        let said = std::iter::once((seq, first.as_str())).chain(edits).collect::<Vec<_>>();
        let before = &said[..said.len() - 1];
        let kept = &before[before.len().saturating_sub(VERSIONS_KEPT)..];
        kept.iter().filter(|(by, _)| self.may_see(account, *by)).map(|(_, text)| (*text).to_owned()).collect()
    }

    /// Messages that say something, and were edited, of those that somebody is given.
    pub fn edited_for(&self, account: AccountId) -> Vec<u64> {
        let is_edited = |seq: &u64| {
            let shown = self.stands(account, *seq).map(|(_, shown)| shown);
            self.is_given(account, *seq) && matches!(shown, Some(Shown::Says(_, 1..)))
        };
        (1..=self.newest()).filter(is_edited).collect()
    }

    /// The head, as one who is or was in it must be told.
    pub fn head(&self, account: AccountId) -> HeadShown {
        let (registers, seq) = (self.registers_of(account), self.newest_for(account));
        let is_present = self.is_present(account);
        let mut head = HeadShown {
            kind: self.kind.into(),
            seq,
            ordinal: self.messages(seq).count() as u64,
            title: String::new(),
            avatar: String::new(),
            history_visible: is_present && self.is_open_before(seq + 1),
            role: if is_present { self.role_at(account, seq).into() } else { Role::Unspecified.into() },
            mark: registers.mark,
            unread: self.unread(account),
            marked_unread: registers.marked_unread,
            cleared: registers.cleared,
            hidden: registers.hidden.range(registers.cleared + 1..).copied().collect(),
            member_count: self.present_at(seq).len() as u64,
            first_visible: (1..=seq).find(|&seq| self.may_see(account, seq)).unwrap_or_default(),
            peer: 0,
            peer_mark: 0,
            last_message: None,
        };
        for (_, fact) in self.rows().take_while(|(at, _)| *at <= seq) {
            match &fact.what {
                What::Created { title, .. } | What::Renamed(title) => head.title.clone_from(title),
                What::Pictured(avatar) => head.avatar.clone_from(avatar),
                _ => {}
            }
        }
        if self.kind == ConversationKind::Direct {
            head.history_visible = false;
            let peer = self.everybody().into_iter().find(|&other| other != account).unwrap_or(account);
            (head.peer, head.peer_mark) = (peer.get(), self.registers_of(peer).mark);
        }
        // The newest message of the conversation, or nothing.
        let last = self.messages(seq).next_back().filter(|&seq| self.is_given(account, seq));
        head.last_message = last.and_then(|seq| self.stands(account, seq).map(|(_, shown)| (seq, shown)));
        head
    }

    /// How far messages must have come to a device of the other one of a direct conversation, by what the account
    /// is told: its newest message, where that waits to be read.
    pub fn delivered_due(&self, account: AccountId) -> u64 {
        let Some(peer) = self.everybody().into_iter().find(|&other| other != account) else { return 0 };
        let (registers, newest) = (self.registers_of(peer), self.newest());
        let is_by = |who: AccountId| move |seq: &u64| self.author(*seq) == Some(who);
        let Some(last) = self.messages(newest).rfind(is_by(account)) else { return 0 };
        let waits = last > registers.mark.max(registers.cleared) && !registers.hidden.contains(&last);
        // With many of its own behind it, the other one counts as having read it.
        let own = self.messages(newest).filter(is_by(peer)).filter(|seq| *seq > last).count();
        if waits && own < OWN_SENDS_KEPT { last } else { 0 }
    }

    fn messages(&self, up_to: u64) -> impl DoubleEndedIterator<Item = u64> {
        let is_message = |(seq, fact): &(u64, &Fact)| *seq <= up_to && matches!(fact.what, What::Said(_));
        self.rows().filter(is_message).map(|(seq, _)| seq).collect::<Vec<_>>().into_iter()
    }

    /// Messages of others past the base: the largest of the mark, where one came last, what one cleared, and the
    /// own message before the newest 64.
    fn unread(&self, account: AccountId) -> u64 {
        let (registers, newest) = (self.registers_of(account), self.newest_for(account));
        let joined = self.stays(account).last().map_or(0, |&(from, _)| from);
        let is_own = |seq: &u64| self.facts[*seq as usize - 1].author == account;
        let own = self.messages(newest).filter(is_own).collect::<Vec<_>>();
        let cap = own.len().checked_sub(OWN_SENDS_KEPT + 1).map_or(0, |place| own[place]);
        let base = registers.mark.max(joined).max(registers.cleared).max(cap);
        self.messages(newest).filter(|seq| *seq > base && !is_own(seq)).count() as u64
    }

    fn change(&self, fact: &Fact) -> Change {
        match &fact.what {
            What::Created { title, members, visible } => Change::Created(v1::Created {
                kind: self.kind.into(),
                title: title.clone(),
                members: members.iter().map(|member| member.get()).collect(),
                avatar: String::new(),
                history_visible: *visible,
            }),
            What::Said(text) => Change::Message(v1::Message::text(text.clone())),
            What::Edited(seq, _) => Change::Edited(v1::Edited { seq: *seq, message: None }),
            What::Recalled(seq) => Change::Recalled(v1::Recalled { seq: *seq }),
            What::Added(member) => Change::MembersAdded(v1::MembersAdded { members: vec![member.get()] }),
            What::Removed(member) => removed(*member, false),
            What::Left => removed(fact.author, true),
            What::Appointed(member, is_admin) => Change::RoleSet(v1::RoleSet {
                member: member.get(),
                role: if *is_admin { Role::Admin } else { Role::Member }.into(),
            }),
            What::Renamed(title) => Change::Renamed(v1::Renamed { title: title.clone() }),
            What::Pictured(avatar) => Change::AvatarSet(v1::AvatarSet { avatar: avatar.clone() }),
            What::Opened(visible) => Change::HistoryVisibleSet(v1::HistoryVisibleSet { visible: *visible }),
            What::Dissolved => Change::Dissolved(v1::Dissolved::default()),
        }
    }

    /// Who did what happened at a seq.
    pub fn author(&self, seq: u64) -> Option<AccountId> {
        self.facts.get((seq as usize).wrapping_sub(1)).map(|fact| fact.author)
    }

    /// Whether there is a message that somebody may see, and that says something still.
    pub fn may_change(&self, account: AccountId, seq: u64) -> bool {
        let fact = self.facts.get((seq as usize).wrapping_sub(1));
        let is_message = fact.is_some_and(|fact| matches!(fact.what, What::Said(_)));
        is_message && self.may_see(account, seq) && self.rewrites(seq).1.is_none()
    }
}

fn removed(member: AccountId, left: bool) -> Change {
    Change::MemberRemoved(v1::MemberRemoved { member: member.get(), left, new_owner: 0 })
}
