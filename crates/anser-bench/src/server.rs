//! The real binary as a process: started on a folder of its own, killed, and started again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anser_client::ServerAddress;
use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

/// How long a server may take until it says where it is.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to stop when asked.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of its log that are shown when it fails.
const LOG_TAIL_BYTES: usize = 4_000;

/// How the server is run.
#[derive(Debug, Clone)]
pub struct ServerPlan {
    /// The binary.
    pub binary: PathBuf,
    /// Bytes of a log segment, if not the usual.
    pub segment_bytes: Option<u64>,
    /// What clients' backoff is capped at, in milliseconds.
    pub backoff_cap_ms: u64,
    /// Passwords are hashed at next to no cost.
    pub cheap_passwords: bool,
    /// The allocator gives memory back at once, so that what is resident is what is in use. Slower.
    pub frugal: bool,
    /// Milliseconds that every sync of the log takes longer.
    pub slow_disk_ms: Option<u64>,
    /// Access tokens are good for so many seconds.
    pub access_token_s: Option<u64>,
    /// The data folder, if not one that goes with the server.
    pub data: Option<PathBuf>,
    /// It speaks TLS with a certificate of its own making, which lies in its data folder.
    pub tls: bool,
    /// The bug that is planted in it, if the binary has any to plant.
    pub planted: Option<String>,
}

impl ServerPlan {
    /// The binary named by `ANSER_BIN`, else the one beside this program.
    ///
    /// # Errors
    /// There is none.
    pub fn from_environment() -> anyhow::Result<ServerPlan> {
        let named = std::env::var_os("ANSER_BIN").map(PathBuf::from);
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("anser"));
        let binary = named.or_else(beside).filter(|path| path.is_file());
        let binary = binary.context("no server: name the release binary in ANSER_BIN")?;
        Ok(ServerPlan {
            binary,
            segment_bytes: None,
            backoff_cap_ms: 1_000,
            cheap_passwords: true,
            frugal: false,
            slow_disk_ms: None,
            access_token_s: None,
            data: None,
            tls: false,
            planted: None,
        })
    }
}

/// A server on a folder that goes when this does.
pub struct Server {
    plan: ServerPlan,
    folder: TempDir,
    address: SocketAddr,
    running: Option<Running>,
}

struct Running {
    child: Child,
    /// Held, so that what it says later does not fail.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server on an empty folder, at a free port.
    ///
    /// # Errors
    /// It cannot be started, or ends at once.
    pub async fn start(plan: ServerPlan) -> anyhow::Result<Server> {
        Server::start_in(plan, |_| Ok(())).await
    }

