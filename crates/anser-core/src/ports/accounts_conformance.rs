//! What every [`Accounts`] must do, as a suite that each adapter runs against itself.

mod administered;

use std::sync::Arc;

use anser_model::{AccountId, DeviceId, KickReason, UnixMillis};

use super::accounts::{
    AccountChange, AccountKey, AccountRow, Accounts, AccountsError, DEVICES_PER_ACCOUNT, DeviceKind,
    DeviceRow, InvitationRow, InvitationRule, NewAccount, NewDevice, NewFamily, OutboxChange, OutboxRow,
    PasswordHash, PresenceShown, REVOKED_DEVICE_KEPT_MS, Rotation, SecondDevice, Seen, TokenHash,
};
use super::log_conformance::block_on;

/// How the suite gets at the accounts.
pub trait AccountsFactory {
    /// Opens the accounts: empty the first time, and after that with everything that was written.
    /// The suite drops what it had before it asks again.
    fn open(&self) -> Arc<dyn Accounts>;
}

/// Runs the whole suite; `fresh` gives a factory of empty accounts for every case.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message.
pub fn check_accounts(fresh: &mut dyn FnMut() -> Box<dyn AccountsFactory>) {
    a_registered_account_is_found_by_id_and_handle(&*fresh());
    handles_and_ids_are_unique_for_ever(&*fresh());
    an_invitation_is_spent_with_the_registration(&*fresh());
    the_first_invitations_hold_while_there_is_no_account(&*fresh());
    an_author_has_a_limit_of_live_invitations(&*fresh());
    a_device_is_added_under_the_version_that_was_checked(&*fresh());
    too_many_devices_push_out_the_one_seen_least_recently(&*fresh());
    a_revocation_may_be_repeated(&*fresh());
    a_family_moves_on_only_from_where_it_is(&*fresh());
    another_password_leaves_one_device(&*fresh());
    a_profile_changes_by_version(&*fresh());
    who_was_seen_later_is_not_seen_earlier(&*fresh());
    a_deactivated_account_lets_nobody_in(&*fresh());
    the_outbox_keeps_what_was_not_acknowledged(&*fresh());
    administered::check(fresh);
}

const ME: AccountId = AccountId(u64::MAX >> 1);
const YOU: AccountId = AccountId(2);
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const LATER: UnixMillis = UnixMillis(NOW.0 + 1_000);

