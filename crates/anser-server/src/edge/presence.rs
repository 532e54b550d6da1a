//! Who is there, for those who want to know. Whether is asked of the node, since when not of the accounts; whoever
//! watches is told where it differs from what was told last.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anser_edge::{Input, tell_own, tell_watching};
use anser_model::{AccountId, ConversationId, DeviceId};
use anser_proto::v1;

use super::EdgeShared;
use super::connection::Connection;
use super::deliver::{Dirty, Here};
use crate::accounts::{LastSeen, Seen};

/// How often it is written who was there.
const SEEN_INTERVAL: Duration = Duration::from_secs(1);
/// Devices whose end is not written yet, at most; what is beyond is forgotten.
const SEEN_WAITING: usize = 65_536;

/// Which sessions of an edge watch whom.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Watched>);

#[derive(Default)]
struct Watched {
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
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().expect("nothing panics while it holds the watchers")
    }

    /// A session watches these, and nobody else. Of whom nobody watched before, and whom nobody watches any more.
    fn set(&self, session: u64, accounts: BTreeSet<AccountId>) -> (Vec<AccountId>, Vec<AccountId>) {
        let mut watched = self.lock();
        let before = watched.by_session.remove(&session).unwrap_or_default();
        let mut begun = Vec::new();
        for &account in accounts.difference(&before) {
            let one = watched.by_account.entry(account).or_default();
            if one.sessions.is_empty() {
                begun.push(account);
            }
            one.sessions.push(session);
        }
        let ended = before.difference(&accounts).copied().filter(|&it| watched.leave(session, it)).collect();
        if !accounts.is_empty() {
            watched.by_session.insert(session, accounts);
        }
        (begun, ended)
    }

    /// A session has found out by itself that it is not to know of somebody. Whether nobody watches it any more.
    fn forget_one(&self, session: u64, account: AccountId) -> bool {
        let mut watched = self.lock();
        if let Some(accounts) = watched.by_session.get_mut(&session) {
            accounts.remove(&account);
            if accounts.is_empty() {
                watched.by_session.remove(&session);
            }
        }
        watched.leave(session, account)
    }

    /// The sessions that watch somebody.
    pub(super) fn of(&self, account: AccountId) -> Vec<u64> {
        self.lock().by_account.get(&account).map(|one| one.sessions.clone()).unwrap_or_default()
    }

    /// Notes what is to be told of somebody. Whether those who watch it were told otherwise before: whoever was told
    /// nothing yet is about to be answered.
    fn is_news(&self, presence: &v1::Presence) -> bool {
        let mut watched = self.lock();
        let Some(one) = watched.by_account.get_mut(&AccountId(presence.account)) else { return false };
        one.told.replace(*presence).is_some_and(|told| told != *presence)
    }
}

impl Watched {
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
    /// A session watches these, and nobody else.
    pub(super) fn watch(&self, session: u64, accounts: Vec<AccountId>) {
        self.watch_only(session, accounts.into_iter().collect());
        // It may have ended meanwhile, and then nobody takes it out again.
        if self.sessions.read().connection(session).is_none() {
            self.watch_nobody(session);
        }
    }

    /// A session has ended.
    pub(super) fn watch_nobody(&self, session: u64) {
        self.watch_only(session, BTreeSet::new());
    }

    fn watch_only(&self, session: u64, accounts: BTreeSet<AccountId>) {
        let (begun, ended) = self.watchers.set(session, accounts);
        self.node.watch(begun, self.id());
        self.node.unwatch(ended, self.id());
    }

    /// A session is not to know of somebody any more.
    pub(super) fn watch_not(&self, session: u64, account: AccountId) {
        if self.watchers.forget_one(session, account) {
            self.node.unwatch([account], self.id());
        }
    }

    /// Finds out who is there, and gives it to a session.
    pub(super) fn look(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        (request, cid): (u64, ConversationId),
        accounts: Vec<AccountId>,
    ) {
        let edge = self.clone();
        self.tracker.spawn(async move {
            let found = edge.people.last_seen(accounts).await;
            let presences = found.map(|found| {
                let presences: Vec<_> = found.iter().map(|seen| edge.presence_of(seen)).collect();
                edge.tell(&presences);
                // Of those who show it to nobody the answer is silent.
                let shown = found.iter().zip(presences).filter(|(seen, _)| seen.at.is_some());
                shown.map(|(_, presence)| presence).collect()
            });
            let input = Input::Looked { request, cid, presences };
            let question = edge.step(&connection, input, edge.clock.now());
            assert!(question.is_none(), "only frames make a session wait");
            edge.write(&connection);
        });
    }

    /// Something about these is different: looks them up, and tells whoever watches them.
    pub(super) fn look_again(self: &Arc<Self>, accounts: Vec<AccountId>) {
        let edge = self.clone();
        self.tracker.spawn(async move {
            match edge.people.last_seen(accounts.clone()).await {
                Ok(found) => {
                    let presences: Vec<_> = found.iter().map(|seen| edge.presence_of(seen)).collect();
                    edge.tell(&presences);
                }
                Err(error) => {
                    tracing::warn!(error = error.message, "who is there could not be looked up: again soon");
                    edge.node.look_again(accounts);
                }
            }
        });
    }

    /// What others see of somebody now. Of one who is shown to nobody it is always the same.
    fn presence_of(&self, seen: &LastSeen) -> v1::Presence {
        let online = seen.at.is_some() && self.node.is_there(seen.account);
        let last_seen_at_ms = seen.at.filter(|_| !online).map_or(0, |at| at.0);
        v1::Presence { account: seen.account.0, online, last_seen_at_ms, profile_version: seen.version }
    }

    fn tell(self: &Arc<Self>, presences: &[v1::Presence]) {
        let mut dirty = Dirty::new();
        {
            let table = self.sessions.read();
            let mut here = Here { edge: self, table: &table, dirty: &mut dirty };
            for presence in presences {
                tell_own(presence, &**self, &mut here);
                if self.watchers.is_news(presence) {
                    tell_watching(presence, &**self, &mut here);
                }
            }
        }
        dirty.into_values().for_each(|connection| self.write(&connection));
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
        let watchers = Watchers::default();
        let ids = |accounts: &[u64]| accounts.iter().map(|&account| AccountId(account)).collect::<Vec<_>>();
        assert_eq!(watchers.set(1, people(&[7, 8])), (ids(&[7, 8]), vec![]));
        assert_eq!(watchers.set(2, people(&[8, 9])), (ids(&[9]), vec![]));
        assert_eq!(watchers.of(AccountId(8)), [1, 2]);
        assert_eq!(watchers.set(1, people(&[9])), (vec![], ids(&[7])));
        assert!(!watchers.forget_one(2, AccountId(9)), "the other one watches it still");
        assert!(!watchers.forget_one(2, AccountId(9)), "twice is once");
        assert!(watchers.forget_one(1, AccountId(9)));
        assert_eq!(watchers.set(2, people(&[])), (vec![], ids(&[8])));
        let watched = watchers.lock();
        assert!(watched.by_account.is_empty() && watched.by_session.is_empty());
    }

    #[test]
    fn only_what_differs_is_news() {
        let watchers = Watchers::default();
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
