//! The thread that merges a full tier into one segment of the next, so that a reader meets few of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use super::manifest::Segment;
use super::table::{Table, TableWriter};
use super::{Open, Store, TIER_SEGMENTS, Version};
use crate::rows::{Address, Row};

/// Merges whatever is full, until the store is closed or its medium failed.
pub(super) fn run(store: &Store) {
    loop {
        let mut replacing = store.replacing();
        let (kind, level) = loop {
            if replacing.closing || replacing.failed.is_some() {
                return;
            }
            if let Some(crowded) = store.version().crowded(TIER_SEGMENTS) {
                break crowded;
            }
            replacing = store.changed.wait(replacing).expect("no panic while the manifest is replaced");
        };
        drop(replacing);
        let version = store.version();
        let of_tier = |open: &&Arc<Open>| open.segment.kind == kind && open.segment.level == level;
        let tier: Vec<Arc<Open>> = version.segments.iter().filter(of_tier).cloned().collect();
        drop(version);
        let merged = merge(store, &tier, level + 1);
        // Whoever cannot merge can still serve: for want of space it is tried again after the next flush.
        let mut replacing = store.replacing();
        replacing.stuck = merged.is_err();
        if replacing.stuck && !replacing.closing && replacing.failed.is_none() {
            store.changed.notify_all();
            drop(store.changed.wait(replacing).expect("no panic while the manifest is replaced"));
        }
    }
}

fn merge(store: &Store, tier: &[Arc<Open>], level: u8) -> io::Result<()> {
    let newest = tier.iter().map(|open| open.segment.newest).max().expect("a full tier has segments");
    let segment = Segment { kind: tier[0].segment.kind, level, number: store.number(), newest };
    let prefixes = tier.iter().map(|open| open.table.prefixes).sum();
    let merged = store.written(segment, prefixes, |table| write_merged(store, tier, table))?;
    let inputs: Vec<u64> = tier.iter().map(|open| open.segment.number).collect();
    let is_input = |open: &Arc<Open>| inputs.contains(&open.segment.number);
    let install = |version: &mut Version| {
        // Keys of a day may have been forgotten meanwhile.
        if version.segments.iter().filter(|open| is_input(open)).count() < inputs.len() {
            return None;
        }
        version.segments.retain(|open| !is_input(open));
        version.segments.push(merged);
        version.segments.sort_by_key(|open| Reverse(open.segment.newest));
        Some(())
    };
    if store.replace(store.replacing(), install)?.is_none() {
        std::fs::remove_file(store.folder.join(segment.file_name()))?;
    }
    Ok(())
}

fn write_merged(store: &Store, tier: &[Arc<Open>], table: &mut TableWriter) -> io::Result<()> {
    let mut sources: Vec<Source<'_>> = tier.iter().map(|open| Source::new(&open.table)).collect();
    let mut heap = BinaryHeap::with_capacity(sources.len());
    for (at, source) in sources.iter_mut().enumerate() {
        source.push_next(store, at, &mut heap)?;
    }
    let mut last: Option<Address> = None;
    while let Some(Reverse(next)) = heap.pop() {
        let row = sources[next.source].ahead.take().expect("what is in the heap is ahead");
        // Of one address the largest n comes first, and of those the newest segment's.
        if last != Some(row.address) {
            table.add(&row)?;
            last = Some(row.address);
        }
        sources[next.source].push_next(store, next.source, &mut heap)?;
    }
    Ok(())
}

/// The order of the heap: by address, then the largest n, then the newest segment, which comes first in a tier.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    address: Address,
    n: Reverse<u64>,
    source: usize,
}

/// One segment being read from its beginning.
struct Source<'table> {
    table: &'table Table,
    next_block: usize,
    rows: std::vec::IntoIter<Row>,
    ahead: Option<Row>,
}

impl<'table> Source<'table> {
    fn new(table: &'table Table) -> Self {
        Source { table, next_block: 0, rows: Vec::new().into_iter(), ahead: None }
    }

    fn push_next(
        &mut self,
        store: &Store,
        source: usize,
        heap: &mut BinaryHeap<Reverse<Next>>,
    ) -> io::Result<()> {
        self.ahead = self.rows.next();
        if self.ahead.is_none() && self.next_block < self.table.blocks() {
            if store.replacing().closing {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            self.rows = self.table.block(self.next_block)?.into_iter();
            self.next_block += 1;
            self.ahead = self.rows.next();
        }
        if let Some(row) = &self.ahead {
            heap.push(Reverse(Next { address: row.address, n: Reverse(row.n.0), source }));
        }
        Ok(())
    }
}
