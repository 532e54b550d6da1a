//! What one account may know of a conversation, read off its facts.

use anser_model::limits::{OWN_SENDS_KEPT, UNREAD_MENTIONS_KEPT};
use anser_model::{
    AccountId, Change, ConversationFact, ConversationKind, Message, N, Ordinal, Role, Seq, UnixMillis,
};

use super::conversation::{PlainConversation, PlainMember, has_roles};

/// A conversation as one account may know it: as of the parting, for a former member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainView {
    /// Its kind.
    pub kind: ConversationKind,
    /// Whether it is a member now.
    pub present: bool,
    /// Its role; `None` for a former member.
    pub role: Option<Role>,
    /// The title.
    pub title: String,
    /// The picture.
    pub avatar: String,
    /// Whether those who join later see what was before; of a tombstone nothing is said.
    pub history_visible: bool,
    /// The other one of a direct conversation.
    pub peer: Option<AccountId>,
    /// What it may see: ascending, both ends included, no further than there is something.
    pub visible: Vec<(Seq, Seq)>,
    /// The newest seq.
    pub head: Seq,
    /// Countable messages up to it.
    pub ordinal: Ordinal,
    /// When that was decided.
    pub at: UnixMillis,
    /// The newest message, if it may see that one, and has neither hidden nor cleared it.
    pub last_message: Option<Seq>,
    /// How far it has read.
    pub mark: Seq,
    /// Whether it marked the conversation as unread.
    pub marked_unread: bool,
    /// Up to where it has cleared.
    pub cleared: Seq,
    /// What it has hidden past that, in runs.
    pub hidden: Vec<(Seq, Seq)>,
    /// Up to where all counts as read: the largest of mark, join, clear and cap.
    pub base: Seq,
    /// Messages of others past the base that count.
    pub unread: u64,
    /// The newest 64 messages of others past the base that were sent with its name.
    pub mentions: Vec<Seq>,
    /// The newest message of another past the base that was sent to everybody, for a member.
    pub mention_all: Option<Seq>,
    /// Members.
    pub member_count: u32,
    /// How far the other one of a direct conversation has read.
    pub peer_mark: Option<Seq>,
    /// How far messages have come to the other one of a direct conversation; what was read has come.
    pub peer_delivered: Option<Seq>,
    /// n of the newest fact of which it has something to be told.
    pub n: N,
}

impl PlainConversation {
    pub(super) fn view(&self, account: AccountId) -> Option<PlainView> {
        let member = self.members.get(&account)?;
        let kind = self.kind?;
        let head = member.last_stay().ended.unwrap_or(self.head());
        let newest = self.messages.iter().rev().map(|&(seq, ..)| seq).find(|&seq| seq <= head);
        let base = self.base(account, member);
        let avatar = self.avatars.iter().rev().find(|(from, _)| *from <= head).map(|(_, avatar)| avatar);
        let title = self.titles.iter().rev().find(|(from, _)| *from <= head).map(|(_, title)| title);
        let peer = match kind {
            ConversationKind::Direct => self.members.iter().find(|(other, _)| **other != account),
            ConversationKind::Group | ConversationKind::Channel | ConversationKind::OfSelf => None,
        };
        Some(PlainView {
            kind,
            present: member.is_present(),
            role: member.is_present().then_some(member.role),
            title: title.cloned().unwrap_or_default(),
            avatar: avatar.cloned().unwrap_or_default(),
            history_visible: member.is_present() && has_roles(kind) && self.history_visible,
            peer: peer.map(|(&other, _)| other),
            visible: self.visible(member),
            head,
            ordinal: self.ordinal_at(head),
            at: self.fact(head)?.1.at,
            last_message: newest
                .filter(|&seq| self.may_see(account, seq) && !member.own.hides(seq, N(u64::MAX))),
            mark: member.mark,
            marked_unread: member.own.marked_unread,
            cleared: member.own.cleared_seq(),
            hidden: member.own.runs(),
            base,
            unread: self.unread(account, base),
            mentions: self.mentions(account, base),
            mention_all: self.mention_all(account, base).filter(|_| member.is_present()),
            member_count: self.members_after(head),
            peer_mark: peer.map(|(_, other)| other.mark),
            peer_delivered: peer.map(|(_, other)| other.own.delivered.max(other.mark)),
            n: self.told_up_to(account, member, kind, head),
        })
    }

