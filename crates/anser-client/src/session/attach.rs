//! Connecting, hello, welcome, sync; losing the connection.

use anser_model::{AccountId, DeviceId, SessionId, Slot, Timeline};
use anser_proto::v1::client_frame::Request;
use anser_proto::{ErrorCode, Retry, VERSION_MAX, VERSION_MIN, v1, wire};

use crate::session::cursor::SlotSet;
use crate::session::exchange::{Ended, Failure, LinkId, Output, Status, TokenRefused, Update};
use crate::session::link::Phase;
use crate::session::queries::{Asker, Asking};
use crate::session::{Asked, EntryState, InFlight, Keep, Session, Turn};
use crate::store::Change;

impl Session {
    /// Opens a connection now, or asks for the token that it needs.
    pub(super) fn attempt(&mut self, turn: &mut Turn) {
        match self.link.attempt(turn.now) {
            Some(link) => turn.out.push(Output::Open { link, address_turn: self.link.address_turn }),
            None => turn.out.push(Output::NeedToken),
        }
        turn.tell(Update::Status(Status::Connecting));
    }

    pub(super) fn opened(&mut self, turn: &mut Turn, link: LinkId) {
        if !matches!(self.link.phase, Phase::Opening { link: current, .. } if current == link) {
            // Given up meanwhile.
            return turn.out.push(Output::Close(link));
        }
        self.link.phase = Phase::Greeting(link);
        self.link.last_heard_ms = turn.now_ms();
        let hello = v1::Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            token: self.link.credential(),
            cursor: (self.cursor.timeline() != Timeline(0)).then(|| self.cursor.to_wire()),
            client: self.config.client.clone(),
            send_only: self.config.send_only,
        };
        self.request(turn, link, Asked::Hello, Request::Hello(hello));
    }

    pub(super) fn lost(&mut self, turn: &mut Turn, link: LinkId) {
        if self.link.current() == Some(link) {
            self.back_off(turn, 0);
        }
    }

    /// Closes the connection and comes back after a backoff, at the earliest after `at_least_ms`.
    pub(super) fn drop_link(&mut self, turn: &mut Turn, at_least_ms: u64) {
        if let Some(link) = self.link.current() {
            turn.out.push(Output::Close(link));
            self.back_off(turn, at_least_ms);
        }
    }

    pub(super) fn token(&mut self, turn: &mut Turn, token: Result<String, TokenRefused>) {
        match token {
            Ok(token) => {
                self.link.set_token(token);
                if self.link.phase == Phase::AwaitingToken {
                    self.attempt(turn);
                }
            }
            Err(_) if self.link.phase != Phase::AwaitingToken => {}
            Err(TokenRefused::Unavailable) => self.back_off(turn, 0),
            Err(TokenRefused::SignedOut) => self.end(turn, Ended::SignedOut),
        }
    }

    /// Credentials were refused; others may do.
    pub(super) fn reauthenticate(&mut self, turn: &mut Turn, error: &v1::Error) {
        if error.code == ErrorCode::Revoked.as_str() {
            self.link.forget_credentials();
        } else {
            self.link.forget_presented();
        }
        self.drop_link(turn, error.retry_after_ms);
    }

    /// The answer to hello.
    pub(super) fn greeted(&mut self, turn: &mut Turn, result: Result<v1::Welcome, v1::Error>) {
        let refused = |error: v1::Error| Ended::Refused { code: error.code, message: error.message };
        match result {
            Ok(welcome) => self.welcomed(turn, &welcome),
            Err(error) => match error.retry() {
                Retry::Reauthenticate => self.reauthenticate(turn, &error),
                Retry::Never => self.end(turn, refused(error)),
                Retry::SameId | Retry::Resync | Retry::Reconnect => {
                    self.drop_link(turn, error.retry_after_ms)
                }
            },
        }
    }

    fn welcomed(&mut self, turn: &mut Turn, welcome: &v1::Welcome) {
        let account = AccountId(welcome.account);
        if let Some(problem) = self.unwelcome(welcome) {
            let code = ErrorCode::UnsupportedVersion.as_str().to_owned();
            return self.end(turn, Ended::Refused { code, message: problem.to_owned() });
        }
        let Phase::Greeting(link) = self.link.phase else { return };
        self.link.welcome(link, welcome, turn.now, &mut turn.entropy);
        self.attached_as = Some((DeviceId(welcome.device), SessionId(welcome.session)));
        if self.account.is_none() {
            self.account = Some(account);
            self.outbox.settle_lanes(account);
            self.marks.settle_lanes(account);
            self.persist(turn, Change::Account(account));
        }
        self.enter_timeline(turn, Timeline(welcome.timeline));
        self.resync = SlotSet::default();
        self.cursor.set_owing(slots(&welcome.owing));
        let (device, session) = (DeviceId(welcome.device), SessionId(welcome.session));
        turn.tell(Update::Status(Status::Attached { account, device, session }));
        if self.config.keep > Keep::Nothing && welcome.profile_version > 0 {
            self.profiles.saw(account, welcome.profile_version);
        }
        if self.cursor.is_settled() {
            self.synced(turn);
        }
    }

    /// Everything known is current. The server has forgotten whom this client watches.
    fn synced(&mut self, turn: &mut Turn) {
        self.presences.ask_again();
        turn.tell(Update::Synced);
    }

    fn unwelcome(&self, welcome: &v1::Welcome) -> Option<&'static str> {
        if !(VERSION_MIN..=VERSION_MAX).contains(&welcome.version) {
            return Some("the server chose a version that this client does not speak");
        }
        let other = self.account.is_some_and(|account| account.get() != welcome.account);
        other.then_some("the token is for another account than what was saved here")
    }

    /// Another history voids everything that counts in the old one.
    fn enter_timeline(&mut self, turn: &mut Turn, timeline: Timeline) {
        let known = self.cursor.timeline();
        if known == timeline {
            return;
        }
        self.cursor.restart(timeline);
        self.unsaved.cursor = true;
        if known == Timeline(0) {
            return;
        }
        self.conversations.clear();
        self.heads_wanted.clear();
        self.rechecks_wanted.clear();
        self.unsaved.conversations.clear();
        let foreign = || {
            v1::Error::new(
                ErrorCode::ForeignTimeline,
                "the installation was restored: its history is another",
            )
        };
        self.delivered.clear();
        for ticket in self.marks.clear() {
            turn.answer(Some(ticket), Err(Failure::Refused(foreign())));
        }
        let void = self
            .outbox
            .entries()
            .filter(|entry| entry.command.names_seq() && !matches!(entry.state, EntryState::Failed(_)));
        for order in void.map(|entry| entry.order).collect::<Vec<_>>() {
            self.fail(turn, order, foreign());
        }
        self.persist(turn, Change::Restarted);
        turn.tell(Update::Restarted(timeline));
    }

    /// Some events were missed: nothing moves the cursor of these slots until they are synced.
    pub(super) fn missed(&mut self, slots_missed: &[u32]) {
        let missed = if slots_missed.is_empty() { SlotSet::ALL } else { slots(slots_missed) };
        self.resync = self.resync.union(missed);
        self.cursor.add_owing(missed);
    }

    /// The answer to a Sync that asked for `asked`.
    pub(super) fn sync_started(
        &mut self,
        turn: &mut Turn,
        asked: SlotSet,
        started: Result<v1::SyncStarted, v1::Error>,
    ) {
        match started {
            Ok(started) => {
                // What was missed since the Sync was sent still waits for another.
                self.cursor.set_owing(slots(&started.owing).union(self.resync));
                if self.cursor.is_settled() {
                    self.synced(turn);
                }
            }
            Err(error) => {
                self.resync = self.resync.union(asked);
                match error.retry() {
                    Retry::Reauthenticate => self.reauthenticate(turn, &error),
                    // A Sync that is refused for good leaves one way to be current: attach again.
                    Retry::Reconnect | Retry::Never | Retry::Resync => {
                        self.drop_link(turn, error.retry_after_ms)
                    }
                    Retry::SameId => {
                        let wait_ms =
                            error.retry_after_ms.saturating_add(self.link.backoff(0, &mut turn.entropy));
                        self.resync_not_before_ms = turn.now_ms().saturating_add(wait_ms);
                    }
                }
            }
        }
    }

    /// Heads of one slot.
    pub(super) fn sync_heads(&mut self, turn: &mut Turn, heads: v1::SyncHeads) {
        for head in heads.heads {
            self.take_head(turn, head);
        }
        let Ok(slot) = wire::slot(heads.slot) else { return };
        if !heads.done || self.awaits_sync(slot) {
            return;
        }
        let was_settled = self.cursor.is_settled();
        self.cursor.settle(slot, anser_model::N(heads.n));
        self.unsaved.cursor = true;
        if !was_settled && self.cursor.is_settled() {
            self.synced(turn);
        }
    }

    /// Whether events of a slot were missed, and the Sync that makes up for them has not begun: what
    /// would settle the slot is from before.
    fn awaits_sync(&self, slot: Slot) -> bool {
        let asked = |request: &InFlight| matches!(&request.asked, Asked::Sync(asked) if asked.contains(slot));
        self.resync.contains(slot) || self.in_flight.values().any(asked)
    }

    fn back_off(&mut self, turn: &mut Turn, at_least_ms: u64) {
        self.lose_answers();
        let retry_in_ms = self.link.lost(at_least_ms, turn.now, &mut turn.entropy);
        turn.tell(Update::Status(Status::Waiting { retry_in_ms }));
    }

    /// Whatever was in flight on the connection is to be asked again.
    pub(super) fn lose_answers(&mut self) {
        self.attached_as = None;
        self.outbox.lose_answers();
        self.marks.lose_answers();
        self.delivered.marks.lose_answers();
        self.presences.lose();
        for (_, lost) in std::mem::take(&mut self.in_flight).into_iter().rev() {
            match lost.asked {
                Asked::Query(Asking { asker: Asker::Presence(_), .. }) => {}
                Asked::Query(asking) => self.queries.put_back(asking),
                Asked::Hello | Asked::Ping | Asked::Sync(_) => {}
                Asked::Command(_) | Asked::Mark(_) | Asked::Delivered(_) => {}
            }
        }
    }
}

/// The slots of a list; numbers that are none are left out.
fn slots(numbers: &[u32]) -> SlotSet {
    numbers.iter().filter_map(|&number| wire::slot(number).ok()).collect()
}
