//! What was folded and what became of it: the truth that a recovered history is compared with.

use std::collections::{BTreeMap, BTreeSet};

use anser_core::ports::history::{FactRow, HistoryBatch, HistoryRange, KeyRow};
use anser_embedded::history::SteppedHistory;
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::Bytes;

use super::super::finding::{Breach, Finding};
use super::{CIDS, SLOTS};
use crate::disk::SimDisk;

/// The engines' side of the history.
#[derive(Clone, Default)]
pub(crate) struct FoldLedger {
    /// Acknowledged, or seen after a recovery: must be there from now on.
    kept: Folds,
    /// Of unknown fate: is there whole, or not at all.
    maybe: Option<Maybe>,
}

#[derive(Clone, Default)]
struct Folds {
    checkpoints: BTreeMap<Slot, N>,
    facts: BTreeMap<(Slot, ConversationId, Seq), FactRow>,
    keys: BTreeMap<(u32, Slot, u128), KeyRow>,
    /// Keys that were there once.
    forgotten: BTreeSet<(u32, Slot, u128)>,
    /// Facts that a newer version has replaced.
    replaced: BTreeSet<Bytes>,
}

#[derive(Clone)]
enum Maybe {
    Flush(Vec<HistoryBatch>),
    Forget(u32),
}

impl Folds {
    fn apply(&mut self, batches: &[HistoryBatch]) {
        for batch in batches {
            let checkpoint = self.checkpoints.entry(batch.slot).or_default();
            if batch.through < *checkpoint {
                continue;
            }
            *checkpoint = batch.through;
            for fact in &batch.facts {
                let row = FactRow { replaces: false, ..fact.clone() };
                let old = self.facts.entry((batch.slot, fact.cid, fact.seq)).or_insert_with(|| row.clone());
                let (newer, older) = if old.n <= row.n { (row, old.clone()) } else { (old.clone(), row) };
                if older != newer {
                    self.replaced.insert(older.fact);
                }
                *old = newer;
            }
            for key in &batch.keys {
                let old = self.keys.entry((key.day, batch.slot, key.key)).or_insert(*key);
                if old.n <= key.n {
                    *old = *key;
                }
            }
        }
    }

    fn forget(&mut self, day: u32) {
        let kept = self.keys.split_off(&(day, Slot(0), 0));
        self.forgotten.extend(std::mem::replace(&mut self.keys, kept).into_keys());
    }

    fn has_checkpoints(&self, found: &[N]) -> bool {
        Slot::all().all(|slot| self.checkpoint(slot) == found[slot.index()])
    }

    fn checkpoint(&self, slot: Slot) -> N {
        self.checkpoints.get(&slot).copied().unwrap_or_default()
    }
}

impl FoldLedger {
    /// Through which n a slot is folded.
    pub fn checkpoint(&self, slot: Slot) -> N {
        self.kept.checkpoint(slot)
    }

    /// Whether a row is there, so that a flush of it replaces one.
    pub fn row(&self, slot: Slot, cid: ConversationId, seq: Seq) -> Option<&FactRow> {
        self.kept.facts.get(&(slot, cid, seq))
    }

    /// How many rows must be there.
    pub fn kept(&self) -> usize {
        self.kept.facts.len() + self.kept.keys.len()
    }

    /// A flush was acknowledged, or its fate is not known.
    pub fn flushed(&mut self, batches: Vec<HistoryBatch>, is_known: bool) {
        match is_known {
            true => self.kept.apply(&batches),
            false => self.maybe = Some(Maybe::Flush(batches)),
        }
    }

    /// The same of what was forgotten.
    pub fn forgot(&mut self, day: u32, is_known: bool) {
        match is_known {
            true => self.kept.forget(day),
            false => self.maybe = Some(Maybe::Forget(day)),
        }
    }

