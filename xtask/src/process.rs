//! Other programs: run here, in the root of the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::Context as _;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The release binary of the product.
pub fn anser() -> PathBuf {
    target().join("release/anser")
}

/// A program that will run in the root.
pub fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Cargo, the one that runs us.
pub fn cargo(arguments: &[&str]) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// Runs it to its end.
pub fn finish(command: &mut Command) -> anyhow::Result<ExitStatus> {
    command.status().with_context(|| format!("{} cannot be run", command.get_program().display()))
}

/// Runs it to its end, which must be a success.
pub fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = finish(command)?;
    let program = command.get_program().to_string_lossy().into_owned();
    anyhow::ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}

/// Our exit code for somebody else's.
pub fn code(status: ExitStatus) -> ExitCode {
    if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(status.code().unwrap_or(1).clamp(1, 255) as u8)
    }
}
