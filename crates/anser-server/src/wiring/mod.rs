//! The composition root: opens the folder, starts the parts in order, and stops them in the reverse.
//! The one place that knows which adapters there are.

mod admin;
mod home;
mod listener;
mod live;
mod memory;
mod messaging;
mod people;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anser_core::fanout::EdgeId;
use anser_core::ports::clock::Clock;
use anser_core::ports::disk::Disk;
use anser_core::ports::history::History;
use anser_core::ports::random::Random;
use anser_embedded::accounts::SqliteAccounts;
use anser_embedded::disk::{FolderDisk, SlowDisk};
use anser_embedded::history::SegmentHistory;
use anser_embedded::index::SqliteIndex;
use anser_embedded::log::{LocalLog, LogOptions};
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_model::limits::{CLIENT_ID_REMEMBERED_MS, DAY_MS};
use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::{AccountConfig, AccountParts, AccountService, FirstInvitations, Secrets, Tokens};
use crate::edge::{Edge, EdgeConfig, EdgeParts, EdgeRates};
use crate::metrics::Metrics;
use crate::node::{FEW, Node, NodeConfig, NodePorts, gathering};

use self::admin::Admin;
pub use self::admin::{AdminListen, free_bytes};
use self::listener::Gate;
use self::live::Network;
pub use self::live::{LiveConfig, NetworkConfig};
use self::tls::Tls;
pub use self::tls::TlsFiles;

/// How often old client ids are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(3_600);
/// How often what accounts have to tell their homes is looked for.
const OUTBOX_INTERVAL: Duration = Duration::from_secs(2);
/// Connections at most, unless told otherwise: below the usual limit of descriptors.
pub const CONNECTIONS_MAX: usize = 19_000;
/// After how long without a frame a client pings.
pub const HEARTBEAT_INTERVAL_MS: u64 = 240_000;
/// The same for connections through a proxy: many forget one that is silent for a minute.
pub const PROXIED_HEARTBEAT_INTERVAL_MS: u64 = 45_000;
/// What a client's backoff is capped at.
pub const BACKOFF_CAP_MS: u64 = 30_000;

/// What `serve` is told.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the operator's listener listens; none: nowhere.
    pub admin: Option<AdminListen>,
    /// The certificate with which TLS is spoken; none: as it comes.
    pub tls: Option<TlsFiles>,
    /// Who is believed.
    pub network: NetworkConfig,
    /// Who may come in, and how fast.
    pub accounts: AccountConfig,
    /// Threads that share the slots.
    pub workers: usize,
    /// Bytes of a log segment; `None`: the usual.
    pub segment_bytes: Option<u64>,
    /// Milliseconds that every sync of the log takes longer, for tests; 0: none.
    pub slow_disk_ms: u64,
    /// After how long without a frame a client pings.
    pub heartbeat_interval_ms: u64,
    /// The same for connections through a trusted proxy.
    pub proxied_heartbeat_interval_ms: u64,
    /// What a client's backoff is capped at.
    pub backoff_cap_ms: u64,
    /// Connections at most.
    pub connections_max: usize,
    /// How much may be asked over connections.
    pub edge_rates: EdgeRates,
    /// Threads that share the connections.
    pub edge_shards: usize,
    /// WebSocket messages are compressed for clients that offer it.
    pub compresses: bool,
}

