//! Profiles: who this machine is signed in as, one folder for each name.
//!
//! Several processes may use one profile at once. What they share, the tokens, is one file that is
//! replaced as a whole, and only who holds `tokens.lock` refreshes. The saved conversations and the
//! outbox have one owner, `anser chat`: a second one is told so.

mod signed_in;
mod tokens;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anser_client::account::Grant;
use anser_client::store::FileStore;
use anser_client::{ServerAddress, store::StoreError};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use signed_in::SignedIn;

/// Format of the session file; another number is not read.
const FORMAT: u32 = 1;
/// Permissions of every file: tokens are as good as a password.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const SESSION_FILE: &str = "session.json";
const TOKENS_LOCK: &str = "tokens.lock";
const STORE_LOCK: &str = "store.lock";
const STORE_FOLDER: &str = "store";
/// Characters of the longest profile name.
const NAME_CHARS: usize = 64;

/// One profile, signed in or not.
#[derive(Debug, Clone)]
pub struct Profile {
    name: String,
    folder: PathBuf,
}

/// What stays of a sign-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSession {
    format: u32,
    /// The servers of the installation.
    pub servers: Vec<String>,
    /// The file of certificates that may vouch for them; none: whom this machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Whose.
    pub account: u64,
    /// Which installation of this account.
    pub device: u64,
    /// What the account signs in with.
    pub handle: String,
    /// The newest access token.
    pub access_token: String,
    /// What gets the next one.
    pub refresh_token: String,
    /// Under which nonce its use began, if it did.
    pub refresh_nonce: Option<String>,
}

/// Nobody is signed in.
#[derive(Debug, thiserror::Error)]
#[error(
    "nobody is signed in on profile {0:?}: run `anser user register --profile {0} --handle HANDLE`, or \
     `anser user sign-in --profile {0} --handle HANDLE`"
)]
pub struct NotSignedIn(String);

/// Another process owns what only one may.
#[derive(Debug, thiserror::Error)]
#[error("profile {name:?} is open in another chat{by}: close that one, or choose another --profile")]
pub struct InUse {
    name: String,
    by: String,
}

