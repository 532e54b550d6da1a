//! The history without threads: each call does its I/O and returns. Whoever calls from several threads
//! flushes from one of them and merges from one.

use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use anser_core::ports::disk::Disk;
use anser_core::ports::history::HistoryBatch;

use super::error::HistoryError;
use super::manifest::{Entry, Manifest, is_segment, is_unfinished};
use super::merge::{Pause, write_merged};
use super::options::HistoryOptions;
use super::rows::{Address, Kind, Row, fold};
use super::table::Table;
use super::version::{Segment, Version};
use super::writer::TableWriter;

/// The largest level: what is there is merged with its equals.
const LEVEL_MAX: u8 = 15;

/// What calls and merging share.
pub(crate) struct Store {
    pub disk: Arc<dyn Disk>,
    pub options: HistoryOptions,
    current: RwLock<Arc<Version>>,
    /// Held while the manifest is replaced.
    replacing: Mutex<Replacing>,
}

struct Replacing {
    next_number: u64,
    /// Why the medium failed: nothing is acknowledged any more until the history is opened again.
    failed: Option<String>,
}

impl Store {
    /// Opens the history in `disk`, or makes an empty one there. What no manifest names is removed: it
    /// is from a flush or a merge that was not finished.
    pub fn open(disk: Arc<dyn Disk>, options: HistoryOptions) -> Result<Store, HistoryError> {
        let listing = |source| HistoryError::Reading { file: "history".into(), source };
        let names = disk.list().map_err(listing)?;
        let manifest = match Manifest::read(&*disk)? {
            // What a killed process has renamed may not be durable yet, and what it replaced is still needed until then.
            Some(manifest) => {
                let syncing = |source| HistoryError::Writing { what: "syncing the folder".into(), source };
                disk.sync_folder().map_err(syncing)?;
                manifest
            }
            None => found(&*disk, &names)?,
        };
        let is_named = |name: &String| manifest.entries.iter().any(|entry| entry.file_name() == *name);
        for name in names.iter().filter(|name| is_segment(name) || is_unfinished(name)) {
            // Where it cannot be removed, it is once its number or name is needed.
            if !is_named(name) && disk.remove(name).is_ok() {
                tracing::debug!(name, "removed what was left of unfinished work on the history");
            }
        }
        let segments = manifest.entries.iter().map(|entry| opened(&*disk, *entry));
        let segments = segments.collect::<Result<Vec<Segment>, HistoryError>>()?;
        let mut version = Version { checkpoints: manifest.checkpoints, segments };
        version.sort();
        Ok(Store {
            disk,
            options,
            current: RwLock::new(Arc::new(version)),
            replacing: Mutex::new(Replacing { next_number: manifest.next_number, failed: None }),
        })
    }

    /// The history as of now.
    pub fn version(&self) -> Arc<Version> {
        Arc::clone(&self.current.read().expect("nothing panics while the version is swapped"))
    }

    /// Why the medium failed, if it did.
    pub fn failed(&self) -> Option<String> {
        self.replacing().failed.clone()
    }

    /// Folds batches, durable when this returns: whole or not at all.
    pub fn flush(&self, batches: Vec<HistoryBatch>, now_ms: u64) -> Result<(), HistoryError> {
        let mut checkpoints = self.version().checkpoints.clone();
        let folded = fold(batches, &mut checkpoints);
        if let Some(failed) = self.failed() {
            return Err(HistoryError::Failed(failed));
        }
        if !folded.is_any {
            return Ok(());
        }
        let mut written = Vec::new();
        for (kind, rows, rewritten) in
            [(Kind::Facts, folded.facts, folded.rewritten), (Kind::Keys, folded.keys, Vec::new())]
        {
            if !rows.is_empty() {
                match self.write_flushed(kind, &rows, &rewritten, now_ms) {
                    Ok(segment) => written.push(segment),
                    Err(error) => {
                        written.iter().for_each(|segment: &Segment| self.remove(&segment.entry));
                        return Err(error);
                    }
                }
            }
        }
        let entries: Vec<Entry> = written.iter().map(|segment| segment.entry).collect();
        let replaced = self.replace(|version| {
            version.checkpoints = checkpoints;
            version.segments.append(&mut written);
            version.sort();
            Some(())
        });
        if replaced.as_ref().is_err_and(|error| !error.medium_failed()) {
            entries.iter().for_each(|entry| self.remove(entry));
        }
        replaced.map(drop)
    }

