//! Bytes of files, stored by what they are. Who may read them, and under which name, is not its business.
//!
//! Content is named by its SHA-256, which never leaves the server as a file's id, and which nobody may
//! be asked to prove knowledge of: whoever calls [`Blob::claim`] or [`Blob::read`] has authorised it.
//! Content appears whole or not at all, and never changes. Time is an argument, as is the random id of
//! an upload.
//!
//! Removal races with those who store the same content again, or who find it there: the one rule is
//! that [`Blob::remove`] leaves alone what was stored or claimed since the time it names. A sweep
//! therefore takes a time first, then looks for references, then removes.

use std::fmt;

use anser_model::UnixMillis;
use bytes::Bytes;

use super::PortFuture;

/// Bytes of one part of an upload, and of one read, at most. An adapter whose medium wants larger
/// parts gathers them itself.
pub const PART_BYTES: usize = 1024 * 1024;
/// Bytes of one content at most. What people may upload is the product's limit, below this one.
pub const CONTENT_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Contents that one call may name or list.
pub const CONTENTS_PER_CALL: usize = 1_024;

/// The SHA-256 of the bytes that it names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({self})")
    }
}

/// One upload: a random number of the caller's, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(pub u128);

/// What an upload became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its name.
    pub id: ContentId,
    /// Its length in bytes.
    pub bytes: u64,
}

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadState {
    /// It goes on at this offset. Over a crash the offset may step back: ask before going on.
    Receiving {
        /// Bytes that are there, from the first one on.
        received: u64,
    },
    /// It was finished.
    Finished(Content),
}

/// The bytes of the files of an installation.
pub trait Blob: Send + Sync {
    /// Begins an upload, which [`Blob::expire`] ends from `expires_at` on. One that was begun already
    /// goes on unchanged, so a call whose answer was lost may be repeated.
    fn begin(&self, upload: UploadId, expires_at: UnixMillis) -> PortFuture<Result<(), BlobError>>;

    /// How far an upload is.
    fn state(&self, upload: UploadId) -> PortFuture<Result<UploadState, BlobError>>;

    /// Adds a part of at most [`PART_BYTES`] where the upload ends, and gives its new end. A part lands
    /// whole or not at all. At any other offset: [`BlobError::WrongOffset`] says where to go on.
    fn append(&self, upload: UploadId, offset: u64, part: Bytes) -> PortFuture<Result<u64, BlobError>>;

    /// Makes the content durable and visible, as stored at `now`. May be repeated until the upload
    /// expires: the answer is the same, and counts as a claim. An upload that holds nothing is the
    /// empty content.
    fn finish(&self, upload: UploadId, now: UnixMillis) -> PortFuture<Result<Content, BlobError>>;

    /// Forgets an upload and what it held; content that it became stays. No error where there is none.
    fn abort(&self, upload: UploadId) -> PortFuture<Result<(), BlobError>>;

    /// Forgets every upload, finished or not, whose time has come; says how many.
    fn expire(&self, now: UnixMillis) -> PortFuture<Result<usize, BlobError>>;

    /// For instant upload of what is known: the lengths of those contents that are here, in the order
    /// asked for. They count as stored at `now`.
    fn claim(
        &self,
        contents: Vec<ContentId>,
        now: UnixMillis,
    ) -> PortFuture<Result<Vec<Option<u64>>, BlobError>>;

    /// The bytes from `offset` on: `bytes` of them, but at most [`PART_BYTES`], and fewer at the end;
    /// none past it.
    fn read(&self, content: ContentId, offset: u64, bytes: usize) -> PortFuture<Result<Bytes, BlobError>>;

    /// Reads all of a content and compares it with its name; gives its length. Slow: for scrubbing.
    fn verify(&self, content: ContentId) -> PortFuture<Result<u64, BlobError>>;

    /// Contents in order of their names, after the one given, damaged ones too. For sweeps.
    fn list(&self, after: Option<ContentId>, limit: usize) -> PortFuture<Result<Vec<ContentId>, BlobError>>;

    /// Removes those contents that were neither stored nor claimed at `stored_before` or later, and
    /// says of each, in the order given, whether it is gone now.
    fn remove(
        &self,
        contents: Vec<ContentId>,
        stored_before: UnixMillis,
    ) -> PortFuture<Result<Vec<bool>, BlobError>>;
}

/// Why the bytes of a file were not stored or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// It cannot be reached, or is busy; another try can help.
    #[error("the files cannot be reached now: {0}")]
    Unavailable(String),
    /// There is no room; another try can help once there is. Reads go on.
    #[error("no space is left for files: {0}")]
    NoSpace(String),
    /// There is no such content, or no such upload (any more).
    #[error("there is no such file or upload")]
    NotFound,
    /// The part does not begin where the upload ends.
    #[error("the upload goes on at byte {received}")]
    WrongOffset {
        /// Where it ends.
        received: u64,
    },
    /// A part or a content is larger than may be, or a call names too many.
    #[error("more than the limit of {limit}")]
    TooLarge {
        /// The limit that was met: bytes, or contents.
        limit: u64,
    },
    /// What is stored is not what was stored, or the medium failed under us.
    #[error("stored files are damaged: {0}")]
    Damaged(String),
}

impl BlobError {
    /// Whether asking the same again may help.
    pub fn retry_helps(&self) -> bool {
        matches!(self, BlobError::Unavailable(_) | BlobError::NoSpace(_))
    }
}
