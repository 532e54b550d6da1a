//! What the edge asks of people, from the accounts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use anser_core::ports::PortFuture;
use anser_model::AccountId;
use anser_proto::v1;

use crate::accounts::{AccessError, AccountService, LastSeen, Seen};
use crate::edge::People;

/// Profile versions kept in memory, and profiles: a few hundred bytes each.
const VERSIONS_KEPT: usize = 131_072;
const PROFILES_KEPT: usize = 16_384;

/// Versions of profiles that were looked at, the newest of each; and profiles that were asked for, as long as none of a newer
/// version is known. Every change is told with its version: at once by who makes it here, within seconds by the outbox.
#[derive(Clone, Default)]
pub(super) struct Versions(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    versions: HashMap<AccountId, u64>,
    profiles: HashMap<AccountId, v1::Profile>,
}

impl Known {
    fn learn(&mut self, account: AccountId, version: u64) {
        if self.versions.len() >= VERSIONS_KEPT {
            self.versions.clear();
            self.profiles.clear();
        }
        let known = self.versions.entry(account).or_default();
        *known = (*known).max(version);
    }

    /// Keeps a profile that was read, unless a change overtook the reading.
    fn keep(&mut self, profile: v1::Profile) {
        let account = AccountId(profile.account);
        self.learn(account, profile.version);
        if self.profiles.len() >= PROFILES_KEPT {
            self.profiles.clear();
        }
        if self.versions.get(&account) == Some(&profile.version) {
            self.profiles.insert(account, profile);
        }
    }

    fn profile(&self, account: AccountId) -> Option<&v1::Profile> {
        let profile = self.profiles.get(&account)?;
        (self.versions.get(&account) == Some(&profile.version)).then_some(profile)
    }
}

impl Versions {
    /// Learns of versions. A smaller one than is known, as of a read that a change overtook, changes nothing.
    pub(super) fn learn(&self, read: impl IntoIterator<Item = (AccountId, u64)>) {
        let mut known = self.known();
        read.into_iter().for_each(|(account, version)| known.learn(account, version));
    }

    fn of(&self, account: AccountId) -> Option<u64> {
        self.known().versions.get(&account).copied()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nothing panics while it holds the versions")
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

    fn known_profiles(&self, accounts: &[AccountId]) -> Option<Vec<v1::Profile>> {
        let known = self.versions.known();
        accounts.iter().map(|&account| known.profile(account).cloned()).collect()
    }

    fn profiles(&self, accounts: Vec<AccountId>) -> PortFuture<Result<Vec<v1::Profile>, v1::Error>> {
        let (service, versions) = (self.accounts.clone(), self.versions.clone());
        Box::pin(async move {
            let found = service.profiles(accounts).await.map_err(wire)?;
            let profiles: Vec<_> = found
                .into_iter()
                .flatten()
                .map(|profile| v1::Profile {
                    account: profile.account.0,
                    handle: profile.handle,
                    name: profile.name,
                    version: profile.version,
                    avatar: profile.avatar,
                    bio: profile.bio,
                    deactivated: profile.deactivated,
                })
                .collect();
            let mut known = versions.known();
            profiles.iter().cloned().for_each(|profile| known.keep(profile));
            drop(known);
            Ok(profiles)
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

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountId = AccountId(7);

    fn profile(version: u64) -> v1::Profile {
        v1::Profile { account: ALICE.0, version, ..v1::Profile::default() }
    }

    fn shown(versions: &Versions) -> Option<u64> {
        versions.known().profile(ALICE).map(|profile| profile.version)
    }

    #[test]
    fn a_profile_is_known_until_one_of_a_newer_version_is_heard_of() {
        let versions = Versions::default();
        versions.learn([(ALICE, 1)]);
        assert_eq!((shown(&versions), versions.of(ALICE)), (None, Some(1)));
        versions.known().keep(profile(2));
        assert_eq!((shown(&versions), versions.of(ALICE)), (Some(2), Some(2)));
        versions.learn([(ALICE, 3)]);
        assert_eq!(shown(&versions), None);
        versions.known().keep(profile(2));
        assert_eq!(shown(&versions), None, "a change overtook the reading");
        versions.known().keep(profile(3));
        assert_eq!(shown(&versions), Some(3));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let versions = Versions::default();
        for account in 1..=2 * PROFILES_KEPT as u64 + 1 {
            versions.known().keep(v1::Profile { account, version: 1, ..v1::Profile::default() });
        }
        assert_eq!(versions.known().profiles.len(), 1);
        assert!(versions.known().profile(AccountId(2 * PROFILES_KEPT as u64 + 1)).is_some());
    }
}
