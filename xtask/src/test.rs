//! `cargo xtask test`: install what the tests need, and pass every one.

use std::process::ExitCode;

use crate::process::{anser, cargo, command, root};
use crate::stages::Stages;
use crate::{instructions, prove, tidy, tools, web};

/// Runs everything, each stage with its time, and ends with one line of counts.
pub fn test(_arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut stages = Stages::default();
    stages.check("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    println!("\n=== tidy");
    let faults = tidy::faults()?;
    faults.iter().for_each(|fault| println!("{fault}"));
    stages.count("tidy", faults.is_empty());
    let lints = ["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    stages.check("clippy", &mut cargo(&lints))?;
    web::build()?;
    stages.check("build", &mut cargo(&["build", "--release", "--workspace", "--quiet"]))?;
    let deny = tools::cargo_deny()?;
    stages.check("deny", &mut command(deny, &["check", "bans", "licenses", "sources"]))?;
    let missing = tools::system_programs()?;
    let mut tests = cargo(&["test", "--release", "--workspace", "--no-fail-fast", "--quiet"]);
    stages.tests("tests", tests.env("ANSER_BIN", anser()))?;
    if let Some(mut planted) = prove::build_planted() {
        stages.check("build with bugs to plant", planted.arg("--quiet"))?;
    }
    for name in prove::names() {
        for mut program in prove::quick(name) {
            stages.check(&format!("prove {name}"), &mut program)?;
        }
    }
    instructions::check(&mut stages, &missing)?;
    python_example(&mut stages)?;
    web_client(&mut stages)?;
    http_schema(&mut stages)?;
    disk_full(&mut stages)?;
    chat_in_terminals(&mut stages, &missing)?;
    Ok(stages.end())
}

fn python_example(stages: &mut Stages) -> anyhow::Result<()> {
    const NAME: &str = "examples/python";
    match tools::python()? {
        None => stages.skip(NAME, "there is no python3"),
        Some(python) => {
            let mut example = command("bash", &["examples/python/test.sh"]);
            stages.check(NAME, example.env("ANSER_BIN", anser()).env("PYTHON", python))?;
        }
    }
    Ok(())
}

fn web_client(stages: &mut Stages) -> anyhow::Result<()> {
    const NAME: &str = "web";
    if !web::has_node() {
        stages.skip(NAME, "there is no Node");
    } else if !web::has_browser() {
        stages.skip(NAME, "there is no Chromium");
    } else {
        stages.check(NAME, command("sh", &["web/test.sh"]).env("ANSER_BIN", anser()))?;
    }
    Ok(())
}

/// The HTTP API against the document that it serves, by a tester that others have written.
fn http_schema(stages: &mut Stages) -> anyhow::Result<()> {
    const NAME: &str = "HTTP schema";
    match tools::python()? {
        None => stages.skip(NAME, "there is no python3"),
        Some(python) => {
            let mut check = command(python, &["tests/http_schema/check.py"]);
            stages.check(NAME, check.env("ANSER_BIN", anser()))?;
        }
    }
    Ok(())
}

fn disk_full(stages: &mut Stages) -> anyhow::Result<()> {
    const NAME: &str = "a full disk";
    match tools::python()? {
        None => stages.skip(NAME, "there is no python3"),
        Some(_) if !tools::is_root() => stages.skip(NAME, "only root may mount a small file system"),
        Some(python) => {
            let mut script = command(python, &["tests/disk_full/disk_full.py"]);
            stages.check(NAME, script.env("ANSER_BIN", anser()))?;
        }
    }
    Ok(())
}

fn chat_in_terminals(stages: &mut Stages, missing: &[&str]) -> anyhow::Result<()> {
    const NAME: &str = "anser chat in two terminals";
    if missing.contains(&"tmux") {
        stages.skip(NAME, "there is no tmux");
        return Ok(());
    }
    let mut chat = command("bash", &["tests/chat/two_terminals.sh"]);
    stages.check(NAME, chat.env("ANSER_BIN", anser()).current_dir(root()))?;
    let mut features = command("bash", &["tests/chat/features.sh"]);
    stages.check("every feature of anser chat", features.env("ANSER_BIN", anser()).current_dir(root()))
}
