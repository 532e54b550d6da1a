//! Who is there, and which edges want to know of whom. Memory alone: edges say it again to whoever serves next.
//!
//! Whether somebody is there follows from [`Routing`]: an edge holds a session of it, or did a moment ago. Changes
//! gather here and are handed out at intervals, so that who comes and goes is told once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anser_model::AccountId;

use crate::fanout::{EdgeId, Routing};

/// How long somebody whose last session has ended still counts as being there: who comes back at once was not away.
pub const LEAVING_MS: u64 = 5_000;
/// Accounts that are told of at once.
pub const TOLD_AT_ONCE: usize = 512;

/// Who is watched, and what is to be told of it.
#[derive(Debug, Default)]
pub struct Presence {
    watched: HashMap<AccountId, Vec<EdgeId>>,
    /// Who has no session any more, and when it counts as gone.
    leaving: BTreeMap<AccountId, u64>,
    /// By when it counts as gone.
    leaving_by_time: BTreeSet<(u64, AccountId)>,
    /// Of whom something is to be told.
    changed: BTreeSet<AccountId>,
}

impl Presence {
    /// An edge wants to know of an account from now on.
    pub fn watch(&mut self, account: AccountId, edge: EdgeId) {
        let edges = self.watched.entry(account).or_insert_with(|| Vec::with_capacity(1));
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    }

    /// An edge wants to know nothing of an account any more.
    pub fn unwatch(&mut self, account: AccountId, edge: EdgeId) {
        if let Some(edges) = self.watched.get_mut(&account) {
            edges.retain(|&known| known != edge);
            if edges.is_empty() {
                self.watched.remove(&account);
            }
        }
    }

    /// An account has a session and had none before.
    pub fn came(&mut self, account: AccountId) {
        match self.leaving.remove(&account) {
            Some(at_ms) => _ = self.leaving_by_time.remove(&(at_ms, account)),
            None => self.change(account),
        }
    }

    /// The last session of an account has ended.
    pub fn left(&mut self, account: AccountId, now_ms: u64) {
        if let Some(earlier) = self.leaving.insert(account, now_ms + LEAVING_MS) {
            self.leaving_by_time.remove(&(earlier, account));
        }
        self.leaving_by_time.insert((now_ms + LEAVING_MS, account));
    }

    /// What others see of an account is different: whoever watches it, and it itself, is to look again.
    pub fn change(&mut self, account: AccountId) {
        self.changed.insert(account);
    }

    /// Whether somebody without a session still counts as being there.
    pub fn is_leaving(&self, account: AccountId) -> bool {
        self.leaving.contains_key(&account)
    }

    /// Which edges are to look again, at whom. What is too much for once stays for the next time.
    pub fn take(&mut self, now_ms: u64, routing: &Routing) -> Vec<(EdgeId, Vec<AccountId>)> {
        while let Some(&(at_ms, account)) = self.leaving_by_time.first()
            && at_ms <= now_ms
        {
            self.leaving_by_time.pop_first();
            self.leaving.remove(&account);
            self.change(account);
        }
        let mut plan: BTreeMap<EdgeId, Vec<AccountId>> = BTreeMap::new();
        for _ in 0..TOLD_AT_ONCE {
            let Some(account) = self.changed.pop_first() else { break };
            let watching = self.watched.get(&account).map_or(&[][..], Vec::as_slice);
            let holding = routing.edges_of(account).iter().filter(|edge| !watching.contains(edge));
            for &edge in watching.iter().chain(holding) {
                plan.entry(edge).or_default().push(account);
            }
        }
        plan.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: AccountId = AccountId(1);
    const BOB: AccountId = AccountId(2);
    const HERE: EdgeId = EdgeId(0);
    const THERE: EdgeId = EdgeId(1);

    #[test]
    fn who_watches_is_told_of_coming_and_going() {
        let (mut presence, mut routing) = (Presence::default(), Routing::default());
        presence.watch(ANN, THERE);
        presence.watch(ANN, THERE);
        presence.came(ANN);
        routing.enter(ANN, HERE);
        presence.came(BOB);
        assert_eq!(
            presence.take(0, &routing),
            [(HERE, vec![ANN]), (THERE, vec![ANN])],
            "nobody asks for Bob"
        );
        routing.leave(ANN, HERE);
        presence.left(ANN, 1_000);
        assert!(presence.is_leaving(ANN) && presence.take(999 + LEAVING_MS, &routing).is_empty());
        assert_eq!(presence.take(1_000 + LEAVING_MS, &routing), [(THERE, vec![ANN])]);
        assert!(!presence.is_leaving(ANN) && presence.take(u64::MAX, &routing).is_empty());
        presence.unwatch(ANN, THERE);
        presence.came(ANN);
        assert!(presence.take(0, &routing).is_empty());
    }

    #[test]
    fn who_comes_back_at_once_was_not_away() {
        let (mut presence, routing) = (Presence::default(), Routing::default());
        presence.watch(ANN, THERE);
        presence.left(ANN, 1_000);
        presence.came(ANN);
        assert!(!presence.is_leaving(ANN) && presence.take(u64::MAX, &routing).is_empty());
        presence.left(ANN, 2_000);
        presence.left(ANN, 4_000);
        assert!(presence.take(3_000 + LEAVING_MS, &routing).is_empty(), "the later end counts");
        assert_eq!(presence.take(4_000 + LEAVING_MS, &routing), [(THERE, vec![ANN])]);
    }

    #[test]
    fn too_much_is_told_in_parts_and_nothing_is_left_out() {
        let (mut presence, routing) = (Presence::default(), Routing::default());
        let many = TOLD_AT_ONCE as u64 + 3;
        for account in 1..=many {
            presence.watch(AccountId(account), THERE);
            presence.change(AccountId(account));
        }
        let told = |presence: &mut Presence| presence.take(0, &routing).iter().map(|(_, it)| it.len()).sum();
        let counts: [usize; 3] = [told(&mut presence), told(&mut presence), told(&mut presence)];
        assert_eq!(counts, [TOLD_AT_ONCE, 3, 0]);
    }
}
