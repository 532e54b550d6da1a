//! What a core hands on, to the connections it is for: gathered per connection, written once per wake-up.

use std::collections::HashMap;
use std::sync::Arc;

use super::EdgeShared;
use super::connection::Connection;
use super::sessions::Table;
use crate::node::{Batch, EdgeInbox, ToEdge};
use anser_edge::{Input, Session, deliver, pass_on, resync};
use anser_model::{AccountId, UnixMillis};

/// Batches that are delivered before anything is written.
const BATCHES_PER_TURN: usize = 256;

/// Connections that have something to write.
pub(super) type Dirty = HashMap<u64, Arc<Connection>>;

impl EdgeShared {
    /// Delivers until the core is gone.
    pub(super) async fn deliver(self: Arc<Self>, mut from_core: EdgeInbox) {
        let mut batches: Vec<Batch> = Vec::with_capacity(BATCHES_PER_TURN);
        let mut dirty = Dirty::new();
        while from_core.batches.recv_many(&mut batches, BATCHES_PER_TURN).await > 0 {
            let since_ms = batches[0].handed_at_ms;
            let weight = batches.iter().map(|batch| batch.weight).sum();
            let now = self.clock.now();
            {
                let table = self.sessions.read();
                let mut here = Here { edge: &self, table: &table, dirty: &mut dirty };
                for item in batches.drain(..).flat_map(|batch| batch.items) {
                    self.deliver_one(&mut here, item, now);
                }
            }
            for (_, connection) in dirty.drain() {
                self.write(&connection);
            }
            from_core.meter.done(weight, since_ms, self.clock.monotonic_ms());
        }
    }

    fn deliver_one(self: &Arc<Self>, here: &mut Here<'_>, item: ToEdge, now: UnixMillis) {
        match item {
            ToEdge::Answer { session, asked, answer } => {
                let Some(connection) = here.table.connection(session) else { return };
                let question = self.step(connection, Input::Answered(asked, answer), now);
                assert!(question.is_none(), "only frames make a session wait");
                if connection.inbox().is_some() {
                    // It takes what it is given: what a turn brings need not fit into the session's queue.
                    connection.flush(&self.metrics);
                    return;
                }
                here.dirty.entry(session).or_insert_with(|| connection.clone());
            }
            ToEdge::Event { event, accounts } => deliver(&event, &accounts, &**self, here),
            ToEdge::Void(void) => resync(&void, &**self, here),
            ToEdge::Typing { typing, accounts } => pass_on(&typing, &accounts, &**self, here),
            ToEdge::Presence(accounts) => self.look_again(accounts),
        }
    }
}

/// The sessions of this edge, while a turn delivers to them.
pub(super) struct Here<'a> {
    pub(super) edge: &'a EdgeShared,
    pub(super) table: &'a Table,
    pub(super) dirty: &'a mut Dirty,
}

impl anser_edge::Table for Here<'_> {
    fn each_of(&mut self, account: AccountId, except: Option<u64>, with: &mut dyn FnMut(&mut Session)) {
        for connection in self.table.of(account) {
            if except != Some(connection.id) {
                with(&mut connection.state().session);
                self.dirty.entry(connection.id).or_insert_with(|| connection.clone());
            }
        }
    }

    fn each_watching(&mut self, account: AccountId, with: &mut dyn FnMut(&mut Session) -> bool) {
        for session in self.edge.watchers.of(account) {
            let Some(connection) = self.table.connection(session) else { continue };
            if with(&mut connection.state().session) {
                self.dirty.entry(session).or_insert_with(|| connection.clone());
            } else {
                self.edge.watch_not(session, account);
            }
        }
    }
}
