//! Reading one segment: an immutable sorted file of blocks, each with its checksum; then where each block
//! begins, the filter, what was written again, and a footer.
//!
//! Index and filter are read when they are first asked for, and kept. Every checksum covers the segment's
//! number and the place as well, so that bytes of elsewhere are never taken for these.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anser_core::ports::disk::DiskFile;
use anser_model::N;
use bytes::{Buf, Bytes};

use super::error::HistoryError;
use super::filter::Filter;
use super::rows::{ADDRESS_BYTES, Address, KEY_VALUE_BYTES, Kind, Row};

/// Magic number and segment number.
pub(crate) const HEADER_BYTES: u64 = 16;
pub(crate) const MAGIC: &[u8; 8] = b"anserHS\n";
/// Address, n, and the length of the value.
pub(crate) const ROW_HEAD_BYTES: usize = ADDRESS_BYTES + 8 + 4;
/// First address, offset and bytes of one block.
pub(crate) const BLOCK_ENTRY_BYTES: usize = ADDRESS_BYTES + 8 + 4;
/// Where the tail begins, bytes of its three parts, prefixes, checksums of index and filter and of what was
/// written again, and of the footer.
pub(crate) const FOOTER_BYTES: usize = 5 * 8 + 3 * 4;

/// A segment that can be read.
pub(crate) struct Table {
    name: String,
    number: u64,
    kind: Kind,
    file: Box<dyn DiskFile>,
    bytes: u64,
    held: OnceLock<Held>,
    is_damaged: AtomicBool,
}

/// What is kept in memory.
pub(crate) struct Held {
    pub index: Vec<BlockAt>,
    pub filter: Filter,
    pub footer: Footer,
}

/// Where a block is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockAt {
    pub first: Address,
    pub offset: u64,
    pub bytes: u32,
}

/// Where the parts behind the blocks are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Footer {
    pub tail_at: u64,
    pub index_bytes: u64,
    pub filter_bytes: u64,
    pub rewritten_bytes: u64,
    pub prefixes: u64,
    pub tail_crc: u32,
    pub rewritten_crc: u32,
}

/// A checksum of `bytes` at `offset` of the segment with this number.
pub(crate) fn checksum(number: u64, offset: u64, bytes: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &offset.to_le_bytes());
    crc32c::crc32c_append(place, bytes)
}

impl Footer {
    /// As it is stored, behind its segment's first `offset` bytes.
    pub fn encode(&self, number: u64, offset: u64) -> Vec<u8> {
        let counts = [self.tail_at, self.index_bytes, self.filter_bytes, self.rewritten_bytes, self.prefixes];
        let mut bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        bytes.extend(self.tail_crc.to_le_bytes());
        bytes.extend(self.rewritten_crc.to_le_bytes());
        bytes.extend(checksum(number, offset, &bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; FOOTER_BYTES], number: u64, offset: u64) -> Result<Footer, &'static str> {
        let (body, crc) = bytes.split_last_chunk::<4>().expect("a footer is longer");
        if checksum(number, offset, body) != u32::from_le_bytes(*crc) {
            return Err("its footer's checksum is wrong");
        }
        let mut fields = body;
        let [tail_at, index_bytes, filter_bytes, rewritten_bytes, prefixes] =
            std::array::from_fn(|_| fields.get_u64_le());
        let (tail_crc, rewritten_crc) = (fields.get_u32_le(), fields.get_u32_le());
        let parts = [index_bytes, filter_bytes, rewritten_bytes];
        let end = parts.iter().try_fold(tail_at, |end, part| end.checked_add(*part));
        let is_whole = tail_at >= HEADER_BYTES
            && end == Some(offset)
            && index_bytes.is_multiple_of(BLOCK_ENTRY_BYTES as u64)
            && rewritten_bytes.is_multiple_of(ADDRESS_BYTES as u64);
        if !is_whole {
            return Err("its footer does not add up");
        }
        Ok(Footer { tail_at, index_bytes, filter_bytes, rewritten_bytes, prefixes, tail_crc, rewritten_crc })
    }
}

impl Table {
    /// A segment whose file has `bytes`, of which nothing is read yet.
    pub fn new(name: String, number: u64, kind: Kind, file: Box<dyn DiskFile>, bytes: u64) -> Table {
        let (held, is_damaged) = (OnceLock::new(), AtomicBool::new(false));
        Table { name, number, kind, file, bytes, held, is_damaged }
    }

    /// Keeps what its writer knows already.
    pub fn holding(self, held: Held) -> Table {
        self.held.get_or_init(|| held);
        self
    }

