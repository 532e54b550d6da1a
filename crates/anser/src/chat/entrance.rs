//! Runs the form until somebody is signed in.

use std::path::Path;

use anser_client::ServerAddress;
use anser_client::account::{AccountApi, AccountError, Registration};
use crossterm::event::{Event, KeyEventKind};
use futures_util::StreamExt as _;

use crate::chat::form::{Field, Form, Pressed};
use crate::chat::theme::Theme;
use crate::chat::words::Words;
use crate::chat::{Screen, Start, view};
use crate::commands::{DEFAULT_SERVER, machine_name};
use crate::profile::{SavedSession, SignedIn, trusting};

/// Fills in the form. None when the person quits; `ended` says why the session before ended.
pub async fn enter(
    screen: &mut Screen,
    start: &Start,
    ended: Option<String>,
    words: &'static Words,
    theme: &'static Theme,
) -> anyhow::Result<Option<SignedIn>> {
    let before = start.profile.session().ok().flatten();
    let saved = before.as_ref().and_then(|session| session.servers.first().cloned());
    let server = start.server.as_ref().map(ServerAddress::to_string).or(saved);
    let handle = before.map(|session| session.handle).unwrap_or_default();
    let server = server.unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    let mut form = Form::new(words, &server, &handle, &start.invitation);
    form.problem = ended.map(|why| (words.sign_in.ended)(&why));
    loop {
        screen.terminal.draw(|frame| view::draw_form(frame, &form, theme))?;
        let pressed = match screen.keys.next().await {
            Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => form.key(&key),
            Some(Ok(Event::Paste(text))) => {
                form.paste(&text);
                Pressed::Nothing
            }
            Some(Ok(_)) => Pressed::Nothing,
            Some(Err(_)) | None => Pressed::Quit,
        };
        match pressed {
            Pressed::Nothing => {}
            Pressed::Quit => return Ok(None),
            Pressed::Submit => {
                screen.terminal.draw(|frame| view::draw_form(frame, &form, theme))?;
                match submit(&form, start.ca.as_deref()).await {
                    Ok(session) => {
                        start.profile.begin(&session)?;
                        return SignedIn::on(start.profile.clone()).map(Some);
                    }
                    Err(problem) => form.refuse(problem),
                }
            }
        }
    }
}

async fn submit(form: &Form, ca: Option<&Path>) -> Result<SavedSession, String> {
    let server: ServerAddress = form
        .text(Field::Server)
        .parse()
        .map_err(|error: anser_client::address::BadAddress| error.to_string())?;
    let servers = trusting(vec![server], ca).map_err(|error| format!("{error:#}"))?;
    let api = AccountApi::new(servers.clone());
    let (handle, password) = (form.text(Field::Handle), form.text(Field::Password));
    let granted = if form.registers {
        let (name, invitation) = (form.text(Field::Name), form.text(Field::Invitation));
        let registration = Registration {
            handle: handle.to_owned(),
            password: password.to_owned(),
            name: if name.is_empty() { handle } else { name }.to_owned(),
            invitation: (!invitation.is_empty()).then(|| invitation.to_owned()),
            device_name: machine_name(),
        };
        api.register(&registration).await
    } else {
        api.sign_in(handle, password, &machine_name()).await
    };
    match granted {
        Ok(grant) => Ok(SavedSession::new(&servers, handle, &grant)),
        Err(AccountError::Refused { message, .. }) => Err(message),
        Err(error) => Err(error.to_string()),
    }
}
