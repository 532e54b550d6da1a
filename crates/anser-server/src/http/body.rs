//! What a request brings: its body as JSON, and in whose name it comes.

use std::error::Error;
use std::net::IpAddr;

use anser_proto::ErrorCode;
use axum::body::{self, Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ApiError, HttpState, client_address};
use crate::accounts::{AccessError, Session};

/// Bytes of the longest body.
pub const BODY_BYTES: usize = 64 * 1024;

/// A body that must be JSON of the shape `T`.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<HttpState> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &HttpState) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        parse(&read(request.into_body()).await?).map(JsonBody)
    }
}

/// A body that must be empty, or an empty JSON object.
pub struct NoBody;

impl FromRequest<HttpState> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &HttpState) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        let json = require_json(request.headers());
        let bytes = read(request.into_body()).await?;
        if !bytes.is_empty() {
            json?;
            let Nothing {} = parse(&bytes)?;
        }
        Ok(NoBody)
    }
}

/// Who asks, by the access token in `Authorization`, checked against the home.
pub struct Caller(pub Session);

impl FromRequestParts<HttpState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            let what = "send the access token as: Authorization: Bearer <token>";
            ApiError::new(ErrorCode::Unauthenticated, what)
        })?;
        let session = state.accounts.authenticate(token).await?;
        state.accounts.count_request(&session)?;
        Ok(Caller(session))
    }
}

/// From which address.
pub struct CameFrom(pub IpAddr);

impl FromRequestParts<HttpState> for CameFrom {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, ApiError> {
        Ok(CameFrom(client_address(parts)))
    }
}

/// The token of the one `Authorization` header; two of them are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = declared.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let what = "send the body as: Content-Type: application/json";
    Err(ApiError::new(ErrorCode::MalformedBody, what).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    body::to_bytes(body, BODY_BYTES).await.map_err(|error| {
        let too_long = error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        match too_long {
            true => ApiError::new(ErrorCode::BodyTooLarge, format!("a body has at most {BODY_BYTES} bytes")),
            false => ApiError::new(ErrorCode::MalformedBody, "the body ended too early"),
        }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let mut what = inner.to_string();
        // What is said of an unknown field names it already.
        if path != "." && !what.contains(&format!("`{path}`")) {
            what = format!("{path}: {what}");
        }
        match inner.classify() {
            serde_json::error::Category::Data => {
                AccessError::bad("the body", format!("is wrong: {what}")).into()
            }
            _ => ApiError::new(ErrorCode::MalformedBody, format!("the body is not JSON: {what}")),
        }
    })?;
    json.end()
        .map_err(|error| ApiError::new(ErrorCode::MalformedBody, format!("the body is not JSON: {error}")))?;
    Ok(parsed)
}
