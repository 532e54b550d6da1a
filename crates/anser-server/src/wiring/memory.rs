//! What a server at rest holds of the machine's memory.

use std::hint::black_box;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How often freed memory is given back where nothing happens.
const INTERVAL: Duration = Duration::from_secs(5);
/// Larger than what the allocator keeps at hand.
const LARGE_BYTES: usize = 1024 * 1024;

/// Has the allocator give back what was freed a while ago, as the 19 MiB that hashing a password takes, until the server
/// stops. It does so when something large is freed, and at rest nothing is.
pub(super) async fn give_back(stopping: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stopping.cancelled() => return,
        }
        // Not touched, so it costs nothing.
        drop(black_box(Vec::<u8>::with_capacity(LARGE_BYTES)));
    }
}
