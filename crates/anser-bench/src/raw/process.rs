//! A raw program as a process of its own: for its descriptors, and so that its memory can be measured.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use rustix::process::Pid;

/// Ends when this goes.
pub struct RawProcess {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl RawProcess {
    /// Starts it, and waits until it says where it listens. `command` is a program and its first arguments.
    ///
    /// # Errors
    /// It cannot be started, or says nothing.
    pub fn start(command: &[OsString], more: &[String]) -> anyhow::Result<RawProcess> {
        let (program, arguments) = command.split_first().context("a command for the raw limit")?;
        let child = Command::new(program).args(arguments).args(more).stdout(Stdio::piped()).spawn()?;
        // From here on it ends with this, whatever fails.
        let mut raw = RawProcess { child, address: String::new() };
        let stdout = raw.child.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        raw.address = line.trim().rsplit("http://").next().unwrap_or_default().to_owned();
        anyhow::ensure!(!raw.address.is_empty(), "the raw program did not say where it listens");
        Ok(raw)
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed()).expect("a pid is above 0")
    }
}

impl Drop for RawProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
