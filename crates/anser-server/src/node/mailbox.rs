//! Where a worker is given what it is to do: bounded, handed in and taken out by the handful.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use anser_core::engine::{Input, Query, ReplyTo};
use anser_model::{Command, Refusal, Slot};
use tokio::sync::watch;

use super::backlog::{Backlog, Meter};

/// What comes to a worker from outside.
#[derive(Debug)]
pub enum ToWorker {
    /// Somebody wants something.
    Command {
        /// Of which slot.
        slot: Slot,
        /// Who is to be answered.
        reply: ReplyTo,
        /// What.
        command: Command,
        /// When it was given, by the monotonic clock.
        given_at_us: u64,
    },
    /// Somebody asks something.
    Query {
        /// Which slot.
        slot: Slot,
        /// Who is to be answered.
        reply: ReplyTo,
        /// What.
        query: Query,
    },
    /// Another slot has answered.
    Replied {
        /// Whose question it was.
        slot: Slot,
        /// The answer.
        input: Input,
    },
    /// End when all is done.
    Close,
}

impl ToWorker {
    /// Who waits for an answer.
    pub fn reply(&self) -> Option<ReplyTo> {
        match self {
            ToWorker::Command { reply, .. } | ToWorker::Query { reply, .. } => Some(*reply),
            ToWorker::Replied { .. } | ToWorker::Close => None,
        }
    }
}

/// What was handed in together, and when.
struct Handful {
    at_ms: u64,
    count: usize,
}

#[derive(Default)]
struct Waiting {
    given: Vec<ToWorker>,
    /// When the oldest of it was given, by the monotonic clock.
    since_ms: u64,
    waker: Option<Waker>,
    closed: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    capacity: usize,
    /// The worker has ended.
    ended: watch::Sender<bool>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nothing panics while it holds a mailbox")
    }
}

/// The end into which a worker is given things. Cheap to clone.
#[derive(Clone)]
pub(super) struct Mailbox {
    shared: Arc<Shared>,
    pub(super) backlog: Arc<Backlog>,
}

/// A worker's end of its mailbox.
pub(super) struct Inbox {
    shared: Arc<Shared>,
    pub(super) meter: Meter,
    /// How much of what was taken is not done, and since when the first of it waited.
    taken: u64,
    since_ms: u64,
}

/// A mailbox for so many things.
pub(super) fn mailbox(capacity: usize) -> (Mailbox, Inbox) {
    let shared = Arc::new(Shared { waiting: Mutex::default(), capacity, ended: watch::Sender::new(false) });
    let backlog = Arc::new(Backlog::default());
    let meter = Meter::new(backlog.clone());
    (Mailbox { shared: shared.clone(), backlog }, Inbox { shared, meter, taken: 0, since_ms: 0 })
}

impl Mailbox {
    /// Gives the worker all of these, or as many as there is room for: the others are left.
    ///
    /// # Errors
    /// There was no room for all, or the worker has ended.
    pub(super) fn give_all(&self, given: &mut Vec<ToWorker>, at_ms: u64) -> Result<(), Refusal> {
        let mut waiting = self.shared.waiting();
        if waiting.closed {
            return Err(Refusal::Unavailable);
        }
        let room = self.shared.capacity.saturating_sub(waiting.given.len());
        let handful = Handful { at_ms, count: room.min(given.len()) };
        self.put(&mut waiting, handful, given.drain(..room.min(given.len())));
        let waker = waiting.waker.take();
        drop(waiting);
        // Woken outside the lock: it may run at once.
        waker.into_iter().for_each(Waker::wake);
        if given.is_empty() { Ok(()) } else { Err(Refusal::Overloaded) }
    }

    fn put(&self, waiting: &mut Waiting, handful: Handful, given: impl Iterator<Item = ToWorker>) {
        if waiting.given.is_empty() {
            waiting.since_ms = handful.at_ms;
        }
        // Before it can be taken, or it could be counted as done before it is counted.
        self.backlog.more(handful.count as u64);
        waiting.given.extend(given);
    }

    /// Has the worker end when all is done.
    pub(super) fn close(&self) {
        let mut waiting = self.shared.waiting();
        if !waiting.closed {
            // However full it is: nothing comes after it.
            self.put(&mut waiting, Handful { at_ms: 0, count: 1 }, std::iter::once(ToWorker::Close));
        }
        let waker = waiting.waker.take();
        drop(waiting);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Resolves when the worker has ended.
    pub(super) async fn closed(&self) {
        let mut ended = self.shared.ended.subscribe();
        // The sender lives as long as this does.
        _ = ended.wait_for(|ended| *ended).await;
    }
}

impl Inbox {
    /// Ready with everything that has come, in the place of `into`, which must be empty.
    pub(super) fn poll_take(&mut self, context: &mut Context<'_>, into: &mut Vec<ToWorker>) -> Poll<()> {
        debug_assert!(into.is_empty(), "what was taken before is done");
        let mut waiting = self.shared.waiting();
        if waiting.given.is_empty() {
            if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                waiting.waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        mem::swap(&mut waiting.given, into);
        if self.taken == 0 {
            self.since_ms = waiting.since_ms;
        }
        self.taken += into.len() as u64;
        Poll::Ready(())
    }

    /// What was taken is done.
    pub(super) fn done(&mut self, now_ms: u64) {
        if self.taken > 0 {
            self.meter.done(mem::take(&mut self.taken), self.since_ms, now_ms);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut waiting = self.shared.waiting();
        waiting.closed = true;
        waiting.given = Vec::new();
        drop(waiting);
        self.shared.ended.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replied() -> ToWorker {
        ToWorker::Replied { slot: Slot(1), input: Input::Tick }
    }

    fn take(inbox: &mut Inbox) -> usize {
        let mut taken = Vec::new();
        let mut context = Context::from_waker(Waker::noop());
        _ = inbox.poll_take(&mut context, &mut taken);
        taken.len()
    }

    #[test]
    fn what_does_not_fit_is_left_and_a_close_always_fits() {
        let (mailbox, mut inbox) = mailbox(3);
        let mut given: Vec<ToWorker> = (0..5).map(|_| replied()).collect();
        assert_eq!(mailbox.give_all(&mut given, 10), Err(Refusal::Overloaded));
        assert_eq!(given.len(), 2);
        mailbox.close();
        assert_eq!((take(&mut inbox), inbox.since_ms, take(&mut inbox)), (4, 10, 0));
        inbox.done(20);
        assert_eq!(mailbox.give_all(&mut given, 30), Ok(()));
        assert!(given.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_learns_of_the_end() {
        let (mailbox, mut inbox) = mailbox(3);
        let mut taken = Vec::new();
        let mut waiting = Box::pin(std::future::poll_fn(|context| inbox.poll_take(context, &mut taken)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        mailbox.give_all(&mut vec![replied(), replied()], 0).expect("there is room");
        waiting.await;
        assert_eq!(taken.len(), 2);
        drop(inbox);
        mailbox.closed().await;
        assert_eq!(mailbox.give_all(&mut vec![replied()], 0), Err(Refusal::Unavailable));
    }
}
