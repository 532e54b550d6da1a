//! What the enumerator can find wrong.

use std::fmt;

/// Which promise was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breach {
    /// An acknowledged record is gone, or was trimmed without leave.
    Lost,
    /// A record is there twice.
    Duplicated,
    /// Something is there that was never appended there, or was answered with "it is not".
    Invented,
    /// A record is there with other bytes, or damage was served.
    Altered,
    /// Damage below a synced end was not noticed.
    Undetected,
    /// A log that is not damaged does not open.
    Refused,
    /// What was replaced by a newer version is still on the disk after all erasing.
    Unerased,
    /// The log opened, and does not take what follows, or takes what does not.
    Misjudged,
}

/// A broken promise, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which promise.
    pub breach: Breach,
    /// What was seen.
    pub what: String,
}

impl Finding {
    pub(crate) fn new(breach: Breach, what: impl Into<String>) -> Self {
        Finding { breach, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.breach, self.what)
    }
}
