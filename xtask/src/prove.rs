//! `cargo xtask prove NAME`: the harnesses, each a program that prints its figures in one line and
//! exits 1 with the way to show a failure again.

use std::process::{Command, ExitCode};

use crate::process::{anser, cargo, code, command, finish, root, succeed, target};

/// A harness by its name.
struct Harness {
    name: &'static str,
    packages: &'static [&'static str],
    program: &'static str,
    arguments: &'static [&'static str],
}

/// The one program that has bugs to plant, which no other build may have.
const PLANTED: &str = "planted";

/// Its figures follow the machine's other load, and it does not reach its goal at every run yet: it judges
/// nothing but itself.
const BY_HAND: &str = "storm";

const HARNESSES: &[Harness] = &[
    Harness { name: "model", packages: &["anser-sim"], program: "anser-sim", arguments: &["model"] },
    Harness { name: "fuzz", packages: &["anser-sim"], program: "anser-sim", arguments: &["fuzz"] },
    Harness { name: "sim", packages: &["anser-sim"], program: "anser-sim", arguments: &["sim"] },
    Harness { name: "crashes", packages: &["anser-sim"], program: "anser-sim", arguments: &["crashes"] },
    Harness {
        name: "ledger",
        packages: &["anser", "anser-bench"],
        program: "anser-bench",
        arguments: &["ledger"],
    },
    Harness {
        name: "upgrade",
        packages: &["anser", "anser-bench"],
        program: "anser-bench",
        arguments: &["upgrade"],
    },
    Harness {
        name: "kills",
        packages: &["anser", "anser-bench"],
        program: "anser-bench",
        arguments: &["kills"],
    },
    Harness {
        name: "matrix",
        packages: &["anser", "anser-bench"],
        program: "anser-bench",
        arguments: &["matrix"],
    },
    Harness {
        name: "storm",
        packages: &["anser", "anser-bench"],
        program: "anser-bench",
        arguments: &["storm"],
    },
    Harness { name: PLANTED, packages: &["anser-sim"], program: "anser-sim-planted", arguments: &[] },
];

/// Names of all harnesses.
pub fn names() -> Vec<&'static str> {
    HARNESSES.iter().map(|harness| harness.name).collect()
}

/// Builds a harness and runs it.
pub fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let wanted = arguments.first().map(String::as_str).unwrap_or_default();
    let Some(harness) = HARNESSES.iter().find(|harness| harness.name == wanted) else {
        anyhow::bail!("there is no harness {wanted:?}: choose one of {}", names().join(", "));
    };
    succeed(&mut build(harness))?;
    Ok(code(finish(prepared(harness).args(&arguments[1..]))?))
}

fn build(harness: &Harness) -> Command {
    let mut build = cargo(&["build", "--release"]);
    for package in harness.packages {
        build.args(["--package", package]);
    }
    if harness.name == PLANTED {
        build.args(["--features", PLANTED, "--bin", harness.program]);
    }
    build
}

/// Builds what the build of the whole workspace does not.
pub fn build_planted() -> Option<Command> {
    HARNESSES.iter().find(|harness| harness.name == PLANTED).map(build)
}

/// The harness in the size of the tests, built before; `None` for one that is run by hand alone.
pub fn quick(name: &str) -> Option<Command> {
    let harness = HARNESSES.iter().find(|harness| harness.name == name && name != BY_HAND)?;
    let mut command = prepared(harness);
    command.arg("--quick");
    Some(command)
}

fn prepared(harness: &Harness) -> Command {
    let mut command = command(target().join("release").join(harness.program), harness.arguments);
    command.env("ANSER_BIN", anser());
    if std::env::var_os("ANSER_CORPUS").is_none() {
        let corpus = root().join("../shared/data/sms.tsv.gz");
        if corpus.is_file() {
            command.env("ANSER_CORPUS", corpus);
        }
    }
    command
}
