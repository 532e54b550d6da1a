//! The binary's other commands, each as a process that ends by itself.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::server::binary;
use crate::within;

/// The password of people who come in by the command line.
const PASSWORD: &str = "a long enough password";

/// What a command left.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; −1 where a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env("ANSER_HOME", home).env("ANSER_PASSWORD", PASSWORD);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command of a person whose profiles lie in `home`, with this as its input.
pub async fn run(home: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = command(home, arguments).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that wants no input closes it.
    _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = within(&arguments.join(" "), child.wait_with_output()).await.expect("it is our child");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    let code = output.status.code().unwrap_or(-1);
    Ran { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A command that goes on, and its lines.
pub struct Following {
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    // Killed when this goes.
    _child: Child,
}

impl Following {
    /// Starts it.
    pub fn start(home: &Path, arguments: &[&str]) -> Following {
        let mut child = command(home, arguments).spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        Following { lines: BufReader::new(stdout).lines(), _child: child }
    }

    /// Its next line.
    pub async fn line(&mut self) -> String {
        let line = within("a line", self.lines.next_line()).await.expect("it can be read");
        line.expect("it goes on")
    }
}
