//! The socket that everything comes in by: HTTP, from it WebSocket by upgrade, and frames without either.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anser_proto::STREAM_ALPN;
use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{
    CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::accounts::{AccountService, network};
use crate::edge::deflate::agree;
use crate::edge::ws::accept_key;
use crate::edge::{CameBy, Edge, Protocol, Stream, too_many_connections};
use crate::http::origin::may_connect;
use crate::http::{ClientAddress, HttpState};
use crate::metrics::Metrics;
use crate::wiring::live::Network;
use crate::wiring::messaging::Inside;
use crate::wiring::tls::Tls;

/// The version of WebSocket that is spoken: RFC 6455's.
const VERSION: &str = "13";
/// Bytes of a client's nonce.
const KEY_BYTES: usize = 16;
/// How long a client may take to say anything, and to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A frame comes behind its length, whose first byte is zero since frames are short; no request of HTTP begins so.
const FIRST_OF_A_FRAME: u8 = 0;
/// How long to wait after the system refused to accept, for want of descriptors for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted. When a network comes back, thousands knock within a second, and one
/// that the system drops tries again a second later; the system may allow less (net.core.somaxconn).
const KNOCKING_MAX: u32 = 4_096;

/// How long a client may take over its TLS handshake.
const TLS_PATIENCE: Duration = Duration::from_secs(10);
/// How long what was sent may go unacknowledged before the system ends a connection: somebody who lost their
/// network is noticed before they are silent for too long.
const UNACKNOWLEDGED_PATIENCE: Duration = Duration::from_secs(30);

/// What every connection of a listener is served with.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) routes: Router,
    /// Who takes frames that come without HTTP; none: nobody.
    pub(super) frames: Option<Edge>,
    pub(super) network: Network,
    /// None: as it comes.
    pub(super) tls: Option<Tls>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stopping: CancellationToken,
}

/// What a handshake needs.
#[derive(Clone)]
struct Upgrading {
    edge: Edge,
    network: Network,
    metrics: Arc<Metrics>,
}

/// A request that came through a trusted proxy.
#[derive(Clone, Copy)]
struct Proxied;

/// Every route of the public listener.
pub(super) fn routes(
    accounts: Arc<AccountService>,
    edge: Edge,
    network: Network,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
) -> Router {
    let ready = move || !stopping.is_cancelled();
    let state = HttpState {
        accounts,
        messaging: Arc::new(Inside(edge.clone())),
        waiting: Arc::default(),
        ready: Arc::new(ready),
    };
    let upgrading = Upgrading { edge, network, metrics: metrics.clone() };
    let sockets = Router::new().route("/ws", get(upgrade)).with_state(upgrading);
    crate::http::router(state).merge(sockets).layer(from_fn_with_state(metrics, count))
}

/// Counts a request by its route and what it came to.
async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics.http_request(route, method.as_str(), response.status().as_u16());
    response
}

