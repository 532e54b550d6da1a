//! What a request brings: its address, its body as JSON, and in whose name it comes.

use std::error::Error;
use std::net::IpAddr;

use anser_proto::ErrorCode;
use axum::body::{self, Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Operation, Part};
use super::document::{ACCESS_TOKEN, API_KEY};
use super::{ApiError, HttpState, client_address};
use crate::accounts::{AccessError, ApiCaller, Session};

/// Bytes of the longest body, but where an operation takes many things at once.
pub const BODY_BYTES: usize = 64 * 1024;

/// A body that must be JSON of the shape `T`, of at most `BYTES` bytes.
pub struct JsonBody<T, const BYTES: usize = BODY_BYTES>(pub T);

impl<T: DeserializeOwned, const BYTES: usize> FromRequest<HttpState> for JsonBody<T, BYTES> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &HttpState) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        parse(&read(request.into_body(), BYTES).await?).map(JsonBody)
    }
}

impl<T: JsonSchema, const BYTES: usize> Part for JsonBody<T, BYTES> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.body = Some(schemas.subschema_for::<T>());
        operation.fails(&[ErrorCode::MalformedBody, ErrorCode::BodyTooLarge]);
        operation.fails_as(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::MalformedBody);
    }
}

/// The parts of the address that its route names.
pub struct At<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<HttpState> for At<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(path)| At(path)).map_err(|error: PathRejection| {
            ApiError::new(ErrorCode::BadValue, format!("the address is wrong: {}", error.body_text()))
        })
    }
}

impl<T: JsonSchema> Part for At<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.parameters::<T>("path", schemas);
    }
}

/// What stands behind `?` in the address.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<HttpState> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Params(query)).map_err(|error: QueryRejection| {
            ApiError::new(ErrorCode::BadValue, format!("a parameter is wrong: {}", error.body_text()))
        })
    }
}

impl<T: JsonSchema> Part for Params<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.parameters::<T>("query", schemas);
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
        let bytes = read(request.into_body(), BODY_BYTES).await?;
        if !bytes.is_empty() {
            json?;
            let Nothing {} = parse(&bytes)?;
        }
        Ok(NoBody)
    }
}

impl Part for NoBody {
    fn describe(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.fails(&[ErrorCode::MalformedBody, ErrorCode::BodyTooLarge]);
        operation.fails_as(StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::MalformedBody);
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

impl Part for Caller {
    fn describe(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.security.push(ACCESS_TOKEN);
        operation.fails(&[ErrorCode::Unauthenticated, ErrorCode::Revoked]);
    }
}

/// An application server, by the API key in `Authorization`.
pub struct KeyHolder(pub ApiCaller);

impl FromRequestParts<HttpState> for KeyHolder {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, ApiError> {
        let key = bearer(&parts.headers).ok_or_else(|| {
            let what = "send the API key as: Authorization: Bearer ak_…";
            ApiError::new(ErrorCode::Unauthenticated, what)
        })?;
        Ok(KeyHolder(state.accounts.authenticate_key(key).await?))
    }
}

impl Part for KeyHolder {
    fn describe(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.security.push(API_KEY);
        operation.fails(&[ErrorCode::Unauthenticated]);
    }
}

/// The token as it came, for whoever hands it on beside a [`Caller`], who was let in with it.
pub struct Bearer(pub String);

impl FromRequestParts<HttpState> for Bearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, ApiError> {
        Ok(Bearer(bearer(&parts.headers).unwrap_or_default().to_owned()))
    }
}

impl Part for Bearer {
    fn describe(_: &mut Operation, _: &mut SchemaGenerator) {}
}

/// From which address.
pub struct CameFrom(pub IpAddr);

impl FromRequestParts<HttpState> for CameFrom {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &HttpState) -> Result<Self, ApiError> {
        Ok(CameFrom(client_address(parts)))
    }
}

impl Part for CameFrom {
    fn describe(_: &mut Operation, _: &mut SchemaGenerator) {}
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

async fn read(body: Body, most: usize) -> Result<Bytes, ApiError> {
    body::to_bytes(body, most).await.map_err(|error| {
        let too_long = error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        match too_long {
            true => ApiError::new(ErrorCode::BodyTooLarge, format!("a body has at most {most} bytes")),
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