impl ServeConfig {
    /// The usual, for a data folder.
    pub fn new(data: &Path, listen: SocketAddr) -> Self {
        ServeConfig {
            data: data.to_path_buf(),
            listen,
            admin: None,
            tls: None,
            network: NetworkConfig::default(),
            accounts: AccountConfig::default(),
            workers: 1,
            segment_bytes: None,
            slow_disk_ms: 0,
            heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS,
            proxied_heartbeat_interval_ms: PROXIED_HEARTBEAT_INTERVAL_MS,
            backoff_cap_ms: BACKOFF_CAP_MS,
            connections_max: CONNECTIONS_MAX,
            edge_rates: EdgeRates::default(),
            edge_shards: 1,
            compresses: false,
        }
    }
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the operator's listener listens.
    pub admin_address: Option<SocketAddr>,
    /// The first invitations, on the first start.
    pub invitations: Option<FirstInvitations>,
    log: Arc<LocalLog>,
    node: Node,
    edge: Edge,
    accounts: Arc<AccountService>,
    network: Network,
    tls: Option<Tls>,
    metrics: Arc<Metrics>,
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
        let mut phases = Phases::begin(clock.clone());
        // The port first: it is the likeliest to be wrong, and the cheapest to find out.
        let listener = listener::bind(config.listen)
            .with_context(|| format!("cannot listen on {}: choose another with --listen", config.listen))?;
        let address = listener.local_addr()?;
        let admin = admin::bind(config.admin)?;
        let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let tls = config.tls.as_ref().map(|files| Tls::new(files.load()?)).transpose()?;
        let metrics = Arc::new(Metrics::default());
        let disk = FolderDisk::open(&config.data.join("log"))?;
        let secrets = Secrets::open(&config.data, &*random)?;
        phases.end("folder");
        let Stores { log, index, history, accounts } =
            open_stores(&config, disk, &secrets, (clock.clone(), random.clone()))?;
        phases.end("stores");
        let timeline = log.timeline();
        let ports = NodePorts {
            log: log.clone(),
            index,
            history: history.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
        };
        let node_config = NodeConfig { timeline, slot_key: secrets.slot_key(), workers: config.workers };
        let node = Node::start(node_config, ports, &tracker).await?;
        phases.end("slots");
        let versions = people::Versions::default();
        let parts = AccountParts {
            accounts: accounts.clone(),
            keys: accounts,
            home: Arc::new(home::NodeHome::new(node.clone(), versions.clone())),
            clock: clock.clone(),
            random: random.clone(),
            timeline,
        };
        let accounts = Arc::new(AccountService::new(parts, &secrets, config.accounts)?);
        let invitations = accounts.first_invitations().await?;
        let people = Arc::new(people::Directory::new(accounts.clone(), versions));
        let edge = Edge::start(
            EdgeConfig {
                id: EdgeId(0),
                heartbeat_interval_ms: config.heartbeat_interval_ms,
                proxied_heartbeat_interval_ms: config.proxied_heartbeat_interval_ms,
                backoff_cap_ms: config.backoff_cap_ms,
                connections_max: config.connections_max,
                rates: config.edge_rates,
                shards: config.edge_shards,
                compresses: config.compresses,
            },
            EdgeParts {
                node: node.clone(),
                tokens: Arc::new(Tokens::new(secrets.signing(), timeline)),
                people,
                clock: clock.clone(),
                tracker: tracker.clone(),
                metrics: metrics.clone(),
            },
        )?;
        let stopping = CancellationToken::new();
        tracker.spawn(forget_keys(history, clock.clone(), stopping.clone()));
        tracker.spawn(deliver_outbox(accounts.clone(), stopping.clone()));
        tracker.spawn(memory::give_back(stopping.clone()));
        let network = Network::new(config.network);
        let parts = (network.clone(), metrics.clone(), stopping.clone());
        let routes = listener::routes(accounts.clone(), edge.clone(), parts.0, parts.1, parts.2);
        let gate = Gate {
            routes,
            frames: Some(edge.clone()),
            network: network.clone(),
            tls: tls.clone(),
            metrics: metrics.clone(),
            stopping: stopping.clone(),
        };
        if let Some(admin) = admin {
            let routes = admin::routes(Admin {
                data: Arc::new(config.data),
                log: log.clone(),
                edge: edge.clone(),
                metrics: metrics.clone(),
                stopping: stopping.clone(),
            });
            // Nobody is believed there but the peer, and it is as it comes.
            let network = Network::new(NetworkConfig::default());
            listener::accept(
                admin,
                Gate { routes, frames: None, network, tls: None, ..gate.clone() },
                &tracker,
            );
        }
        listener::accept(listener, gate, &tracker);
        phases.end("edge");
        let admin = admin_address.map_or("none".to_owned(), |address| address.to_string());
        tracing::info!(%address, admin, tls = tls.is_some(), phases = phases.told, "serving");
        Ok(Server {
            address,
            admin_address,
            invitations,
            log,
            node,
            edge,
            accounts,
            network,
            tls,
            metrics,
            stopping,
            tracker,
        })
    }

    /// Changes what may change while it runs: all of it, or nothing.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub fn reload(&self, live: LiveConfig) -> anyhow::Result<()> {
        let certificate = match (&self.tls, &live.tls) {
            (Some(tls), Some(files)) => Some((tls, files.load()?)),
            _ => None,
        };
        if let Some((tls, certificate)) = certificate {
            tls.show(certificate);
        }
        self.accounts.set_terms(live.registration, live.rates);
        self.edge.set_connections_max(live.connections_max);
        self.network.set(live.network);
        Ok(())
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Resolves with the reason once nothing may be acknowledged any more: the process must exit.
    pub async fn halted(&self) -> String {
        tokio::select! {
            why = self.node.halted() => why,
            why = self.log.broken() => why,
        }
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
        drop((self.node, self.edge, self.accounts, self.log));
        // Whatever still runs holds nothing that is not on disk.
        _ = tokio::time::timeout(Duration::from_secs(3), self.tracker.wait()).await;
    }
}

