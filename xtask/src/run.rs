//! `cargo xtask run`: build everything and serve the product.

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use crate::process::{anser, cargo, command, succeed};
use crate::web;

/// Builds, then becomes the server.
pub fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    web::build()?;
    succeed(&mut cargo(&["build", "--release", "--package", "anser"]))?;
    // The server takes this process over, so that Ctrl-C reaches it and its exit code is ours.
    Err(command(anser(), &["serve"]).args(for_server(arguments)).exec().into())
}

/// What is for the server: a `--` that sets it apart is not.
fn for_server(arguments: &[String]) -> &[String] {
    match arguments {
        [separator, rest @ ..] if separator == "--" => rest,
        all => all,
    }
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
}