    /// Starts a server on a data folder that `fill` fills first, at a free port.
    ///
    /// # Errors
    /// It cannot be filled, or as [`Server::start`].
    pub async fn start_in(
        plan: ServerPlan,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Server> {
        let folder = tempfile::Builder::new().prefix("anser-bench-").tempdir()?;
        fill(&folder.path().join("data"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { plan, folder, address, running: None };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it on the folder and port that it had. When the process was started.
    ///
    /// # Errors
    /// It cannot be started, or ends at once: then its log is in the message.
    pub async fn start_again(&mut self) -> anyhow::Result<Instant> {
        assert!(self.running.is_none(), "one process at a time owns the folder");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(&self.plan.binary);
        command.arg("serve").arg("--data").arg(self.data());
        command.args(["--listen", &self.address.to_string(), "--registration", "open"]);
        command.arg("--unlimited");
        if self.plan.cheap_passwords {
            command.arg("--cheap-passwords");
        }
        command.args(["--backoff-cap-ms", &self.plan.backoff_cap_ms.to_string()]);
        if let Some(bytes) = self.plan.segment_bytes {
            command.args(["--segment-bytes", &bytes.to_string()]);
        }
        if let Some(ms) = self.plan.slow_disk_ms {
            command.args(["--slow-disk-ms", &ms.to_string()]);
        }
        if let Some(seconds) = self.plan.access_token_s {
            command.args(["--access-token-s", &seconds.to_string()]);
        }
        if self.plan.tls {
            command.args(["--tls", "self-signed"]);
        }
        if let Some(bug) = &self.plan.planted {
            command.env("ANSER_PLANTED", bug);
        }
        if self.plan.frugal {
            command.env("MIMALLOC_PURGE_DELAY", "0");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn().context("the server cannot be started")?;
        let stdout = child.stdout.take().context("the server's output is piped")?;
        let mut stdout = BufReader::new(stdout);
        let address = timeout(START_PATIENCE, address_in(&mut stdout)).await;
        match address {
            Ok(Ok(Some(address))) => self.address = address,
            _ => anyhow::bail!("the server did not say where it serves; its log ends:\n{}", self.log_tail()),
        }
        self.running = Some(Running { child, _stdout: stdout });
        Ok(started)
    }

    /// Has it take any port that is free at its next start.
    pub fn leave_port(&mut self) {
        self.address.set_port(0);
    }

    /// Changes how it is run, from its next start on.
    pub fn plan_mut(&mut self) -> &mut ServerPlan {
        &mut self.plan
    }

    /// Where it serves.
    pub fn address(&self) -> ServerAddress {
        self.address.to_string().parse().expect("a socket address is a server address")
    }

    /// The certificate that it has made, where it speaks TLS.
    pub fn certificate(&self) -> PathBuf {
        self.data().join("tls").join("cert.pem")
    }

    /// The program that it is.
    pub fn binary(&self) -> &Path {
        &self.plan.binary
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.plan.data.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<Pid> {
        self.running.as_ref().and_then(|running| running.child.id()).and_then(|id| Pid::from_raw(id as i32))
    }

    /// Waits for a process that was killed, or kills it now.
    ///
    /// # Errors
    /// It ended by itself, not by a kill.
    pub async fn reap_killed(&mut self) -> anyhow::Result<()> {
        use std::os::unix::process::ExitStatusExt;
        let Some(mut running) = self.running.take() else { return Ok(()) };
        running.child.start_kill()?;
        let status = running.child.wait().await?;
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        anyhow::ensure!(killed, "the server ended by itself ({status}); its log ends:\n{}", self.log_tail());
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// It does not stop, or not with success.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.pid() {
            kill_process(pid, Signal::TERM)?;
        }
        let Some(mut running) = self.running.take() else { return Ok(()) };
        let status =
            timeout(STOP_PATIENCE, running.child.wait()).await.context("the server does not stop")??;
        anyhow::ensure!(
            status.success(),
            "the server stopped with {status}; its log ends:\n{}",
            self.log_tail()
        );
        Ok(())
    }

    /// Keeps the folder for whoever looks for the reason of a fault. Where it is.
    pub fn keep_folder(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_path_buf()
    }

    /// The end of what it logged.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }

    /// The last line of its log that holds these words.
    pub fn log_line(&self, words: &str) -> Option<String> {
        let log = std::fs::read(self.log_path()).ok()?;
        let log = String::from_utf8_lossy(&log);
        log.lines().rev().find(|line| line.contains(words)).map(str::to_owned)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

/// Kills a process at once, from any thread.
///
/// # Errors
/// It is gone already.
pub fn kill_now(pid: Pid) -> std::io::Result<()> {
    Ok(kill_process(pid, Signal::KILL)?)
}

/// Bytes of all files in a folder.
pub fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

async fn address_in(stdout: &mut BufReader<ChildStdout>) -> anyhow::Result<Option<SocketAddr>> {
    let mut line = String::new();
    while stdout.read_line(&mut line).await? > 0 {
        if let Some((_, rest)) = line.split_once("http://").or_else(|| line.split_once("https://")) {
            return Ok(rest.split_whitespace().next().and_then(|address| address.parse().ok()));
        }
        line.clear();
    }
    Ok(None)
}
