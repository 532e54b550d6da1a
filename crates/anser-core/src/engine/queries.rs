//! Questions: pages, members, heads for sync, homes. Each goes through [`authorize`], shows what is
//! durable by the time it is answered, and overlays memory on the stores.

use std::collections::BTreeSet;
use std::sync::Arc;

use anser_model::limits::PAGE_MESSAGES;
use anser_model::{
    AccountId, ConversationId, ConversationKind, N, Refusal, Role, Seq, UnixMillis, Version, planted,
};

use super::commands::{Attempt, Need};
use super::messages::{
    Acquainted, Answer, Effect, Fetch, Fetched, HomeView, Marks, MemberMark, Members, Page, Query, ReplyTo,
    Typing, Versions, Wanted, Work,
};
use super::{FetchFor, SlotEngine};
use crate::conversation::{Conversation, Head, Member};
use crate::decide::{require_member, require_writer};
use crate::ports::StoreError;
use crate::ports::history::HistoryRange;
use crate::ports::index::{ConversationRow, MemberRow};
use crate::rows::{member_from, shared_from};
use crate::storage::{StoredFact, decode_stored};

/// Bytes of facts in one page; what is beyond is for the next one.
pub const PAGE_BYTES: usize = 512 * 1024;
/// How often work asks the history for facts before it gives up.
pub(super) const FACT_FETCHES: u8 = 4;

/// What of `low..=high` an account may read: the one gate of every read of bodies.
pub fn authorize(
    conversation: &Conversation,
    account: AccountId,
    low: Seq,
    high: Seq,
) -> Result<Vec<(Seq, Seq)>, Refusal> {
    let member = conversation.members.get(&account).ok_or(Refusal::NotFound)?;
    let (low, high) = (low.max(member.cleared.next()), high.min(conversation.shared.head));
    let visible = match planted!(PagesUnclipped) && low <= high {
        true => vec![(low, high)],
        false => member.intervals.clip(low, high),
    };
    // What one has hidden or cleared one is not given any more.
    Ok(if planted!(HiddenInPages) { visible } else { member.hidden.cut_out_of(visible) })
}

/// Cuts ascending ranges to `limit` seqs, at the newest end or at the oldest. Says whether it cut.
fn cut(ranges: Vec<(Seq, Seq)>, limit: usize, keep_newest: bool) -> (Vec<(Seq, Seq)>, bool) {
    let mut left = limit as u64;
    let mut kept = Vec::new();
    let mut more = false;
    let ordered: Vec<(Seq, Seq)> = if keep_newest { ranges.into_iter().rev().collect() } else { ranges };
    for (low, high) in ordered {
        let size = high.0 - low.0 + 1;
        more |= size > left;
        let take = size.min(left);
        left -= take;
        if take > 0 {
            kept.push(if keep_newest {
                (Seq(high.0 - take + 1), high)
            } else {
                (low, Seq(low.0 + take - 1))
            });
        }
    }
    if keep_newest {
        kept.reverse();
    }
    (kept, more)
}

/// Cuts a page to [`PAGE_BYTES`], and to one fact at least. Says whether it cut.
fn cut_bytes(facts: &mut Vec<Arc<StoredFact>>, keep_newest: bool) -> bool {
    let mut bytes = 0;
    let mut fits = |fact: &Arc<StoredFact>| {
        bytes += fact.encoded.len();
        bytes <= PAGE_BYTES
    };
    let all = facts.len();
    let kept = if keep_newest {
        facts.iter().rev().take_while(|fact| fits(fact)).count()
    } else {
        facts.iter().take_while(|fact| fits(fact)).count()
    };
    let kept = kept.max(1).min(all);
    if keep_newest {
        facts.drain(..all - kept);
    } else {
        facts.truncate(kept);
    }
    kept < all
}

