//! What every [`Registry`] must do, as a suite that each adapter runs against itself.

use std::sync::Arc;

use super::log_conformance::block_on;
use super::registry::{
    ADDRESS_BYTES, Acquired, LEASE_NAME_BYTES, Lease, LeaseClaim, NodeId, NodeRow, Registry, RegistryError,
    Roles, TIME_TO_LIVE_MS,
};

/// How the suite gets at a registry.
pub trait RegistryFactory {
    /// Opens the registry: empty the first time, and after that with what it had, or empty: it may
    /// forget. The suite drops what it had before it asks again.
    fn open(&self) -> Arc<dyn Registry>;

    /// Lets time pass for every registry that was opened.
    fn pass_ms(&self, ms: u64);
}

/// Runs the whole suite; `fresh` gives a factory of an empty registry for every case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_registry(fresh: &mut dyn FnMut() -> Box<dyn RegistryFactory>) {
    nodes_are_there_as_long_as_they_announce_themselves(&*fresh());
    a_row_is_replaced_by_a_newer_one(&*fresh());
    a_withdrawn_node_is_gone_and_its_leases_are_not(&*fresh());
    a_lease_has_one_holder(&*fresh());
    a_lease_ends_by_itself(&*fresh());
    a_holder_that_asks_again_keeps_its_token(&*fresh());
    only_what_is_held_as_claimed_is_renewed(&*fresh());
    only_what_is_held_as_claimed_is_released(&*fresh());
    tokens_grow_with_every_holder(&*fresh());
    tokens_grow_though_everything_is_forgotten(&*fresh());
    leases_do_not_see_one_another(&*fresh());
    what_is_beyond_a_limit_is_refused_whole(&*fresh());
}

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(u64::MAX);
const TTL_MS: u64 = 3_000;
/// What an adapter's own clock may have gone on while a case ran.
const SLACK_MS: u64 = 1_000;

fn row(node: NodeId, link_address: &str) -> NodeRow {
    NodeRow {
        node,
        roles: Roles { edge: node == A, core: true, worker: false },
        link_address: link_address.into(),
        client_address: (node == A).then(|| "wss://chat.example/ws".into()),
    }
}

fn announce(registry: &dyn Registry, row: &NodeRow, ttl_ms: u64) {
    assert_eq!(block_on(registry.announce(row.clone(), ttl_ms)), Ok(()));
}

