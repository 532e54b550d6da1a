//! Edges: the real sessions, on simulated sockets to devices and simulated links to cores.
//!
//! How an edge follows the owners of slots is decided here, for there is no link between processes in the
//! product yet: a core announces what it serves, the announcement with the larger n counts, and sessions are
//! told to resync a slot whenever its stream may have a hole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use anser_core::engine::{Answer, Event, Input as CoreInput, ReplyTo, Typing, Void};
use anser_core::fanout::EdgeId;
use anser_edge::quota::Rate;
use anser_edge::{
    Asked, Effect, Form, Framing, Grant, Input, Question, Session, Shell, Table, Terms, Transport, Verified,
    deliver, pass_on, resync, tell_watching,
};
use anser_model::{AccountId, ConversationId, DeviceId, N, Refusal, Slot, UnixMillis};
use anser_proto::{Encoding, ErrorCode, v1};
use bytes::Bytes;

use super::plan::Shape;
use super::presence::{Watching, presence_of};
use super::world::{BEGINNING, SLOT_KEY, TIMELINE, World};

/// After how long without a frame a client pings; a session silent for twice as long is closed.
const HEARTBEAT_MS: u64 = 20_000;
/// What a client's backoff is capped at.
const BACKOFF_CAP_MS: u64 = 4_000;
/// How long a resume ticket is good.
const TICKET_MS: u64 = 15 * 60_000;
/// One edge process.
pub(super) struct Edge {
    pub up: bool,
    pub life: u32,
    seats: BTreeMap<u64, Seat>,
    accounts: BTreeMap<AccountId, BTreeSet<u64>>,
    /// Which core serves a slot, as far as it can be reached, and from which n on.
    owners: BTreeMap<Slot, (N, Option<usize>)>,
    /// Counts the sessions of all lives.
    next_session: u64,
    pub watching: Watching,
}

/// One session, with what of its client waits to be taken.
struct Seat {
    session: Session,
    conn: u64,
    frames: VecDeque<v1::ClientFrame>,
    heard_at: u64,
}

/// What a core hands to an edge.
pub(super) enum ToEdge {
    Answer {
        reply: ReplyTo,
        answer: Result<Answer, Refusal>,
    },
    Event {
        event: Event,
        accounts: Arc<[AccountId]>,
    },
    /// Sessions of these accounts must sync the slot.
    Void(Void),
    Typing {
        typing: Typing,
        accounts: Arc<[AccountId]>,
    },
    /// The answer to a question that a session waits for.
    Told {
        life: u32,
        session: u64,
        answer: Result<Answer, Refusal>,
    },
    /// Whether these are there now, as the core knows it.
    Presence(Vec<(AccountId, bool)>),
    /// The same of one, for a request of a session.
    Looked {
        life: u32,
        session: u64,
        request: u64,
        seen: (AccountId, bool),
    },
    /// The core serves a slot. Whether events may have been missed.
    Serves {
        slot: Slot,
        from: N,
        hole: bool,
    },
}

/// What sessions take at once from around them.
struct SimShell {
    terms: Terms,
    now: u64,
    /// Newest facts of slots, where core and edge are one process.
    newest: BTreeMap<Slot, N>,
}

impl Framing for SimShell {
    fn frame(&self, frame: &v1::ServerFrame, form: Form) -> Bytes {
        anser_proto::encode_server(frame, form.encoding)
    }

    fn close(&self, _: Transport) -> Option<Bytes> {
        None
    }
}

impl Shell for SimShell {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn slot(&self, cid: ConversationId) -> Slot {
        SLOT_KEY.slot(cid)
    }

    fn newest(&self, slot: Slot) -> Option<N> {
        self.newest.get(&slot).copied()
    }

    fn is_draining(&self) -> bool {
        false
    }

    fn monotonic_ms(&self) -> u64 {
        self.now
    }

    fn queueing_delay_ms(&self) -> u64 {
        0
    }

    fn charge(&self, _account: AccountId, _weight: u32) -> Result<(), u64> {
        Ok(())
    }

    fn known_profiles(&self, _accounts: &[AccountId]) -> Option<Vec<v1::Profile>> {
        None
    }

    fn known_to_exist(&self, _accounts: &[AccountId]) -> bool {
        true
    }

