//! Rows of accounts as SQLite holds them.

use anser_core::ports::accounts::{
    AccountRow, DeviceKind, DeviceRow, FamilyRow, InvitationRow, OutboxChange, OutboxRow, PasswordHash,
    PresenceShown, TokenHash,
};
use anser_model::{AccountId, DeviceId, KickReason, UnixMillis};
use rusqlite::Row;

use super::Refusal;
use crate::sqlite::{Fault, uncounted};

/// The kinds of outbox entries as stored.
const KIND_PROFILE: i64 = 1;
const KIND_DEVICE: i64 = 2;
const KIND_CREDENTIAL: i64 = 3;

/// An outbox entry as (kind, device, version, why).
pub(super) fn outbox_columns(change: OutboxChange) -> (i64, DeviceId, u64, KickReason) {
    match change {
        OutboxChange::ProfileChanged { version } => {
            (KIND_PROFILE, DeviceId(0), version, KickReason::default())
        }
        OutboxChange::DeviceRevoked { device, version, why } => (KIND_DEVICE, device, version, why),
        OutboxChange::CredentialChanged { version, why } => (KIND_CREDENTIAL, DeviceId(0), version, why),
    }
}

/// A kind of device as stored, for ever.
pub(super) fn device_kind_column(kind: DeviceKind) -> i64 {
    match kind {
        DeviceKind::Phone => 1,
        DeviceKind::Tablet => 2,
        DeviceKind::Desktop => 3,
        DeviceKind::Web => 4,
        DeviceKind::Terminal => 5,
        DeviceKind::Bot => 6,
    }
}

fn device_kind(row: &Row<'_>, column: usize) -> Result<DeviceKind, Refusal> {
    let stored: i64 = row.get(column)?;
    let kind = DeviceKind::ALL.into_iter().find(|&kind| device_kind_column(kind) == stored);
    Ok(kind.ok_or_else(|| Fault::damaged(format!("a device of kind {stored} was found")))?)
}

/// Who is told of an account's presence as stored, for ever.
pub(super) fn presence_column(presence: PresenceShown) -> i64 {
    match presence {
        PresenceShown::Nobody => 0,
        PresenceShown::Everyone => 1,
    }
}

fn presence(row: &Row<'_>, column: usize) -> Result<PresenceShown, Refusal> {
    let stored: i64 = row.get(column)?;
    let shown = PresenceShown::ALL.into_iter().find(|&shown| presence_column(shown) == stored);
    Ok(shown
        .ok_or_else(|| Fault::damaged(format!("an account that shows its presence to {stored} was found")))?)
}

fn id(row: &Row<'_>, column: usize) -> Result<u64, Refusal> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

fn count(row: &Row<'_>, column: usize) -> Result<u64, Refusal> {
    Ok(uncounted(row.get(column)?)?)
}

pub(super) fn account_row(row: &Row<'_>) -> Result<AccountRow, Refusal> {
    let password_hash: String = row.get(5)?;
    Ok(AccountRow {
        account: AccountId(id(row, 0)?),
        handle: row.get(1)?,
        name: row.get(2)?,
        profile_version: count(row, 3)?,
        credential_version: count(row, 4)?,
        password_hash: (!password_hash.is_empty()).then_some(PasswordHash(password_hash)),
        admin: row.get(6)?,
        deactivated: row.get(7)?,
        created_at: UnixMillis(count(row, 8)?),
        avatar: row.get(9)?,
        bio: row.get(10)?,
        last_seen_at: UnixMillis(count(row, 11)?),
        presence: presence(row, 12)?,
    })
}

pub(super) fn device_row(row: &Row<'_>) -> Result<DeviceRow, Refusal> {
    Ok(DeviceRow {
        device: DeviceId(id(row, 0)?),
        account: AccountId(id(row, 1)?),
        name: row.get(2)?,
        version: count(row, 3)?,
        created_at: UnixMillis(count(row, 4)?),
        last_seen_at: UnixMillis(count(row, 5)?),
        revoked: row.get::<_, Option<i64>>(6)?.is_some(),
        kind: device_kind(row, 7)?,
    })
}

pub(super) fn family_row(row: &Row<'_>) -> Result<FamilyRow, Refusal> {
    Ok(FamilyRow {
        family: id(row, 0)?,
        account: AccountId(id(row, 1)?),
        device: DeviceId(id(row, 2)?),
        generation: count(row, 3)?,
        token: TokenHash(row.get(4)?),
        nonce: row.get::<_, Option<_>>(5)?.map(TokenHash),
        expires_at: UnixMillis(count(row, 6)?),
    })
}

pub(super) fn invitation_row(row: &Row<'_>) -> Result<InvitationRow, Refusal> {
    Ok(InvitationRow {
        hash: TokenHash(row.get(0)?),
        author: row.get::<_, Option<i64>>(1)?.map(|author| AccountId(author.cast_unsigned())),
        admin: row.get(2)?,
        uses_left: row.get(3)?,
        created_at: UnixMillis(count(row, 4)?),
        expires_at: UnixMillis(count(row, 5)?),
    })
}

pub(super) fn outbox_row(row: &Row<'_>) -> Result<OutboxRow, Refusal> {
    let version = count(row, 4)?;
    let why = KickReason::from_number(count(row, 5)?)
        .ok_or_else(|| Fault::damaged("an outbox entry with a reason unknown was found"))?;
    let change = match row.get::<_, i64>(2)? {
        KIND_PROFILE => OutboxChange::ProfileChanged { version },
        KIND_DEVICE => OutboxChange::DeviceRevoked { device: DeviceId(id(row, 3)?), version, why },
        KIND_CREDENTIAL => OutboxChange::CredentialChanged { version, why },
        other => return Err(Fault::damaged(format!("an outbox entry of kind {other} was found")).into()),
    };
    Ok(OutboxRow { id: count(row, 0)?, account: AccountId(id(row, 1)?), change })
}
