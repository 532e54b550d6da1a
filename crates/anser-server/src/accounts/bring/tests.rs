//! What application servers bring, twice and at once.

use anser_core::ports::keys::Scopes;
use anser_model::KickReason;

use super::*;
use crate::accounts::testing::{ADDRESS, Bench, PASSWORD};

const BY: fn() -> Authority = Authority::operator;

fn person(handle: &str) -> NewPerson {
    NewPerson {
        handle: handle.into(),
        name: format!("Dr {handle}"),
        avatar: format!("{handle}.png"),
        bio: "brought along".into(),
        password_hash: None,
    }
}

async fn caller(bench: &Bench, scopes: &[Scope]) -> ApiCaller {
    let scopes: Scopes = scopes.iter().copied().collect();
    let made = bench.service.administration().create_key(BY(), "server", scopes).await.unwrap();
    bench.service.authenticate_key(made.secret.expose()).await.unwrap()
}

fn tokens_for(account: AccountId, key: &str) -> TokenRequest {
    TokenRequest {
        account,
        device_key: key.into(),
        device_name: "their phone".into(),
        device_kind: DeviceKind::Phone,
    }
}

#[tokio::test]
async fn the_same_again_is_the_same_account() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let by = caller(&bench, &[Scope::Accounts]).await.authority().unwrap();
    let made = administration.create_account(by, person("Ann")).await.unwrap();
    assert!(made.made);
    for same in [person("Ann"), NewPerson { handle: "ann".into(), name: " Dr Ann ".into(), ..person("Ann") }]
    {
        let again = administration.create_account(by, same).await;
        assert_eq!(again, Ok(Imported { account: made.account, made: false }), "folded and trimmed");
    }
    let others = [
        NewPerson { name: "Dr ann".into(), ..person("Ann") },
        NewPerson { avatar: String::new(), ..person("Ann") },
        NewPerson { bio: String::new(), ..person("Ann") },
        NewPerson { avatar: "Ann.pngbrought".into(), bio: " along".into(), ..person("Ann") },
    ];
    for other in others {
        let refused = administration.create_account(by, other).await;
        assert_eq!(refused, Err(AccessError::AlreadyExists));
    }
    bench.register("ben").await;
    let taken = administration.create_account(by, person("ben")).await;
    assert_eq!(taken, Err(AccessError::AlreadyExists));
    assert_eq!(bench.sign_in("ann", "").await, Err(AccessError::WrongCredentials), "no password is right");
    let ann = administration.find(BY(), "ann").await.unwrap();
    assert_eq!((ann.has_password, ann.profile.bio.as_str()), (false, "brought along"));
}

#[tokio::test]
async fn a_password_that_was_hashed_elsewhere_signs_in() {
    let bench = Bench::open();
    let donor = bench.register("donor").await;
    let hash = bench.row(donor.account).await.password_hash.unwrap().0;
    let with = |hash: &str| NewPerson { password_hash: Some(Secret::new(hash)), ..person("ann") };
    let administration = bench.service.administration();
    let bad = administration.create_account(BY(), with("$2b$12$nothing")).await;
    assert!(matches!(bad, Err(AccessError::BadValue { field: "password_hash", .. })));
    assert!(administration.create_account(BY(), with(&hash)).await.unwrap().made);
    assert!(bench.sign_in("ann", PASSWORD).await.is_ok());
    assert_eq!(bench.sign_in("ann", "another").await, Err(AccessError::WrongCredentials));
    assert!(!format!("{:?}", with(&hash)).contains(&hash), "nothing shows it");
}

#[tokio::test]
async fn many_come_in_one_call_and_each_has_its_outcome() {
    let bench = Bench::open();
    let administration = bench.service.administration();
    let mut people: Vec<NewPerson> = (0..997).map(|number| person(&format!("person{number}"))).collect();
    people.insert(5, person("x"));
    people.insert(6, NewPerson { bio: "x".repeat(2_000), ..person("talker") });
    people.push(person("system"));
    assert_eq!(people.len(), IMPORTED_PER_CALL);
    let outcomes = administration.import(BY(), people.clone()).await.unwrap();
    assert!(matches!(outcomes[5], Err(AccessError::BadValue { field: "handle", .. })));
    assert!(matches!(outcomes[6], Err(AccessError::BadValue { field: "bio", .. })));
    assert_eq!(outcomes[999], Err(AccessError::AlreadyExists));
    assert_eq!(outcomes.iter().flatten().filter(|one| one.made).count(), 997);
    let again = administration.import(BY(), people.clone()).await.unwrap();
    for (first, again) in outcomes.iter().zip(&again) {
        match (first, again) {
            (Ok(first), Ok(again)) => assert!(first.account == again.account && !again.made),
            (first, again) => assert_eq!(first, again),
        }
    }
    people.push(person("one-too-many"));
    let refused = administration.import(BY(), people).await;
    assert!(matches!(refused, Err(AccessError::BadValue { field: "accounts", .. })));
    assert_eq!(administration.import(BY(), Vec::new()).await, Ok(vec![]));
}

