//! The stores behind the engines: flushes of many slots at once, and the log trimmed behind them.

use std::collections::VecDeque;
use std::sync::Arc;

use anser_core::engine::Input;
use anser_core::ports::history::{History, HistoryBatch};
use anser_core::ports::index::{Index, IndexBatch};
use anser_core::ports::log::{Log, LogError};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{N, Slot};

/// How long a fact that is folded stays in the log, for those who reconnect.
pub const LOG_KEPT_MS: u64 = 120_000;
/// How often the log is trimmed.
const TRIM_INTERVAL_MS: u64 = 30_000;

/// Folds what the slots of one worker flush: one transaction at a time, with all that waits.
pub(super) struct Flusher {
    index: Arc<dyn Index>,
    history: Arc<dyn History>,
    waiting: Vec<(Slot, IndexBatch, HistoryBatch)>,
    under_way: Option<PortFuture<Vec<(Slot, Input)>>>,
}

impl Flusher {
    pub(super) fn new(index: Arc<dyn Index>, history: Arc<dyn History>) -> Self {
        Flusher { index, history, waiting: Vec::new(), under_way: None }
    }

    pub(super) fn add(&mut self, slot: Slot, index: IndexBatch, history: HistoryBatch) {
        self.waiting.push((slot, index, history));
    }

    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Begins with everything that waits, unless something is under way.
    pub(super) fn begin(&mut self) {
        if self.is_busy() || self.waiting.is_empty() {
            return;
        }
        let mut ends = Vec::new();
        let mut index_batches = Vec::new();
        let mut history_batches = Vec::new();
        for (slot, index, history) in self.waiting.drain(..) {
            ends.push((slot, index.through));
            index_batches.push(index);
            history_batches.push(history);
        }
        let (index, history) = (self.index.clone(), self.history.clone());
        self.under_way = Some(Box::pin(async move {
            let result = fold(&*index, &*history, index_batches, history_batches).await;
            if let Err(error) = &result {
                tracing::warn!(%error, "a flush failed");
            }
            ends.into_iter()
                .map(|(slot, through)| (slot, Input::Flushed { through, result: result.clone() }))
                .collect()
        }));
    }

    pub(super) async fn next(&mut self) -> Vec<(Slot, Input)> {
        match &mut self.under_way {
            Some(under_way) => {
                let done = under_way.await;
                self.under_way = None;
                done
            }
            None => std::future::pending().await,
        }
    }
}

/// The index first: what the history's checkpoint covers must be in both.
async fn fold(
    index: &dyn Index,
    history: &dyn History,
    index_batches: Vec<IndexBatch>,
    history_batches: Vec<HistoryBatch>,
) -> Result<(), StoreError> {
    index.flush(index_batches).await?;
    history.flush(history_batches).await
}

/// Trims the log below what was folded a while ago.
pub(super) struct Trimmer {
    log: Arc<dyn Log>,
    /// What was folded when, oldest first.
    marks: VecDeque<(u64, Vec<(Slot, N)>)>,
    next_at_ms: u64,
    under_way: Option<PortFuture<Result<(), LogError>>>,
}

impl Trimmer {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        Trimmer { log, marks: VecDeque::new(), next_at_ms: 0, under_way: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    pub(super) fn tick(&mut self, monotonic_ms: u64, folded: impl Iterator<Item = (Slot, N)>) {
        if monotonic_ms < self.next_at_ms {
            return;
        }
        self.next_at_ms = monotonic_ms + TRIM_INTERVAL_MS;
        self.marks.push_back((monotonic_ms, folded.collect()));
        let mut due = None;
        while self.marks.front().is_some_and(|&(at, _)| at + LOG_KEPT_MS <= monotonic_ms) {
            due = self.marks.pop_front();
        }
        if let Some((_, folded)) = due
            && !self.is_busy()
        {
            self.under_way = Some(self.log.trim(folded));
        }
    }

    pub(super) async fn next(&mut self) {
        match &mut self.under_way {
            Some(under_way) => {
                if let Err(error) = under_way.await {
                    tracing::warn!(%error, "the log could not be trimmed");
                }
                self.under_way = None;
            }
            None => std::future::pending().await,
        }
    }
}
