//! The [`Disk`] port in memory: keeps what was synced apart from what merely was written.
//!
//! What the model allows, after what real disks and kernels were seen to do:
//! - at a crash, each unsynced 512-byte sector is the old one or any one written since, each file's
//!   and each write's apart from the others', so later writes may land where earlier ones did not;
//! - creations, renames and removals that were not folder-synced survive each on its own or not;
//! - after a failed sync, what was written stays readable, counts as clean, may have landed in part,
//!   and no later sync lands the rest (Linux page cache; "fsyncgate", 2018);
//! - a kill of the process leaves all that was written readable and still unsynced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use anser_core::ports::disk::{Disk, DiskFile};

use crate::chance::Chance;

/// What lands whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// A full disk stays full for so many further operations.
pub const FULL_FOR_OPERATIONS: u64 = 24;
/// Of a disk that stays full.
const FULL_FOR_EVER: u64 = u64::MAX;

/// What happens at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The machine stops in the middle of it. What of it landed is decided by [`SimDisk::crashed`].
    Crash,
    /// The process is killed in the middle of it; the machine, and its page cache, live on.
    Kill,
    /// It fails with an I/O error.
    IoError,
    /// It fails for want of space, and whatever needs space does for a while.
    NoSpace,
    /// As [`Fault::NoSpace`], until [`SimDisk::make_space`]; the next process finds the disk as full.
    StaysFull,
    /// Some of a write is written, then it fails. Any other operation fails outright.
    ShortWrite,
}

/// What of the unsynced writes survives a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// Everything.
    Everything,
    /// Only the last write to each file.
    LastWrites,
    /// Whole writes, sectors and names by chance.
    Torn(u64),
}

/// One simulated folder. Clones are handles of the same one.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone)]
struct State {
    files: BTreeMap<u64, Contents>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    next_file: u64,
    operations: u64,
    planned: Option<(u64, Fault)>,
    struck: Option<Fault>,
    full_until: u64,
    down: bool,
    chance: Chance,
}

#[derive(Clone, Default)]
struct Contents {
    seen: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Arc<[u8]>, lost: bool },
    Length { len: usize, lost: bool },
}

#[derive(Clone)]
struct NameChange {
    removed: Option<String>,
    added: Option<(String, u64)>,
}

/// What an operation does to the disk; decides which faults make sense.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Reading,
    Changing,
    Growing,
}

impl SimDisk {
    /// An empty folder. `seed` decides what of a failing operation takes effect.
    pub fn new(seed: u64) -> Self {
        SimDisk(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            next_file: 1,
            operations: 0,
            planned: None,
            struck: None,
            full_until: 0,
            down: false,
            chance: Chance::new(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the disk")
    }

    /// How many operations there were since the machine or the process was started.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets `fault` strike at the operation that many operations from now (0: the next one).
    pub fn plan(&self, after: u64, fault: Fault) {
        let mut state = self.state();
        state.planned = Some((state.operations + after, fault));
        state.struck = None;
    }

    /// The fault that has struck, if it has.
    pub fn struck(&self) -> Option<Fault> {
        self.state().struck
    }

    /// Whether the machine or the process is gone: every operation fails.
    pub fn is_down(&self) -> bool {
        self.state().down
    }

    /// Whether there is no space.
    pub fn is_full(&self) -> bool {
        let state = self.state();
        state.operations < state.full_until
    }

    /// Somebody removes something else: there is space again.
    pub fn make_space(&self) {
        self.state().full_until = 0;
    }

    /// The disk as the next start of the machine finds it.
    pub fn crashed(&self, survival: Survival) -> SimDisk {
        let mut state = self.state().clone();
        let mut chance = Chance::of(&[match survival {
            Survival::Torn(seed) => seed,
            _ => 0,
        }]);
        for contents in state.files.values_mut() {
            contents.crash(survival, &mut chance);
        }
        for change in std::mem::take(&mut state.unsynced_names) {
            let survives = match survival {
                Survival::Nothing => false,
                Survival::Everything | Survival::LastWrites => true,
                Survival::Torn(_) => chance.happens(1, 2),
            };
            if survives {
                change.apply(&mut state.durable_names);
            }
        }
        state.names = state.durable_names.clone();
        state.drop_nameless();
        state.up_again()
    }

    /// The disk as the next process finds it: the page cache is alive.
    pub fn killed(&self) -> SimDisk {
        self.state().clone().up_again()
    }

    /// Flips a bit that had been durable.
    pub fn rot(&self, name: &str, offset: usize, bit: u8) {
        let mut state = self.state();
        let file = state.names[name];
        let contents = state.files.get_mut(&file).expect("a named file is there");
        Arc::make_mut(&mut contents.durable)[offset] ^= 1 << bit;
        Arc::make_mut(&mut contents.seen)[offset] ^= 1 << bit;
    }

    /// What a file holds, as its readers see it; `None` where there is none.
    pub fn peek(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        let state = self.state();
        Some(state.files[state.names.get(name)?].seen.clone())
    }

    /// The names in the folder, in order. Not counted as an operation.
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        if let Some(removed) = &self.removed {
            names.remove(removed);
        }
        if let Some((name, file)) = &self.added {
            names.insert(name.clone(), *file);
        }
    }
}

impl State {
    fn up_again(mut self) -> SimDisk {
        (self.planned, self.struck, self.down, self.operations) = (None, None, false, 0);
        if self.full_until != FULL_FOR_EVER {
            self.full_until = 0;
        }
        SimDisk(Arc::new(Mutex::new(self)))
    }

