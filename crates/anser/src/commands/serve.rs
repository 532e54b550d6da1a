//! `anser serve`: the server, until it is told to stop.

use std::fs::DirBuilder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anser_server::accounts::{AccountConfig, Rate};
use anser_server::edge::EdgeRates;
use anser_server::wiring::{BACKOFF_CAP_MS, ServeConfig, Server, TlsFiles};
use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::commands::reload::{POLL_INTERVAL, Reloader};
use crate::config::rates::{RateName, parse_named_rate};
use crate::config::{Configured, Given, LogFormat, Sources, Switch};

/// What the process exits with when the disk can no longer be trusted (EX_IOERR of sysexits.h).
const EXIT_IO_ERROR: i32 = 74;
/// An address for documentation (RFC 5737), to ask for the way out of this machine.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// Permissions of a data folder that is made: what people write is nobody else's.
const DATA_MODE: u32 = 0o700;

#[derive(Args)]
pub struct Serve {
    /// The data folder, made where there is none
    #[arg(long, default_value = "data", env = "ANSER_DATA")]
    data: PathBuf,
    /// The configuration file [default: anser.toml in the data folder, if there is one]
    #[arg(long, value_name = "FILE", env = "ANSER_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    /// How often something may be asked, as NAME=BURST/MILLISECONDS: so many at once, then one more after
    /// each of so many milliseconds. NAME is sign-in, password, refresh, request, look-up, invite, session,
    /// account, connect or stranger
    #[arg(long = "rate", value_name = "NAME=BURST/MS", value_parser = parse_named_rate)]
    rates: Vec<(RateName, Rate)>,
    #[command(flatten)]
    trials: Trials,
}

/// For tests and load tests: not for the configuration file.
#[derive(Args, Clone, Copy)]
pub struct Trials {
    /// Bytes of one segment of the log
    #[arg(long, env = "ANSER_SEGMENT_BYTES", hide = true)]
    segment_bytes: Option<u64>,
    /// Every sync of the log takes so many milliseconds longer: for tests
    #[arg(long, default_value_t = 0, hide = true)]
    slow_disk_ms: u64,
    /// No limits on sign-ins and requests: for load tests on a machine of one's own
    #[arg(long, env = "ANSER_UNLIMITED", hide = true)]
    unlimited: bool,
    /// Passwords hashed at next to no cost: for load tests that register hundreds of people
    #[arg(long, hide = true)]
    cheap_passwords: bool,
    /// Access tokens are good for so many seconds: for tests of what an expired one is worth
    #[arg(long, hide = true)]
    access_token_s: Option<u64>,
    /// What a client's backoff is capped at, in milliseconds: for tests that stop the server often
    #[arg(long, default_value_t = BACKOFF_CAP_MS, hide = true)]
    backoff_cap_ms: u64,
}

impl Trials {
    /// Who may come in and how fast, by the configuration and these.
    pub fn accounts(self, configured: &Configured) -> AccountConfig {
        let mut accounts = AccountConfig {
            registration: configured.settings.registration,
            second_device: configured.settings.second_device,
            rates: configured.rates.accounts,
            access_token_s: self.access_token_s,
            ..AccountConfig::default()
        };
        if self.unlimited {
            accounts = accounts.unlimited();
        }
        if self.cheap_passwords {
            accounts = accounts.with_cheap_passwords();
        }
        accounts
    }

    /// How much may be asked of the edge, by the configuration and these.
    fn edge_rates(self, configured: &Configured) -> EdgeRates {
        if self.unlimited { EdgeRates::UNLIMITED } else { configured.rates.edge }
    }
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Serve { data, config, given, rates, trials } = self;
        let sources = Sources { data, config, given, rates };
        let configured = sources.read()?;
        let filter = log_to_stderr(&configured)?;
        abort_on_panic();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(serve(sources, configured, trials, filter))
    }
}

fn serve_config(sources: &Sources, configured: &Configured, trials: Trials) -> anyhow::Result<ServeConfig> {
    let settings = &configured.settings;
    let data = &sources.data;
    let tls = match settings.makes_certificate() {
        true => Some(TlsFiles::make_self_signed(data, settings.listen.ip())?),
        false => settings.tls_files(data),
    };
    Ok(ServeConfig {
        admin: settings.admin(),
        tls,
        network: settings.network(),
        accounts: trials.accounts(configured),
        edge_rates: trials.edge_rates(configured),
        workers: settings.workers.0 as usize,
        edge_shards: settings.edge_threads.0 as usize,
        compresses: settings.websocket_compression == Switch::On,
        connections_max: settings.connections_max.0 as usize,
        heartbeat_interval_ms: settings.heartbeat_interval_ms.0,
        proxied_heartbeat_interval_ms: settings.proxied_heartbeat_interval_ms.0,
        backoff_cap_ms: trials.backoff_cap_ms,
        segment_bytes: trials.segment_bytes,
        slow_disk_ms: trials.slow_disk_ms,
        ..ServeConfig::new(data, settings.listen)
    })
}

