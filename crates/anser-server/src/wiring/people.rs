//! What the edge asks of people, from the accounts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anser_core::ports::PortFuture;
use anser_model::AccountId;
use anser_proto::v1;

use crate::accounts::{AccessError, AccountService, LastSeen, Seen};
use crate::edge::People;

/// Profile versions kept in memory.
const VERSIONS_KEPT: usize = 131_072;

/// Versions of profiles that were looked at, the newest of each.
#[derive(Clone, Default)]
pub(super) struct Versions(Arc<Mutex<HashMap<AccountId, u64>>>);

impl Versions {
    /// Learns of versions. A smaller one than is known, as of a read that a change overtook, changes nothing.
    pub(super) fn learn(&self, read: impl IntoIterator<Item = (AccountId, u64)>) {
        let mut versions = self.0.lock().expect("nothing panics while it holds the versions");
        if versions.len() >= VERSIONS_KEPT {
            versions.clear();
        }
        for (account, version) in read {
            let known = versions.entry(account).or_default();
            *known = (*known).max(version);
        }
    }

    fn of(&self, account: AccountId) -> Option<u64> {
        self.0.lock().expect("nothing panics while it holds the versions").get(&account).copied()
    }
}

/// Accounts as the edge sees them: who exists is remembered, since it never becomes false.
pub(super) struct Directory {
    accounts: Arc<AccountService>,
    versions: Versions,
}

impl Directory {
    pub(super) fn new(accounts: Arc<AccountService>, versions: Versions) -> Self {
        Directory { accounts, versions }
    }
}

fn wire(error: AccessError) -> v1::Error {
    v1::Error::new(error.code(), error.to_string()).after_ms(error.retry_after_ms())
}

impl People for Directory {
    fn known_to_exist(&self, accounts: &[AccountId]) -> bool {
        accounts.iter().all(|&account| self.versions.of(account).is_some())
    }

    fn missing(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<AccountId>, v1::Error>> {
        let (service, versions) = (self.accounts.clone(), self.versions.clone());
        Box::pin(async move {
            let found = service.profiles(accounts.clone()).await.map_err(wire)?;
            versions.learn(found.iter().flatten().map(|profile| (profile.account, profile.version)));
            let missing = accounts.into_iter().zip(found).filter(|(_, profile)| profile.is_none());
            Ok(missing.map(|(account, _)| account).collect())
        })
    }

    fn profiles(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<v1::Profile>, v1::Error>> {
        let (service, versions) = (self.accounts.clone(), self.versions.clone());
        Box::pin(async move {
            let found = service.profiles(accounts).await.map_err(wire)?;
            versions.learn(found.iter().flatten().map(|profile| (profile.account, profile.version)));
            let profiles = found.into_iter().flatten().map(|profile| v1::Profile {
                account: profile.account.0,
                handle: profile.handle,
                name: profile.name,
                version: profile.version,
                avatar: profile.avatar,
                bio: profile.bio,
                deactivated: profile.deactivated,
            });
            Ok(profiles.collect())
        })
    }

    fn last_seen(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<LastSeen>, v1::Error>> {
        let service = self.accounts.clone();
        Box::pin(async move { service.last_seen(accounts).await.map_err(wire) })
    }

    fn note_seen(&self, seen: Vec<Seen>) -> PortFuture<Result<(), v1::Error>> {
        let service = self.accounts.clone();
        Box::pin(async move { service.note_seen(seen).await.map_err(wire) })
    }

    fn profile_version(&self, account: AccountId) -> u64 {
        self.versions.of(account).unwrap_or(0)
    }
}
