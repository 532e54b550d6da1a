//! Stages of a test run: each printed with its time, and all of them counted at the end.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Lines that a stage which failed is shown with again at the end, where somebody looks first.
const LAST_LINES: usize = 40;

/// What the stages came to so far.
#[derive(Default)]
pub struct Stages {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<Failure>,
}

/// A stage that failed.
struct Failure {
    what: String,
    last_lines: VecDeque<String>,
}

impl Stages {
    /// A stage that is one check.
    pub fn check(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.stage(name, |stages| {
            let (status, last_lines) = run(command, |_| {})?;
            match status.success() {
                true => stages.passed += 1,
                false => stages.fail(name.to_owned(), 1, last_lines),
            }
            Ok(())
        })
    }

    /// A stage of many tests, counted by the lines with which their runner ends.
    pub fn tests(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.stage(name, |stages| {
            let mut failed_tests = 0;
            let mut told = Vec::new();
            let (status, mut last_lines) = run(command, |line| {
                if is_of_a_failure(line) {
                    told.push(line.to_owned());
                }
                if let Some((passed, failed, ignored)) = counts(line) {
                    stages.passed += passed;
                    stages.skipped += ignored;
                    failed_tests += failed;
                }
            })?;
            // Which tests they were stands far above the last lines: other tests ran after them.
            told.truncate(LAST_LINES);
            told.into_iter().rev().for_each(|line| last_lines.push_front(line));
            if failed_tests > 0 {
                stages.fail(format!("{name}: {failed_tests} failed"), failed_tests, last_lines);
            } else if !status.success() {
                stages.fail(name.to_owned(), 1, last_lines);
            }
            Ok(())
        })
    }

    /// A stage whose real component is not there.
    pub fn skip(&mut self, name: &str, why: &str) {
        println!("\n=== {name}: SKIPPED, {why}");
        self.skipped += 1;
    }

    fn stage(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        println!("\n=== {name}");
        #[expect(
            clippy::disallowed_methods,
            reason = "a stage's time is shown to people, and decides nothing"
        )]
        let began = Instant::now();
        let before = self.failed;
        work(self)?;
        let verdict = if self.failed == before { "ok" } else { "FAILED" };
        println!("=== {name}: {verdict} in {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Counts one check.
    pub fn count(&mut self, name: &str, passed: bool) {
        match passed {
            true => self.passed += 1,
            false => self.fail(name.to_owned(), 1, VecDeque::new()),
        }
    }

    fn fail(&mut self, what: String, count: u64, last_lines: VecDeque<String>) {
        self.failed += count;
        self.failures.push(Failure { what, last_lines });
    }

    /// The last lines of a run.
    pub fn end(self) -> ExitCode {
        println!();
        for Failure { what, last_lines } in &self.failures {
            println!("failed: {what}");
            last_lines.iter().for_each(|line| println!("  | {line}"));
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Runs it to its end, shows what it says while it does, and keeps the last of that.
fn run(command: &mut Command, mut look: impl FnMut(&str)) -> anyhow::Result<(ExitStatus, VecDeque<String>)> {
    let program = command.get_program().to_owned();
    let (said, says) = std::io::pipe()?;
    command.stdin(Stdio::null()).stderr(says.try_clone()?).stdout(says);
    let child = command.spawn();
    // The command holds the other end until it is given another.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.with_context(|| format!("{} cannot be run", program.display()))?;
    let (line, lines) = mpsc::sync_channel(LAST_LINES);
    thread::spawn(move || {
        let mut said = BufReader::new(said).split(b'\n').map_while(Result::ok);
        said.try_for_each(|it| line.send(String::from_utf8_lossy(&it).into_owned()))
    });
    let mut last_lines = VecDeque::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                println!("{line}");
                look(&line);
                last_lines.push_back(line);
                if last_lines.len() > LAST_LINES {
                    last_lines.pop_front();
                }
            }
            // What it started and left behind may hold the other end for good.
            Err(RecvTimeoutError::Timeout) if child.try_wait()?.is_none() => {}
            Err(_) => break,
        }
    }
    Ok((child.wait()?, last_lines))
}

/// Whether a line of Rust's test runner names a test that failed, or where it did.
fn is_of_a_failure(line: &str) -> bool {
    line.ends_with(" FAILED") || line.contains(" panicked at ")
}

/// The counts in a line of Rust's test runner.
fn counts(line: &str) -> Option<(u64, u64, u64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(word).and_then(|number| number.trim().parse().ok()))
    };
    Some((number("passed")?, number("failed")?, number("ignored")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stage_said_last_is_kept() {
        let script = "echo test a ... FAILED; seq 100; echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured' >&2; exit 3";
        let mut stages = Stages::default();
        stages.tests("shell", Command::new("sh").args(["-c", script])).unwrap();
        assert_eq!((stages.passed, stages.failed), (1, 2));
        let failure = &stages.failures[0];
        assert_eq!(failure.what, "shell: 2 failed");
        assert_eq!(failure.last_lines.len(), 1 + LAST_LINES);
        assert_eq!(failure.last_lines[0], "test a ... FAILED", "however far above");
        assert_eq!(failure.last_lines.iter().rev().nth(1).map(String::as_str), Some("100"));
        stages.check("true", &mut Command::new("true")).unwrap();
        assert_eq!((stages.passed, stages.failures.len()), (2, 1));
    }

    #[test]
    fn the_runner_s_last_line_is_read() {
        let line =
            "test result: ok. 12 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.03s";
        assert_eq!(counts(line), Some((12, 1, 3)));
        assert_eq!(counts("test a ... ok"), None);
    }
}
