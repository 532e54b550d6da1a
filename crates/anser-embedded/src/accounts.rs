//! The `Accounts` port on SQLite.

mod bring;
mod change;
mod devices;
mod keys;
mod rows;

use std::path::Path;

use anser_core::ports::accounts::{
    AccountChange, AccountKey, AccountRow, Accounts, AccountsError, AddedDevice, Brought, BroughtAccount,
    DeviceRow, FamilyRow, InvitationRow, InvitationRule, NewAccount, NewDevice, OutboxChange, OutboxRow,
    Rotation, SecondDevice, Seen, TokenHash,
};
use anser_core::ports::{PortFuture, StoreError};
use anser_model::{AccountId, DeviceId, KickReason, UnixMillis};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::sqlite::{Database, Failure, Fault, Schema, counted};

/// The outbox counts with AUTOINCREMENT, so that an acknowledgement asked for twice can never remove a
/// newer entry under the same id.
const SCHEMA: Schema = Schema {
    file: "accounts.sqlite",
    steps: &[
        "
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
    ",
        // Profiles, kinds of devices, why credentials end, API keys, and the system account. A password hash
        // of no characters stands for none: no password is the one behind it.
        "
        ALTER TABLE account ADD COLUMN avatar TEXT NOT NULL DEFAULT '';
        ALTER TABLE account ADD COLUMN bio TEXT NOT NULL DEFAULT '';
        ALTER TABLE account ADD COLUMN request BLOB;
        CREATE INDEX account_admin ON account (account) WHERE admin;
        ALTER TABLE device ADD COLUMN kind INTEGER NOT NULL DEFAULT 5;
        ALTER TABLE device ADD COLUMN key TEXT;
        CREATE UNIQUE INDEX device_by_key ON device (account, key) WHERE key IS NOT NULL;
        ALTER TABLE outbox ADD COLUMN why INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE api_key (
            key INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL,
            scopes INTEGER NOT NULL, author INTEGER, created_at INTEGER NOT NULL, revoked_at INTEGER
        ) WITHOUT ROWID, STRICT;
        INSERT INTO handle (handle, account)
            SELECT wanted, 1 FROM (
                SELECT 'system' AS wanted, 1 AS choice UNION ALL SELECT 'anser.system', 2
                UNION ALL SELECT 'system.' || lower(hex(randomblob(8))), 3
            )
            WHERE wanted NOT IN (SELECT handle FROM handle) ORDER BY choice LIMIT 1;
        INSERT INTO account (account, handle, name, profile_version, credential_version, password_hash,
            admin, deactivated, created_at)
            SELECT 1, handle, 'System', 1, 1, '', 0, 0, 0 FROM handle WHERE account = 1;
    ",
        // When an account was there last, and whether others are told.
        "
        ALTER TABLE account ADD COLUMN last_seen_at INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE account ADD COLUMN presence INTEGER NOT NULL DEFAULT 1;
    ",
    ],
};

const GET_ACCOUNT: &str = "
    SELECT account, handle, name, profile_version, credential_version, password_hash, admin, deactivated,
        created_at, avatar, bio, last_seen_at, presence
    FROM account WHERE account = ?1";
const GET_HANDLES_AFTER: &str = "SELECT account FROM handle WHERE handle > ?1 ORDER BY handle LIMIT ?2";
const GET_HANDLE: &str = "SELECT account FROM handle WHERE handle = ?1";
const GET_DEVICES: &str = "
    SELECT device, account, name, version, created_at, last_seen_at, revoked_at, kind FROM device
    WHERE account = ?1 ORDER BY created_at, device";
const GET_DEVICE: &str = "
    SELECT device, account, name, version, created_at, last_seen_at, revoked_at, kind FROM device
    WHERE device = ?1";
const GET_FAMILY: &str = "
    SELECT family, account, device, generation, token, nonce, expires_at FROM family WHERE family = ?1";
const GET_INVITATION: &str = "
    SELECT hash, author, admin, uses_left, created_at, expires_at FROM invitation WHERE hash = ?1";
const GET_OUTBOX: &str = "SELECT id, account, kind, device, version, why FROM outbox ORDER BY id LIMIT ?1";