    fn resume_ticket(&self, grant: &Grant, _session: u64, now: UnixMillis) -> String {
        token_of(grant, now.plus_ms(TICKET_MS))
    }
}

/// A token of the simulation: it says what it is.
pub(super) fn token_of(grant: &Grant, until: UnixMillis) -> String {
    let Grant { account, device, account_version, device_version } = grant;
    format!("{}.{}.{account_version}.{device_version}.{}", account.0, device.0, until.0)
}

fn grant_of(token: &str, now: UnixMillis) -> Option<Grant> {
    let numbers: Vec<u64> = token.split('.').map_while(|number| number.parse().ok()).collect();
    let &[account, device, account_version, device_version, until] = &numbers[..] else { return None };
    (now.0 <= until).then_some(Grant {
        account: AccountId(account),
        device: DeviceId(device),
        account_version,
        device_version,
    })
}

/// The seats of an edge, as the product's delivery wants them; notes whom it touched.
struct Seats<'a> {
    seats: &'a mut BTreeMap<u64, Seat>,
    accounts: &'a BTreeMap<AccountId, BTreeSet<u64>>,
    watching: &'a mut Watching,
    touched: BTreeSet<u64>,
}

impl Table for Seats<'_> {
    fn each_of(&mut self, account: AccountId, except: Option<u64>, with: &mut dyn FnMut(&mut Session)) {
        for &id in self.accounts.get(&account).into_iter().flatten() {
            if let Some(seat) = self.seats.get_mut(&id).filter(|_| Some(id) != except) {
                with(&mut seat.session);
                self.touched.insert(id);
            }
        }
    }

    fn each_watching(&mut self, account: AccountId, with: &mut dyn FnMut(&mut Session) -> bool) {
        for id in self.watching.sessions_of(account) {
            if let Some(seat) = self.seats.get_mut(&id) {
                if with(&mut seat.session) {
                    self.touched.insert(id);
                } else {
                    self.watching.forget(id, account);
                }
            }
        }
    }
}

impl Edge {
    pub fn new() -> Self {
        Edge {
            up: false,
            life: 0,
            seats: BTreeMap::new(),
            accounts: BTreeMap::new(),
            owners: BTreeMap::new(),
            next_session: 0,
            watching: Watching::default(),
        }
    }

    /// Everybody who has a session here.
    pub fn held(&self) -> Vec<AccountId> {
        self.accounts.keys().copied().collect()
    }

    /// Whose session it is.
    pub fn account_of(&self, session: u64) -> Option<AccountId> {
        self.seats.get(&session)?.session.account()
    }

    /// Sessions that wait for an answer.
    pub fn waiting(&self) -> Vec<u64> {
        let busy = self.seats.iter().filter(|(_, seat)| seat.session.is_busy());
        busy.map(|(&session, _)| session).collect()
    }

    /// A core cannot be reached any more.
    pub fn lose(&mut self, node: usize) {
        for (_, owner) in self.owners.values_mut() {
            *owner = owner.filter(|&owner| owner != node);
        }
    }
}

impl World {
    fn shell(&self, edge: usize) -> SimShell {
        SimShell {
            terms: Terms {
                edge: EdgeId(edge as u16),
                timeline: TIMELINE,
                heartbeat_interval_ms: HEARTBEAT_MS,
                backoff_cap_ms: BACKOFF_CAP_MS,
                session_rate: Rate::UNLIMITED,
            },
            now: self.now,
            newest: BTreeMap::new(),
        }
    }

    /// How far slots have come, for a session that syncs: known where core and edge are one process, once the core has
    /// entered everybody whom the edge holds into its routing.
    fn newest_at(&self, id: usize) -> BTreeMap<Slot, N> {
        let (edge, node) = (&self.edges[id], &self.nodes[0]);
        let here = EdgeId(id as u16);
        let has_all = || edge.accounts.keys().all(|&held| node.routing.edges_of(held).contains(&here));
        if self.plan.shape != Shape::OneMachine || !node.up || !has_all() {
            return BTreeMap::new();
        }
        let serving = node.rulers.iter().filter(|(_, ruler)| ruler.serves_from.is_some());
        serving.map(|(&slot, ruler)| (slot, ruler.engine.newest())).collect()
    }