/// Answers the handshake and hands the socket to the edge.
async fn upgrade(State(upgrading): State<Upgrading>, mut request: Request) -> Response {
    let Upgrading { edge, network: believed, metrics } = upgrading;
    if !may_connect(request.headers(), &believed.now().allowed_origins) {
        metrics.origins_refused.add(1);
        let what = "the Origin of a page must be the host that it connects to, or stand in allowed_origins\n";
        return (StatusCode::FORBIDDEN, what).into_response();
    }
    let address = request.extensions().get::<ClientAddress>().expect("the listener says who connects");
    let from = network(address.0);
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
    let offers = request.headers().get(SEC_WEBSOCKET_EXTENSIONS).and_then(|offers| offers.to_str().ok());
    let agreed = offers.filter(|_| edge.compresses()).and_then(agree);
    let protocol = if agreed.is_some() { Protocol::Deflated } else { Protocol::WebSocket };
    let came = CameBy { network: from, proxied: request.extensions().get::<Proxied>().is_some() };
    let upgrading = hyper::upgrade::on(&mut request);
    // It resolves once the answer below is written, or with an error if the connection ends before.
    let tracker = edge.tracker().clone();
    tracker.spawn(async move {
        let Ok(upgraded) = upgrading.await else { return };
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => adopt((&edge, protocol), parts.io.into_inner(), came, &parts.read_buf),
            Err(upgraded) => {
                if let Ok(parts) = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>() {
                    adopt((&edge, protocol), parts.io.into_inner(), came, &parts.read_buf);
                }
            }
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(agreed) = agreed.and_then(|agreed| HeaderValue::try_from(agreed).ok()) {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, agreed);
    }
    response
}

fn adopt(
    (edge, protocol): (&Edge, Protocol),
    stream: impl TryInto<Stream, Error = std::io::Error>,
    came: CameBy,
    read: &[u8],
) {
    match stream.try_into() {
        Ok(stream) => edge.adopt(stream, protocol, came, read.to_vec()),
        Err(error) => tracing::warn!(%error, "a socket could not be handed to the edge"),
    }
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
    HeaderValue::try_from(accept_key(key))
        .map_err(|_| (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not a key\n"))
}

/// Opens a listener that everybody at once may knock at.
///
/// # Errors
/// The address cannot be used.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait until the system has forgotten the connections of before.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(KNOCKING_MAX)
}

/// Accepts connections until it is told to stop; requests under way are finished then.
pub(super) fn accept(listener: TcpListener, gate: Gate, tracker: &TaskTracker) {
    tracker.spawn(accept_on(listener, gate, tracker.clone()));
}

async fn accept_on(listener: TcpListener, gate: Gate, tracker: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = gate.stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                notice_lost_networks(&stream);
                tracker.spawn(serve(stream, address, gate.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Has the system end a connection whose other end does not acknowledge for too long.
fn notice_lost_networks(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_PATIENCE)) {
        tracing::debug!(%error, "the system keeps its own patience with silent networks");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

async fn serve(stream: TcpStream, address: SocketAddr, gate: Gate) {
    let Some(tls) = &gate.tls else {
        let Some(edge) = &gate.frames else { return serve_http(stream, address, gate).await };
        let first = tokio::select! {
            first = first_byte(&stream) => first,
            // Who has said nothing by then is not waited for.
            () = gate.stopping.cancelled() => None,
        };
        return match first {
            Some(FIRST_OF_A_FRAME) => take_frames(stream, address, edge, &gate.network).await,
            Some(_) => serve_http(stream, address, gate).await,
            None => {}
        };
    };
    match tokio::time::timeout(TLS_PATIENCE, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => match &gate.frames {
            Some(edge) if stream.get_ref().1.alpn_protocol() == Some(STREAM_ALPN) => {
                take_frames(stream, address, edge, &gate.network).await;
            }
            _ => serve_http(stream, address, gate).await,
        },
        Ok(Err(error)) => {
            gate.metrics.tls_failures.add(1);
            tracing::debug!(%address, %error, "a TLS handshake failed");
        }
        Err(_) => gate.metrics.tls_failures.add(1),
    }
}

/// What comes first, left where it is; nothing from somebody who says nothing.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut first = [0];
    match tokio::time::timeout(HEAD_PATIENCE, stream.peek(&mut first)).await {
        Ok(Ok(1)) => Some(first[0]),
        _ => None,
    }
}

/// Hands a socket on which frames come without HTTP to the edge.
async fn take_frames<S>(mut stream: S, address: SocketAddr, edge: &Edge, believed: &Network)
where
    S: AsyncWrite + Unpin + TryInto<Stream, Error = std::io::Error>,
{
    let came =
        CameBy { network: network(address.ip()), proxied: believed.now().proxies.trusts(address.ip()) };
    match edge.admit(came.network) {
        Ok(()) => adopt((edge, Protocol::Stream), stream, came, &[]),
        Err(retry_after_ms) => {
            let told = async {
                stream.write_all(&too_many_connections(retry_after_ms)).await?;
                stream.shutdown().await
            };
            // Who does not hear of it comes again too soon, and is refused again.
            _ = tokio::time::timeout(HEAD_PATIENCE, told).await;
        }
    }
}

async fn serve_http<S>(stream: S, address: SocketAddr, gate: Gate)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let network = gate.network;
    let routes = gate.routes.map_request(move |mut request: axum::http::Request<Incoming>| {
        let proxies = &network.now().proxies;
        let client = proxies.client(address.ip(), request.headers());
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(address));
        extensions.insert(ClientAddress(client));
        if proxies.trusts(address.ip()) {
            extensions.insert(Proxied);
        }
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
        () = gate.stopping.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    _ = connection.await;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hundreds_may_knock_before_one_is_accepted() {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        // More than the 128 that a socket is given otherwise; a dropped one would try again for seconds.
        let knock = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(900));
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the system has a limit");
        let many = most.trim().parse::<usize>().expect("it is a number").min(400);
        let knocking: Vec<_> = (0..many).map(|_| knock()).collect();
        let failed = knocking.iter().filter(|knocked| knocked.is_err()).count();
        assert_eq!(failed, 0);
    }

    #[tokio::test]
    async fn the_system_is_told_to_notice_lost_networks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.expect("it connects");
        notice_lost_networks(&stream);
        let patience = SockRef::from(&stream).tcp_user_timeout().expect("it is a TCP socket");
        assert_eq!(patience, Some(UNACKNOWLEDGED_PATIENCE));
    }
}
