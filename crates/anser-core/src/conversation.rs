//! The state of one conversation: a fold of its facts, from which the next ones are decided.

mod dissolved;
mod registers;

use std::collections::BTreeMap;
use std::sync::Arc;

use anser_model::{
    AccountId, Change, ConversationFact, ConversationId, ConversationKind, DeviceId, Intervals, Message, N,
    Ordinal, Role, Seq, SeqRanges, Slot, UnixMillis, Unread, planted,
};

use crate::storage::StoredFact;

/// Mentions of everybody that a conversation keeps.
const MENTIONS_OF_ALL_KEPT: usize = 2;

/// A conversation as of its newest fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// What all members share.
    pub shared: Shared,
    /// Members, present and former.
    pub members: BTreeMap<AccountId, Member>,
    /// Present members, shared with every event on its way.
    roster: Arc<[AccountId]>,
}

/// What all members share of a conversation, and what its row in the index holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Which.
    pub cid: ConversationId,
    /// `None` until it was created: nothing there, or a self conversation that holds registers only.
    pub kind: Option<ConversationKind>,
    /// Title of a group.
    pub title: String,
    /// Picture of a group; empty for none.
    pub avatar: String,
    /// Whether those who join later see what was before.
    pub history_visible: bool,
    /// Newest seq.
    pub head: Seq,
    /// Countable messages so far.
    pub ordinal: Ordinal,
    /// When the newest sequenced fact was decided.
    pub at: UnixMillis,
    /// When the newest fact of any kind was decided.
    pub touched_at: UnixMillis,
    /// n of the newest fact that all members see.
    pub n_shared: N,
    /// n of the newest read mark that others see.
    pub n_receipts: N,
    /// n of the newest fact of any kind.
    pub n_newest: N,
    /// The newest message.
    pub last_message: Option<Arc<StoredFact>>,
    /// The two of a direct conversation with their read marks; empty for other kinds.
    pub pair: Vec<(AccountId, Seq)>,
    /// The newest mentions of everybody, ascending, at most one by each author: the last one that is not a
    /// given account's own is among two.
    pub mention_all: Vec<(Seq, AccountId)>,
    /// How far messages have come to devices of those two, where that is known; what was read has come.
    pub delivered: BTreeMap<AccountId, Seq>,
    /// Present members.
    pub member_count: u32,
    /// What only a self conversation has.
    pub home: Home,
}

/// One member, present or former.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The role; what it was, for a former member.
    pub role: Role,
    /// When the present or last membership began.
    pub joined_at: UnixMillis,
    /// The seq of the fact by which it began.
    pub joined_seq: Seq,
    /// What it may see.
    pub intervals: Intervals,
    /// How far it has read.
    pub mark: Seq,
    /// What its unread count follows from.
    pub unread: Unread,
    /// Whether it marked the conversation as unread, and has not read on since.
    pub marked_unread: bool,
    /// Everything up to here it has cleared.
    pub cleared: Seq,
    /// What it has hidden besides.
    pub hidden: SeqRanges,
    /// The newest time of a client id of its accepted commands: one minted later was never used here.
    pub newest_client_time: UnixMillis,
    /// n of the newest fact that concerns this member alone.
    pub n: N,
    /// The conversation as of the removal, for a former member.
    pub tombstone: Option<Box<Tombstone>>,
}

/// What a former member is told of a conversation, for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstone {
    /// The seq of the removal.
    pub head: Seq,
    /// Countable messages up to it.
    pub ordinal: Ordinal,
    /// When.
    pub at: UnixMillis,
    /// The title then.
    pub title: String,
    /// The picture then.
    pub avatar: String,
    /// The newest message then, if it could be seen.
    pub last_message: Option<Arc<StoredFact>>,
    /// Members left.
    pub member_count: u32,
}

/// What the home of an account keeps, in its self conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    /// Slots in which the account has, or was about to have, conversations: one bit each.
    pub entered: [u64; 4],
    /// Tokens with a smaller account version are void.
    pub account_version: u64,
    /// Tokens of these devices with smaller device versions are void.
    pub devices: BTreeMap<DeviceId, u64>,
}

impl Home {
    /// Whether the account is known to have entered `slot`.
    pub fn has_entered(&self, slot: Slot) -> bool {
        self.entered[slot.index() / 64] >> (slot.index() % 64) & 1 == 1
    }

    fn enter(&mut self, slot: Slot) {
        self.entered[slot.index() / 64] |= 1 << (slot.index() % 64);
    }

