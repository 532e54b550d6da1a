//! The `Accounts` port on SQLite.

mod rows;

use std::path::Path;

use anser_core::ports::accounts::{
    AccountChange, AccountKey, AccountRow, Accounts, AccountsError, DEVICES_PER_ACCOUNT, DeviceRow,
    FamilyRow, InvitationRow, InvitationRule, NewAccount, NewDevice, NewFamily, OutboxChange, OutboxRow,
    REVOKED_DEVICE_KEPT_MS, Rotation, TokenHash,
};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{AccountId, DeviceId, UnixMillis};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::sqlite::{Database, Failure, Fault, Schema, counted};

/// The outbox counts with AUTOINCREMENT, so that an acknowledgement asked for twice can never remove a
/// newer entry under the same id.
const SCHEMA: Schema = Schema {
    file: "accounts.sqlite",
    steps: &["
        CREATE TABLE handle (handle TEXT PRIMARY KEY, account INTEGER NOT NULL) WITHOUT ROWID, STRICT;
        CREATE TABLE account (
            account INTEGER PRIMARY KEY, handle TEXT NOT NULL, name TEXT NOT NULL,
            profile_version INTEGER NOT NULL, credential_version INTEGER NOT NULL,
            password_hash TEXT NOT NULL, admin INTEGER NOT NULL, deactivated INTEGER NOT NULL,
            created_at INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE device (
            device INTEGER PRIMARY KEY, account INTEGER NOT NULL, name TEXT NOT NULL,
            version INTEGER NOT NULL, created_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL,
            revoked_at INTEGER
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX device_by_account ON device (account, created_at, device);
        CREATE TABLE family (
            family INTEGER PRIMARY KEY, account INTEGER NOT NULL, device INTEGER NOT NULL UNIQUE,
            generation INTEGER NOT NULL, token BLOB NOT NULL, nonce BLOB, expires_at INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE invitation (
            hash BLOB PRIMARY KEY, author INTEGER, admin INTEGER NOT NULL, uses_left INTEGER,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX invitation_by_author ON invitation (author);
        CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, kind INTEGER NOT NULL,
            device INTEGER NOT NULL, version INTEGER NOT NULL
        ) STRICT;
    "],
};

const GET_ACCOUNT: &str = "
    SELECT account, handle, name, profile_version, credential_version, password_hash, admin, deactivated,
        created_at
    FROM account WHERE account = ?1";
const GET_HANDLE: &str = "SELECT account FROM handle WHERE handle = ?1";
const GET_DEVICES: &str = "
    SELECT device, account, name, version, created_at, last_seen_at, revoked_at FROM device
    WHERE account = ?1 ORDER BY created_at, device";
const GET_DEVICE: &str = "
    SELECT device, account, name, version, created_at, last_seen_at, revoked_at FROM device
    WHERE device = ?1";
const GET_FAMILY: &str = "
    SELECT family, account, device, generation, token, nonce, expires_at FROM family WHERE family = ?1";
const GET_INVITATION: &str = "
    SELECT hash, author, admin, uses_left, created_at, expires_at FROM invitation WHERE hash = ?1";
const GET_OUTBOX: &str = "SELECT id, account, kind, device, version FROM outbox ORDER BY id LIMIT ?1";

const CLAIM_HANDLE: &str = "INSERT INTO handle (handle, account) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const ADD_ACCOUNT: &str = "
    INSERT INTO account (account, handle, name, profile_version, credential_version, password_hash, admin,
        deactivated, created_at)
    VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, 0, ?6) ON CONFLICT DO NOTHING";
const ADD_DEVICE: &str = "
    INSERT INTO device (device, account, name, version, created_at, last_seen_at)
    VALUES (?1, ?2, ?3, 1, ?4, ?4) ON CONFLICT DO NOTHING";
const ADD_FAMILY: &str = "
    INSERT INTO family (family, account, device, generation, token, expires_at)
    VALUES (?1, ?2, ?3, 0, ?4, ?5) ON CONFLICT DO NOTHING";
const ADD_INVITATION: &str = "
    INSERT INTO invitation (hash, author, admin, uses_left, created_at, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
const ADD_OUTBOX: &str = "INSERT INTO outbox (account, kind, device, version) VALUES (?1, ?2, ?3, ?4)";

const SPEND_INVITATION: &str = "
    UPDATE invitation SET uses_left = uses_left - 1
    WHERE hash = ?1 AND expires_at > ?2 AND (uses_left IS NULL OR uses_left > 0)";
const REVOKE_DEVICE: &str = "
    UPDATE device SET revoked_at = ?2, version = version + 1 WHERE device = ?1 AND revoked_at IS NULL";
const SEE_DEVICE: &str = "UPDATE device SET last_seen_at = max(last_seen_at, ?2) WHERE device = ?1";
const ROTATE: &str = "
    UPDATE family SET generation = generation + 1, token = ?3, nonce = ?4, expires_at = ?5
    WHERE family = ?1 AND generation = ?2";
const DROP_FAMILY_OF: &str = "DELETE FROM family WHERE device = ?1";
const DROP_OLD_DEVICES: &str = "DELETE FROM device WHERE account = ?1 AND revoked_at < ?2";
const DROP_OUTBOX: &str = "DELETE FROM outbox WHERE id = ?1";

/// The accounts of an installation on one machine.
pub struct SqliteAccounts {
    database: Database,
}

impl SqliteAccounts {
    /// Opens the accounts in `folder`, or makes an empty file there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Ok(SqliteAccounts { database: Database::open(folder, &SCHEMA)? })
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> PortFuture<Result<T, AccountsError>> {
        let answer = self.database.read(work);
        Box::pin(async move { answer.await.map_err(AccountsError::from) })
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> PortFuture<Result<T, AccountsError>> {
        let answer = self.database.write(work);
        Box::pin(async move { answer.await.map_err(AccountsError::from) })
    }
}

/// Why a transaction is rolled back.
#[derive(Debug)]
enum Refusal {
    /// The store failed.
    Fault(Fault),
    /// A rule of the port.
    Rule(AccountsError),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Fault(fault)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Refusal::Fault(error.into())
    }
}

impl From<AccountsError> for Refusal {
    fn from(error: AccountsError) -> Self {
        Refusal::Rule(error)
    }
}

impl From<Refusal> for AccountsError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(fault) => AccountsError::Store(fault.into()),
            Refusal::Rule(error) => error,
        }
    }
}

impl Failure for Refusal {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Refusal::Fault(fault) => Some(fault),
            Refusal::Rule(_) => None,
        }
    }
}

