//! The history at one moment: which segments it consists of, and what is found in them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use anser_core::ports::history::{FactRow, HistoryRange, KeyRow};
use anser_model::{N, Slot, planted};

use super::error::HistoryError;
use super::manifest::{Entry, Manifest};
use super::rows::{Address, Kind, Row, fact_address, key_address};
use super::table::Table;

/// All segments, and through which n they go.
#[derive(Clone)]
pub(crate) struct Version {
    /// Through which n every slot is folded.
    pub checkpoints: Vec<N>,
    /// Newest first.
    pub segments: Vec<Segment>,
}

/// A segment and its file.
#[derive(Clone)]
pub(crate) struct Segment {
    pub entry: Entry,
    pub table: Arc<Table>,
}

/// Where a row that was written again lies.
pub(crate) struct Holding {
    /// Number of the segment.
    pub number: u64,
    /// Which version of it.
    pub n: N,
}

impl Version {
    /// As it is written.
    pub fn manifest(&self, next_number: u64) -> Manifest {
        let entries = self.segments.iter().map(|segment| segment.entry).collect();
        Manifest { checkpoints: self.checkpoints.clone(), next_number, entries }
    }

    /// Brings the segments into the order in which they are read.
    pub fn sort(&mut self) {
        self.segments.sort_by_key(|segment| Reverse((segment.entry.newest, segment.entry.number)));
    }

    /// The segment with this number.
    pub fn segment(&self, number: u64) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.entry.number == number)
    }

    /// The segments of one kind, newest first.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.entry.kind == kind)
    }

    /// Rows of one conversation, ascending by seq: of each the one with the largest n.
    pub fn range(&self, slot: Slot, range: &HistoryRange) -> Result<Vec<FactRow>, HistoryError> {
        let [mut low, mut high] = [range.low, range.high].map(|seq| fact_address(slot, range.cid, seq));
        let (conversation, mut rows) = (low, Vec::<Row>::new());
        for segment in self.of(Kind::Facts) {
            if low > high || range.limit == 0 {
                break;
            }
            if !segment.table.may_hold(&conversation)? {
                continue;
            }
            let mut found = segment.table.range(&low, &high, range.limit, range.newest_first)?;
            if found.is_empty() {
                continue;
            }
            rows.append(&mut found);
            // Of the same n the newer segment's row stands, and that came first: the sort is stable.
            rows.sort_by(|left, right| {
                let by_address = left.address.cmp(&right.address);
                let by_address = if range.newest_first { by_address.reverse() } else { by_address };
                by_address.then(right.n.cmp(&left.n))
            });
            rows.dedup_by_key(|row| row.address);
            rows.truncate(range.limit);
            // Older segments matter no further than to what is found already.
            if rows.len() == range.limit {
                let bound = if range.newest_first { &mut low } else { &mut high };
                *bound = rows[range.limit - 1].address;
            }
        }
        if range.newest_first {
            rows.reverse();
        }
        Ok(rows.into_iter().map(Row::into_fact).collect())
    }

    /// What is remembered of a command: the row with the largest n.
    pub fn key(&self, day: u32, slot: Slot, key: u128) -> Result<Option<KeyRow>, HistoryError> {
        let address = key_address(day, slot, key);
        let mut newest: Option<Row> = None;
        for segment in self.of(Kind::Keys) {
            let entry = &segment.entry;
            let may_be = entry.day_low.max(entry.forgotten_below) <= day && day <= entry.day_high;
            if !may_be || !segment.table.may_hold(&address)? {
                continue;
            }
            let found = segment.table.range(&address, &address, 1, false)?.pop();
            if let Some(row) = found
                && newest.as_ref().is_none_or(|newest| newest.n < row.n)
            {
                newest = Some(row);
            }
        }
        Ok(newest.map(|row| row.to_key()))
    }

    /// The kind and level that has so many segments or more that can be merged, if any; the lowest level first.
    pub fn crowded(&self, segments: usize) -> Option<(Kind, u8)> {
        let mut counts = BTreeMap::new();
        for segment in self.segments.iter().filter(|segment| !segment.table.is_damaged()) {
            *counts.entry((segment.entry.level, segment.entry.kind)).or_insert(0) += 1;
        }
        let crowded = counts.into_iter().find(|(_, count)| *count >= segments);
        crowded.map(|((level, kind), _)| (kind, level))
    }

    /// Where each of `addresses`, which are in order, has versions. What cannot be read is left out: a
    /// damaged segment is served to nobody. Counts the bytes that were read into `read_bytes`.
    pub fn holdings(
        &self,
        addresses: &[Address],
        read_bytes: &mut u64,
    ) -> Result<BTreeMap<Address, Vec<Holding>>, HistoryError> {
        let mut holdings: BTreeMap<Address, Vec<Holding>> = BTreeMap::new();
        for segment in self.of(Kind::Facts).filter(|segment| !segment.table.is_damaged()) {
            let mut block: Option<(usize, Vec<Row>)> = None;
            for address in addresses {
                if !segment.table.may_hold(address)? {
                    continue;
                }
                let Some(at) = segment.table.block_of(address)? else { continue };
                if block.as_ref().is_none_or(|(read, _)| *read != at) {
                    let rows = segment.table.block(at)?;
                    let bytes = |row: &Row| (row.address.len() + row.value.len()) as u64;
                    *read_bytes += rows.iter().map(bytes).sum::<u64>();
                    block = Some((at, rows));
                }
                let (_, rows) = block.as_ref().expect("it was just read");
                if let Ok(row) = rows.binary_search_by_key(address, |row| row.address) {
                    let holding = Holding { number: segment.entry.number, n: rows[row].n };
                    holdings.entry(*address).or_default().push(holding);
                }
            }
        }
        Ok(holdings)
    }
}

/// Which addresses each segment holds in a version that is not the newest.
pub(crate) fn superseded(holdings: BTreeMap<Address, Vec<Holding>>) -> BTreeMap<u64, Vec<Address>> {
    let mut superseded: BTreeMap<u64, Vec<Address>> = BTreeMap::new();
    for (address, versions) in holdings {
        let Some(newest) = versions.iter().map(|version| version.n).max() else { continue };
        // The bug erases what stands, and keeps what was recalled.
        let is_old = |n: N| if planted!(EraseTheNewest) { n == newest } else { n < newest };
        let many = versions.len() > 1;
        for old in versions.iter().filter(|version| many && is_old(version.n)) {
            superseded.entry(old.number).or_default().push(address);
        }
    }
    superseded
}
