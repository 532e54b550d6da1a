//! Index and history as their ports promise them: each flush lands whole or not at all, a checkpoint only
//! grows, a row keeps the n that wrote it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anser_core::engine::{Fetch, Fetched};
use anser_core::ports::history::{FactRow, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::index::{ConversationRow, ConversationRows, IndexBatch, MemberRow};
use anser_model::{AccountId, ConversationId, N, Seq, Slot, planted};

/// Both stores of an installation.
#[derive(Default)]
pub(super) struct Stores {
    slots: BTreeMap<Slot, Rows>,
}

#[derive(Default)]
struct Rows {
    index_through: N,
    history_through: N,
    conversations: BTreeMap<ConversationId, ConversationRow>,
    members: BTreeMap<(ConversationId, AccountId), MemberRow>,
    facts: BTreeMap<(ConversationId, Seq), FactRow>,
    keys: BTreeMap<(u32, u128), KeyRow>,
}

impl Stores {
    /// The checkpoints of a slot: index and history.
    pub fn checkpoints(&self, slot: Slot) -> (N, N) {
        self.slots.get(&slot).map_or((N(0), N(0)), |rows| (rows.index_through, rows.history_through))
    }

    pub fn flush_index(&mut self, batch: &IndexBatch) {
        let rows = self.slots.entry(batch.slot).or_default();
        if batch.through < rows.index_through {
            return;
        }
        rows.index_through = batch.through;
        for row in &batch.conversations {
            let age = |row: &ConversationRow| row.n_shared.max(row.n_receipts);
            put(&mut rows.conversations, row.cid, row, |known| age(row) >= age(known));
        }
        for row in &batch.members {
            put(&mut rows.members, (row.cid, row.account), row, |known| row.n >= known.n);
        }
    }

    pub fn flush_history(&mut self, batch: &HistoryBatch) {
        let rows = self.slots.entry(batch.slot).or_default();
        let unguarded = planted!(LateFlushUndoesRecall);
        if batch.through < rows.history_through && !unguarded {
            return;
        }
        rows.history_through = batch.through.max(rows.history_through);
        for row in &batch.facts {
            let known = rows.facts.get(&(row.cid, row.seq));
            assert!(
                row.replaces || known.is_none_or(|known| row.n <= known.n),
                "what replaces a row says so, or it would never be erased"
            );
            let kept = FactRow { replaces: false, ..row.clone() };
            put(&mut rows.facts, (row.cid, row.seq), &kept, |known| row.n >= known.n || unguarded);
        }
        for key in &batch.keys {
            put(&mut rows.keys, (key.day, key.key), key, |known| key.n >= known.n);
        }
    }

    pub fn fetch(&self, slot: Slot, fetch: Fetch) -> Fetched {
        match fetch {
            Fetch::Conversations(cids) => Fetched::Conversations(self.load(slot, &cids)),
            Fetch::Key { day, key } => Fetched::Key(self.key(slot, day, key)),
            Fetch::Facts(ranges) => {
                Fetched::Facts(ranges.into_iter().flat_map(|range| self.range(slot, range)).collect())
            }
            Fetch::Changes { account, after } => Fetched::Changes(self.changed(slot, account, after)),
        }
    }

    /// As [`anser_core::ports::index::Index::load`].
    pub fn load(&self, slot: Slot, cids: &[ConversationId]) -> Vec<Option<ConversationRows>> {
        let rows = self.slots.get(&slot);
        cids.iter().map(|&cid| rows.and_then(|rows| rows.conversation(cid))).collect()
    }

    /// As [`anser_core::ports::index::Index::changed`].
    pub fn changed(&self, slot: Slot, account: AccountId, after: N) -> Vec<(ConversationRow, MemberRow)> {
        let Some(rows) = self.slots.get(&slot) else { return Vec::new() };
        rows.members
            .values()
            .filter(|row| row.account == account)
            .map(|row| (rows.conversations[&row.cid].clone(), row.clone()))
            .filter(|(conversation, member)| {
                let shared = conversation.n_shared.max(conversation.n_receipts);
                member.n > after || member.present && shared > after
            })
            .collect()
    }

    /// As [`anser_core::ports::history::History::range`].
    pub fn range(&self, slot: Slot, range: HistoryRange) -> Vec<FactRow> {
        let Some(rows) = self.slots.get(&slot).filter(|_| range.low <= range.high) else {
            return Vec::new();
        };
        let found: Vec<&FactRow> =
            rows.facts.range((range.cid, range.low)..=(range.cid, range.high)).map(|(_, row)| row).collect();
        let cut = found.len().saturating_sub(range.limit);
        let kept = if range.newest_first { &found[cut..] } else { &found[..found.len() - cut] };
        kept.iter().map(|&row| row.clone()).collect()
    }

    /// As one of [`anser_core::ports::history::History::keys`].
    pub fn key(&self, slot: Slot, day: u32, key: u128) -> Option<KeyRow> {
        self.slots.get(&slot)?.keys.get(&(day, key)).copied()
    }

    /// As [`anser_core::ports::history::History::forget_keys`].
    #[cfg(test)]
    pub fn forget_keys(&mut self, before: u32) {
        self.slots.values_mut().for_each(|rows| rows.keys.retain(|&(day, _), _| day >= before));
    }
}

/// Writes a row, unless the one that is there is newer.
fn put<K: Ord, R: Clone>(rows: &mut BTreeMap<K, R>, key: K, row: &R, is_newer_than: impl Fn(&R) -> bool) {
    match rows.entry(key) {
        Entry::Vacant(free) => _ = free.insert(row.clone()),
        Entry::Occupied(mut known) if is_newer_than(known.get()) => _ = known.insert(row.clone()),
        Entry::Occupied(_) => {}
    }
}

impl Rows {
    fn conversation(&self, cid: ConversationId) -> Option<ConversationRows> {
        let conversation = self.conversations.get(&cid)?.clone();
        let members = self.members.range((cid, AccountId(0))..=(cid, AccountId(u64::MAX)));
        Some(ConversationRows { conversation, members: members.map(|(_, row)| row.clone()).collect() })
    }
}
