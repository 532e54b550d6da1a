//! Performs what sessions want: gives their commands and questions to the node, and waits for what they
//! wait for.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anser_core::fanout::EdgeId;
use anser_edge::session::SYNC_RETRY_MS;
use anser_edge::{Asked, Effect, Framing, Grant, Input, Question, Shell, Terms, Verified};
use anser_model::{AccountId, ConversationId, Refusal, SessionId, Slot, UnixMillis};
use anser_proto::v1::server_frame::Frame as Told;
use anser_proto::{Encoding, ErrorCode, v1};
use bytes::Bytes;

use super::EdgeShared;
use super::connection::Connection;
use super::ws::{self, CloseCode, MessageKind};
use crate::accounts::TokenError;

/// What is left to do of a message, before the next one is taken. Boxed, and only where there is some:
/// every connection would else carry room for the largest request while it is idle.
pub(super) type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Empty between steps: the sessions of a thread share its room.
    static EFFECTS: Cell<Vec<Effect>> = const { Cell::new(Vec::new()) };
}

impl EdgeShared {
    /// Takes one message. What it leads to is answered later, or queued on the connection.
    pub(super) fn message(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Option<Rest> {
        self.metrics.frames_received.add(1);
        let encoding = match kind {
            MessageKind::Text => Encoding::Json,
            MessageKind::Binary => Encoding::Binary,
        };
        let frame = anser_proto::decode_client(bytes, encoding)
            .map_err(|error| v1::Error::new(error.code(), error.to_string()));
        let question = self.step(connection, Input::Frame { encoding, frame }, self.clock.now())?;
        Some(Box::pin(self.clone().find_out(connection.clone(), question)))
    }

    /// Gives an input to a session and performs what follows, but for what it has to wait for.
    pub(super) fn step(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        input: Input,
        now: UnixMillis,
    ) -> Option<Question> {
        let mut effects = EFFECTS.take();
        connection.state().session.step(input, now, &**self, &mut effects);
        let mut question = None;
        let mut not_taken = Vec::new();
        while !effects.is_empty() {
            for effect in effects.drain(..) {
                match self.perform(connection, effect) {
                    Done::Yes => {}
                    Done::Later(asked) => {
                        let earlier = question.replace(asked);
                        assert!(earlier.is_none(), "a session asks one thing at a time");
                    }
                    Done::No(asked, refusal) => not_taken.push(Input::NotTaken(asked, refusal)),
                }
            }
            for input in not_taken.drain(..) {
                connection.state().session.step(input, now, &**self, &mut effects);
            }
        }
        EFFECTS.set(effects);
        question
    }

    fn perform(self: &Arc<Self>, connection: &Arc<Connection>, effect: Effect) -> Done {
        let (reply, given) = match effect {
            Effect::Enter(account) => {
                self.sessions.enter(account, connection.id, || self.node.enter(account, self.id()));
                return Done::Yes;
            }
            Effect::Ask(question) => return Done::Later(question),
            Effect::Watch(accounts) => {
                self.watch(connection.id, accounts);
                return Done::Yes;
            }
            Effect::Look { request, cid, accounts } => {
                self.look(connection.clone(), (request, cid), accounts);
                return Done::Yes;
            }
            Effect::AskLater { slot, round } => {
                self.ask_later(connection.clone(), slot, round);
                return Done::Yes;
            }
            Effect::Command { reply, command } => {
                tracing::debug!(trace = %reply, cid = %command.cid, account = %command.actor.account, "command");
                (reply, self.node.command(reply, command))
            }
            Effect::Query { slot, reply, query } => (reply, self.node.query(slot, reply, query)),
        };
        match given {
            Ok(()) => Done::Yes,
            Err(refusal) => Done::No(Asked::of(reply).expect("a session asks in its own name"), refusal),
        }
    }

    /// Finds out what a session waits for, until it waits for nothing more.
    pub(super) async fn find_out(self: Arc<Self>, connection: Arc<Connection>, question: Question) {
        let mut next = Some(question);
        while let Some(question) = next {
            let input = match question {
                Question::Token(token) => Input::Verified(self.verify(&token).await),
                Question::Core { slot, query } => Input::Told(self.node.ask_query(slot, query).await),
                Question::Missing(accounts) => Input::Missing(self.people.missing(accounts).await),
                Question::Profiles(accounts) => Input::Profiles(self.people.profiles(accounts).await),
            };
            next = self.step(&connection, input, self.clock.now());
        }
    }

    async fn verify(&self, token: &str) -> Result<Verified, v1::Error> {
        let now = self.clock.now();
        let verified = match self.tokens.verify_access(token, now) {
            Err(TokenError::NotOurs) => self.tokens.verify_ticket(token, now).map(|(grant, _)| grant),
            verified => verified,
        };
        let grant =
            verified.map_err(|error| v1::Error::new(ErrorCode::Unauthenticated, error.to_string()))?;
        Ok(Verified { grant, profile_version: self.profile_version(grant.account).await? })
    }

    /// The profile version of an account; looked up once, so that what it sends bears it.
    pub(super) async fn profile_version(&self, account: AccountId) -> Result<u64, v1::Error> {
        if self.people.profile_version(account) == 0 {
            self.people.missing(vec![account]).await?;
        }
        Ok(self.people.profile_version(account))
    }

    fn ask_later(self: &Arc<Self>, connection: Arc<Connection>, slot: Slot, round: u32) {
        let edge = self.clone();
        self.tracker.spawn(async move {
            tokio::time::sleep(Duration::from_millis(SYNC_RETRY_MS)).await;
            let is_here = edge.sessions.read().connection(connection.id).is_some();
            if is_here {
                let question = edge.step(&connection, Input::AskAgain { slot, round }, edge.clock.now());
                assert!(question.is_none(), "only frames make a session wait");
            }
        });
    }

    /// Counts what sessions are told that an operator wants to know of.
    fn count(&self, frame: &v1::ServerFrame) {
        match &frame.frame {
            Some(Told::Response(response)) => {
                if let Some(v1::response::Result::Error(error)) = &response.result {
                    self.metrics.refused(&error.code);
                }
            }
            Some(Told::Resync(_)) => self.metrics.resyncs.add(1),
            Some(Told::Kicked(_)) => self.metrics.kicks.add(1),
            _ => {}
        }
    }

    pub(super) fn id(&self) -> EdgeId {
        self.terms.edge
    }
}

/// What became of an effect.
enum Done {
    Yes,
    /// The session waits for it.
    Later(Question),
    /// The node did not take it.
    No(Asked, Refusal),
}

impl Framing for EdgeShared {
    fn frame(&self, frame: &v1::ServerFrame, encoding: Encoding) -> Bytes {
        self.count(frame);
        let kind = match encoding {
            Encoding::Json => MessageKind::Text,
            Encoding::Binary => MessageKind::Binary,
        };
        ws::message(kind, &anser_proto::encode_server(frame, encoding))
    }

    fn close(&self) -> Option<Bytes> {
        Some(ws::close(CloseCode::Policy))
    }
}

impl Shell for EdgeShared {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn slot(&self, cid: ConversationId) -> Slot {
        self.node.slot(cid)
    }

    fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    fn monotonic_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }

    fn queueing_delay_ms(&self) -> u64 {
        // A request waits for its core, and its answer for those that are delivered before it.
        self.node.queueing_delay_ms() + self.backlog.delay_ms(self.clock.monotonic_ms())
    }

    fn charge(&self, account: AccountId, weight: u32) -> Result<(), u64> {
        self.quotas.account.charge(account, weight, self.clock.monotonic_ms())
    }

    fn known_to_exist(&self, accounts: &[AccountId]) -> bool {
        self.people.known_to_exist(accounts)
    }

    fn resume_ticket(&self, grant: &Grant, session: u64, now: UnixMillis) -> String {
        self.tokens.ticket(grant, SessionId(session), now).expose().to_owned()
    }
}
