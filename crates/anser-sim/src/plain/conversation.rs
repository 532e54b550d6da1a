//! One conversation on paper: its facts in order, who was in it when, and what cannot follow.

use std::collections::BTreeMap;

use super::registers::OwnView;
use anser_model::limits::{
    CLIENT_ID_ACCEPTED_MS, CLIENT_ID_FUTURE_MS, EDIT_WINDOW_MS, GROUP_MEMBERS, RECALL_WINDOW_MS,
};
use anser_model::{
    AccountId, Change, ClientId, ConversationFact, ConversationId, ConversationKind, Message, N, Ordinal,
    Role, Seq, Slot,
};

use super::rewrites::PlainRewrite;

/// One time between a joining and a parting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The fact by which it began.
    pub joined: Seq,
    /// The first seq that may be seen by it.
    pub visible_from: Seq,
    /// The fact by which it ended, which is the last that may be seen by it.
    pub ended: Option<Seq>,
}

/// Who is or was in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainMember {
    /// When it was there, oldest first; never empty.
    pub stays: Vec<Stay>,
    /// The role; what it was, for a former member.
    pub role: Role,
    /// How far it has read.
    pub mark: Seq,
    /// n of the newest register that this one alone is told of, or that moved its mark; 0: never.
    pub marked_n: N,
    /// What it decided for itself.
    pub own: OwnView,
}

impl PlainMember {
    /// Whether it is there now.
    pub fn is_present(&self) -> bool {
        self.last_stay().ended.is_none()
    }

    pub(super) fn last_stay(&self) -> &Stay {
        self.stays.last().expect("who is known was there once")
    }

    /// Whether it was there, or is, when the fact at `seq` happened; at a parting, still.
    pub(super) fn was_there(&self, seq: Seq) -> bool {
        self.stays.iter().any(|stay| stay.joined <= seq && stay.ended.is_none_or(|ended| seq <= ended))
    }
}

/// One conversation, as its facts tell it.
#[derive(Debug, Clone)]
pub struct PlainConversation {
    cid: ConversationId,
    slot: Slot,
    pub(super) kind: Option<ConversationKind>,
    pub(super) history_visible: bool,
    facts: Vec<(N, ConversationFact)>,
    by_seq: Vec<usize>,
    /// From which seq on it had which title.
    pub(super) titles: Vec<(Seq, String)>,
    /// From which seq on it had which picture.
    pub(super) avatars: Vec<(Seq, String)>,
    /// Every message: its seq, its author, whether it counts.
    pub(super) messages: Vec<(Seq, AccountId, bool)>,
    pub(super) members: BTreeMap<AccountId, PlainMember>,
    pub(super) receipts_n: N,
    done: BTreeMap<(AccountId, ClientId), (N, Seq)>,
    /// What became of messages, in order.
    pub(super) rewrites: BTreeMap<Seq, Vec<PlainRewrite>>,
    /// The owner became an admin: the next fact makes somebody else the owner.
    handing_over: Option<AccountId>,
}

/// Whether there is a title, and roles.
pub(super) fn has_roles(kind: ConversationKind) -> bool {
    matches!(kind, ConversationKind::Group | ConversationKind::Channel)
}

