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

/// Folds what the slots of one worker flush: one transaction of each store at a time, with all that waits.
pub(super) struct Flusher {
    index: Arc<dyn Index>,
    history: Arc<dyn History>,
    index_waiting: Vec<IndexBatch>,
    history_waiting: Vec<HistoryBatch>,
    index_folding: Option<Folding>,
    history_folding: Option<Folding>,
}

type Folding = PortFuture<Vec<(Slot, Input)>>;

impl Flusher {
    pub(super) fn new(index: Arc<dyn Index>, history: Arc<dyn History>) -> Self {
        Flusher {
            index,
            history,
            index_waiting: Vec::new(),
            history_waiting: Vec::new(),
            index_folding: None,
            history_folding: None,
        }
    }

    pub(super) fn add_index(&mut self, batch: IndexBatch) {
        self.index_waiting.push(batch);
    }

    pub(super) fn add_history(&mut self, batch: HistoryBatch) {
        self.history_waiting.push(batch);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.index_folding.is_some() || self.history_folding.is_some()
    }

    /// Begins with everything that waits, unless the store is at it.
    pub(super) fn begin(&mut self) {
        if self.index_folding.is_none() && !self.index_waiting.is_empty() {
            let batches = std::mem::take(&mut self.index_waiting);
            let ends = batches.iter().map(|batch| (batch.slot, batch.through)).collect();
            self.index_folding = Some(folding(ends, self.index.flush(batches)));
        }
        if self.history_folding.is_none() && !self.history_waiting.is_empty() {
            let batches = std::mem::take(&mut self.history_waiting);
            let ends = batches.iter().map(|batch| (batch.slot, batch.through)).collect();
            self.history_folding = Some(folding(ends, self.history.flush(batches)));
        }
    }

    pub(super) async fn next(&mut self) -> Vec<(Slot, Input)> {
        tokio::select! {
            done = finished(&mut self.index_folding) => done,
            done = finished(&mut self.history_folding) => done,
        }
    }
}

fn folding(ends: Vec<(Slot, N)>, flushing: PortFuture<Result<(), StoreError>>) -> Folding {
    Box::pin(async move {
        let result = flushing.await;
        if let Err(error) = &result {
            tracing::warn!(%error, "a flush failed");
        }
        ends.into_iter()
            .map(|(slot, through)| (slot, Input::Flushed { through, result: result.clone() }))
            .collect()
    })
}

async fn finished(folding: &mut Option<Folding>) -> Vec<(Slot, Input)> {
    match folding {
        Some(under_way) => {
            let done = under_way.await;
            *folding = None;
            done
        }
        None => std::future::pending().await,
    }
}

/// Trims the log below what was folded a while ago.
pub(super) struct Trimmer {
    log: Arc<dyn Log>,
    /// Below what everything was folded when, oldest first.
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
        // What is folded is not needed again, the last of it neither: or a slot where nothing happens any more
        // would keep the segment of its last fact, and all behind it, for ever.
        let below = folded.map(|(slot, folded)| (slot, folded.next())).collect();
        self.marks.push_back((monotonic_ms, below));
        let mut due = None;
        while self.marks.front().is_some_and(|&(at, _)| at + LOG_KEPT_MS <= monotonic_ms) {
            due = self.marks.pop_front();
        }
        if let Some((_, below)) = due
            && !self.is_busy()
        {
            self.under_way = Some(self.log.trim(below));
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use anser_core::ports::log::{AppendError, SlotHead};
    use anser_core::record::Record;

    use super::*;

    /// A log that remembers how it was trimmed.
    #[derive(Default)]
    struct Trimmed(Mutex<Vec<Vec<(Slot, N)>>>);

    impl Log for Trimmed {
        fn append(&self, _record: Record) -> PortFuture<Result<(), AppendError>> {
            unreachable!("a trimmer appends nothing")
        }

        fn heads(&self) -> PortFuture<Result<Vec<SlotHead>, LogError>> {
            unreachable!("a trimmer asks for no heads")
        }

        fn read(&self, _: Slot, _: N, _: usize) -> PortFuture<Result<Vec<Record>, LogError>> {
            unreachable!("a trimmer reads nothing")
        }

        fn trim(&self, below: Vec<(Slot, N)>) -> PortFuture<Result<(), LogError>> {
            self.0.lock().expect("no panic").push(below);
            Box::pin(std::future::ready(Ok(())))
        }
    }

    /// The last fact of a slot where nothing happens any more must not keep all of the log behind it.
    #[tokio::test]
    async fn what_was_folded_long_ago_is_forgotten_with_its_last_fact() {
        let log = Arc::new(Trimmed::default());
        let mut trimmer = Trimmer::new(log.clone());
        let (idle, busy) = (Slot(1), Slot(2));
        for at_ms in (0..=LOG_KEPT_MS).step_by(TRIM_INTERVAL_MS as usize) {
            assert!(log.0.lock().expect("no panic").is_empty(), "those who reconnect are replayed");
            trimmer.tick(at_ms, [(idle, N(1)), (busy, N(10 + at_ms))].into_iter());
        }
        trimmer.next().await;
        assert_eq!(*log.0.lock().expect("no panic"), [vec![(idle, N(2)), (busy, N(11))]]);
    }
}
