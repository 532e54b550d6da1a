//! What others may know of an account: by exact handle, by id, and whether it exists.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};

use anser_core::ports::accounts::{AccountKey, AccountRow, PresenceShown, Seen};
use anser_model::{AccountId, UnixMillis, planted};

use super::{AccessError, AccountService, Session, rules};

/// Profiles that one call may ask for.
pub const PROFILES_PER_CALL: usize = 512;
/// Accounts that are remembered as existing.
const KNOWN_ACCOUNTS: usize = 65_536;

/// What people see of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Whose.
    pub account: AccountId,
    /// Its handle.
    pub handle: String,
    /// Its name.
    pub name: String,
    /// What clients show as its picture; empty: nothing.
    pub avatar: String,
    /// What it says of itself; empty: nothing.
    pub bio: String,
    /// Whether it can no longer sign in: what is sent to it nobody reads.
    pub deactivated: bool,
    /// Grows with every change.
    pub version: u64,
}

impl From<AccountRow> for Profile {
    fn from(row: AccountRow) -> Self {
        Profile {
            account: row.account,
            handle: row.handle,
            name: row.name,
            avatar: row.avatar,
            bio: row.bio,
            deactivated: row.deactivated,
            version: row.profile_version,
        }
    }
}

/// What is kept of whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// Who.
    pub account: AccountId,
    /// The version of its profile.
    pub version: u64,
    /// When a session of it last ended; 0: never. `None` if nobody is to be told whether it is there.
    pub at: Option<UnixMillis>,
}

/// Accounts known to exist. An account id is for ever, so an entry can never become false; of two
/// halves the older one is dropped when the younger is full.
#[derive(Default)]
pub(super) struct KnownAccounts(Mutex<(HashSet<AccountId>, HashSet<AccountId>)>);

impl KnownAccounts {
    fn contains(&self, account: AccountId) -> bool {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.0.contains(&account) || halves.1.contains(&account)
    }

    fn insert(&self, account: AccountId) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.0.len() >= KNOWN_ACCOUNTS / 2 {
            halves.1 = mem::take(&mut halves.0);
        }
        halves.0.insert(account);
    }
}

impl AccountService {
    /// Looks somebody up by exact handle. Deactivated accounts are not found.
    pub async fn look_up(&self, session: &Session, handle: &str) -> Result<Profile, AccessError> {
        self.limits.look_up_by_account.take(session.account(), self.now_ms())?;
        let not_found = AccessError::NotFound("person");
        let Ok(handle) = rules::handle(handle) else { return Err(not_found) };
        let row = self.account(AccountKey::Handle(handle)).await?;
        row.filter(|row| !row.deactivated || planted!(GoneAreFound)).map(Profile::from).ok_or(not_found)
    }

    /// Profiles in the order asked for. The caller sees to it that the asker may see them.
    pub async fn profiles(&self, accounts: Vec<AccountId>) -> Result<Vec<Option<Profile>>, AccessError> {
        if accounts.len() > PROFILES_PER_CALL {
            let what = format!("holds {} accounts, at most {PROFILES_PER_CALL} are allowed", accounts.len());
            return Err(AccessError::bad("accounts", what));
        }
        let keys = accounts.into_iter().map(AccountKey::Id).collect();
        let rows = self.parts.accounts.accounts(keys).await?;
        Ok(rows.into_iter().map(|row| row.map(Profile::from)).collect())
    }

    /// When those of the accounts that exist were there last. The caller sees to it that the asker may know.
    pub async fn last_seen(&self, accounts: Vec<AccountId>) -> Result<Vec<LastSeen>, AccessError> {
        let mut found = Vec::with_capacity(accounts.len());
        for some in accounts.chunks(PROFILES_PER_CALL) {
            let keys = some.iter().copied().map(AccountKey::Id).collect();
            found.extend(self.parts.accounts.accounts(keys).await?.into_iter().flatten().map(|row| {
                let is_shown = row.presence == PresenceShown::Everyone && !row.deactivated;
                let at = is_shown.then_some(row.last_seen_at);
                LastSeen { account: row.account, version: row.profile_version, at }
            }));
        }
        Ok(found)
    }

    /// Notes that sessions have ended.
    pub async fn note_seen(&self, seen: Vec<Seen>) -> Result<(), AccessError> {
        Ok(self.parts.accounts.note_seen(seen).await?)
    }

    /// Which of the accounts exist, or have existed, in the order asked for.
    pub async fn exist(&self, accounts: &[AccountId]) -> Result<Vec<bool>, AccessError> {
        let unknown: Vec<AccountId> =
            accounts.iter().copied().filter(|&account| !self.known.contains(account)).collect();
        let mut found = HashSet::new();
        for some in unknown.chunks(PROFILES_PER_CALL) {
            let keys = some.iter().copied().map(AccountKey::Id).collect();
            let rows = self.parts.accounts.accounts(keys).await?;
            found.extend(rows.into_iter().flatten().map(|row| row.account));
        }
        found.iter().for_each(|&account| self.known.insert(account));
        let unknown: HashSet<AccountId> = unknown.into_iter().collect();
        Ok(accounts.iter().map(|account| !unknown.contains(account) || found.contains(account)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::testing::Bench;

    #[test]
    fn what_is_remembered_is_bounded() {
        let known = KnownAccounts::default();
        (0..200_000).for_each(|number| known.insert(AccountId(number)));
        assert!(known.contains(AccountId(199_999)) && !known.contains(AccountId(0)));
        let halves = known.0.lock().unwrap();
        assert!(halves.0.len() + halves.1.len() <= KNOWN_ACCOUNTS);
    }

    #[tokio::test]
    async fn existence_is_told_of_every_account_asked_for() {
        let bench = Bench::open();
        let (a, b) = (bench.register("alice").await, bench.register("bob").await);
        let nobody = AccountId(12_345);
        for _ in 0..2 {
            let exist = bench.service.exist(&[a.account, nobody, b.account, a.account]).await;
            assert_eq!(exist, Ok(vec![true, false, true, true]));
        }
        assert_eq!(bench.service.exist(&[]).await, Ok(vec![]));
    }

    #[tokio::test]
    async fn profiles_come_in_the_order_asked_for() {
        let bench = Bench::open();
        let (a, b) = (bench.register("alice").await, bench.register("bob").await);
        let profiles = bench.service.profiles(vec![b.account, AccountId(12), a.account]).await.unwrap();
        let handles: Vec<_> = profiles.iter().map(|p| p.as_ref().map(|p| p.handle.as_str())).collect();
        assert_eq!(handles, [Some("bob"), None, Some("alice")]);
        let many = vec![a.account; PROFILES_PER_CALL + 1];
        assert!(matches!(bench.service.profiles(many).await, Err(AccessError::BadValue { .. })));
    }
}
