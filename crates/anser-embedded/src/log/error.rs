//! Why a log does not open.

use std::io;

/// Why a log does not open. Nothing on the disk was changed, but for what is safe to repeat.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another version of this program wrote it.
    #[error(
        "{file} has log format {found}, this program reads format {known}: run the version that wrote it"
    )]
    UnknownFormat {
        /// The file that says so.
        file: String,
        /// The version in the file.
        found: u64,
        /// The version that this code reads.
        known: u16,
    },
    /// The log was written under another slot key.
    #[error(
        "{file} was written under another slot key (fingerprint {stored:016x}, given {given:016x}): \
         the data folder and the key do not belong together"
    )]
    WrongSlotKey {
        /// The file that says so.
        file: String,
        /// The fingerprint in the file.
        stored: u64,
        /// The fingerprint of the key at hand.
        given: u64,
    },
    /// The medium damaged what had been durable. To go on would lose acknowledged messages, so the
    /// choice is left to a person.
    #[error(
        "the log is damaged: {file} at byte {offset}: {what}. Acknowledged messages may lie there; \
         nothing was changed. Restore the data folder from a backup"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// There is no room for the first segment.
    #[error("no space left for the log: {0}")]
    NoSpace(io::Error),
    /// The system refused.
    #[error("the log cannot be opened: {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// Whether opening again may help without a person's doing.
    pub fn retry_helps(&self) -> bool {
        matches!(self, OpenError::NoSpace(_))
    }
}

/// For `map_err`: says what was being tried.
pub(crate) fn trying(what: impl Into<String>) -> impl FnOnce(io::Error) -> OpenError {
    let what = what.into();
    move |source| match super::segment::is_no_space(&source) {
        true => OpenError::NoSpace(source),
        false => OpenError::Io { what, source },
    }
}
