//! `anser serve`: the server, until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anser_server::accounts::{AccountConfig, AccountRates, Rate, RegistrationMode, SecondDevice};
use anser_server::edge::EdgeRates;
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
    /// What becomes of a device when another one of its kind (phone, web, …) signs in: both stay, or the
    /// older one is signed out
    #[arg(long, default_value = "allow", env = "ANSER_SECOND_DEVICE")]
    second_device: SecondDevicePolicy,
    /// How often something may be asked, as NAME=BURST/MILLISECONDS: so many at once, then one more after
    /// each of so many milliseconds. NAME is sign-in, password, refresh, request, look-up, invite, session,
    /// account, connect or stranger
    #[arg(long = "rate", value_name = "NAME=BURST/MS", value_parser = parse_rate)]
    rates: Vec<(RateName, Rate)>,
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
    /// Every sync of the log takes so many milliseconds longer: for tests
    #[arg(long, default_value_t = 0, hide = true)]
    slow_disk_ms: u64,
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
enum SecondDevicePolicy {
    Allow,
    Replace,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Which rate is meant.
#[derive(Clone, Copy)]
enum RateName {
    SignIn,
    Password,
    Refresh,
    Request,
    LookUp,
    Invite,
    Session,
    Account,
    Connect,
    Stranger,
}

impl RateName {
    fn of<'a>(self, rates: &'a mut AccountRates, edge: &'a mut EdgeRates) -> &'a mut Rate {
        match self {
            RateName::SignIn => &mut rates.sign_in_by_network,
            RateName::Password => &mut rates.password_by_handle,
            RateName::Refresh => &mut rates.refresh_by_network,
            RateName::Request => &mut rates.request_by_account,
            RateName::LookUp => &mut rates.look_up_by_account,
            RateName::Invite => &mut rates.invite_by_account,
            RateName::Session => &mut edge.session,
            RateName::Account => &mut edge.account,
            RateName::Connect => &mut edge.connect_by_network,
            RateName::Stranger => &mut edge.stranger_by_network,
        }
    }
}

fn parse_rate(text: &str) -> Result<(RateName, Rate), String> {
    let form = "NAME=BURST/MILLISECONDS, for example sign-in=30/2000";
    let (name, rate) = text.split_once('=').ok_or(form)?;
    let (burst, interval_ms) = rate.split_once('/').ok_or(form)?;
    let name = match name {
        "sign-in" => RateName::SignIn,
        "password" => RateName::Password,
        "refresh" => RateName::Refresh,
        "request" => RateName::Request,
        "look-up" => RateName::LookUp,
        "invite" => RateName::Invite,
        "session" => RateName::Session,
        "account" => RateName::Account,
        "connect" => RateName::Connect,
        "stranger" => RateName::Stranger,
        other => {
            let names =
                "sign-in, password, refresh, request, look-up, invite, session, account, connect or stranger";
            return Err(format!("there is no rate {other:?}: {names}"));
        }
    };
    let burst: u32 = burst.parse().map_err(|error| format!("burst: {error}; {form}"))?;
    let interval_ms: u64 = interval_ms.parse().map_err(|error| format!("milliseconds: {error}; {form}"))?;
    if burst == 0 || interval_ms == 0 {
        return Err("a rate allows something: burst and milliseconds are above 0".into());
    }
    Ok((name, Rate { burst, interval_ms }))
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        log_to_stderr(self.log_format)?;
        abort_on_panic();
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
            second_device: match self.second_device {
                SecondDevicePolicy::Allow => SecondDevice::Allow,
                SecondDevicePolicy::Replace => SecondDevice::Replace,
            },
            ..AccountConfig::default()
        };
        let mut edge_rates = EdgeRates::default();
        for &(name, rate) in &self.rates {
            *name.of(&mut accounts.rates, &mut edge_rates) = rate;
        }
        if self.unlimited {
            accounts = accounts.unlimited();
            edge_rates = EdgeRates::UNLIMITED;
        }
        if self.cheap_passwords {
            accounts = accounts.with_cheap_passwords();
        }
        ServeConfig {
            accounts,
            workers: usize::from(self.workers),
            connections_max: self.connections_max,
            edge_rates,
            heartbeat_interval_ms: self.heartbeat_interval_ms,
            backoff_cap_ms: self.backoff_cap_ms,
            segment_bytes: self.segment_bytes,
            slow_disk_ms: self.slow_disk_ms,
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

/// A panic is a broken invariant: a server with one task gone would accept and serve nobody. What was
/// acknowledged is on disk, and a supervisor starts it again.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn log_to_stderr(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("ANSER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logger =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => logger.with_ansi(false).try_init(),
        LogFormat::Json => logger.json().try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging cannot be set up: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_or_refused_with_what_would_be_right() {
        let (name, rate) = parse_rate("look-up=5/1000").expect("a rate");
        let (mut rates, mut edge) = (AccountRates::default(), EdgeRates::default());
        *name.of(&mut rates, &mut edge) = rate;
        assert_eq!(rates.look_up_by_account, Rate { burst: 5, interval_ms: 1_000 });
        let wrong = ["look-up", "x=1/1", "invite=0/5", "invite=a/5"];
        let said: Vec<String> = wrong.iter().map(|text| parse_rate(text).err().unwrap_or_default()).collect();
        assert!(
            said[0].contains("for example") && said[1].contains("no rate") && said[2].contains("above 0")
        );
        assert!(said[3].contains("burst"));
    }
}