/// What is on disk.
struct Stores {
    log: Arc<LocalLog>,
    index: Arc<SqliteIndex>,
    history: Arc<SegmentHistory>,
    accounts: Arc<SqliteAccounts>,
}

/// Opens everything at once: after a kill each has something to read back, and none needs another.
fn open_stores(
    config: &ServeConfig,
    disk: FolderDisk,
    secrets: &Secrets,
    (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
) -> anyhow::Result<Stores> {
    let mut options = LogOptions::new(secrets.slot_key().fingerprint());
    if let Some(segment_bytes) = config.segment_bytes {
        options.segment_bytes = segment_bytes;
    }
    options.answering = |count, answer| match count <= FEW {
        true => gathering(answer),
        false => answer(),
    };
    let disk: Arc<dyn Disk> = match config.slow_disk_ms {
        0 => Arc::new(disk),
        ms => Arc::new(SlowDisk::new(disk, Duration::from_millis(ms))),
    };
    let shared_clock = &clock;
    let clock = &*clock;
    std::thread::scope(|scope| {
        let index = scope.spawn(|| timed("index", clock, || SqliteIndex::open(&config.data)));
        let open_history = || SegmentHistory::in_folder(&config.data, Arc::clone(shared_clock));
        let history = scope.spawn(move || timed("history", clock, open_history));
        let accounts = scope.spawn(|| timed("accounts", clock, || SqliteAccounts::open(&config.data)));
        let log = timed("log", clock, || LocalLog::open(disk, options, random, Arc::clone(shared_clock)));
        Ok(Stores {
            log: Arc::new(log?),
            index: Arc::new(finished(index)?),
            history: Arc::new(finished(history)?),
            accounts: Arc::new(finished(accounts)?),
        })
    })
}

fn timed<T>(what: &str, clock: &dyn Clock, open: impl FnOnce() -> T) -> T {
    let began_ms = clock.monotonic_ms();
    let opened = open();
    tracing::debug!(what, milliseconds = clock.monotonic_ms() - began_ms, "opened");
    opened
}

fn finished<T>(opening: std::thread::ScopedJoinHandle<'_, T>) -> T {
    opening.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// How long each part of a start took, for whoever wonders why one is slow.
struct Phases {
    clock: Arc<dyn Clock>,
    since_ms: u64,
    told: String,
}

impl Phases {
    fn begin(clock: Arc<dyn Clock>) -> Self {
        let since_ms = clock.monotonic_ms();
        Phases { clock, since_ms, told: String::new() }
    }

    fn end(&mut self, phase: &str) {
        let now_ms = self.clock.monotonic_ms();
        let separator = if self.told.is_empty() { "" } else { ", " };
        self.told.push_str(&format!("{separator}{phase} {} ms", now_ms - self.since_ms));
        self.since_ms = now_ms;
    }
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
