//! What those who run an installation may do, and what they may not.

use anser_core::ports::keys::Scopes;

use super::*;
use crate::accounts::RegistrationMode;
use crate::accounts::testing::{Bench, PASSWORD};

const BY: fn() -> Authority = Authority::operator;

fn not_allowed<T: std::fmt::Debug>(result: Result<T, AccessError>) -> bool {
    matches!(result, Err(AccessError::NotAllowed(_)))
}

async fn key_with(bench: &Bench, scopes: &[Scope]) -> ApiCaller {
    let scopes: Scopes = scopes.iter().copied().collect();
    let made = bench.service.administration().create_key(BY(), "server", scopes).await.unwrap();
    bench.service.authenticate_key(made.secret.expose()).await.unwrap()
}

#[tokio::test]
async fn deactivation_ends_all_sessions_and_lets_nobody_in() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let alice = bench.register("alice").await;
    let phone = bench.sign_in("alice", PASSWORD).await.unwrap();
    let bob = bench.session(&bench.register("bob").await).await;
    assert!(!bench.service.look_up(&bob, "alice").await.unwrap().deactivated);
    bench.home.kicks();
    for _ in 0..2 {
        assert_eq!(administration.deactivate(BY(), alice.account).await, Ok(()));
        assert_eq!(
            bench.home.kicks(),
            [(alice.account, None, KickReason::Deactivated)],
            "also when repeated"
        );
    }
    for token in [&alice.access_token, &phone.access_token] {
        assert_eq!(bench.service.authenticate(token.expose()).await, Err(AccessError::Revoked));
    }
    assert_eq!(bench.sign_in("alice", PASSWORD).await, Err(AccessError::Deactivated));
    assert_eq!(bench.sign_in("alice", "a wrong one").await, Err(AccessError::WrongCredentials));
    assert_eq!(bench.service.look_up(&bob, "alice").await, Err(AccessError::NotFound("person")));
    let profile = bench.service.profiles(vec![alice.account]).await.unwrap().remove(0).unwrap();
    assert!(profile.deactivated && profile.version == 2, "those who know it are told: {profile:?}");

    for _ in 0..2 {
        assert_eq!(administration.reactivate(BY(), alice.account).await, Ok(()));
    }
    let old = bench.service.authenticate(alice.access_token.expose()).await;
    assert_eq!(old, Err(AccessError::Revoked), "what was ended stays ended");
    let again = bench.sign_in("alice", PASSWORD).await.unwrap();
    assert!(bench.service.authenticate(again.access_token.expose()).await.is_ok());
    let unknown = administration.deactivate(BY(), AccountId(99)).await;
    assert_eq!(unknown, Err(AccessError::NotFound("account")));
}

#[tokio::test]
async fn a_deactivation_that_the_home_missed_can_be_repeated() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let alice = bench.register("alice").await;
    bench.home.set_down(true);
    assert_eq!(administration.deactivate(BY(), alice.account).await, Err(AccessError::Unavailable));
    bench.home.set_down(false);
    assert!(bench.service.authenticate(alice.access_token.expose()).await.is_ok(), "not told yet");
    assert_eq!(administration.deactivate(BY(), alice.account).await, Ok(()));
    assert_eq!(bench.service.authenticate(alice.access_token.expose()).await, Err(AccessError::Revoked));
    bench.home.kicks();
    assert_eq!(bench.service.deliver_outbox().await, Ok(2), "the outbox tells it too, with the reason");
    assert_eq!(bench.home.kicks(), [(alice.account, None, KickReason::Deactivated)]);
}

#[tokio::test]
async fn one_deactivates_oneself_with_the_password() {
    let bench = Bench::open();
    let alice = bench.register("alice").await;
    let session = bench.session(&alice).await;
    let wrong = bench.service.deactivate_self(&session, Secret::new("a wrong one")).await;
    assert_eq!(wrong, Err(AccessError::WrongCredentials));
    assert!(bench.service.authenticate(alice.access_token.expose()).await.is_ok());
    let profile = bench.service.deactivate_self(&session, Secret::new(PASSWORD)).await.unwrap();
    assert!(profile.deactivated);
    assert_eq!(bench.home.kicks(), [(alice.account, None, KickReason::Deactivated)]);
    assert_eq!(bench.service.authenticate(alice.access_token.expose()).await, Err(AccessError::Revoked));
    assert_eq!(bench.sign_in("alice", PASSWORD).await, Err(AccessError::Deactivated));
}

#[tokio::test]
async fn a_reset_password_ends_all_sessions() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let alice = bench.register("alice").await;
    let reset = |new: &str| administration.reset_password(BY(), alice.account, Secret::new(new));
    assert!(matches!(reset("short").await, Err(AccessError::BadValue { field: "password", .. })));
    assert!(bench.service.authenticate(alice.access_token.expose()).await.is_ok());
    assert_eq!(reset("battery staple").await, Ok(()));
    assert_eq!(bench.home.kicks(), [(alice.account, None, KickReason::Revoked)]);
    assert_eq!(bench.service.authenticate(alice.access_token.expose()).await, Err(AccessError::Revoked));
    assert_eq!(bench.sign_in("alice", PASSWORD).await, Err(AccessError::WrongCredentials));
    assert!(bench.sign_in("alice", "battery staple").await.is_ok());
}

