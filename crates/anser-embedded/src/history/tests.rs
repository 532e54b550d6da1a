//! The history beside a plain map, under damage, and by the port's suite.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anser_core::ports::history::{FactRow, History, HistoryBatch, HistoryRange, KeyRow};
use anser_core::ports::history_conformance::{HistoryFactory, check_history};
use anser_core::ports::log_conformance::block_on;
use anser_model::{ConversationId, N, Seq, Slot};
use bytes::Bytes;

use super::*;
use crate::disk::FolderDisk;
use crate::system::SystemClock;

const SLOTS: [Slot; 3] = [Slot(0), Slot(7), Slot(255)];

/// Blocks of a few rows, tiers of a few segments.
fn small() -> HistoryOptions {
    HistoryOptions {
        block_bytes: 200,
        tier_segments: 3,
        tier_segments_max: 9,
        sync_step_bytes: 1_000,
        erase_gather_ms: 50,
        erase_large_bytes: u64::MAX,
    }
}

fn disk(path: &Path) -> Arc<FolderDisk> {
    Arc::new(FolderDisk::open(path).unwrap())
}

struct Folder(PathBuf, HistoryOptions);

impl HistoryFactory for Folder {
    fn open(&self) -> Arc<dyn History> {
        let clock = Arc::new(SystemClock);
        Arc::new(SegmentHistory::open(disk(&self.0), self.1.clone(), clock).unwrap())
    }
}

#[test]
fn conforms() {
    for options in [HistoryOptions::usual(), small()] {
        let mut folders = Vec::new();
        check_history(&mut || {
            let folder = tempfile::tempdir().unwrap();
            let factory = Folder(folder.path().to_owned(), options.clone());
            folders.push(folder);
            Box::new(factory)
        });
    }
}

/// SplitMix64, as in the simulator.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// What the history must hold.
#[derive(Default)]
struct Model {
    facts: BTreeMap<(Slot, ConversationId, Seq), FactRow>,
    keys: BTreeMap<(Slot, u32, u128), KeyRow>,
    n: BTreeMap<Slot, u64>,
    /// Bodies that were replaced.
    gone: BTreeSet<Bytes>,
}

fn cid(number: u64) -> ConversationId {
    ConversationId([number as u8; 16])
}

impl Model {
    /// A batch of some new rows, some written again, and keys of several days.
    fn batch(&mut self, chance: &mut Chance) -> HistoryBatch {
        let slot = SLOTS[chance.below(3) as usize];
        let n = self.n.entry(slot).or_default();
        let mut batch = HistoryBatch { slot, through: N(0), facts: Vec::new(), keys: Vec::new() };
        for _ in 0..1 + chance.below(6) {
            *n += 1;
            let at = (slot, cid(chance.below(3)), Seq(1 + chance.below(40)));
            let body = format!("body of {} {} {n}", slot.0, at.2).repeat(1 + chance.below(4) as usize);
            let replaces = self.facts.contains_key(&at);
            let row = FactRow { cid: at.1, seq: at.2, n: N(*n), fact: Bytes::from(body), replaces };
            batch.facts.push(row.clone());
            if let Some(old) = self.facts.insert(at, FactRow { replaces: false, ..row }) {
                self.gone.insert(old.fact);
            }
            let day = 100 + (*n / 40) as u32 + chance.below(3) as u32;
            let key = KeyRow {
                key: u128::from(chance.below(50)) << 64,
                day,
                n: N(*n),
                seq: at.2,
                request_hash: *n,
            };
            batch.keys.push(key);
            self.keys.insert((slot, day, key.key), key);
        }
        batch.through = N(*n);
        batch
    }

    fn check(&self, history: &SteppedHistory, chance: &mut Chance) {
        for slot in SLOTS {
            let n = self.n.get(&slot).copied().unwrap_or(0);
            assert_eq!(history.checkpoints()[slot.index()], N(n));
            for number in 0..4 {
                let (low, high) = (Seq(chance.below(45)), Seq(chance.below(60)));
                let limit = [usize::MAX, 3, 1][chance.below(3) as usize];
                let newest_first = chance.below(2) == 0;
                let range = HistoryRange { cid: cid(number), low, high, limit, newest_first };
                let mut right: Vec<FactRow> = match low <= high {
                    true => self
                        .facts
                        .range((slot, range.cid, low)..=(slot, range.cid, high))
                        .map(|(_, row)| row.clone())
                        .collect(),
                    false => Vec::new(),
                };
                let excess = right.len().saturating_sub(limit);
                if newest_first {
                    drop(right.drain(..excess))
                } else {
                    right.truncate(limit)
                }
                assert_eq!(history.range(slot, &range).unwrap(), right, "{slot} {range:?}");
            }
        }
        for _ in 0..10 {
            let slot = SLOTS[chance.below(3) as usize];
            let at = (slot, 100 + chance.below(20) as u32, u128::from(chance.below(50)) << 64);
            assert_eq!(history.key(at.1, slot, at.2).unwrap(), self.keys.get(&at).copied(), "{at:?}");
        }
    }
}

