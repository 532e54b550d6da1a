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

/// The harness whose programs have bugs to plant, which no other build may have.
const PLANTED: &str = "planted";
/// The product with bugs to plant.
const PLANTED_ANSER: &str = "anser-planted";

const HARNESSES: &[Harness] = &[
    Harness { name: "model", packages: &["anser-sim"], program: "anser-sim", arguments: &["model"] },
    Harness { name: "fuzz", packages: &["anser-sim"], program: "anser-sim", arguments: &["fuzz"] },
    Harness { name: "sim", packages: &["anser-sim"], program: "anser-sim", arguments: &["sim"] },
    Harness { name: "crashes", packages: &["anser-sim"], program: "anser-sim", arguments: &["crashes"] },
    Harness {
        name: "history",
        packages: &["anser-sim"],
        program: "anser-sim",
        arguments: &["crashes", "--history"],
    },
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
    Harness {
        name: PLANTED,
        packages: &["anser", "anser-sim"],
        program: "anser-sim-planted",
        arguments: &[],
    },
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
    if harness.name == PLANTED {
        // A bug that is chosen is one of the simulator's, or of the matrix's.
        return planted(&arguments[1..]);
    }
    Ok(code(finish(prepared(harness).args(&arguments[1..]))?))
}

/// Both programs that plant bugs, or the one of which a bug is chosen.
fn planted(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let chosen = arguments.iter().position(|argument| argument == "--bug").map(|at| &arguments[at + 1..]);
    let of_access = match chosen {
        Some([bug, ..]) => Some(bugs_of_access()?.contains(bug)),
        _ => None,
    };
    let mut ended = ExitCode::SUCCESS;
    for mut program in [of_access != Some(true), of_access != Some(false)]
        .into_iter()
        .zip(planted_programs())
        .filter_map(|(is_wanted, program)| is_wanted.then_some(program))
    {
        let status = finish(program.args(arguments))?;
        if !status.success() {
            ended = code(status);
        }
    }
    Ok(ended)
}

/// Bugs that the matrix must find, by name.
fn bugs_of_access() -> anyhow::Result<Vec<String>> {
    let program = target().join("release").join(PLANTED_ANSER);
    let listed = command(program, &[]).env("ANSER_PLANTED", "list").output()?;
    Ok(String::from_utf8(listed.stdout)?.lines().map(str::to_owned).collect())
}

/// Of the simulator, and of the matrix.
fn planted_programs() -> [Command; 2] {
    let programs = target().join("release");
    let simulator = command(programs.join("anser-sim-planted"), &[]);
    let mut matrix = command(programs.join("anser-bench"), &["planted"]);
    matrix.env("ANSER_BIN", programs.join(PLANTED_ANSER));
    [simulator, matrix]
}

fn build(harness: &Harness) -> Command {
    let mut build = cargo(&["build", "--release"]);
    for package in harness.packages {
        build.args(["--package", package]);
    }
    if harness.name == PLANTED {
        build.args(["--features", "anser/planted,anser-sim/planted"]);
        build.args(["--bin", harness.program, "--bin", PLANTED_ANSER]);
    }
    build
}

/// Builds what the build of the whole workspace does not.
pub fn build_planted() -> Option<Command> {
    HARNESSES.iter().find(|harness| harness.name == PLANTED).map(build)
}

/// The programs of a harness in the size of the tests, built before.
pub fn quick(name: &str) -> Vec<Command> {
    let harness = HARNESSES.iter().find(|harness| harness.name == name);
    let mut programs = match harness {
        Some(harness) if harness.name == PLANTED => planted_programs().into(),
        Some(harness) => vec![prepared(harness)],
        None => Vec::new(),
    };
    programs.iter_mut().for_each(|program| _ = program.arg("--quick"));
    programs
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