    /// Forgets files that no name leads to, now or after any crash.
    fn drop_nameless(&mut self) {
        let State { files, names, durable_names, unsynced_names, .. } = self;
        files.retain(|file, _| {
            names.values().any(|named| named == file)
                || durable_names.values().any(|named| named == file)
                || unsynced_names
                    .iter()
                    .any(|change| matches!(&change.added, Some((_, added)) if added == file))
        });
    }

    /// Counts an operation and says what is to go wrong with it.
    fn operation(&mut self, kind: Kind) -> io::Result<Option<Fault>> {
        if self.down {
            return Err(io::Error::other("the machine is down"));
        }
        let number = self.operations;
        self.operations += 1;
        if let Some((at, fault)) = self.planned
            && at == number
        {
            self.planned = None;
            if kind == Kind::Reading && matches!(fault, Fault::NoSpace | Fault::StaysFull | Fault::ShortWrite)
            {
                return Ok(None);
            }
            self.struck = Some(fault);
            match fault {
                Fault::Crash | Fault::Kill => self.down = true,
                Fault::NoSpace => self.full_until = number + FULL_FOR_OPERATIONS,
                Fault::StaysFull => self.full_until = FULL_FOR_EVER,
                Fault::IoError | Fault::ShortWrite => {}
            }
            return Ok(Some(fault));
        }
        if kind == Kind::Growing && number < self.full_until {
            return Ok(Some(Fault::NoSpace));
        }
        Ok(None)
    }

    /// For operations that do nothing at all where they fail.
    fn whole_operation(&mut self, kind: Kind) -> io::Result<()> {
        match self.operation(kind)? {
            None => Ok(()),
            Some(fault) => Err(error_of(fault)),
        }
    }

    /// A change of names: at a crash it may survive although it never returned.
    fn change_names(&mut self, kind: Kind, change: NameChange) -> io::Result<()> {
        let fault = self.operation(kind)?;
        if matches!(fault, None | Some(Fault::Crash)) {
            change.apply(&mut self.names);
            self.unsynced_names.push(change);
        }
        fault.map_or(Ok(()), |fault| Err(error_of(fault)))
    }

    fn file(&mut self, file: u64) -> &mut Contents {
        self.files.get_mut(&file).expect("an open file is there")
    }
}

fn error_of(fault: Fault) -> io::Error {
    match fault {
        Fault::Crash | Fault::Kill => io::Error::other("the machine went down"),
        Fault::IoError => io::Error::other("injected I/O error"),
        Fault::NoSpace | Fault::StaysFull => {
            io::Error::new(io::ErrorKind::StorageFull, "injected: no space left")
        }
        Fault::ShortWrite => io::Error::new(io::ErrorKind::WriteZero, "injected short write"),
    }
}

impl Contents {
    fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.seen));
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        let durable = Arc::make_mut(&mut self.durable);
        for change in self.unsynced.drain(..).filter(|change| !change.is_lost()) {
            change.apply(durable);
        }
    }

    /// A sync that fails: some sectors land, and the rest is forgotten though it can still be read.
    fn fail_to_sync(&mut self, chance: &mut Chance) {
        let durable = Arc::make_mut(&mut self.durable);
        for change in self.unsynced.iter_mut().filter(|change| !change.is_lost()) {
            change.tear(durable, chance);
            change.lose();
        }
    }

    fn crash(&mut self, survival: Survival, chance: &mut Chance) {
        let durable = Arc::make_mut(&mut self.durable);
        let changes = std::mem::take(&mut self.unsynced);
        let last = changes.len().saturating_sub(1);
        for (index, change) in changes.iter().enumerate().filter(|(_, change)| !change.is_lost()) {
            match survival {
                Survival::Nothing => {}
                Survival::Everything => change.apply(durable),
                Survival::LastWrites if index == last => change.apply(durable),
                Survival::LastWrites => {}
                Survival::Torn(_) => match chance.below(4) {
                    0 => {}
                    1 => change.apply(durable),
                    _ => change.tear(durable, chance),
                },
            }
        }
        self.seen = self.durable.clone();
    }
}