/// All bytes of all segments.
fn on_disk(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        // One may go while this looks.
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap_or_default());
    }
    bytes
}

fn holds(bytes: &[u8], body: &[u8]) -> bool {
    bytes.windows(body.len()).any(|window| window == body)
}

#[test]
fn any_order_of_work_is_as_a_map_would_have_it() {
    for seed in 1..=12 {
        let mut chance = Chance(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut model = Model::default();
        let mut history = SteppedHistory::open(disk(folder.path()), small()).unwrap();
        for now_ms in 1..300 {
            match chance.below(12) {
                0 => _ = history.merge().unwrap(),
                1 => while history.merge().unwrap() {},
                2 => _ = history.erase(now_ms).unwrap(),
                3 => {
                    let day = 95 + (now_ms / 20) as u32;
                    history.forget_keys(day).unwrap();
                    model.keys.retain(|(_, filed, _), _| *filed >= day);
                }
                4 => {
                    drop(history);
                    history = SteppedHistory::open(disk(folder.path()), small()).unwrap();
                }
                5 => model.check(&history, &mut chance),
                _ => {
                    let batches = (0..1 + chance.below(3)).map(|_| model.batch(&mut chance)).collect();
                    history.flush(batches, now_ms).unwrap();
                }
            }
        }
        model.check(&history, &mut chance);
        while history.erase(10_000).unwrap() {}
        model.check(&history, &mut chance);
        let bytes = on_disk(folder.path());
        let left: BTreeSet<&Bytes> = model.facts.values().map(|row| &row.fact).collect();
        let gone: Vec<&Bytes> = model.gone.iter().filter(|body| !left.contains(body)).collect();
        assert!(gone.len() > 50, "seed {seed}: {} bodies were replaced", gone.len());
        for body in gone {
            // A shorter one may be the beginning of one that stands.
            let stands = left.iter().any(|kept| holds(kept, body));
            assert!(stands || !holds(&bytes, body), "seed {seed}: {body:?} is still on the disk");
        }
        drop(history);
        let history = SteppedHistory::open(disk(folder.path()), small()).unwrap();
        model.check(&history, &mut chance);
        assert!(history.check().unwrap().segments < 60, "{:?}", history.check());
    }
}

/// A history of some segments, merged and not.
fn some(folder: &Path) -> Model {
    let (mut chance, mut model) = (Chance(3), Model::default());
    let history = SteppedHistory::open(disk(folder), small()).unwrap();
    for now_ms in 1..8 {
        history.flush(vec![model.batch(&mut chance)], now_ms).unwrap();
        if now_ms == 5 {
            while history.merge().unwrap() {}
        }
    }
    model
}

#[test]
fn no_flipped_bit_is_served_and_none_is_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let model = some(folder.path());
    let mut refused = BTreeSet::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bytes).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let told = check_honest(folder.path(), &model);
            let error = told.unwrap_or_else(|| panic!("byte {at} of {name} was flipped unnoticed"));
            assert!(error.contains(&name), "{name}: {error}");
            assert!(error.contains("byte") || error.contains("format"), "{error}");
            refused.insert(name);
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        if !whole.is_empty() {
            assert!(check_honest(folder.path(), &model).is_some());
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(refused.len() > 3 && refused.contains(MANIFEST_FILE), "{refused:?}");
    assert_eq!(check_honest(folder.path(), &model), None);
}

/// Every answer is an error or the truth, and a check finds what is wrong: the error, if there was one.
fn check_honest(folder: &Path, model: &Model) -> Option<String> {
    let history = match SteppedHistory::open(disk(folder), small()) {
        Ok(history) => history,
        Err(error) => return Some(error.to_string()),
    };
    for (&(slot, cid, seq), row) in &model.facts {
        let range = HistoryRange { cid, low: seq, high: seq, limit: 1, newest_first: false };
        if let Ok(read) = history.range(slot, &range) {
            assert_eq!(read, std::slice::from_ref(row));
        }
    }
    for (&(slot, day, key), row) in &model.keys {
        if let Ok(read) = history.key(day, slot, key) {
            assert_eq!(read, Some(*row));
        }
    }
    history.check().err().map(|error| error.to_string())
}

#[test]
fn what_no_manifest_names_is_removed_and_a_lost_manifest_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    drop(some(folder.path()));
    let orphan = folder.path().join("000000009999.facts");
    std::fs::write(&orphan, "half a segment").unwrap();
    assert!(SteppedHistory::open(disk(folder.path()), small()).is_ok());
    assert!(!orphan.exists());
    std::fs::remove_file(folder.path().join(MANIFEST_FILE)).unwrap();
    let Err(error) = SteppedHistory::open(disk(folder.path()), small()) else { panic!("it is lost") };
    assert!(error.to_string().contains("manifest is gone"), "{error}");
}

