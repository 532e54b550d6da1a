//! Errors as the HTTP API shows them: `{error: {code, message, retry_after_ms}}`.

use anser_proto::{ErrorCode, v1};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::accounts::AccessError;

/// Characters of the longest message: what came in may be part of it.
const MESSAGE_CHARS_MAX: usize = 300;
/// The same, with the mark that it was cut.
pub(super) const ERROR_MESSAGE_CHARS: usize = MESSAGE_CHARS_MAX + 1;
const MS_PER_S: u64 = 1_000;

/// An error with its code of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    retry_after_ms: u64,
}

impl ApiError {
    /// An error whose status follows from its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(end);
            message.push('…');
        }
        ApiError { status: status(code), code, message, retry_after_ms: 0 }
    }

    /// The same with another status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        let retry_after_ms = error.retry_after_ms();
        ApiError { retry_after_ms, ..ApiError::new(error.code(), error.to_string()) }
    }
}

/// What a session answered. The values were checked before it was asked, so one that it does not take does not
/// fit what is there.
impl From<v1::Error> for ApiError {
    fn from(error: v1::Error) -> Self {
        let v1::Error { code, message, retry_after_ms } = error;
        let code = code.parse().unwrap_or(ErrorCode::Internal);
        let error = ApiError { retry_after_ms, ..ApiError::new(code, message) };
        match code {
            ErrorCode::BadValue => error.with_status(StatusCode::CONFLICT),
            _ => error,
        }
    }
}

/// The status that says the same as the code, as far as statuses go.
pub(super) fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::WrongCredentials
        | ErrorCode::Unauthenticated
        | ErrorCode::Revoked
        | ErrorCode::Replaced
        | ErrorCode::Deactivated => StatusCode::UNAUTHORIZED,
        ErrorCode::AccountDeactivated
        | ErrorCode::InvitationRequired
        | ErrorCode::InvitationSpent
        | ErrorCode::RegistrationClosed
        | ErrorCode::NotAllowed
        | ErrorCode::NoLongerMember => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::HandleTaken
        | ErrorCode::AlreadyExists
        | ErrorCode::TooManyInvitations
        | ErrorCode::TooManyKeys
        | ErrorCode::ClientIdTooOld
        | ErrorCode::ClientIdInFuture
        | ErrorCode::ClientIdReused
        | ErrorCode::RecallTooLate
        | ErrorCode::EditTooLate
        | ErrorCode::AlreadyMember
        | ErrorCode::TooManyHidden
        | ErrorCode::TooManyMembers
        | ErrorCode::TooManyConversations
        | ErrorCode::ForeignTimeline
        | ErrorCode::BeyondHead => StatusCode::CONFLICT,
        ErrorCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Overloaded
        | ErrorCode::Unavailable
        | ErrorCode::UnknownOutcome
        | ErrorCode::Draining
        | ErrorCode::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    code: &'a str,
    message: &'a str,
    retry_after_ms: u64,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let ApiError { status, code, message, retry_after_ms } = self;
        let fields = ErrorFields { code: code.as_str(), message: &message, retry_after_ms };
        let mut response = (status, Json(ErrorBody { error: fields })).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if retry_after_ms > 0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(MS_PER_S)));
        }
        response
    }
}
