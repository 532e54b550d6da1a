//! Who people are: profiles by version, fetched when an event names a newer one.

use std::collections::{BTreeMap, BTreeSet};

use anser_model::AccountId;
use anser_proto::v1;

/// Profiles that are kept.
const PROFILES_KEPT: usize = 10_000;
/// Profiles that one request may ask for.
const PROFILES_PER_REQUEST: usize = 200;

/// Profiles that are known, and those that are wanted.
#[derive(Debug, Default)]
pub struct Profiles {
    known: BTreeMap<AccountId, v1::Profile>,
    wanted: BTreeSet<AccountId>,
}

impl Profiles {
    /// One profile.
    pub fn get(&self, account: AccountId) -> Option<&v1::Profile> {
        self.known.get(&account)
    }

    /// Every profile that is known.
    pub fn all(&self) -> impl Iterator<Item = &v1::Profile> {
        self.known.values()
    }

    /// Somebody appeared with a profile of at least this version.
    pub fn saw(&mut self, account: AccountId, version: u64) {
        let current = self.get(account).is_some_and(|profile| profile.version >= version);
        if account != AccountId(0) && !current && self.known.len() + self.wanted.len() < PROFILES_KEPT {
            self.wanted.insert(account);
        }
    }

    /// What to ask for next; nothing when nobody is wanted.
    pub fn next_request(&mut self) -> Option<v1::GetProfiles> {
        let accounts = self.wanted.iter().copied().take(PROFILES_PER_REQUEST).collect::<Vec<_>>();
        accounts.iter().for_each(|account| {
            self.wanted.remove(account);
        });
        let accounts = accounts.into_iter().map(AccountId::get).collect::<Vec<_>>();
        (!accounts.is_empty()).then_some(v1::GetProfiles { accounts })
    }

    /// The answer came. Accounts that are newer than known.
    pub fn learn(&mut self, profiles: impl IntoIterator<Item = v1::Profile>) -> Vec<AccountId> {
        let mut newer = Vec::new();
        for profile in profiles {
            let account = AccountId(profile.account);
            let room = self.known.len() < PROFILES_KEPT || self.known.contains_key(&account);
            if room && self.get(account).is_none_or(|known| known.version <= profile.version) {
                self.wanted.remove(&account);
                self.known.insert(account, profile);
                newer.push(account);
            }
        }
        newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_versions_are_asked_for() {
        let mut profiles = Profiles::default();
        profiles.saw(AccountId(7), 1);
        assert_eq!(profiles.next_request().unwrap().accounts, [7]);
        assert_eq!(profiles.next_request(), None);
        profiles.learn([v1::Profile { account: 7, version: 3, ..v1::Profile::default() }]);
        profiles.saw(AccountId(7), 3);
        assert_eq!(profiles.next_request(), None);
        profiles.saw(AccountId(7), 4);
        assert!(profiles.next_request().is_some());
        assert_eq!(profiles.learn([v1::Profile { account: 7, version: 2, ..v1::Profile::default() }]), []);
    }
}
