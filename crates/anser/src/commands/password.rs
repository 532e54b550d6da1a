//! Where a password comes from: never the command line, which every process of the machine can read.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// The environment variable with the password.
const PASSWORD_VARIABLE: &str = "ANSER_PASSWORD";

/// Where the password comes from. Without a file: `ANSER_PASSWORD`, else it is asked for.
#[derive(Args, Clone)]
pub struct PasswordSource {
    /// Read the password from the first line of this file (otherwise: $ANSER_PASSWORD, else a prompt)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordSource {
    /// The password. A prompt asks for `what`.
    pub fn read(&self, what: &str) -> anyhow::Result<String> {
        let password = match (&self.password_file, std::env::var(PASSWORD_VARIABLE)) {
            (Some(path), _) => first_line_of(path)?,
            (None, Ok(password)) => password,
            (None, Err(_)) => asked(what)?,
        };
        anyhow::ensure!(
            !password.is_empty(),
            "the password is empty: give it by --password-file, ${PASSWORD_VARIABLE} or standard input"
        );
        Ok(password)
    }
}

/// The first line of a file.
pub fn first_line_of(path: &PathBuf) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Asks for a password on the terminal, without echo; from a pipe, takes a line.
pub fn asked(what: &str) -> anyhow::Result<String> {
    let input = io::stdin();
    let mut line = String::new();
    if input.is_terminal() {
        eprint!("{what}: ");
        io::stderr().flush()?;
        let _quiet = NoEcho::begin().context("the terminal cannot hide what is typed")?;
        input.lock().read_line(&mut line)?;
        eprintln!();
    } else {
        input.lock().read_line(&mut line)?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Hides what is typed while it lives.
struct NoEcho(rustix::termios::Termios);

impl NoEcho {
    fn begin() -> io::Result<NoEcho> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(NoEcho(before))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // There is nothing better to do with a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