#[tokio::test]
async fn tokens_for_the_same_key_are_of_the_same_device() {
    let bench = Bench::open();
    let server = caller(&bench, &[Scope::Tokens]).await;
    let ann = bench.service.administration().create_account(BY(), person("ann")).await.unwrap().account;
    let first = bench.service.issue_tokens(&server, tokens_for(ann, "phone-1")).await.unwrap();
    let again = bench.service.issue_tokens(&server, tokens_for(ann, "phone-1")).await.unwrap();
    let other = bench.service.issue_tokens(&server, tokens_for(ann, "phone-2")).await.unwrap();
    assert_eq!((first.account, first.device), (ann, again.device));
    assert_ne!(first.device, other.device);
    for token in [&first.access_token, &again.access_token, &other.access_token] {
        assert!(bench.service.authenticate(token.expose()).await.is_ok());
    }
    let nonce = Secret::new("nonce of sixteen bytes");
    let old = bench.service.refresh(&first.refresh_token, &nonce, ADDRESS).await;
    assert_eq!(old, Err(AccessError::Unauthenticated), "the newest chain counts");
    let next = bench.service.refresh(&again.refresh_token, &nonce, ADDRESS).await.unwrap();
    let session = bench.session(&next).await;
    let devices = bench.service.devices(&session).await.unwrap();
    let kinds: Vec<_> = devices.iter().map(|device| (device.name.as_str(), device.kind)).collect();
    assert_eq!(kinds, [("their phone", DeviceKind::Phone); 2]);
    assert_eq!(bench.service.revoke_device(&session, first.device).await, Ok(()));
    let anew = bench.service.issue_tokens(&server, tokens_for(ann, "phone-1")).await.unwrap();
    assert_ne!(anew.device, first.device, "a revoked device never comes back");
}

#[tokio::test]
async fn tokens_are_not_for_everybody_nor_for_every_key() {
    let bench = Bench::open();
    let server = caller(&bench, &[Scope::Tokens]).await;
    let administration = bench.service.administration();
    let (ann, boss) = (bench.register("ann").await.account, bench.register("boss").await.account);
    administration.set_admin(BY(), boss, true).await.unwrap();
    let ask = |caller: ApiCaller, account, key: &'static str| {
        let service = bench.service.clone();
        async move { service.issue_tokens(&caller, tokens_for(account, key)).await.map(drop) }
    };
    let without = caller(&bench, &[Scope::Accounts, Scope::Messages]).await;
    assert!(matches!(ask(without, ann, "k").await, Err(AccessError::NotAllowed(_))));
    for special in [boss, AccountId::SYSTEM] {
        assert!(matches!(ask(server, special, "k").await, Err(AccessError::NotAllowed(_))));
    }
    assert_eq!(ask(server, AccountId(99), "k").await, Err(AccessError::NotFound("account")));
    assert!(matches!(ask(server, ann, "").await, Err(AccessError::BadValue { field: "device_key", .. })));
    administration.deactivate(BY(), ann).await.unwrap();
    assert_eq!(ask(server, ann, "k").await, Err(AccessError::Deactivated));
}

#[tokio::test]
async fn a_second_device_of_a_kind_replaces_the_first_where_it_is_so_chosen() {
    let bench = Bench::replacing();
    let laptop = bench.register("alice").await;
    let phone = bench.sign_in("alice", PASSWORD).await.unwrap();
    assert_eq!(bench.home.kicks(), [], "another kind");
    let second = bench.sign_in("alice", PASSWORD).await.unwrap();
    assert_eq!(bench.home.kicks(), [(phone.account, Some(phone.device), KickReason::Replaced)]);
    let token = |signed_in: &SignedIn| signed_in.access_token.expose().to_owned();
    assert_eq!(bench.service.authenticate(&token(&phone)).await, Err(AccessError::Revoked));
    assert!(bench.service.authenticate(&token(&laptop)).await.is_ok());
    assert!(bench.service.authenticate(&token(&second)).await.is_ok());
    // The outbox tells the same reason, whichever of them comes first.
    assert_eq!(bench.service.deliver_outbox().await, Ok(1));
    assert_eq!(bench.home.kicks(), [(phone.account, Some(phone.device), KickReason::Replaced)]);
    let server = caller(&bench, &[Scope::Tokens]).await;
    let third = bench.service.issue_tokens(&server, tokens_for(phone.account, "k")).await.unwrap();
    assert_eq!(bench.home.kicks(), [(phone.account, Some(second.device), KickReason::Replaced)]);
    bench.service.issue_tokens(&server, tokens_for(phone.account, "k")).await.unwrap();
    assert_eq!(bench.home.kicks(), [], "it does not replace itself");
    let session = bench.session(&third).await;
    bench.service.revoke_device(&session, laptop.device).await.unwrap();
    assert_eq!(bench.home.kicks(), [(phone.account, Some(laptop.device), KickReason::Revoked)]);
}
