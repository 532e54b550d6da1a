//! The clocks and the randomness of a real machine: the one place of this crate that asks for them.

use anser_model::UnixMillis;
use tokio::time::{Duration, Instant};

use crate::session::Now;

/// Tells the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic zero is now.
    pub fn start() -> Self {
        Clock { origin: Instant::now() }
    }

    /// The time.
    #[expect(clippy::disallowed_methods, reason = "the clock adapter of the SDK")]
    pub fn now(&self) -> Now {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let monotonic_ms = self.origin.elapsed().as_millis() as u64;
        Now { unix: UnixMillis(unix.as_millis() as u64), monotonic_ms }
    }

    /// The instant of a monotonic time.
    pub fn instant(&self, monotonic_ms: u64) -> Instant {
        // A day is as good as never: the driver asks again.
        const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
        let wanted = self.origin.checked_add(Duration::from_millis(monotonic_ms));
        let longest = Instant::now() + LONGEST;
        wanted.map_or(longest, |wanted| wanted.min(longest))
    }
}

/// Sixteen random bytes of the operating system.
pub fn seed() -> [u8; 16] {
    let mut seed = [0; 16];
    // Without randomness there are no client ids; no supported system fails here once it has booted.
    getrandom::fill(&mut seed).expect("the operating system has randomness");
    seed
}
