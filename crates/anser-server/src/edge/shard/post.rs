//! What others hand to a shard: batches of the core, connections, answers that were waited for. A bell wakes it, and
//! is rung only while it sleeps.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use anser_core::ports::PortFuture;
use anser_edge::{Input, Verified};
use anser_proto::v1;
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::Notify;

use super::super::inside::Inbox;
use super::super::stream::Stream;
use super::super::{CameBy, Protocol};
use crate::accounts::LastSeen;
use crate::node::{Batch, EDGE_QUEUE_BATCHES, EdgeSink};

/// What a shard is asked to do by others than its core.
pub(in super::super) enum ToShard {
    /// Take over a connection, with what was read beyond its handshake.
    Adopt { stream: Stream, protocol: Protocol, came: CameBy, already_read: Vec<u8> },
    /// Somebody inside the process comes, and says something.
    Enter { caller: u64, verified: Option<Verified>, inbox: Arc<Inbox>, frame: v1::ClientFrame },
    /// It has room for more.
    Fill { caller: u64 },
    /// It goes.
    Leave { caller: u64 },
    /// What a session waited for, or asked for.
    Input { session: u64, input: Input },
    /// What was looked up of people, for those who watch them; and for a request that asked.
    Seen { seen: Vec<LastSeen>, answer: Option<Looking> },
    /// Tell everybody to go.
    Drain,
    /// Close what is still there, in good order.
    CloseAll,
    /// Close what is still there, at once.
    HangUpAll,
    /// Nothing more will come.
    End,
}

/// Which request asked who is there.
pub(in super::super) struct Looking {
    pub session: u64,
    pub request: u64,
    pub cid: anser_model::ConversationId,
}

/// Where it is put.
pub(in super::super) struct Post {
    core: Mutex<VecDeque<Batch>>,
    others: Mutex<Vec<ToShard>>,
    /// Somebody may be waiting for room among the batches.
    room: Notify,
    bell: OwnedFd,
    asleep: AtomicBool,
    /// Nobody takes anything any more.
    closed: AtomicBool,
    /// Connections that it holds, or is about to.
    pub connections: AtomicUsize,
    /// Of these, on how many somebody is signed in.
    pub signed_in: AtomicUsize,
    next_caller: AtomicU64,
}

impl Post {
    pub fn new() -> io::Result<Self> {
        Ok(Post {
            core: Mutex::default(),
            others: Mutex::default(),
            room: Notify::new(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            asleep: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            signed_in: AtomicUsize::new(0),
            next_caller: AtomicU64::new(0),
        })
    }

    /// Hands something over.
    pub fn put(&self, what: ToShard) {
        self.others().push(what);
        if self.closed.load(Ordering::SeqCst) {
            return self.turn_away();
        }
        self.ring();
    }

    /// The shard has ended: whoever came is turned away, and whoever comes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.turn_away();
    }

    fn turn_away(&self) {
        for what in mem::take(&mut *self.others()) {
            if let ToShard::Enter { inbox, .. } = what {
                inbox.close();
            }
        }
    }

    /// Names somebody inside.
    pub fn name_caller(&self) -> u64 {
        self.next_caller.fetch_add(1, Ordering::Relaxed)
    }

    fn others(&self) -> MutexGuard<'_, Vec<ToShard>> {
        self.others.lock().expect("nothing panics while it holds the post")
    }

    fn core(&self) -> MutexGuard<'_, VecDeque<Batch>> {
        self.core.lock().expect("nothing panics while it holds the post")
    }

    fn ring(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            // It can only be full, and then it rings already.
            _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    /// What rings.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// It rang.
    pub fn heard(&self) {
        // It may have been silenced already.
        _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    /// From here on the bell is rung. Whether the shard may sleep: nothing has come.
    pub fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let is_empty = self.core().is_empty() && self.others().is_empty();
        if !is_empty {
            self.asleep.store(false, Ordering::SeqCst);
        }
        is_empty
    }

    pub fn wake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Everything that has come from others than the core.
    pub fn take_others(&self, into: &mut Vec<ToShard>) {
        mem::swap(&mut *self.others(), into);
    }

    /// Everything that the core has handed on.
    pub fn take_core(&self, into: &mut VecDeque<Batch>) {
        let was_full = {
            let mut core = self.core();
            mem::swap(&mut *core, into);
            into.len() >= EDGE_QUEUE_BATCHES
        };
        if was_full {
            self.room.notify_waiters();
        }
    }
}

impl EdgeSink for Post {
    fn offer(&self, batch: Batch) -> Result<(), Batch> {
        if self.closed.load(Ordering::SeqCst) {
            // Nobody is left to be told.
            return Ok(());
        }
        let mut core = self.core();
        if core.len() >= EDGE_QUEUE_BATCHES {
            return Err(batch);
        }
        core.push_back(batch);
        drop(core);
        self.ring();
        Ok(())
    }

    fn room(self: Arc<Self>) -> PortFuture<()> {
        Box::pin(async move {
            loop {
                let notified = self.room.notified();
                let mut notified = std::pin::pin!(notified);
                // Before it is looked, so that nothing falls between.
                notified.as_mut().enable();
                if self.core().len() < EDGE_QUEUE_BATCHES {
                    return;
                }
                notified.await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch { handed_at_ms: 0, weight: 0, items: Vec::new() }
    }

    fn rings(post: &Post) -> bool {
        rustix::io::read(&post.bell, &mut [0; 8]).is_ok()
    }

    #[test]
    fn the_bell_is_rung_once_and_only_for_who_sleeps() {
        let post = Post::new().expect("there are descriptors");
        post.put(ToShard::Drain);
        assert!(!rings(&post) && !post.fall_asleep(), "something has come before");
        let mut others = Vec::new();
        post.take_others(&mut others);
        assert!(others.len() == 1 && post.fall_asleep());
        post.put(ToShard::Drain);
        post.offer(batch()).expect("there is room");
        assert!(rings(&post) && !rings(&post));
    }

    #[tokio::test]
    async fn a_core_waits_for_room_and_is_told_of_it() {
        let post = Arc::new(Post::new().expect("there are descriptors"));
        (0..EDGE_QUEUE_BATCHES).for_each(|_| post.offer(batch()).expect("there is room"));
        assert!(post.offer(batch()).is_err());
        let mut waiting = std::pin::pin!(post.clone().room());
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        post.take_core(&mut VecDeque::new());
        waiting.await;
        assert!(post.offer(batch()).is_ok());
    }
}
