//! The `History` port as sorted segments on a [`Disk`](anser_core::ports::disk::Disk): each flush writes
//! immutable files, they are merged in tiers, and a manifest says which of them are the history.
//!
//! `store` writes, merges and swaps manifests, `version` reads, `erase` sees to it that what was recalled goes; none
//! of them knows threads or time, so that the crash enumerator drives them as they are. `shell` puts
//! threads around them. Formats: `manifest`, `table`, `rows`. The largest n of a row stands, whatever order
//! it came in, so any set of segments may be merged.

mod carry;
mod erase;
mod error;
mod filter;
mod manifest;
mod merge;
mod options;
mod rows;
mod shell;
mod stepped;
mod store;
mod table;
mod version;
mod writer;

#[cfg(test)]
mod tests;

pub use error::HistoryError;
pub use manifest::{HISTORY_FORMAT, MANIFEST_FILE, files_of};
pub use options::{ERASE_BYTES_PER_SECOND, ERASE_REST_MS, HistoryOptions};
pub use shell::{HISTORY_FOLDER, SegmentHistory};
pub use stepped::{Checked, SteppedHistory};
