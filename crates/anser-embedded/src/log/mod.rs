//! The [`Log`](anser_core::ports::log::Log) as segment files on a [`Disk`](anser_core::ports::disk::Disk).
//!
//! `heart` decides, writes and syncs, `recover` opens, `catalogue` reads, checks and trims; none of them
//! knows threads, futures or time, so that the crash enumerator drives them as they are. `shell`
//! puts threads around them. Formats: `block`, `segment`, `format`.

mod block;
mod catalogue;
mod error;
mod format;
mod group;
mod heads;
mod heart;
mod index;
mod options;
mod promise;
mod reader;
mod recover;
mod segment;
mod shell;
mod stepped;
mod stretch;
mod walk;

pub use error::OpenError;
pub use options::{BLOCK_FULL_BYTES, LogOptions, SEGMENT_BYTES, SEGMENT_BYTES_LEAST};
pub use recover::Recovered;
pub use segment::SEGMENT_FORMAT;
pub use shell::{LocalLog, QUEUED_APPEND_BYTES, QUEUED_APPENDS, QUEUED_READS};
pub use stepped::SteppedLog;
