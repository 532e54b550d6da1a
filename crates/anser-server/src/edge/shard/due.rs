//! What a shard does when its time has come: what was put off, and closing those who are silent for too long.

use anser_edge::admission::has_room;
use anser_edge::{Input, Shell as _};
use anser_proto::{ErrorCode, v1};

use super::super::PATIENCE_MS;
use super::seat::{Reading, Transport};
use super::{MS_PER_S, SWEEP_INTERVAL_MS, Shard};

/// Connections that were put off and are read on between two waits: each may have much to be refused, and the core is neither
/// to wait for its next commands meanwhile nor those who are answered for their answers.
const READ_ON_AT_ONCE: usize = 16;

impl Shard {
    pub(super) fn do_what_is_due(&mut self) {
        let now_ms = self.shell.now_ms.get();
        // A core that has worked off what it had must not wait for their time: whoever has waited longest is read on, as
        // long as there is room.
        for _ in 0..READ_ON_AT_ONCE {
            let Some(&(at_ms, session)) = self.put_off.front() else { break };
            if at_ms > now_ms && !has_room(self.shell.queueing_delay_ms()) {
                break;
            }
            self.put_off.pop_front();
            if let Some(seat) = self.seats.get(session) {
                seat.is_put_off = false;
            }
            self.seats.mark(session);
            self.go_on(session);
        }
        while let Some((_, session, slot, round)) = self.ask_again.pop_front_if(|it| it.0 <= now_ms) {
            self.step(session, Input::AskAgain { slot, round });
        }
        if now_ms >= self.swept_at_ms + SWEEP_INTERVAL_MS {
            self.swept_at_ms = now_ms;
            self.sweep();
        }
    }

    /// Closes connections that have been silent, or unwritable, for too long.
    fn sweep(&mut self) {
        let (now_s, patience_s) = (self.now_s(), (PATIENCE_MS / MS_PER_S) as u32);
        for session in self.seats.all() {
            let Some(seat) = self.seats.get(session) else { continue };
            seat.rest();
            // Those inside say what they have to say, and are gone.
            if let Transport::Inside { .. } = seat.transport {
                continue;
            }
            if let Reading::Lingering { until_s, .. } = seat.reading {
                // Who does not close by then is closed on.
                if now_s >= until_s {
                    self.end(session);
                }
                continue;
            }
            let is_blocked =
                seat.blocked_since_s.is_some_and(|since| now_s.saturating_sub(since) > patience_s);
            let is_attached = seat.session.account().is_some() && !seat.session.is_closing();
            let allowed_s =
                if is_attached { seat.heartbeat_interval_s.saturating_mul(2) } else { patience_s };
            if is_blocked {
                self.end(session);
            } else if now_s.saturating_sub(seat.heard_at_s) > allowed_s {
                self.edge().metrics.connections_silent.add(1);
                let error = v1::Error::new(ErrorCode::TooSlow, "nothing was heard for too long");
                self.with(session, |seat, shell| seat.session.refuse_and_close(0, error, shell));
                self.write(session);
                self.end(session);
            }
        }
    }
}