fn nodes(registry: &dyn Registry) -> Vec<NodeRow> {
    block_on(registry.nodes()).expect("nodes are listed")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

fn acquire(registry: &dyn Registry, name: &str, holder: NodeId) -> Acquired {
    block_on(registry.acquire(names(&[name]), holder, TTL_MS)).expect("the registry answers").remove(0)
}

/// Takes a lease that is free, and gives the claim to it.
fn hold(registry: &dyn Registry, name: &str, holder: NodeId) -> LeaseClaim {
    match acquire(registry, name, holder) {
        Acquired::Held(lease) => {
            assert_eq!((lease.name.as_str(), lease.holder), (name, holder));
            assert!(lease.token > 0, "0 is nobody's token");
            fresh_for(&lease, TTL_MS);
            LeaseClaim { name: name.into(), holder, token: lease.token }
        }
        Acquired::Taken(lease) => panic!("{name} is free, and yet {lease:?} has it"),
    }
}

fn fresh_for(lease: &Lease, ttl_ms: u64) {
    let remaining = lease.remaining_ms;
    assert!((ttl_ms - SLACK_MS..=ttl_ms).contains(&remaining), "{remaining} ms of {ttl_ms} remain");
}

fn is_held(registry: &dyn Registry, claim: &LeaseClaim) -> bool {
    let found = block_on(registry.leases(vec![claim.name.clone()])).expect("the registry answers").remove(0);
    found.is_some_and(|lease| {
        assert_eq!(lease.name, claim.name);
        assert!(lease.remaining_ms > 0, "what is over is not shown");
        (lease.holder, lease.token) == (claim.holder, claim.token)
    })
}

fn renew(registry: &dyn Registry, claims: &[&LeaseClaim], ttl_ms: u64) -> Vec<bool> {
    let claims = claims.iter().map(|&claim| claim.clone()).collect();
    block_on(registry.renew(claims, ttl_ms)).expect("the registry answers")
}

fn release(registry: &dyn Registry, claims: &[&LeaseClaim]) {
    let claims = claims.iter().map(|&claim| claim.clone()).collect();
    assert_eq!(block_on(registry.release(claims)), Ok(()));
}

fn nodes_are_there_as_long_as_they_announce_themselves(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    assert_eq!(nodes(&*registry), []);
    let (a, b) = (row(A, "10.0.0.1:7000"), row(B, "unix:/run/anser/core"));
    announce(&*registry, &b, TTL_MS);
    announce(&*registry, &a, TTL_MS);
    assert_eq!(nodes(&*registry), [a.clone(), b], "by id, as announced");
    factory.pass_ms(TTL_MS - SLACK_MS);
    announce(&*registry, &a, TTL_MS);
    factory.pass_ms(SLACK_MS);
    assert_eq!(nodes(&*registry), [a], "the other fell silent");
    factory.pass_ms(TTL_MS);
    assert_eq!(nodes(&*registry), []);
}

fn a_row_is_replaced_by_a_newer_one(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    announce(&*registry, &row(A, "10.0.0.1:7000"), 10 * TTL_MS);
    let newer = NodeRow {
        roles: Roles { edge: false, core: false, worker: true },
        client_address: None,
        ..row(A, "10.0.0.2:7000")
    };
    announce(&*registry, &newer, TTL_MS);
    assert_eq!(nodes(&*registry), [newer]);
    factory.pass_ms(TTL_MS);
    assert_eq!(nodes(&*registry), [], "the newer time to live counts");
}

fn a_withdrawn_node_is_gone_and_its_leases_are_not(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    assert_eq!(block_on(registry.withdraw(A)), Ok(()), "one that is not there");
    announce(&*registry, &row(A, "a:1"), TTL_MS);
    announce(&*registry, &row(B, "b:1"), TTL_MS);
    let claim = hold(&*registry, "shard/0", A);
    (0..2).for_each(|_| assert_eq!(block_on(registry.withdraw(A)), Ok(())));
    assert_eq!(nodes(&*registry), [row(B, "b:1")]);
    assert!(is_held(&*registry, &claim));
}

fn a_lease_has_one_holder(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    assert_eq!(block_on(registry.leases(names(&["shard/0"]))), Ok(vec![None]));
    let claim = hold(&*registry, "shard/0", A);
    for _ in 0..2 {
        let Acquired::Taken(lease) = acquire(&*registry, "shard/0", B) else {
            panic!("a lease that is held is not taken")
        };
        assert_eq!((lease.holder, lease.token), (A, claim.token), "who has it is said");
        fresh_for(&lease, TTL_MS);
    }
    assert!(is_held(&*registry, &claim));
}

fn a_lease_ends_by_itself(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    let first = hold(&*registry, "shard/0", A);
    factory.pass_ms(TTL_MS - SLACK_MS);
    assert!(is_held(&*registry, &first));
    assert!(matches!(acquire(&*registry, "shard/0", B), Acquired::Taken(_)), "not before its time");
    factory.pass_ms(SLACK_MS);
    assert!(!is_held(&*registry, &first));
    let second = hold(&*registry, "shard/0", B);
    assert!(!is_held(&*registry, &first) && is_held(&*registry, &second));
}

fn a_holder_that_asks_again_keeps_its_token(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    let first = hold(&*registry, "shard/0", A);
    factory.pass_ms(TTL_MS - SLACK_MS);
    assert_eq!(hold(&*registry, "shard/0", A), first, "prolonged");
    factory.pass_ms(SLACK_MS);
    assert!(is_held(&*registry, &first));
    factory.pass_ms(TTL_MS);
    assert!(hold(&*registry, "shard/0", A).token > first.token, "a lease that ended is a new one");
}

fn only_what_is_held_as_claimed_is_renewed(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    let claim = hold(&*registry, "shard/0", A);
    let wrong_token = LeaseClaim { token: claim.token + 1, ..claim.clone() };
    let wrong_holder = LeaseClaim { holder: B, ..claim.clone() };
    let nobodys = LeaseClaim { name: "shard/1".into(), ..claim.clone() };
    let claims = [&wrong_token, &claim, &wrong_holder, &nobodys];
    assert_eq!(renew(&*registry, &claims, 2 * TTL_MS), [false, true, false, false]);
    assert!(!is_held(&*registry, &nobodys), "renewing makes no lease");
    factory.pass_ms(TTL_MS);
    assert!(is_held(&*registry, &claim), "for the time asked for");
    assert_eq!(renew(&*registry, &[&claim], TTL_MS), [true]);
    factory.pass_ms(TTL_MS);
    assert_eq!(renew(&*registry, &[&claim], TTL_MS), [false], "what has ended, ended");
    let second = hold(&*registry, "shard/0", B);
    assert_eq!(renew(&*registry, &[&claim, &second], TTL_MS), [false, true]);
    assert_eq!(renew(&*registry, &[], TTL_MS), [] as [bool; 0]);
}

fn only_what_is_held_as_claimed_is_released(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    let claim = hold(&*registry, "shard/0", A);
    let wrong_token = LeaseClaim { token: claim.token + 1, ..claim.clone() };
    let wrong_holder = LeaseClaim { holder: B, ..claim.clone() };
    release(&*registry, &[&wrong_token, &wrong_holder]);
    assert!(is_held(&*registry, &claim));
    (0..2).for_each(|_| release(&*registry, &[&claim]));
    assert!(!is_held(&*registry, &claim));
    let second = hold(&*registry, "shard/0", B);
    release(&*registry, &[&claim]);
    assert!(is_held(&*registry, &second), "an old claim ends nothing");
}

fn tokens_grow_with_every_holder(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    let mut last = 0;
    for round in 0..20 {
        let claim = hold(&*registry, "shard/0", if round % 2 == 0 { A } else { B });
        assert!(claim.token > last, "round {round}: {} after {last}", claim.token);
        last = claim.token;
        match round % 3 {
            0 => factory.pass_ms(TTL_MS),
            _ => release(&*registry, &[&claim]),
        }
    }
}

fn tokens_grow_though_everything_is_forgotten(factory: &dyn RegistryFactory) {
    let mut last = 0;
    for _ in 0..3 {
        let registry = factory.open();
        let claim = hold(&*registry, "shard/0", A);
        assert!(claim.token > last, "{} after {last}", claim.token);
        last = claim.token;
        drop(registry);
        factory.pass_ms(TTL_MS);
    }
}

fn leases_do_not_see_one_another(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    let first = hold(&*registry, "shard/0", A);
    let asked = names(&["shard/1", "shard/0", "Shard/1", "shard/1"]);
    let acquired = block_on(registry.acquire(asked.clone(), B, TTL_MS)).expect("the registry answers");
    let held: Vec<bool> = acquired.iter().map(|acquired| matches!(acquired, Acquired::Held(_))).collect();
    assert_eq!(held, [true, false, true, true], "in the order asked for: {acquired:?}");
    let shown = block_on(registry.leases(asked)).expect("the registry answers");
    let holders: Vec<_> = shown.into_iter().map(|lease| lease.map(|lease| lease.holder)).collect();
    assert_eq!(holders, [Some(B), Some(A), Some(B), Some(B)]);
    release(&*registry, &[&first]);
    assert_eq!(block_on(registry.leases(names(&["shard/0"]))), Ok(vec![None]));
    assert!(block_on(registry.leases(names(&["Shard/1"]))).expect("the registry answers")[0].is_some());
}

fn what_is_beyond_a_limit_is_refused_whole(factory: &dyn RegistryFactory) {
    let registry = factory.open();
    let malformed = |error: RegistryError| {
        assert!(matches!(error, RegistryError::Malformed(_)), "{error}");
        assert!(!error.retry_helps());
    };
    let long = "x".repeat(LEASE_NAME_BYTES);
    let too_long = format!("{long}x");
    for (wrong, ttl_ms) in
        [("", TTL_MS), (&*too_long, TTL_MS), ("shard/1", 0), ("shard/1", TIME_TO_LIVE_MS + 1)]
    {
        let error = block_on(registry.acquire(names(&["shard/0", wrong]), A, ttl_ms));
        malformed(error.expect_err("a name or a time beyond its limit"));
        assert_eq!(block_on(registry.leases(names(&["shard/0"]))), Ok(vec![None]), "nothing was taken");
    }
    hold(&*registry, &long, A);
    let address = "x".repeat(ADDRESS_BYTES + 1);
    let client = NodeRow { client_address: Some(address.clone()), ..row(A, "a:1") };
    for (wrong, ttl_ms) in
        [(row(A, &address), TTL_MS), (row(A, ""), TTL_MS), (client, TTL_MS), (row(A, "a:1"), 0)]
    {
        malformed(block_on(registry.announce(wrong, ttl_ms)).expect_err("a row beyond a limit"));
    }
    assert_eq!(nodes(&*registry), []);
}