const CLAIM_HANDLE: &str = "INSERT INTO handle (handle, account) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const ADD_ACCOUNT: &str = "
    INSERT INTO account (account, handle, name, profile_version, credential_version, password_hash, admin,
        deactivated, created_at)
    VALUES (?1, ?2, ?3, 1, 1, ?4, ?5, 0, ?6) ON CONFLICT DO NOTHING";
const ADD_DEVICE: &str = "
    INSERT INTO device (device, account, name, version, created_at, last_seen_at, kind, key)
    VALUES (?1, ?2, ?3, 1, ?4, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
const ADD_FAMILY: &str = "
    INSERT INTO family (family, account, device, generation, token, expires_at)
    VALUES (?1, ?2, ?3, 0, ?4, ?5) ON CONFLICT DO NOTHING";
const ADD_INVITATION: &str = "
    INSERT INTO invitation (hash, author, admin, uses_left, created_at, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
const ADD_OUTBOX: &str =
    "INSERT INTO outbox (account, kind, device, version, why) VALUES (?1, ?2, ?3, ?4, ?5)";

const SPEND_INVITATION: &str = "
    UPDATE invitation SET uses_left = uses_left - 1
    WHERE hash = ?1 AND expires_at > ?2 AND (uses_left IS NULL OR uses_left > 0)";
const REVOKE_DEVICE: &str = "
    UPDATE device SET revoked_at = ?2, version = version + 1, key = NULL WHERE device = ?1 AND revoked_at IS NULL";
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

    fn accounts_after(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> PortFuture<Result<Vec<AccountRow>, AccountsError>> {
        self.read(move |snapshot| {
            let mut statement = snapshot.prepare_cached(GET_HANDLES_AFTER)?;
            // No handle is empty.
            let after = after.as_deref().unwrap_or("");
            let mut rows = statement.query(params![after, counted(limit as u64)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let account = AccountId(row.get::<_, i64>(0)?.cast_unsigned());
                found.extend(get_account(snapshot, account)?);
            }
            Ok(found)
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

    fn bring(&self, accounts: Vec<BroughtAccount>) -> PortFuture<Result<Vec<Brought>, AccountsError>> {
        self.write(move |transaction| {
            accounts.iter().map(|account| bring::bring(transaction, account)).collect()
        })
    }

    fn add_device(
        &self,
        account: AccountId,
        from_credential_version: u64,
        device: NewDevice,
        second: SecondDevice,
    ) -> PortFuture<Result<AddedDevice, AccountsError>> {
        self.write(move |transaction| {
            let row = get_account(transaction, account)?.ok_or(AccountsError::NotFound)?;
            if row.credential_version != from_credential_version || row.deactivated {
                return Err(AccountsError::Conflict.into());
            }
            devices::add(transaction, account, &device, second)
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
            match row.revoked {
                true => Ok(row.version),
                false => devices::revoke(transaction, &row, at, KickReason::Revoked),
            }
        })
    }

    fn rotate(&self, rotation: Rotation) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| rotate(transaction, &rotation))
    }

    fn change(&self, account: AccountId, change: AccountChange) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| change::apply(transaction, account, change))
    }

    fn note_seen(&self, seen: Vec<Seen>) -> PortFuture<Result<(), AccountsError>> {
        self.write(move |transaction| seen.iter().try_for_each(|seen| devices::note_seen(transaction, seen)))
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
    devices::insert(transaction, new.account, &new.device)
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

fn add_invitations(
    transaction: &Transaction<'_>,
    invitations: &[InvitationRow],
    rule: InvitationRule,
) -> Result<(), Refusal> {
    match rule {
        InvitationRule::WhileEmpty => {
            let empty: bool = transaction.query_row(
                "SELECT NOT EXISTS (SELECT 1 FROM account WHERE account <> 1)",
                [],
                |row| row.get(0),
            )?;
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
    let (kind, device, version, why) = rows::outbox_columns(change);
    let values = (account.0.cast_signed(), kind, device.0.cast_signed(), counted(version), why as i64);
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

    use anser_core::ports::accounts::DeviceKind;
    use anser_core::ports::accounts_conformance::{AccountsFactory, check_accounts};
    use anser_core::ports::keys::ApiKeys;
    use anser_core::ports::keys_conformance::{KeysFactory, check_keys};
    use anser_core::ports::log_conformance::block_on;

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

    impl KeysFactory for Folder {
        fn open(&self) -> Arc<dyn ApiKeys> {
            Arc::new(SqliteAccounts::open(&self.0).unwrap())
        }
    }

    #[test]
    fn keys_conform() {
        let mut folders = Vec::new();
        check_keys(&mut || {
            let folder = tempfile::tempdir().unwrap();
            let factory = Folder(folder.path().to_owned());
            folders.push(folder);
            Box::new(factory)
        });
    }

    /// A folder of the first version, with these people in it.
    fn old_folder(handles: &[&'static str]) -> tempfile::TempDir {
        const FIRST: Schema = Schema { file: SCHEMA.file, steps: &[SCHEMA.steps[0]] };
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), &FIRST).unwrap();
        for (number, handle) in (10..).zip(handles.iter().copied()) {
            let write = database.write(move |transaction| {
                transaction.execute("INSERT INTO handle VALUES (?1, ?2)", (handle, number))?;
                transaction.execute(
                    "INSERT INTO account VALUES (?1, ?2, 'Old', 3, 2, '$argon2id$x', 1, 0, 77)",
                    (number, handle),
                )?;
                let device = "INSERT INTO device VALUES (?1, ?1, 'old device', 1, 5, 6, NULL)";
                transaction.execute(device, [number])?;
                transaction.execute("INSERT INTO outbox VALUES (NULL, ?1, 3, 0, 2)", [number])?;
                Ok::<_, Refusal>(())
            });
            block_on(write).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_of_the_first_version_is_taken_along() {
        let folder = old_folder(&["ann", "system", "anser.system"]);
        for _ in 0..2 {
            let accounts = SqliteAccounts::open(folder.path()).unwrap();
            let keys = vec![AccountKey::Handle("ann".into()), AccountKey::Id(AccountId::SYSTEM)];
            let rows = block_on(accounts.accounts(keys)).unwrap();
            let ann = rows[0].as_ref().unwrap();
            assert_eq!((ann.name.as_str(), ann.avatar.as_str(), ann.bio.as_str()), ("Old", "", ""));
            assert_eq!((ann.profile_version, ann.credential_version, ann.admin), (3, 2, true));
            assert!(ann.password_hash.is_some());
            let system = rows[1].as_ref().unwrap();
            assert!(system.handle.starts_with("system.") && system.handle.len() == 23, "{}", system.handle);
            assert_eq!((&system.password_hash, system.admin), (&None, false));
            let device = block_on(accounts.devices(ann.account)).unwrap().remove(0);
            assert_eq!((device.kind, device.revoked), (DeviceKind::Terminal, false));
            let told = block_on(accounts.take_outbox(1)).unwrap().remove(0);
            let change = OutboxChange::CredentialChanged { version: 2, why: KickReason::Revoked };
            assert_eq!((told.account, told.change), (ann.account, change));
        }
    }

    #[test]
    fn the_system_account_takes_the_name_that_is_free() {
        for (taken, handle) in [(&["ann"][..], "system"), (&["system"], "anser.system")] {
            let folder = old_folder(taken);
            let accounts = SqliteAccounts::open(folder.path()).unwrap();
            let found = block_on(accounts.accounts(vec![AccountKey::Handle(handle.into())])).unwrap();
            assert_eq!(found[0].as_ref().map(|row| row.account), Some(AccountId::SYSTEM), "{handle}");
        }
    }

    #[test]
    fn no_query_walks_through_everything() {
        let folder = tempfile::tempdir().unwrap();
        let queries = [
            GET_ACCOUNT,
            GET_HANDLE,
            GET_HANDLES_AFTER,
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
            bring::GET_REQUEST,
            devices::GET_BY_KEY,
            devices::RENEW,
            keys::GET_KEY,
            keys::REVOKE_KEY,
        ];
        crate::sqlite::tests::assert_searches(folder.path(), &SCHEMA, &queries);
    }
}