/// A hash like none of another number.
fn hash(number: u64) -> TokenHash {
    let mut bytes = [0xa5; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    TokenHash(bytes)
}

fn password(number: u64) -> PasswordHash {
    PasswordHash(format!("$argon2id${number}"))
}

fn family(number: u64) -> NewFamily {
    NewFamily { family: number, token: hash(number), expires_at: NOW.plus_ms(number) }
}

/// A device whose family has the same number.
fn device(number: u64, at: UnixMillis) -> NewDevice {
    NewDevice {
        device: DeviceId(number),
        name: format!("device {number}"),
        kind: DeviceKind::Phone,
        key: None,
        at,
        family: family(number),
    }
}

fn person(account: AccountId, handle: &str, first_device: u64) -> NewAccount {
    NewAccount {
        account,
        handle: handle.into(),
        name: format!("Dr {handle} 鸿雁"),
        password_hash: password(account.0),
        admin: account == YOU,
        device: device(first_device, NOW),
        invitation: None,
    }
}

fn invitation(number: u64, author: Option<AccountId>, uses_left: Option<u32>) -> InvitationRow {
    let (created_at, expires_at) = (NOW, LATER);
    InvitationRow { hash: hash(number), author, admin: false, uses_left, created_at, expires_at }
}

/// The accounts with the person that most cases are about, on device 1.
fn with_me(factory: &dyn AccountsFactory) -> Arc<dyn Accounts> {
    let accounts = factory.open();
    assert_eq!(block_on(accounts.register(person(ME, "me", 1))), Ok(()));
    accounts
}

fn get(accounts: &dyn Accounts, account: AccountId) -> Option<AccountRow> {
    block_on(accounts.accounts(vec![AccountKey::Id(account)])).expect("a read succeeds").remove(0)
}

fn me(accounts: &dyn Accounts) -> AccountRow {
    get(accounts, ME).expect("registered")
}

fn devices(accounts: &dyn Accounts) -> Vec<DeviceRow> {
    block_on(accounts.devices(ME)).expect("a read succeeds")
}

/// The devices that are not revoked.
fn live(accounts: &dyn Accounts) -> Vec<u64> {
    devices(accounts).iter().filter(|device| !device.revoked).map(|device| device.device.0).collect()
}

fn has_family(accounts: &dyn Accounts, number: u64) -> bool {
    block_on(accounts.family(number)).expect("a read succeeds").is_some()
}

fn outbox(accounts: &dyn Accounts) -> Vec<OutboxRow> {
    block_on(accounts.take_outbox(usize::MAX)).expect("a read succeeds")
}

fn told(accounts: &dyn Accounts) -> Vec<(AccountId, OutboxChange)> {
    outbox(accounts).into_iter().map(|row| (row.account, row.change)).collect()
}

fn add_device(accounts: &dyn Accounts, device: NewDevice) -> Result<Vec<DeviceRow>, AccountsError> {
    add_device_at(accounts, ME, me(accounts).credential_version, device)
}

/// Adds a device that is none yet, and returns those that made room.
fn add_device_at(
    accounts: &dyn Accounts,
    account: AccountId,
    from_version: u64,
    device: NewDevice,
) -> Result<Vec<DeviceRow>, AccountsError> {
    let id = device.device;
    let added = block_on(accounts.add_device(account, from_version, device, SecondDevice::Allow))?;
    assert_eq!((added.device, added.version), (id, 1));
    Ok(added.ended)
}

fn a_registered_account_is_found_by_id_and_handle(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    assert_eq!(block_on(accounts.register(person(YOU, "you", 2))), Ok(()));
    drop(accounts);
    let accounts = factory.open();
    let row = |new: NewAccount| AccountRow {
        account: new.account,
        handle: new.handle,
        name: new.name,
        profile_version: 1,
        credential_version: 1,
        avatar: String::new(),
        bio: String::new(),
        password_hash: Some(new.password_hash),
        admin: new.admin,
        deactivated: false,
        created_at: NOW,
        last_seen_at: UnixMillis(0),
        presence: PresenceShown::Everyone,
    };
    let (my, your) = (Some(row(person(ME, "me", 1))), Some(row(person(YOU, "you", 2))));
    let keys = vec![
        AccountKey::Handle("you".into()),
        AccountKey::Id(AccountId(9)),
        AccountKey::Id(ME),
        AccountKey::Handle("nobody".into()),
        AccountKey::Handle("me".into()),
    ];
    assert_eq!(block_on(accounts.accounts(keys)), Ok(vec![your, None, my.clone(), None, my]));
    let first = DeviceRow {
        device: DeviceId(1),
        account: ME,
        name: "device 1".into(),
        kind: DeviceKind::Phone,
        version: 1,
        created_at: NOW,
        last_seen_at: NOW,
        revoked: false,
    };
    assert_eq!(devices(&*accounts), [first]);
    let family = block_on(accounts.family(1)).expect("a read succeeds").expect("there is one");
    assert_eq!((family.account, family.device, family.generation), (ME, DeviceId(1), 0));
    assert_eq!((family.token, family.nonce, family.expires_at), (hash(1), None, NOW.plus_ms(1)));
    assert_eq!(told(&*accounts), [], "nobody has to learn of a registration");
}

fn handles_and_ids_are_unique_for_ever(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let register = |new| block_on(accounts.register(new));
    assert_eq!(register(person(YOU, "me", 2)), Err(AccountsError::HandleTaken));
    assert_eq!(get(&*accounts, YOU), None);
    assert_eq!(register(person(ME, "other", 2)), Err(AccountsError::IdTaken));
    assert_eq!(register(person(YOU, "other", 1)), Err(AccountsError::IdTaken), "a device's id");
    let mut same_family = person(YOU, "other", 2);
    same_family.device.family.family = 1;
    assert_eq!(register(same_family), Err(AccountsError::IdTaken), "a family's id");
    let change = AccountChange::Deactivated { from_version: 1, deactivated: true, at: NOW };
    assert_eq!(block_on(accounts.change(ME, change)), Ok(()));
    assert_eq!(register(person(YOU, "me", 2)), Err(AccountsError::HandleTaken), "even when deactivated");
    assert_eq!(register(person(YOU, "other", 2)), Ok(()), "a refusal claims nothing");
}

fn an_invitation_is_spent_with_the_registration(factory: &dyn AccountsFactory) {
    let accounts = factory.open();
    let all = vec![invitation(1, None, Some(1)), invitation(2, None, None)];
    assert_eq!(block_on(accounts.add_invitations(all, InvitationRule::WhileEmpty)), Ok(()));
    let register = |account: u64, handle: &str, invited: u64, at: UnixMillis| {
        let mut new = person(AccountId(account), handle, account);
        new.invitation = Some(hash(invited));
        new.device.at = at;
        block_on(accounts.register(new))
    };
    assert_eq!(register(10, "a", 9, NOW), Err(AccountsError::InvitationSpent), "unknown");
    assert_eq!(register(10, "a", 1, NOW), Ok(()));
    assert_eq!(register(11, "b", 1, NOW), Err(AccountsError::InvitationSpent), "used up");
    assert_eq!(register(11, "a", 2, NOW), Err(AccountsError::HandleTaken), "the handle is claimed first");
    assert_eq!(register(11, "b", 2, LATER), Err(AccountsError::InvitationSpent), "expired");
    assert_eq!(register(11, "b", 2, NOW), Ok(()), "a refusal claims nothing");
    assert_eq!(register(12, "c", 2, NOW), Ok(()));
    let left = |number| block_on(accounts.invitation(hash(number))).map(|row| row.map(|row| row.uses_left));
    assert_eq!((left(1), left(2), left(9)), (Ok(Some(Some(0))), Ok(Some(None)), Ok(None)));
}

fn the_first_invitations_hold_while_there_is_no_account(factory: &dyn AccountsFactory) {
    let accounts = factory.open();
    let mut admin = invitation(1, None, Some(1));
    admin.admin = true;
    let add = |rows| block_on(accounts.add_invitations(rows, InvitationRule::WhileEmpty));
    let get = |number| block_on(accounts.invitation(hash(number)));
    assert_eq!(add(vec![invitation(7, None, None)]), Ok(()));
    assert_eq!(add(vec![admin, invitation(2, None, None)]), Ok(()));
    assert_eq!(get(7), Ok(None), "their place is taken");
    assert_eq!(get(1), Ok(Some(admin)));
    let mut new = person(ME, "me", 1);
    new.invitation = Some(hash(1));
    assert_eq!(block_on(accounts.register(new)), Ok(()));
    assert_eq!(add(vec![invitation(3, None, None)]), Err(AccountsError::Conflict));
    assert_eq!((get(2), get(3)), (Ok(Some(invitation(2, None, None))), Ok(None)));
}

fn an_author_has_a_limit_of_live_invitations(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let add = |number, author, now: UnixMillis| {
        let mut row = invitation(number, author, Some(1));
        row.expires_at = now.plus_ms(10);
        let rule = InvitationRule::WhileBelow { limit: 2, now };
        block_on(accounts.add_invitations(vec![row], rule))
    };
    assert_eq!(add(1, Some(ME), NOW), Ok(()));
    assert_eq!(add(2, Some(ME), NOW), Ok(()));
    assert_eq!(add(3, Some(ME), NOW), Err(AccountsError::Conflict));
    assert_eq!(add(3, Some(YOU), NOW), Ok(()), "each author for itself");
    assert_eq!(add(4, None, NOW), Ok(()));
    assert_eq!(add(4, Some(YOU), NOW), Err(AccountsError::IdTaken));
    let mut new = person(YOU, "you", 2);
    new.invitation = Some(hash(1));
    assert_eq!(block_on(accounts.register(new)), Ok(()));
    assert_eq!(add(5, Some(ME), NOW), Ok(()), "a spent one counts no more");
    assert_eq!(add(6, Some(ME), NOW), Err(AccountsError::Conflict));
    assert_eq!(add(6, Some(ME), NOW.plus_ms(10)), Ok(()), "nor does an expired one");
}

fn a_device_is_added_under_the_version_that_was_checked(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    assert_eq!(add_device_at(&*accounts, ME, 1, device(2, LATER)), Ok(vec![]));
    assert_eq!(add_device_at(&*accounts, ME, 2, device(3, LATER)), Err(AccountsError::Conflict));
    assert_eq!(add_device_at(&*accounts, ME, 0, device(3, LATER)), Err(AccountsError::Conflict));
    assert_eq!(add_device_at(&*accounts, YOU, 1, device(3, LATER)), Err(AccountsError::NotFound));
    assert_eq!(add_device_at(&*accounts, ME, 1, device(1, LATER)), Err(AccountsError::IdTaken));
    assert_eq!(live(&*accounts), [1, 2], "oldest first");
    assert!(has_family(&*accounts, 2) && !has_family(&*accounts, 3));
}

fn too_many_devices_push_out_the_one_seen_least_recently(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let many = DEVICES_PER_ACCOUNT as u64;
    for number in 2..=many {
        assert_eq!(add_device(&*accounts, device(number, NOW.plus_ms(number))), Ok(vec![]));
    }
    let seen = Rotation {
        family: 1,
        from_generation: 0,
        token: hash(100),
        nonce: hash(101),
        at: NOW.plus_ms(many),
        expires_at: LATER,
    };
    assert_eq!(block_on(accounts.rotate(seen)), Ok(()));
    let evicted = add_device(&*accounts, device(many + 1, LATER)).expect("added").remove(0);
    assert_eq!((evicted.device, evicted.version, evicted.revoked), (DeviceId(2), 2, true));
    assert_eq!(live(&*accounts).len(), DEVICES_PER_ACCOUNT);
    assert!(!has_family(&*accounts, 2));
    let change = OutboxChange::DeviceRevoked { device: DeviceId(2), version: 2, why: KickReason::Replaced };
    assert_eq!(told(&*accounts), [(ME, change)]);
    // Rows of devices that were revoked long ago go when another one signs in.
    let much_later = LATER.plus_ms(REVOKED_DEVICE_KEPT_MS + 1);
    assert!(add_device(&*accounts, device(200, much_later)).is_ok());
    assert!(devices(&*accounts).iter().all(|device| device.device != DeviceId(2)));
}

fn a_revocation_may_be_repeated(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    assert_eq!(block_on(accounts.register(person(YOU, "you", 2))), Ok(()));
    let revoke = |account, device| block_on(accounts.revoke_device(account, DeviceId(device), LATER));
    assert_eq!(revoke(ME, 9), Err(AccountsError::NotFound));
    assert_eq!(revoke(ME, 2), Err(AccountsError::NotFound), "another's");
    assert_eq!(told(&*accounts), []);
    assert_eq!(revoke(ME, 1), Ok(2));
    assert_eq!(revoke(ME, 1), Ok(2));
    assert!(!has_family(&*accounts, 1) && has_family(&*accounts, 2));
    let device = devices(&*accounts).remove(0);
    assert_eq!((device.version, device.revoked), (2, true));
    let change = OutboxChange::DeviceRevoked { device: DeviceId(1), version: 2, why: KickReason::Revoked };
    assert!(told(&*accounts).iter().all(|told| *told == (ME, change)));
    assert!(!told(&*accounts).is_empty());
}

fn a_family_moves_on_only_from_where_it_is(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let rotation = |from_generation, token, at| Rotation {
        family: 1,
        from_generation,
        token: hash(token),
        nonce: hash(token + 1),
        at,
        expires_at: NOW.plus_ms(token),
    };
    let rotate = |rotation| block_on(accounts.rotate(rotation));
    assert_eq!(rotate(rotation(1, 10, LATER)), Err(AccountsError::Conflict));
    assert_eq!(rotate(rotation(0, 20, LATER)), Ok(()));
    assert_eq!(rotate(rotation(0, 30, LATER)), Err(AccountsError::Conflict), "only once");
    let row = block_on(accounts.family(1)).expect("a read succeeds").expect("there is one");
    assert_eq!((row.generation, row.token, row.nonce), (1, hash(20), Some(hash(21))));
    assert_eq!(row.expires_at, NOW.plus_ms(20));
    assert_eq!(devices(&*accounts)[0].last_seen_at, LATER);
    assert_eq!(rotate(rotation(1, 40, NOW)), Ok(()));
    assert_eq!(devices(&*accounts)[0].last_seen_at, LATER, "a clock that stepped back unsees nothing");
    assert_eq!(rotate(Rotation { family: 9, ..rotation(0, 50, NOW) }), Err(AccountsError::NotFound));
    assert_eq!(block_on(accounts.revoke_device(ME, DeviceId(1), LATER)), Ok(2));
    assert_eq!(rotate(rotation(2, 60, LATER)), Err(AccountsError::NotFound));
}

fn another_password_leaves_one_device(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    for number in [2, 3] {
        assert_eq!(add_device(&*accounts, device(number, LATER)), Ok(vec![]));
    }
    assert_eq!(block_on(accounts.register(person(YOU, "you", 70))), Ok(()));
    let change = |from_version, keep, family_number| AccountChange::Password {
        from_version,
        password_hash: password(50),
        keep: DeviceId(keep),
        family: family(family_number),
        at: LATER,
    };
    let apply = |change| block_on(accounts.change(ME, change));
    assert_eq!(apply(change(2, 2, 50)), Err(AccountsError::Conflict));
    assert_eq!(apply(change(1, 9, 50)), Err(AccountsError::NotFound), "the device that stays is live");
    assert_eq!(apply(change(1, 2, 70)), Err(AccountsError::IdTaken), "another's family");
    assert_eq!(me(&*accounts).credential_version, 1);
    assert_eq!((told(&*accounts), live(&*accounts)), (vec![], vec![1, 2, 3]), "a refusal changes nothing");

    assert_eq!(apply(change(1, 2, 50)), Ok(()));
    assert_eq!(apply(change(1, 2, 51)), Err(AccountsError::Conflict), "only once");
    let row = me(&*accounts);
    assert_eq!((row.credential_version, row.password_hash), (2, Some(password(50))));
    assert_eq!(live(&*accounts), [2]);
    let families = [1, 2, 3, 50].map(|number| has_family(&*accounts, number));
    assert_eq!(families, [false, false, false, true]);
    let told = told(&*accounts);
    assert!(
        told.contains(&(ME, OutboxChange::CredentialChanged { version: 2, why: KickReason::Revoked })),
        "{told:?}"
    );
    assert_eq!(add_device_at(&*accounts, ME, 1, device(4, LATER)), Err(AccountsError::Conflict));
}

fn a_profile_changes_by_version(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let rename = |account, from_version, name: &str| {
        let (avatar, bio) = (format!("{name}.png"), format!("I am {name}"));
        let presence = if name == "third" { PresenceShown::Nobody } else { PresenceShown::Everyone };
        let change = AccountChange::Profile { from_version, name: name.into(), avatar, bio, presence };
        block_on(accounts.change(account, change))
    };
    assert_eq!(rename(ME, 1, "first"), Ok(()));
    assert_eq!(rename(ME, 1, "second"), Err(AccountsError::Conflict));
    assert_eq!(rename(YOU, 1, "nobody"), Err(AccountsError::NotFound));
    assert_eq!(rename(ME, 2, "third"), Ok(()));
    let row = me(&*accounts);
    assert_eq!((row.name.as_str(), row.profile_version, row.credential_version), ("third", 3, 1));
    assert_eq!((row.avatar.as_str(), row.bio.as_str()), ("third.png", "I am third"));
    assert_eq!(row.presence, PresenceShown::Nobody);
    let change = |version| (ME, OutboxChange::ProfileChanged { version });
    assert_eq!(told(&*accounts), [change(2), change(3)]);
}

fn who_was_seen_later_is_not_seen_earlier(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    assert_eq!(block_on(accounts.register(person(YOU, "you", 2))), Ok(()));
    let seen = |account, device, at| Seen { account, device: DeviceId(device), at };
    let note = |seen| block_on(accounts.note_seen(seen));
    assert_eq!(note(vec![seen(ME, 1, LATER), seen(AccountId(9), 9, LATER), seen(ME, 2, NOW)]), Ok(()));
    let account = |account| get(&*accounts, account).expect("registered").last_seen_at;
    assert_eq!(
        (account(ME), account(YOU), devices(&*accounts)[0].last_seen_at),
        (LATER, UnixMillis(0), LATER)
    );
    assert_eq!(note(vec![seen(ME, 1, NOW)]), Ok(()));
    assert_eq!((account(ME), devices(&*accounts)[0].last_seen_at), (LATER, LATER));
    assert_eq!(note(Vec::new()), Ok(()));
    drop(accounts);
    let row = me(&*factory.open());
    assert_eq!((row.last_seen_at, row.profile_version), (LATER, 1), "it is no other profile");
}

fn a_deactivated_account_lets_nobody_in(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let apply = |from_version, deactivated| {
        let change = AccountChange::Deactivated { from_version, deactivated, at: LATER };
        block_on(accounts.change(ME, change))
    };
    assert_eq!(apply(1, true), Ok(()));
    assert_eq!(apply(1, false), Err(AccountsError::Conflict));
    let row = me(&*accounts);
    assert_eq!((row.deactivated, row.credential_version), (true, 2));
    assert_eq!(live(&*accounts), []);
    assert!(!has_family(&*accounts, 1));
    assert_eq!(add_device(&*accounts, device(2, LATER)), Err(AccountsError::Conflict));
    assert_eq!(apply(2, false), Ok(()));
    assert_eq!(add_device(&*accounts, device(2, LATER)), Ok(vec![]));
    let ended = |version| OutboxChange::CredentialChanged { version, why: KickReason::Deactivated };
    let shown = |version| OutboxChange::ProfileChanged { version };
    let expected = [ended(2), shown(2), ended(3), shown(3)].map(|change| (ME, change));
    assert_eq!(told(&*accounts), expected);
}

fn the_outbox_keeps_what_was_not_acknowledged(factory: &dyn AccountsFactory) {
    let accounts = with_me(factory);
    let rename = |accounts: &dyn Accounts, from_version| {
        let change = AccountChange::Profile {
            from_version,
            name: "x".into(),
            avatar: String::new(),
            bio: String::new(),
            presence: PresenceShown::Everyone,
        };
        assert_eq!(block_on(accounts.change(ME, change)), Ok(()));
    };
    (1..=5).for_each(|version| rename(&*accounts, version));
    let all = outbox(&*accounts);
    assert!(all.windows(2).all(|pair| pair[0].id < pair[1].id), "in the order written");
    assert_eq!(block_on(accounts.take_outbox(2)), Ok(all[..2].to_vec()));
    assert_eq!(outbox(&*accounts), all, "taking removes nothing");
    let acknowledge = |accounts: &dyn Accounts, rows: &[OutboxRow]| {
        let ids = rows.iter().map(|row| row.id).collect();
        assert_eq!(block_on(accounts.acknowledge_outbox(ids)), Ok(()));
    };
    acknowledge(&*accounts, &all[..2]);
    drop(accounts);
    let accounts = factory.open();
    assert_eq!(outbox(&*accounts), all[2..]);
    acknowledge(&*accounts, &all);
    drop(accounts);
    let accounts = factory.open();
    rename(&*accounts, 6);
    acknowledge(&*accounts, &all);
    assert_eq!(
        told(&*accounts),
        [(ME, OutboxChange::ProfileChanged { version: 7 })],
        "ids are not used again"
    );
}
