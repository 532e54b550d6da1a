//! Folding the tail into the stores, in bulk and sorted, and forgetting what they hold.
//!
//! A flush is taken when nothing is under way, so that the state it writes is durable in the log:
//! new work waits for that moment, which is at most one append away.

use std::collections::BTreeMap;

use anser_model::{ConversationId, N, UnixMillis, planted};

use super::commands::day_of;
use super::messages::Effect;
use super::{FLUSH_FACTS, FLUSH_INTERVAL_MS, SlotEngine};
use crate::ports::StoreError;
use crate::ports::history::{FactRow, HistoryBatch, KeyRow};
use crate::ports::index::{IndexBatch, MemberRow};
use crate::rows::{conversation_row, member_row};

/// How far folding is.
#[derive(Debug, Default)]
pub(super) struct Flushing {
    /// One should be taken as soon as nothing is under way.
    wanted: bool,
    /// Through which n the one under way goes.
    through: Option<N>,
    /// The second half of the one under way, while the first is.
    second: Option<Effect>,
    /// What the one under way writes, to be written again should it fail.
    cids: Vec<ConversationId>,
    members: Vec<(ConversationId, anser_model::AccountId)>,
    /// Not before this instant of the monotonic clock, after a failure.
    not_before_ms: u64,
}

impl Flushing {
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// The state that a flush under way was taken from is gone; what it writes is durable all the same.
    pub(super) fn abandon(&mut self) {
        self.wanted = false;
        self.cids.clear();
        self.members.clear();
    }
}

impl SlotEngine {
    /// Wants a flush once the oldest fact in the tail is old enough, or there are many.
    pub(super) fn flush_due(&mut self, now: UnixMillis) {
        // With an empty tail there may still be an `Opened` above the checkpoint, which holds back trimming.
        let aged = match self.tail.front() {
            Some(oldest) => oldest.fact.at.plus_ms(FLUSH_INTERVAL_MS) <= now,
            None => self.durable > self.folded(),
        };
        let due = aged || self.tail.len() >= FLUSH_FACTS;
        let may = self.monotonic_ms >= self.flushing.not_before_ms;
        if due && may && self.is_open() && self.flushing.through.is_none() {
            self.flushing.wanted = true;
        }
    }

    pub(super) fn flush_now(&mut self, _effects: &mut Vec<Effect>) {
        if self.is_open() && self.flushing.through.is_none() && self.newest > self.folded() {
            self.flushing.wanted = true;
        }
    }

    /// Takes the flush that is wanted, if nothing is under way.
    pub(super) fn take_flush(&mut self, effects: &mut Vec<Effect>) {
        if self.tail.len() >= FLUSH_FACTS {
            self.flush_due(self.latest);
        }
        if !self.flushing.wanted || !self.pipeline.is_idle() {
            return;
        }
        assert_eq!(self.newest, self.durable, "with nothing under way, what is decided is durable");
        self.flushing.wanted = false;
        self.flushing.through = Some(self.newest);
        let index = Effect::FlushIndex(self.index_batch());
        let history = Effect::FlushHistory(self.history_batch());
        // The index first: what the history's checkpoint covers must be in both.
        let (first, second) = if planted!(HistoryBeforeIndex) { (history, index) } else { (index, history) };
        effects.push(first);
        self.flushing.second = Some(second);
        self.admit_waiting(effects);
    }

    fn index_batch(&mut self) -> IndexBatch {
        let mut conversations = BTreeMap::new();
        let mut members = BTreeMap::new();
        for (&cid, cached) in &mut self.conversations {
            if std::mem::take(&mut cached.dirty) {
                conversations.insert(cid, conversation_row(&cached.state.shared));
            }
            for account in std::mem::take(&mut cached.dirty_members) {
                let member = &cached.state.members[&account];
                members.insert((cid, account), member_row(cid, account, member));
            }
        }
        self.flushing.cids = conversations.keys().copied().collect();
        self.flushing.members = members.keys().copied().collect();
        IndexBatch {
            slot: self.config.slot,
            through: self.newest,
            conversations: conversations.into_values().collect(),
            members: members.into_values().collect::<Vec<MemberRow>>(),
        }
    }

