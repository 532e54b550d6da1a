//! Whether there is time for one more request: said before anything is done for it, by the delay that it would
//! meet in the queues before it. What would be the least missed is put off first.
//!
//! The delay is what waits, times what one of those took, both measured. What the last one waited would be
//! known too late: a queue that fills five times as fast as it empties is a second long before it shows.

use crate::convert::Wanted;
use anser_core::engine::Query;
use anser_model::Intent;
use anser_proto::v1::client_frame::Request;

/// What a client is told to wait at least, and at most, when there is no time for its request.
const RETRY_AFTER_MS: (u64, u64) = (500, 5_000);
/// So much is always let in: what one takes is only known of those that came in numbers.
const ALWAYS_WAITING: u64 = 16;
/// Fewer at once say nothing of what one takes: what they wait for is not the work.
const COUNTED_AT_ONCE: u64 = 8;
/// How long a connection of which something was put off is not read at least, and at most.
const PAUSE_MS: (u64, u64) = (300, 500);
/// So many that are put off at once cost each next to nothing.
const PUT_OFF_AT_ONCE: usize = 24;
/// How much work is averaged, in milliseconds.
const WINDOW_MS: u64 = 20;

/// What a request is for, the first to be put off first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Who types, who is there: nobody misses it.
    Ephemeral,
    /// What was said earlier, and who people are: it can be asked for again.
    History,
    /// What somebody does.
    Act,
    /// What makes other work end: attaching, sync, marks, signs of life.
    Keep,
}

impl Class {
    /// Of a request that was understood.
    pub fn of(wanted: &Wanted) -> Class {
        match wanted {
            Wanted::Query(_, Query::Typing { .. } | Query::Acquainted { .. }) => Class::Ephemeral,
            Wanted::Query(..) => Class::History,
            // A register, such as a read mark: whoever repeats it adds nothing.
            Wanted::Command(command) if command.client_id.is_none() => Class::Keep,
            Wanted::Command(_) => Class::Act,
            Wanted::Other(Request::GetProfiles(_) | Request::GetConversations(_)) => Class::History,
            Wanted::Other(_) => Class::Keep,
        }
    }

    /// The delay in milliseconds from which on it is put off. A message is to be there within 300; and what comes in larger
    /// handfuls is cheaper, so that less than this would be less done.
    pub fn bearable_ms(self) -> u64 {
        match self {
            Class::Ephemeral => 20,
            Class::History => 50,
            Class::Act => 60,
            Class::Keep => 250,
        }
    }
}

/// What a request takes from the quotas.
pub fn weight(wanted: &Wanted) -> u32 {
    match wanted {
        Wanted::Command(command) => match &command.intent {
            Intent::CreateGroup { members, .. } | Intent::AddMembers(members) => {
                4 + members.len() as u32 / 16
            }
            _ => 1,
        },
        Wanted::Query(_, Query::Typing { .. }) => 1,
        Wanted::Query(..) | Wanted::Other(Request::GetProfiles(_)) => 4,
        // Without names it is for everything that one has.
        Wanted::Other(Request::GetConversations(asked)) if asked.cids.is_empty() => 20,
        Wanted::Other(Request::GetConversations(_)) => 4,
        Wanted::Other(Request::Sync(_)) => 20,
        Wanted::Other(_) => 1,
    }
}

/// Lets a request in that would wait for so long, or says in how many milliseconds to come again.
///
/// # Errors
/// There is no time for it: nothing may be done.
pub fn admit(class: Class, delay_ms: u64) -> Result<(), u64> {
    let bearable_ms = class.bearable_ms();
    if delay_ms <= bearable_ms {
        return Ok(());
    }
    let (least_ms, most_ms) = RETRY_AFTER_MS;
    Err((least_ms * delay_ms / bearable_ms).min(most_ms))
}

/// Whether there is room again for those who were put off: so much that reading one of them on is not in vain.
pub fn has_room(delay_ms: u64) -> bool {
    delay_ms <= Class::Act.bearable_ms() / 2
}

/// How long a connection of which something was put off is not read, unless there is room again earlier, so that whoever goes on
/// asking costs little. Reading and answering has its price each time, for however many: so as long as few are put off at
/// once, the pause grows. Beyond a second nobody waits for an answer any more, so it has an end long before.
#[derive(Debug)]
pub struct Pause {
    ms: u64,
}

impl Default for Pause {
    fn default() -> Self {
        Pause { ms: PAUSE_MS.0 }
    }
}

impl Pause {
    /// How long it is for a connection of which so many were put off at once.
    pub fn after(&mut self, put_off: usize) -> u64 {
        let (least_ms, most_ms) = PAUSE_MS;
        self.ms = match put_off < PUT_OFF_AT_ONCE {
            true => (self.ms + 1).min(most_ms),
            false => (self.ms - 1).max(least_ms),
        };
        self.ms
    }
}

