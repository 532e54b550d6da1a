//! Devices that come in, and those that make room for them.

use anser_core::ports::accounts::{
    AccountsError, AddedDevice, DEVICES_PER_ACCOUNT, DeviceRow, NewDevice, NewFamily, OutboxChange,
    REVOKED_DEVICE_KEPT_MS, SecondDevice, Seen,
};
use anser_model::{AccountId, DeviceId, KickReason, UnixMillis};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    ADD_DEVICE, ADD_FAMILY, DROP_FAMILY_OF, DROP_OLD_DEVICES, REVOKE_DEVICE, Refusal, SEE_DEVICE,
    get_devices, rows, tell,
};
use crate::sqlite::counted;

pub(super) const GET_BY_KEY: &str = "SELECT device FROM device WHERE account = ?1 AND key = ?2";
pub(super) const RENEW: &str = "
    UPDATE device SET name = ?2, kind = ?3, last_seen_at = max(last_seen_at, ?4) WHERE device = ?1";

const SEE_ACCOUNT: &str = "UPDATE account SET last_seen_at = max(last_seen_at, ?2) WHERE account = ?1";

/// Notes when a device and its account were seen.
pub(super) fn note_seen(transaction: &Transaction<'_>, seen: &Seen) -> Result<(), Refusal> {
    let at = counted(seen.at.0);
    transaction.prepare_cached(SEE_ACCOUNT)?.execute((seen.account.0.cast_signed(), at))?;
    transaction.prepare_cached(SEE_DEVICE)?.execute((seen.device.0.cast_signed(), at))?;
    Ok(())
}

/// Adds a device, or gives the live one with its key another family, once others have made room.
pub(super) fn add(
    transaction: &Transaction<'_>,
    account: AccountId,
    device: &NewDevice,
    second: SecondDevice,
) -> Result<AddedDevice, Refusal> {
    let before = counted(device.at.minus_ms(REVOKED_DEVICE_KEPT_MS).0);
    transaction.prepare_cached(DROP_OLD_DEVICES)?.execute((account.0.cast_signed(), before))?;
    let known = match &device.key {
        Some(key) => transaction
            .prepare_cached(GET_BY_KEY)?
            .query_row(params![account.0.cast_signed(), key], |row| row.get::<_, i64>(0))
            .optional()?,
        None => None,
    };
    let known = known.map(|id| DeviceId(id.cast_unsigned()));
    let ended = make_room(transaction, account, device, known, second)?;
    let Some(known) = known else {
        insert(transaction, account, device)?;
        return Ok(AddedDevice { device: device.device, version: 1, ended });
    };
    let id = known.0.cast_signed();
    let kind = rows::device_kind_column(device.kind);
    transaction.prepare_cached(RENEW)?.execute(params![id, device.name, kind, counted(device.at.0)])?;
    transaction.prepare_cached(DROP_FAMILY_OF)?.execute([id])?;
    insert_family(transaction, account, known, &device.family)?;
    let row = get_devices(transaction, account)?.into_iter().find(|row| row.device == known);
    let version = row.expect("it was found by its key").version;
    Ok(AddedDevice { device: known, version, ended })
}

/// Revokes live devices but for `stays`: those of the same kind if only one may be, and if there are too
/// many the one seen least recently.
fn make_room(
    transaction: &Transaction<'_>,
    account: AccountId,
    device: &NewDevice,
    stays: Option<DeviceId>,
    second: SecondDevice,
) -> Result<Vec<DeviceRow>, Refusal> {
    let others = get_devices(transaction, account)?
        .into_iter()
        .filter(|other| !other.revoked && Some(other.device) != stays);
    let replaced = |other: &DeviceRow| second == SecondDevice::Replace && other.kind == device.kind;
    let (mut ending, staying): (Vec<DeviceRow>, Vec<DeviceRow>) = others.partition(replaced);
    if staying.len() >= DEVICES_PER_ACCOUNT {
        let oldest = staying.into_iter().min_by_key(|other| (other.last_seen_at, other.device));
        ending.push(oldest.expect("there are devices, or there would be room"));
    }
    for other in &mut ending {
        other.version = revoke(transaction, other, device.at, KickReason::Replaced)?;
        other.revoked = true;
    }
    Ok(ending)
}

pub(super) fn insert(
    transaction: &Transaction<'_>,
    account: AccountId,
    device: &NewDevice,
) -> Result<(), Refusal> {
    let values = params![
        device.device.0.cast_signed(),
        account.0.cast_signed(),
        device.name,
        counted(device.at.0),
        rows::device_kind_column(device.kind),
        device.key
    ];
    if transaction.prepare_cached(ADD_DEVICE)?.execute(values)? == 0 {
        return Err(AccountsError::IdTaken.into());
    }
    insert_family(transaction, account, device.device, &device.family)
}

pub(super) fn insert_family(
    transaction: &Transaction<'_>,
    account: AccountId,
    device: DeviceId,
    family: &NewFamily,
) -> Result<(), Refusal> {
    let values = params![
        family.family.cast_signed(),
        account.0.cast_signed(),
        device.0.cast_signed(),
        family.token.0,
        counted(family.expires_at.0)
    ];
    match transaction.prepare_cached(ADD_FAMILY)?.execute(values)? {
        0 => Err(AccountsError::IdTaken.into()),
        _ => Ok(()),
    }
}

/// Revokes a live device with its family, tells the outbox and returns its version from now on.
pub(super) fn revoke(
    transaction: &Transaction<'_>,
    device: &DeviceRow,
    at: UnixMillis,
    why: KickReason,
) -> Result<u64, Refusal> {
    assert!(!device.revoked, "a device is revoked once");
    let version = device.version + 1;
    revoke_quietly(transaction, device.device, at)?;
    tell(transaction, device.account, OutboxChange::DeviceRevoked { device: device.device, version, why })?;
    Ok(version)
}

/// Revokes a device whose tokens the account's own version voids as well.
pub(super) fn revoke_quietly(
    transaction: &Transaction<'_>,
    device: DeviceId,
    at: UnixMillis,
) -> Result<(), Refusal> {
    let device = device.0.cast_signed();
    transaction.prepare_cached(REVOKE_DEVICE)?.execute((device, counted(at.0)))?;
    transaction.prepare_cached(DROP_FAMILY_OF)?.execute([device])?;
    Ok(())
}