    /// Forgets every key filed under a day before `day`.
    pub fn forget_keys(&self, day: u32) -> Result<(), HistoryError> {
        let holds_such =
            |entry: &Entry| entry.kind == Kind::Keys && entry.day_low.max(entry.forgotten_below) < day;
        self.replace(|version| {
            if !version.segments.iter().any(|segment| holds_such(&segment.entry)) {
                return None;
            }
            version
                .segments
                .retain(|segment| segment.entry.kind == Kind::Facts || day <= segment.entry.day_high);
            for segment in version.segments.iter_mut().filter(|segment| holds_such(&segment.entry)) {
                segment.entry.forgotten_below = day;
            }
            Some(())
        })
        .map(drop)
    }

    /// Merges the lowest tier that is full, if one is. Whether there was one.
    pub fn merge_tier(&self, pause: Pause<'_>) -> Result<bool, HistoryError> {
        let version = self.version();
        let Some((kind, level)) = version.crowded(self.options.tier_segments) else { return Ok(false) };
        let is_of_tier = |segment: &&Segment| segment.entry.level == level && !segment.table.is_damaged();
        let mut tier: Vec<Segment> = version.of(kind).filter(is_of_tier).cloned().collect();
        drop(version);
        // The oldest, should there be many: one merge is bounded.
        let excess = tier.len().saturating_sub(self.options.tier_segments_max);
        tier.drain(..excess);
        self.rewrite(&tier, &[], (level + 1).min(LEVEL_MAX), pause)?;
        Ok(true)
    }

    /// Writes `inputs`, which are of one kind and newest first, as one segment without the addresses in `gone`, and
    /// puts it in their place. How many bytes were read and written; 0 where they were not all there any more.
    pub fn rewrite(
        &self,
        inputs: &[Segment],
        gone: &[Address],
        level: u8,
        pause: Pause<'_>,
    ) -> Result<u64, HistoryError> {
        let first = inputs.first().expect("somebody has chosen what to write anew").entry;
        let mut prefixes = 0;
        let mut rewritten = Vec::new();
        for input in inputs {
            prefixes += input.table.prefixes()?;
            if input.entry.rewritten_since_ms > 0 {
                rewritten.append(&mut input.table.rewritten()?);
            }
        }
        rewritten.sort_unstable();
        rewritten.dedup();
        let since =
            inputs.iter().map(|input| input.entry.rewritten_since_ms).filter(|&since| since > 0).min();
        let newest = inputs.iter().map(|input| input.entry.newest).max().unwrap_or(first.newest);
        let wanted = Wanted { kind: first.kind, level, newest: Some(newest), since_ms: since.unwrap_or(0) };
        let merged = self.written(wanted, prefixes as usize, &rewritten, |table| {
            table.reserve(inputs.iter().map(|input| input.entry.bytes).sum())?;
            write_merged(inputs, gone, table, pause)
        })?;
        let bytes = inputs.iter().map(|input| input.entry.bytes).sum::<u64>()
            + merged.as_ref().map_or(0, |segment| segment.entry.bytes);
        let entry = merged.as_ref().map(|segment| segment.entry);
        let installed = self.replace(|version| install(version, inputs, merged));
        if !matches!(&installed, Ok(Some(()))) && !matches!(&installed, Err(HistoryError::Writing { .. })) {
            entry.iter().for_each(|entry| self.remove(entry));
        }
        Ok(if installed?.is_some() { bytes } else { 0 })
    }

    /// Changes the history to what `change` makes of it, durable when this returns; `None` changes nothing.
    pub fn replace<T>(
        &self,
        change: impl FnOnce(&mut Version) -> Option<T>,
    ) -> Result<Option<T>, HistoryError> {
        let mut replacing = self.replacing();
        if let Some(failed) = &replacing.failed {
            return Err(HistoryError::Failed(failed.clone()));
        }
        let old = self.version();
        let mut new = Version::clone(&old);
        let Some(outcome) = change(&mut new) else { return Ok(None) };
        let are_named = new.segments.iter().all(|segment| old.segment(segment.entry.number).is_some());
        if let Err(error) = new.manifest(replacing.next_number).write(&*self.disk, are_named) {
            if error.medium_failed() {
                // Which of the two manifests stands is not known any more.
                replacing.failed = Some(error.to_string());
            }
            return Err(error);
        }
        let new = Arc::new(new);
        *self.current.write().expect("nothing panics while the version is swapped") = Arc::clone(&new);
        // To remove a large file takes a while, and nobody need wait for it.
        drop(replacing);
        for segment in &old.segments {
            if new.segment(segment.entry.number).is_none() {
                // Who reads it still has it open.
                self.remove(&segment.entry);
            }
        }
        Ok(Some(outcome))
    }