#[test]
fn a_damaged_segment_holds_up_no_merge_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (mut chance, mut model) = (Chance(9), Model::default());
    let history = SteppedHistory::open(disk(folder.path()), small()).unwrap();
    history.flush(vec![model.batch(&mut chance)], 1).unwrap();
    drop(history);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "facts") {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[30] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let history = SteppedHistory::open(disk(folder.path()), small()).unwrap();
    let mut errors = 0;
    for now_ms in 2..60 {
        history.flush(vec![model.batch(&mut chance)], now_ms).unwrap();
        loop {
            match history.merge() {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => errors += 1,
            }
        }
    }
    assert_eq!(errors, 1, "once, and never again in this life");
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert!(files < 30, "{files} files");
}

/// What is read and written to erase is spread over time, whatever there is to do.
#[test]
fn erasing_keeps_its_pace() {
    let folder = tempfile::tempdir().unwrap();
    let options = HistoryOptions { erase_gather_ms: 0, tier_segments: 99, ..HistoryOptions::usual() };
    let store = super::store::Store::open(disk(folder.path()), options).unwrap();
    let row = |seq: u64, n: u64, replaces: bool| {
        let fact = match replaces {
            true => Bytes::from_static(b"recalled"),
            false => Bytes::from(vec![2; 2 * 1024 * 1024]),
        };
        FactRow { cid: cid(1), seq: Seq(seq), n: N(n), fact, replaces }
    };
    for seq in 1..=15 {
        let batch = HistoryBatch {
            slot: Slot(0),
            through: N(seq),
            facts: vec![row(seq, seq, false)],
            keys: Vec::new(),
        };
        store.flush(vec![batch], 1).unwrap();
    }
    let facts = (1..=15).map(|seq| row(seq, 100 + seq, true)).collect();
    store.flush(vec![HistoryBatch { slot: Slot(0), through: N(200), facts, keys: Vec::new() }], 1).unwrap();
    let mut erasing = super::erase::Erasing::default();
    let mut step = |at_ms: u64| erasing.step(&store, (1_000, at_ms), &|| Ok(())).unwrap();
    // To find them takes 30 MiB, which is more than it may be ahead by.
    assert!(step(0) && !step(0) && !step(1_000));
    let mut at_ms = 1_000;
    let mut pieces = 0;
    while on_disk(folder.path()).len() > 1024 * 1024 {
        pieces += u32::from(step(at_ms));
        at_ms += 100;
        assert!(at_ms < 60_000, "{pieces} pieces");
    }
    assert!(pieces >= 13 && at_ms > 4_000, "{pieces} pieces in {at_ms} ms");
}

/// A large segment is written anew at once the first time, and then only after its rest, with all that gathered.
#[test]
fn a_large_segment_rests_after_it_was_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let options = HistoryOptions { erase_gather_ms: 0, erase_large_bytes: 2_000, ..HistoryOptions::usual() };
    let store = super::store::Store::open(disk(folder.path()), options).unwrap();
    let row = |seq: u64, n: u64| {
        let fact = Bytes::from(format!("body {seq} at {n} "));
        FactRow { cid: cid(1), seq: Seq(seq), n: N(n), fact, replaces: n > 100 }
    };
    let flush = |through: u64, facts| {
        store
            .flush(vec![HistoryBatch { slot: Slot(0), through: N(through), facts, keys: Vec::new() }], 1)
            .unwrap();
    };
    flush(100, (1..=100).map(|seq| row(seq, seq)).collect());
    let mut erasing = super::erase::Erasing::default();
    let mut erase = |at_ms: u64| {
        for _ in 0..20 {
            erasing.step(&store, (at_ms + 10, at_ms), &|| Ok(())).unwrap();
        }
        on_disk(folder.path())
    };
    flush(101, vec![row(5, 101)]);
    assert!(!holds(&erase(0), b"body 5 at 5 "), "at once");
    flush(102, vec![row(6, 102)]);
    flush(103, vec![row(7, 103)]);
    assert!(holds(&erase(60_000), b"body 6 at 6 "), "it rests");
    let bytes = erase(ERASE_REST_MS + 1);
    assert!(!holds(&bytes, b"body 6 at 6 ") && !holds(&bytes, b"body 7 at 7 "), "both at once");
    assert!(holds(&bytes, b"body 6 at 102 ") && holds(&bytes, b"body 8 at 8 "));
}

#[test]
fn threads_merge_and_erase_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let (mut chance, mut model) = (Chance(5), Model::default());
    let options = HistoryOptions { erase_gather_ms: 0, ..small() };
    let history = SegmentHistory::open(disk(folder.path()), options, Arc::new(SystemClock)).unwrap();
    for _ in 0..60 {
        block_on(history.flush(vec![model.batch(&mut chance), model.batch(&mut chance)])).unwrap();
    }
    let is_done = || {
        let bytes = on_disk(folder.path());
        let stands = |body: &Bytes| model.facts.values().any(|row| holds(&row.fact, body));
        model.gone.iter().all(|body| stands(body) || !holds(&bytes, body))
    };
    let mut tries = 0;
    while !is_done() {
        tries += 1;
        assert!(tries < 300, "what was replaced is still on the disk");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    drop(history);
    let history = SteppedHistory::open(disk(folder.path()), small()).unwrap();
    model.check(&history, &mut chance);
    assert!(history.check().unwrap().segments < 30);
}