impl SlotEngine {
    pub(super) fn attempt_query(&mut self, cid: ConversationId, work: Work) -> Attempt {
        let cached = &self.conversations[&cid];
        let Wanted::Query(query) = &work.what else { unreachable!("called for queries") };
        let answer = match query {
            Query::Page { account, after, before, changed_after, limit, .. } => {
                match self.page(cid, *account, (*after, *before), *changed_after, *limit, &work) {
                    Ok(answer) => answer,
                    Err(need) => return Attempt::Wait(work, need),
                }
            }
            Query::Versions { account, seq, .. } => match self.versions(cid, *account, *seq, &work) {
                Ok(answer) => answer,
                Err(need) => return Attempt::Wait(work, need),
            },
            Query::Members { account, .. } => match require_member(&cached.state, *account) {
                Err(refusal) if !planted!(MembersUnchecked) => Err(refusal),
                _ => Ok(Answer::Members(members(&cached.state))),
            },
            Query::Marks { account, .. } => marks(&cached.state, *account)
                .map(|marks| Answer::Marks(Marks { cid, marks, slot: self.config.slot, n: self.newest })),
            Query::Typing { account, .. } => {
                let audience = typing_audience(&cached.state, *account);
                audience.map(|audience| {
                    let (account, slot, n) = (*account, self.config.slot, self.newest);
                    self.pipeline.hold_typing(Typing { account, cid, audience, slot, n });
                    Answer::Done
                })
            }
            Query::Acquainted { account, others, .. } => {
                acquainted(&cached.state, *account, others).map(|accounts| {
                    Answer::Acquainted(Acquainted { cid, accounts, slot: self.config.slot, n: self.newest })
                })
            }
            Query::Head { account, .. } => match cached.state.head_for(*account) {
                Some(head) => Ok(Answer::Heads { slot: self.config.slot, n: self.newest, heads: vec![head] }),
                None => Err(Refusal::NotFound),
            },
            Query::Home { .. } => {
                let home = &cached.state.shared.home;
                let mut slots = home.slots();
                if cached.state.shared.kind.is_some() && !home.has_entered(self.config.slot) {
                    slots.push(self.config.slot);
                }
                Ok(Answer::Home(HomeView {
                    slots,
                    account_version: home.account_version,
                    devices: home.devices.iter().map(|(&device, &version)| (device, version)).collect(),
                }))
            }
            Query::Changes { .. } => unreachable!("a sync is about no one conversation"),
        };
        self.answer(work.reply, answer);
        Attempt::Done
    }