impl Accounts for SqliteAccounts {
    fn accounts(&self, keys: Vec<AccountKey>) -> PortFuture<Result<Vec<Option<AccountRow>>, AccountsError>> {
        self.read(move |snapshot| {
            keys.iter()
                .map(|key| match key {
                    AccountKey::Id(account) => get_account(snapshot, *account),
                    AccountKey::Handle(handle) => {
                        let mut statement = snapshot.prepare_cached(GET_HANDLE)?;
                        let found = statement.query_row([handle], |row| row.get::<_, i64>(0)).optional()?;
                        match found {
                            Some(account) => get_account(snapshot, AccountId(account.cast_unsigned())),
                            None => Ok(None),
                        }
                    }
                })
                .collect()
        })
    }

    fn devices(&self, account: AccountId) -> PortFuture<Result<Vec<DeviceRow>, AccountsError>> {
        self.read(move |snapshot| get_devices(snapshot, account))
    }

    fn family(&self, family: u64) -> PortFuture<Result<Option<FamilyRow>, AccountsError>> {
        self.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_FAMILY)?;
            let mut rows = statement.query([family.cast_signed()])?;
            rows.next()?.map(rows::family_row).transpose()
        })
    }

    fn invitation(&self, hash: TokenHash) -> PortFuture<Result<Option<InvitationRow>, AccountsError>> {
        self.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_INVITATION)?;
            let mut rows = statement.query([hash.0])?;
            rows.next()?.map(rows::invitation_row).transpose()
        })
    }

    fn register(&self, new: NewAccount) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| register(transaction, &new))
    }

    fn add_device(
        &self,
        account: AccountId,
        from_credential_version: u64,
        device: NewDevice,
    ) -> PortFuture<Result<Option<DeviceRow>, AccountsError>> {
        self.write(move |transaction| {
            let row = get_account(transaction, account)?.ok_or(AccountsError::NotFound)?;
            if row.credential_version != from_credential_version || row.deactivated {
                return Err(AccountsError::Conflict.into());
            }
            let evicted = make_room(transaction, account, device.at)?;
            insert_device(transaction, account, &device)?;
            Ok(evicted)
        })
    }

    fn revoke_device(
        &self,
        account: AccountId,
        device: DeviceId,
        at: UnixMillis,
    ) -> PortFuture<Result<u64, AccountsError>> {
        self.write(move |transaction| {
            let mut statement = transaction.prepare_cached(GET_DEVICE)?;
            let mut rows = statement.query([device.0.cast_signed()])?;
            let row = rows.next()?.map(rows::device_row).transpose()?;
            let row = row.filter(|row| row.account == account).ok_or(AccountsError::NotFound)?;
            if row.revoked { Ok(row.version) } else { revoke(transaction, &row, at) }
        })
    }

    fn rotate(&self, rotation: Rotation) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| rotate(transaction, &rotation))
    }

    fn change(&self, account: AccountId, change: AccountChange) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| apply(transaction, account, change))
    }

    fn add_invitations(
        &self,
        invitations: Vec<InvitationRow>,
        rule: InvitationRule,
    ) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| add_invitations(transaction, &invitations, rule))
    }

    fn take_outbox(&self, limit: usize) -> PortFuture<Result<Vec<OutboxRow>, AccountsError>> {
        self.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_OUTBOX)?;
            let mut rows = statement.query([counted(limit as u64)])?;
            let mut taken = Vec::new();
            while let Some(row) = rows.next()? {
                taken.push(rows::outbox_row(row)?);
            }
            Ok(taken)
        })
    }

    fn acknowledge_outbox(&self, ids: Vec<u64>) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| {
            let mut statement = transaction.prepare_cached(DROP_OUTBOX)?;
            for id in &ids {
                statement.execute([counted(*id)])?;
            }
            Ok(())
        })
    }
}

