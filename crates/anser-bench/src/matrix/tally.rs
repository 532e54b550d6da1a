//! What the cells came to.

use super::answers::Expected;

/// What the cells came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered with all there is.
    pub allowed: u64,
    /// Answered with less.
    pub clipped: u64,
    /// Not answered with anything of it.
    pub refused: u64,
    /// Somebody learned what is not theirs.
    pub leaks: Vec<String>,
    /// Somebody was answered otherwise than they should be.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Counts a cell by what was expected of it.
    pub fn count(&mut self, expected: &Expected) {
        *match expected {
            Expected::Accepted | Expected::Own | Expected::Shows(_) => &mut self.allowed,
            Expected::Clipped(_) => &mut self.clipped,
            Expected::Refused(_) | Expected::AsIfNothing => &mut self.refused,
        } += 1;
    }

    /// All of them.
    pub fn cells(&self) -> u64 {
        self.allowed + self.clipped + self.refused
    }

    /// Whether everybody was answered as they should be, and nobody learned anything else.
    pub fn is_clean(&self) -> bool {
        self.leaks.is_empty() && self.wrong.is_empty()
    }

    /// The first thing that went wrong.
    pub fn first_fault(&self) -> Option<&str> {
        self.leaks.first().or(self.wrong.first()).map(String::as_str)
    }
}
