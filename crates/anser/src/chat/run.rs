//! Runs the chat: keys and updates in, frames and requests out.

use std::time::Duration;

use anser_client::account::AccountError;
use anser_client::driver::Clock;
use anser_client::session::{Ended, Intent, Status};
use anser_client::{Client, ClientError, Command, Keep, Update, Updates};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, Target};
use anser_proto::wire;
use base64::Engine as _;
use crossterm::event::{Event, KeyEventKind};
use crossterm::style::Print;
use crossterm::terminal::SetTitle;
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::chat::snapshot;
use crate::chat::state::{Effect, MemberRow, Outcome, State};
use crate::chat::text::{one_line, tamed};
use crate::chat::theme::Theme;
use crate::chat::words::Words;
use crate::chat::{Screen, forward, view};
use crate::profile::{SignedIn, StoreLock};

/// How often the time of day is looked at.
const TICK: Duration = Duration::from_millis(500);
/// Requests that wait for their answers at once.
const TASKS: usize = 64;
/// Profiles that one request may ask for.
const PROFILES_AT_ONCE: usize = 200;
/// How long closing the connection may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

struct Running<'a> {
    client: Client,
    signed_in: &'a SignedIn,
    state: State,
    tasks: JoinSet<Outcome>,
    words: &'static Words,
    /// What the title of the terminal says.
    title: String,
    redraw: bool,
    quit: bool,
}

