//! Runs the chat: keys and updates in, frames and requests out.

use std::time::Duration;

use anser_client::account::AccountError;
use anser_client::driver::Clock;
use anser_client::session::{Ended, Intent, Status};
use anser_client::{Client, ClientError, Command, Keep, Update, Updates};
use anser_model::ConversationId;
use anser_proto::v1::{self, Target};
use anser_proto::wire;
use crossterm::event::{Event, KeyEventKind};
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::chat::snapshot;
use crate::chat::state::{Effect, Outcome, State};
use crate::chat::words::Words;
use crate::chat::{Screen, view};
use crate::profile::{SignedIn, StoreLock};

/// How often the time of day is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Requests that wait for their answers at once.
const TASKS: usize = 64;
/// How long closing the connection may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

struct Running<'a> {
    client: Client,
    signed_in: &'a SignedIn,
    state: State,
    tasks: JoinSet<Outcome>,
    words: &'static Words,
    quit: bool,
}

/// Chats. None when the person quits, else why the session ended.
pub async fn run(
    screen: &mut Screen,
    signed_in: &SignedIn,
    lock: &StoreLock,
    words: &'static Words,
) -> anyhow::Result<Option<String>> {
    let mut options = signed_in.options().await.with_store(Box::new(signed_in.profile().store(lock)?));
    options.session.keep = Keep::Everything;
    let (client, updates) = Client::connect(options)?;
    let size = screen.terminal.size()?;
    let now_ms = Clock::start().now().unix.0;
    let state = State::new(words, TimeZone::system(), (size.width, size.height), now_ms);
    let mut running = Running { client, signed_in, state, tasks: JoinSet::new(), words, quit: false };
    let ended = running.run(screen, updates).await;
    // What waits is in the store; a server that does not answer is not waited for.
    let _ = tokio::time::timeout(STOP_TIMEOUT, running.client.stop()).await;
    ended
}

