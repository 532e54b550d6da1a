//! API keys, in the same file as the accounts.

use anser_core::ports::PortFuture;
use anser_core::ports::accounts::{AccountsError, TokenHash};
use anser_core::ports::keys::{ApiKeyRow, ApiKeys, KEYS_IN_FORCE, REVOKED_KEY_KEPT_MS, Scopes};
use anser_model::{AccountId, UnixMillis};
use rusqlite::{Row, Transaction, params};

use super::{Refusal, SqliteAccounts};
use crate::sqlite::{counted, uncounted};

pub(super) const GET_KEY: &str = "
    SELECT key, hash, name, scopes, author, created_at, revoked_at FROM api_key WHERE hash = ?1";
pub(super) const REVOKE_KEY: &str = "
    UPDATE api_key SET revoked_at = coalesce(revoked_at, ?2) WHERE key = ?1";
/// All of them: there are few.
const GET_KEYS: &str = "
    SELECT key, hash, name, scopes, author, created_at, revoked_at FROM api_key ORDER BY created_at, key";
const COUNT_KEYS: &str = "SELECT count(*) FROM api_key WHERE revoked_at IS NULL";
const DROP_OLD_KEYS: &str = "DELETE FROM api_key WHERE revoked_at < ?1";
const ADD_KEY: &str = "
    INSERT INTO api_key (key, hash, name, scopes, author, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";

impl ApiKeys for SqliteAccounts {
    fn add_key(&self, key: ApiKeyRow) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| add(transaction, &key))
    }

    fn key(&self, hash: TokenHash) -> PortFuture<Result<Option<ApiKeyRow>, AccountsError>> {
        self.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_KEY)?;
            let mut rows = statement.query([hash.0])?;
            rows.next()?.map(key_row).transpose()
        })
    }

    fn keys(&self) -> PortFuture<Result<Vec<ApiKeyRow>, AccountsError>> {
        self.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_KEYS)?;
            let mut rows = statement.query([])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                keys.push(key_row(row)?);
            }
            Ok(keys)
        })
    }

    fn revoke_key(&self, key: u64, at: UnixMillis) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| {
            let values = (key.cast_signed(), counted(at.0));
            match transaction.prepare_cached(REVOKE_KEY)?.execute(values)? {
                0 => Err(AccountsError::NotFound.into()),
                _ => Ok(()),
            }
        })
    }
}

fn add(transaction: &Transaction<'_>, key: &ApiKeyRow) -> Result<(), Refusal> {
    let before = counted(key.created_at.minus_ms(REVOKED_KEY_KEPT_MS).0);
    transaction.prepare_cached(DROP_OLD_KEYS)?.execute([before])?;
    let in_force: i64 = transaction.prepare_cached(COUNT_KEYS)?.query_row([], |row| row.get(0))?;
    if in_force >= counted(KEYS_IN_FORCE as u64) {
        return Err(AccountsError::Conflict.into());
    }
    let values = params![
        key.key.cast_signed(),
        key.hash.0,
        key.name,
        key.scopes.bits(),
        key.author.map(|author| author.0.cast_signed()),
        counted(key.created_at.0)
    ];
    match transaction.prepare_cached(ADD_KEY)?.execute(values)? {
        0 => Err(AccountsError::IdTaken.into()),
        _ => Ok(()),
    }
}

fn key_row(row: &Row<'_>) -> Result<ApiKeyRow, Refusal> {
    let revoked_at: Option<i64> = row.get(6)?;
    Ok(ApiKeyRow {
        key: row.get::<_, i64>(0)?.cast_unsigned(),
        hash: TokenHash(row.get(1)?),
        name: row.get(2)?,
        scopes: Scopes::from_bits(row.get(3)?),
        author: row.get::<_, Option<i64>>(4)?.map(|author| AccountId(author.cast_unsigned())),
        created_at: UnixMillis(uncounted(row.get(5)?)?),
        revoked_at: revoked_at.map(uncounted).transpose()?.map(UnixMillis),
    })
}
