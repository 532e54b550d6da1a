//! Who is there, for those who want to know. Whether is asked of the node, since when not of the accounts; whoever
//! watches is told where it differs from what was told last.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anser_model::{AccountId, DeviceId};
use anser_proto::v1;

use super::EdgeShared;
use crate::accounts::{LastSeen, Seen};

/// How often it is written who was there.
const SEEN_INTERVAL: Duration = Duration::from_secs(1);
/// Devices whose end is not written yet, at most; what is beyond is forgotten.
const SEEN_WAITING: usize = 65_536;

/// Which sessions of a shard watch whom.
#[derive(Default)]
pub(super) struct Watchers {
    by_account: HashMap<AccountId, One>,
    by_session: HashMap<u64, BTreeSet<AccountId>>,
}

/// Somebody who is watched.
#[derive(Default)]
struct One {
    sessions: Vec<u64>,
    /// What was told of it last; nothing yet, until it was looked up.
    told: Option<v1::Presence>,
}

impl Watchers {
    /// A session watches these, and nobody else. Of whom nobody watched before, and whom nobody watches any more.
    pub fn set(&mut self, session: u64, accounts: BTreeSet<AccountId>) -> (Vec<AccountId>, Vec<AccountId>) {
        let before = self.by_session.remove(&session).unwrap_or_default();
        let mut begun = Vec::new();
        for &account in accounts.difference(&before) {
            let one = self.by_account.entry(account).or_default();
            if one.sessions.is_empty() {
                begun.push(account);
            }
            one.sessions.push(session);
        }
        let ended = before.difference(&accounts).copied().filter(|&it| self.leave(session, it)).collect();
        if !accounts.is_empty() {
            self.by_session.insert(session, accounts);
        }
        (begun, ended)
    }

    /// A session has found out by itself that it is not to know of somebody. Whether nobody watches it any more.
    pub fn forget_one(&mut self, session: u64, account: AccountId) -> bool {
        if let Some(accounts) = self.by_session.get_mut(&session) {
            accounts.remove(&account);
            if accounts.is_empty() {
                self.by_session.remove(&session);
            }
        }
        self.leave(session, account)
    }

    /// The sessions that watch somebody.
    pub fn of(&self, account: AccountId) -> Vec<u64> {
        self.by_account.get(&account).map(|one| one.sessions.clone()).unwrap_or_default()
    }

    /// Notes what is to be told of somebody. Whether those who watch it were told otherwise before: whoever was told
    /// nothing yet is about to be answered.
    pub fn is_news(&mut self, presence: &v1::Presence) -> bool {
        let Some(one) = self.by_account.get_mut(&AccountId(presence.account)) else { return false };
        one.told.replace(*presence).is_some_and(|told| told != *presence)
    }

    /// Whether it was the last one that watched the account.
    fn leave(&mut self, session: u64, account: AccountId) -> bool {
        let Some(one) = self.by_account.get_mut(&account) else { return false };
        one.sessions.retain(|&known| known != session);
        let is_last = one.sessions.is_empty();
        if is_last {
            self.by_account.remove(&account);
        }
        is_last
    }
}

/// Sessions that ended, until it is written.
#[derive(Default)]
pub(super) struct Ended(Mutex<HashMap<DeviceId, Seen>>);

impl Ended {
    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Seen>> {
        self.0.lock().expect("nothing panics while it holds who was seen")
    }

    /// A session has ended. The later one of two of a device counts.
    pub(super) fn note(&self, seen: Seen) {
        let mut waiting = self.lock();
        if waiting.len() < SEEN_WAITING || waiting.contains_key(&seen.device) {
            let known = waiting.entry(seen.device).or_insert(seen);
            known.at = known.at.max(seen.at);
        }
    }
}

impl EdgeShared {
    /// What others see of somebody now. Of one who is shown to nobody it is always the same.
    pub(super) fn presence_of(&self, seen: &LastSeen) -> v1::Presence {
        let online = seen.at.is_some() && self.node.is_there(seen.account);
        let last_seen_at_ms = seen.at.filter(|_| !online).map_or(0, |at| at.0);
        v1::Presence { account: seen.account.0, online, last_seen_at_ms, profile_version: seen.version }
    }

    /// Writes who was there last, again and again until the edge is drained.
    pub(super) async fn write_seen(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SEEN_INTERVAL);
        loop {
            tokio::select! {
                _ = interval.tick() => self.write_seen_now().await,
                () = self.draining.cancelled() => return,
            }
        }
    }

    /// The same, once.
    pub(super) async fn write_seen_now(&self) {
        let seen: Vec<Seen> = std::mem::take(&mut *self.ended.lock()).into_values().collect();
        if seen.is_empty() {
            return;
        }
        if let Err(error) = self.people.note_seen(seen.clone()).await {
            tracing::warn!(error = error.message, "who was there could not be written: again soon");
            seen.into_iter().for_each(|seen| self.ended.note(seen));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(accounts: &[u64]) -> BTreeSet<AccountId> {
        accounts.iter().map(|&account| AccountId(account)).collect()
    }

    #[test]
    fn the_node_is_asked_for_whom_somebody_watches_and_for_nobody_else() {
        let mut watchers = Watchers::default();
        let ids = |accounts: &[u64]| accounts.iter().map(|&account| AccountId(account)).collect::<Vec<_>>();
        assert_eq!(watchers.set(1, people(&[7, 8])), (ids(&[7, 8]), vec![]));
        assert_eq!(watchers.set(2, people(&[8, 9])), (ids(&[9]), vec![]));
        assert_eq!(watchers.of(AccountId(8)), [1, 2]);
        assert_eq!(watchers.set(1, people(&[9])), (vec![], ids(&[7])));
        assert!(!watchers.forget_one(2, AccountId(9)), "the other one watches it still");
        assert!(!watchers.forget_one(2, AccountId(9)), "twice is once");
        assert!(watchers.forget_one(1, AccountId(9)));
        assert_eq!(watchers.set(2, people(&[])), (vec![], ids(&[8])));
        assert!(watchers.by_account.is_empty() && watchers.by_session.is_empty());
    }

    #[test]
    fn only_what_differs_is_news() {
        let mut watchers = Watchers::default();
        let there = v1::Presence { account: 7, online: true, ..v1::Presence::default() };
        assert!(!watchers.is_news(&there), "nobody watches it");
        watchers.set(1, people(&[7]));
        assert!(!watchers.is_news(&there), "whoever watches it is about to be answered");
        assert!(!watchers.is_news(&there));
        assert!(watchers.is_news(&v1::Presence { online: false, ..there }));
        watchers.set(1, people(&[]));
        watchers.set(1, people(&[7]));
        assert!(!watchers.is_news(&there), "whoever watches anew was told nothing");
    }

    #[test]
    fn the_later_end_of_a_device_counts_and_what_waits_is_bounded() {
        let ended = Ended::default();
        let seen = |device, at| Seen {
            account: AccountId(1),
            device: DeviceId(device),
            at: anser_model::UnixMillis(at),
        };
        ended.note(seen(1, 20));
        ended.note(seen(1, 10));
        assert_eq!(ended.lock()[&DeviceId(1)].at.0, 20);
        (2..=SEEN_WAITING as u64 + 5).for_each(|device| ended.note(seen(device, 1)));
        ended.note(seen(1, 30));
        let waiting = ended.lock();
        assert_eq!((waiting.len(), waiting[&DeviceId(1)].at.0), (SEEN_WAITING, 30));
    }
}
