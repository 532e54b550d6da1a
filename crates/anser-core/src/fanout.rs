//! Which edges a fact goes to: the routing table, and the plan made from it.
//!
//! Edges push into the table which accounts they hold; a core reads it once for each event. Each edge
//! gets one copy, with the accounts on it that are told.

use std::collections::HashMap;
use std::sync::Arc;

use anser_model::AccountId;

/// Names an edge within an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(pub u16);

/// Which edges hold sessions of an account.
#[derive(Debug, Default)]
pub struct Routing {
    edges: HashMap<AccountId, Vec<EdgeId>>,
}

impl Routing {
    /// An edge holds a session of the account from now on. Whether it is the only one.
    pub fn enter(&mut self, account: AccountId, edge: EdgeId) -> bool {
        let edges = self.edges.entry(account).or_insert_with(|| Vec::with_capacity(1));
        let is_first = edges.is_empty();
        if !edges.contains(&edge) {
            edges.push(edge);
        }
        is_first
    }

    /// An edge holds no session of the account any more. Whether it was the last one.
    pub fn leave(&mut self, account: AccountId, edge: EdgeId) -> bool {
        let Some(edges) = self.edges.get_mut(&account) else { return false };
        edges.retain(|&known| known != edge);
        let is_last = edges.is_empty();
        if is_last {
            self.edges.remove(&account);
        }
        is_last
    }

    /// The edges that hold a session of the account.
    pub fn edges_of(&self, account: AccountId) -> &[EdgeId] {
        self.edges.get(&account).map_or(&[], Vec::as_slice)
    }

    /// One copy for each edge that holds somebody of the audience.
    pub fn plan(&self, audience: &Arc<[AccountId]>) -> Vec<(EdgeId, Arc<[AccountId]>)> {
        let mut copies: Vec<(EdgeId, Vec<AccountId>)> = Vec::new();
        for &account in audience.iter() {
            for &edge in self.edges_of(account) {
                match copies.iter_mut().find(|(known, _)| *known == edge) {
                    Some((_, accounts)) => accounts.push(account),
                    None => copies.push((edge, vec![account])),
                }
            }
        }
        copies
            .into_iter()
            .map(|(edge, accounts)| {
                let whole = accounts.len() == audience.len();
                (edge, if whole { audience.clone() } else { accounts.into() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_edge_gets_one_copy_with_those_it_holds() {
        let mut routing = Routing::default();
        let accounts = |ids: &[u64]| ids.iter().map(|&id| AccountId(id)).collect::<Arc<[AccountId]>>();
        routing.enter(AccountId(1), EdgeId(0));
        routing.enter(AccountId(1), EdgeId(0));
        routing.enter(AccountId(2), EdgeId(0));
        routing.enter(AccountId(2), EdgeId(1));
        let plan = routing.plan(&accounts(&[1, 2, 3]));
        assert_eq!(plan, [(EdgeId(0), accounts(&[1, 2])), (EdgeId(1), accounts(&[2]))]);
        routing.leave(AccountId(2), EdgeId(1));
        routing.leave(AccountId(1), EdgeId(0));
        assert_eq!(routing.plan(&accounts(&[1, 2])), [(EdgeId(0), accounts(&[2]))]);
    }
}