impl Running<'_> {
    async fn run(&mut self, screen: &mut Screen, mut updates: Updates) -> anyhow::Result<Option<String>> {
        let (mut terminated, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        let clock = Clock::start();
        let mut tick = tokio::time::interval(TICK);
        self.look().await?;
        while !self.quit {
            screen.terminal.draw(|frame| view::draw(frame, &self.state))?;
            let effects = tokio::select! {
                event = screen.keys.next() => self.event(event),
                update = updates.next() => match self.updated(update, &mut updates).await? {
                    Some(why) => return Ok(Some(why)),
                    None => vec![],
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(outcome) => self.state.finish(outcome),
                    Err(error) => self.state.say(error.to_string()),
                },
                _ = tick.tick() => {
                    self.state.tick(clock.now().unix.0);
                    vec![]
                }
                _ = terminated.recv() => vec![Effect::Quit],
                _ = hung_up.recv() => vec![Effect::Quit],
            };
            self.perform(effects).await?;
        }
        Ok(None)
    }

    fn event(&mut self, event: Option<std::io::Result<Event>>) -> Vec<Effect> {
        match event {
            Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => self.state.key(&key),
            Some(Ok(Event::Paste(text))) => {
                self.state.paste(&text);
                vec![]
            }
            Some(Ok(Event::Resize(columns, rows))) => self.state.resize((columns, rows)),
            Some(Ok(_)) => vec![],
            // The terminal is gone.
            Some(Err(_)) | None => vec![Effect::Quit],
        }
    }

    /// Takes every update that waits, then looks once. Why the session ended, if it did.
    async fn updated(
        &mut self,
        first: Option<Update>,
        updates: &mut Updates,
    ) -> anyhow::Result<Option<String>> {
        let Some(first) = first else {
            return Ok(Some(match self.client.status() {
                Status::Ended(ended) => ended.to_string(),
                _ => ClientError::Stopped.to_string(),
            }));
        };
        let mut next = Some(first);
        while let Some(update) = next {
            match update {
                Update::Status(Status::Ended(Ended::Kicked { message, .. })) => return Ok(Some(message)),
                Update::Status(Status::Ended(ended)) => return Ok(Some(ended.to_string())),
                Update::NotSaved(why) => {
                    self.state.say((self.words.not_saved)(&why));
                }
                _ => {}
            }
            next = updates.try_next();
        }
        self.look().await?;
        Ok(None)
    }

    /// Shows what the session knows now.
    async fn look(&mut self) -> anyhow::Result<()> {
        let effects = self.looked().await?;
        Box::pin(self.perform(effects)).await
    }

    async fn looked(&mut self) -> anyhow::Result<Vec<Effect>> {
        let (own, open) = (self.signed_in.account(), self.state.open_cid());
        let snapshot = self.client.look(move |session| snapshot::take(session, own, open)).await?;
        Ok(self.state.apply(snapshot))
    }

    async fn perform(&mut self, effects: Vec<Effect>) -> anyhow::Result<()> {
        for effect in effects {
            match effect {
                Effect::Quit => self.quit = true,
                Effect::Look => Box::pin(self.look()).await?,
                Effect::Send { to, text } => {
                    let send = v1::Send {
                        to: Some(to),
                        message: Some(v1::Message::text(text)),
                        ..v1::Send::default()
                    };
                    self.post(Intent::Command(Command::Send(send))).await?;
                }
                Effect::Read { cid, seq } => {
                    self.post(Intent::ReadUpTo { target: Target::cid(cid), seq }).await?;
                }
                Effect::Recall { cid, seq } => {
                    let recall = v1::Recall { r#in: Some(Target::cid(cid)), seq, ..v1::Recall::default() };
                    self.post(Intent::Command(Command::Recall(recall))).await?;
                }
                Effect::Retry(id) => self.post(Intent::Retry(id)).await?,
                asking => self.ask(asking),
            }
        }
        Ok(())
    }

    /// Hands something over in the order of the person's acts; what became of it, updates tell.
    async fn post(&mut self, intent: Intent) -> anyhow::Result<()> {
        let is_mark = matches!(intent, Intent::ReadUpTo { .. });
        let posted = self.client.post(intent).await?;
        if !is_mark && self.tasks.len() < TASKS {
            self.tasks.spawn(async move {
                match posted.accepted().await {
                    // The message itself shows that it failed, and why.
                    Ok(_) | Err(ClientError::Stopped) => Outcome::Nothing,
                    Err(error) => Outcome::Failed(error.to_string()),
                }
            });
        }
        Ok(())
    }

    fn ask(&mut self, effect: Effect) {
        if self.tasks.len() >= TASKS {
            self.state.say(self.words.too_many.to_owned());
            return;
        }
        let (client, signed_in) = (self.client.clone(), self.signed_in.clone());
        match effect {
            Effect::Page { cid, before_seq } => {
                self.tasks.spawn(async move { page(&client, cid, before_seq).await });
            }
            Effect::Find(handle) => {
                self.tasks.spawn(async move { find(&signed_in, handle).await });
            }
            Effect::CreateGroup { title, handles } => {
                self.tasks.spawn(async move { create(&client, &signed_in, title, &handles).await });
            }
            Effect::Send { .. }
            | Effect::Read { .. }
            | Effect::Retry(_)
            | Effect::Recall { .. }
            | Effect::Look
            | Effect::Quit => {}
        }
    }
}

async fn page(client: &Client, cid: ConversationId, before_seq: u64) -> Outcome {
    // A page that does not come is asked for again when somebody scrolls.
    let _ = client.page_before(Target::cid(cid), before_seq).await;
    Outcome::Paged(cid)
}

async fn find(signed_in: &SignedIn, handle: String) -> Outcome {
    match signed_in.person(&handle).await {
        Ok(person) => Outcome::Found(handle, Some(person)),
        Err(AccountError::Refused { status: 404, .. }) => Outcome::Found(handle, None),
        Err(error) => refused(&error),
    }
}

async fn create(client: &Client, signed_in: &SignedIn, title: String, handles: &[String]) -> Outcome {
    let people = match signed_in.people(handles).await {
        Ok(people) => people,
        Err(error) => return refused(&error),
    };
    let members = people.into_iter().map(|person| person.account).collect::<Vec<_>>();
    let created = client.create_group(title, &members, true).await;
    match created.map(|created| wire::cid(&created.cid)) {
        Ok(Ok(cid)) => Outcome::Created(cid),
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn refused(error: &AccountError) -> Outcome {
    match error {
        AccountError::Unreachable(_) => Outcome::Unreachable,
        AccountError::Refused { message, .. } => Outcome::Failed(message.clone()),
        AccountError::BadAnswer(_) => Outcome::Failed(error.to_string()),
    }
}