    /// Compares the history with the ledger. What turns out to be there must be there from now on, and
    /// what does not, never.
    pub fn check(&mut self, history: &SteppedHistory) -> Result<(), Finding> {
        self.settle(history)?;
        for slot in SLOTS {
            for cid in CIDS.map(|number| ConversationId([number; 16])) {
                self.check_conversation(history, slot, cid)?;
            }
        }
        for (&(day, slot, key), row) in &self.kept.keys {
            let found = history.key(day, slot, key).map_err(refused)?;
            if found != Some(*row) {
                let breach = if found.is_none() { Breach::Lost } else { Breach::Altered };
                return Err(Finding::new(breach, format!("key {key} of day {day}: {found:?} for {row:?}")));
            }
        }
        for &(day, slot, key) in self.kept.forgotten.iter().filter(|at| !self.kept.keys.contains_key(at)) {
            if history.key(day, slot, key).map_err(refused)?.is_some() {
                let what = format!("key {key} of day {day} was forgotten, and is back");
                return Err(Finding::new(Breach::Invented, what));
            }
        }
        Ok(())
    }

    /// Finds out what became of the work of unknown fate.
    fn settle(&mut self, history: &SteppedHistory) -> Result<(), Finding> {
        let found = history.checkpoints();
        match self.maybe.take() {
            Some(Maybe::Flush(batches)) => {
                let mut with = self.kept.clone();
                with.apply(&batches);
                if with.has_checkpoints(&found) {
                    self.kept = with;
                }
            }
            Some(Maybe::Forget(day)) => {
                let first = self.kept.keys.keys().next().copied().filter(|(filed, ..)| *filed < day);
                if let Some((filed, slot, key)) = first
                    && history.key(filed, slot, key).map_err(refused)?.is_none()
                {
                    self.kept.forget(day);
                }
            }
            None => {}
        }
        if self.kept.has_checkpoints(&found) {
            return Ok(());
        }
        let fell = Slot::all().find(|slot| found[slot.index()] < self.kept.checkpoint(*slot));
        Err(match fell {
            Some(slot) => Finding::new(Breach::Lost, format!("the checkpoint of slot {slot} moved back")),
            None => Finding::new(Breach::Invented, "a flush is there by half, or one that never was"),
        })
    }

    fn check_conversation(
        &self,
        history: &SteppedHistory,
        slot: Slot,
        cid: ConversationId,
    ) -> Result<(), Finding> {
        let range =
            HistoryRange { cid, low: Seq(0), high: Seq(u64::MAX), limit: usize::MAX, newest_first: false };
        let found = history.range(slot, &range).map_err(refused)?;
        let of_it = (slot, cid, Seq(0))..=(slot, cid, Seq(u64::MAX));
        let right: Vec<&FactRow> = self.kept.facts.range(of_it).map(|(_, row)| row).collect();
        if found.iter().eq(right.iter().copied()) {
            return Ok(());
        }
        let breach = match found.len().cmp(&right.len()) {
            std::cmp::Ordering::Less => Breach::Lost,
            std::cmp::Ordering::Equal => Breach::Altered,
            std::cmp::Ordering::Greater => Breach::Invented,
        };
        let what = format!("slot {slot}, {cid}: {} rows where {} were folded", found.len(), right.len());
        Err(Finding::new(breach, what))
    }

    /// For a history whose medium was damaged: every answer is an error or the truth.
    pub fn check_honest(&self, history: &SteppedHistory) -> Result<(), Finding> {
        for (&(slot, cid, seq), row) in &self.kept.facts {
            let range = HistoryRange { cid, low: seq, high: seq, limit: 1, newest_first: false };
            if let Ok(found) = history.range(slot, &range)
                && found != std::slice::from_ref(row)
            {
                return Err(Finding::new(Breach::Altered, format!("slot {slot}, seq {seq}: {found:?}")));
            }
        }
        for (&(day, slot, key), row) in &self.kept.keys {
            if let Ok(found) = history.key(day, slot, key)
                && found != Some(*row)
            {
                return Err(Finding::new(Breach::Altered, format!("key {key} of day {day}: {found:?}")));
            }
        }
        Ok(())
    }

    /// After all erasing is done: no file holds what was replaced.
    pub fn check_erased(&self, disk: &SimDisk) -> Result<(), Finding> {
        for name in disk.names() {
            let contents = disk.peek(&name).expect("it is listed");
            for body in &self.kept.replaced {
                if contents.windows(body.len()).any(|window| window == &body[..]) {
                    let what = format!("{name} holds {body:?}, which was replaced");
                    return Err(Finding::new(Breach::Unerased, what));
                }
            }
        }
        Ok(())
    }
}

fn refused(error: anser_embedded::history::HistoryError) -> Finding {
    Finding::new(Breach::Refused, error.to_string())
}
