//! Why the history did not do what it was asked.

use std::io;

use anser_core::ports::StoreError;
use rustix::io::Errno;

/// Why the history did not do what it was asked, or does not open.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// What is on the medium is not what was written.
    #[error("the history is damaged: {file} at byte {offset}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// Another version of this program wrote it.
    #[error("{file} has history format {found}, this program reads format {known}: use the newer program")]
    UnknownFormat {
        /// The file that says so.
        file: String,
        /// The version in the file.
        found: u32,
        /// The version that this code reads.
        known: u32,
    },
    /// There is no room. Nothing was changed.
    #[error("no space left for the history: {what}: {source}")]
    NoSpace {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system could not read.
    #[error("the history cannot be read: {file}: {source}")]
    Reading {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system could not write: what the medium holds is not known, and a second try would prove nothing.
    #[error("the history cannot be written: {what}: {source}")]
    Writing {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A write failed before this one; the history must be opened again.
    #[error("an earlier write failed: {0}")]
    Failed(String),
    /// The history is being closed, or has too much to do.
    #[error("the history cannot be reached: {0}")]
    Unavailable(String),
}

impl HistoryError {
    /// For `map_err` of a write: says what was being tried.
    pub(crate) fn writing(what: impl Into<String>) -> impl FnOnce(io::Error) -> HistoryError {
        let what = what.into();
        // So many files are open already that this one was not; that passes.
        let is_many = |code| [Errno::MFILE, Errno::NFILE].iter().any(|errno| errno.raw_os_error() == code);
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                HistoryError::NoSpace { what, source }
            }
            _ if source.raw_os_error().is_some_and(is_many) => {
                HistoryError::Unavailable(format!("{what}: {source}"))
            }
            _ => HistoryError::Writing { what, source },
        }
    }

    /// Whether what the medium holds is no longer known.
    pub(crate) fn medium_failed(&self) -> bool {
        matches!(self, HistoryError::Writing { .. })
    }
}

impl From<HistoryError> for StoreError {
    fn from(error: HistoryError) -> StoreError {
        let message = error.to_string();
        match error {
            HistoryError::NoSpace { .. } => StoreError::NoSpace(message),
            HistoryError::Unavailable(_) => StoreError::Unavailable(message),
            _ => StoreError::Damaged(message),
        }
    }
}
