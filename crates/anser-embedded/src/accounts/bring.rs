//! Accounts that are brought from elsewhere.

use anser_core::ports::accounts::{AccountsError, Brought, BroughtAccount};
use anser_model::AccountId;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{CLAIM_HANDLE, Refusal};
use crate::sqlite::counted;

/// The account that has a handle, with the hash of the request that made it.
pub(super) const GET_REQUEST: &str = "
    SELECT account.account, account.request FROM handle JOIN account ON account.account = handle.account
    WHERE handle.handle = ?1";
const ADD: &str = "
    INSERT INTO account (account, handle, name, profile_version, credential_version, password_hash, admin,
        deactivated, created_at, avatar, bio, request)
    VALUES (?1, ?2, ?3, 1, 1, ?4, 0, 0, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";

/// Makes one account, or says whose its handle is.
pub(super) fn bring(transaction: &Transaction<'_>, new: &BroughtAccount) -> Result<Brought, Refusal> {
    let found = transaction
        .prepare_cached(GET_REQUEST)?
        .query_row([&new.handle], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<[u8; 32]>>(1)?)))
        .optional()?;
    if let Some((account, request)) = found {
        return Ok(match request == Some(new.request.0) {
            true => Brought::Known(AccountId(account.cast_unsigned())),
            false => Brought::Taken,
        });
    }
    let account = new.account.0.cast_signed();
    if transaction.prepare_cached(CLAIM_HANDLE)?.execute(params![new.handle, account])? == 0 {
        return Ok(Brought::Taken);
    }
    let password = new.password_hash.as_ref().map_or("", |hash| hash.0.as_str());
    let at = counted(new.at.0);
    let values = params![account, new.handle, new.name, password, at, new.avatar, new.bio, new.request.0];
    match transaction.prepare_cached(ADD)?.execute(values)? {
        0 => Err(AccountsError::IdTaken.into()),
        _ => Ok(Brought::Made(new.account)),
    }
}
