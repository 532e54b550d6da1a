//! `cargo xtask instructions`: how many machine instructions each piece of the message path takes, counted by Valgrind, against
//! what was written down. A count says the same on a busy machine as on an idle one, so a test can rest on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::process::{cargo, command, root, succeed, target};
use crate::stages::Stages;

/// The counts that were written down.
const FILE: &str = "docs/instructions.tsv";
/// Each is done so often, twice: what the two runs differ by is the work alone.
const TIMES: [u64; 2] = [1_024, 3_072];
/// By how many hundredths a count may be above what was written down: the seeds of hash tables differ.
const TOLERANCE_PERCENT: u64 = 3;
const NAME: &str = "instructions";

/// What was written down.
struct Written {
    compiler: String,
    counts: BTreeMap<String, u64>,
}

/// Counts, and compares or writes.
pub fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let writes = match arguments {
        [] => false,
        [flag] if flag == "--write" => true,
        _ => anyhow::bail!("usage: cargo xtask instructions [--write]"),
    };
    succeed(&mut cargo(&["build", "--release", "--package", "anser-sim"]))?;
    let counted = count()?;
    if writes {
        write(&counted)?;
        println!("written to {FILE}");
        return Ok(ExitCode::SUCCESS);
    }
    let written = read()?;
    let is_comparable = written.compiler == compiler()?;
    if !is_comparable {
        println!("written with another compiler, {}: nothing is judged", written.compiler);
    }
    let faults = compare(&written.counts, &counted);
    faults.iter().for_each(|fault| println!("{fault}"));
    Ok(if faults.is_empty() || !is_comparable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As a stage of the tests.
pub fn check(stages: &mut Stages, missing: &[&str]) -> anyhow::Result<()> {
    if missing.contains(&"valgrind") {
        stages.skip(NAME, "there is no valgrind");
        return Ok(());
    }
    if read()?.compiler != compiler()? {
        stages.skip(NAME, "what was written down is of another compiler");
        return Ok(());
    }
    println!("\n=== {NAME}");
    let faults = match count() {
        Ok(counted) => compare(&read()?.counts, &counted),
        Err(error) => vec![format!("{error:#}")],
    };
    faults.iter().for_each(|fault| println!("{fault}"));
    stages.count(NAME, faults.is_empty());
    Ok(())
}

/// What each piece of work takes now.
fn count() -> anyhow::Result<Vec<(String, u64)>> {
    let program = target().join("release/anser-sim");
    let listed = command(&program, &[NAME]).output().context("anser-sim cannot be run")?;
    let listed = String::from_utf8(listed.stdout)?;
    let mut counted = Vec::new();
    for name in listed.lines().filter_map(|line| line.split('\t').next()) {
        let [short, long] = TIMES.map(|times| instructions(&program, name, times));
        let (short, long) = (short?, long?);
        counted.push((name.to_owned(), (long - short) / (TIMES[1] - TIMES[0])));
    }
    Ok(counted)
}

/// All instructions of one run.
fn instructions(program: &Path, name: &str, times: u64) -> anyhow::Result<u64> {
    let out = out_file();
    let mut run = command("valgrind", &["--tool=callgrind", "--quiet"]);
    run.arg(format!("--callgrind-out-file={}", out.display())).arg(program);
    run.args([NAME, "--work", name, "--times", &times.to_string()]);
    succeed(&mut run)?;
    let text = std::fs::read_to_string(&out).context("valgrind has written no counts")?;
    _ = std::fs::remove_file(&out);
    let total =
        text.lines().find_map(|line| line.strip_prefix("totals: ")).context("valgrind names no total")?;
    total.trim().parse().with_context(|| format!("{total:?} is no count"))
}

fn out_file() -> PathBuf {
    std::env::temp_dir().join(format!("anser-instructions-{}", std::process::id()))
}

/// What is above what was written down, and what is on one side alone.
fn compare(written: &BTreeMap<String, u64>, counted: &[(String, u64)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, now) in counted {
        match written.get(name) {
            None => faults.push(format!("{name}: {now}, and nothing is written down: --write")),
            Some(was) => {
                println!("{name:<12} {now:>8} instructions, {was:>8} written down");
                if *now * 100 > was * (100 + TOLERANCE_PERCENT) {
                    faults.push(format!(
                        "{name} takes {now} instructions, above {was}: find out why, or --write it down with the reason"
                    ));
                }
            }
        }
    }
    let is_known = |name: &String| counted.iter().any(|(known, _)| known == name);
    faults.extend(
        written.keys().filter(|name| !is_known(name)).map(|name| format!("{name} is not there any more")),
    );
    faults
}

fn compiler() -> anyhow::Result<String> {
    let said = command("rustc", &["--version"]).output().context("rustc cannot be run")?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

fn read() -> anyhow::Result<Written> {
    let text =
        std::fs::read_to_string(root().join(FILE)).with_context(|| format!("{FILE} cannot be read"))?;
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Written> {
    let mut written = Written { compiler: String::new(), counts: BTreeMap::new() };
    for line in text.lines() {
        let (name, value) = line.split_once('\t').with_context(|| format!("{FILE}: no tab in {line:?}"))?;
        match name {
            "compiler" => value.clone_into(&mut written.compiler),
            _ => {
                _ = written
                    .counts
                    .insert(name.to_owned(), value.parse().with_context(|| format!("{FILE}: {line:?}"))?)
            }
        }
    }
    Ok(written)
}

fn write(counted: &[(String, u64)]) -> anyhow::Result<()> {
    let mut text = format!("compiler\t{}\n", compiler()?);
    for (name, count) in counted {
        text.push_str(&format!("{name}\t{count}\n"));
    }
    Ok(std::fs::write(root().join(FILE), text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_dearer_is_found_and_what_became_cheaper_is_not() {
        let written = parse("compiler\trustc 1\nsend\t1000\nsync\t500\n").expect("it is well formed");
        assert_eq!(written.compiler, "rustc 1");
        let counted = |send, sync| vec![("send".to_owned(), send), ("sync".to_owned(), sync)];
        assert!(compare(&written.counts, &counted(1_030, 100)).is_empty());
        assert_eq!(compare(&written.counts, &counted(1_031, 500)).len(), 1);
    }

    #[test]
    fn what_is_on_one_side_alone_is_found() {
        let written = parse("compiler\trustc 1\nsend\t1000\n").expect("it is well formed");
        let faults = compare(&written.counts, &[("page".to_owned(), 7)]);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(parse("send 1000\n").is_err());
        assert!(parse("send\tmany\n").is_err());
    }
}
