//! `cargo xtask`: the project's own commands.
//!
//! - `run`: build everything and serve the product
//! - `test`: install what the tests need, and pass every one
//! - `tidy`: the habits that a compiler does not check
//! - `prove NAME`: one of the harnesses of docs/reliability.md
//! - `instructions`: what each piece of the message path takes
//! - `web-budget`: how much and how fast the web client is

mod instructions;
mod process;
mod prove;
mod run;
mod stages;
mod test;
mod tidy;
mod tools;
mod web;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <command>

  run [ARGUMENTS]   build everything and serve the product on an embedded store;
                    the arguments go to `anser serve`
  test              install what the tests need, and run every test
  tidy              check the habits that a compiler does not
  prove NAME [ARGUMENTS]
                    run a harness: model, fuzz, sim, crashes, history, ledger, upgrade, kills,
                    planted; --quick for the size of the tests
  instructions [--write]
                    count the instructions of each piece of the message path (with
                    Valgrind), against docs/instructions.tsv
  web-budget [--json] [--messages N] [--runs N]
                    measure the web client that the release binary serves against its
                    budgets; exits with 1 when one is exceeded
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let done = match arguments.first().map(String::as_str) {
        Some("run") => run::run(rest),
        Some("test") => test::test(rest),
        Some("tidy") => tidy::run(),
        Some("prove") => prove::run(rest),
        Some("instructions") => instructions::run(rest),
        Some("web-budget") => web::budget(rest),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