    /// A page, or the ranges that the history must be asked for first.
    fn page(
        &self,
        cid: ConversationId,
        account: AccountId,
        (after, before): (Option<Seq>, Option<Seq>),
        changed_after: N,
        limit: usize,
        work: &Work,
    ) -> Result<Result<Answer, Refusal>, Need> {
        let cached = &self.conversations[&cid];
        let low = after.map_or(Seq(1), Seq::next);
        let high = before.map_or(cached.state.shared.head, |before| Seq(before.0.saturating_sub(1)));
        let visible = match authorize(&cached.state, account, low, high) {
            Ok(visible) => visible,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (ranges, more) = cut(visible, limit.clamp(1, PAGE_MESSAGES), after.is_none());
        let recent_from = cached.recent_from();
        let older: Vec<HistoryRange> = ranges
            .iter()
            .filter(|(low, _)| *low < recent_from)
            .map(|&(low, high)| HistoryRange {
                cid,
                low,
                high: high.min(Seq(recent_from.0 - 1)),
                limit: PAGE_MESSAGES,
                newest_first: false,
            })
            .collect();
        let member = &cached.state.members[&account];
        let stored = match &work.facts {
            _ if older.is_empty() => &Vec::new(),
            Some(rows) => rows,
            None => return Err(Need::Facts(older.clone())),
        };
        let mut facts = Vec::new();
        for seq in ranges.iter().flat_map(|&(low, high)| (low.0..=high.0).map(Seq)) {
            match self.fact_at(cached, seq, stored) {
                Some(fact) => facts.extend(member.shown(&fact)),
                // Meanwhile memory forgot what was not asked for: ask again, for more.
                None if work.fetches < FACT_FETCHES => return Err(Need::Facts(older)),
                // The history does not hold what the log says it must: never a silent hole.
                None => return Ok(Err(Refusal::Unavailable)),
            }
        }
        facts.retain(|fact| fact.n > changed_after);
        let cut = cut_bytes(&mut facts, after.is_none());
        let page = Page { cid, facts, more: more || cut, slot: self.config.slot, n: self.newest };
        Ok(Ok(Answer::Page(page)))
    }

    /// What a message said before, or what the history must be asked for first.
    fn versions(
        &self,
        cid: ConversationId,
        account: AccountId,
        seq: Seq,
        work: &Work,
    ) -> Result<Result<Answer, Refusal>, Need> {
        let Some(before) = seq.0.checked_sub(1).map(Seq) else { return Ok(Err(Refusal::NotFound)) };
        let bounds = (Some(before), Some(Seq(seq.0.saturating_add(1))));
        let page = match self.page(cid, account, bounds, N(0), 1, work)? {
            Ok(Answer::Page(page)) => page,
            other => return Ok(other),
        };
        let fact = page.facts.first().filter(|fact| fact.fact.message().is_some());
        let Some(fact) = fact else { return Ok(Err(Refusal::NotFound)) };
        let member = &self.conversations[&cid].state.members[&account];
        let seen = |version: &&Version| member.intervals.contains(version.by);
        let (edits, versions) = match fact.fact.edits() {
            Some(edits) => (edits.times, edits.versions.iter().filter(seen).cloned().collect()),
            None => (0, Vec::new()),
        };
        Ok(Ok(Answer::Versions(Versions { cid, seq, slot: page.slot, n: page.n, edits, versions })))
    }

    /// A fact as it stands now: memory goes before what the history was asked for, sorted by seq.
    pub(super) fn fact_at(
        &self,
        cached: &super::cache::Cached,
        seq: Seq,
        stored: &[crate::ports::history::FactRow],
    ) -> Option<Arc<StoredFact>> {
        if let Some(fact) = cached.fact_at(seq) {
            return Some(fact.clone());
        }
        let row = &stored[stored.binary_search_by_key(&seq, |row| row.seq).ok()?];
        decode_stored(self.config.slot, row.n, &row.fact).ok()
    }

    /// Begins a sync: what the slot held by now is what the answer will cover.
    pub(super) fn sync(&mut self, work: Work, effects: &mut Vec<Effect>) {
        let Wanted::Query(Query::Changes { account, after }) = work.what else {
            unreachable!("only a sync is about no conversation");
        };
        let after = if after > self.newest { N(0) } else { after };
        if after >= self.complete_from && !planted!(SyncWithoutTail) {
            // Nearly every sync: who was not away for long missed nothing that has left memory.
            let newer = self.conversations.values().filter(|cached| cached.state.shared.n_newest > after);
            let told = newer.filter(|cached| cached.state.n_for(account) > after);
            let heads = told.filter_map(|cached| cached.state.head_for(account)).collect();
            let answer = Answer::Heads { slot: self.config.slot, n: self.newest, heads };
            return self.answer(work.reply, Ok(answer));
        }
        let purpose = FetchFor::Changes { reply: work.reply, account, after, n: self.newest };
        self.fetch(Fetch::Changes { account, after }, purpose, effects);
    }

    #[expect(clippy::too_many_arguments, reason = "what a sync was asked with, and what came of it")]
    pub(super) fn changes_fetched(
        &mut self,
        reply: ReplyTo,
        account: AccountId,
        after: N,
        n: N,
        folded: N,
        result: Result<Fetched, StoreError>,
        effects: &mut Vec<Effect>,
    ) {
        let rows = match result {
            Ok(Fetched::Changes(rows)) => rows,
            Ok(_) => unreachable!("a fetch is answered in kind"),
            Err(_) => return self.refuse_now(reply, Refusal::Unavailable, effects),
        };
        let mut heads = Vec::with_capacity(rows.len());
        let mut in_memory = BTreeSet::new();
        for (&cid, cached) in &self.conversations {
            // The stores held everything up to `folded` when they were asked.
            let is_newer = cached.state.shared.n_newest > folded || !cached.dirty_members.is_empty();
            if is_newer && !planted!(SyncWithoutTail) {
                in_memory.insert(cid);
                if cached.state.n_for(account) > after {
                    heads.extend(cached.state.head_for(account));
                }
            }
        }
        for (conversation, member) in rows {
            if !in_memory.contains(&conversation.cid) {
                match self.head_from_rows(account, &conversation, &member) {
                    Ok(head) => heads.extend(head),
                    Err(_) => return self.refuse_now(reply, Refusal::Unavailable, effects),
                }
            }
        }
        self.answer(reply, Ok(Answer::Heads { slot: self.config.slot, n, heads }));
    }

    fn head_from_rows(
        &self,
        account: AccountId,
        conversation: &ConversationRow,
        member: &MemberRow,
    ) -> Result<Option<Head>, crate::storage::StorageError> {
        let shared = shared_from(self.config.slot, conversation)?;
        let member = member_from(self.config.slot, member)?;
        Ok(shared.head_for(account, &member))
    }
}

fn members(conversation: &Conversation) -> Members {
    let members = conversation
        .roster()
        .iter()
        .map(|account| {
            let member = &conversation.members[account];
            (*account, member.role, member.joined_at)
        })
        .collect();
    Members { cid: conversation.shared.cid, members }
}

/// How far the members of a conversation have read, for those who may know.
fn marks(conversation: &Conversation, account: AccountId) -> Result<Vec<MemberMark>, Refusal> {
    let asker = require_member(conversation, account)?;
    let is_channel = conversation.shared.kind == Some(ConversationKind::Channel);
    if is_channel && asker.role < Role::Admin && !planted!(ChannelTellsMarks) {
        return Err(Refusal::NotAllowed("admins and the owner are told who has read what in a channel"));
    }
    let mark = |&account: &AccountId| {
        let member = &conversation.members[&account];
        MemberMark { account, seq: member.mark, joined: member.joined_seq }
    };
    Ok(conversation.roster().iter().map(mark).collect())
}

/// Who is told that somebody types, if it may write there.
fn typing_audience(conversation: &Conversation, account: AccountId) -> Result<Arc<[AccountId]>, Refusal> {
    require_writer(conversation, account)?;
    let others = |&other: &AccountId| other != account;
    if planted!(TypingToFormer) {
        return Ok(conversation.members.keys().copied().filter(others).collect());
    }
    Ok(conversation.roster().iter().copied().filter(others).collect())
}

/// Of whom of these an account may know whether they are there: the present members of a group, and in a direct
/// conversation the other one once it has said something there, or whoever writes to a stranger would learn when
/// it is awake.
fn acquainted(
    conversation: &Conversation,
    account: AccountId,
    others: &[AccountId],
) -> Result<Vec<AccountId>, Refusal> {
    let asker = require_member(conversation, account)?;
    let kind = conversation.shared.kind;
    if kind == Some(ConversationKind::Channel) && asker.role < Role::Admin {
        return Err(Refusal::NotAllowed("admins and the owner are told who is there in a channel"));
    }
    let is_direct = kind == Some(ConversationKind::Direct);
    let is_acquainted = |&other: &AccountId| {
        let has_spoken = |member: &Member| member.newest_client_time > UnixMillis(0);
        let member = conversation.present(other).filter(|member| !is_direct || has_spoken(member));
        other != account && (member.is_some() || planted!(PresenceToStrangers))
    };
    Ok(others.iter().copied().filter(is_acquainted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_cuts_on_the_side_it_should() {
        let ranges = || vec![(Seq(1), Seq(3)), (Seq(7), Seq(9))];
        assert_eq!(cut(ranges(), 10, true), (ranges(), false));
        assert_eq!(cut(ranges(), 4, true), (vec![(Seq(3), Seq(3)), (Seq(7), Seq(9))], true));
        assert_eq!(cut(ranges(), 4, false), (vec![(Seq(1), Seq(3)), (Seq(7), Seq(7))], true));
        assert_eq!(cut(ranges(), 3, false), (vec![(Seq(1), Seq(3))], true));
    }
}