    /// The slots entered, in order.
    pub fn slots(&self) -> Vec<Slot> {
        Slot::all().filter(|&slot| self.has_entered(slot)).collect()
    }
}

/// Enough of a conversation to paint the list, as one account may see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Which.
    pub cid: ConversationId,
    /// Its kind.
    pub kind: ConversationKind,
    /// n of the newest fact reported.
    pub n: N,
    /// Title of a group.
    pub title: String,
    /// The other one of a direct conversation.
    pub peer: Option<AccountId>,
    /// Newest seq visible.
    pub seq: Seq,
    /// Countable messages up to it.
    pub ordinal: Ordinal,
    /// The picture of a group.
    pub avatar: String,
    /// Whether those who join later see what was before; of no meaning in a tombstone.
    pub history_visible: bool,
    /// The newest message, if it is visible and the asker has neither hidden nor cleared it.
    pub last_message: Option<Arc<StoredFact>>,
    /// `None`: a tombstone.
    pub role: Option<Role>,
    /// The asker's mark.
    pub mark: Seq,
    /// The asker's base and own sends.
    pub unread: Unread,
    /// How many are unread.
    pub unread_count: u64,
    /// The newest message past the base by which somebody else mentions everybody; 0: none, or a tombstone.
    pub mention_all: Seq,
    /// How far the other one of a direct conversation has read.
    pub peer_mark: Option<Seq>,
    /// How far messages have come to devices of the other one of a direct conversation.
    pub peer_delivered: Option<Seq>,
    /// Whether the asker marked it as unread.
    pub marked_unread: bool,
    /// Up to where the asker has cleared it.
    pub cleared: Seq,
    /// What the asker has hidden besides.
    pub hidden: SeqRanges,
    /// Present members.
    pub member_count: u32,
    /// When the newest sequenced fact visible was decided.
    pub at: UnixMillis,
    /// The oldest seq visible.
    pub first_visible: Seq,
}

/// Whose rows a fact changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The conversation's own row.
    pub shared: bool,
    /// Rows of members.
    pub members: Vec<AccountId>,
}

impl Conversation {
    /// Nothing there yet.
    pub fn vacant(cid: ConversationId) -> Self {
        let shared = Shared {
            cid,
            kind: None,
            title: String::new(),
            avatar: String::new(),
            history_visible: false,
            head: Seq(0),
            ordinal: Ordinal(0),
            at: UnixMillis(0),
            touched_at: UnixMillis(0),
            n_shared: N(0),
            n_receipts: N(0),
            n_newest: N(0),
            last_message: None,
            pair: Vec::new(),
            mention_all: Vec::new(),
            delivered: BTreeMap::new(),
            member_count: 0,
            home: Home::default(),
        };
        Conversation { shared, members: BTreeMap::new(), roster: Arc::new([]) }
    }

    /// A conversation read back from its rows.
    pub fn from_rows(shared: Shared, members: BTreeMap<AccountId, Member>) -> Self {
        let mut conversation = Conversation { shared, members, roster: Arc::new([]) };
        conversation.rebuild_roster();
        conversation
    }

    /// Present members.
    pub fn roster(&self) -> &Arc<[AccountId]> {
        &self.roster
    }

    /// A member that is present now.
    pub fn present(&self, account: AccountId) -> Option<&Member> {
        self.members.get(&account).filter(|member| member.intervals.is_open())
    }

    fn rebuild_roster(&mut self) {
        self.roster =
            self.members.iter().filter(|(_, m)| m.intervals.is_open()).map(|(&account, _)| account).collect();
        self.shared.member_count = self.roster.len() as u32;
    }

    /// Folds in the next fact.
    ///
    /// # Panics
    /// When the fact does not follow: a seq or an ordinal that is not the next one, an older n.
    pub fn apply(&mut self, stored: &Arc<StoredFact>) -> Touched {
        let fact = &stored.fact;
        assert_eq!(fact.cid, self.shared.cid, "a fact is applied to its own conversation");
        assert!(stored.n > self.shared.n_newest, "facts are applied in the order of n");
        self.shared.n_newest = stored.n;
        self.shared.touched_at = self.shared.touched_at.max(fact.at);
        let mut touched = Touched { shared: true, members: Vec::new() };
        if let Some(seq) = fact.seq {
            assert_eq!(seq, self.shared.head.next(), "seqs of a conversation have no gap");
            let ordinal = Ordinal(self.shared.ordinal.0 + u64::from(fact.change.is_countable()));
            assert_eq!(fact.ordinal, ordinal, "the ordinal counts countable messages");
            self.shared.head = seq;
            self.shared.ordinal = ordinal;
            self.shared.at = fact.at;
            self.shared.n_shared = stored.n;
        }
        self.apply_change(stored, &mut touched);
        self.note_author(fact, &mut touched);
        for account in &touched.members {
            if let Some(member) = self.members.get_mut(account) {
                member.n = member.n.max(stored.n);
            }
        }
        touched
    }

