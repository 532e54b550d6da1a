//! `cargo xtask run`: build everything and serve the product.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::ExitCode;

use crate::process::{anser, cargo, command, succeed};
use crate::web;

/// All addresses of this machine, on the port that the server has by itself.
const EVERYWHERE: &str = "0.0.0.0:7700";

/// Builds, then becomes the server.
pub fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    web::build()?;
    succeed(&mut cargo(&["build", "--release", "--package", "anser"]))?;
    // The server takes this process over, so that Ctrl-C reaches it and its exit code is ours.
    let arguments = for_server(arguments);
    let everywhere: &[&str] = if says_where(arguments) { &[] } else { &["--listen", EVERYWHERE] };
    Err(command(anser(), &["serve"]).args(everywhere).args(arguments).exec().into())
}

/// What is for the server: a `--` that sets it apart is not.
fn for_server(arguments: &[String]) -> &[String] {
    match arguments {
        [separator, rest @ ..] if separator == "--" => rest,
        all => all,
    }
}

/// Where nobody says where, it is served to the whole network, so that a phone beside the machine can open it: people come
/// in by invitation.
fn says_where(arguments: &[String]) -> bool {
    let flags = ["--listen", "--config", "--data"];
    let is_flag = |argument: &String| {
        flags.iter().any(|flag| {
            argument.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    let variables = ["ANSER_LISTEN", "ANSER_CONFIG", "ANSER_DATA"];
    arguments.iter().any(is_flag)
        || variables.iter().any(|name| std::env::var_os(name).is_some())
        || Path::new("data/anser.toml").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_server_with_and_without_a_separator() {
        let strings = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let wanted = strings(&["--listen", "127.0.0.1:1"]);
        assert_eq!(for_server(&strings(&["--", "--listen", "127.0.0.1:1"])), wanted);
        assert_eq!(for_server(&wanted), wanted);
        assert!(for_server(&[]).is_empty());
    }

    #[test]
    fn who_says_where_is_not_overruled() {
        let strings = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(says_where(&strings(&["--listen", "127.0.0.1:1"])));
        assert!(says_where(&strings(&["--registration", "open", "--listen=127.0.0.1:1"])));
        assert!(says_where(&strings(&["--data", "elsewhere"])), "a configuration may lie there");
    }
}
