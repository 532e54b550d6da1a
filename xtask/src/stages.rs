//! Stages of a test run: each printed with its time, and all of them counted at the end.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::Context as _;

/// What the stages came to so far.
#[derive(Default)]
pub struct Stages {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
}

impl Stages {
    /// A stage that is one check.
    pub fn check(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.stage(name, |stages| {
            let status = command
                .stdin(Stdio::null())
                .status()
                .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
            stages.count(name, status.success());
            Ok(())
        })
    }

    /// A stage of many tests, counted by the lines with which their runner ends.
    pub fn tests(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.stage(name, |stages| {
            let mut child = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("{} cannot be run", command.get_program().display()))?;
            let output = child.stdout.take().context("the output was piped")?;
            let mut failed_tests = 0;
            for line in BufReader::new(output).lines() {
                let line = line?;
                println!("{line}");
                if let Some((passed, failed, ignored)) = counts(&line) {
                    stages.passed += passed;
                    stages.failed += failed;
                    stages.skipped += ignored;
                    failed_tests += failed;
                }
            }
            if !child.wait()?.success() && failed_tests == 0 {
                stages.failed += 1;
            }
            if failed_tests > 0 {
                stages.failures.push(format!("{name}: {failed_tests} failed"));
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
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failures.push(name.to_owned());
        }
    }

    /// The last lines of a run.
    pub fn end(self) -> ExitCode {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
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
    fn the_runner_s_last_line_is_read() {
        let line =
            "test result: ok. 12 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.03s";
        assert_eq!(counts(line), Some((12, 1, 3)));
        assert_eq!(counts("test a ... ok"), None);
    }
}
