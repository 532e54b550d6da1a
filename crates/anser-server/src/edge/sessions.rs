//! The table of an edge: its connections by session, and its sessions by account.

use std::collections::HashMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anser_model::AccountId;

use super::connection::Connection;

/// Everybody on this edge.
#[derive(Default)]
pub(super) struct Sessions {
    table: RwLock<Table>,
}

#[derive(Default)]
pub(super) struct Table {
    connections: HashMap<u64, Arc<Connection>>,
    accounts: HashMap<AccountId, Vec<u64>>,
    signed_in: usize,
}

impl Sessions {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().expect("nothing panics while it holds the table")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().expect("nothing panics while it holds the table")
    }

    pub(super) fn add(&self, connection: Arc<Connection>) {
        self.write().connections.insert(connection.id, connection);
    }

    /// A session of the account is here; `first` runs, before anybody else may enter or leave, when
    /// it is the only one.
    pub(super) fn enter(&self, account: AccountId, session: u64, first: impl FnOnce()) {
        let mut table = self.write();
        table.signed_in += 1;
        let sessions = table.accounts.entry(account).or_insert_with(|| Vec::with_capacity(1));
        sessions.push(session);
        if sessions.len() == 1 {
            first();
        }
    }

    /// A connection is gone; `last` runs when its account has no other one here.
    pub(super) fn remove(&self, session: u64, account: Option<AccountId>, last: impl FnOnce()) {
        let mut table = self.write();
        table.connections.remove(&session);
        let Some(account) = account else { return };
        let table = &mut *table;
        if let Some(sessions) = table.accounts.get_mut(&account) {
            let before = sessions.len();
            sessions.retain(|&known| known != session);
            table.signed_in -= before - sessions.len();
            if sessions.is_empty() {
                table.accounts.remove(&account);
                last();
            }
        }
    }
}

impl Table {
    pub(super) fn connection(&self, session: u64) -> Option<&Arc<Connection>> {
        self.connections.get(&session)
    }

    /// The connections of an account.
    pub(super) fn of(&self, account: AccountId) -> impl Iterator<Item = &Arc<Connection>> {
        let sessions = self.accounts.get(&account).map_or(&[][..], Vec::as_slice);
        sessions.iter().filter_map(|session| self.connections.get(session))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Connection>> {
        self.connections.values()
    }

    /// Connections on which somebody is signed in.
    pub(super) fn signed_in(&self) -> usize {
        self.signed_in
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }
}
