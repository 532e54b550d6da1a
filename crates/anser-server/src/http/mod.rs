//! The HTTP API: accounts, devices and invitations as JSON under `/api/v1`, and the two addresses that
//! an operator watches.

mod body;
mod error;
pub mod origin;
pub mod proxies;
mod routes;
#[cfg(test)]
mod tests;
mod web;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anser_proto::ErrorCode;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};

use crate::accounts::AccountService;
pub use error::ApiError;

/// What the handlers work with.
#[derive(Clone)]
pub struct HttpState {
    /// The use cases.
    pub accounts: Arc<AccountService>,
    /// Whether requests should come here: `/ready` tells load balancers.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Where a request comes from, as far as it is believed. The listener puts it into the request's
/// extensions where a trusted proxy tells it; else the peer of the connection counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The routes. Serve them with `into_make_service_with_connect_info::<SocketAddr>()`, or with a
/// [`ClientAddress`] in every request.
pub fn router(state: HttpState) -> Router {
    let api = Router::new()
        .route("/register", post(routes::register))
        .route("/sign-in", post(routes::sign_in))
        .route("/refresh", post(routes::refresh))
        .route("/sign-out", post(routes::sign_out))
        .route("/password", post(routes::change_password))
        .route("/devices", get(routes::list_devices))
        .route("/devices/{device}", delete(routes::revoke_device))
        .route("/profile", get(routes::own_profile).patch(routes::change_profile))
        .route("/deactivate", post(routes::deactivate))
        .route("/people/{handle}", get(routes::look_up))
        .route("/invitations", post(routes::invite));
    Router::new()
        .nest("/api/v1", api)
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
