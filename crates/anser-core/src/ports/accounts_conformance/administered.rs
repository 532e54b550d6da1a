//! What administrators and application servers do: the system account, lists, imports, second devices.

use std::sync::Arc;

use anser_model::{AccountId, DeviceId, KickReason};

use super::{
    AccountsFactory, LATER, ME, NOW, YOU, add_device, device, devices, get, has_family, hash, live, me,
    outbox, password, person, told, with_me,
};
use crate::ports::accounts::{
    AccountChange, AccountKey, Accounts, AccountsError, AddedDevice, Brought, BroughtAccount,
    DEVICES_PER_ACCOUNT, DeviceKind, NewDevice, OutboxChange, SecondDevice,
};
use crate::ports::log_conformance::block_on;

pub(super) fn check(fresh: &mut dyn FnMut() -> Box<dyn AccountsFactory>) {
    the_system_account_is_there_from_the_beginning(&*fresh());
    accounts_are_listed_by_handle(&*fresh());
    a_reset_password_leaves_no_device(&*fresh());
    somebody_always_runs_the_installation(&*fresh());
    what_was_brought_is_known_again(&*fresh());
    a_chunk_is_brought_whole_or_not_at_all(&*fresh());
    a_device_of_the_same_kind_makes_room(&*fresh());
    a_device_is_known_by_its_key(&*fresh());
}

fn the_system_account_is_there_from_the_beginning(factory: &dyn AccountsFactory) {
    let accounts = factory.open();
    let row = get(&*accounts, AccountId::SYSTEM).expect("it is there");
    assert_eq!((row.handle.as_str(), row.password_hash, row.admin), ("system", None, false));
    assert_eq!((row.deactivated, row.profile_version, row.credential_version), (false, 1, 1));
    assert_eq!(block_on(accounts.register(person(ME, "system", 1))), Err(AccountsError::HandleTaken));
    assert_eq!(block_on(accounts.register(person(AccountId::SYSTEM, "me", 1))), Err(AccountsError::IdTaken));
}

fn accounts_are_listed_by_handle(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    assert_eq!(block_on(accounts.register(person(YOU, "you", 2))), Ok(()));
    let list = |after: Option<&str>, limit| {
        let rows =
            block_on(accounts.accounts_after(after.map(str::to_owned), limit)).expect("a read succeeds");
        rows.into_iter().map(|row| row.handle).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10), ["me", "system", "you"]);
    assert_eq!(list(None, 2), ["me", "system"]);
    assert_eq!(list(Some("system"), 2), ["you"]);
    assert_eq!(list(Some("n"), 1), ["system"], "where one would stand that is not there");
    assert_eq!(list(Some("you"), 10), [""; 0]);
}

fn a_reset_password_leaves_no_device(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let reset = |from_version| {
        let change = AccountChange::PasswordReset { from_version, password_hash: password(9), at: LATER };
        block_on(accounts.change(ME, change))
    };
    assert_eq!(reset(2), Err(AccountsError::Conflict));
    assert_eq!(reset(1), Ok(()));
    let row = me(&*accounts);
    assert_eq!((row.credential_version, row.password_hash), (2, Some(password(9))));
    assert_eq!((live(&*accounts), has_family(&*accounts, 1)), (vec![], false));
    let change = OutboxChange::CredentialChanged { version: 2, why: KickReason::Revoked };
    assert_eq!(told(&*accounts), [(ME, change)]);
}

fn somebody_always_runs_the_installation(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    assert_eq!(block_on(accounts.register(person(YOU, "you", 2))), Ok(()));
    let admin = |account, admin| block_on(accounts.change(account, AccountChange::Admin { admin }));
    let deactivate = |account, from_version, deactivated| {
        block_on(accounts.change(account, AccountChange::Deactivated { from_version, deactivated, at: NOW }))
    };
    assert!(get(&*accounts, YOU).is_some_and(|you| you.admin) && !me(&*accounts).admin);
    assert_eq!(admin(AccountId(77), true), Err(AccountsError::NotFound));
    assert_eq!(admin(ME, false), Ok(()), "it was so already");
    assert_eq!(admin(YOU, false), Err(AccountsError::LastAdmin));
    assert_eq!(deactivate(YOU, 1, true), Err(AccountsError::LastAdmin));
    assert_eq!(outbox(&*accounts), [], "a refusal changes nothing");
    assert_eq!((admin(ME, true), admin(ME, true)), (Ok(()), Ok(())));
    assert_eq!(deactivate(YOU, 1, true), Ok(()));
    assert_eq!(admin(ME, false), Err(AccountsError::LastAdmin), "the other one cannot sign in");
    assert_eq!(admin(YOU, false), Ok(()), "nor does it count itself");
    assert_eq!(deactivate(ME, 1, true), Err(AccountsError::LastAdmin));
}

fn brought(number: u64, handle: &str, request: u64) -> BroughtAccount {
    BroughtAccount {
        account: AccountId(number),
        handle: handle.into(),
        name: format!("Dr {handle} 鸿雁"),
        avatar: format!("{handle}.png"),
        bio: String::new(),
        password_hash: (request % 2 == 1).then(|| password(number)),
        request: hash(request),
        at: NOW,
    }
}

