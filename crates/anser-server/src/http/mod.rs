//! The HTTP API: accounts, conversations, messages and sync as JSON under `/api/v1`, the document that
//! describes them, and the two addresses that an operator watches.
//!
//! - [`api`]: routes and document from one declaration
//! - [`body`]: what a request brings
//! - [`scalars`], [`texts`]: ids, numbers and short texts
//! - [`facts`]: heads and events as JSON; [`kinds`]: messages by kind
//! - [`routes`]: one file for each family of operations
//! - [`page`]: the reference page

mod api;
mod body;
mod document;
mod error;
mod facts;
mod kinds;
pub mod origin;
mod page;
pub mod proxies;
mod routes;
mod scalars;
#[cfg(test)]
mod tests;
mod texts;
mod web;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anser_core::ports::PortFuture;
use anser_model::{AccountId, ConversationId, Slot};
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Wire;
use anser_proto::{ErrorCode, v1};
use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::accounts::{AccountService, Grant, Session};
use crate::edge::{Page, Polled};
pub use error::ApiError;
pub use routes::Waiting;

/// Conversations and messages, asked as a socket asks.
pub trait Messaging: Send + Sync {
    /// One request in somebody's name.
    fn ask(&self, grant: Grant, request: Request) -> PortFuture<Result<Wire, v1::Error>>;

    /// What changed since a cursor, waiting for it if nothing did.
    fn poll(
        &self,
        token: String,
        cursor: v1::Cursor,
        wait: Duration,
    ) -> PortFuture<Result<Polled, v1::Error>>;

    /// Some of an account's conversations.
    fn conversations(
        &self,
        account: AccountId,
        from: Option<(Slot, ConversationId)>,
        limit: usize,
    ) -> PortFuture<Result<Page, v1::Error>>;
}

/// What the handlers work with.
#[derive(Clone)]
pub struct HttpState {
    /// The use cases of accounts.
    pub accounts: Arc<AccountService>,
    /// Conversations and messages.
    pub messaging: Arc<dyn Messaging>,
    /// Who waits in a sync.
    pub waiting: Arc<Waiting>,
    /// Whether requests should come here: `/ready` tells load balancers.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl HttpState {
    /// Asks in the name of somebody who was let in.
    async fn ask(&self, session: &Session, request: Request) -> Result<Wire, ApiError> {
        Ok(self.messaging.ask(session.grant, request).await?)
    }
}

/// Where a request comes from, as far as it is believed. The listener puts it into the request's
/// extensions where a trusted proxy tells it; else the peer of the connection counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The routes. Serve them with `into_make_service_with_connect_info::<SocketAddr>()`, or with a
/// [`ClientAddress`] in every request.
pub fn router(state: HttpState) -> Router {
    let (api, document) = routes::all();
    let document = Bytes::from(document.to_string());
    let document = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document) });
    api.route("/api/v1/openapi.json", document)
        .merge(page::routes())
        .route("/health", get(|| async { "ok" }))
        .route("/ready", get(ready))
        .fallback(elsewhere)
        .method_not_allowed_fallback(|| async {
            ApiError::new(ErrorCode::MethodNotAllowed, "this address knows other methods, see Allow")
        })
        .layer(map_response(guarded))
        .with_state(state)
}

/// Addresses without a route: the web client's files, or nothing.
async fn elsewhere(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    web::answer(&method, uri.path(), &headers).unwrap_or_else(|| {
        ApiError::new(ErrorCode::NotFound, "there is nothing at this address").into_response()
    })
}

/// The OpenAPI document of the API, as it stands in `docs/openapi.json`.
pub fn openapi() -> String {
    let (_, document) = routes::all();
    let mut text = serde_json::to_string_pretty(&document).expect("a JSON value is written");
    text.push('\n');
    text
}

async fn ready(State(state): State<HttpState>) -> (StatusCode, &'static str) {
    match (state.ready)() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    }
}

/// Answers hold tokens and devices: unless they say otherwise nobody keeps them, and nobody guesses their type.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Where a request comes from. Where nobody knows, all such requests share one limit.
fn client_address(parts: &Parts) -> IpAddr {
    let told = parts.extensions.get::<ClientAddress>().map(|address| address.0);
    let peer = || parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    told.or_else(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