/// Says what cannot be unless it holds.
pub(super) fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl PlainConversation {
    pub(super) fn new(cid: ConversationId, slot: Slot) -> Self {
        PlainConversation {
            cid,
            slot,
            kind: None,
            history_visible: false,
            facts: Vec::new(),
            by_seq: Vec::new(),
            titles: Vec::new(),
            avatars: Vec::new(),
            messages: Vec::new(),
            members: BTreeMap::new(),
            receipts_n: N(0),
            done: BTreeMap::new(),
            rewrites: BTreeMap::new(),
            handing_over: None,
        }
    }

    /// Which.
    pub fn cid(&self) -> ConversationId {
        self.cid
    }

    /// Where it lives.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Its kind; `None` while there are only registers.
    pub fn kind(&self) -> Option<ConversationKind> {
        self.kind
    }

    /// Whether those who join later see what was before.
    pub fn history_visible(&self) -> bool {
        self.history_visible
    }

    /// Every fact, registers too, in the order of n.
    pub fn facts(&self) -> &[(N, ConversationFact)] {
        &self.facts
    }

    /// The sequenced fact at a seq.
    pub fn fact(&self, seq: Seq) -> Option<&(N, ConversationFact)> {
        let index = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.facts.get(*self.by_seq.get(index)?)
    }

    /// Newest seq.
    pub fn head(&self) -> Seq {
        Seq(self.by_seq.len() as u64)
    }

    /// Countable messages up to a seq, recounted.
    pub fn ordinal_at(&self, seq: Seq) -> Ordinal {
        let up_to = self.messages.partition_point(|&(at, ..)| at <= seq);
        Ordinal(self.messages[..up_to].iter().filter(|&&(.., counts)| counts).count() as u64)
    }

    /// Countable messages so far.
    fn ordinal(&self) -> Ordinal {
        self.by_seq.last().map_or(Ordinal(0), |&index| self.facts[index].1.ordinal)
    }

    /// Members, present and former.
    pub fn members(&self) -> &BTreeMap<AccountId, PlainMember> {
        &self.members
    }

    /// Members that are there now.
    pub fn present(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.members.iter().filter(|(_, member)| member.is_present()).map(|(&account, _)| account)
    }

    /// Whether an account was a member as of an n.
    pub fn was_present(&self, account: AccountId, as_of: N) -> bool {
        let before = self.facts.iter().take_while(|(n, _)| *n <= as_of);
        let Some(seq) = before.filter_map(|(_, fact)| fact.seq).max() else { return false };
        let is_within = |stay: &Stay| stay.joined <= seq && stay.ended.is_none_or(|ended| seq < ended);
        self.members.get(&account).is_some_and(|member| member.stays.iter().any(is_within))
    }

    /// Whether somebody had done something there under a client id, up to an n.
    pub fn has_spoken(&self, account: AccountId, as_of: N) -> bool {
        let mut before = self.facts.iter().take_while(|(n, _)| *n <= as_of);
        before.any(|(_, fact)| fact.author == account && fact.command.is_some())
    }

    pub(super) fn present_member(&self, account: AccountId) -> Option<&PlainMember> {
        self.members.get(&account).filter(|member| member.is_present())
    }

    pub(super) fn done(&self, sender: AccountId, client_id: ClientId) -> Option<(N, Seq)> {
        self.done.get(&(sender, client_id)).copied()
    }

    /// Folds in the next fact.
    pub(super) fn take(&mut self, n: N, fact: &ConversationFact) -> Result<(), String> {
        let counts = matches!(&fact.change, Change::MessageSent(message) if !message.uncounted);
        let due = Ordinal(self.ordinal().0 + u64::from(counts));
        require(fact.ordinal == due, || format!("the ordinal {} should be {due}", fact.ordinal))?;
        if let Some(earlier) = self.handing_over {
            let follows = fact.author == earlier
                && matches!(fact.change, Change::RoleSet { role: Role::Owner, member } if member != earlier);
            require(follows, || "the group was left without an owner".into())?;
        }
        match fact.seq {
            Some(seq) => self.take_sequenced(n, seq, fact)?,
            None => self.take_register(n, fact)?,
        }
        self.facts.push((n, fact.clone()));
        let owners = self.members.values().filter(|m| m.is_present() && m.role == Role::Owner).count();
        let wanted = match self.kind {
            Some(kind) if has_roles(kind) && self.handing_over.is_some() => 0,
            Some(kind) if has_roles(kind) => usize::from(self.present().next().is_some()),
            _ => 0,
        };
        require(owners == wanted, || format!("{owners} owners, where {wanted} should be"))
    }

    fn take_sequenced(&mut self, n: N, seq: Seq, fact: &ConversationFact) -> Result<(), String> {
        let head = self.head();
        require(seq.0 == head.0 + 1, || format!("seq {seq} follows seq {head}"))?;
        let before = self.fact(head).map_or(fact.at, |(_, last)| last.at);
        require(fact.at >= before, || format!("its time steps back from {before} to {}", fact.at))?;
        let is_creation = matches!(fact.change, Change::Created { .. });
        require(is_creation == self.kind.is_none(), || "a conversation is created first, and once".into())?;
        // The system says something wherever there are people in a group or a channel.
        let by_the_system = fact.author == AccountId(1)
            && matches!(fact.change, Change::MessageSent(_))
            && self.kind.is_some_and(has_roles)
            && self.present().next().is_some();
        if !is_creation && !by_the_system {
            require(self.present_member(fact.author).is_some(), || "its author is no member".into())?;
        }
        if let Some(key) = fact.command {
            let minted = key.client_id.minted_at();
            let too_old = minted.plus_ms(CLIENT_ID_ACCEPTED_MS) < fact.at;
            let too_new = minted > fact.at.plus_ms(CLIENT_ID_FUTURE_MS);
            require(!too_old && !too_new, || format!("a client id of {minted} is not accepted then"))?;
            let before = self.done.insert((fact.author, key.client_id), (n, seq));
            if let Some((n, seq)) = before {
                return Err(format!("its client id took effect at n {n}, seq {seq} before"));
            }
        }
        match &fact.change {
            Change::Created { kind, title, members, history_visible, avatar } => {
                self.check_creation(fact, *kind, members)?;
                self.kind = Some(*kind);
                self.history_visible = *history_visible;
                self.titles.push((seq, title.clone()));
                self.avatars.push((seq, avatar.clone()));
                let first = if has_roles(*kind) { Role::Owner } else { Role::Member };
                self.join(fact.author, first, seq, Seq(1))?;
                members.iter().try_for_each(|&member| self.join(member, Role::Member, seq, Seq(1)))?;
            }
            Change::MessageSent(message) => self.take_message(seq, fact.author, message)?,
            Change::MembersAdded { members, visible_from } => {
                self.require_group()?;
                let due = if self.history_visible { Seq(1) } else { seq };
                require(*visible_from == due, || format!("newcomers see from {due} on"))?;
                require(!members.is_empty(), || "nobody joins".into())?;
                members.iter().try_for_each(|&member| self.join(member, Role::Member, seq, *visible_from))?;
            }
            Change::MemberRemoved { member, left, new_owner } => {
                self.part(seq, fact.author, *member, *left, *new_owner)?;
            }
            Change::RoleSet { member, role } => self.give(fact.author, *member, *role)?,
            Change::Renamed { title } => {
                self.require_group()?;
                let role = self.present_member(fact.author).map(|author| author.role);
                require(role >= Some(Role::Admin), || "a plain member renames".into())?;
                self.titles.push((seq, title.clone()));
            }
            Change::AvatarSet { .. } | Change::HistoryVisibleSet { .. } | Change::Dissolved => {
                self.set(seq, fact)?;
            }
            Change::Recalled { stands } => self.recall(n, seq, fact, stands)?,
            Change::Edited { seq: target, to_all, stands } => {
                let stands = stands.as_deref().ok_or("an edit without its message")?;
                self.edit(n, seq, fact, *target, stands)?;
                let due = self.present().all(|account| self.may_see(account, *target));
                require(*to_all == due, || format!("whether all may see it is {due}"))?;
            }
            Change::ReadUpTo { .. }
            | Change::DeliveredUpTo { .. }
            | Change::UnreadMarked { .. }
            | Change::MessagesHidden { .. }
            | Change::HistoryCleared { .. }
            | Change::Entered { .. }
            | Change::CredentialsRaised { .. } => {
                return Err("a register has no seq".into());
            }
        }
        let present = self.present().count();
        require(present <= GROUP_MEMBERS, || format!("{present} members are more than {GROUP_MEMBERS}"))?;
        self.by_seq.push(self.facts.len());
        Ok(())
    }

    fn check_creation(
        &self,
        fact: &ConversationFact,
        kind: ConversationKind,
        members: &[AccountId],
    ) -> Result<(), String> {
        let named = match (kind, members, fact.command) {
            (ConversationKind::Direct, &[peer], None) if peer != fact.author => {
                ConversationId::direct(fact.author, peer)
            }
            (ConversationKind::OfSelf, &[], None) => ConversationId::of_self(fact.author),
            (ConversationKind::Group | ConversationKind::Channel, _, Some(key)) => {
                ConversationId::created(fact.author, key.client_id)
            }
            _ => return Err("no conversation begins so".into()),
        };
        require(named == self.cid, || format!("what begins so is {named}"))
    }

    fn take_message(&mut self, seq: Seq, author: AccountId, message: &Message) -> Result<(), String> {
        if message.mention_all {
            self.require_group()?;
        }
        let seen = message.reply_to.is_none_or(|reply_to| self.may_see(author, reply_to));
        require(seen, || "a reply to what its author does not see".into())?;
        if self.kind == Some(ConversationKind::Channel) && author != AccountId(1) {
            let role = self.present_member(author).map(|author| author.role);
            require(role >= Some(Role::Admin), || "a plain member writes in a channel".into())?;
        }
        self.messages.push((seq, author, !message.uncounted));
        Ok(())
    }

    fn recall(
        &mut self,
        n: N,
        seq: Seq,
        fact: &ConversationFact,
        stands: &ConversationFact,
    ) -> Result<(), String> {
        let target = stands.seq.ok_or("a recall without its message")?;
        let sent = self.message_seen_by(fact.author, target)?;
        let author = self.present_member(fact.author).ok_or("its author is no member")?;
        let admin = self.kind.is_some_and(has_roles) && author.role >= Role::Admin;
        let in_time = sent.at.plus_ms(RECALL_WINDOW_MS) >= fact.at;
        require(admin || sent.author == fact.author, || "a recall of another's message".into())?;
        require(admin || in_time, || "a recall that comes too late".into())?;
        require(!self.is_recalled(target), || "a second recall".into())?;
        self.rewrites.entry(target).or_default().push(PlainRewrite { n, by: seq, edit: None });
        let (_, due) = self.standing(target).ok_or("a recall of what is not there")?;
        require(due == *stands, || format!("{due:?} is what remains, not {stands:?}"))
    }

    fn edit(
        &mut self,
        n: N,
        seq: Seq,
        fact: &ConversationFact,
        target: Seq,
        stands: &ConversationFact,
    ) -> Result<(), String> {
        let sent = self.message_seen_by(fact.author, target)?;
        require(sent.author == fact.author, || "an edit of another's message".into())?;
        require(sent.at.plus_ms(EDIT_WINDOW_MS) >= fact.at, || "an edit that comes too late".into())?;
        require(!self.is_recalled(target), || "an edit of what was recalled".into())?;
        let said = stands.message().ok_or("an edit that leaves no message")?;
        if said.mention_all {
            self.require_group()?;
        }
        let edit = Some((fact.at, said.clone()));
        self.rewrites.entry(target).or_default().push(PlainRewrite { n, by: seq, edit });
        let (_, due) = self.standing(target).ok_or("an edit of what is not there")?;
        require(due == *stands, || format!("{due:?} is what it says then, not {stands:?}"))
    }

    fn message_seen_by(&self, author: AccountId, target: Seq) -> Result<&ConversationFact, String> {
        let (_, sent) = self.fact(target).ok_or("it is about what is not there")?;
        require(matches!(sent.change, Change::MessageSent(_)), || "it is about what is no message".into())?;
        require(self.present_member(author).is_some(), || "its author is no member".into())?;
        require(self.may_see(author, target), || "it is about what its author does not see".into())?;
        Ok(sent)
    }

    fn join(&mut self, account: AccountId, role: Role, seq: Seq, visible_from: Seq) -> Result<(), String> {
        require(account != AccountId(0), || "nobody cannot join".into())?;
        let stay = Stay { joined: seq, visible_from, ended: None };
        let nothing = || {
            let (mark, marked_n, own) = (Seq(0), N(0), OwnView::default());
            PlainMember { stays: Vec::new(), role, mark, marked_n, own }
        };
        let member = self.members.entry(account).or_insert_with(nothing);
        require(member.stays.last().is_none_or(|last| last.ended.is_some()), || {
            format!("account {account} joins twice")
        })?;
        member.stays.push(stay);
        member.role = role;
        member.own.had_a_role |= role > Role::Member;
        Ok(())
    }

    fn part(
        &mut self,
        seq: Seq,
        author: AccountId,
        account: AccountId,
        left: bool,
        new_owner: Option<AccountId>,
    ) -> Result<(), String> {
        self.require_group()?;
        require(left == (author == account), || "one leaves by oneself, and is removed by others".into())?;
        let by = self.present_member(author).map(|member| member.role);
        let Some(member) = self.members.get_mut(&account).filter(|member| member.is_present()) else {
            return Err(format!("account {account} parts and is no member"));
        };
        let was = member.role;
        require(left || by >= Some(Role::Admin) && by > Some(was), || {
            "a role removes what it may not".into()
        })?;
        member.stays.last_mut().expect("who is known was there once").ended = Some(seq);
        if let Some(heir) = new_owner {
            require(left && was == Role::Owner, || "only the owner who leaves has an heir".into())?;
            self.set_role(heir, Role::Owner)?;
        }
        Ok(())
    }

    fn give(&mut self, author: AccountId, account: AccountId, role: Role) -> Result<(), String> {
        self.require_group()?;
        if self.handing_over.take().is_some() {
            return self.set_role(account, role);
        }
        let owns = self.present_member(author).is_some_and(|member| member.role == Role::Owner);
        require(owns, || "one who is not the owner gives a role".into())?;
        if account == author {
            require(role == Role::Admin, || "the owner becomes an admin by handing over".into())?;
            self.handing_over = Some(author);
        } else {
            require(role != Role::Owner, || "a second owner".into())?;
        }
        self.set_role(account, role)
    }

    fn set_role(&mut self, account: AccountId, role: Role) -> Result<(), String> {
        let member = self.members.get_mut(&account).filter(|member| member.is_present());
        let member = member.ok_or_else(|| format!("account {account} is given a role and is no member"))?;
        member.role = role;
        member.own.had_a_role |= role > Role::Member;
        Ok(())
    }

    pub(super) fn require_group(&self) -> Result<(), String> {
        require(self.kind.is_some_and(has_roles), || "this is done in groups and channels alone".into())
    }

    fn take_register(&mut self, n: N, fact: &ConversationFact) -> Result<(), String> {
        require(fact.command.is_none(), || "a register answers no client id".into())?;
        match &fact.change {
            Change::ReadUpTo { member: account, seq, ordinal } => {
                require(fact.author == *account, || "one moves one's own mark alone".into())?;
                let due = self.ordinal_at(*seq);
                require(*ordinal == due, || format!("up to there {due} messages count"))?;
                let head = self.head();
                let Some(member) = self.members.get_mut(account) else {
                    return Err("a mark of one who was never a member".into());
                };
                let newest = member.last_stay().ended.unwrap_or(head);
                require(*seq <= newest, || format!("a mark past {newest}, the newest it sees"))?;
                require(*seq > member.mark, || format!("a mark that does not pass {}", member.mark))?;
                member.mark = *seq;
                member.marked_n = n;
                member.own.marked_unread = false;
                self.receipts_n = n;
                Ok(())
            }
            Change::Entered { account, .. } | Change::CredentialsRaised { account, .. } => {
                require(self.cid == ConversationId::of_self(*account), || {
                    format!("only the home of {account} takes note of that")
                })
            }
            Change::DeliveredUpTo { .. }
            | Change::UnreadMarked { .. }
            | Change::MessagesHidden { .. }
            | Change::HistoryCleared { .. } => self.take_own(n, fact),
            _ => Err("a sequenced fact without its seq".into()),
        }
    }

    /// The seqs under which an account may see something, as far as there is something: ascending,
    /// apart from each other, both ends included.
    pub(super) fn visible(&self, member: &PlainMember) -> Vec<(Seq, Seq)> {
        let mut stays: Vec<(Seq, Seq)> =
            member.stays.iter().map(|stay| (stay.visible_from, stay.ended.unwrap_or(self.head()))).collect();
        stays.sort_unstable();
        let mut ranges: Vec<(Seq, Seq)> = Vec::new();
        for (low, high) in stays {
            match ranges.last_mut() {
                Some((_, end)) if low.0 <= end.0 + 1 => *end = high.max(*end),
                _ => ranges.push((low, high)),
            }
        }
        ranges
    }
}