    fn apply_change(&mut self, stored: &Arc<StoredFact>, touched: &mut Touched) {
        let fact = &stored.fact;
        let seq = fact.seq.unwrap_or_default();
        match &fact.change {
            Change::Created { kind, title, members, history_visible, avatar } => {
                assert!(self.shared.kind.is_none(), "a conversation is created once");
                self.shared.kind = Some(*kind);
                self.shared.title.clone_from(title);
                self.shared.avatar.clone_from(avatar);
                self.shared.history_visible = *history_visible;
                let owner = if kind.is_group() { Role::Owner } else { Role::Member };
                self.join(fact.author, owner, fact, Seq(1), touched);
                members.iter().for_each(|&member| self.join(member, Role::Member, fact, Seq(1), touched));
                if *kind == ConversationKind::Direct {
                    self.shared.pair = self.members.keys().map(|&account| (account, Seq(0))).collect();
                }
                self.rebuild_roster();
            }
            Change::MessageSent(message) => {
                self.shared.last_message = Some(stored.clone());
                self.note_mentions(message, seq, fact.author, touched);
                if fact.change.is_countable()
                    && !planted!(OwnSendsUnread)
                    && let Some(sender) =
                        self.members.get_mut(&fact.author).filter(|it| it.intervals.is_open())
                {
                    sender.unread.own_send(seq, fact.ordinal);
                    touched.members.push(fact.author);
                }
            }
            Change::MembersAdded { members, visible_from } => {
                members
                    .iter()
                    .for_each(|&member| self.join(member, Role::Member, fact, *visible_from, touched));
                self.rebuild_roster();
            }
            Change::MemberRemoved { member, left: _, new_owner } => {
                self.part(*member, fact, touched);
                if let Some(owner) = new_owner {
                    self.set_role(*owner, Role::Owner, touched);
                }
            }
            Change::RoleSet { member, role } => self.set_role(*member, *role, touched),
            Change::Renamed { title } => self.shared.title.clone_from(title),
            Change::AvatarSet { avatar } => self.shared.avatar.clone_from(avatar),
            Change::HistoryVisibleSet { visible } => self.shared.history_visible = *visible,
            Change::Dissolved => self.dissolve(fact, touched),
            Change::Recalled { .. } | Change::Edited { .. } => self.rewrite(stored, touched),
            Change::DeliveredUpTo { .. }
            | Change::UnreadMarked { .. }
            | Change::MessagesHidden { .. }
            | Change::HistoryCleared { .. } => self.apply_register(stored, touched),
            Change::ReadUpTo { member: account, seq, ordinal } => {
                touched.shared = self.shared.kind == Some(ConversationKind::Direct);
                if let Some(member) = self.members.get_mut(account) {
                    member.mark = member.mark.max(*seq);
                    member.marked_unread &= planted!(UnreadMarkStays);
                    member.unread.raise_base(*seq, *ordinal);
                    touched.members.push(*account);
                }
                if let Some((_, mark)) = self.shared.pair.iter_mut().find(|(other, _)| other == account) {
                    *mark = (*mark).max(*seq);
                }
                if touched.shared {
                    self.shared.n_receipts = stored.n;
                }
            }
            Change::Entered { account: _, slot } => self.shared.home.enter(*slot),
            Change::CredentialsRaised { account: _, account_version, device, why: _ } => {
                self.shared.home.account_version = self.shared.home.account_version.max(*account_version);
                if let Some((device, version)) = device {
                    let known = self.shared.home.devices.entry(*device).or_default();
                    *known = (*known).max(*version);
                }
            }
        }
    }

    /// Those present who are named have an unread mention. As it was sent: an edit mentions nobody anew.
    fn note_mentions(&mut self, message: &Message, seq: Seq, author: AccountId, touched: &mut Touched) {
        for account in message.mentions.iter().filter(|&&account| account != author) {
            let member = self.members.get_mut(account).filter(|member| member.intervals.is_open());
            if let Some(member) = member {
                member.unread.mentioned(seq);
                touched.members.push(*account);
            }
        }
        if message.mention_all {
            let last = &mut self.shared.mention_all;
            last.retain(|&(_, other)| other != author);
            last.push((seq, author));
            let excess = last.len().saturating_sub(MENTIONS_OF_ALL_KEPT);
            last.drain(..excess);
        }
    }

