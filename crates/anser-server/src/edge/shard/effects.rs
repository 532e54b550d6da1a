//! Performs what sessions want: gathers their commands and questions for the core, and has found out what they wait
//! for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anser_core::engine::{Answer, ReplyTo};
use anser_edge::session::SYNC_RETRY_MS;
use anser_edge::{Asked, Effect, Form, Framing, Grant, Input, Question, Shell, Terms, Transport};
use anser_model::{AccountId, ConversationId, N, Refusal, SessionId, Slot, UnixMillis};
use anser_proto::v1;
use anser_proto::v1::server_frame::Frame as Told;
use bytes::Bytes;

use super::super::EdgeShared;
use super::super::wire::{Wire, framed};
use super::super::ws::CloseCode;
use super::post::{Looking, Post, ToShard};
use super::{Shard, ShardShell};
use crate::node::{FEW, ToWorker, gathering};

/// Commands and questions that are gathered before they are handed in, however much else is to be done: the core
/// is not to wait for them.
const GATHERED: usize = 256;
/// Stands for a request where a session waits for the answer itself: no client names one so.
const WAITED_FOR: u64 = 0;

impl Shard {
    /// Gives an input to a session and performs what follows. What it has to say then is written before the next wait.
    pub(super) fn step(&mut self, session: u64, input: Input) {
        let Some(seat) = self.seats.get(session) else { return };
        let mut effects = std::mem::take(&mut self.effects);
        let was_busy = seat.session.is_busy();
        seat.session.step(input, self.wall, &self.shell, &mut effects);
        let (is_busy, was_put_off) = (seat.session.is_busy(), seat.session.was_put_off());
        self.seats.mark(session);
        for effect in effects.drain(..) {
            self.perform(session, effect);
        }
        self.effects = effects;
        if was_put_off {
            self.put_off(session, 1);
        }
        if was_busy && !is_busy {
            self.settled.push(session);
        }
        if self.outbound.len() >= GATHERED {
            self.hand_in();
        }
    }

    fn perform(&mut self, session: u64, effect: Effect) {
        match effect {
            Effect::Enter(account) => {
                if self.seats.enter(account, session) {
                    self.shell.edge.node.enter(account, self.shell.terms.edge);
                }
                self.post.signed_in.store(self.seats.signed_in(), Ordering::Relaxed);
            }
            Effect::AskCore { slot, query } => {
                let edge = self.shell.terms.edge.0;
                let reply = ReplyTo::Session { edge, session, request: WAITED_FOR };
                self.gather(slot, ToWorker::Query { slot, reply, query });
            }
            Effect::Ask(question) => self.find_out(session, question),
            Effect::AskLater { slot, round } => {
                self.ask_again.push_back((self.shell.now_ms.get() + SYNC_RETRY_MS, session, slot, round));
            }
            Effect::Watch(accounts) => self.watch_only(session, accounts.into_iter().collect()),
            Effect::Look { request, cid, accounts } => self.look(Looking { session, request, cid }, accounts),
            Effect::Command { reply, command } => {
                tracing::debug!(trace = %reply, cid = %command.cid, account = %command.actor.account, "command");
                let given_at_us = self.shell.edge.clock.monotonic_us();
                let slot = self.shell.slot(command.cid);
                self.gather(slot, ToWorker::Command { slot, reply, command, given_at_us });
            }
            Effect::Query { slot, reply, query } => {
                self.gather(slot, ToWorker::Query { slot, reply, query });
            }
        }
    }

    fn gather(&mut self, slot: Slot, what: ToWorker) {
        self.outbound.put(slot, what);
        self.shell.gathered.set(self.outbound.len());
    }

    /// Hands what was gathered to the core. What it does not take never happened, and its session is told so.
    pub(super) fn hand_in(&mut self) {
        if self.outbound.len() == 0 {
            return;
        }
        let now_ms = self.shell.edge.clock.monotonic_ms();
        self.shell.gathered.set(0);
        let (node, outbound) = (&self.shell.edge.node, &mut self.outbound);
        // A few are done sooner than another thread is awake.
        let refused = match outbound.len() <= FEW {
            true => gathering(|| outbound.hand_in(node, now_ms)),
            false => outbound.hand_in(node, now_ms),
        };
        for (reply, refusal) in refused {
            let asked = Asked::of(reply).expect("a session asks in its own name");
            let session = reply.session().expect("a session asks in its own name");
            self.step(
                session,
                match asked {
                    Asked::Request(WAITED_FOR) => Input::Told(Err(refusal)),
                    asked => Input::NotTaken(asked, refusal),
                },
            );
        }
    }

