//! Conversations in memory: state, recent facts, and what of them is not yet folded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use anser_model::limits::CLIENT_ID_FUTURE_MS;
use anser_model::{AccountId, Change, ClientId, N, Seq, UnixMillis, planted};

use super::RECENT_FACTS_KEPT;
use crate::conversation::Conversation;
use crate::storage::StoredFact;

/// One conversation in memory.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) state: Conversation,
    /// Sequenced facts up to the head, without a gap.
    pub(super) recent: VecDeque<Arc<StoredFact>>,
    /// Older facts as they stand since a later one rewrote them, until the stores hold that.
    rewritten: BTreeMap<Seq, Arc<StoredFact>>,
    /// Every command that was done after this instant is in `recent`.
    complete_since: UnixMillis,
    /// Every command of a member whose id was minted after this instant is in `recent`.
    ids_complete_since: UnixMillis,
    pub(super) dirty: bool,
    pub(super) dirty_members: BTreeSet<AccountId>,
    /// The engine's clock when it was used last.
    pub(super) used: u64,
}

impl Cached {
    pub(super) fn new(state: Conversation) -> Self {
        let newest = state.members.values().map(|member| member.newest_client_time).max();
        Cached {
            complete_since: state.shared.touched_at,
            ids_complete_since: newest.unwrap_or(UnixMillis(0)),
            state,
            recent: VecDeque::new(),
            rewritten: BTreeMap::new(),
            dirty: false,
            dirty_members: BTreeSet::new(),
            used: 0,
        }
    }

    pub(super) fn apply(&mut self, fact: &Arc<StoredFact>) {
        let touched = self.state.apply(fact);
        self.dirty |= touched.shared;
        self.dirty_members.extend(touched.members);
        self.remember(fact);
    }

    /// Keeps a sequenced fact that is already part of the state.
    pub(super) fn remember(&mut self, fact: &Arc<StoredFact>) {
        if let Some(seq) = fact.fact.seq {
            if let Some(last) = self.recent.back() {
                assert_eq!(last.fact.seq.map(Seq::next), Some(seq), "recent facts have no gap");
            }
            self.recent.push_back(fact.kept());
        }
        let stays = planted!(EditKeepsOldBody) && matches!(fact.fact.change, Change::Edited { .. });
        if let Some(stands) = fact.rewritten().filter(|_| !stays) {
            let seq = stands.fact.seq.expect("what is rewritten is sequenced");
            match self.recent_index(seq) {
                Some(index) => self.recent[index] = stands,
                None => {
                    self.rewritten.insert(seq, stands);
                }
            }
        }
    }

    /// The fact that a command under this key became, if it is in memory.
    pub(super) fn done_by(&self, sender: AccountId, client_id: ClientId) -> Option<&Arc<StoredFact>> {
        self.recent.iter().rev().find(|fact| {
            fact.fact.author == sender && fact.fact.command.is_some_and(|key| key.client_id == client_id)
        })
    }

    /// Whether a command under this key that was done is in memory. What a member's device mints in the same
    /// millisecond as what it minted last must not cost a look into the history each time: a busy one does so often.
    pub(super) fn holds_all_like(&self, sender: AccountId, client_id: ClientId) -> bool {
        match sender {
            // No row says what it minted last.
            AccountId::SYSTEM => client_id.minted_at().minus_ms(CLIENT_ID_FUTURE_MS) > self.complete_since,
            _ => client_id.minted_at() > self.ids_complete_since,
        }
    }

    /// The oldest seq in memory; one past the head where none is.
    pub(super) fn recent_from(&self) -> Seq {
        self.recent.front().and_then(|fact| fact.fact.seq).unwrap_or(self.state.shared.head.next())
    }

    /// A fact in memory by its seq: as it stands now, whatever the stores still hold of it.
    pub(super) fn fact_at(&self, seq: Seq) -> Option<&Arc<StoredFact>> {
        match self.recent_index(seq) {
            Some(index) => Some(&self.recent[index]),
            None => self.rewritten.get(&seq),
        }
    }

    fn recent_index(&self, seq: Seq) -> Option<usize> {
        let index = seq.0.checked_sub(self.recent_from().0)? as usize;
        (index < self.recent.len()).then_some(index)
    }

    /// Forgets old facts that the stores hold for every reader.
    pub(super) fn trim(&mut self, forgettable: N) {
        while self.recent.len() > RECENT_FACTS_KEPT {
            let oldest = &self.recent[0];
            if oldest.n > forgettable {
                break;
            }
            self.complete_since = self.complete_since.max(oldest.fact.at);
            if let Some(command) = oldest.fact.command {
                self.ids_complete_since = self.ids_complete_since.max(command.client_id.minted_at());
            }
            self.recent.pop_front();
        }
        self.rewritten.retain(|_, stands| stands.n > forgettable);
    }

    /// Whether the stores hold all of it for every reader.
    pub(super) fn is_forgettable(&self, forgettable: N) -> bool {
        !self.dirty && self.dirty_members.is_empty() && self.state.shared.n_newest <= forgettable
    }
}
