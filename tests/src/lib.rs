//! The harness of the black-box scenarios, which lie in `tests/black_box/`: the real binary as a child
//! process, people who come in over HTTP, and clients on sockets of their own.
//!
//! It must not know how the server works inside: only its command line, its protocol, and the files
//! that an operator sees. Every wait here has an end, [`PATIENCE`], and nothing sleeps.

pub mod cli;
pub mod client;
pub mod conversation;
pub mod http;
pub mod people;
pub mod server;

use std::time::Duration;

pub use client::{Client, Failure};
pub use people::Person;
pub use server::Server;

/// How long anything may take before the scenario fails: long, for two cores that are busy otherwise.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something, but not for ever.
///
/// # Panics
/// When it does not happen within [`PATIENCE`]; `what` says what was awaited.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: did not happen within {PATIENCE:?}"),
    }
}

/// Waits until `attempt` gives something: for what no answer announces, as a file that is read again.
///
/// # Panics
/// When it gives nothing within [`PATIENCE`].
pub async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let looking = async {
        loop {
            look.tick().await;
            if let Some(found) = attempt().await {
                return found;
            }
        }
    };
    within(what, looking).await
}
