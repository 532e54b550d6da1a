//! The listener of the operator, apart from the one of the public: metrics, and whether the server is well.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anser_embedded::log::LocalLog;
use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::edge::Edge;
use crate::metrics::{Looked, Metrics};

/// What Prometheus calls its text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the operator's listener listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminListen {
    /// The address.
    pub address: SocketAddr,
    /// Whether the server does without it where somebody else has the address: nobody asked for this one.
    pub optional: bool,
}

/// Opens it.
pub(super) fn bind(listen: Option<AdminListen>) -> anyhow::Result<Option<TcpListener>> {
    let Some(AdminListen { address, optional }) = listen else { return Ok(None) };
    match super::listener::bind(address) {
        Ok(listener) => {
            if !address.ip().is_loopback() {
                tracing::warn!(%address, "the admin listener can be reached from elsewhere, and asks nobody who they are");
            }
            Ok(Some(listener))
        }
        Err(error) if optional => {
            let what = "there is no admin listener, since its address cannot be used: choose one with --admin-listen";
            tracing::warn!(%address, %error, what);
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| {
            format!(
                "cannot listen on {address} for the operator: choose another with --admin-listen, or none"
            )
        }),
    }
}

/// What the handlers look at.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) data: Arc<PathBuf>,
    pub(super) log: Arc<LocalLog>,
    pub(super) edge: Edge,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stopping: CancellationToken,
}

/// Every route of the operator's listener.
pub(super) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /metrics, /health and /ready\n") })
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.stopping.is_cancelled() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    // Sizes of files are looked up, which may wait for a disk.
    let written = tokio::task::spawn_blocking(move || admin.metrics.page(&admin.look()).text).await;
    match written {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Admin {
    fn look(&self) -> Looked {
        Looked {
            ready: !self.stopping.is_cancelled(),
            connections: self.edge.connections(),
            sessions: self.edge.signed_in(),
            log_bytes: bytes_in(&self.data.join("log")),
            log_segments: self.log.segments(),
            disk_free_bytes: free_bytes(&self.data),
        }
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // A file that is trimmed away meanwhile counts nothing.
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// What the file system has left for this process.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let file_system = rustix::fs::statvfs(folder).ok()?;
    Some(file_system.f_bavail.saturating_mul(file_system.f_frsize))
}