/// The saved conversations and the outbox belong to whoever holds this.
#[derive(Debug)]
pub struct StoreLock(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl SavedSession {
    /// What a grant leaves.
    pub fn new(servers: &[ServerAddress], handle: &str, grant: &Grant) -> Self {
        SavedSession {
            format: FORMAT,
            servers: servers.iter().map(ServerAddress::to_string).collect(),
            ca: servers.first().and_then(ServerAddress::ca).map(Path::to_owned),
            account: grant.account.get(),
            device: grant.device.get(),
            handle: handle.to_ascii_lowercase(),
            access_token: grant.access_token.clone(),
            refresh_token: grant.refresh_token.clone(),
            refresh_nonce: None,
        }
    }

    /// Where the servers are.
    pub fn addresses(&self) -> anyhow::Result<Vec<ServerAddress>> {
        let servers: Result<Vec<ServerAddress>, _> =
            self.servers.iter().map(|server| server.parse()).collect();
        trusting(servers?, self.ca.as_deref())
    }
}

/// The same servers, vouched for by the certificates of a file, if one is given.
pub fn trusting(servers: Vec<ServerAddress>, ca: Option<&Path>) -> anyhow::Result<Vec<ServerAddress>> {
    let Some(ca) = ca else { return Ok(servers) };
    // It is kept with the profile, and other commands run in other folders.
    let ca = std::path::absolute(ca)?;
    servers.into_iter().map(|server| Ok(server.trusting(&ca)?)).collect()
}

impl Profile {
    /// The profile of this name; nothing is made yet.
    pub fn named(name: &str) -> anyhow::Result<Profile> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let good = !name.is_empty() && name.chars().count() <= NAME_CHARS && name.chars().all(fits);
        anyhow::ensure!(
            good && !name.starts_with('.'),
            "{name:?} is no profile name: use up to {NAME_CHARS} letters, digits, and - _ . (not first)"
        );
        Ok(Profile::in_folder(name, &home()?))
    }

    /// The profile of this name among those in a folder.
    pub fn in_folder(name: &str, home: &Path) -> Profile {
        Profile { name: name.to_owned(), folder: home.join(name) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The saved session, if somebody is signed in.
    pub fn session(&self) -> anyhow::Result<Option<SavedSession>> {
        let path = self.folder.join(SESSION_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let session: SavedSession = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged: remove it and sign in again", path.display()))?;
        anyhow::ensure!(
            session.format == FORMAT,
            "{} has format {}, this version reads format {FORMAT}",
            path.display(),
            session.format
        );
        Ok(Some(session))
    }

    /// The saved session of somebody who must be signed in.
    pub fn signed_in(&self) -> anyhow::Result<SavedSession> {
        Ok(self.session()?.ok_or_else(|| NotSignedIn(self.name.clone()))?)
    }

    /// Keeps a session durably: the old one or the new one, never a part.
    pub fn keep(&self, session: &SavedSession) -> io::Result<()> {
        self.make_folder()?;
        let path = self.folder.join(SESSION_FILE);
        let beside = path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&beside)?;
        serde_json::to_writer_pretty(&mut file, session)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Begins a session after a sign-in. What was saved for another account or installation goes.
    pub fn begin(&self, session: &SavedSession) -> anyhow::Result<()> {
        let same = self.session().ok().flatten().is_some_and(|old| {
            old.account == session.account && old.handle == session.handle && old.servers == session.servers
        });
        if !same {
            self.forget_store()?;
        }
        self.keep(session).with_context(|| format!("cannot keep profile {:?}", self.name))
    }

    /// Forgets the session and everything saved with it.
    pub fn forget(&self) -> anyhow::Result<()> {
        self.forget_store()?;
        match fs::remove_file(self.folder.join(SESSION_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Takes what only one process may own.
    pub fn lock_store(&self) -> anyhow::Result<StoreLock> {
        self.make_folder()?;
        let mut file = self.open_lock(STORE_LOCK)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                Ok(StoreLock(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                file.rewind()?;
                file.read_to_string(&mut process)?;
                let by = if process.is_empty() { process } else { format!(" (process {process})") };
                Err(InUse { name: self.name.clone(), by }.into())
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The saved conversations and outbox, for who holds the lock.
    pub fn store(&self, _lock: &StoreLock) -> Result<FileStore, StoreError> {
        FileStore::open(self.folder.join(STORE_FOLDER))
    }

    /// Whether commands wait in the outbox for their answers.
    pub fn has_unsent(&self, lock: &StoreLock) -> anyhow::Result<bool> {
        use anser_client::store::Store as _;
        Ok(!self.store(lock)?.load()?.outbox.is_empty())
    }

    fn forget_store(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(self.folder.join(STORE_FOLDER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder)
    }

    fn open_lock(&self, name: &str) -> io::Result<File> {
        let path = self.folder.join(name);
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
    }
}

/// Where profiles are.
fn home() -> anyhow::Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("ANSER_HOME")
        .or_else(|| named("XDG_CONFIG_HOME").map(|config| config.join("anser")))
        .or_else(|| named("HOME").map(|home| home.join(".config/anser")))
        .context("there is no place for profiles: set ANSER_HOME to a folder")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn session(access_token: &str) -> SavedSession {
        SavedSession {
            format: FORMAT,
            servers: vec!["http://127.0.0.1:7700".to_owned()],
            ca: None,
            account: 7,
            device: 9,
            handle: "li_lei".to_owned(),
            access_token: access_token.to_owned(),
            refresh_token: "r".to_owned(),
            refresh_nonce: None,
        }
    }

    #[test]
    fn a_session_is_kept_for_its_owner_only_and_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::in_folder("work", home.path());
        assert!(profile.signed_in().err().unwrap().to_string().contains("--profile work"));
        profile.begin(&session("a")).unwrap();
        profile.keep(&session("b")).unwrap();
        assert_eq!(profile.signed_in().unwrap().access_token, "b");
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.path().join("work/session.json")), FILE_MODE);
        assert_eq!(mode(home.path().join("work")), FOLDER_MODE);
        profile.forget().unwrap();
        assert!(profile.session().unwrap().is_none());
    }

    #[test]
    fn the_store_has_one_owner() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::in_folder("work", home.path());
        let lock = profile.lock_store().unwrap();
        let refused = profile.lock_store().unwrap_err().to_string();
        assert!(refused.contains("\"work\"") && refused.contains(&std::process::id().to_string()));
        drop(lock);
        profile.lock_store().unwrap();
    }

    #[test]
    fn another_account_does_not_inherit_the_outbox() {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::in_folder("work", home.path());
        profile.begin(&session("a")).unwrap();
        let saved = home.path().join("work/store/outbox.json");
        fs::create_dir_all(saved.parent().unwrap()).unwrap();
        fs::write(&saved, "x").unwrap();
        profile.begin(&session("b")).unwrap();
        assert!(saved.exists());
        profile.begin(&SavedSession { account: 8, ..session("c") }).unwrap();
        assert!(!saved.exists());
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for bad in ["", "..", ".hidden", "a/b", "a b"] {
            assert!(Profile::named(bad).is_err(), "{bad:?}");
        }
    }
}