impl Change {
    fn is_lost(&self) -> bool {
        match self {
            Change::Write { lost, .. } | Change::Length { lost, .. } => *lost,
        }
    }

    fn lose(&mut self) {
        match self {
            Change::Write { lost, .. } | Change::Length { lost, .. } => *lost = true,
        }
    }

    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Length { len, .. } => contents.resize(*len, 0),
            Change::Write { offset, bytes, .. } => put(contents, *offset, bytes),
        }
    }

    /// Applies some of its sectors.
    fn tear(&self, contents: &mut Vec<u8>, chance: &mut Chance) {
        let Change::Write { offset, bytes, .. } = self else {
            if chance.happens(1, 2) {
                self.apply(contents);
            }
            return;
        };
        let mut at = 0;
        while at < bytes.len() {
            let sector_end = (*offset + at + 1).next_multiple_of(SECTOR_BYTES) - *offset;
            let end = sector_end.min(bytes.len());
            if chance.happens(1, 2) {
                put(contents, *offset + at, &bytes[at..end]);
            }
            at = end;
        }
    }
}

fn put(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if contents.len() < offset + bytes.len() {
        contents.resize(offset + bytes.len(), 0);
    }
    contents[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.whole_operation(Kind::Reading)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.whole_operation(Kind::Reading)?;
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if !state.down && state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.next_file;
        state.next_file += 1;
        state.files.insert(file, Contents::default());
        state.change_names(Kind::Growing, NameChange { removed: None, added: Some((name.into(), file)) })?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let change = NameChange { removed: Some(from.into()), added: Some((to.into(), file)) };
        state.change_names(Kind::Changing, change)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(Kind::Changing, NameChange { removed: Some(name.into()), added: None })
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.state();
        state.whole_operation(Kind::Changing)?;
        for change in std::mem::take(&mut state.unsynced_names) {
            change.apply(&mut state.durable_names);
        }
        state.drop_nameless();
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.whole_operation(Kind::Reading)?;
        Ok(state.file(self.file).seen.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.whole_operation(Kind::Reading)?;
        let seen = &state.file(self.file).seen;
        let start = seen.len().min(offset as usize);
        let end = seen.len().min(start + buffer.len());
        buffer[..end - start].copy_from_slice(&seen[start..end]);
        Ok(end - start)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let end = offset as usize + bytes.len();
        let kind = match state.file(self.file).seen.len() < end {
            true => Kind::Growing,
            false => Kind::Changing,
        };
        let fault = state.operation(kind)?;
        let written = match fault {
            None | Some(Fault::Crash) => bytes.len(),
            Some(Fault::Kill | Fault::ShortWrite) => state.chance.below(bytes.len() as u64 + 1) as usize,
            Some(Fault::IoError | Fault::NoSpace | Fault::StaysFull) => 0,
        };
        if written > 0 {
            let bytes = Arc::from(&bytes[..written]);
            state.file(self.file).change(Change::Write { offset: offset as usize, bytes, lost: false });
        }
        fault.map_or(Ok(()), |fault| Err(error_of(fault)))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.whole_operation(Kind::Growing)?;
        state.file(self.file).change(Change::Length { len: len as usize, lost: false });
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.whole_operation(Kind::Growing)?;
        let len = state.file(self.file).seen.len().max(len as usize);
        state.file(self.file).change(Change::Length { len, lost: false });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.operation(Kind::Changing)? {
            None => {
                state.file(self.file).sync();
                Ok(())
            }
            // At a crash or a kill, what was written stays as unsynced as it was.
            Some(fault @ (Fault::Crash | Fault::Kill)) => Err(error_of(fault)),
            Some(fault) => {
                let mut chance = state.chance.clone();
                state.file(self.file).fail_to_sync(&mut chance);
                state.chance = chance;
                Err(error_of(fault))
            }
        }
    }
}

#[cfg(test)]
mod tests;