    fn edge_clock(&self) -> UnixMillis {
        UnixMillis(BEGINNING.0 + self.now)
    }

    pub(super) fn start_edge(&mut self, id: usize) {
        let edge = &mut self.edges[id];
        if edge.up {
            return;
        }
        edge.up = true;
        edge.life += 1;
        let life = edge.life;
        self.note(format_args!("edge {id} starts"));
        for node in 0..self.nodes.len() {
            self.link_later(id, node);
        }
        self.sweep(id, life);
    }

    pub(super) fn stop_edge(&mut self, id: usize) {
        let edge = &mut self.edges[id];
        if !edge.up {
            return;
        }
        edge.up = false;
        edge.accounts.clear();
        edge.owners.clear();
        edge.watching = Watching::default();
        let conns: Vec<u64> = std::mem::take(&mut edge.seats).into_values().map(|seat| seat.conn).collect();
        self.note(format_args!("edge {id} is gone"));
        conns.into_iter().for_each(|conn| self.edge_end_is_gone(conn));
        for node in 0..self.nodes.len() {
            self.unlink(id, node);
        }
    }

    /// Closes sessions that have been silent for too long.
    fn sweep(&mut self, id: usize, life: u32) {
        if !self.edges[id].up || self.edges[id].life != life {
            return;
        }
        let now = self.now;
        let silent = self.edges[id].seats.iter().filter(|(_, seat)| seat.heard_at + 2 * HEARTBEAT_MS < now);
        let silent: Vec<u64> = silent.map(|(&session, _)| session).collect();
        silent.into_iter().for_each(|session| self.close_seat(id, session));
        self.after(5_000, move |world| world.sweep(id, life));
    }

    pub(super) fn edge_hears(&mut self, id: usize, node: usize, what: ToEdge) {
        match &what {
            ToEdge::Answer { reply, answer } => {
                let outcome = if answer.is_ok() { "an answer" } else { "a refusal" };
                self.note(format_args!("edge {id} hears {outcome} to {reply}"));
            }
            ToEdge::Event { event, accounts } => {
                let (slot, n) = (event.fact.slot, event.fact.n);
                self.note(format_args!("edge {id} hears event {slot}.{n} for {accounts:?}"));
            }
            ToEdge::Typing { typing, accounts } => {
                let (account, cid) = (typing.account, typing.cid);
                self.note(format_args!("edge {id} hears that {account} types in {cid}, for {accounts:?}"));
            }
            ToEdge::Presence(seen) => self.note(format_args!("edge {id} hears who is there: {seen:?}")),
            ToEdge::Void(_) | ToEdge::Told { .. } | ToEdge::Looked { .. } | ToEdge::Serves { .. } => {}
        }
        match what {
            ToEdge::Answer { reply, answer } => {
                let session = match reply {
                    ReplyTo::Session { session, .. } | ReplyTo::Sync { session, .. } => session,
                    ReplyTo::Slot { .. } | ReplyTo::Caller(_) => return,
                };
                let asked = Asked::of(reply).expect("sessions ask so");
                self.seat_input(id, session, Input::Answered(asked, answer));
            }
            ToEdge::Told { life, session, answer } => {
                if self.edges[id].life == life && self.is_waiting(id, session) {
                    self.seat_input(id, session, Input::Told(answer));
                }
            }
            ToEdge::Event { event, accounts } => {
                self.with_seats(id, |shell, seats| deliver(&event, &accounts, shell, seats));
            }
            ToEdge::Typing { typing, accounts } => {
                self.with_seats(id, |shell, seats| pass_on(&typing, &accounts, shell, seats));
            }
            ToEdge::Void(void) => {
                self.with_seats(id, |shell, seats| resync(&void, shell, seats));
            }
            ToEdge::Presence(seen) => {
                for (account, online) in seen {
                    let presence = presence_of(account, online);
                    self.with_seats(id, |shell, seats| tell_watching(&presence, shell, seats));
                }
            }
            ToEdge::Looked { life, session, request, seen } => {
                if self.edges[id].life == life {
                    self.looked(id, session, request, seen);
                }
            }
            ToEdge::Serves { slot, from, hole } => self.edge_follows(id, node, slot, from, hole),
        }
    }