fn register(transaction: &Transaction<'_>, new: &NewAccount) -> Result<(), Refusal> {
    let account = new.account.0.cast_signed();
    if transaction.prepare_cached(CLAIM_HANDLE)?.execute(params![new.handle, account])? == 0 {
        return Err(AccountsError::HandleTaken.into());
    }
    let at = counted(new.device.at.0);
    if let Some(hash) = new.invitation
        && transaction.prepare_cached(SPEND_INVITATION)?.execute(params![hash.0, at])? == 0
    {
        return Err(AccountsError::InvitationSpent.into());
    }
    let values = params![account, new.handle, new.name, new.password_hash.0, new.admin, at];
    if transaction.prepare_cached(ADD_ACCOUNT)?.execute(values)? == 0 {
        return Err(AccountsError::IdTaken.into());
    }
    insert_device(transaction, new.account, &new.device)
}

fn insert_device(
    transaction: &Transaction<'_>,
    account: AccountId,
    device: &NewDevice,
) -> Result<(), Refusal> {
    let values =
        params![device.device.0.cast_signed(), account.0.cast_signed(), device.name, counted(device.at.0)];
    if transaction.prepare_cached(ADD_DEVICE)?.execute(values)? == 0 {
        return Err(AccountsError::IdTaken.into());
    }
    insert_family(transaction, account, device.device, &device.family)
}

