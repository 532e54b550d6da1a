//! The `Registry` port in memory, for an installation that is one machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use anser_core::ports::PortFuture;
use anser_core::ports::clock::Clock;
use anser_core::ports::registry::{
    ADDRESS_BYTES, Acquired, LEASE_NAME_BYTES, LEASES, Lease, LeaseClaim, NODES, NodeId, NodeRow, Registry,
    RegistryError, TIME_TO_LIVE_MS,
};

/// Nodes and leases as long as the process lives.
pub struct MemoryRegistry {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<NodeId, Announced>,
    /// Also those that have ended, for the token of the next holder, until there is no room for them.
    leases: BTreeMap<String, Granted>,
    /// The largest token of the leases that were dropped.
    dropped_token: u64,
}

struct Announced {
    row: NodeRow,
    ends_at_ms: u64,
}

struct Granted {
    holder: NodeId,
    token: u64,
    /// By the monotonic clock; 0 once released.
    ends_at_ms: u64,
}

impl MemoryRegistry {
    /// An empty registry.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        MemoryRegistry { clock, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the registry")
    }

    fn announce_now(&self, row: NodeRow, ttl_ms: u64) -> Result<(), RegistryError> {
        check_ttl(ttl_ms)?;
        check_length("the link address", &row.link_address, ADDRESS_BYTES)?;
        if let Some(address) = &row.client_address {
            check_length("the client address", address, ADDRESS_BYTES)?;
        }
        let now_ms = self.clock.monotonic_ms();
        let State { nodes, .. } = &mut *self.state();
        nodes.retain(|_, announced| announced.ends_at_ms > now_ms);
        if nodes.len() >= NODES && !nodes.contains_key(&row.node) {
            return Err(RegistryError::Full { limit: NODES });
        }
        nodes.insert(row.node, Announced { row, ends_at_ms: now_ms.saturating_add(ttl_ms) });
        Ok(())
    }

    fn acquire_now(
        &self,
        names: Vec<String>,
        holder: NodeId,
        ttl_ms: u64,
    ) -> Result<Vec<Acquired>, RegistryError> {
        check_ttl(ttl_ms)?;
        names.iter().try_for_each(|name| check_length("the name of a lease", name, LEASE_NAME_BYTES))?;
        let (wall_ms, now_ms) = (self.clock.now().0, self.clock.monotonic_ms());
        let mut state = self.state();
        state.make_room(&names, now_ms)?;
        let acquired = names.into_iter().map(|name| {
            let earlier = state.leases.get(&name);
            let live = earlier.filter(|granted| granted.ends_at_ms > now_ms);
            let token = match live {
                Some(granted) if granted.holder != holder => {
                    return Acquired::Taken(granted.shown(name, now_ms));
                }
                Some(granted) => granted.token,
                // Beginning with the wall clock, tokens grow even over the registry's own end.
                None => {
                    let last = earlier.map_or(state.dropped_token, |granted| granted.token);
                    wall_ms.max(last.saturating_add(1))
                }
            };
            let granted = Granted { holder, token, ends_at_ms: now_ms.saturating_add(ttl_ms) };
            let lease = granted.shown(name.clone(), now_ms);
            state.leases.insert(name, granted);
            Acquired::Held(lease)
        });
        Ok(acquired.collect())
    }

    /// Sets when a lease ends, where it is held as claimed.
    fn set_end(&self, claims: &[LeaseClaim], end_at_ms: impl Fn(u64) -> u64) -> Vec<bool> {
        let now_ms = self.clock.monotonic_ms();
        let mut state = self.state();
        let set = claims.iter().map(|claim| {
            let granted = state.leases.get_mut(&claim.name).filter(|granted| {
                granted.ends_at_ms > now_ms && (granted.holder, granted.token) == (claim.holder, claim.token)
            });
            granted.map(|granted| granted.ends_at_ms = end_at_ms(now_ms)).is_some()
        });
        set.collect()
    }
}

impl State {
    /// Sees to it that these leases can be entered, dropping those that have ended if need be.
    fn make_room(&mut self, names: &[String], now_ms: u64) -> Result<(), RegistryError> {
        let fits = |state: &State| {
            let new = names.iter().filter(|&name| !state.leases.contains_key(name)).count();
            state.leases.len() + new <= LEASES
        };
        if fits(self) {
            return Ok(());
        }
        let State { leases, dropped_token, .. } = self;
        leases.retain(|_, granted| {
            let live = granted.ends_at_ms > now_ms;
            if !live {
                *dropped_token = granted.token.max(*dropped_token);
            }
            live
        });
        if fits(self) { Ok(()) } else { Err(RegistryError::Full { limit: LEASES }) }
    }
}

impl Granted {
    fn shown(&self, name: String, now_ms: u64) -> Lease {
        let remaining_ms = self.ends_at_ms.saturating_sub(now_ms);
        Lease { name, holder: self.holder, token: self.token, remaining_ms }
    }
}

fn check_ttl(ttl_ms: u64) -> Result<(), RegistryError> {
    match ttl_ms {
        1..=TIME_TO_LIVE_MS => Ok(()),
        _ => Err(RegistryError::Malformed(format!(
            "a time to live of {ttl_ms} ms is not within 1..={TIME_TO_LIVE_MS}"
        ))),
    }
}