    fn history_batch(&self) -> HistoryBatch {
        let mut facts = Vec::new();
        let mut keys = Vec::new();
        for stored in &self.tail {
            let Some(seq) = stored.fact.seq else { continue };
            let cid = stored.fact.cid;
            facts.push(FactRow {
                cid,
                seq,
                n: stored.n,
                fact: stored.kept().encoded.clone(),
                replaces: false,
            });
            if let Some(stands) = stored.rewritten() {
                let seq = stands.fact.seq.expect("what is rewritten is sequenced");
                // Where the original is of the same flush nothing is replaced; but a flush of unknown fate may have
                // written it, and to look for what is not there costs little.
                facts.push(FactRow { cid, seq, n: stands.n, fact: stands.encoded.clone(), replaces: true });
            }
            if let Some(command) = &stored.fact.command {
                keys.push(KeyRow {
                    key: self.key_of(cid, stored.fact.author, command.client_id),
                    day: day_of(command.client_id),
                    n: stored.n,
                    seq,
                    request_hash: command.request_hash,
                });
            }
        }
        // One row for each fact, as it stands last: the body of what was recalled meanwhile is never written.
        facts.sort_by_key(|row| (row.cid, row.seq, std::cmp::Reverse(row.n)));
        facts.dedup_by_key(|row| (row.cid, row.seq));
        HistoryBatch { slot: self.config.slot, through: self.newest, facts, keys }
    }

    pub(super) fn flushed(&mut self, through: N, result: Result<(), StoreError>, effects: &mut Vec<Effect>) {
        assert_eq!(self.flushing.through, Some(through), "one flush is under way at a time");
        let second = self.flushing.second.take();
        let result = if planted!(CursorMovesOnError) { Ok(()) } else { result };
        if result.is_ok()
            && let Some(second) = second
        {
            return effects.push(second);
        }
        self.flushing.through = None;
        match result {
            Ok(()) => {
                self.index_folded = self.index_folded.max(through);
                self.history_folded = self.history_folded.max(through);
                // A tail that is being read back is applied first to rows that may be older than this flush.
                if self.is_open() {
                    self.drop_folded_tail();
                    self.forget();
                }
            }
            Err(error) if error.retry_helps() => {
                self.flushing.not_before_ms = self.monotonic_ms + FLUSH_INTERVAL_MS;
                self.mark_dirty_again();
            }
            Err(error) => effects.push(Effect::Halt(format!("slot {}: {error}", self.config.slot))),
        }
    }

    /// Drops the part of the tail that the stores hold.
    pub(super) fn drop_folded_tail(&mut self) {
        while self.tail.front().is_some_and(|fact| fact.n <= self.history_folded) {
            self.tail.pop_front();
        }
    }

    fn mark_dirty_again(&mut self) {
        if planted!(ForgetFailedFlush) {
            return;
        }
        for cid in std::mem::take(&mut self.flushing.cids) {
            if let Some(cached) = self.conversations.get_mut(&cid) {
                cached.dirty = true;
            }
        }
        for (cid, account) in std::mem::take(&mut self.flushing.members) {
            if let Some(cached) = self.conversations.get_mut(&cid) {
                cached.dirty_members.insert(account);
            }
        }
    }

    /// Lets go of recent facts and of conversations that were not used for longest.
    fn forget(&mut self) {
        let forgettable = self.forgettable();
        for (cid, cached) in &mut self.conversations {
            // What waits may have been given rows that are older than what it would forget.
            if !self.parked.contains_key(cid) {
                cached.trim(forgettable);
            }
        }
        let excess = self.conversations.len().saturating_sub(self.config.conversations_kept);
        if excess == 0 {
            return;
        }
        let mut idle: Vec<(u64, ConversationId)> = self
            .conversations
            .iter()
            .filter(|(cid, cached)| !self.parked.contains_key(cid) && cached.is_forgettable(forgettable))
            .map(|(&cid, cached)| (cached.used, cid))
            .collect();
        idle.sort_unstable();
        for (_, cid) in idle.into_iter().take(excess) {
            let forgotten = self.conversations.remove(&cid).expect("it was found there");
            if !planted!(SyncFromMemoryAlone) {
                self.complete_from = self.complete_from.max(forgotten.state.shared.n_newest);
            }
        }
    }
}
