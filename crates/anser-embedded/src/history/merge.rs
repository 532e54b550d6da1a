//! Writing segments anew: several as one, of each row the newest; or one without what is to go.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::error::HistoryError;
use super::rows::{Address, Kind, Row, day_of};
use super::version::Segment;
use super::writer::TableWriter;

/// Told between blocks: may wait for who goes first; an error ends the work.
pub(crate) type Pause<'a> = &'a dyn Fn() -> Result<(), HistoryError>;

/// Writes all rows of `inputs`, which are newest first, but for those that `gone` names. It is in order.
pub(crate) fn write_merged(
    inputs: &[Segment],
    gone: &[Address],
    table: &mut TableWriter,
    pause: Pause<'_>,
) -> Result<(), HistoryError> {
    let mut sources: Vec<Source<'_>> = inputs.iter().map(Source::new).collect();
    let mut heap = BinaryHeap::with_capacity(sources.len());
    for (at, source) in sources.iter_mut().enumerate() {
        source.push_next(at, &mut heap, pause)?;
    }
    let mut last: Option<Address> = None;
    while let Some(Reverse(next)) = heap.pop() {
        let row = sources[next.source].ahead.take().expect("what is in the heap is ahead");
        // Of one address the largest n comes first, and of those the newest segment's.
        if last != Some(row.address) {
            if gone.binary_search(&row.address).is_err() {
                table.add(&row)?;
            }
            last = Some(row.address);
        }
        sources[next.source].push_next(next.source, &mut heap, pause)?;
    }
    Ok(())
}

/// The order of the heap: by address, then the largest n, then the newest segment, which comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Next {
    address: Address,
    n: Reverse<u64>,
    source: usize,
}

/// One segment being read from its beginning, without the keys that it has forgotten.
struct Source<'segment> {
    segment: &'segment Segment,
    next_block: usize,
    rows: std::vec::IntoIter<Row>,
    ahead: Option<Row>,
}

impl<'segment> Source<'segment> {
    fn new(segment: &'segment Segment) -> Self {
        Source { segment, next_block: 0, rows: Vec::new().into_iter(), ahead: None }
    }

    fn push_next(
        &mut self,
        source: usize,
        heap: &mut BinaryHeap<Reverse<Next>>,
        pause: Pause<'_>,
    ) -> Result<(), HistoryError> {
        self.ahead = loop {
            match self.rows.next() {
                Some(row) if self.forgets(&row) => {}
                Some(row) => break Some(row),
                None if self.next_block == self.segment.table.blocks()? => break None,
                None => {
                    pause()?;
                    self.rows = self.segment.table.block(self.next_block)?.into_iter();
                    self.next_block += 1;
                }
            }
        };
        if let Some(row) = &self.ahead {
            heap.push(Reverse(Next { address: row.address, n: Reverse(row.n.0), source }));
        }
        Ok(())
    }

    fn forgets(&self, row: &Row) -> bool {
        let entry = &self.segment.entry;
        entry.kind == Kind::Keys && day_of(&row.address) < entry.forgotten_below
    }
}