/// Chats. None when the person quits, else why the session ended.
pub async fn run(
    screen: &mut Screen,
    signed_in: &SignedIn,
    lock: &StoreLock,
    words: &'static Words,
    theme: &'static Theme,
) -> anyhow::Result<Option<String>> {
    let mut options = signed_in.options().await.with_store(Box::new(signed_in.profile().store(lock)?));
    options.session.keep = Keep::Everything;
    let (client, updates) = Client::connect(options)?;
    let size = screen.terminal.size()?;
    let now_ms = Clock::start().now().unix.0;
    let state = State::new(words, theme, TimeZone::system(), (size.width, size.height), now_ms);
    let mut running = Running {
        client,
        signed_in,
        state,
        tasks: JoinSet::new(),
        words,
        title: String::new(),
        redraw: false,
        quit: false,
    };
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
            if std::mem::take(&mut self.redraw) {
                screen.terminal.clear()?;
            }
            screen.terminal.draw(|frame| view::draw(frame, &self.state))?;
            self.name_terminal()?;
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
            Some(Ok(Event::Mouse(mouse))) => self.state.mouse(&mouse),
            Some(Ok(Event::FocusLost)) => self.state.look_away(true),
            Some(Ok(Event::FocusGained)) => self.state.look_away(false),
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
                Update::Typing { cid, account } => self.state.sees_typing(cid, account),
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
        let (own, wanted) = (self.signed_in.account(), self.state.wanted());
        let snapshot = self.client.look(move |session| snapshot::take(session, own, wanted)).await?;
        Ok(self.state.apply(snapshot))
    }

    async fn perform(&mut self, effects: Vec<Effect>) -> anyhow::Result<()> {
        for effect in effects {
            match effect {
                Effect::Quit => self.quit = true,
                Effect::Redraw => self.redraw = true,
                Effect::Look => Box::pin(self.look()).await?,
                Effect::Copy(text) => copy(&text)?,
                Effect::Send { to, message } => {
                    let send = v1::Send { to: Some(to), message: Some(message), ..v1::Send::default() };
                    self.post(Intent::Command(Command::Send(send))).await?;
                }
                Effect::Read { cid, seq } => {
                    self.post(Intent::ReadUpTo { target: Target::cid(cid), seq }).await?;
                }
                Effect::Recall { cid, seq } => {
                    let recall = v1::Recall { r#in: Some(Target::cid(cid)), seq, ..v1::Recall::default() };
                    self.post(Intent::Command(Command::Recall(recall))).await?;
                }
                Effect::Edit { cid, seq, message } => {
                    let (r#in, message) = (Some(Target::cid(cid)), Some(message));
                    let edit = v1::Edit { r#in, seq, message, ..v1::Edit::default() };
                    self.post(Intent::Command(Command::Edit(edit))).await?;
                }
                Effect::Forward { from, seqs, to, title } => self.forward(from, seqs, to, title).await?,
                Effect::RemoveMember { cid, member } => {
                    let (cid, member) = (wire::cid_bytes(cid), member.get());
                    let remove = v1::RemoveMember { cid, member, ..v1::RemoveMember::default() };
                    self.post(Intent::Command(Command::RemoveMember(remove))).await?;
                }
                Effect::SetRole { cid, member, role } => {
                    let (cid, member, role) = (wire::cid_bytes(cid), member.get(), role.into());
                    let set = v1::SetRole { cid, member, role, ..v1::SetRole::default() };
                    self.post(Intent::Command(Command::SetRole(set))).await?;
                }
                Effect::Rename { cid, title } => {
                    let rename = v1::Rename { cid: wire::cid_bytes(cid), title, ..v1::Rename::default() };
                    self.post(Intent::Command(Command::Rename(rename))).await?;
                }
                Effect::SetHistoryVisible { cid, visible } => {
                    let cid = wire::cid_bytes(cid);
                    let set = v1::SetHistoryVisible { cid, visible, ..v1::SetHistoryVisible::default() };
                    self.post(Intent::Command(Command::SetHistoryVisible(set))).await?;
                }
                Effect::Dissolve(cid) => {
                    let dissolve = v1::Dissolve { cid: wire::cid_bytes(cid), ..v1::Dissolve::default() };
                    self.post(Intent::Command(Command::Dissolve(dissolve))).await?;
                }
                Effect::Leave(cid) => {
                    let leave = v1::Leave { cid: wire::cid_bytes(cid), ..v1::Leave::default() };
                    self.post(Intent::Command(Command::Leave(leave))).await?;
                }
                Effect::Typing(to) => self.tell_typing(to),
                Effect::Watch { cid, accounts } => self.client.watch(cid, accounts).await?,
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

    /// Of no consequence where it does not arrive.
    fn tell_typing(&mut self, to: Target) {
        if self.tasks.len() < TASKS {
            let client = self.client.clone();
            self.tasks.spawn(async move {
                let _ = client.typing(to).await;
                Outcome::Nothing
            });
        }
    }

    /// Says again elsewhere what is held here.
    async fn forward(
        &mut self,
        from: ConversationId,
        seqs: Vec<u64>,
        to: Target,
        title: String,
    ) -> anyhow::Result<()> {
        let message = self.client.look(move |session| forward::message(session, from, &seqs, &title)).await?;
        match message {
            Some(message) => {
                let send = v1::Send { to: Some(to), message: Some(message), ..v1::Send::default() };
                self.post(Intent::Command(Command::Send(send))).await
            }
            None => {
                self.state.say(self.words.not_forwarded.to_owned());
                Ok(())
            }
        }
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
            Effect::CreateGroup { title, handles, channel } => {
                self.tasks.spawn(async move { create(&client, &signed_in, title, &handles, channel).await });
            }
            Effect::Versions { cid, seq } => {
                self.tasks.spawn(async move { versions(&client, cid, seq).await });
            }
            Effect::Hide { cid, seqs } => {
                self.tasks.spawn(async move { done(client.hide(cid, &seqs).await) });
            }
            Effect::Clear { cid, seq } => {
                self.tasks.spawn(async move { done(client.clear_history(cid, seq).await) });
            }
            Effect::MarkUnread { cid, marked } => {
                self.tasks.spawn(async move { done(client.mark_unread(cid, marked).await) });
            }
            Effect::Marks { cid, seq } => {
                self.tasks.spawn(async move {
                    match client.marks(cid).await {
                        Ok(marks) => Outcome::Marks(seq, marks),
                        Err(error) => Outcome::Failed(error.to_string()),
                    }
                });
            }
            Effect::Members(cid) => {
                self.tasks.spawn(async move { members(&client, cid).await });
            }
            Effect::AddMembers { cid, handles } => {
                self.tasks.spawn(async move { add(&client, &signed_in, cid, &handles).await });
            }
            _ => {}
        }
    }

    /// Says in the terminal's title how much is unread.
    fn name_terminal(&mut self) -> std::io::Result<()> {
        let unread = self.state.unread();
        let product = self.words.product;
        let title = if unread == 0 { product.to_owned() } else { format!("({unread}) {product}") };
        if title != self.title {
            crossterm::execute!(std::io::stdout(), SetTitle(&title))?;
            self.title = title;
        }
        Ok(())
    }
}

/// Asks the terminal to keep a text as copied (OSC 52).
fn copy(text: &str) -> std::io::Result<()> {
    let text = base64::engine::general_purpose::STANDARD.encode(text);
    crossterm::execute!(std::io::stdout(), Print(format!("\u{1b}]52;c;{text}\u{7}")))
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

async fn create(
    client: &Client,
    signed_in: &SignedIn,
    title: String,
    handles: &[String],
    channel: bool,
) -> Outcome {
    let people = match signed_in.people(handles).await {
        Ok(people) => people,
        Err(error) => return refused(&error),
    };
    let members = people.into_iter().map(|person| person.account).collect::<Vec<_>>();
    let created = match channel {
        true => client.create_channel(title, &members, true).await,
        false => client.create_group(title, &members, true).await,
    };
    match created.map(|created| wire::cid(&created.cid)) {
        Ok(Ok(cid)) => Outcome::Created(cid),
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn versions(client: &Client, cid: ConversationId, seq: u64) -> Outcome {
    let versions = match client.versions(Target::cid(cid), seq).await {
        Ok(versions) => versions,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let says = move |session: &anser_client::Session| {
        let fact = session.conversation(cid)?.fact(seq)?;
        match &fact.change {
            Some(v1::event::Change::Message(message)) => Some(tamed(&message.text)),
            _ => None,
        }
    };
    let now = client.look(says).await.ok().flatten().unwrap_or_default();
    Outcome::Versions(versions.into_iter().map(|it| (it.at_ms, tamed(&it.text))).collect(), now)
}

async fn members(client: &Client, cid: ConversationId) -> Outcome {
    let Ok(members) = client.members(cid).await else { return Outcome::Nothing };
    let mut rows = Vec::with_capacity(members.len());
    for chunk in members.chunks(PROFILES_AT_ONCE) {
        let accounts = chunk.iter().map(|member| AccountId(member.account)).collect::<Vec<_>>();
        let profiles = client.profiles(&accounts).await.unwrap_or_default();
        rows.extend(chunk.iter().map(|member| {
            let profile = profiles.iter().find(|profile| profile.account == member.account);
            MemberRow {
                account: AccountId(member.account),
                name: profile.map(|it| one_line(&it.name)).unwrap_or_default(),
                handle: profile.map(|it| it.handle.clone()).unwrap_or_default(),
                role: member.role(),
            }
        }));
    }
    Outcome::Members(cid, rows)
}

async fn add(client: &Client, signed_in: &SignedIn, cid: ConversationId, handles: &[String]) -> Outcome {
    let people = match signed_in.people(handles).await {
        Ok(people) => people.into_iter().map(|person| person.account).collect::<Vec<_>>(),
        Err(error) => return refused(&error),
    };
    done(client.add_members(cid, &people).await)
}

fn done(answer: Result<v1::Accepted, ClientError>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Nothing,
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