fn check_length(what: &str, text: &str, limit_bytes: usize) -> Result<(), RegistryError> {
    match text.len() {
        0 => Err(RegistryError::Malformed(format!("{what} is empty"))),
        bytes if bytes > limit_bytes => {
            Err(RegistryError::Malformed(format!("{what} has {bytes} bytes, {limit_bytes} at most")))
        }
        _ => Ok(()),
    }
}

/// Nothing here waits, so every answer is ready.
fn ready<T: Send + 'static>(answer: Result<T, RegistryError>) -> PortFuture<Result<T, RegistryError>> {
    Box::pin(std::future::ready(answer))
}

impl Registry for MemoryRegistry {
    fn announce(&self, node: NodeRow, ttl_ms: u64) -> PortFuture<Result<(), RegistryError>> {
        ready(self.announce_now(node, ttl_ms))
    }

    fn withdraw(&self, node: NodeId) -> PortFuture<Result<(), RegistryError>> {
        self.state().nodes.remove(&node);
        ready(Ok(()))
    }

    fn nodes(&self) -> PortFuture<Result<Vec<NodeRow>, RegistryError>> {
        let now_ms = self.clock.monotonic_ms();
        let state = self.state();
        let live = state.nodes.values().filter(|announced| announced.ends_at_ms > now_ms);
        ready(Ok(live.map(|announced| announced.row.clone()).collect()))
    }

    fn acquire(
        &self,
        names: Vec<String>,
        holder: NodeId,
        ttl_ms: u64,
    ) -> PortFuture<Result<Vec<Acquired>, RegistryError>> {
        ready(self.acquire_now(names, holder, ttl_ms))
    }

    fn renew(&self, claims: Vec<LeaseClaim>, ttl_ms: u64) -> PortFuture<Result<Vec<bool>, RegistryError>> {
        let renewed = || self.set_end(&claims, |now_ms| now_ms.saturating_add(ttl_ms));
        ready(check_ttl(ttl_ms).map(|()| renewed()))
    }

    fn release(&self, claims: Vec<LeaseClaim>) -> PortFuture<Result<(), RegistryError>> {
        self.set_end(&claims, |_| 0);
        ready(Ok(()))
    }

    fn leases(&self, names: Vec<String>) -> PortFuture<Result<Vec<Option<Lease>>, RegistryError>> {
        let now_ms = self.clock.monotonic_ms();
        let state = self.state();
        let shown = names.into_iter().map(|name| {
            let granted = state.leases.get(&name).filter(|granted| granted.ends_at_ms > now_ms)?;
            Some(granted.shown(name, now_ms))
        });
        ready(Ok(shown.collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anser_core::ports::log_conformance::block_on;
    use anser_core::ports::registry_conformance::{RegistryFactory, check_registry};

    use super::*;
    use crate::testing::HandClock;

    #[derive(Default)]
    struct Forgetting(Arc<HandClock>);

    impl RegistryFactory for Forgetting {
        fn open(&self) -> Arc<dyn Registry> {
            Arc::new(MemoryRegistry::new(self.0.clone()))
        }

        fn pass_ms(&self, ms: u64) {
            self.0.pass(Duration::from_millis(ms));
        }
    }

    #[test]
    fn conforms() {
        check_registry(&mut || Box::new(Forgetting::default()));
    }

    #[test]
    fn a_full_registry_has_room_again_once_leases_end_and_tokens_still_grow() {
        let clock = Arc::new(HandClock::default());
        let registry = MemoryRegistry::new(clock.clone());
        let names = |from: usize| (from..from + LEASES).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(block_on(registry.acquire(names(0), NodeId(1), 10)).unwrap().len(), LEASES);
        let full = Err(RegistryError::Full { limit: LEASES });
        assert_eq!(block_on(registry.acquire(vec!["more".into()], NodeId(1), 10)), full);
        assert!(block_on(registry.acquire(names(0), NodeId(1), 10)).is_ok(), "those that are there");
        // A clock that shows less than the tokens that were given.
        clock.pass(Duration::from_millis(10));
        registry.state().leases.values_mut().for_each(|granted| granted.token += 1_000);
        assert_eq!(block_on(registry.acquire(names(LEASES), NodeId(2), 10)).unwrap().len(), LEASES);
        assert_eq!(registry.state().leases.len(), LEASES);
        assert!(registry.state().leases.values().all(|granted| granted.token == 1_002));
    }

    #[test]
    fn as_many_nodes_as_there_may_be() {
        let registry = MemoryRegistry::new(Arc::new(HandClock::default()));
        let row = |node| NodeRow {
            node: NodeId(node),
            roles: Default::default(),
            link_address: "a:1".into(),
            client_address: None,
        };
        for node in 0..NODES as u64 {
            assert_eq!(block_on(registry.announce(row(node), 10)), Ok(()));
        }
        assert_eq!(block_on(registry.announce(row(0), 10)), Ok(()));
        let full = Err(RegistryError::Full { limit: NODES });
        assert_eq!(block_on(registry.announce(row(u64::MAX), 10)), full);
    }
}
