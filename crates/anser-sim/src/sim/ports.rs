//! The simulator's stores and shared log, put through the suites of the ports that they stand for.

use std::sync::{Arc, Mutex, MutexGuard};

use anser_core::ports::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::history_conformance::{HistoryFactory, check_history};
use anser_core::ports::index::{ConversationRow, ConversationRows, Index, IndexBatch, MemberRow};
use anser_core::ports::index_conformance::{IndexFactory, check_index};
use anser_core::ports::log::{AppendError, Log, LogError, SlotHead};
use anser_core::ports::log_conformance::{LogFactory, check_log};
use anser_core::ports::{PortFuture, StoreError};
use anser_core::record::Record;
use anser_model::{AccountId, ConversationId, N, Slot, Timeline};

use super::log::SharedLog;
use super::stores::Stores;
use super::world::TIMELINE;

/// What survives whoever has it open.
#[derive(Default)]
struct Kept<T>(Arc<Mutex<T>>);

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Kept(self.0.clone())
    }
}

impl<T> Kept<T> {
    fn held(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

fn ready<T: Send + 'static>(value: T) -> PortFuture<T> {
    Box::pin(std::future::ready(value))
}

impl Index for Kept<Stores> {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        ready(Ok(Slot::all().map(|slot| self.held().checkpoints(slot).0).collect()))
    }

    fn load(
        &self,
        slot: Slot,
        cids: Vec<ConversationId>,
    ) -> PortFuture<Result<Vec<Option<ConversationRows>>, StoreError>> {
        ready(Ok(self.held().load(slot, &cids)))
    }

    fn changed(
        &self,
        slot: Slot,
        account: AccountId,
        after: N,
    ) -> PortFuture<Result<Vec<(ConversationRow, MemberRow)>, StoreError>> {
        ready(Ok(self.held().changed(slot, account, after)))
    }

    fn flush(&self, batches: Vec<IndexBatch>) -> PortFuture<Result<(), StoreError>> {
        batches.iter().for_each(|batch| self.held().flush_index(batch));
        ready(Ok(()))
    }
}

impl History for Kept<Stores> {
    fn checkpoints(&self) -> PortFuture<Result<Vec<N>, StoreError>> {
        ready(Ok(Slot::all().map(|slot| self.held().checkpoints(slot).1).collect()))
    }

    fn range(&self, slot: Slot, range: HistoryRange) -> PortFuture<Result<Vec<FactRow>, StoreError>> {
        ready(Ok(self.held().range(slot, range)))
    }

    fn keys(
        &self,
        slot: Slot,
        keys: Vec<(u32, u128)>,
    ) -> PortFuture<Result<Vec<Option<KeyRow>>, StoreError>> {
        let stores = self.held();
        ready(Ok(keys.into_iter().map(|(day, key)| stores.key(slot, day, key)).collect()))
    }

    fn flush(&self, batches: Vec<HistoryBatch>) -> PortFuture<Result<(), StoreError>> {
        batches.iter().for_each(|batch| self.held().flush_history(batch));
        ready(Ok(()))
    }

    fn forget_keys(&self, day: u32) -> PortFuture<Result<(), StoreError>> {
        self.held().forget_keys(day);
        ready(Ok(()))
    }
}

impl IndexFactory for Kept<Stores> {
    fn open(&self) -> Arc<dyn Index> {
        Arc::new(self.clone())
    }
}

impl HistoryFactory for Kept<Stores> {
    fn open(&self) -> Arc<dyn History> {
        Arc::new(self.clone())
    }
}

impl Log for Kept<SharedLog> {
    fn append(&self, record: Record) -> PortFuture<Result<(), AppendError>> {
        ready(self.held().append(&record))
    }

    fn heads(&self) -> PortFuture<Result<Vec<SlotHead>, LogError>> {
        ready(Ok(Slot::all().map(|slot| self.held().head(slot)).collect()))
    }

    fn read(&self, slot: Slot, from: N, limit_bytes: usize) -> PortFuture<Result<Vec<Record>, LogError>> {
        ready(self.held().read(slot, from, limit_bytes))
    }

    fn trim(&self, below: Vec<(Slot, N)>) -> PortFuture<Result<(), LogError>> {
        below.into_iter().for_each(|(slot, below)| self.held().trim(slot, below));
        ready(Ok(()))
    }
}

impl LogFactory for Kept<SharedLog> {
    fn timeline(&self) -> Timeline {
        TIMELINE
    }

    fn open(&self) -> Arc<dyn Log> {
        Arc::new(self.clone())
    }
}

#[test]
fn the_simulated_index_is_an_index() {
    check_index(&mut || Box::new(Kept::<Stores>::default()));
}

#[test]
fn the_simulated_history_is_a_history() {
    check_history(&mut || Box::new(Kept::<Stores>::default()));
}

#[test]
fn the_shared_log_is_a_log() {
    check_log(&mut || Box::new(Kept::<SharedLog>::default()));
}
