//! What the tests need beside Rust: installed once, by the ordinary clients, into a folder of our own.

use std::path::PathBuf;

use crate::process::{cargo, command, finish, succeed};

/// Version of cargo-deny.
const CARGO_DENY: &str = "0.20.2";
/// Python packages, with versions.
const PYTHON_PACKAGES: &[&str] = &["schemathesis==4.32.5", "websockets==15.0.1"];
/// Programs that come from the system, and Debian's packages with them.
const SYSTEM_PROGRAMS: &[(&str, &str)] =
    &[("tmux", "tmux"), ("python3", "python3-venv"), ("chromium", "chromium"), ("valgrind", "valgrind")];

/// The folder of our own: kept over clones, so that a tool is built once on a machine.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("ANSER_TOOLS") {
        return folder.into();
    }
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    home.join(".cache/anser/tools")
}

/// cargo-deny, installed if need be.
pub fn cargo_deny() -> anyhow::Result<PathBuf> {
    let root = folder().join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        // Built without optimisation: it runs for a second, and compiling it well takes minutes.
        let mut install = cargo(&["install", "cargo-deny", "--locked", "--debug", "--version", CARGO_DENY]);
        install.arg("--root").arg(&root);
        install.arg("--target-dir").arg(folder().join("build")).env("CARGO_PROFILE_DEV_DEBUG", "0");
        succeed(&mut install)?;
        _ = std::fs::remove_dir_all(folder().join("build"));
    }
    Ok(program)
}

/// A Python with our packages, made if need be; `None` where there is no Python.
pub fn python() -> anyhow::Result<Option<PathBuf>> {
    let root = folder().join("python");
    let program = root.join("bin/python");
    let mark = root.join(PYTHON_PACKAGES.join("+"));
    if mark.is_file() {
        return Ok(Some(program));
    }
    if !is_there("python3") {
        return Ok(None);
    }
    succeed(command("python3", &["-m", "venv", "--clear"]).arg(&root))?;
    succeed(
        command(&program, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PYTHON_PACKAGES),
    )?;
    std::fs::write(mark, "")?;
    Ok(Some(program))
}

/// Installs missing programs from Debian's packages where that may be done; says what is missing else.
pub fn system_programs() -> anyhow::Result<Vec<&'static str>> {
    let missing: Vec<_> = SYSTEM_PROGRAMS.iter().filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    if is_root() && is_there("apt-get") {
        _ = finish(&mut command("apt-get", &["update", "-qq"]));
        let mut install = command("apt-get", &["install", "-y", "-qq", "--no-install-recommends"]);
        install.args(missing.iter().map(|(_, package)| package)).env("DEBIAN_FRONTEND", "noninteractive");
        _ = finish(&mut install);
    }
    let still: Vec<_> = missing.iter().filter(|(program, _)| !is_there(program)).collect();
    for (program, package) in &still {
        eprintln!("missing: {program}. Install it (Debian: apt-get install {package})");
    }
    Ok(still.into_iter().map(|(program, _)| *program).collect())
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether we may install and mount.
pub fn is_root() -> bool {
    let identity = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    identity.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}