    /// Gives a session what the core answered.
    pub(super) fn answer(&mut self, session: u64, asked: Asked, answer: Result<Answer, Refusal>) {
        self.step(
            session,
            match asked {
                Asked::Request(WAITED_FOR) => Input::Told(answer),
                asked => Input::Answered(asked, answer),
            },
        );
    }

    fn find_out(&self, session: u64, question: Question) {
        let (edge, post) = (self.shell.edge.clone(), self.post.clone());
        self.spawn(async move {
            let input = edge.answer_to(question).await;
            post.put(ToShard::Input { session, input });
        });
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let edge = &self.shell.edge;
        edge.tracker.spawn_on(task, &edge.runtime);
    }

    pub(super) fn watch_only(&mut self, session: u64, accounts: std::collections::BTreeSet<AccountId>) {
        let (begun, ended) = self.watchers.set(session, accounts);
        if !begun.is_empty() || !ended.is_empty() {
            let (node, edge) = (&self.shell.edge.node, self.shell.terms.edge);
            node.watch(begun, edge);
            node.unwatch(ended, edge);
        }
    }

    fn look(&self, looking: Looking, accounts: Vec<AccountId>) {
        let (edge, post) = (self.shell.edge.clone(), self.post.clone());
        self.spawn(async move {
            let Looking { session, request, cid } = looking;
            post.put(match edge.people.last_seen(accounts).await {
                Ok(seen) => ToShard::Seen { seen, answer: Some(looking) },
                Err(error) => {
                    let input = Input::Looked { request, cid, presences: Err(error) };
                    ToShard::Input { session, input }
                }
            });
        });
    }

    /// Something about these is different: has them looked up, and whoever watches them told.
    pub(super) fn look_again(&self, accounts: Vec<AccountId>) {
        let (edge, post): (Arc<EdgeShared>, Arc<Post>) = (self.shell.edge.clone(), self.post.clone());
        self.spawn(async move {
            match edge.people.last_seen(accounts.clone()).await {
                Ok(seen) => post.put(ToShard::Seen { seen, answer: None }),
                Err(error) => {
                    tracing::warn!(error = error.message, "who is there could not be looked up: again soon");
                    edge.node.look_again(accounts);
                }
            }
        });
    }
}

impl Framing for ShardShell {
    fn frame(&self, frame: &v1::ServerFrame, form: Form) -> Bytes {
        self.count(frame);
        framed(&anser_proto::encode_server(frame, form.encoding), form)
    }

    fn close(&self, transport: Transport) -> Option<Bytes> {
        Wire::close(transport, CloseCode::Policy)
    }
}

impl ShardShell {
    /// Counts what sessions are told that an operator wants to know of.
    fn count(&self, frame: &v1::ServerFrame) {
        let metrics = &self.edge.metrics;
        match &frame.frame {
            Some(Told::Response(response)) => {
                if let Some(v1::response::Result::Error(error)) = &response.result {
                    metrics.refused(&error.code);
                }
            }
            Some(Told::Resync(_)) => metrics.resyncs.add(1),
            Some(Told::Kicked(_)) => metrics.kicks.add(1),
            _ => {}
        }
    }
}

impl Shell for ShardShell {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn slot(&self, cid: ConversationId) -> Slot {
        self.edge.node.slot(cid)
    }

    fn newest(&self, slot: Slot) -> Option<N> {
        self.edge.node.newest(slot)
    }

    fn is_draining(&self) -> bool {
        self.edge.draining.is_cancelled()
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn queueing_delay_ms(&self) -> u64 {
        // A request waits for its core, and its answer for those that are delivered before it.
        let gathered = self.gathered.get() as u64;
        self.edge.node.queueing_delay_ms(gathered) + self.backlog.delay_ms(0, self.now_ms.get())
    }

    fn charge(&self, account: AccountId, weight: u32) -> Result<(), u64> {
        self.edge.quotas.account.charge(account, weight, self.now_ms.get())
    }

    fn known_to_exist(&self, accounts: &[AccountId]) -> bool {
        self.edge.people.known_to_exist(accounts)
    }

    fn known_profiles(&self, accounts: &[AccountId]) -> Option<Vec<v1::Profile>> {
        self.edge.people.known_profiles(accounts)
    }

    fn resume_ticket(&self, grant: &Grant, session: u64, now: UnixMillis) -> String {
        self.edge.tokens.ticket(grant, SessionId(session), now).expose().to_owned()
    }
}
