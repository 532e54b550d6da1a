//! The loop that feeds the session and does what it says.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;

use anser_proto::Encoding;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, Instant, sleep_until};

use crate::address::ServerAddress;
use crate::driver::Observer;
use crate::driver::clock::{self, Clock};
use crate::driver::socket::{Broken, Socket};
use crate::session::{
    Answer, Failure, Input, LinkId, Output, Session, Status, Ticket, TokenRefused, Update, command::Intent,
};
use crate::store::{Change, Store};
use crate::tokens::{BoxFuture, Tokens};

/// What changed is saved at the latest so long after it did. The outbox is saved at once.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// What the handle asks of the driver.
#[expect(clippy::large_enum_variant, reason = "it is taken at once: no queue of them grows long")]
pub(super) enum Call {
    /// Something for the session.
    Do(Intent, oneshot::Sender<Result<Answer, Failure>>),
    /// A look at the session.
    Look(Box<dyn FnOnce(&Session) + Send>),
    /// Close, and end.
    Stop,
}

/// Where updates go.
pub(super) struct Outlet {
    pub(super) updates: Option<mpsc::Sender<Update>>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) status: watch::Sender<Status>,
    pub(super) missed: u64,
}

/// Runs one client. See [`prepare`](super::prepare).
pub struct Driver {
    session: Session,
    store: Box<dyn Store>,
    tokens: Arc<dyn Tokens>,
    servers: Vec<ServerAddress>,
    outlet: Outlet,
    calls: mpsc::Receiver<Call>,
    encoding: Encoding,
    read_buffer_bytes: usize,
    clock: Clock,
    link: Option<Connection>,
    token: Option<BoxFuture<'static, Result<String, TokenRefused>>>,
    answers: HashMap<Ticket, oneshot::Sender<Result<Answer, Failure>>>,
    last_ticket: Ticket,
    save_at: Option<Instant>,
    outbox_unsaved: bool,
}

struct Connection {
    id: LinkId,
    state: ConnectionState,
}

enum ConnectionState {
    Opening(BoxFuture<'static, Result<Socket, Broken>>),
    Open(Box<Socket>),
}

/// What the loop waits for.
enum Wakeup {
    Call(Option<Call>),
    Link(LinkId, LinkEvent),
    Token(Result<String, TokenRefused>),
    Tick,
    Save,
}

enum LinkEvent {
    Opened(Box<Socket>),
    Frame(Box<anser_proto::v1::ServerFrame>),
    Broken(Broken),
}

impl Driver {
    pub(super) fn new(
        session: Session,
        store: Box<dyn Store>,
        tokens: Arc<dyn Tokens>,
        servers: Vec<ServerAddress>,
        outlet: Outlet,
        calls: mpsc::Receiver<Call>,
        (encoding, read_buffer_bytes): (Encoding, usize),
    ) -> Self {
        Driver {
            session,
            store,
            tokens,
            servers,
            outlet,
            calls,
            encoding,
            read_buffer_bytes,
            clock: Clock::start(),
            link: None,
            token: None,
            answers: HashMap::new(),
            last_ticket: 0,
            save_at: None,
            outbox_unsaved: false,
        }
    }

    /// Runs until the session ends, or every handle is gone.
    pub async fn run(mut self) {
        self.feed(Input::Start).await;
        while !matches!(self.session.status(), Status::Ended(_)) {
            match self.wake_up().await {
                Wakeup::Call(Some(Call::Do(intent, answer))) => {
                    self.last_ticket += 1;
                    self.answers.insert(self.last_ticket, answer);
                    self.feed(Input::Do(self.last_ticket, intent)).await;
                }
                Wakeup::Call(Some(Call::Look(look))) => look(&self.session),
                Wakeup::Call(Some(Call::Stop) | None) => self.feed(Input::Stop).await,
                Wakeup::Link(id, LinkEvent::Opened(socket)) => {
                    self.link = Some(Connection { id, state: ConnectionState::Open(socket) });
                    self.feed(Input::Opened(id)).await;
                }
                Wakeup::Link(id, LinkEvent::Frame(frame)) => self.feed(Input::Frame(id, frame)).await,
                Wakeup::Link(id, LinkEvent::Broken(reason)) => {
                    tracing::debug!(link = id.0, %reason, "connection lost");
                    self.link = None;
                    self.feed(Input::Lost(id)).await;
                }
                Wakeup::Token(token) => {
                    self.token = None;
                    self.feed(Input::Token(token)).await;
                }
                Wakeup::Tick => self.feed(Input::Tick).await,
                Wakeup::Save => self.save(),
            }
        }
        self.save();
        self.look_once_more().await;
    }

