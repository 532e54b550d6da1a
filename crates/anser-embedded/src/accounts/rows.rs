//! Rows of accounts as SQLite holds them.

use anser_core::ports::accounts::{
    AccountRow, DeviceRow, FamilyRow, InvitationRow, OutboxChange, OutboxRow, PasswordHash, TokenHash,
};
use anser_model::{AccountId, DeviceId, UnixMillis};
use rusqlite::Row;

use super::Refusal;
use crate::sqlite::{Fault, uncounted};

/// The kinds of outbox entries as stored.
const KIND_PROFILE: i64 = 1;
const KIND_DEVICE: i64 = 2;
const KIND_CREDENTIAL: i64 = 3;

/// An outbox entry as (kind, device, version).
pub(super) fn outbox_columns(change: OutboxChange) -> (i64, DeviceId, u64) {
    match change {
        OutboxChange::ProfileChanged { version } => (KIND_PROFILE, DeviceId(0), version),
        OutboxChange::DeviceRevoked { device, version } => (KIND_DEVICE, device, version),
        OutboxChange::CredentialChanged { version } => (KIND_CREDENTIAL, DeviceId(0), version),
    }
}

fn id(row: &Row<'_>, column: usize) -> Result<u64, Refusal> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

fn count(row: &Row<'_>, column: usize) -> Result<u64, Refusal> {
    Ok(uncounted(row.get(column)?)?)
}

pub(super) fn account_row(row: &Row<'_>) -> Result<AccountRow, Refusal> {
    Ok(AccountRow {
        account: AccountId(id(row, 0)?),
        handle: row.get(1)?,
        name: row.get(2)?,
        profile_version: count(row, 3)?,
        credential_version: count(row, 4)?,
        password_hash: PasswordHash(row.get(5)?),
        admin: row.get(6)?,
        deactivated: row.get(7)?,
        created_at: UnixMillis(count(row, 8)?),
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
    let change = match row.get::<_, i64>(2)? {
        KIND_PROFILE => OutboxChange::ProfileChanged { version },
        KIND_DEVICE => OutboxChange::DeviceRevoked { device: DeviceId(id(row, 3)?), version },
        KIND_CREDENTIAL => OutboxChange::CredentialChanged { version },
        other => return Err(Fault::damaged(format!("an outbox entry of kind {other} was found")).into()),
    };
    Ok(OutboxRow { id: count(row, 0)?, account: AccountId(id(row, 1)?), change })
}
