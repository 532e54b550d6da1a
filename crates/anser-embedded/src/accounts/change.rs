//! Changes of one account.

use anser_core::ports::accounts::{AccountChange, AccountRow, AccountsError, OutboxChange};
use anser_model::{AccountId, DeviceId, KickReason, UnixMillis};
use rusqlite::{Transaction, params};

use super::{DROP_FAMILY_OF, Refusal, devices, get_account, get_devices, rows, tell};
use crate::sqlite::counted;

/// Walks through those who run the installation, who have an index of their own: there are few.
const GET_ANOTHER_ADMIN: &str = "
    SELECT EXISTS (
        SELECT 1 FROM account INDEXED BY account_admin WHERE admin AND account <> ?1 AND NOT deactivated
    )";

/// Changes one account.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    account: AccountId,
    change: AccountChange,
) -> Result<(), Refusal> {
    let row = get_account(transaction, account)?.ok_or(AccountsError::NotFound)?;
    let id = account.0.cast_signed();
    match change {
        AccountChange::Profile { from_version, name, avatar, bio, presence } => {
            if row.profile_version != from_version {
                return Err(AccountsError::Conflict.into());
            }
            transaction.execute(
                "UPDATE account SET name = ?2, avatar = ?3, bio = ?4, presence = ?5 WHERE account = ?1",
                params![id, name, avatar, bio, rows::presence_column(presence)],
            )?;
            raise_profile(transaction, &row)
        }
        AccountChange::PasswordReset { from_version, password_hash, at } => {
            raise_credentials(transaction, &row, from_version, None, (at, KickReason::Revoked))?;
            transaction.execute(
                "UPDATE account SET password_hash = ?2 WHERE account = ?1",
                params![id, password_hash.0],
            )?;
            Ok(())
        }
        AccountChange::Admin { admin } => {
            if !admin {
                require_another_admin(transaction, &row)?;
            }
            transaction.execute("UPDATE account SET admin = ?2 WHERE account = ?1", params![id, admin])?;
            Ok(())
        }
        AccountChange::Password { from_version, password_hash, keep, family, at } => {
            raise_credentials(transaction, &row, from_version, Some(keep), (at, KickReason::Revoked))?;
            transaction.execute(
                "UPDATE account SET password_hash = ?2 WHERE account = ?1",
                params![id, password_hash.0],
            )?;
            transaction.prepare_cached(DROP_FAMILY_OF)?.execute([keep.0.cast_signed()])?;
            devices::insert_family(transaction, account, keep, &family)
        }
        AccountChange::Deactivated { from_version, deactivated, at } => {
            if deactivated {
                require_another_admin(transaction, &row)?;
            }
            raise_credentials(transaction, &row, from_version, None, (at, KickReason::Deactivated))?;
            transaction.execute(
                "UPDATE account SET deactivated = ?2 WHERE account = ?1",
                params![id, deactivated],
            )?;
            raise_profile(transaction, &row)
        }
    }
}

/// Voids all tokens of an account and revokes its devices but for `keep`, which must be live.
fn raise_credentials(
    transaction: &Transaction<'_>,
    row: &AccountRow,
    from_version: u64,
    keep: Option<DeviceId>,
    (at, why): (UnixMillis, KickReason),
) -> Result<(), Refusal> {
    if row.credential_version != from_version {
        return Err(AccountsError::Conflict.into());
    }
    let version = from_version + 1;
    transaction.execute(
        "UPDATE account SET credential_version = ?2 WHERE account = ?1",
        params![row.account.0.cast_signed(), counted(version)],
    )?;
    let live: Vec<DeviceId> = get_devices(transaction, row.account)?
        .into_iter()
        .filter(|device| !device.revoked)
        .map(|device| device.device)
        .collect();
    if keep.is_some_and(|keep| !live.contains(&keep)) {
        return Err(AccountsError::NotFound.into());
    }
    for device in live.into_iter().filter(|&device| Some(device) != keep) {
        devices::revoke_quietly(transaction, device, at)?;
    }
    tell(transaction, row.account, OutboxChange::CredentialChanged { version, why })
}

/// Refuses where `row` is the only one that runs the installation.
fn require_another_admin(transaction: &Transaction<'_>, row: &AccountRow) -> Result<(), Refusal> {
    let id = row.account.0.cast_signed();
    let another = transaction.prepare_cached(GET_ANOTHER_ADMIN)?.query_row([id], |row| row.get(0))?;
    match another || !row.admin || row.deactivated {
        true => Ok(()),
        false => Err(AccountsError::LastAdmin.into()),
    }
}

/// Others are to fetch the profile again.
fn raise_profile(transaction: &Transaction<'_>, row: &AccountRow) -> Result<(), Refusal> {
    let version = row.profile_version + 1;
    transaction.execute(
        "UPDATE account SET profile_version = ?2 WHERE account = ?1",
        params![row.account.0.cast_signed(), counted(version)],
    )?;
    tell(transaction, row.account, OutboxChange::ProfileChanged { version })
}
