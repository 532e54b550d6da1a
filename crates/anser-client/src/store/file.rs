//! A store in two small files, each replaced as a whole: for one person's terminal client.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anser_model::AccountId;
use anser_proto::{v1, wire};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Change, MemoryStore, Saved, SavedEntry, Store, StoreError};

/// Format of the files; another number is not read.
const FORMAT: u32 = 1;
/// Messages are for their owner's eyes.
#[cfg(unix)]
const FILE_MODE: u32 = 0o600;
const STATE_FILE: &str = "state.json";
const OUTBOX_FILE: &str = "outbox.json";

/// Keeps the cursor, heads and profiles in `state.json`, and the outbox in `outbox.json`. Facts are not
/// kept: a person who looks at a conversation has them fetched.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
    held: MemoryStore,
    outbox_changed: bool,
    state_changed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    format: u32,
    account: Option<u64>,
    cursor: v1::Cursor,
    heads: Vec<v1::Head>,
    profiles: Vec<v1::Profile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboxFile {
    format: u32,
    entries: Vec<EntryRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryRow {
    order: u64,
    /// The frame holds the client id.
    frame: v1::ClientFrame,
    written: bool,
    error: Option<v1::Error>,
}

impl FileStore {
    /// Keeps its files in `folder`, which is made when it is not there.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| io_error(&folder, source))?;
        Ok(FileStore { folder, held: MemoryStore::default(), outbox_changed: false, state_changed: false })
    }

    /// Reads what the two files hold; `None` for one that is not there.
    ///
    /// # Errors
    /// The name of the file that is damaged, and how.
    pub fn decode(state: Option<&[u8]>, outbox: Option<&[u8]>) -> Result<Saved, (&'static str, String)> {
        let mut saved = Saved::default();
        if let Some(bytes) = state {
            let state: StateFile =
                parse(bytes, |file: &StateFile| file.format).map_err(|why| (STATE_FILE, why))?;
            saved.account = state.account.map(AccountId);
            (saved.cursor, saved.heads, saved.profiles) = (state.cursor, state.heads, state.profiles);
        }
        if let Some(bytes) = outbox {
            let outbox: OutboxFile =
                parse(bytes, |file: &OutboxFile| file.format).map_err(|why| (OUTBOX_FILE, why))?;
            let entries = outbox.entries.into_iter().map(EntryRow::into_entry);
            saved.outbox = entries.collect::<Result<_, _>>().map_err(|why| (OUTBOX_FILE, why))?;
        }
        Ok(saved)
    }

    fn write<T: Serialize>(&self, name: &str, content: &T) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        let bytes = serde_json::to_vec(content).map_err(|error| StoreError::Damaged {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        replace(&self.folder, &path, &bytes).map_err(|source| io_error(&path, source))
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        let (state, outbox) = (read(&self.folder.join(STATE_FILE))?, read(&self.folder.join(OUTBOX_FILE))?);
        let saved = FileStore::decode(state.as_deref(), outbox.as_deref()).map_err(|(file, reason)| {
            StoreError::Damaged { path: self.folder.join(file).display().to_string(), reason }
        })?;
        self.held = MemoryStore::holding(saved.clone());
        Ok(saved)
    }

    fn apply(&mut self, change: Change) {
        match &change {
            Change::Facts { .. } | Change::Forgotten { .. } => return,
            Change::OutboxPut(_) | Change::OutboxRemoved(_) => self.outbox_changed = true,
            _ => self.state_changed = true,
        }
        self.held.apply(change);
    }

    fn flush_outbox(&mut self) -> Result<(), StoreError> {
        if self.outbox_changed {
            let entries = self.held.saved().outbox.into_iter().map(EntryRow::of).collect();
            self.write(OUTBOX_FILE, &OutboxFile { format: FORMAT, entries })?;
            self.outbox_changed = false;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.flush_outbox()?;
        if self.state_changed {
            let Saved { account, cursor, heads, profiles, .. } = self.held.saved();
            let account = account.map(AccountId::get);
            self.write(STATE_FILE, &StateFile { format: FORMAT, account, cursor, heads, profiles })?;
            self.state_changed = false;
        }
        Ok(())
    }
}

impl EntryRow {
    fn of(entry: SavedEntry) -> Self {
        EntryRow { order: entry.order, frame: entry.frame, written: entry.written, error: entry.error }
    }

    fn into_entry(self) -> Result<SavedEntry, String> {
        let client_id = self
            .frame
            .client_id()
            .and_then(|id| wire::client_id(id).ok())
            .ok_or_else(|| format!("entry {} is no command with a client id", self.order))?;
        let EntryRow { order, frame, written, error } = self;
        Ok(SavedEntry { order, client_id, frame, written, error })
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(path, source)),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], format: impl Fn(&T) -> u32) -> Result<T, String> {
    let file: T = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match format(&file) {
        FORMAT => Ok(file),
        other => Err(format!("format {other}, this version reads format {FORMAT}")),
    }
}

/// Writes beside, syncs, renames over, syncs the folder: the old content or the new, never a part.
fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

fn io_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.display().to_string(), source }
}
