//! What the commands of a person share: which profile, a runtime, a connection that only asks and sends.

use std::future::Future;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anser_client::session::Failure;
use anser_client::{Client, ClientError};
use clap::Args;

use crate::commands::exit::NoAnswer;
use crate::profile::{Profile, SignedIn};

/// Where a server is when nothing else is said: where `anser serve` listens.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7700";
/// How long an answer is awaited, in seconds.
const ANSWER_TIMEOUT_S: u64 = 30;

/// Which profile.
#[derive(Args, Clone)]
pub struct OnProfile {
    /// The profile: who this machine is signed in as
    #[arg(long, global = true, default_value = "default", env = "ANSER_PROFILE")]
    profile: String,
}

/// Whose certificates are good.
#[derive(Args, Clone)]
pub struct Trust {
    /// Certificates in PEM that may vouch for an https:// server, instead of those that this machine trusts
    #[arg(long, value_name = "FILE", env = "ANSER_CA")]
    pub ca: Option<PathBuf>,
}

/// How long to wait.
#[derive(Args, Clone, Copy)]
pub struct Patience {
    /// Give up when an answer takes longer, in seconds
    #[arg(long = "timeout", global = true, default_value_t = ANSWER_TIMEOUT_S, value_name = "SECONDS")]
    timeout_s: u64,
}

impl OnProfile {
    /// The profile, signed in or not.
    pub fn profile(&self) -> anyhow::Result<Profile> {
        Profile::named(&self.profile)
    }

    /// Who is signed in on it.
    pub fn signed_in(&self) -> anyhow::Result<SignedIn> {
        SignedIn::on(self.profile()?)
    }
}

impl Patience {
    /// Waits for an answer, and no longer than this.
    pub async fn wait<T>(self, answer: impl Future<Output = Result<T, ClientError>>) -> anyhow::Result<T> {
        match tokio::time::timeout(Duration::from_secs(self.timeout_s), answer).await {
            Ok(answered) => answered.map_err(explained),
            Err(_) => Err(NoAnswer(self.timeout_s).into()),
        }
    }
}

/// A connection that asks and sends, and follows nothing. Stop it when done.
pub async fn ask_and_send(signed_in: &SignedIn) -> anyhow::Result<Client> {
    let (client, _updates) = Client::connect(signed_in.options().await.send_only())?;
    Ok(client)
}

/// Runs a command on a runtime of its own.
pub fn run<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// Writes a line of output. False when nobody reads it any more.
pub fn say(line: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes output that is no line. Nothing is wrong when nobody reads it to its end.
pub fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A session that ended says what to do about it.
pub fn explained(error: ClientError) -> anyhow::Error {
    let ended = matches!(error, ClientError::Session(Failure::Ended(_)));
    let error = anyhow::Error::new(error);
    if ended { error.context("sign in again with `anser user sign-in`") } else { error }
}