/// How fast a queue is worked off, measured while something waits in it.
#[derive(Debug, Default)]
pub struct Pace {
    each_ns: u64,
    worked_ms: u64,
    count: u64,
    last_done_ms: u64,
}

impl Pace {
    /// So many were taken at once and are done by `now_ms`; the first of them waited since `since_ms`.
    pub fn worked(&mut self, count: u64, since_ms: u64, now_ms: u64) {
        let begun_ms = since_ms.max(self.last_done_ms).min(now_ms);
        self.last_done_ms = now_ms;
        if count < COUNTED_AT_ONCE {
            return;
        }
        self.worked_ms += now_ms - begun_ms;
        self.count += count;
        if self.worked_ms >= WINDOW_MS {
            let each_ns = self.worked_ms * 1_000_000 / self.count;
            self.each_ns = if self.each_ns == 0 { each_ns } else { (3 * self.each_ns + each_ns) / 4 };
            (self.worked_ms, self.count) = (0, 0);
        }
    }

    /// What one takes, in nanoseconds; 0 while it is not known.
    pub fn each_ns(&self) -> u64 {
        self.each_ns
    }
}

/// How long somebody waits, in milliseconds, behind so many who take `each_ns` each.
pub fn delay_ms(waiting: u64, each_ns: u64) -> u64 {
    if waiting < ALWAYS_WAITING { 0 } else { waiting.saturating_mul(each_ns) / 1_000_000 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_least_is_put_off_first() {
        let classes = [Class::Ephemeral, Class::History, Class::Act, Class::Keep];
        let admitted = |delay_ms| classes.map(|class| admit(class, delay_ms).is_ok());
        assert_eq!(admitted(20), [true; 4]);
        assert_eq!(admitted(21), [false, true, true, true]);
        assert_eq!(admitted(51), [false, false, true, true]);
        assert_eq!(admitted(61), [false, false, false, true]);
        assert_eq!(admitted(251), [false; 4]);
    }

    #[test]
    fn the_longer_the_queue_the_later_one_is_to_come_again() {
        assert_eq!(admit(Class::Act, 120), Err(1_000));
        assert_eq!(admit(Class::Act, 61), Err(508));
        assert_eq!(admit(Class::Act, u64::from(u32::MAX)), Err(5_000));
    }

    #[test]
    fn who_was_put_off_is_read_on_with_room_for_more_than_one() {
        let most_ms = (0..100).take_while(|&delay_ms| has_room(delay_ms)).last();
        assert_eq!(most_ms, Some(30));
        assert!(admit(Class::Act, 30).is_ok());
    }

    #[test]
    fn the_pause_grows_while_few_are_put_off_at_once_and_has_an_end() {
        let mut pause = Pause::default();
        assert_eq!(pause.after(1), 301);
        assert_eq!((0..1_000).map(|_| pause.after(PUT_OFF_AT_ONCE - 1)).last(), Some(500));
        assert_eq!(pause.after(PUT_OFF_AT_ONCE), 499);
        assert_eq!((0..1_000).map(|_| pause.after(1_000)).last(), Some(300));
    }

    #[test]
    fn pace_is_measured_over_busy_time_alone() {
        let mut pace = Pace::default();
        // Ten at a time, each two milliseconds, one batch right behind the other.
        for turn in 0..10 {
            pace.worked(10, 1_000 + 20 * turn, 1_000 + 20 * (turn + 1));
        }
        assert_eq!(pace.each_ns(), 2_000_000);
        // An hour of nothing, then the same: the hour does not count.
        pace.worked(10, 3_600_000, 3_600_020);
        assert_eq!(pace.each_ns(), 2_000_000);
        // What waited while earlier ones were done is not counted twice.
        pace.worked(10, 3_600_005, 3_600_040);
        assert_eq!(pace.each_ns(), 2_000_000);
    }

    #[test]
    fn pace_follows_and_is_not_led_by_single_requests() {
        let mut pace = Pace::default();
        pace.worked(1, 0, 500);
        assert_eq!(pace.each_ns(), 0, "it waited for a thread to wake up, or for the disk");
        for turn in 0..20 {
            pace.worked(100, 500 + 20 * turn, 520 + 20 * turn);
        }
        assert_eq!(pace.each_ns(), 200_000);
        for turn in 0..20 {
            pace.worked(100, 1_000 + 40 * turn, 1_040 + 40 * turn);
        }
        assert!((390_000..=400_000).contains(&pace.each_ns()), "{}", pace.each_ns());
    }

    #[test]
    fn a_queue_delays_by_what_waits_in_it() {
        assert_eq!(delay_ms(300, 200_000), 60);
        assert_eq!(delay_ms(0, 200_000), 0);
        assert_eq!(delay_ms(ALWAYS_WAITING - 1, u64::MAX), 0, "so few are always let in");
        assert_eq!(delay_ms(1_000, 0), 0, "nothing is known yet");
    }
}
