//! The connection's own state: when to open one, with which credential, and when it counts as dead.

use anser_model::UnixMillis;
use anser_proto::v1;

use crate::session::entropy::Entropy;
use crate::session::exchange::{Ended, LinkId, Now};

/// What a backoff starts from before a server has named its own.
const BACKOFF_BASE_MS: u64 = 500;
/// What a backoff is capped at before a server has named its own.
const BACKOFF_CAP_MS: u64 = 30_000;
/// Longest backoff that a server may ask for.
const BACKOFF_LIMIT_MS: u64 = 10 * 60_000;
/// How long opening a connection may take.
const OPEN_TIMEOUT_MS: u64 = 15_000;
/// A connection that lasted so long makes earlier failures forgotten.
const STABLE_MS: u64 = 10_000;
/// How long a resume ticket is presented: a minute less than the server accepts it.
const TICKET_USED_MS: u64 = 14 * 60_000;
/// Bounds of the heartbeat interval that a server may name.
const HEARTBEAT_MS: std::ops::RangeInclusive<u64> = 1_000..=60 * 60_000;

/// Where the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not wanted yet.
    Idle,
    /// Asked for an access token.
    AwaitingToken,
    /// Waits before the next attempt.
    Waiting {
        /// Until then.
        until_ms: u64,
        /// How long that was when it began.
        retry_in_ms: u64,
    },
    /// Being opened.
    Opening {
        /// Which one.
        link: LinkId,
        /// Until then.
        deadline_ms: u64,
    },
    /// Open; hello was said.
    Greeting(LinkId),
    /// Welcomed.
    Attached {
        /// Which one.
        link: LinkId,
        /// Since when.
        since_ms: u64,
    },
    /// Over.
    Ended(Ended),
}

/// What is presented in Hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credential {
    Ticket,
    Token,
}

/// The connection's own state.
#[derive(Debug)]
pub struct Link {
    pub(super) phase: Phase,
    last_link: u32,
    failures: u32,
    pub(super) address_turn: u32,
    token: Option<String>,
    ticket: Option<(String, u64)>,
    presented: Credential,
    backoff_base_ms: u64,
    backoff_cap_ms: u64,
    heartbeat_ms: u64,
    last_sent_ms: u64,
    pub(super) last_heard_ms: u64,
    /// The server's clock, and the monotonic time at which it was told.
    server_clock: Option<(UnixMillis, u64)>,
    /// The server is stopping: come back after so many milliseconds.
    pub(super) draining_ms: Option<u64>,
}

impl Link {
    /// A connection that is not wanted yet.
    pub fn new(token: Option<String>) -> Self {
        Link {
            phase: Phase::Idle,
            last_link: 0,
            failures: 0,
            address_turn: 0,
            token,
            ticket: None,
            presented: Credential::Token,
            backoff_base_ms: BACKOFF_BASE_MS,
            backoff_cap_ms: BACKOFF_CAP_MS,
            heartbeat_ms: *HEARTBEAT_MS.end(),
            last_sent_ms: 0,
            last_heard_ms: 0,
            server_clock: None,
            draining_ms: None,
        }
    }

    /// The connection that is opening or open.
    pub fn current(&self) -> Option<LinkId> {
        match self.phase {
            Phase::Opening { link, .. } | Phase::Greeting(link) | Phase::Attached { link, .. } => Some(link),
            _ => None,
        }
    }

    /// The connection, if requests may be sent on it.
    pub fn attached(&self) -> Option<LinkId> {
        match self.phase {
            Phase::Attached { link, .. } => Some(link),
            _ => None,
        }
    }

    /// The server's wall clock as of now; one's own before a server has told.
    pub fn server_now(&self, now: Now) -> UnixMillis {
        self.server_clock
            .map_or(now.unix, |(told, at_ms)| told.plus_ms(now.monotonic_ms.saturating_sub(at_ms)))
    }

    /// Starts an attempt. The link to open; None when a token is needed first.
    pub fn attempt(&mut self, now: Now) -> Option<LinkId> {
        self.draining_ms = None;
        self.ticket.take_if(|(_, since_ms)| now.monotonic_ms.saturating_sub(*since_ms) > TICKET_USED_MS);
        self.presented = if self.ticket.is_some() { Credential::Ticket } else { Credential::Token };
        if self.ticket.is_none() && self.token.is_none() {
            self.phase = Phase::AwaitingToken;
            return None;
        }
        self.last_link += 1;
        let link = LinkId(self.last_link);
        self.phase = Phase::Opening { link, deadline_ms: now.monotonic_ms.saturating_add(OPEN_TIMEOUT_MS) };
        Some(link)
    }

    /// What to present in Hello.
    pub fn credential(&self) -> String {
        let ticket = self.ticket.as_ref().map(|(ticket, _)| ticket);
        match self.presented {
            Credential::Ticket => ticket.cloned().unwrap_or_default(),
            Credential::Token => self.token.clone().unwrap_or_default(),
        }
    }

    /// A new access token.
    pub fn set_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// The server would not have what was presented.
    pub fn forget_presented(&mut self) {
        match self.presented {
            Credential::Ticket => self.ticket = None,
            Credential::Token => self.token = None,
        }
    }

    /// The server has revoked every credential.
    pub fn forget_credentials(&mut self) {
        (self.ticket, self.token) = (None, None);
    }

