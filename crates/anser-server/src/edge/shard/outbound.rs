//! What a shard hands to the core, gathered by worker, so that each is woken once.

use anser_core::engine::ReplyTo;
use anser_model::{Refusal, Slot};

use crate::node::{Node, ToWorker};

/// Commands and questions on their way.
pub(super) struct Outbound {
    by_worker: Vec<Vec<ToWorker>>,
    count: usize,
}

impl Outbound {
    pub fn new(workers: usize) -> Self {
        Outbound { by_worker: (0..workers).map(|_| Vec::new()).collect(), count: 0 }
    }

    pub fn put(&mut self, slot: Slot, what: ToWorker) {
        let workers = self.by_worker.len();
        self.by_worker[slot.index() % workers].push(what);
        self.count += 1;
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Hands everything in. What was not taken, and why.
    pub fn hand_in(&mut self, node: &Node, now_ms: u64) -> Vec<(ReplyTo, Refusal)> {
        self.count = 0;
        let mut refused = Vec::new();
        for (worker, given) in self.by_worker.iter_mut().enumerate().filter(|(_, given)| !given.is_empty()) {
            if let Err(refusal) = node.give_all(worker, given, now_ms) {
                // Those that did not fit are left.
                refused.extend(given.drain(..).filter_map(|left| Some((left.reply()?, refusal.clone()))));
            }
        }
        refused
    }
}