#[tokio::test]
async fn who_may_administer_is_looked_at_each_time() {
    let bench = Bench::with_mode(RegistrationMode::Invitation);
    let first = bench.service.first_invitations().await.unwrap().unwrap();
    let alice = bench.try_register("alice", Some(&first.admin.secret)).await.unwrap();
    let bob = bench.try_register("bob", Some(&first.general.secret)).await.unwrap();
    let (alice, bob) = (bench.session(&alice).await, bench.session(&bob).await);
    assert!(not_allowed(bench.service.administrator(&bob).await));
    let by = bench.service.administrator(&alice).await.unwrap();
    let administration = bench.service.administration();
    assert!(not_allowed(administration.set_admin(by, alice.account(), false).await), "the last one");
    assert!(not_allowed(administration.deactivate(by, alice.account()).await));
    assert!(not_allowed(bench.service.deactivate_self(&alice, Secret::new(PASSWORD)).await));
    assert_eq!(administration.set_admin(by, bob.account(), true).await, Ok(()));
    let by_bob = bench.service.administrator(&bob).await.unwrap();
    assert_eq!(administration.set_admin(by_bob, alice.account(), false).await, Ok(()));
    assert!(not_allowed(bench.service.administrator(&alice).await));
    assert!(not_allowed(administration.reset_admin(by_bob, "alice", None).await), "the command line alone");
}

#[tokio::test]
async fn a_lost_administrator_is_found_again() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let alice = bench.register("alice").await;
    let unknown = administration.reset_admin(BY(), "nobody", None).await;
    assert_eq!(unknown, Err(AccessError::NotFound("account")));
    assert_eq!(administration.deactivate(BY(), alice.account).await, Ok(()));
    let new = Secret::new("battery staple");
    let view = administration.reset_admin(BY(), "Alice", Some(new)).await.unwrap();
    assert!(view.admin && !view.profile.deactivated && view.has_password);
    let alice = bench.session(&bench.sign_in("alice", "battery staple").await.unwrap()).await;
    assert!(bench.service.administrator(&alice).await.is_ok());
    let view = administration.reset_admin(BY(), "alice", None).await.unwrap();
    assert!(view.admin, "may be repeated, and keeps the password");
    assert!(bench.sign_in("alice", "battery staple").await.is_ok());
}

#[tokio::test]
async fn the_system_account_stays_as_it_is() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let system = AccountId::SYSTEM;
    let view = administration.view(BY(), system).await.unwrap();
    assert_eq!((view.profile.handle.as_str(), view.has_password, view.admin), ("system", false, false));
    assert!(not_allowed(administration.deactivate(BY(), system).await));
    assert!(not_allowed(administration.set_admin(BY(), system, true).await));
    assert!(not_allowed(administration.reset_password(BY(), system, Secret::new(PASSWORD)).await));
    assert!(not_allowed(administration.reset_admin(BY(), "system", Some(Secret::new(PASSWORD))).await));
    assert_eq!(bench.sign_in("system", "").await, Err(AccessError::WrongCredentials));
    assert_eq!(bench.sign_in("system", PASSWORD).await, Err(AccessError::WrongCredentials));
    let taken = bench.try_register("System", None).await;
    assert_eq!(taken, Err(AccessError::HandleTaken));
}

#[tokio::test]
async fn an_api_key_does_what_its_scope_says_and_no_more() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let (alice, boss) = (bench.register("alice").await, bench.register("boss").await);
    administration.set_admin(BY(), boss.account, true).await.unwrap();
    let key = key_with(&bench, &[Scope::Accounts]).await.authority().unwrap();
    assert!(not_allowed(key_with(&bench, &[Scope::Tokens, Scope::Messages]).await.authority()));
    assert_eq!(administration.deactivate(key, alice.account).await, Ok(()));
    assert_eq!(administration.reactivate(key, alice.account).await, Ok(()));
    assert!(not_allowed(administration.deactivate(key, boss.account).await));
    assert!(not_allowed(administration.set_admin(key, alice.account, true).await));
    assert!(not_allowed(administration.reset_password(key, alice.account, Secret::new(PASSWORD)).await));
    assert!(not_allowed(administration.list(key, None, 10).await));
    assert!(not_allowed(administration.keys(key).await));
    assert!(not_allowed(administration.revoke_key(key, 1).await));
}

#[tokio::test]
async fn accounts_are_listed_in_pages() {
    let bench = Bench::open();
    for handle in ["carol", "alice", "bob"] {
        bench.register(handle).await;
    }
    let administration = bench.service.administration();
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = administration.list(BY(), after.as_deref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.profile.handle.clone());
        found.extend(page.into_iter().map(|view| view.profile.handle));
    }
    assert_eq!(found, ["alice", "bob", "carol", "system"]);
    for limit in [0, ACCOUNTS_PER_PAGE + 1] {
        let refused = administration.list(BY(), None, limit).await;
        assert!(matches!(refused, Err(AccessError::BadValue { field: "limit", .. })));
    }
}
