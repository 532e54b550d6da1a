//! What the core needs from outside. Batch-shaped, few methods, one error enum each that says
//! whether a retry can help. Only drivers poll the futures; the engine sees inputs and effects.

pub mod accounts;
pub mod accounts_conformance;
pub mod blob;
pub mod blob_conformance;
pub mod clock;
pub mod clock_conformance;
pub mod disk;
pub mod disk_conformance;
pub mod history;
pub mod history_conformance;
pub mod index;
pub mod index_conformance;
pub mod keys;
pub mod keys_conformance;
pub mod log;
pub mod log_conformance;
pub mod random;
pub mod random_conformance;
pub mod registry;
pub mod registry_conformance;

use std::future::Future;
use std::pin::Pin;

/// What every port method returns: owned, boxed, polled by a driver alone.
pub type PortFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Why a store of folds ([`index::Index`], [`history::History`]) did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or is busy; another try can help.
    #[error("the store cannot be reached now: {0}")]
    Unavailable(String),
    /// There is no room; another try can help once there is. Reads go on.
    #[error("the store has no space left: {0}")]
    NoSpace(String),
    /// What it holds is damaged, or of a version that this program does not know.
    #[error("the store cannot be used: {0}")]
    Damaged(String),
}

impl StoreError {
    /// Whether asking again may help.
    pub fn retry_helps(&self) -> bool {
        !matches!(self, StoreError::Damaged(_))
    }
}