    fn with_seats(&mut self, id: usize, tell: impl FnOnce(&SimShell, &mut Seats)) {
        let shell = self.shell(id);
        let edge = &mut self.edges[id];
        let (seats, accounts, watching) = (&mut edge.seats, &edge.accounts, &mut edge.watching);
        let mut seats = Seats { seats, accounts, watching, touched: BTreeSet::new() };
        tell(&shell, &mut seats);
        for session in seats.touched {
            self.pump(id, session);
        }
    }

    /// The core with the larger n is the later owner.
    fn edge_follows(&mut self, id: usize, node: usize, slot: Slot, from: N, hole: bool) {
        let known = self.edges[id].owners.get(&slot).copied();
        if known.is_some_and(|(n, _)| n > from) {
            return;
        }
        self.edges[id].owners.insert(slot, (from, Some(node)));
        self.note(format_args!(
            "edge {id} takes core {node} for the owner of slot {slot} from n {from}, hole {hole}"
        ));
        if !hole {
            return;
        }
        let shell = self.shell(id);
        let sessions: Vec<u64> = self.edges[id].seats.keys().copied().collect();
        for session in sessions {
            if let Some(seat) = self.edges[id].seats.get_mut(&session) {
                seat.session.resync(&[slot], &shell);
            }
            self.pump(id, session);
        }
    }

    pub(super) fn edge_owner(&mut self, id: usize, slot: Slot) -> usize {
        match self.edges[id].owners.get(&slot) {
            Some(&(_, Some(node))) => node,
            Some((_, None)) | None => self.owner(slot),
        }
    }

    // Sessions.

    /// A device's connection is open.
    pub(super) fn seat(&mut self, id: usize, conn: u64) -> u64 {
        let now = self.now;
        let edge = &mut self.edges[id];
        edge.next_session += 1;
        let session = edge.next_session;
        let seat = Seat { session: Session::new(session), conn, frames: VecDeque::new(), heard_at: now };
        edge.seats.insert(session, seat);
        session
    }

    /// A frame of a device came.
    pub(super) fn seat_hears(&mut self, id: usize, session: u64, frame: v1::ClientFrame) {
        let now = self.now;
        if let Some(seat) = self.edges[id].seats.get_mut(&session) {
            seat.heard_at = now;
            seat.frames.push_back(frame);
        }
        self.take_frames(id, session);
    }

    fn take_frames(&mut self, id: usize, session: u64) {
        while let Some(seat) = self.edges[id].seats.get_mut(&session) {
            if seat.session.is_busy() || seat.session.is_closing() {
                return;
            }
            let Some(frame) = seat.frames.pop_front() else { return };
            self.seat_step(id, session, Input::Frame { encoding: Encoding::Binary, frame: Ok(frame) });
        }
    }

    fn is_waiting(&self, id: usize, session: u64) -> bool {
        self.edges[id].seats.get(&session).is_some_and(|seat| seat.session.is_busy())
    }

    pub(super) fn seat_input(&mut self, id: usize, session: u64, input: Input) {
        self.seat_step(id, session, input);
        self.take_frames(id, session);
    }

    fn seat_step(&mut self, id: usize, session: u64, input: Input) {
        let (mut shell, now) = (self.shell(id), self.edge_clock());
        if matches!(input, Input::Told(Ok(Answer::Home(_)))) {
            shell.newest = self.newest_at(id);
        }
        let mut effects = Vec::new();
        let Some(seat) = self.edges[id].seats.get_mut(&session) else { return };
        seat.session.step(input, now, &shell, &mut effects);
        for effect in effects {
            self.seat_effect(id, session, effect);
        }
        self.pump(id, session);
    }

