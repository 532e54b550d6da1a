//! What is written to the connection, and what is given up when no answer comes.

use anser_model::{ClientId, planted};
use anser_proto::v1::client_frame::Request;
use anser_proto::{CLIENT_FRAME_BYTES, Encoding, ErrorCode, encode_client, v1, wire};

use crate::session::command::{self, Command, Query};
use crate::session::exchange::{Failure, LinkId, Output, Update};
use crate::session::link::Phase;
use crate::session::queries::{Asker, Asking};
use crate::session::{Asked, Conversation, InFlight, Session, Turn};

/// How long an answer may take before the connection counts as dead.
pub(super) const REQUEST_TIMEOUT_MS: u64 = 20_000;
/// Requests that may be without an answer at once.
const REQUESTS_IN_FLIGHT: usize = 32;
/// Heads that one request may ask for.
const HEADS_PER_REQUEST: usize = 200;

impl Session {
    /// Sends a request.
    pub(super) fn request(&mut self, turn: &mut Turn, link: LinkId, asked: Asked, request: Request) {
        self.last_request += 1;
        let id = self.last_request;
        self.in_flight.insert(id, InFlight { asked, sent_ms: turn.now_ms() });
        self.link.sent(turn.now);
        let frame = v1::ClientFrame { id, request: Some(request) };
        turn.out.push(Output::Send(link, Box::new(frame)));
    }

