//! Writing one segment, row by row in order.

use anser_core::ports::disk::{Disk, DiskFile};
use bytes::BufMut;

use super::error::HistoryError;
use super::filter::Filter;
use super::manifest::{create, file_name};
use super::options::HistoryOptions;
use super::rows::{Address, Kind, Row, day_of};
use super::table::{BlockAt, Footer, HEADER_BYTES, Held, MAGIC, Table, checksum};

/// Bytes that are handed to the system with one call.
const WRITE_BYTES: usize = 256 * 1024;

/// A segment on its way.
pub(crate) struct TableWriter {
    name: String,
    number: u64,
    kind: Kind,
    file: Box<dyn DiskFile>,
    block_bytes: usize,
    sync_step_bytes: u64,
    /// Where the buffer will be written.
    buffer_at: u64,
    /// Up to where the file was synced.
    synced: u64,
    /// Up to where room was reserved.
    reserved: u64,
    buffer: Vec<u8>,
    block: Vec<u8>,
    first: Option<Address>,
    last: Option<Address>,
    index: Vec<BlockAt>,
    filter: Filter,
    prefixes: u64,
    rows: u64,
    days: Option<(u32, u32)>,
}

/// A segment that was written and synced.
pub(crate) struct Written {
    pub table: Table,
    pub bytes: u64,
    pub rows: u64,
    /// Smallest and largest day of its keys.
    pub days: (u32, u32),
}

impl TableWriter {
    /// Begins a segment with at most so many different prefixes.
    pub fn create(
        disk: &dyn Disk,
        options: &HistoryOptions,
        kind: Kind,
        number: u64,
        prefixes: usize,
    ) -> Result<TableWriter, HistoryError> {
        let name = file_name(kind, number);
        let file = create(disk, &name).map_err(HistoryError::writing(format!("creating history/{name}")))?;
        let mut buffer = Vec::with_capacity(WRITE_BYTES + 2 * options.block_bytes);
        buffer.put_slice(MAGIC);
        buffer.put_u64_le(number);
        Ok(TableWriter {
            name,
            number,
            kind,
            file,
            block_bytes: options.block_bytes,
            sync_step_bytes: options.sync_step_bytes,
            buffer_at: 0,
            synced: 0,
            reserved: 0,
            buffer,
            block: Vec::with_capacity(2 * options.block_bytes),
            first: None,
            last: None,
            index: Vec::new(),
            filter: Filter::for_prefixes(prefixes),
            prefixes: 0,
            rows: 0,
            days: None,
        })
    }

    /// Reserves room for so many bytes, so that a long piece of work fails before it has filled the disk.
    pub fn reserve(&mut self, bytes: u64) -> Result<(), HistoryError> {
        let what = || format!("reserving {bytes} bytes for history/{}", self.name);
        self.file.allocate(bytes).map_err(HistoryError::writing(what()))?;
        self.reserved = bytes;
        Ok(())
    }

    /// How many rows there are so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the next row.
    ///
    /// # Panics
    /// It does not come after the one before.
    pub fn add(&mut self, row: &Row) -> Result<(), HistoryError> {
        assert!(self.last.is_none_or(|last| last < row.address), "rows come in order, each address once");
        let length = u32::try_from(row.value.len()).expect("a fact is far below 4 GiB");
        let prefix = self.kind.prefix(&row.address);
        if self.last.is_none_or(|last| self.kind.prefix(&last) != prefix) {
            self.filter.add(prefix);
            self.prefixes += 1;
        }
        if self.kind == Kind::Keys {
            let day = day_of(&row.address);
            self.days = Some(self.days.map_or((day, day), |(low, high)| (low.min(day), high.max(day))));
        }
        self.first.get_or_insert(row.address);
        self.last = Some(row.address);
        self.rows += 1;
        self.block.put_slice(&row.address);
        self.block.put_u64_le(row.n.0);
        self.block.put_u32_le(length);
        self.block.put_slice(&row.value);
        if self.block.len() >= self.block_bytes { self.close_block() } else { Ok(()) }
    }

    /// Writes the rest, with the addresses of which older segments may hold other versions, and syncs the file.
    pub fn finish(mut self, rewritten: &[Address]) -> Result<Written, HistoryError> {
        self.close_block()?;
        self.filter.shrink_to(self.prefixes as usize);
        let tail_at = self.end();
        let mut tail = Vec::new();
        for block in &self.index {
            tail.put_slice(&block.first);
            tail.put_u64_le(block.offset);
            tail.put_u32_le(block.bytes);
        }
        let index_bytes = tail.len() as u64;
        tail.append(&mut self.filter.to_bytes());
        let filter_bytes = tail.len() as u64 - index_bytes;
        let again = rewritten.concat();
        let footer = Footer {
            tail_at,
            index_bytes,
            filter_bytes,
            rewritten_bytes: again.len() as u64,
            prefixes: self.prefixes,
            tail_crc: checksum(self.number, tail_at, &tail),
            rewritten_crc: checksum(self.number, tail_at + tail.len() as u64, &again),
        };
        self.buffer.append(&mut tail);
        self.buffer.extend_from_slice(&again);
        let footer_at = self.end();
        self.buffer.append(&mut footer.encode(self.number, footer_at));
        self.write()?;
        if self.reserved > self.buffer_at {
            let what = || format!("cutting history/{}", self.name);
            self.file.set_len(self.buffer_at).map_err(HistoryError::writing(what()))?;
        }
        self.sync()?;
        let held = Held { index: self.index, filter: self.filter, footer };
        let bytes = self.buffer_at;
        let table = Table::new(self.name, self.number, self.kind, self.file, bytes).holding(held);
        Ok(Written { table, bytes, rows: self.rows, days: self.days.unwrap_or((0, 0)) })
    }

    /// Where the next byte will lie in the file.
    fn end(&self) -> u64 {
        self.buffer_at + self.buffer.len() as u64
    }

    fn close_block(&mut self) -> Result<(), HistoryError> {
        let Some(first) = self.first.take() else { return Ok(()) };
        let offset = self.end();
        assert!(offset >= HEADER_BYTES, "blocks lie behind the header");
        let crc = checksum(self.number, offset, &self.block);
        self.block.put_u32_le(crc);
        let bytes = u32::try_from(self.block.len()).expect("a block is far below 4 GiB");
        self.index.push(BlockAt { first, offset, bytes });
        self.buffer.append(&mut self.block);
        if self.buffer.len() >= WRITE_BYTES {
            self.write()?;
        }
        if self.buffer_at - self.synced >= self.sync_step_bytes {
            self.sync()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), HistoryError> {
        let what = || format!("writing history/{}", self.name);
        self.file.write_all_at(self.buffer_at, &self.buffer).map_err(HistoryError::writing(what()))?;
        self.buffer_at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), HistoryError> {
        let what = || format!("syncing history/{}", self.name);
        self.file.sync_data().map_err(HistoryError::writing(what()))?;
        self.synced = self.buffer_at;
        Ok(())
    }
}