    fn replacing(&self) -> MutexGuard<'_, Replacing> {
        self.replacing.lock().expect("nothing panics while the manifest is replaced")
    }

    fn write_flushed(
        &self,
        kind: Kind,
        rows: &[Row],
        rewritten: &[Address],
        now_ms: u64,
    ) -> Result<Segment, HistoryError> {
        let since_ms = if rewritten.is_empty() { 0 } else { now_ms.max(1) };
        let wanted = Wanted { kind, level: 0, newest: None, since_ms };
        let add = |table: &mut TableWriter| rows.iter().try_for_each(|row| table.add(row));
        let segment = self.written(wanted, rows.len(), rewritten, add)?;
        Ok(segment.expect("there are rows"))
    }

    /// Writes a segment whole; removes it again if that fails, or if no row came.
    fn written(
        &self,
        wanted: Wanted,
        prefixes: usize,
        rewritten: &[Address],
        write: impl FnOnce(&mut TableWriter) -> Result<(), HistoryError>,
    ) -> Result<Option<Segment>, HistoryError> {
        let number = self.take_number();
        let whole = || {
            let mut table = TableWriter::create(&*self.disk, &self.options, wanted.kind, number, prefixes)?;
            write(&mut table)?;
            if table.rows() == 0 { Ok(None) } else { table.finish(rewritten).map(Some) }
        };
        let written = whole().inspect_err(|error| {
            if error.medium_failed() {
                self.replacing().failed = Some(error.to_string());
            }
        });
        if !matches!(&written, Ok(Some(_))) {
            _ = self.disk.remove(&super::manifest::file_name(wanted.kind, number));
        }
        Ok(written?.map(|written| {
            let entry = Entry {
                kind: wanted.kind,
                level: wanted.level,
                number,
                newest: wanted.newest.unwrap_or(number),
                bytes: written.bytes,
                rows: written.rows,
                day_low: written.days.0,
                day_high: written.days.1,
                forgotten_below: 0,
                rewritten_since_ms: wanted.since_ms,
            };
            Segment { entry, table: Arc::new(written.table) }
        }))
    }

    fn take_number(&self) -> u64 {
        let mut replacing = self.replacing();
        replacing.next_number += 1;
        replacing.next_number - 1
    }

    /// Removes a file that no manifest names. Where that fails, it is removed when the history is opened.
    fn remove(&self, entry: &Entry) {
        _ = self.disk.remove(&entry.file_name());
    }
}

/// What a segment is to be.
struct Wanted {
    kind: Kind,
    level: u8,
    /// The newest flush in it; `None`: itself.
    newest: Option<u64>,
    since_ms: u64,
}

/// Puts `merged` in the place of `inputs`, if those are all there still.
fn install(version: &mut Version, inputs: &[Segment], merged: Option<Segment>) -> Option<()> {
    let mut forgotten_below = 0;
    for input in inputs {
        let now = version.segment(input.entry.number)?.entry;
        // Forgotten while it was being written: that goes for everything that was there.
        if now.forgotten_below != input.entry.forgotten_below {
            forgotten_below = forgotten_below.max(now.forgotten_below);
        }
    }
    let is_input = |segment: &Segment| inputs.iter().any(|input| input.entry.number == segment.entry.number);
    version.segments.retain(|segment| !is_input(segment));
    if let Some(mut merged) = merged {
        merged.entry.forgotten_below = forgotten_below;
        version.segments.push(merged);
    }
    version.sort();
    Some(())
}

/// Begins an empty history, in a folder that holds none.
fn found(disk: &dyn Disk, names: &[String]) -> Result<Manifest, HistoryError> {
    if let Some(file) = names.iter().find(|name| is_segment(name)) {
        // An empty manifest is durable before there is any segment.
        let what = "the manifest is gone, and here is a segment of what it named".to_owned();
        return Err(HistoryError::Damaged { file: format!("history/{file}"), offset: 0, what });
    }
    let manifest = Manifest::empty();
    manifest.write(disk, true)?;
    Ok(manifest)
}

fn opened(disk: &dyn Disk, entry: Entry) -> Result<Segment, HistoryError> {
    let name = entry.file_name();
    let shown = format!("history/{name}");
    let file = disk.open(&name).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            HistoryError::Damaged { file: shown.clone(), offset: 0, what: "it is gone".into() }
        }
        _ => HistoryError::Reading { file: shown.clone(), source },
    })?;
    let bytes = file.len().map_err(|source| HistoryError::Reading { file: shown.clone(), source })?;
    if bytes != entry.bytes {
        let what = format!("it has {bytes} bytes, and should have {}", entry.bytes);
        return Err(HistoryError::Damaged { file: shown, offset: bytes.min(entry.bytes), what });
    }
    Ok(Segment { entry, table: Arc::new(Table::new(name, entry.number, entry.kind, file, bytes)) })
}
