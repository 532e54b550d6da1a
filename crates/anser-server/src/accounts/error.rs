//! Why somebody is not let in, or not told.

use anser_core::ports::StoreError;
use anser_core::ports::accounts::AccountsError;
use anser_proto::ErrorCode;

use super::home::HomeError;

/// How long to wait before asking a part again that could not be reached.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;
/// How long to wait before asking again when too many wait already.
const OVERLOADED_RETRY_MS: u64 = 2_000;
/// How long to wait before asking again when the disk is full.
const STORAGE_FULL_RETRY_MS: u64 = 30_000;

/// Why a use case of the accounts did not do what it was asked. Shown to the asker as it stands: it
/// says nothing of the inside, which goes to the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A field holds what it may not.
    #[error("{field} {what}")]
    BadValue {
        /// Which field.
        field: &'static str,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// No such handle, or another password: the asker does not learn which.
    #[error("the handle or the password is wrong")]
    WrongCredentials,
    /// The password was right, but the account may no longer sign in.
    #[error("this account was deactivated")]
    Deactivated,
    /// Somebody has, or had, the handle.
    #[error("this handle is taken, choose another one")]
    HandleTaken,
    /// One registers here by invitation.
    #[error("an invitation is needed to register here")]
    InvitationRequired,
    /// The invitation is unknown, used up or expired.
    #[error("the invitation is not valid, or not any more: ask for another one")]
    InvitationSpent,
    /// Nobody registers here.
    #[error("nobody can register here at present")]
    RegistrationClosed,
    /// The author has as many live invitations as it may.
    #[error("{limit} of your invitations can still be used: more are not allowed")]
    TooManyInvitations {
        /// How many are allowed.
        limit: usize,
    },
    /// The token is not ours, or has expired.
    #[error("the token is not valid, or has expired")]
    Unauthenticated,
    /// The token was ended before its time.
    #[error("this device was signed out, or the account's credentials were changed")]
    Revoked,
    /// Known, but not for this asker to do.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// The handle was imported before, with other content, or belongs to somebody who came in otherwise.
    #[error("this handle is taken by another account, or was imported before with other content")]
    AlreadyExists,
    /// There are as many API keys in force as there may be.
    #[error("{limit} API keys are in force, more are not allowed: revoke one first")]
    TooManyKeys {
        /// How many are allowed.
        limit: usize,
    },
    /// No such thing, or none that the asker may know of.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Too much at once.
    #[error("too many requests: wait {retry_after_ms} ms")]
    RateLimited {
        /// When asking again makes sense.
        retry_after_ms: u64,
    },
    /// Too many wait already.
    #[error("the server has more to do than it can")]
    Overloaded,
    /// The disk is full.
    #[error("the server's disk is full")]
    StorageFull,
    /// It was decided, but not yet made known to all of the server.
    #[error("whether it took effect is not known: sign in again to learn it")]
    UnknownOutcome,
    /// A part of the server cannot be reached.
    #[error("a part of the server cannot be reached now")]
    Unavailable,
    /// A fault of the server.
    #[error("a fault of the server, which has been logged")]
    Internal,
}

impl AccessError {
    /// A field that holds what it may not.
    pub fn bad(field: &'static str, what: impl Into<String>) -> Self {
        AccessError::BadValue { field, what: what.into() }
    }

    /// The code in the error catalogue.
    pub fn code(&self) -> ErrorCode {
        match self {
            AccessError::BadValue { .. } => ErrorCode::BadValue,
            AccessError::WrongCredentials => ErrorCode::WrongCredentials,
            AccessError::Deactivated => ErrorCode::AccountDeactivated,
            AccessError::HandleTaken => ErrorCode::HandleTaken,
            AccessError::InvitationRequired => ErrorCode::InvitationRequired,
            AccessError::InvitationSpent => ErrorCode::InvitationSpent,
            AccessError::RegistrationClosed => ErrorCode::RegistrationClosed,
            AccessError::TooManyInvitations { .. } => ErrorCode::TooManyInvitations,
            AccessError::Unauthenticated => ErrorCode::Unauthenticated,
            AccessError::Revoked => ErrorCode::Revoked,
            AccessError::NotAllowed(_) => ErrorCode::NotAllowed,
            AccessError::AlreadyExists => ErrorCode::AlreadyExists,
            AccessError::TooManyKeys { .. } => ErrorCode::TooManyKeys,
            AccessError::NotFound(_) => ErrorCode::NotFound,
            AccessError::RateLimited { .. } => ErrorCode::RateLimited,
            AccessError::Overloaded => ErrorCode::Overloaded,
            AccessError::StorageFull => ErrorCode::StorageFull,
            AccessError::UnknownOutcome => ErrorCode::UnknownOutcome,
            AccessError::Unavailable => ErrorCode::Unavailable,
            AccessError::Internal => ErrorCode::Internal,
        }
    }

    /// After how many milliseconds asking again may help; 0: it does not help.
    pub fn retry_after_ms(&self) -> u64 {
        match self {
            AccessError::RateLimited { retry_after_ms } => *retry_after_ms,
            AccessError::Overloaded => OVERLOADED_RETRY_MS,
            AccessError::StorageFull => STORAGE_FULL_RETRY_MS,
            AccessError::Unavailable | AccessError::UnknownOutcome => UNAVAILABLE_RETRY_MS,
            _ => 0,
        }
    }
}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the account store failed");
        match error {
            StoreError::Unavailable(_) => AccessError::Unavailable,
            StoreError::NoSpace(_) => AccessError::StorageFull,
            StoreError::Damaged(_) => AccessError::Internal,
        }
    }
}

impl From<AccountsError> for AccessError {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::HandleTaken => AccessError::HandleTaken,
            AccountsError::InvitationSpent => AccessError::InvitationSpent,
            AccountsError::NotFound => AccessError::NotFound("account"),
            AccountsError::LastAdmin => AccessError::NotAllowed(
                "nobody else runs the installation: make somebody else an administrator first",
            ),
            // Somebody changed the same row just now; a second look decides.
            AccountsError::Conflict => AccessError::Unavailable,
            AccountsError::IdTaken => {
                tracing::error!("random ids collide: the source of randomness is broken");
                AccessError::Internal
            }
            AccountsError::Store(error) => error.into(),
        }
    }
}

impl From<HomeError> for AccessError {
    fn from(error: HomeError) -> Self {
        tracing::warn!(%error, "an account's home did not answer");
        match error {
            HomeError::Unavailable(_) => AccessError::Unavailable,
            HomeError::StorageFull => AccessError::StorageFull,
        }
    }
}
