//! The web client, built by Node so that the server has it in it. Without Node the server is built
//! without, and says so.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::process::{anser, cargo, code, command, finish, root, succeed};

/// Builds the client, if Node is there and anything changed since it was built.
pub fn build() -> anyhow::Result<()> {
    let folder = root().join("web");
    if !has_node() {
        eprintln!("xtask: there is no Node: the server is built without the web client");
        return Ok(());
    }
    let built = modified(&folder.join("apps/client/dist/index.html"));
    let lock = modified(&folder.join("package-lock.json"));
    if modified(&folder.join("node_modules/.package-lock.json")) < lock {
        succeed(npm(&folder).args(["ci", "--no-audit", "--no-fund"]))?;
    }
    if built.is_none() || newest(&folder) > built {
        succeed(npm(&folder).args(["run", "build"]))?;
    }
    Ok(())
}

/// Measures the client, as the release binary has it in it, against its budgets.
pub fn budget(arguments: &[String]) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(has_node(), "the web client is measured by Node, in Chromium: there is no Node");
    anyhow::ensure!(has_browser(), "there is no Chromium: apt-get install chromium, or name one in CHROMIUM");
    build()?;
    succeed(&mut cargo(&["build", "--release", "--package", "anser", "--quiet"]))?;
    let mut measure = command("node", &["web/e2e/budget.mjs"]);
    Ok(code(finish(measure.args(arguments).env("ANSER_BIN", anser()))?))
}

/// Whether the client can be built.
pub fn has_node() -> bool {
    Command::new("node").arg("--version").output().is_ok()
}

/// Whether it can be tried in a browser.
pub fn has_browser() -> bool {
    std::env::var_os("CHROMIUM").is_some() || Path::new("/usr/bin/chromium").exists()
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(folder);
    npm
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|it| it.modified()).ok()
}

/// When a source of the client changed last.
fn newest(folder: &Path) -> Option<std::time::SystemTime> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            !matches!(entry.file_name().to_str(), Some("node_modules" | "dist" | "e2e" | "test" | "shots"))
        })
        .filter_map(|entry| match entry.path() {
            path if path.is_dir() => newest(&path),
            path => modified(&path),
        })
        .max()
}
