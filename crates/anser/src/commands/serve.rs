//! `anser serve`: the server, until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anser_server::accounts::{AccountConfig, RegistrationMode};
use anser_server::wiring::{BACKOFF_CAP_MS, CONNECTIONS_MAX, HEARTBEAT_INTERVAL_MS, ServeConfig, Server};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What the process exits with when the disk can no longer be trusted (EX_IOERR of sysexits.h).
const EXIT_IO_ERROR: i32 = 74;

#[derive(Args)]
pub struct Serve {
    /// The data folder, made where there is none
    #[arg(long, default_value = "data", env = "ANSER_DATA")]
    data: PathBuf,
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:7700", env = "ANSER_LISTEN")]
    listen: SocketAddr,
    /// Who may register
    #[arg(long, default_value = "invitation", env = "ANSER_REGISTRATION")]
    registration: Registration,
    /// Form of the log lines
    #[arg(long, default_value = "text", env = "ANSER_LOG_FORMAT")]
    log_format: LogFormat,
    /// Tasks that share the slots
    #[arg(long, default_value_t = 1, env = "ANSER_WORKERS", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// Connections at most
    #[arg(long, default_value_t = CONNECTIONS_MAX, env = "ANSER_CONNECTIONS_MAX")]
    connections_max: usize,
    /// After how long without a frame a client pings, in milliseconds
    #[arg(long, default_value_t = HEARTBEAT_INTERVAL_MS, env = "ANSER_HEARTBEAT_INTERVAL_MS")]
    heartbeat_interval_ms: u64,
    /// Bytes of one segment of the log
    #[arg(long, env = "ANSER_SEGMENT_BYTES", hide = true)]
    segment_bytes: Option<u64>,
    /// No limits on sign-ins and requests: for load tests on a machine of one's own
    #[arg(long, env = "ANSER_UNLIMITED", hide = true)]
    unlimited: bool,
    /// Passwords hashed at next to no cost: for load tests that register hundreds of people
    #[arg(long, hide = true)]
    cheap_passwords: bool,
    /// What a client's backoff is capped at, in milliseconds: for tests that stop the server often
    #[arg(long, default_value_t = BACKOFF_CAP_MS, hide = true)]
    backoff_cap_ms: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Registration {
    Open,
    Invitation,
    Closed,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        log_to_stderr(self.log_format)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    fn config(&self) -> ServeConfig {
        let mut accounts = AccountConfig {
            registration: match self.registration {
                Registration::Open => RegistrationMode::Open,
                Registration::Invitation => RegistrationMode::Invitation,
                Registration::Closed => RegistrationMode::Closed,
            },
            ..AccountConfig::default()
        };
        if self.unlimited {
            accounts = accounts.unlimited();
        }
        if self.cheap_passwords {
            accounts = accounts.with_cheap_passwords();
        }
        ServeConfig {
            accounts,
            workers: usize::from(self.workers),
            connections_max: self.connections_max,
            heartbeat_interval_ms: self.heartbeat_interval_ms,
            backoff_cap_ms: self.backoff_cap_ms,
            segment_bytes: self.segment_bytes,
            ..ServeConfig::new(&self.data, self.listen)
        }
    }

    async fn serve(self) -> anyhow::Result<ExitCode> {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        std::fs::create_dir_all(&self.data)
            .with_context(|| format!("the data folder {} cannot be made", self.data.display()))?;
        let server = Server::start(self.config()).await?;
        self.greet(&server)?;
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            why = server.halted() => {
                // Nothing may be acknowledged any more: no drain, no flush, out.
                tracing::error!(why, "the process ends, since the disk can no longer be trusted");
                std::process::exit(EXIT_IO_ERROR);
            }
        }
        tracing::info!("stopping: telling clients, answering what was accepted");
        server.drain().await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }

    /// Says on standard output where it is, and on the first start how to come in.
    fn greet(&self, server: &Server) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let address = server.address;
        writeln!(out, "Anser serves http://{address}   (data in {})", self.data.display())?;
        if let Some(invitations) = &server.invitations {
            let (admin, general) = (invitations.admin.secret.expose(), invitations.general.secret.expose());
            writeln!(out, "\nThe first start. Two invitations, shown this once:")?;
            writeln!(out, "  for the administrator  {admin}")?;
            writeln!(out, "  for everybody else     {general}")?;
            writeln!(out, "\nCome in from another terminal:")?;
            writeln!(out, "  anser chat --server http://{address} --invitation {admin}")?;
        }
        writeln!(out, "\nCtrl-C stops it.")?;
        out.flush()
    }
}

fn log_to_stderr(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("ANSER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => logger.with_ansi(false).try_init(),
        LogFormat::Json => logger.json().try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging cannot be set up: {error}"))
}