fn insert_family(
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

/// Forgets devices that were revoked long ago, and revokes a live one if there are too many.
fn make_room(
    transaction: &Transaction<'_>,
    account: AccountId,
    at: UnixMillis,
) -> Result<Option<DeviceRow>, Refusal> {
    let before = counted(at.minus_ms(REVOKED_DEVICE_KEPT_MS).0);
    transaction.prepare_cached(DROP_OLD_DEVICES)?.execute((account.0.cast_signed(), before))?;
    let live = get_devices(transaction, account)?.into_iter().filter(|device| !device.revoked);
    let live: Vec<DeviceRow> = live.collect();
    if live.len() < DEVICES_PER_ACCOUNT {
        return Ok(None);
    }
    let oldest = live.into_iter().min_by_key(|device| (device.last_seen_at, device.device));
    let mut oldest = oldest.expect("there are devices, or there would be room");
    oldest.version = revoke(transaction, &oldest, at)?;
    oldest.revoked = true;
    Ok(Some(oldest))
}

/// Revokes a live device with its family, tells the outbox and returns its version from now on.
fn revoke(transaction: &Transaction<'_>, device: &DeviceRow, at: UnixMillis) -> Result<u64, Refusal> {
    assert!(!device.revoked, "a device is revoked once");
    let version = device.version + 1;
    revoke_quietly(transaction, device.device, at)?;
    tell(transaction, device.account, OutboxChange::DeviceRevoked { device: device.device, version })?;
    Ok(version)
}

/// Revokes a device whose tokens the account's own version voids as well.
fn revoke_quietly(transaction: &Transaction<'_>, device: DeviceId, at: UnixMillis) -> Result<(), Refusal> {
    let device = device.0.cast_signed();
    transaction.prepare_cached(REVOKE_DEVICE)?.execute((device, counted(at.0)))?;
    transaction.prepare_cached(DROP_FAMILY_OF)?.execute([device])?;
    Ok(())
}

fn rotate(transaction: &Transaction<'_>, rotation: &Rotation) -> Result<(), Refusal> {
    let family = rotation.family.cast_signed();
    let device: Option<i64> = transaction
        .prepare_cached("SELECT device FROM family WHERE family = ?1")?
        .query_row([family], |row| row.get(0))
        .optional()?;
    let device = device.ok_or(AccountsError::NotFound)?;
    let values = params![
        family,
        counted(rotation.from_generation),
        rotation.token.0,
        rotation.nonce.0,
        counted(rotation.expires_at.0)
    ];
    if transaction.prepare_cached(ROTATE)?.execute(values)? == 0 {
        return Err(AccountsError::Conflict.into());
    }
    transaction.prepare_cached(SEE_DEVICE)?.execute((device, counted(rotation.at.0)))?;
    Ok(())
}

fn apply(transaction: &Transaction<'_>, account: AccountId, change: AccountChange) -> Result<(), Refusal> {
    let row = get_account(transaction, account)?.ok_or(AccountsError::NotFound)?;
    let id = account.0.cast_signed();
    match change {
        AccountChange::Name { from_version, name } => {
            if row.profile_version != from_version {
                return Err(AccountsError::Conflict.into());
            }
            let version = from_version + 1;
            transaction.execute(
                "UPDATE account SET name = ?2, profile_version = ?3 WHERE account = ?1",
                params![id, name, counted(version)],
            )?;
            tell(transaction, account, OutboxChange::ProfileChanged { version })
        }
        AccountChange::Password { from_version, password_hash, keep, family, at } => {
            raise_credentials(transaction, &row, from_version, Some(keep), at)?;
            transaction.execute(
                "UPDATE account SET password_hash = ?2 WHERE account = ?1",
                params![id, password_hash.0],
            )?;
            transaction.prepare_cached(DROP_FAMILY_OF)?.execute([keep.0.cast_signed()])?;
            insert_family(transaction, account, keep, &family)
        }
        AccountChange::Deactivated { from_version, deactivated, at } => {
            raise_credentials(transaction, &row, from_version, None, at)?;
            transaction.execute(
                "UPDATE account SET deactivated = ?2 WHERE account = ?1",
                params![id, deactivated],
            )?;
            Ok(())
        }
    }
}

/// Voids all tokens of an account and revokes its devices but for `keep`, which must be live.
fn raise_credentials(
    transaction: &Transaction<'_>,
    row: &AccountRow,
    from_version: u64,
    keep: Option<DeviceId>,
    at: UnixMillis,
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
        revoke_quietly(transaction, device, at)?;
    }
    tell(transaction, row.account, OutboxChange::CredentialChanged { version })
}

