//! The server as a child process: started on a folder, killed, started again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::within;

/// Bytes of a log segment in scenarios: small, so that a folder costs little.
const SEGMENT_BYTES: &str = "1048576";

/// The server's binary: from the environment, else the one beside this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ANSER_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows where it lies");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let path = profile.join("anser");
    assert!(path.exists(), "{} is not there: cargo build --release -p anser", path.display());
    path
}

/// A server that runs, or ran, on a folder of its own.
pub struct Server {
    folder: TempDir,
    options: Vec<String>,
    /// Whether its limits on sign-ins and requests count.
    limited: bool,
    running: Option<Running>,
}

struct Running {
    child: Child,
    address: SocketAddr,
    // Kept, so that the server has somewhere to write to.
    _stdout: BufReader<ChildStdout>,
}

/// What a process that ended left.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    /// What it ended with; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Server {
    /// Starts one in a new folder.
    pub async fn start() -> Server {
        Self::start_with(&[]).await
    }

    /// Starts one in a new folder, with more options.
    pub async fn start_with(options: &[&str]) -> Server {
        let mut server = Self::prepared(options);
        server.start_again().await;
        server
    }

    /// Starts one whose limits on sign-ins and requests count.
    pub async fn start_limited(options: &[&str]) -> Server {
        let mut server = Server { limited: true, ..Self::prepared(options) };
        server.start_again().await;
        server
    }

    /// A new folder in which nothing has started yet.
    pub fn prepared(options: &[&str]) -> Server {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Server { folder, options, limited: false, running: None }
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().expect("the server runs").address
    }

    /// The command line of a server on this folder.
    pub fn command(&self, listen: &str) -> Command {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", listen]);
        command.args((!self.limited).then_some("--unlimited"));
        if !self.options.iter().any(|option| option == "--registration") {
            command.args(["--registration", "open"]);
        }
        command.arg("--data").arg(self.data()).args(&self.options);
        command.env("ANSER_SEGMENT_BYTES", SEGMENT_BYTES);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts it on its folder, after it has ended.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "one at a time");
        let log = std::fs::File::options().create(true).append(true).open(self.data().join("stderr"));
        let log = log.expect("the folder can be written");
        let mut child = self.command("127.0.0.1:0").stderr(log).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        within("the server says where it is", stdout.read_line(&mut line)).await.expect("it can be read");
        let address = line.split_whitespace().find_map(|word| word.split_once("://"));
        let address = address.map(|(_, address)| address);
        let address = address.and_then(|address| address.parse().ok());
        let Some(address) = address else {
            panic!("the server did not start, it said {line:?} and {}", self.stderr())
        };
        self.running = Some(Running { child, address, _stdout: stdout });
    }

    /// Everything that it wrote to standard error, over all its lives.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.data().join("stderr")).unwrap_or_default()
    }

    /// Starts a process that is expected to end by itself: an operator's mistake.
    pub async fn expect_refusal(&self, listen: &str) -> Ended {
        let mut child = self.command(listen).spawn().expect("the binary starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let mut said = String::new();
        within("the process ends", stderr.read_to_string(&mut said)).await.expect("it can be read");
        let status = within("the process ends", child.wait()).await.expect("it is our child");
        Ended { status, stderr: said }
    }

    /// Runs another command of the binary on the folder, with `input` on its standard input, to its end.
    pub async fn tool(&self, arguments: &[&str], input: &str) -> Done {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--data").arg(self.data());
        command.env_remove("ANSER_PASSWORD").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that reads nothing may have ended by now.
        _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = within("the command ends", child.wait_with_output()).await.expect("it is our child");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes text");
        Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid();
        kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid is above 0"), signal).expect("it runs");
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().and_then(|running| running.child.id()).expect("the server runs")
    }

    /// Tells it to read its configuration again, without waiting.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Where its operator's listener listens, as its log says.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        let said = self.stderr();
        let line = said.lines().rfind(|line| line.contains(" serving "))?;
        let admin = line.split_once("admin=")?.1;
        admin.split(['"', ' ']).find(|word| !word.is_empty())?.parse().ok()
    }

    /// Writes its configuration file, all at once: the server looks at it whenever it likes, and an empty one is right too.
    pub fn configure(&self, text: &str) {
        let written = self.data().join("anser.toml.new");
        std::fs::write(&written, text).expect("the folder can be written");
        std::fs::rename(written, self.data().join("anser.toml")).expect("the folder can be written");
    }

    /// Tells it to stop, without waiting.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the server runs");
        within("the server ends", running.child.wait()).await.expect("it is our child")
    }

    /// Ends it as a power cut would, as far as a process can: kill −9.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// Stops it politely.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "{status}: {}", self.stderr());
    }

    /// Resident memory of the process in KiB, as the system counts it.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number")
    }

    /// The one segment of the log.
    pub fn first_segment(&self) -> PathBuf {
        self.data().join("log").join("00000000000000000001.segment")
    }
}
