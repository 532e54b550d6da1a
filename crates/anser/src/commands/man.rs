//! `anser man`: the manual pages, made of the commands' own descriptions and of the key table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};

use crate::chat::key_table;
use crate::commands::connect::write_out;
use crate::entry::Arguments;

/// The command whose page has the keys.
const WITH_KEYS: &str = "anser-chat";

#[derive(Args)]
#[command(after_help = "Read one:  anser man chat | man -l -\n\
    Keep all:  anser man --folder ~/.local/share/man/man1")]
pub struct Man {
    /// The command that the page is about, as it is typed: chat, user register …; none: anser itself
    command: Vec<String>,
    /// Write every page into this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    folder: Option<PathBuf>,
}

impl Man {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut root = Arguments::command().disable_help_subcommand(true);
        root.build();
        if let Some(folder) = &self.folder {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            write_all(&root, folder)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut found = &root;
        for name in &self.command {
            found = found.find_subcommand(name).with_context(|| {
                let known: Vec<&str> = found.get_subcommands().map(Command::get_name).collect();
                format!("there is no command {name:?}; there are: {}", known.join(", "))
            })?;
        }
        write_out(&page(found)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The page of a command and of all below it.
fn write_all(command: &Command, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(format!("{}.1", name(command)));
    fs::write(&path, page(command)?).with_context(|| format!("cannot write {}", path.display()))?;
    command.get_subcommands().filter(|it| !it.is_hide_set()).try_for_each(|it| write_all(it, folder))
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    Page::new(command.clone()).manual("Anser").render(&mut text)?;
    if name(command) == WITH_KEYS {
        keys().to_writer(&mut text)?;
    }
    Ok(text)
}

/// The key table, as the chat dispatches on it.
fn keys() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["KEYS"]);
    for (heading, lines) in key_table() {
        roff.control("SS", [heading]);
        for (keys, what) in lines {
            roff.control("TP", []);
            roff.text([bold(keys)]);
            roff.text([roman(what)]);
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_the_chat_has_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mut root = Arguments::command();
        root.build();
        write_all(&root, folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("anser.1").contains("anser\\-serve(1)"));
        assert!(read("anser-user-register.1").contains("register"));
        let chat = read("anser-chat.1");
        assert!(chat.contains("KEYS") && chat.contains("Ctrl+P") && chat.contains("reply"));
    }
}
