//! One machine that owns some of the slots: feeds their engines and performs the effects.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use anser_core::engine::{
    Answer, Effect, EngineConfig, Fetch, Fetched, Input, Now, Released, ReplyTo, SlotEngine, Start, Void,
};
use anser_core::fanout::EdgeId;
use anser_core::ports::PortFuture;
use anser_core::ports::log::SlotHead;
use anser_edge::Asked;
use anser_edge::admission::Class;
use anser_model::{N, Refusal, Reign, Slot};
use futures_util::StreamExt;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::sync::{oneshot, watch};

use super::mailbox::{Inbox, Mailbox, ToWorker};
use super::newest::Newest;
use super::stores::{Flusher, Trimmer};
use super::tally::Tally;
use super::{Batch, CONVERSATIONS_PER_SLOT, Callers, EdgeQueue, Edges, NodeConfig, NodePorts, ToEdge};
use crate::metrics::Standing;

const US_PER_MS: u64 = 1_000;
/// How often engines are told that time goes on.
const TICK_INTERVAL: Duration = Duration::from_millis(200);
/// How long closing waits for the last flush.
const CLOSE_TICKS_MAX: u32 = 150;

/// Whom a worker talks to.
pub(super) struct Links {
    pub(super) mailboxes: Vec<Mailbox>,
    pub(super) edges: Arc<Edges>,
    pub(super) callers: Arc<Callers>,
    pub(super) newest: Arc<Newest>,
    pub(super) halt: watch::Sender<Option<String>>,
}

type Returning = PortFuture<(Slot, Input)>;

