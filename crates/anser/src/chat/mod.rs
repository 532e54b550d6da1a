//! The terminal client. [`state`] is what is known and what keys do, without I/O; [`view`] is the state
//! as a frame; [`run`] and [`entrance`] do what is left: terminal, session, account calls.

mod entrance;
mod form;
mod keys;
mod line;
mod overlay;
mod run;
mod snapshot;
mod state;
mod text;
mod view;
mod words;

use std::path::PathBuf;

use anser_client::ServerAddress;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, EventStream};
use crossterm::execute;
use ratatui::DefaultTerminal;

use crate::profile::{Profile, SignedIn};

/// What the chat is started with.
pub struct Start {
    pub profile: Profile,
    /// Where the server is, if it was said.
    pub server: Option<ServerAddress>,
    /// The certificates that may vouch for it, if not those of this machine.
    pub ca: Option<PathBuf>,
    /// For the form, when nobody is signed in.
    pub invitation: String,
}

/// The terminal and its keys.
pub struct Screen {
    terminal: DefaultTerminal,
    keys: EventStream,
}

/// Chats until the person quits. The terminal is put back as it was, also by a panic.
pub async fn chat(start: Start) -> anyhow::Result<()> {
    let lock = start.profile.lock_store()?;
    let words = words::from_environment();
    // Puts a panic hook in place that restores the terminal.
    let terminal = ratatui::try_init()?;
    let mut screen = Screen { terminal, keys: EventStream::new() };
    let chatted = async {
        execute!(std::io::stdout(), EnableBracketedPaste)?;
        let mut ended = None;
        loop {
            let signed_in = match SignedIn::on(start.profile.clone()) {
                Ok(signed_in) if ended.is_none() => signed_in,
                _ => match entrance::enter(&mut screen, &start, ended.take(), words).await? {
                    Some(signed_in) => signed_in,
                    None => return anyhow::Ok(()),
                },
            };
            ended = run::run(&mut screen, &signed_in, &lock, words).await?;
            if ended.is_none() {
                return Ok(());
            }
        }
    }
    .await;
    // A terminal that is gone needs no restoring.
    let _ = execute!(std::io::stdout(), DisableBracketedPaste);
    ratatui::restore();
    chatted
}
