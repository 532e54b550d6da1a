//! A store that forgets when the process ends.

use std::collections::BTreeMap;

use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::{v1, wire};
use bytes::Bytes;

use crate::session::ranges::Ranges;
use crate::store::{Change, Saved, SavedEntry, Store, StoreError};

/// A store that forgets when the process ends; also what other stores hold before they write it.
#[derive(Debug, Default, Clone)]
pub struct MemoryStore {
    account: Option<AccountId>,
    cursor: v1::Cursor,
    heads: BTreeMap<Bytes, v1::Head>,
    facts: BTreeMap<ConversationId, (BTreeMap<u64, v1::Event>, Ranges)>,
    profiles: BTreeMap<u64, v1::Profile>,
    outbox: BTreeMap<ClientId, SavedEntry>,
}

impl MemoryStore {
    /// A store that holds what was saved elsewhere.
    pub fn holding(saved: Saved) -> Self {
        let facts = saved.facts.into_iter().map(|(cid, events, ranges)| {
            (cid, (events.into_iter().map(|event| (event.seq, event)).collect(), ranges))
        });
        MemoryStore {
            account: saved.account,
            cursor: saved.cursor,
            heads: saved.heads.into_iter().map(|head| (head.cid.clone(), head)).collect(),
            facts: facts.collect(),
            profiles: saved.profiles.into_iter().map(|profile| (profile.account, profile)).collect(),
            outbox: saved.outbox.into_iter().map(|entry| (entry.client_id, entry)).collect(),
        }
    }

    /// Everything it holds.
    pub fn saved(&self) -> Saved {
        let facts = self.facts.iter();
        Saved {
            account: self.account,
            cursor: self.cursor.clone(),
            heads: self.heads.values().cloned().collect(),
            facts: facts
                .map(|(&cid, (events, ranges))| (cid, events.values().cloned().collect(), ranges.clone()))
                .collect(),
            profiles: self.profiles.values().cloned().collect(),
            outbox: self.outbox.values().cloned().collect(),
        }
    }

    /// The command without an answer that has this client id.
    pub fn entry(&self, id: ClientId) -> Option<&SavedEntry> {
        self.outbox.get(&id)
    }

    fn take_facts(&mut self, cid: ConversationId, events: Vec<v1::Event>, ranges: Ranges) {
        let (held, known) = self.facts.entry(cid).or_default();
        held.extend(events.into_iter().map(|event| (event.seq, event)));
        held.retain(|&seq, _| ranges.contains(seq));
        *known = ranges;
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(self.saved())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Account(account) => self.account = Some(account),
            Change::Cursor(cursor) => self.cursor = cursor,
            Change::Head(head) => {
                debug_assert!(wire::cid(&head.cid).is_ok());
                self.heads.insert(head.cid.clone(), *head);
            }
            Change::Facts { cid, events, ranges } => self.take_facts(cid, events, ranges),
            Change::Forgotten { cid, seqs } => {
                if let Some((held, _)) = self.facts.get_mut(&cid) {
                    held.retain(|&seq, _| !seqs.contains(seq));
                }
            }
            Change::Profiles(profiles) => {
                self.profiles.extend(profiles.into_iter().map(|profile| (profile.account, profile)));
            }
            Change::OutboxPut(entry) => {
                self.outbox.insert(entry.client_id, *entry);
            }
            Change::OutboxRemoved(id) => {
                self.outbox.remove(&id);
            }
            Change::Restarted => {
                self.cursor = v1::Cursor::default();
                self.heads.clear();
                self.facts.clear();
            }
        }
    }

    fn flush_outbox(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