    /// Whether something of it could not be read: no merge takes it up again in this life.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// Different prefixes in it.
    pub fn prefixes(&self) -> Result<u64, HistoryError> {
        Ok(self.held()?.footer.prefixes)
    }

    /// Whether rows with this address's prefix may be here.
    pub fn may_hold(&self, address: &Address) -> Result<bool, HistoryError> {
        Ok(self.held()?.filter.may_hold(self.kind.prefix(address)))
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> Result<usize, HistoryError> {
        Ok(self.held()?.index.len())
    }

    /// The block that holds an address, if any does.
    pub fn block_of(&self, address: &Address) -> Result<Option<usize>, HistoryError> {
        Ok(self.held()?.index.partition_point(|block| block.first <= *address).checked_sub(1))
    }

    /// Rows from `low` to `high`, at most `limit`: the last of them, descending, or the first, ascending.
    pub fn range(
        &self,
        low: &Address,
        high: &Address,
        limit: usize,
        last: bool,
    ) -> Result<Vec<Row>, HistoryError> {
        let index = &self.held()?.index;
        let mut found = Vec::new();
        // The block before the first that begins above `low` may hold it.
        let begin = index.partition_point(|block| block.first <= *low).saturating_sub(1);
        let end = index.partition_point(|block| block.first <= *high);
        let mut blocks = begin..end;
        while found.len() < limit {
            let Some(at) = (if last { blocks.next_back() } else { blocks.next() }) else { break };
            let mut rows = self.block(at)?;
            rows.retain(|row| *low <= row.address && row.address <= *high);
            if last {
                rows.reverse();
            }
            found.append(&mut rows);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The rows of one block, in order: none below the one that the index names first, and all before the next block.
    pub fn block(&self, at: usize) -> Result<Vec<Row>, HistoryError> {
        let index = &self.held()?.index;
        let place = index[at];
        let mut bytes = self.read(place.offset, u64::from(place.bytes))?;
        let damaged = |what| self.damaged(place.offset, what);
        let body = bytes.len().checked_sub(4).ok_or_else(|| damaged("a block is cut off"))?;
        let crc = u32::from_le_bytes(bytes[body..].try_into().expect("four bytes"));
        if checksum(self.number, place.offset, &bytes[..body]) != crc {
            return Err(damaged("a block's checksum is wrong"));
        }
        bytes.truncate(body);
        let rows = rows_of(Bytes::from(bytes), self.kind).map_err(damaged)?;
        let begins = rows.first().is_some_and(|first| first.address == place.first);
        let ends = |next: &BlockAt| rows.last().is_some_and(|last| last.address < next.first);
        match begins && index.get(at + 1).is_none_or(ends) && rows.is_sorted_by(|a, b| a.address < b.address)
        {
            true => Ok(rows),
            false => Err(damaged("a block's rows are out of order")),
        }
    }

    /// Addresses of which older segments may hold other versions.
    pub fn rewritten(&self) -> Result<Vec<Address>, HistoryError> {
        let footer = self.held()?.footer;
        let offset = footer.tail_at + footer.index_bytes + footer.filter_bytes;
        let bytes = self.read(offset, footer.rewritten_bytes)?;
        if checksum(self.number, offset, &bytes) != footer.rewritten_crc {
            return Err(self.damaged(offset, "the list of rows written again has a wrong checksum"));
        }
        let address = |bytes: &[u8]| bytes.try_into().expect("bytes of an address");
        Ok(bytes.chunks_exact(ADDRESS_BYTES).map(address).collect())
    }

    /// Reads all of it. How many rows there are.
    pub fn check(&self) -> Result<u64, HistoryError> {
        let mut rows = 0;
        for at in 0..self.blocks()? {
            rows += self.block(at)?.len() as u64;
        }
        self.rewritten()?;
        Ok(rows)
    }

    fn held(&self) -> Result<&Held, HistoryError> {
        match self.held.get() {
            Some(held) => Ok(held),
            // Two who ask at once both read it, and one of them is kept.
            None => self.read_tail().map(|held| self.held.get_or_init(|| held)),
        }
    }

    fn read_tail(&self) -> Result<Held, HistoryError> {
        let header = self.read(0, HEADER_BYTES)?;
        if header[..8] != MAGIC[..] || header[8..] != self.number.to_le_bytes() {
            return Err(self.damaged(0, "it does not begin as this segment does"));
        }
        let footer_at = self.bytes.saturating_sub(FOOTER_BYTES as u64);
        let footer = self.read(footer_at, FOOTER_BYTES as u64)?;
        let footer = footer.as_slice().try_into().expect("the bytes of a footer");
        let footer =
            Footer::decode(footer, self.number, footer_at).map_err(|what| self.damaged(footer_at, what))?;
        let tail = self.read(footer.tail_at, footer.index_bytes + footer.filter_bytes)?;
        if checksum(self.number, footer.tail_at, &tail) != footer.tail_crc {
            return Err(self.damaged(footer.tail_at, "its index has a wrong checksum"));
        }
        let (index, filter) = tail.split_at(footer.index_bytes as usize);
        let filter = Filter::from_bytes(filter)
            .ok_or_else(|| self.damaged(footer.tail_at + footer.index_bytes, "its filter is none"))?;
        let index = index_of(index, footer.tail_at).map_err(|what| self.damaged(footer.tail_at, what))?;
        Ok(Held { index, filter, footer })
    }

    /// Reads `bytes`, which are known to lie within the file.
    fn read(&self, offset: u64, bytes: u64) -> Result<Vec<u8>, HistoryError> {
        if offset.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            return Err(self.damaged(offset, "it is cut off"));
        }
        let mut buffer = vec![0; bytes as usize];
        let read = self.file.read_at(offset, &mut buffer).map_err(|source| {
            self.is_damaged.store(true, Ordering::Relaxed);
            HistoryError::Reading { file: format!("history/{}", self.name), source }
        })?;
        match read == buffer.len() {
            true => Ok(buffer),
            false => Err(self.damaged(offset + read as u64, "it is cut off")),
        }
    }

    fn damaged(&self, offset: u64, what: impl Into<String>) -> HistoryError {
        self.is_damaged.store(true, Ordering::Relaxed);
        HistoryError::Damaged { file: format!("history/{}", self.name), offset, what: what.into() }
    }
}

/// The blocks, which follow one another from the header up to the tail.
fn index_of(mut bytes: &[u8], tail_at: u64) -> Result<Vec<BlockAt>, &'static str> {
    let mut index: Vec<BlockAt> = Vec::with_capacity(bytes.len() / BLOCK_ENTRY_BYTES);
    let mut end = HEADER_BYTES;
    while bytes.has_remaining() {
        let mut first = [0; ADDRESS_BYTES];
        bytes.copy_to_slice(&mut first);
        let (offset, length) = (bytes.get_u64_le(), bytes.get_u32_le());
        let follows = index.last().is_none_or(|last| last.first < first);
        if offset != end || !follows {
            return Err("its blocks do not follow one another");
        }
        end = offset.checked_add(u64::from(length)).ok_or("a block has no end")?;
        index.push(BlockAt { first, offset, bytes: length });
    }
    if end != tail_at {
        return Err("its blocks do not end where its index begins");
    }
    Ok(index)
}

/// The rows of a block whose checksum is right.
fn rows_of(mut bytes: Bytes, kind: Kind) -> Result<Vec<Row>, &'static str> {
    let mut rows = Vec::with_capacity(bytes.len() / 128);
    while bytes.has_remaining() {
        if bytes.remaining() < ROW_HEAD_BYTES {
            return Err("a row is cut off");
        }
        let mut address = [0; ADDRESS_BYTES];
        bytes.copy_to_slice(&mut address);
        let n = N(bytes.get_u64_le());
        let length = bytes.get_u32_le() as usize;
        if bytes.remaining() < length {
            return Err("a value is cut off");
        }
        if kind == Kind::Keys && length != KEY_VALUE_BYTES {
            return Err("the row of a key has a wrong size");
        }
        rows.push(Row { address, n, value: bytes.split_to(length) });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::history::rows::key_address;

    /// A file in memory.
    struct Bare(Mutex<Vec<u8>>);

    impl DiskFile for Bare {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().len() as u64)
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.lock().unwrap();
            let rest = &bytes[(offset as usize).min(bytes.len())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn write_all_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn allocate(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The parts of a segment, put together with checksums that are right whatever is in them.
    struct Parts {
        blocks: Vec<Vec<u8>>,
        index: Vec<(Address, u64, u32)>,
        filter: Vec<u8>,
        rewritten: Vec<u8>,
        counts: Option<[u64; 5]>,
    }

    const NUMBER: u64 = 9;

    fn row(number: u8, value: &[u8]) -> Vec<u8> {
        let address = key_address(1, anser_model::Slot(0), u128::from(number));
        [&address[..], &7_u64.to_le_bytes(), &(value.len() as u32).to_le_bytes(), value].concat()
    }

    fn parts() -> Parts {
        let blocks = vec![[row(1, &[0; 16]), row(2, &[0; 16])].concat(), row(5, &[0; 16])];
        let first = |number| key_address(1, anser_model::Slot(0), number);
        let bytes: Vec<u32> = blocks.iter().map(|block| block.len() as u32 + 4).collect();
        let index = vec![
            (first(1), HEADER_BYTES, bytes[0]),
            (first(5), HEADER_BYTES + u64::from(bytes[0]), bytes[1]),
        ];
        Parts { blocks, index, filter: vec![255; 64], rewritten: Vec::new(), counts: None }
    }

    impl Parts {
        fn table(&self) -> Table {
            let mut bytes = [&MAGIC[..], &NUMBER.to_le_bytes()].concat();
            for block in &self.blocks {
                let crc = checksum(NUMBER, bytes.len() as u64, block);
                bytes.extend(block);
                bytes.extend(crc.to_le_bytes());
            }
            let tail_at = bytes.len() as u64;
            let mut tail = Vec::new();
            for (first, offset, length) in &self.index {
                tail.extend([&first[..], &offset.to_le_bytes(), &length.to_le_bytes()].concat());
            }
            let counts =
                [tail_at, tail.len() as u64, self.filter.len() as u64, self.rewritten.len() as u64, 3];
            tail.extend(&self.filter);
            let [tail_at_said, index_bytes, filter_bytes, rewritten_bytes, prefixes] =
                self.counts.unwrap_or(counts);
            let footer = Footer {
                tail_at: tail_at_said,
                index_bytes,
                filter_bytes,
                rewritten_bytes,
                prefixes,
                tail_crc: checksum(NUMBER, tail_at, &tail),
                rewritten_crc: checksum(NUMBER, tail_at + tail.len() as u64, &self.rewritten),
            };
            bytes.extend(tail);
            bytes.extend(&self.rewritten);
            let footer = footer.encode(NUMBER, bytes.len() as u64);
            bytes.extend(footer);
            let length = bytes.len() as u64;
            let file = Box::new(Bare(Mutex::new(bytes)));
            Table::new("it".into(), NUMBER, Kind::Keys, file, length)
        }

        fn refused(&self) -> String {
            let table = self.table();
            let error = table.check().expect_err("it does not add up").to_string();
            assert!(table.is_damaged() && error.contains("history/it at byte"), "{error}");
            error
        }
    }

    /// What has right checksums and makes no sense is refused all the same, before anything is made room for.
    #[test]
    fn sizes_and_order_are_believed_of_no_file() {
        assert_eq!(parts().table().check().unwrap(), 3);
        let with = |change: &dyn Fn(&mut Parts)| {
            let mut parts = parts();
            change(&mut parts);
            parts.refused()
        };
        let said = with(&|parts| parts.index[1].0 = parts.index[0].0);
        assert!(said.contains("follow one another"), "{said}");
        let said = with(&|parts| parts.index[0].2 = u32::MAX);
        assert!(said.contains("follow one another"), "{said}");
        let said = with(&|parts| parts.index[1].1 = u64::MAX);
        assert!(said.contains("follow one another"), "{said}");
        let said = with(&|parts| parts.index[1].2 += 1);
        assert!(said.contains("do not end"), "{said}");
        let said = with(&|parts| parts.filter.clear());
        assert!(said.contains("filter"), "{said}");
        let said = with(&|parts| parts.blocks[0] = [row(2, &[0; 16]), row(1, &[0; 16])].concat());
        assert!(said.contains("out of order"), "{said}");
        let said = with(&|parts| parts.blocks[0] = [row(1, &[0; 16]), row(5, &[0; 16])].concat());
        assert!(said.contains("out of order"), "{said}");
        let said = with(&|parts| parts.blocks[1][ADDRESS_BYTES + 8] = 200);
        assert!(said.contains("cut off"), "{said}");
        let said = with(&|parts| parts.blocks[1][ADDRESS_BYTES + 8] = 15);
        assert!(said.contains("cut off") || said.contains("size"), "{said}");
        for at in 0..4 {
            for count in [0, 1, 63, u64::MAX / 2, u64::MAX - 8, u64::MAX] {
                let said = with(&|parts| {
                    let mut counts = [HEADER_BYTES, 74, 64, 0, 3];
                    counts[at] = count;
                    parts.counts = Some(counts);
                });
                assert!(said.contains("add up"), "{said}");
            }
        }
    }
}
