//! Index and history as their ports promise them: each flush lands whole or not at all, a checkpoint only
//! grows, a row keeps the n that wrote it.

use std::collections::BTreeMap;

use anser_core::engine::{Fetch, Fetched};
use anser_core::ports::history::{FactRow, HistoryBatch, KeyRow};
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
            rows.conversations.insert(row.cid, row.clone());
        }
        for row in &batch.members {
            rows.members.insert((row.cid, row.account), row.clone());
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
            let known = rows.facts.entry((row.cid, row.seq)).or_insert_with(|| row.clone());
            if row.n > known.n || unguarded {
                *known = row.clone();
            }
        }
        for key in &batch.keys {
            rows.keys.insert((key.day, key.key), *key);
        }
    }

    pub fn fetch(&self, slot: Slot, fetch: Fetch) -> Fetched {
        let nothing = Rows::default();
        let rows = self.slots.get(&slot).unwrap_or(&nothing);
        match fetch {
            Fetch::Conversations(cids) => {
                Fetched::Conversations(cids.into_iter().map(|cid| rows.conversation(cid)).collect())
            }
            Fetch::Key { day, key } => Fetched::Key(rows.keys.get(&(day, key)).copied()),
            Fetch::Facts(ranges) => Fetched::Facts(
                ranges
                    .iter()
                    .flat_map(|range| rows.facts.range((range.cid, range.low)..=(range.cid, range.high)))
                    .map(|(_, row)| row.clone())
                    .collect(),
            ),
            Fetch::Changes { account, after } => Fetched::Changes(
                rows.members
                    .values()
                    .filter(|row| row.account == account)
                    .map(|row| (rows.conversations[&row.cid].clone(), row.clone()))
                    .filter(|(conversation, member)| {
                        let shared = conversation.n_shared.max(conversation.n_receipts);
                        member.n > after || member.present && shared > after
                    })
                    .collect(),
            ),
        }
    }
}

impl Rows {
    fn conversation(&self, cid: ConversationId) -> Option<ConversationRows> {
        let conversation = self.conversations.get(&cid)?.clone();
        let members = self.members.range((cid, AccountId(0))..=(cid, AccountId(u64::MAX)));
        Some(ConversationRows { conversation, members: members.map(|(_, row)| row.clone()).collect() })
    }
}