    /// Whether an account may see the sequenced fact at `seq`.
    pub fn may_see(&self, account: AccountId, seq: Seq) -> bool {
        let Some(member) = self.members.get(&account) else { return false };
        seq <= self.head()
            && member
                .stays
                .iter()
                .any(|stay| stay.visible_from <= seq && stay.ended.is_none_or(|ended| seq <= ended))
    }

    /// Whether an account is told of a fact as it happens.
    pub(super) fn tells(&self, fact: &ConversationFact, account: AccountId) -> bool {
        match &fact.change {
            Change::UnreadMarked { member, .. }
            | Change::MessagesHidden { member, .. }
            | Change::HistoryCleared { member, .. } => *member == account,
            Change::ReadUpTo { member, .. } | Change::DeliveredUpTo { member, .. } => {
                let shared =
                    self.kind == Some(ConversationKind::Direct) && self.members.contains_key(&account);
                *member == account || shared
            }
            Change::Entered { .. } => false,
            Change::CredentialsRaised { account: whose, .. } => *whose == account,
            Change::Created { .. }
            | Change::MessageSent(_)
            | Change::MembersAdded { .. }
            | Change::MemberRemoved { .. }
            | Change::RoleSet { .. }
            | Change::Recalled { .. }
            | Change::Edited { .. }
            | Change::AvatarSet { .. }
            | Change::HistoryVisibleSet { .. }
            | Change::Dissolved
            | Change::Renamed { .. } => {
                let seq = fact.seq.unwrap_or_default();
                self.members.get(&account).is_some_and(|member| member.was_there(seq))
            }
        }
    }

    /// The largest of mark, join, clear and cap. The cap is the newest own message that counts and has 64
    /// newer ones.
    fn base(&self, account: AccountId, member: &PlainMember) -> Seq {
        let own = self.messages.iter().rev().filter(|&&(_, author, counts)| counts && author == account);
        let cap = own.map(|&(seq, ..)| seq).nth(OWN_SENDS_KEPT).unwrap_or_default();
        member.mark.max(member.last_stay().joined).max(member.own.cleared_seq()).max(cap)
    }

    /// Messages of others past the base that count and that it may see.
    fn unread(&self, account: AccountId, base: Seq) -> u64 {
        let past = self.messages.partition_point(|&(seq, ..)| seq <= base);
        let unread = self.messages[past..]
            .iter()
            .filter(|&&(seq, author, counts)| counts && author != account && self.may_see(account, seq));
        unread.count() as u64
    }

    /// Messages of others past the base that it may see, as they were sent.
    fn sent_past(&self, account: AccountId, base: Seq) -> impl DoubleEndedIterator<Item = (Seq, &Message)> {
        let past = self.messages.partition_point(|&(seq, ..)| seq <= base);
        let others = self.messages[past..].iter().filter(move |&&(_, author, _)| author != account);
        let seen = others.filter(move |&&(seq, ..)| self.may_see(account, seq));
        seen.filter_map(|&(seq, ..)| Some((seq, self.fact(seq)?.1.message()?)))
    }

    fn mentions(&self, account: AccountId, base: Seq) -> Vec<Seq> {
        let named = self.sent_past(account, base).filter(|(_, message)| message.mentions.contains(&account));
        let all: Vec<Seq> = named.map(|(seq, _)| seq).collect();
        all[all.len().saturating_sub(UNREAD_MENTIONS_KEPT)..].to_vec()
    }

    fn mention_all(&self, account: AccountId, base: Seq) -> Option<Seq> {
        self.sent_past(account, base).rev().find(|(_, message)| message.mention_all).map(|(seq, _)| seq)
    }

    /// Members right after the fact at `seq`.
    fn members_after(&self, seq: Seq) -> u32 {
        let stays = self.members.values().flat_map(|member| &member.stays);
        stays.filter(|stay| stay.joined <= seq && stay.ended.is_none_or(|ended| ended > seq)).count() as u32
    }

    /// A recall or an edit concerns whoever may see its message, also who does not see the fact itself.
    fn told_up_to(&self, account: AccountId, member: &PlainMember, kind: ConversationKind, head: Seq) -> N {
        let sequenced = self.fact(head).map_or(N(0), |(n, _)| *n);
        let receipts = if kind == ConversationKind::Direct { self.receipts_n } else { N(0) };
        let seen = self.rewrites.iter().filter(|&(&seq, _)| self.may_see(account, seq));
        let rewrites = seen.flat_map(|(_, all)| all).map(|rewrite| rewrite.n).max().unwrap_or_default();
        sequenced.max(member.marked_n).max(receipts).max(rewrites)
    }
}