    /// The server welcomed the connection.
    pub fn welcome(&mut self, link: LinkId, welcome: &v1::Welcome, now: Now, entropy: &mut Entropy) {
        self.phase = Phase::Attached { link, since_ms: now.monotonic_ms };
        self.server_clock = Some((UnixMillis(welcome.server_time_ms), now.monotonic_ms));
        if !welcome.resume_ticket.is_empty() {
            self.ticket = Some((welcome.resume_ticket.clone(), now.monotonic_ms));
        }
        if welcome.backoff_base_ms > 0 {
            self.backoff_base_ms = welcome.backoff_base_ms.min(BACKOFF_LIMIT_MS);
        }
        if welcome.backoff_cap_ms > 0 {
            self.backoff_cap_ms = welcome.backoff_cap_ms.min(BACKOFF_LIMIT_MS);
        }
        // A little early, each connection by another amount, so that they do not beat together.
        let interval = welcome.heartbeat_interval_ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end());
        self.heartbeat_ms = interval - entropy.up_to(interval / 8);
    }

    /// The connection ended, or an attempt failed. How long to wait, in milliseconds.
    pub fn lost(&mut self, at_least_ms: u64, now: Now, entropy: &mut Entropy) -> u64 {
        let stable = match self.phase {
            Phase::Attached { since_ms, .. } => now.monotonic_ms.saturating_sub(since_ms) >= STABLE_MS,
            _ => false,
        };
        if stable {
            self.failures = 0;
        } else {
            self.address_turn = self.address_turn.wrapping_add(1);
        }
        let announced = self.draining_ms.take().unwrap_or_default().min(BACKOFF_LIMIT_MS);
        let wait_ms = announced.max(at_least_ms).saturating_add(self.backoff(self.failures, entropy));
        self.failures = self.failures.saturating_add(1);
        self.phase =
            Phase::Waiting { until_ms: now.monotonic_ms.saturating_add(wait_ms), retry_in_ms: wait_ms };
        wait_ms
    }

    /// Full jitter: anything up to the base doubled for each failure, within the cap.
    pub fn backoff(&self, failures: u32, entropy: &mut Entropy) -> u64 {
        let doubled =
            self.backoff_base_ms.saturating_mul(1u64.checked_shl(failures.min(32)).unwrap_or(u64::MAX));
        entropy.up_to(doubled.min(self.backoff_cap_ms))
    }

    /// Something was sent.
    pub fn sent(&mut self, now: Now) {
        self.last_sent_ms = now.monotonic_ms;
    }

    /// When a Ping is due, if attached.
    pub fn heartbeat_due_ms(&self) -> Option<u64> {
        self.attached().map(|_| self.last_sent_ms.saturating_add(self.heartbeat_ms))
    }

    /// When the connection itself has something to do next.
    pub fn wake_at_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until_ms, .. } => Some(until_ms),
            Phase::Opening { deadline_ms, .. } => Some(deadline_ms),
            _ => self.heartbeat_due_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Now {
        Now { unix: UnixMillis(1_000_000 + ms), monotonic_ms: ms }
    }

    #[test]
    fn backoff_doubles_within_its_cap_and_is_spread() {
        let link = Link::new(None);
        let mut entropy = Entropy::new([1; 16]);
        for failures in [0, 1, 5, 40, u32::MAX] {
            let cap = (BACKOFF_BASE_MS << failures.min(20)).min(BACKOFF_CAP_MS);
            let waits = (0..100).map(|_| link.backoff(failures, &mut entropy)).collect::<Vec<_>>();
            assert!(waits.iter().all(|&wait| wait <= cap), "{failures}: {waits:?}");
            assert!(waits.iter().any(|&wait| wait < cap / 4) && waits.iter().any(|&wait| wait > cap / 2));
        }
    }

    #[test]
    fn a_ticket_is_preferred_while_it_is_fresh() {
        let mut link = Link::new(Some("token".into()));
        let mut entropy = Entropy::new([2; 16]);
        let id = link.attempt(at(0)).unwrap();
        assert_eq!(link.credential(), "token");
        let welcome = v1::Welcome { resume_ticket: "ticket".into(), ..v1::Welcome::default() };
        link.welcome(id, &welcome, at(0), &mut entropy);
        link.lost(0, at(20_000), &mut entropy);
        link.attempt(at(20_000));
        assert_eq!(link.credential(), "ticket");
        link.forget_presented();
        link.attempt(at(20_000));
        assert_eq!(link.credential(), "token");
        link.forget_presented();
        assert_eq!(link.attempt(at(20_000)), None);
        assert_eq!(link.phase, Phase::AwaitingToken);
    }

    #[test]
    fn a_failing_address_is_left_and_a_stable_one_kept() {
        let mut link = Link::new(Some("token".into()));
        let mut entropy = Entropy::new([3; 16]);
        link.attempt(at(0));
        link.lost(0, at(1), &mut entropy);
        assert_eq!(link.address_turn, 1);
        let id = link.attempt(at(2)).unwrap();
        link.welcome(id, &v1::Welcome::default(), at(2), &mut entropy);
        assert!(link.lost(0, at(2 + STABLE_MS), &mut entropy) <= BACKOFF_BASE_MS);
        assert_eq!(link.address_turn, 1);
    }
}