fn add_invitations(
    transaction: &Transaction<'_>,
    invitations: &[InvitationRow],
    rule: InvitationRule,
) -> Result<(), Refusal> {
    match rule {
        InvitationRule::WhileEmpty => {
            let empty: bool =
                transaction.query_row("SELECT NOT EXISTS (SELECT 1 FROM account)", [], |row| row.get(0))?;
            if !empty {
                return Err(AccountsError::Conflict.into());
            }
            transaction.execute("DELETE FROM invitation", [])?;
        }
        InvitationRule::WhileBelow { limit, now } => {
            for row in invitations {
                let author = row.author.map(|author| author.0.cast_signed());
                transaction
                    .prepare_cached(
                        "DELETE FROM invitation WHERE author IS ?1 AND (expires_at <= ?2 OR uses_left = 0)",
                    )?
                    .execute((author, counted(now.0)))?;
                let live: i64 = transaction
                    .prepare_cached("SELECT count(*) FROM invitation WHERE author IS ?1")?
                    .query_row([author], |row| row.get(0))?;
                if live >= counted(limit as u64) {
                    return Err(AccountsError::Conflict.into());
                }
            }
        }
    }
    for row in invitations {
        let values = params![
            row.hash.0,
            row.author.map(|author| author.0.cast_signed()),
            row.admin,
            row.uses_left,
            counted(row.created_at.0),
            counted(row.expires_at.0)
        ];
        if transaction.prepare_cached(ADD_INVITATION)?.execute(values)? == 0 {
            return Err(AccountsError::IdTaken.into());
        }
    }
    Ok(())
}

fn tell(transaction: &Transaction<'_>, account: AccountId, change: OutboxChange) -> Result<(), Refusal> {
    let (kind, device, version) = rows::outbox_columns(change);
    let values = (account.0.cast_signed(), kind, device.0.cast_signed(), counted(version));
    transaction.prepare_cached(ADD_OUTBOX)?.execute(values)?;
    Ok(())
}

fn get_account(snapshot: &Transaction<'_>, account: AccountId) -> Result<Option<AccountRow>, Refusal> {
    let mut statement = snapshot.prepare_cached(GET_ACCOUNT)?;
    let mut rows = statement.query([account.0.cast_signed()])?;
    rows.next()?.map(rows::account_row).transpose()
}

fn get_devices(snapshot: &Transaction<'_>, account: AccountId) -> Result<Vec<DeviceRow>, Refusal> {
    let mut statement = snapshot.prepare_cached(GET_DEVICES)?;
    let mut rows = statement.query([account.0.cast_signed()])?;
    let mut devices = Vec::new();
    while let Some(row) = rows.next()? {
        devices.push(rows::device_row(row)?);
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use anser_core::ports::accounts_conformance::{AccountsFactory, check_accounts};

    use super::*;

    struct Folder(PathBuf);

    impl AccountsFactory for Folder {
        fn open(&self) -> Arc<dyn Accounts> {
            Arc::new(SqliteAccounts::open(&self.0).unwrap())
        }
    }

    #[test]
    fn conforms() {
        let mut folders = Vec::new();
        check_accounts(&mut || {
            let folder = tempfile::tempdir().unwrap();
            let factory = Folder(folder.path().to_owned());
            folders.push(folder);
            Box::new(factory)
        });
    }

    #[test]
    fn no_query_walks_through_everything() {
        let folder = tempfile::tempdir().unwrap();
        let queries = [
            GET_ACCOUNT,
            GET_HANDLE,
            GET_DEVICES,
            GET_DEVICE,
            GET_FAMILY,
            GET_INVITATION,
            SPEND_INVITATION,
            REVOKE_DEVICE,
            SEE_DEVICE,
            ROTATE,
            DROP_FAMILY_OF,
            DROP_OLD_DEVICES,
            DROP_OUTBOX,
        ];
        crate::sqlite::tests::assert_searches(folder.path(), &SCHEMA, &queries);
    }
}