pub(super) struct Worker {
    number: usize,
    config: NodeConfig,
    ports: NodePorts,
    links: Links,
    inbox: Inbox,
    opened: Option<oneshot::Sender<()>>,
    engines: HashMap<Slot, SlotEngine>,
    /// Appends of all slots, in the order in which the log took them.
    appends: FuturesOrdered<Returning>,
    /// When each of them was given to the log.
    appended_at_ms: VecDeque<u64>,
    others: FuturesUnordered<Returning>,
    flusher: Flusher,
    trimmer: Trimmer,
    /// Inputs to feed before anything else.
    pending: Vec<(Slot, Input)>,
    touched: Vec<Slot>,
    outgoing: HashMap<EdgeId, Vec<ToEdge>>,
    tally: Tally,
    /// The monotonic time of this turn.
    now_us: u64,
    closing_ticks: Option<u32>,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        config: NodeConfig,
        ports: NodePorts,
        links: Links,
        inbox: Inbox,
        opened: oneshot::Sender<()>,
    ) -> Self {
        Worker {
            number,
            flusher: Flusher::new(ports.index.clone(), ports.history.clone()),
            trimmer: Trimmer::new(ports.log.clone()),
            config,
            ports,
            links,
            inbox,
            opened: Some(opened),
            engines: HashMap::new(),
            appends: FuturesOrdered::new(),
            appended_at_ms: VecDeque::new(),
            others: FuturesUnordered::new(),
            pending: Vec::new(),
            touched: Vec::new(),
            outgoing: HashMap::new(),
            tally: Tally::default(),
            now_us: 0,
            closing_ticks: None,
        }
    }

    /// Makes it the owner of a slot that stands at `head`.
    pub(super) fn rule(&mut self, head: SlotHead, index_folded: N, history_folded: N) {
        let slot = head.slot;
        self.links.newest.set(slot, head.last);
        let config = EngineConfig {
            slot,
            timeline: self.config.timeline,
            slot_key: self.config.slot_key,
            conversations_kept: CONVERSATIONS_PER_SLOT,
            // The folder is locked: nobody else can open the log.
            leased: false,
        };
        self.engines.insert(slot, SlotEngine::new(config));
        let nonce = Reign(self.ports.random.nonzero());
        self.pending.push((slot, Input::Start(Start { head, index_folded, history_folded, nonce })));
    }

    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut arrived = Vec::new();
        loop {
            self.turn().await;
            if self.is_done() {
                return;
            }
            tokio::select! {
                biased;
                Some(done) = self.appends.next(), if !self.appends.is_empty() => {
                    self.appended_at_ms.pop_front();
                    self.inbox.meter.under_way_since(self.appended_at_ms.front().copied());
                    self.pending.push(done);
                }
                Some(done) = self.others.next(), if !self.others.is_empty() => self.pending.push(done),
                done = self.flusher.next(), if self.flusher.is_busy() => self.pending.extend(done),
                () = self.trimmer.next(), if self.trimmer.is_busy() => {}
                _ = tick.tick() => self.tick(),
                () = poll_fn(|context| self.inbox.poll_take(context, &mut arrived)) => {}
            }
            // What else is there already shares a record and a sync.
            if arrived.is_empty() {
                let mut at_once = Context::from_waker(Waker::noop());
                _ = self.inbox.poll_take(&mut at_once, &mut arrived);
            }
            self.take(&mut arrived);
        }
    }

    fn take(&mut self, arrived: &mut Vec<ToWorker>) {
        if arrived.is_empty() {
            return;
        }
        let now_us = self.ports.clock.monotonic_us();
        for given in arrived.drain(..) {
            self.pending.push(match given {
                ToWorker::Command { slot, reply, command, given_at_us } => {
                    self.ports.metrics.queueing.observe_us(now_us.saturating_sub(given_at_us));
                    self.tally.begin(reply, &command.intent, given_at_us);
                    (slot, Input::Command { reply, command })
                }
                ToWorker::Query { slot, reply, query } => (slot, Input::Query { reply, query }),
                ToWorker::Replied { slot, input } => (slot, input),
                ToWorker::Close => {
                    self.closing_ticks.get_or_insert(0);
                    for &slot in self.engines.keys() {
                        self.pending.push((slot, Input::FlushNow));
                    }
                    continue;
                }
            });
        }
    }

    /// Feeds what is pending until nothing follows from it at once, and hands on what became durable.
    async fn turn(&mut self) {
        self.now_us = self.ports.clock.monotonic_us();
        let now = Now { wall: self.ports.clock.now(), monotonic_ms: self.now_us / US_PER_MS };
        let mut effects = Vec::new();
        while !self.pending.is_empty() {
            for (slot, input) in std::mem::take(&mut self.pending) {
                let engine = self.engines.get_mut(&slot).expect("inputs come for slots that are ruled");
                engine.step(input, now, &mut effects);
                self.perform_all(slot, &mut effects);
                if !self.touched.contains(&slot) {
                    self.touched.push(slot);
                }
            }
            for slot in std::mem::take(&mut self.touched) {
                let engine = self.engines.get_mut(&slot).expect("touched slots are ruled");
                engine.settle(&mut effects);
                self.perform_all(slot, &mut effects);
            }
        }
        self.flusher.begin();
        self.tally.hand_in(&self.ports.metrics);
        self.hand_on().await;
        self.inbox.done(self.ports.clock.monotonic_ms());
        if self.opened.is_some() && self.engines.values().all(SlotEngine::is_open) {
            // Whoever started the node may have given up.
            _ = self.opened.take().map(|opened| opened.send(()));
        }
    }

    fn tick(&mut self) {
        for &slot in self.engines.keys() {
            self.pending.push((slot, Input::Tick));
        }
        if let Some(ticks) = &mut self.closing_ticks {
            *ticks += 1;
        }
        let folded = self.engines.iter().map(|(&slot, engine)| (slot, engine.folded()));
        self.trimmer.tick(self.ports.clock.monotonic_ms(), folded);
        self.ports.metrics.stand(self.number, self.standing());
        // One for all: it is the node's.
        if self.number == 0 {
            self.tell_presence();
        }
    }

    /// Has edges look again at whom they watch, if there is time: nobody misses it, and it gathers.
    fn tell_presence(&mut self) {
        let now_ms = self.ports.clock.monotonic_ms();
        let waits_ms = self.links.mailboxes.iter().map(|mailbox| mailbox.backlog.delay_ms(0, now_ms)).max();
        let delay_ms = waits_ms.unwrap_or(0) + self.links.edges.delay_ms(now_ms);
        if delay_ms > Class::Ephemeral.bearable_ms() {
            return;
        }
        for (edge, accounts) in self.links.edges.take_presence(now_ms) {
            self.outgoing.entry(edge).or_default().push(ToEdge::Presence(accounts));
        }
    }

    fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        for engine in self.engines.values() {
            let durable = engine.durable().0;
            standing.slots_open += usize::from(engine.is_open());
            standing.index_lag += durable.saturating_sub(engine.index_folded().0);
            standing.history_lag += durable.saturating_sub(engine.history_folded().0);
            standing.tail += engine.tail_facts();
            standing.conversations += engine.conversations_kept();
        }
        standing
    }

    fn is_done(&self) -> bool {
        let Some(ticks) = self.closing_ticks else { return false };
        let quiet =
            self.engines.values().all(|engine| engine.is_quiet() && engine.folded() == engine.durable());
        quiet || ticks > CLOSE_TICKS_MAX
    }

    fn perform_all(&mut self, slot: Slot, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.perform(slot, effect);
        }
    }

    fn perform(&mut self, slot: Slot, effect: Effect) {
        match effect {
            Effect::Append(record) => {
                let through = record.header.last_n();
                self.links.newest.set(slot, through);
                let (clock, metrics) = (self.ports.clock.clone(), self.ports.metrics.clone());
                metrics.appended_facts.add(u64::from(record.header.count));
                metrics.appended_bytes.add(record.payload.len() as u64);
                let began_us = clock.monotonic_us();
                let appended = self.ports.log.append(record);
                self.appended_at_ms.push_back(self.ports.clock.monotonic_ms());
                self.inbox.meter.under_way_since(self.appended_at_ms.front().copied());
                self.appends.push_back(Box::pin(async move {
                    let result = appended.await;
                    metrics.append.observe_us(clock.monotonic_us().saturating_sub(began_us));
                    metrics.append_failures.add(u64::from(result.is_err()));
                    (slot, Input::Appended { through, result })
                }));
            }
            Effect::ReadLog { from } => {
                let read = self.ports.log.read(slot, from, anser_core::engine::REPLAY_CHUNK_BYTES);
                self.others.push(Box::pin(async move { (slot, Input::LogRead(read.await)) }));
            }
            Effect::Fetch { id, fetch } => {
                let fetching = self.fetch(slot, fetch);
                self.others.push(Box::pin(async move {
                    (slot, Input::Fetched { fetch: id, result: fetching.await })
                }));
            }
            Effect::Ask { ask, command } => {
                let to = self.config.slot_key.slot(command.cid);
                let reply = ReplyTo::Slot { slot, ask };
                if self.is_mine(to) {
                    self.pending.push((to, Input::Command { reply, command }));
                    return;
                }
                let given_at_us = self.ports.clock.monotonic_us();
                if self.send(to, ToWorker::Command { slot: to, reply, command, given_at_us }).is_err() {
                    self.pending.push((slot, Input::Replied { ask, answer: Err(Refusal::Overloaded) }));
                }
            }
            Effect::FlushIndex(batch) => self.flusher.add_index(batch),
            Effect::FlushHistory(batch) => self.flusher.add_history(batch),
            Effect::Release(released) => released.into_iter().for_each(|released| self.release(released)),
            Effect::Deposed | Effect::Closed | Effect::Outdated => {
                unreachable!("a slot of a locked log has no other owner, and is never closed")
            }
            Effect::Halt(why) => {
                tracing::error!(%slot, why, "a slot halted");
                self.links.halt.send_replace(Some(why));
                // The opener learns why from the watch.
                self.opened = None;
            }
        }
    }

    fn fetch(&self, slot: Slot, fetch: Fetch) -> PortFuture<Result<Fetched, anser_core::ports::StoreError>> {
        let index = &self.ports.index;
        match fetch {
            Fetch::Conversations(cids) => {
                let loading = index.load(slot, cids);
                Box::pin(async move { loading.await.map(Fetched::Conversations) })
            }
            Fetch::Changes { account, after } => {
                let changed = index.changed(slot, account, after);
                Box::pin(async move { changed.await.map(Fetched::Changes) })
            }
            Fetch::Key { day, key } => {
                let keys = self.ports.history.keys(slot, vec![(day, key)]);
                Box::pin(async move { keys.await.map(|mut rows| Fetched::Key(rows.pop().flatten())) })
            }
            Fetch::Facts(ranges) => {
                let reads: Vec<_> =
                    ranges.into_iter().map(|range| self.ports.history.range(slot, range)).collect();
                Box::pin(async move {
                    let mut rows = Vec::new();
                    for read in reads {
                        rows.extend(read.await?);
                    }
                    Ok(Fetched::Facts(rows))
                })
            }
        }
    }

    fn is_mine(&self, slot: Slot) -> bool {
        slot.index() % self.config.workers == self.number
    }

    fn send(&self, slot: Slot, what: ToWorker) -> Result<(), Refusal> {
        let now_ms = self.ports.clock.monotonic_ms();
        self.links.mailboxes[slot.index() % self.config.workers].give_all(&mut vec![what], now_ms)
    }

    fn release(&mut self, released: Released) {
        match released {
            Released::Event(event) => {
                let routing =
                    self.links.edges.routing.read().expect("nothing panics while it holds the routing");
                for (edge, accounts) in routing.plan(&event.audience) {
                    let event = ToEdge::Event { event: event.clone(), accounts };
                    self.outgoing.entry(edge).or_default().push(event);
                }
            }
            Released::Typing(typing) => {
                let routing =
                    self.links.edges.routing.read().expect("nothing panics while it holds the routing");
                for (edge, accounts) in routing.plan(&typing.audience) {
                    let typing = ToEdge::Typing { typing: typing.clone(), accounts };
                    self.outgoing.entry(edge).or_default().push(typing);
                }
            }
            Released::Void(void) => {
                let routing =
                    self.links.edges.routing.read().expect("nothing panics while it holds the routing");
                for (edge, accounts) in routing.plan(&void.accounts) {
                    let void = ToEdge::Void(Void { slot: void.slot, accounts });
                    self.outgoing.entry(edge).or_default().push(void);
                }
            }
            Released::Answer { reply, answer } => {
                if let Err(refusal) = &answer {
                    tracing::debug!(trace = %reply, %refusal, "refused");
                }
                self.tally.end(reply, &answer, self.now_us, &self.ports.metrics);
                self.answer(reply, answer);
            }
        }
    }

    fn answer(&mut self, reply: ReplyTo, answer: Result<Answer, Refusal>) {
        match reply {
            ReplyTo::Session { edge, session, request } => {
                let asked = Asked::Request(request);
                let answer = ToEdge::Answer { session, asked, answer };
                self.outgoing.entry(EdgeId(edge)).or_default().push(answer);
            }
            ReplyTo::Sync { edge, session, slot, round } => {
                let asked = Asked::Sync(slot, round);
                let answer = ToEdge::Answer { session, asked, answer };
                self.outgoing.entry(EdgeId(edge)).or_default().push(answer);
            }
            ReplyTo::Caller(caller) => self.links.callers.answer(caller, answer),
            ReplyTo::Slot { slot, ask } => {
                let input = Input::Replied { ask, answer: answer.map(|_| ()) };
                if self.is_mine(slot) {
                    self.pending.push((slot, input));
                } else {
                    // An answer that does not get through is asked for again after a time-out.
                    _ = self.send(slot, ToWorker::Replied { slot, input });
                }
            }
        }
    }

    /// Hands what became durable to the edges, each in one batch and in order.
    async fn hand_on(&mut self) {
        if self.outgoing.is_empty() {
            return;
        }
        for (edge, batch) in std::mem::take(&mut self.outgoing) {
            let queue = {
                let queues =
                    self.links.edges.queues.read().expect("nothing panics while it holds the queues");
                queues.get(&edge).cloned()
            };
            if let Some(EdgeQueue { sink, backlog }) = queue {
                let weight = batch.iter().map(ToEdge::weight).sum();
                let handed_at_ms = self.ports.clock.monotonic_ms();
                backlog.more(weight);
                let mut left = sink.offer(Batch { handed_at_ms, weight, items: batch });
                while let Err(batch) = left {
                    sink.clone().room().await;
                    left = sink.offer(batch);
                }
            }
        }
    }
}