fn what_was_brought_is_known_again(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let bring = |accounts: &dyn Accounts, some| block_on(accounts.bring(some));
    let first =
        vec![brought(20, "ann", 1), brought(21, "ben", 2), brought(22, "me", 3), brought(23, "ann", 1)];
    let expected = [Brought::Made(AccountId(20)), Brought::Made(AccountId(21)), Brought::Taken];
    let answer = bring(&*accounts, first).expect("each has its outcome");
    assert_eq!(answer[..3], expected);
    assert_eq!(answer[3], Brought::Known(AccountId(20)), "twice in one chunk");
    drop(accounts);
    let accounts = factory.open();
    let again = vec![brought(30, "ann", 1), brought(31, "ben", 7), brought(32, "system", 8)];
    let expected = vec![Brought::Known(AccountId(20)), Brought::Taken, Brought::Taken];
    assert_eq!(bring(&*accounts, again), Ok(expected));
    let (ann, ben) = (get(&*accounts, AccountId(20)), get(&*accounts, AccountId(21)));
    let (ann, ben) = (ann.expect("made"), ben.expect("made"));
    assert_eq!((ann.handle.as_str(), ann.avatar.as_str(), ann.created_at), ("ann", "ann.png", NOW));
    assert_eq!((ann.password_hash, ben.password_hash), (Some(password(20)), None));
    assert_eq!((ann.profile_version, ann.credential_version, ann.admin), (1, 1, false));
    let by_handle = block_on(accounts.accounts(vec![AccountKey::Handle("ben".into())]));
    assert!(by_handle.expect("a read succeeds")[0].is_some());
    assert_eq!(told(&*accounts), [], "nobody has to learn of it");
}

fn a_chunk_is_brought_whole_or_not_at_all(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let mut some = vec![brought(20, "ann", 1), brought(21, "ben", 2)];
    some[1].account = ME;
    assert_eq!(block_on(accounts.bring(some.clone())), Err(AccountsError::IdTaken));
    assert_eq!(get(&*accounts, AccountId(20)), None);
    some[1].account = AccountId(21);
    let made = vec![Brought::Made(AccountId(20)), Brought::Made(AccountId(21))];
    assert_eq!(block_on(accounts.bring(some)), Ok(made), "no handle is claimed");
}

fn add(accounts: &Arc<dyn Accounts>, device: NewDevice, second: SecondDevice) -> AddedDevice {
    let version = me(&**accounts).credential_version;
    block_on(accounts.add_device(ME, version, device, second)).expect("added")
}

fn a_device_of_the_same_kind_makes_room(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let of_kind = |number, kind| NewDevice { kind, ..device(number, LATER) };
    assert_eq!(add(&accounts, of_kind(2, DeviceKind::Phone), SecondDevice::Allow).ended, []);
    assert_eq!(add(&accounts, of_kind(3, DeviceKind::Web), SecondDevice::Replace).ended, []);
    assert_eq!((live(&*accounts), told(&*accounts)), (vec![1, 2, 3], vec![]));
    let added = add(&accounts, of_kind(4, DeviceKind::Phone), SecondDevice::Replace);
    let ended: Vec<_> = added.ended.iter().map(|row| (row.device.0, row.version, row.revoked)).collect();
    assert_eq!((added.device, ended), (DeviceId(4), vec![(1, 2, true), (2, 2, true)]));
    assert_eq!(live(&*accounts), [3, 4]);
    assert!(!has_family(&*accounts, 1) && !has_family(&*accounts, 2) && has_family(&*accounts, 4));
    let change = |device| OutboxChange::DeviceRevoked {
        device: DeviceId(device),
        version: 2,
        why: KickReason::Replaced,
    };
    assert_eq!(told(&*accounts), [(ME, change(1)), (ME, change(2))]);
    let kinds: Vec<_> = devices(&*accounts).iter().map(|device| device.kind).collect();
    assert_eq!(kinds, [DeviceKind::Phone, DeviceKind::Phone, DeviceKind::Web, DeviceKind::Phone]);
}

fn a_device_is_known_by_its_key(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let keyed = |number, key: &str| NewDevice { key: Some(key.into()), ..device(number, LATER) };
    assert_eq!(add(&accounts, keyed(2, "a"), SecondDevice::Allow).device, DeviceId(2));
    let renewed = NewDevice { kind: DeviceKind::Bot, name: "renamed".into(), ..keyed(3, "a") };
    let again = add(&accounts, renewed, SecondDevice::Replace);
    assert_eq!((again.device, again.version, again.ended), (DeviceId(2), 1, vec![]));
    assert_eq!(live(&*accounts), [1, 2]);
    let families = [2, 3].map(|number| has_family(&*accounts, number));
    assert_eq!(families, [false, true], "the newest family counts");
    let row = devices(&*accounts).remove(1);
    assert_eq!((row.name.as_str(), row.kind), ("renamed", DeviceKind::Bot));
    assert_eq!(add(&accounts, keyed(4, "b"), SecondDevice::Allow).device, DeviceId(4), "another key");
    assert_eq!(block_on(accounts.revoke_device(ME, DeviceId(2), LATER)), Ok(2));
    let anew = add(&accounts, keyed(5, "a"), SecondDevice::Allow);
    assert_eq!((anew.device, anew.version), (DeviceId(5), 1), "a revoked one never comes back");
    for number in 6..=(2 + DEVICES_PER_ACCOUNT as u64) {
        assert_eq!(add_device(&*accounts, device(number, LATER)).map(|ended| ended.len()), Ok(0), "{number}");
    }
    assert_eq!(add(&accounts, keyed(90, "a"), SecondDevice::Allow).ended, [], "it has its place");
    assert_eq!(live(&*accounts).len(), DEVICES_PER_ACCOUNT);
}
