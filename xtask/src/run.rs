//! `cargo xtask run`: build everything and serve the product.

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use crate::process::{anser, cargo, command, succeed};

/// Builds, then becomes the server.
pub fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    succeed(&mut cargo(&["build", "--release", "--package", "anser"]))?;
    // The server takes this process over, so that Ctrl-C reaches it and its exit code is ours.
    Err(command(anser(), &["serve"]).args(arguments).exec().into())
}
