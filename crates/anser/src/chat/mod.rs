//! The terminal client. [`state`] is what is known and what keys do, without I/O; [`view`] is the state
//! as a frame; [`run`] and [`entrance`] do what is left: terminal, session, account calls.

mod entrance;
mod form;
mod forward;
mod fuzzy;
mod keys;
mod kinds;
mod line;
mod overlay;
mod run;
#[cfg(test)]
mod sample;
mod snapshot;
mod state;
mod steady;
mod text;
mod theme;
mod view;
mod words;

use std::io::{Stdout, stdout};
use std::path::PathBuf;

use anser_client::ServerAddress;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture, EventStream,
};
use crossterm::execute;
use crossterm::terminal::{
    DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::Terminal;

use crate::profile::{Profile, SignedIn};
use steady::Steady;
pub use theme::{Theme, ThemeName};

/// The keys in the order of the help: for each part its heading, and for each line the keys and what they
/// do, in English.
pub fn key_table() -> Vec<(&'static str, Vec<(String, &'static str)>)> {
    view::key_table(&words::EN)
}

/// What the chat is started with.
pub struct Start {
    pub profile: Profile,
    /// Where the server is, if it was said.
    pub server: Option<ServerAddress>,
    /// The certificates that may vouch for it, if not those of this machine.
    pub ca: Option<PathBuf>,
    /// For the form, when nobody is signed in.
    pub invitation: String,
    pub theme: ThemeName,
    /// Whether clicks and the wheel come here, and not to the terminal.
    pub mouse: bool,
}

/// The terminal and its keys.
pub struct Screen {
    terminal: Terminal<Steady<Stdout>>,
    keys: EventStream,
}

/// Chats until the person quits. The terminal is put back as it was, also by a panic.
pub async fn chat(start: Start) -> anyhow::Result<()> {
    let lock = start.profile.lock_store()?;
    let words = words::from_environment();
    let theme = Theme::named(start.theme, |name| std::env::var(name).ok());
    restore_on_panic();
    let chatted = async {
        let mut screen = take_terminal(start.mouse)?;
        let mut ended = None;
        loop {
            let signed_in = match SignedIn::on(start.profile.clone()) {
                Ok(signed_in) if ended.is_none() => signed_in,
                _ => match entrance::enter(&mut screen, &start, ended.take(), words, theme).await? {
                    Some(signed_in) => signed_in,
                    None => return anyhow::Ok(()),
                },
            };
            ended = run::run(&mut screen, &signed_in, &lock, words, theme).await?;
            if ended.is_none() {
                return Ok(());
            }
        }
    }
    .await;
    give_back();
    chatted
}

fn take_terminal(mouse: bool) -> anyhow::Result<Screen> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, DisableLineWrap, EnableBracketedPaste, EnableFocusChange)?;
    if mouse {
        execute!(stdout(), EnableMouseCapture)?;
    }
    Ok(Screen { terminal: Terminal::new(Steady::new(stdout()))?, keys: EventStream::new() })
}

/// A terminal that is gone needs no restoring.
fn give_back() {
    let _ = execute!(
        stdout(),
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        EnableLineWrap,
        LeaveAlternateScreen,
        crossterm::cursor::Show
    );
    let _ = disable_raw_mode();
}

fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        give_back();
        report(panic);
    }));
}
