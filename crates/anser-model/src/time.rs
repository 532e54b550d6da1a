//! Wall-clock time as a number that is passed in, never asked for.

use std::fmt;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This instant plus some milliseconds, held at the far end instead of wrapping.
    pub const fn plus_ms(self, ms: u64) -> Self {
        UnixMillis(self.0.saturating_add(ms))
    }

    /// This instant less some milliseconds, held at 1970.
    pub const fn minus_ms(self, ms: u64) -> Self {
        UnixMillis(self.0.saturating_sub(ms))
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixMillis({})", self.0)
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