    fn seat_effect(&mut self, id: usize, session: u64, effect: Effect) {
        let life = self.edges[id].life;
        match effect {
            Effect::Enter(account) => {
                let sessions = self.edges[id].accounts.entry(account).or_default();
                sessions.insert(session);
                if sessions.len() == 1 {
                    for node in 0..self.nodes.len() {
                        self.send_to_node(id, node, move |world| world.route(node, id, account, true));
                    }
                }
            }
            Effect::Ask(Question::Token(token)) => {
                let grant = grant_of(&token, self.edge_clock());
                let verified = grant.map(|grant| Verified { grant, profile_version: 1 });
                let why = || v1::Error::new(ErrorCode::Unauthenticated, "the token is not good any more");
                self.seat_later(id, session, 1, Input::Verified(verified.ok_or_else(why)));
            }
            Effect::AskCore { slot, query } => {
                self.next_caller += 1;
                let caller = self.next_caller;
                self.callers.insert(caller, (id, life, session));
                let node = self.edge_owner(id, slot);
                let sent = self.send_to_node(id, node, move |world| {
                    world.query(node, slot, ReplyTo::Caller(caller), query)
                });
                if !sent {
                    self.callers.remove(&caller);
                    self.seat_later(id, session, 1, Input::Told(Err(Refusal::Unavailable)));
                }
            }
            Effect::Ask(Question::Missing(_)) => {
                self.seat_later(id, session, 1, Input::Missing(Ok(Vec::new())));
            }
            Effect::Ask(Question::Profiles(accounts)) => {
                let profiles = accounts.iter().map(|account| v1::Profile {
                    account: account.0,
                    version: 1,
                    ..v1::Profile::default()
                });
                self.seat_later(id, session, 1, Input::Profiles(Ok(profiles.collect())));
            }
            Effect::Command { reply, command } => {
                let slot = SLOT_KEY.slot(command.cid);
                let node = self.edge_owner(id, slot);
                let input = CoreInput::Command { reply, command };
                if !self.send_to_node(id, node, move |world| world.give(node, slot, input)) {
                    self.not_taken(id, session, reply);
                }
            }
            Effect::Query { slot, reply, query } => {
                let node = self.edge_owner(id, slot);
                if !self.send_to_node(id, node, move |world| world.query(node, slot, reply, query)) {
                    self.not_taken(id, session, reply);
                }
            }
            Effect::Watch(accounts) => self.watch(id, session, accounts.into_iter().collect()),
            Effect::Look { request, cid, accounts } => self.look_at(id, session, (request, cid), accounts),
            Effect::AskLater { slot, round } => {
                let delay = anser_edge::session::SYNC_RETRY_MS;
                self.after(delay, move |world| {
                    if world.edges[id].life == life {
                        world.seat_input(id, session, Input::AskAgain { slot, round });
                    }
                });
            }
        }
    }

    fn not_taken(&mut self, id: usize, session: u64, reply: ReplyTo) {
        let asked = Asked::of(reply).expect("sessions ask so");
        self.seat_later(id, session, 1, Input::NotTaken(asked, Refusal::Unavailable));
    }

    pub(super) fn seat_later(&mut self, id: usize, session: u64, ms: u64, input: Input) {
        let life = self.edges[id].life;
        self.after(ms, move |world| {
            if world.edges[id].up && world.edges[id].life == life {
                world.seat_input(id, session, input);
            }
        });
    }

    /// Writes what is queued, if the device reads; closes what is to be closed.
    pub(super) fn pump(&mut self, id: usize, session: u64) {
        let Some(seat) = self.edges[id].seats.get_mut(&session) else { return };
        let conn = seat.conn;
        if self.conns.get(&conn).is_none_or(|conn| conn.stalled_until > self.now) {
            return;
        }
        let outgoing = seat.session.take_outgoing();
        let closing = seat.session.is_closing();
        for bytes in outgoing {
            self.send_down(conn, bytes);
        }
        if closing {
            self.close_seat(id, session);
        }
    }

    /// The session ends, and its device learns of it.
    pub(super) fn close_seat(&mut self, id: usize, session: u64) {
        if let Some(conn) = self.remove_seat(id, session) {
            self.edge_end_is_gone(conn);
        }
    }

    /// The session is gone.
    pub(super) fn remove_seat(&mut self, id: usize, session: u64) -> Option<u64> {
        let seat = self.edges[id].seats.remove(&session)?;
        self.watch_nobody(id, session);
        self.note(format_args!("edge {id} has no session {session} any more"));
        if let Some(account) = seat.session.account()
            && let Some(sessions) = self.edges[id].accounts.get_mut(&account)
        {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.edges[id].accounts.remove(&account);
                for node in 0..self.nodes.len() {
                    self.send_to_node(id, node, move |world| world.route(node, id, account, false));
                }
            }
        }
        Some(seat.conn)
    }
}
