//! One immutable sorted file: blocks of rows, each with its checksum; then where each block begins, the filter
//! and a footer. Read with positioned reads; what is held in memory is the index and the filter.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anser_model::N;
use bytes::{Buf, BufMut, Bytes};

use super::filter::Filter;
use crate::rows::{Address, PREFIX_BYTES, Row};

/// A block is closed once it has so many bytes.
const BLOCK_BYTES: usize = 16 * 1024;
/// Buffer of the file that is written.
const WRITE_BUFFER_BYTES: usize = 1024 * 1024;
/// Address, n, and the length of the value.
const ROW_HEAD_BYTES: usize = 25 + 8 + 4;
const FOOTER_BYTES: usize = 8 + 8 + 8 + 8 + 4 + 8;
const MAGIC: &[u8; 8] = b"anserSG1";

/// A segment that can be read.
#[derive(Debug)]
pub struct Table {
    file: File,
    index: Vec<BlockAt>,
    filter: Filter,
    /// Different prefixes in it, at most.
    pub prefixes: usize,
}

#[derive(Debug, Clone, Copy)]
struct BlockAt {
    first: Address,
    offset: u64,
    bytes: u32,
}

/// Writes a segment, row by row in order.
pub struct TableWriter {
    file: BufWriter<File>,
    block: Vec<u8>,
    first: Option<Address>,
    last: Option<Address>,
    offset: u64,
    index: Vec<u8>,
    filter: Filter,
    prefixes: usize,
}

impl TableWriter {
    /// Begins a file with at most so many different prefixes.
    pub fn create(path: &Path, prefixes: usize) -> io::Result<TableWriter> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(TableWriter {
            file: BufWriter::with_capacity(WRITE_BUFFER_BYTES, file),
            block: Vec::with_capacity(2 * BLOCK_BYTES),
            first: None,
            last: None,
            offset: 0,
            index: Vec::new(),
            filter: Filter::for_prefixes(prefixes),
            prefixes: 0,
        })
    }

    /// Adds the next row.
    pub fn add(&mut self, row: &Row) -> io::Result<()> {
        assert!(self.last.is_none_or(|last| last < row.address), "rows come in order, each address once");
        let prefix = &row.address[..PREFIX_BYTES];
        if self.last.is_none_or(|last| last[..PREFIX_BYTES] != *prefix) {
            self.filter.add(prefix);
            self.prefixes += 1;
        }
        self.first.get_or_insert(row.address);
        self.last = Some(row.address);
        self.block.put_slice(&row.address);
        self.block.put_u64_le(row.n.0);
        self.block.put_u32_le(row.value.len() as u32);
        self.block.put_slice(&row.value);
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    /// Writes the rest and syncs the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.close_block()?;
        let filter = self.filter.to_bytes();
        let mut tail = std::mem::take(&mut self.index);
        let index_bytes = tail.len() as u64;
        tail.put_slice(&filter);
        tail.put_u64_le(self.offset);
        tail.put_u64_le(index_bytes);
        tail.put_u64_le(filter.len() as u64);
        tail.put_u64_le(self.prefixes as u64);
        tail.put_u32_le(crc32c::crc32c(&tail));
        tail.put_slice(MAGIC);
        self.file.write_all(&tail)?;
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    fn close_block(&mut self) -> io::Result<()> {
        let Some(first) = self.first.take() else { return Ok(()) };
        self.block.put_u32_le(crc32c::crc32c(&self.block));
        self.file.write_all(&self.block)?;
        self.index.put_slice(&first);
        self.index.put_u64_le(self.offset);
        self.index.put_u32_le(self.block.len() as u32);
        self.offset += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }
}

impl Table {
    /// Opens a segment that was finished.
    pub fn open(path: &Path) -> io::Result<Table> {
        let file = File::open(path)?;
        let whole = file.metadata()?.len();
        let footer_at = whole.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| damaged("it is cut off"))?;
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at)?;
        let mut fields = &footer[..];
        let [tail_at, index_bytes, filter_bytes, prefixes] = std::array::from_fn(|_| fields.get_u64_le());
        let crc = fields.get_u32_le();
        let adds_up = tail_at.checked_add(index_bytes).and_then(|at| at.checked_add(filter_bytes));
        if fields != MAGIC || adds_up != Some(footer_at) {
            return Err(damaged("its footer is wrong"));
        }
        let mut tail = vec![0; (whole - tail_at) as usize];
        file.read_exact_at(&mut tail, tail_at)?;
        if crc32c::crc32c(&tail[..tail.len() - 12]) != crc {
            return Err(damaged("its index is wrong"));
        }
        let (mut index, rest) = tail.split_at(index_bytes as usize);
        let filter = Filter::from_bytes(&rest[..filter_bytes as usize]);
        let mut blocks = Vec::with_capacity(index.len() / 37);
        while index.has_remaining() {
            let mut first = [0; 25];
            index.copy_to_slice(&mut first);
            blocks.push(BlockAt { first, offset: index.get_u64_le(), bytes: index.get_u32_le() });
        }
        let filter = filter.ok_or_else(|| damaged("its filter is wrong"))?;
        Ok(Table { file, index: blocks, filter, prefixes: prefixes as usize })
    }

    /// Whether rows with this prefix may be here.
    pub fn may_hold(&self, address: &Address) -> bool {
        self.filter.may_hold(&address[..PREFIX_BYTES])
    }

    /// Rows from `low` to `high`, at most `limit`: the last of them, descending, or the first, ascending.
    pub fn range(&self, low: &Address, high: &Address, limit: usize, last: bool) -> io::Result<Vec<Row>> {
        let mut found = Vec::new();
        // The block before the first that begins above `low` may hold it.
        let begin = self.index.partition_point(|block| block.first <= *low).saturating_sub(1);
        let end = self.index.partition_point(|block| block.first <= *high);
        let wanted = |row: &Row| *low <= row.address && row.address <= *high;
        let mut blocks = begin..end;
        while found.len() < limit {
            let Some(at) = (if last { blocks.next_back() } else { blocks.next() }) else { break };
            let mut rows = self.block(at)?;
            rows.retain(wanted);
            if last {
                rows.reverse();
            }
            found.append(&mut rows);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.index.len()
    }

    /// The rows of one block.
    pub fn block(&self, at: usize) -> io::Result<Vec<Row>> {
        let place = self.index[at];
        let mut bytes = vec![0; place.bytes as usize];
        self.file.read_exact_at(&mut bytes, place.offset)?;
        let body = bytes.len().checked_sub(4).ok_or_else(|| damaged("a block is cut off"))?;
        let crc = u32::from_le_bytes(bytes[body..].try_into().expect("four bytes"));
        if crc32c::crc32c(&bytes[..body]) != crc {
            return Err(damaged("a block is wrong"));
        }
        bytes.truncate(body);
        let mut bytes = Bytes::from(bytes);
        let mut rows = Vec::with_capacity(body / 256);
        while bytes.has_remaining() {
            if bytes.remaining() < ROW_HEAD_BYTES {
                return Err(damaged("a row is cut off"));
            }
            let mut address = [0; 25];
            bytes.copy_to_slice(&mut address);
            let n = N(bytes.get_u64_le());
            let length = bytes.get_u32_le() as usize;
            if bytes.remaining() < length {
                return Err(damaged("a value is cut off"));
            }
            rows.push(Row { address, n, value: bytes.split_to(length) });
        }
        Ok(rows)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a segment is damaged: {what}"))
}