async fn serve(
    sources: Sources,
    configured: Configured,
    trials: Trials,
    filter: SetLevel,
) -> anyhow::Result<ExitCode> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let made = DirBuilder::new().recursive(true).mode(DATA_MODE).create(&sources.data);
    made.with_context(|| format!("the data folder {} cannot be made", sources.data.display()))?;
    let server = Server::start(serve_config(&sources, &configured, trials)?).await?;
    greet(&sources, &configured, &server)?;
    let mut reloader = Reloader::new(sources, configured, trials, filter);
    let mut look = tokio::time::interval(POLL_INTERVAL);
    loop {
        tokio::select! {
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
            _ = hung_up.recv() => reloader.reload(&server),
            _ = look.tick() => reloader.reload_if_changed(&server),
            why = server.halted() => {
                // Nothing may be acknowledged any more: no drain, no flush, out.
                tracing::error!(why, "the process ends, since the disk can no longer be trusted");
                std::process::exit(EXIT_IO_ERROR);
            }
        }
    }
    tracing::info!("stopping: telling clients, answering what was accepted");
    server.drain().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Says on standard output where it is, and on the first start how to come in.
fn greet(sources: &Sources, configured: &Configured, server: &Server) -> std::io::Result<()> {
    use std::io::Write as _;

    let mut out = std::io::stdout().lock();
    let tls = configured.settings.tls_files(&sources.data);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", from_here(server.address));
    writeln!(out, "Anser serves {url}   (data in {})", sources.data.display())?;
    let in_the_network = from_the_network(server.address).map(|address| format!("{scheme}://{address}"));
    if let Some(url) = &in_the_network {
        writeln!(out, "Others in your network reach it at {url}")?;
    }
    if let Some(file) = &configured.file {
        writeln!(out, "Configured by {}", file.display())?;
    }
    if let Some(admin) = server.admin_address {
        writeln!(out, "Metrics at http://{admin}/metrics")?;
    }
    let mut ca = String::new();
    if let Some(files) = tls.filter(|_| configured.settings.makes_certificate()) {
        ca = format!(" --ca {}", files.cert.display());
        writeln!(out, "Nobody vouches for its certificate: clients are given {}", files.cert.display())?;
    }
    if let Some(invitations) = &server.invitations {
        let (admin, general) = (invitations.admin.secret.expose(), invitations.general.secret.expose());
        writeln!(out, "\nThe first start. Two invitations, shown this once:")?;
        writeln!(out, "  for the administrator  {admin}")?;
        writeln!(out, "  for everybody else     {general}")?;
        writeln!(out, "\nCome in with a browser, or from another terminal:")?;
        writeln!(out, "  {url}/?invitation={admin}")?;
        if let Some(url) = &in_the_network {
            writeln!(out, "  {url}/?invitation={general}   (somebody else, from another machine)")?;
        }
        writeln!(out, "  anser chat --server {url}{ca} --invitation {admin}")?;
    }
    writeln!(out, "\nCtrl-C stops it.")?;
    out.flush()
}

/// Where somebody at this machine reaches it: of one that listens on all addresses, no address is "all".
fn from_here(listens: SocketAddr) -> SocketAddr {
    let loopback = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(loopback, listens.port())
}

/// Where others reach one that listens on all addresses: at the one with which this machine would speak to the world.
fn from_the_network(listens: SocketAddr) -> Option<SocketAddr> {
    if !listens.ip().is_unspecified() {
        return None;
    }
    // Nothing is sent: connecting a datagram socket only asks for the way. The address is one that no network has.
    let asks = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    asks.connect((NOWHERE, 9)).ok()?;
    let ip = asks.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then(|| SocketAddr::new(ip, listens.port()))
}

/// A panic is a broken invariant: a server with one task gone would accept and serve nobody. What was
/// acknowledged is on disk, and a supervisor starts it again.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Changes how much is logged.
pub type SetLevel = Box<dyn Fn(&str) -> anyhow::Result<()> + Send>;

fn log_to_stderr(configured: &Configured) -> anyhow::Result<SetLevel> {
    let filter = EnvFilter::try_new(&configured.settings.log_level.0)?;
    let logger =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started: Result<SetLevel, _> = match configured.settings.log_format {
        LogFormat::Text => {
            let logger = logger.with_ansi(false).with_filter_reloading();
            let handle = logger.reload_handle();
            let set: SetLevel = Box::new(move |level| Ok(handle.reload(EnvFilter::try_new(level)?)?));
            logger.try_init().map(|()| set)
        }
        LogFormat::Json => {
            let logger = logger.json().with_filter_reloading();
            let handle = logger.reload_handle();
            let set: SetLevel = Box::new(move |level| Ok(handle.reload(EnvFilter::try_new(level)?)?));
            logger.try_init().map(|()| set)
        }
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot be set up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_listens_on_all_addresses_names_one_that_can_be_opened() {
        let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
        for (listens, opened) in [
            ("0.0.0.0:7700", "127.0.0.1:7700"),
            ("[::]:7700", "[::1]:7700"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(from_here(address(listens)), address(opened));
        }
        assert_eq!(from_the_network(address("127.0.0.1:7700")), None);
        assert_eq!(from_the_network(address("192.0.2.7:80")), None);
        // A machine without a network has no such address.
        if let Some(others) = from_the_network(address("0.0.0.0:7700")) {
            assert!(!others.ip().is_unspecified() && !others.ip().is_loopback() && others.port() == 7700);
        }
    }
}
