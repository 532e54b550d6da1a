//! The socket that everything comes in by: HTTP, and from it WebSocket by upgrade.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CONNECTION, HOST, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::accounts::{AccountService, network};
use crate::edge::Edge;
use crate::edge::ws::accept_key;

/// The version of WebSocket that is spoken: RFC 6455's.
const VERSION: &str = "13";
/// Bytes of a client's nonce.
const KEY_BYTES: usize = 16;
/// How long a client may take to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait after the system refused to accept, for want of descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Every route of the public listener.
pub(super) fn routes(accounts: Arc<AccountService>, edge: Edge, stopping: CancellationToken) -> Router {
    let ready = move || !stopping.is_cancelled();
    let sockets = Router::new().route("/ws", get(upgrade)).with_state(edge);
    let state = crate::http::HttpState { accounts, ready: Arc::new(ready) };
    crate::http::router(state).merge(sockets)
}

/// Answers the handshake and hands the socket to the edge.
async fn upgrade(State(edge): State<Edge>, mut request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().expect("the listener says who connects");
    let from = network(peer.0.ip());
    let accept = match handshake(request.headers()) {
        Ok(accept) => accept,
        Err((StatusCode::UPGRADE_REQUIRED, what)) => {
            // What would be right, as RFC 9110 and RFC 6455 (4.2.2) ask.
            let right = [(CONNECTION, "upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, VERSION)];
            return (StatusCode::UPGRADE_REQUIRED, right, what).into_response();
        }
        Err((status, what)) => return (status, what).into_response(),
    };
    if let Err(retry_after_ms) = edge.admit(from) {
        let seconds = retry_after_ms.div_ceil(1_000).to_string();
        let why = "too many connections came from your network: connect again later\n";
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds)], why).into_response();
    }
    let upgrading = hyper::upgrade::on(&mut request);
    // It resolves once the answer below is written, or with an error if the connection ends before.
    let tracker = edge.tracker().clone();
    tracker.spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        if let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() {
            edge.adopt(parts.io.into_inner(), from, parts.read_buf);
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn handshake(headers: &HeaderMap) -> Result<HeaderValue, (StatusCode, &'static str)> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
    let has = |value: &str, token: &str| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token));
    if !has(text(CONNECTION), "upgrade") || !has(text(UPGRADE), "websocket") {
        return Err((StatusCode::UPGRADE_REQUIRED, "this address speaks WebSocket: connect with ws://\n"));
    }
    if text(SEC_WEBSOCKET_VERSION) != VERSION {
        return Err((StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13\n"));
    }
    let key = text(SEC_WEBSOCKET_KEY);
    if STANDARD.decode(key).map(|key| key.len()) != Ok(KEY_BYTES) {
        return Err((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64\n"));
    }
    // A page of another site must not speak for whoever looks at it. Programs send no Origin.
    let origin = text(ORIGIN);
    if !origin.is_empty() && origin.split_once("://").map(|(_, host)| host) != Some(text(HOST)) {
        return Err((StatusCode::FORBIDDEN, "the Origin of a page must be the host that it connects to\n"));
    }
    HeaderValue::try_from(accept_key(key))
        .map_err(|_| (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not a key\n"))
}

/// Accepts connections until it is told to stop; requests under way are finished then.
pub(super) fn accept(
    listener: TcpListener,
    routes: Router,
    tracker: &TaskTracker,
    stopping: CancellationToken,
) {
    tracker.spawn(accept_on(listener, routes, tracker.clone(), stopping));
}

async fn accept_on(listener: TcpListener, routes: Router, tracker: TaskTracker, stopping: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                tracker.spawn(serve_http(stream, address, routes.clone(), stopping.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_http(stream: TcpStream, address: SocketAddr, routes: Router, stopping: CancellationToken) {
    let routes = routes.map_request(move |mut request: axum::http::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // What a client does wrong in HTTP is answered by hyper, and is no news.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopping.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    _ = connection.await;
}