    /// Whether another request may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < REQUESTS_IN_FLIGHT
    }

    pub(super) fn sync_is_in_flight(&self) -> bool {
        self.in_flight.values().any(|request| matches!(request.asked, Asked::Sync(_)))
    }

    /// Does what time has brought about.
    pub(super) fn expire(&mut self, turn: &mut Turn) {
        match self.link.phase {
            Phase::Waiting { until_ms, .. } if until_ms <= turn.now_ms() => self.attempt(turn),
            Phase::Opening { deadline_ms, .. } if deadline_ms <= turn.now_ms() => self.drop_link(turn, 0),
            _ => {}
        }
        self.expire_requests(turn);
        for ticket in self.queries.expire(turn.now_ms()) {
            turn.answer(Some(ticket), Err(Failure::TimedOut));
        }
    }

    /// A question has no answer. What the session itself must know is asked again: nobody else would.
    fn timed_out(&mut self, turn: &mut Turn, asking: Asking) {
        match asking.asker {
            Asker::Application(ticket) => turn.answer(Some(ticket), Err(Failure::TimedOut)),
            Asker::Recheck(cid) => {
                self.rechecks_wanted.insert(cid);
            }
            Asker::Presence(cid) => self.presences.want(cid),
            Asker::Profiles | Asker::Heads | Asker::Gap(_) => self.queries.put_back(asking),
        }
    }

    /// An answer that does not come means that the connection is dead, unless it brought other things
    /// meanwhile and only a question is concerned.
    fn expire_requests(&mut self, turn: &mut Turn) {
        while let Some(oldest) = self.in_flight.first_entry() {
            let sent_ms = oldest.get().sent_ms;
            if sent_ms.saturating_add(REQUEST_TIMEOUT_MS) > turn.now_ms() {
                return;
            }
            match &oldest.get().asked {
                Asked::Query(_) if self.link.last_heard_ms > sent_ms => {
                    let Asked::Query(asking) = oldest.remove().asked else {
                        unreachable!("it is a question")
                    };
                    self.timed_out(turn, asking);
                }
                _ => return self.drop_link(turn, 0),
            }
        }
    }

    /// Writes whatever is due and has room.
    pub(super) fn write_due(&mut self, turn: &mut Turn) {
        let Some(link) = self.link.attached() else { return };
        if self.link.draining_ms.is_some() {
            // The server answers what is under way, then stops.
            if self.in_flight.is_empty() {
                self.drop_link(turn, 0);
            }
            return;
        }
        self.write_sync(turn, link);
        self.write_commands(turn, link);
        self.write_marks(turn, link);
        self.write_queries(turn, link);
        if self.link.heartbeat_due_ms().is_some_and(|due_ms| due_ms <= turn.now_ms()) {
            self.request(turn, link, Asked::Ping, Request::Ping(v1::Ping {}));
        }
    }

    fn write_sync(&mut self, turn: &mut Turn, link: LinkId) {
        let due = self.resync_not_before_ms <= turn.now_ms();
        if self.resync.is_empty() || !due || self.sync_is_in_flight() {
            return;
        }
        let asked = std::mem::take(&mut self.resync);
        let sync = v1::Sync { cursor: Some(self.cursor.to_wire()) };
        self.request(turn, link, Asked::Sync(asked), Request::Sync(sync));
    }

    fn write_commands(&mut self, turn: &mut Turn, link: LinkId) {
        for order in self.outbox.due(turn.now_ms()) {
            if !self.has_room() {
                return;
            }
            self.remint_if_refused(turn, order);
            let is_first = self.outbox.get(order).is_some_and(|entry| !entry.written);
            let entry = self.outbox.start(order);
            let request = entry.command.request(entry.client_id);
            if is_first {
                // Saved as written before it is written: an id that may have arrived is kept for ever.
                self.persist_entry(turn, order);
            }
            self.request(turn, link, Asked::Command(order), request);
        }
    }

    /// An id that no server has seen, and that this one would refuse for its age, is replaced.
    fn remint_if_refused(&mut self, turn: &mut Turn, order: u64) {
        let server_now = self.link.server_now(turn.now);
        let Some(entry) = self.outbox.get(order) else { return };
        let old = entry.client_id;
        let keeps = entry.written && !planted!(RetryMintsAnew);
        let is_good = !command::needs_minting_anew(old.minted_at(), server_now) && !planted!(RetryMintsAnew);
        if keeps || is_good {
            return;
        }
        let new = ClientId::mint(server_now, turn.entropy.ten_bytes());
        self.outbox.mint_anew(order, new);
        self.forget_saved(turn, order, old);
        turn.tell(Update::Reminted { old, new });
    }

    fn write_marks(&mut self, turn: &mut Turn, link: LinkId) {
        let timeline = self.cursor.timeline().get();
        for lane in self.marks.due(turn.now_ms()) {
            if !self.has_room() {
                return;
            }
            if let Some((target, seq)) = self.marks.start(lane, turn.now_ms()) {
                let read = v1::ReadUpTo { r#in: Some(target), seq, timeline };
                self.request(turn, link, Asked::Mark(lane), Request::ReadUpTo(read));
            }
        }
        for lane in self.delivered.marks.due(turn.now_ms()) {
            if !self.has_room() {
                return;
            }
            if let Some((target, seq)) = self.delivered.marks.start(lane, turn.now_ms()) {
                let delivered = v1::DeliveredUpTo { r#in: Some(target), seq, timeline };
                self.request(turn, link, Asked::Delivered(lane), Request::DeliveredUpTo(delivered));
            }
        }
    }

    fn write_queries(&mut self, turn: &mut Turn, link: LinkId) {
        self.ask_for_profiles(turn);
        self.ask_for_heads(turn);
        self.ask_for_rechecks(turn);
        self.ask_for_presences(turn);
        while self.has_room() {
            let Some(asking) = self.queries.next(turn.now_ms()) else { return };
            let request = asking.query.request();
            self.request(turn, link, Asked::Query(asking), request);
        }
    }

    fn ask_for_profiles(&mut self, turn: &mut Turn) {
        if self.is_asking(|asker| *asker == Asker::Profiles) {
            return;
        }
        if let Some(wanted) = self.profiles.next_request() {
            self.queries.ask(Asker::Profiles, Query::Profiles(wanted), turn.now_ms());
        }
    }

    fn ask_for_heads(&mut self, turn: &mut Turn) {
        if self.heads_wanted.is_empty() || self.is_asking(|asker| *asker == Asker::Heads) {
            return;
        }
        let wanted = self.heads_wanted.iter().copied().take(HEADS_PER_REQUEST).collect::<Vec<_>>();
        wanted.iter().for_each(|cid| {
            self.heads_wanted.remove(cid);
        });
        let cids = wanted.into_iter().map(wire::cid_bytes).collect();
        let query = Query::Conversations(v1::GetConversations { cids });
        self.queries.ask(Asker::Heads, query, turn.now_ms());
    }

    /// One at a time: they are asked for nobody who waits.
    fn ask_for_rechecks(&mut self, turn: &mut Turn) {
        if self.rechecks_wanted.is_empty() || self.is_asking(|asker| matches!(asker, Asker::Recheck(_))) {
            return;
        }
        while let Some(cid) = self.rechecks_wanted.pop_first() {
            if let Some(page) = self.conversations.get(&cid).and_then(Conversation::recheck) {
                return self.queries.ask(Asker::Recheck(cid), Query::Page(page), turn.now_ms());
            }
        }
    }

    /// Once everything is current: while a slot owes its heads, the server tells nothing of it. Of each conversation
    /// one thing at a time: of two answers, the one that comes last need not be the one to what was asked last.
    fn ask_for_presences(&mut self, turn: &mut Turn) {
        if !self.resync.is_empty() || !self.cursor.is_settled() {
            return;
        }
        let is_asked = |cid| self.is_asking(|asker| *asker == Asker::Presence(cid));
        let wanted: Vec<_> = self.presences.wanted().filter(|&cid| !is_asked(cid)).collect();
        for cid in wanted {
            let watch = self.presences.request(cid);
            self.queries.ask(Asker::Presence(cid), Query::Watch(watch), turn.now_ms());
        }
    }

    fn is_asking(&self, is_such: impl Fn(&Asker) -> bool) -> bool {
        let in_flight = self.in_flight.values().any(|request| match &request.asked {
            Asked::Query(asking) => is_such(&asking.asker),
            _ => false,
        });
        in_flight || self.queries.has(is_such)
    }
}

/// Refuses a command that no server could read: it would end every connection that it is sent on.
pub(super) fn fits_in_a_frame(
    command: &Command,
    client_id: ClientId,
    encoding: Encoding,
) -> Result<(), Failure> {
    let frame = v1::ClientFrame { id: u64::MAX, request: Some(command.request(client_id)) };
    let bytes = encode_client(&frame, encoding).len();
    if bytes <= CLIENT_FRAME_BYTES {
        return Ok(());
    }
    let message = format!("the command takes {bytes} bytes, a frame has at most {CLIENT_FRAME_BYTES}");
    Err(Failure::Refused(v1::Error::new(ErrorCode::FrameTooLarge, message)))
}