    /// The message as it stands from now on takes the place of every copy. Former members who may see it are
    /// concerned as well: nothing else would ever tell them that what they hold is void.
    fn rewrite(&mut self, stored: &Arc<StoredFact>, touched: &mut Touched) {
        let stands = stored.rewritten().expect("called for what rewrites a message, as it is in the log");
        let seq = stands.fact.seq.expect("a message is sequenced");
        let rewritten = stands.fact.rewritten.as_ref().expect("what is rewritten says so");
        assert_eq!(Some(rewritten.by), stored.fact.seq, "a message names the fact that rewrote it");
        assert!(seq < rewritten.by && rewritten.n < stored.n, "a message is rewritten after it was sent");
        let replace = |copy: &mut Option<Arc<StoredFact>>| {
            if let Some(copy) = copy.as_mut().filter(|copy| copy.fact.seq == Some(seq)) {
                *copy = stands.clone();
            }
        };
        replace(&mut self.shared.last_message);
        for (&account, member) in &mut self.members {
            if let Some(tombstone) = member.tombstone.as_mut().filter(|_| member.intervals.contains(seq)) {
                replace(&mut tombstone.last_message);
                touched.members.push(account);
            }
        }
    }

    /// Former members who hold a message that the fact rewrote.
    pub fn void_for(&self, fact: &ConversationFact) -> Arc<[AccountId]> {
        let seq = match &fact.change {
            Change::Recalled { stands } => stands.seq.unwrap_or_default(),
            Change::Edited { seq, .. } => *seq,
            _ => return Arc::new([]),
        };
        let holds = |member: &Member| member.tombstone.is_some() && member.intervals.contains(seq);
        self.members.iter().filter(|(_, member)| holds(member)).map(|(&account, _)| account).collect()
    }

    fn note_author(&mut self, fact: &ConversationFact, touched: &mut Touched) {
        if let Some(key) = &fact.command
            && let Some(author) = self.members.get_mut(&fact.author)
            && (author.intervals.is_open() || !matches!(fact.change, Change::MessageSent(_)))
        {
            author.newest_client_time = author.newest_client_time.max(key.client_id.minted_at());
            if !touched.members.contains(&fact.author) {
                touched.members.push(fact.author);
            }
        }
    }

    fn join(
        &mut self,
        account: AccountId,
        role: Role,
        fact: &ConversationFact,
        visible_from: Seq,
        touched: &mut Touched,
    ) {
        let seq = fact.seq.expect("joining is sequenced");
        let member = self.members.entry(account).or_insert_with(|| Member::joined(Intervals::default()));
        member.role = role;
        member.joined_at = fact.at;
        member.joined_seq = seq;
        member.intervals.begin(if planted!(NewcomersSeePast) { Seq(1) } else { visible_from });
        member.unread.raise_base(seq, fact.ordinal);
        member.tombstone = None;
        touched.members.push(account);
    }

    fn part(&mut self, account: AccountId, fact: &ConversationFact, touched: &mut Touched) {
        self.entomb(account, fact, (self.roster.len() - 1) as u32, touched);
        if !planted!(StaleMembership) {
            self.rebuild_roster();
        }
    }

    /// A membership ends by a fact that leaves so many members.
    fn entomb(
        &mut self,
        account: AccountId,
        fact: &ConversationFact,
        member_count: u32,
        touched: &mut Touched,
    ) {
        let seq = fact.seq.expect("parting is sequenced");
        let last_message = self.shared.last_message.clone();
        let title = self.shared.title.clone();
        let avatar = self.shared.avatar.clone();
        let member = self.members.get_mut(&account).expect("only a member is removed");
        let seen = last_message.filter(|m| m.fact.seq.is_some_and(|seq| member.intervals.contains(seq)));
        member.intervals.end(seq);
        member.tombstone = Some(Box::new(Tombstone {
            head: seq,
            ordinal: fact.ordinal,
            at: fact.at,
            title,
            avatar,
            last_message: seen,
            member_count,
        }));
        touched.members.push(account);
    }

    fn set_role(&mut self, account: AccountId, role: Role, touched: &mut Touched) {
        let member = self.members.get_mut(&account).expect("only a member is given a role");
        member.role = role;
        touched.members.push(account);
    }

