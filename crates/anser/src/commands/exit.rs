//! What the process exits with, so that a script can tell what would help. The numbers are those of
//! sysexits.h; 1 is a refusal, 2 (of the argument parser) a wrong use.

use anser_client::account::AccountError;
use anser_client::session::Failure;
use anser_client::{ClientError, session::Ended};

use crate::profile::{InUse, NotSignedIn};

/// The server said no; asking again does not help.
const REFUSED: u8 = 1;
/// No server can be reached (EX_UNAVAILABLE).
const UNAVAILABLE: u8 = 69;
/// No answer in time: what was asked may have happened (EX_TEMPFAIL).
const NO_ANSWER: u8 = 75;
/// Not signed in, or not any more (EX_NOPERM).
const NOT_SIGNED_IN: u8 = 77;

/// The server did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no acknowledgement within {0} s: it may have arrived all the same")]
pub struct NoAnswer(pub u64);

/// What to exit with after this error.
pub fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<NotSignedIn>() {
            return NOT_SIGNED_IN;
        }
        if cause.is::<NoAnswer>() || cause.is::<InUse>() {
            return NO_ANSWER;
        }
        if let Some(account) = cause.downcast_ref::<AccountError>() {
            return of_account(account);
        }
        if let Some(ClientError::Session(failure)) = cause.downcast_ref::<ClientError>() {
            return of_failure(failure);
        }
    }
    REFUSED
}

fn of_account(error: &AccountError) -> u8 {
    match error {
        AccountError::Unreachable(_) => UNAVAILABLE,
        AccountError::Refused { code, .. } if matches!(code.as_str(), "unauthenticated" | "revoked") => {
            NOT_SIGNED_IN
        }
        _ if error.can_retry() => NO_ANSWER,
        _ => REFUSED,
    }
}

fn of_failure(failure: &Failure) -> u8 {
    match failure {
        Failure::Ended(Ended::SignedOut | Ended::Kicked { .. }) => NOT_SIGNED_IN,
        Failure::TimedOut | Failure::Full => NO_ANSWER,
        _ => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_can_tell_what_would_help() {
        let unreachable = AccountError::Unreachable("x".to_owned());
        assert_eq!(code(&anyhow::Error::new(unreachable).context("while sending")), UNAVAILABLE);
        assert_eq!(code(&NoAnswer(30).into()), NO_ANSWER);
        assert_eq!(code(&ClientError::Session(Failure::Ended(Ended::SignedOut)).into()), NOT_SIGNED_IN);
        assert_eq!(code(&anyhow::anyhow!("anything else")), REFUSED);
    }
}
