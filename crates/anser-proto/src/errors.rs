//! The error catalogue (`data/errors.json`) as enums.

use std::fmt;
use std::str::FromStr;

use crate::v1;

include!(concat!(env!("OUT_DIR"), "/errors.rs"));

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The code is not in this version's catalogue. Treat it by what comes with it: ask again only where
/// `retry_after_ms` is above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the error catalogue has no such code")]
pub struct UnknownCode;

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(code: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|known| known.as_str() == code).ok_or(UnknownCode)
    }
}

impl v1::Error {
    /// An error without a hint when to ask again.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        v1::Error { code: code.as_str().to_owned(), message: message.into(), retry_after_ms: 0 }
    }

    /// The same with `retry_after_ms`.
    pub fn after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = retry_after_ms;
        self
    }

    /// How the request is to be retried. An unknown code of a newer server counts as refused for now
    /// when the server names a delay, and as refused for good otherwise.
    pub fn retry(&self) -> Retry {
        match self.code.parse::<ErrorCode>() {
            Ok(code) => code.retry(),
            Err(UnknownCode) if self.retry_after_ms > 0 => Retry::SameId,
            Err(UnknownCode) => Retry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for &code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert!(code.meaning().ends_with('.'));
        }
        assert_eq!("nonsense".parse::<ErrorCode>(), Err(UnknownCode));
        assert_eq!(ErrorCode::UnknownOutcome.retry(), Retry::SameId);
        assert!(ErrorCode::FrameTooLarge.closes());
    }

    #[test]
    fn unknown_codes_follow_the_delay() {
        let unknown =
            |retry_after_ms| v1::Error { code: "new".into(), message: String::new(), retry_after_ms };
        assert_eq!(unknown(0).retry(), Retry::Never);
        assert_eq!(unknown(5).retry(), Retry::SameId);
    }
}
