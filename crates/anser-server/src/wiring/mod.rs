//! The composition root: opens the folder, starts the parts in order, and stops them in the reverse.
//! The one place that knows which adapters there are.

mod home;
mod listener;
mod people;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anser_core::fanout::EdgeId;
use anser_core::ports::clock::Clock;
use anser_core::ports::history::History;
use anser_core::ports::random::Random;
use anser_embedded::accounts::SqliteAccounts;
use anser_embedded::disk::FolderDisk;
use anser_embedded::history::SqliteHistory;
use anser_embedded::index::SqliteIndex;
use anser_embedded::log::{LocalLog, LogOptions};
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_model::limits::{CLIENT_ID_REMEMBERED_MS, DAY_MS};
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{AccountConfig, AccountParts, AccountService, FirstInvitations, Secrets, Tokens};
use crate::edge::{Edge, EdgeConfig, EdgeParts};
use crate::node::{Node, NodeConfig, NodePorts};

/// How often old client ids are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(3_600);
/// How often what accounts have to tell their homes is looked for.
const OUTBOX_INTERVAL: Duration = Duration::from_secs(2);
/// Connections at most, unless told otherwise: below the usual limit of descriptors.
pub const CONNECTIONS_MAX: usize = 19_000;
/// After how long without a frame a client pings.
pub const HEARTBEAT_INTERVAL_MS: u64 = 240_000;
/// What a client's backoff is capped at.
pub const BACKOFF_CAP_MS: u64 = 30_000;

/// What `serve` is told.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may come in, and how fast.
    pub accounts: AccountConfig,
    /// Tasks that share the slots.
    pub workers: usize,
    /// Bytes of a log segment; `None`: the usual.
    pub segment_bytes: Option<u64>,
    /// After how long without a frame a client pings.
    pub heartbeat_interval_ms: u64,
    /// What a client's backoff is capped at.
    pub backoff_cap_ms: u64,
    /// Connections at most.
    pub connections_max: usize,
}

impl ServeConfig {
    /// The usual, for a data folder.
    pub fn new(data: &Path, listen: SocketAddr) -> Self {
        ServeConfig {
            data: data.to_path_buf(),
            listen,
            accounts: AccountConfig::default(),
            workers: 1,
            segment_bytes: None,
            heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
            backoff_cap_ms: BACKOFF_CAP_MS,
            connections_max: CONNECTIONS_MAX,
        }
    }
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The first invitations, on the first start.
    pub invitations: Option<FirstInvitations>,
    node: Node,
    edge: Edge,
    stopping: CancellationToken,
    tracker: TaskTracker,
}

impl Server {
    /// Opens the data folder and serves. Resolves when everything is served.
    ///
    /// # Errors
    /// What is wrong, for the operator: a port in use, a folder in use or of a newer version, a
    /// damaged log, permissions.
    pub async fn start(config: ServeConfig) -> anyhow::Result<Server> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let tracker = TaskTracker::new();
        // The port first: it is the likeliest to be wrong, and the cheapest to find out.
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}: choose another with --listen", config.listen))?;
        let address = listener.local_addr()?;
        let disk = FolderDisk::open(&config.data.join("log"))?;
        let secrets = Secrets::open(&config.data, &*random)?;
        let (ports, timeline) = open_ports(&config, disk, &secrets, clock.clone(), random.clone())?;
        let accounts = Arc::new(SqliteAccounts::open(&config.data)?);
        let history = ports.history.clone();
        let node_config = NodeConfig { timeline, slot_key: secrets.slot_key(), workers: config.workers };
        let node = Node::start(node_config, ports, &tracker).await?;
        let parts = AccountParts {
            accounts,
            home: Arc::new(home::NodeHome::new(node.clone())),
            clock: clock.clone(),
            random: random.clone(),
            timeline,
        };
        let accounts = Arc::new(AccountService::new(parts, &secrets, config.accounts)?);
        let invitations = accounts.first_invitations().await?;
        let people = Arc::new(people::Directory::new(accounts.clone()));
        let edge = Edge::start(
            EdgeConfig {
                id: EdgeId(0),
                heartbeat_interval_ms: config.heartbeat_interval_ms,
                backoff_cap_ms: config.backoff_cap_ms,
                connections_max: config.connections_max,
            },
            EdgeParts {
                node: node.clone(),
                tokens: Arc::new(Tokens::new(secrets.signing(), timeline)),
                people,
                clock: clock.clone(),
                tracker: tracker.clone(),
            },
        );
        let stopping = CancellationToken::new();
        tracker.spawn(forget_keys(history, clock.clone(), stopping.clone()));
        tracker.spawn(deliver_outbox(accounts.clone(), stopping.clone()));
        let routes = listener::routes(accounts, edge.clone(), stopping.clone());
        listener::accept(listener, routes, &tracker, stopping.clone());
        Ok(Server { address, invitations, node, edge, stopping, tracker })
    }

    /// Resolves with the reason once nothing may be acknowledged any more: the process must exit.
    pub async fn halted(&self) -> String {
        self.node.halted().await
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.edge.connections()
    }

    /// Stops accepting, tells everybody to go, answers what was accepted, folds, and closes.
    pub async fn drain(self) {
        self.stopping.cancel();
        self.edge.drain().await;
        self.node.close().await;
        self.tracker.close();
        drop((self.node, self.edge));
        // Whatever still runs holds nothing that is not on disk.
        _ = tokio::time::timeout(Duration::from_secs(3), self.tracker.wait()).await;
    }
}

fn open_ports(
    config: &ServeConfig,
    disk: FolderDisk,
    secrets: &Secrets,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> anyhow::Result<(NodePorts, anser_model::Timeline)> {
    let mut options = LogOptions::new(secrets.slot_key().fingerprint());
    if let Some(segment_bytes) = config.segment_bytes {
        options.segment_bytes = segment_bytes;
    }
    let log = LocalLog::open(Arc::new(disk), options, random.clone(), &*clock)?;
    let timeline = log.timeline();
    let ports = NodePorts {
        log: Arc::new(log),
        index: Arc::new(SqliteIndex::open(&config.data)?),
        history: Arc::new(SqliteHistory::open(&config.data)?),
        clock,
        random,
    };
    Ok((ports, timeline))
}

/// Forgets client ids that are too old to be accepted again, until the server stops.
async fn forget_keys(history: Arc<dyn History>, clock: Arc<dyn Clock>, stopping: CancellationToken) {
    let mut interval = tokio::time::interval(FORGET_INTERVAL);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stopping.cancelled() => return,
        }
        let oldest = clock.now().minus_ms(CLIENT_ID_REMEMBERED_MS);
        if let Err(error) = history.forget_keys((oldest.0 / DAY_MS) as u32).await {
            tracing::warn!(%error, "old client ids could not be forgotten");
        }
    }
}

/// Tells homes what accounts have changed, until the server stops.
async fn deliver_outbox(accounts: Arc<AccountService>, stopping: CancellationToken) {
    let mut interval = tokio::time::interval(OUTBOX_INTERVAL);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stopping.cancelled() => return,
        }
        if let Err(error) = accounts.deliver_outbox().await {
            tracing::warn!(%error, "what accounts have to tell could not be delivered");
        }
    }
}