    /// Who is told of a fact that was just applied.
    pub fn audience(&self, fact: &ConversationFact) -> Arc<[AccountId]> {
        match &fact.change {
            Change::ReadUpTo { member, .. } if self.shared.kind != Some(ConversationKind::Direct) => {
                Arc::new([*member])
            }
            Change::UnreadMarked { member, .. }
            | Change::MessagesHidden { member, .. }
            | Change::HistoryCleared { member, .. } => Arc::new([*member]),
            Change::Entered { .. } => Arc::new([]),
            Change::CredentialsRaised { account, .. } => Arc::new([*account]),
            Change::Dissolved => self.parted_by(fact),
            Change::MemberRemoved { member, .. } => {
                self.roster.iter().copied().chain(std::iter::once(*member)).collect()
            }
            _ => self.roster.clone(),
        }
    }

    /// The newest n of which `account` has something to be told, 0 if it may know nothing of it.
    pub fn n_for(&self, account: AccountId) -> N {
        match self.members.get(&account) {
            Some(member) => self.shared.n_for(member),
            None => N(0),
        }
    }

    /// The head as `account` may see it; `None` if it was never a member, or nothing is there.
    pub fn head_for(&self, account: AccountId) -> Option<Head> {
        self.shared.head_for(account, self.members.get(&account)?)
    }
}

impl Member {
    /// A sequenced fact as this member is shown it: not at all outside of its intervals, and a message that
    /// was edited outside of them without what it says.
    pub fn shown(&self, fact: &Arc<StoredFact>) -> Option<Arc<StoredFact>> {
        let sees = |seq| self.intervals.contains(seq) || planted!(EditShownOutside);
        if !self.intervals.contains(fact.fact.seq?) && !planted!(PagesUnclipped) {
            return None;
        }
        match &fact.fact.rewritten {
            Some(rewritten) if fact.fact.edits().is_some() && !sees(rewritten.by) => Some(fact.withheld()),
            _ => Some(fact.clone()),
        }
    }
}

impl Shared {
    /// The other one of a direct conversation, with its read mark.
    pub fn peer_of(&self, account: AccountId) -> Option<(AccountId, Seq)> {
        self.pair.iter().copied().find(|&(other, _)| other != account)
    }

    fn mention_all_for(&self, account: AccountId, member: &Member) -> Seq {
        let others = self.mention_all.iter().rev().find(|&&(_, author)| author != account);
        others.map_or(Seq(0), |&(seq, _)| if seq > member.unread.base() { seq } else { Seq(0) })
    }

    /// The newest n of which a member has something to be told.
    pub fn n_for(&self, member: &Member) -> N {
        if member.intervals.is_open() { member.n.max(self.n_shared).max(self.n_receipts) } else { member.n }
    }

    /// The head as one of its members, present or former, may see it.
    pub fn head_for(&self, account: AccountId, member: &Member) -> Option<Head> {
        let peer = self.peer_of(account);
        let head = Head {
            cid: self.cid,
            kind: self.kind?,
            n: self.n_for(member),
            title: self.title.clone(),
            avatar: self.avatar.clone(),
            history_visible: self.history_visible && self.kind.is_some_and(ConversationKind::is_group),
            peer: peer.map(|(peer, _)| peer),
            seq: self.head,
            ordinal: self.ordinal,
            last_message: self.last_message.as_ref().and_then(|message| member.given(message)),
            role: Some(member.role),
            mark: member.mark,
            unread: member.unread.clone(),
            unread_count: 0,
            mention_all: if member.tombstone.is_none() {
                self.mention_all_for(account, member)
            } else {
                Seq(0)
            },
            peer_mark: peer.map(|(_, mark)| mark),
            peer_delivered: peer.map(|(peer, mark)| self.delivered_to(peer).max(mark)),
            marked_unread: member.marked_unread,
            cleared: member.cleared,
            hidden: member.hidden.clone(),
            member_count: self.member_count,
            at: self.at,
            first_visible: member.intervals.oldest(),
        };
        let head = match &member.tombstone {
            None => head,
            Some(_) if planted!(TombstoneOfToday) => Head { role: None, ..head },
            Some(tombstone) => Head {
                title: tombstone.title.clone(),
                avatar: tombstone.avatar.clone(),
                history_visible: false,
                seq: tombstone.head,
                ordinal: tombstone.ordinal,
                last_message: tombstone.last_message.as_ref().and_then(|message| member.given(message)),
                role: None,
                member_count: tombstone.member_count,
                at: tombstone.at,
                ..head
            },
        };
        Some(Head { unread_count: member.unread.count(head.ordinal), ..head })
    }
}
