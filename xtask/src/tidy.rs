//! `cargo xtask tidy`: the habits that a compiler does not check. The allowed edges between crates are
//! read from the table in ARCHITECTURE.md, so that the table cannot be false.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use crate::process::{cargo, command, root};

/// Lines after which a file is a question. Those above it today may shrink and not grow.
const FILE_LINES: usize = 600;
/// Files above [`FILE_LINES`], with the lines that each has.
const LONG_FILES: &[(&str, usize)] = &[];
/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];
/// Files in which adapters may be named.
const WIRING: &str = "crates/anser-server/src/wiring/";

/// Prints what is wrong.
pub fn run() -> anyhow::Result<ExitCode> {
    let faults = faults()?;
    faults.iter().for_each(|fault| println!("{fault}"));
    println!("tidy: {} faults", faults.len());
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that is wrong, each with the place and what would be right.
pub fn faults() -> anyhow::Result<Vec<String>> {
    let mut faults = crate_edges()?;
    for path in tracked_files()? {
        let text = match std::fs::read_to_string(root().join(&path)) {
            Ok(text) => text,
            // Deleted and not yet committed, or no text.
            Err(_) => continue,
        };
        if path.extension().is_some_and(|extension| extension == "rs") {
            source_file(&path, &text, &mut faults);
        }
        any_file(&path, &text, &mut faults);
    }
    Ok(faults)
}

fn tracked_files() -> anyhow::Result<Vec<PathBuf>> {
    let output = command("git", &["ls-files", "-z"]).output().context("git cannot be run")?;
    Ok(String::from_utf8(output.stdout)?.split_terminator('\0').map(PathBuf::from).collect())
}

fn source_file(path: &Path, text: &str, faults: &mut Vec<String>) {
    let shown = path.display().to_string();
    if !text.starts_with("//!") {
        faults.push(format!("{shown}: a module begins with a `//!` line that says what it is for"));
    }
    let lines = text.lines().count();
    let allowed = LONG_FILES.iter().find(|(long, _)| *long == shown).map_or(FILE_LINES, |(_, lines)| *lines);
    if lines > allowed {
        faults.push(format!("{shown}: {lines} lines, at most {allowed}: split it by idea"));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if EMPTY_NAMES.contains(&&*name) {
        faults.push(format!("{shown}: a module named {name} says nothing: name the idea"));
    }
    for marker in ["TO", "FIX"].map(|half| format!("{half}{}", if half == "TO" { "DO" } else { "ME" })) {
        if text.contains(&marker) {
            faults.push(format!("{shown}: a {marker} is left behind"));
        }
    }
    if shown.starts_with("crates/anser-server/src/")
        && !shown.starts_with(WIRING)
        && !text.contains("#[cfg(test)]")
        && !shown.contains("test")
        && text.contains("anser_embedded")
    {
        faults.push(format!("{shown}: adapters are named in {WIRING} alone"));
    }
}

fn any_file(path: &Path, text: &str, faults: &mut Vec<String>) {
    let machine_path = format!("/{}/{}", "work", "main");
    if text.contains(&machine_path) {
        faults.push(format!("{}: a path of somebody's machine", path.display()));
    }
}

/// Edges between crates that the table in ARCHITECTURE.md does not allow, and rows that are missing.
fn crate_edges() -> anyhow::Result<Vec<String>> {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    let allowed = allowed_edges(&architecture);
    let output =
        cargo(&["metadata", "--no-deps", "--format-version", "1"]).output().context("cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let members: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(edges) = allowed.get(name) else {
            faults.push(format!("{name}: has no row in the table of ARCHITECTURE.md"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"] != "dev") {
            let to = dependency["name"].as_str().unwrap_or_default();
            if members.contains(to) && !edges.contains(to) {
                faults.push(format!("{name} → {to}: the table of ARCHITECTURE.md does not allow this edge"));
            }
        }
    }
    Ok(faults)
}

/// Rows `| crate | what | may use |` with crate names in backticks.
fn allowed_edges(architecture: &str) -> BTreeMap<String, BTreeSet<String>> {
    let quoted =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    architecture
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let [name, .., edges] = cells[..] else { return None };
            let name = quoted(name).pop()?;
            Some((name, quoted(edges).into_iter().collect()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_read_from_the_table() {
        let edges = allowed_edges(
            "| crate | what | may use |\n|---|---|---|\n| `a` | an a | `b`, `c` |\n| `b` | a b | – |\n",
        );
        assert_eq!(edges["a"], BTreeSet::from(["b".to_owned(), "c".to_owned()]));
        assert!(edges["b"].is_empty());
    }

    #[test]
    fn faults_of_a_source_file_are_named() {
        let mut faults = Vec::new();
        let text = format!("fn a() {{}} // {}{}\n{}", "TO", "DO", "\n".repeat(700));
        source_file(Path::new("crates/x/src/utils.rs"), &text, &mut faults);
        assert_eq!(faults.len(), 4, "{faults:?}");
    }

    #[test]
    fn this_repository_is_tidy() {
        assert_eq!(faults().expect("the repository can be read"), Vec::<String>::new());
    }
}