    /// Callers that come after the end are answered until their handles are gone or the queue is empty.
    async fn look_once_more(&mut self) {
        self.calls.close();
        while let Some(call) = self.calls.recv().await {
            match call {
                Call::Do(_, answer) => {
                    if let Status::Ended(ended) = self.session.status() {
                        let _ = answer.send(Err(Failure::Ended(ended)));
                    }
                }
                Call::Look(look) => look(&self.session),
                Call::Stop => {}
            }
        }
    }

    async fn wake_up(&mut self) -> Wakeup {
        let tick_at = self.session.wake_at_ms().map(|at_ms| self.clock.instant(at_ms));
        tokio::select! {
            call = self.calls.recv() => Wakeup::Call(call),
            (id, event) = link_event(&mut self.link) => Wakeup::Link(id, event),
            token = token_ready(&mut self.token) => Wakeup::Token(token),
            () = at(tick_at) => Wakeup::Tick,
            () = at(self.save_at) => Wakeup::Save,
        }
    }

    async fn feed(&mut self, input: Input) {
        let outputs = self.session.handle(self.clock.now(), clock::seed(), input);
        for output in outputs {
            match output {
                Output::Open { link, address_turn } => self.open(link, address_turn),
                Output::Send(link, frame) => {
                    self.save_outbox();
                    if let Some(Connection { id, state: ConnectionState::Open(socket) }) = &mut self.link
                        && *id == link
                    {
                        socket.send(&frame);
                    }
                }
                Output::Close(link) => self.close(link).await,
                Output::NeedToken => {
                    let tokens = Arc::clone(&self.tokens);
                    self.token = Some(Box::pin(async move { tokens.next().await }));
                }
                Output::Persist(change) => self.persist(*change),
                Output::Answer(ticket, answer) => {
                    // Nobody may be waiting any more.
                    let _ = self.answers.remove(&ticket).map(|waiting| waiting.send(answer));
                }
                Output::Tell(update) => self.outlet.tell(update),
            }
        }
        self.save_outbox();
    }

    fn open(&mut self, id: LinkId, address_turn: u32) {
        let server = self.servers[address_turn as usize % self.servers.len()].clone();
        let opening = Socket::open(server, self.encoding, self.read_buffer_bytes);
        self.link = Some(Connection { id, state: ConnectionState::Opening(Box::pin(opening)) });
    }

    async fn close(&mut self, link: LinkId) {
        if let Some(Connection { state: ConnectionState::Open(socket), .. }) =
            self.link.take_if(|connection| connection.id == link)
        {
            socket.close().await;
        }
    }

    fn persist(&mut self, change: Change) {
        if matches!(change, Change::OutboxPut(_) | Change::OutboxRemoved(_)) {
            self.outbox_unsaved = true;
        } else if self.save_at.is_none() {
            self.save_at = Some(Instant::now() + SAVE_INTERVAL);
        }
        self.store.apply(change);
    }

    fn save_outbox(&mut self) {
        if std::mem::take(&mut self.outbox_unsaved)
            && let Err(error) = self.store.flush_outbox()
        {
            tracing::error!(%error, "cannot save the outbox");
            self.outlet.tell(Update::NotSaved(error.to_string()));
        }
    }

    fn save(&mut self) {
        self.save_at = None;
        if let Err(error) = self.store.flush() {
            tracing::error!(%error, "cannot save the session");
            self.outlet.tell(Update::NotSaved(error.to_string()));
        }
    }
}

impl Outlet {
    fn tell(&mut self, update: Update) {
        if let Update::Status(status) = &update {
            // Nobody may be watching.
            let _ = self.status.send(status.clone());
        }
        if let Some(observer) = &self.observer {
            observer.observe(&update);
        }
        let Some(updates) = &self.updates else { return };
        if self.missed > 0 && updates.try_send(Update::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        if self.missed > 0 || updates.try_send(update).is_err() {
            self.missed += 1;
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

async fn token_ready(
    token: &mut Option<BoxFuture<'static, Result<String, TokenRefused>>>,
) -> Result<String, TokenRefused> {
    match token {
        Some(token) => token.await,
        None => pending().await,
    }
}

async fn link_event(link: &mut Option<Connection>) -> (LinkId, LinkEvent) {
    let Some(Connection { id, state }) = link else { return pending().await };
    let event = match state {
        ConnectionState::Opening(opening) => match opening.await {
            Ok(socket) => LinkEvent::Opened(Box::new(socket)),
            Err(reason) => LinkEvent::Broken(reason),
        },
        ConnectionState::Open(socket) => match socket.next().await {
            Ok(frame) => LinkEvent::Frame(Box::new(frame)),
            Err(reason) => LinkEvent::Broken(reason),
        },
    };
    (*id, event)
}
