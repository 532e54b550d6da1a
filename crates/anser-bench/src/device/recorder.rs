//! What one device has seen: per conversation a digest for each seq, and nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anser_client::store::{Change, MemoryStore, Saved, Store, StoreError};
use anser_client::{Observer, Status, Update};
use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::v1::{self, client_frame::Request};
use anser_proto::wire;
use tokio::sync::Notify;

use crate::book::{Book, Entry, Faults, Tag, digest_of, tag_of};

/// Sees everything that happens to one device; is also the store that outlives its clients.
pub struct Recorder {
    own: AccountId,
    book: Arc<Book>,
    store: Mutex<MemoryStore>,
    seen: Mutex<Seen>,
    attached: AtomicBool,
    /// Commands that were written to a socket and have no answer.
    written: AtomicUsize,
    missing: Notify,
    settled: Notify,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Digests by seq, from 1; 0: not seen.
    pub rows: HashMap<ConversationId, Rows>,
    /// Client ids that one's own messages carried where they were seen.
    pub own_ids: HashMap<Tag, ClientId>,
    /// Messages that came as events.
    pub delivered: u64,
    /// Times that the server welcomed it.
    pub attached: u64,
    /// Events that came again on one connection.
    pub doubled: u64,
    /// Events that came behind a later one of their slot on one connection.
    pub reordered: u64,
    /// Anything else that was wrong.
    pub faults: Faults,
    /// Own sends without an answer: by client id, the message, and whether it was written to a socket.
    pending: HashMap<ClientId, (Tag, u64, bool)>,
    /// The newest n of each slot that came as an event on this connection.
    live: HashMap<u32, u64>,
}

/// One conversation.
#[derive(Debug, Default, Clone)]
pub struct Rows {
    /// By seq, from 1; 0: not seen.
    pub digests: Vec<u64>,
    /// The newest seq that anything told of.
    pub head: u64,
    /// How many are not seen below that.
    missing: u64,
}

impl Recorder {
    /// Of a device of somebody.
    pub fn new(own: AccountId, book: Arc<Book>) -> Recorder {
        Recorder {
            own,
            book,
            store: Mutex::default(),
            seen: Mutex::default(),
            attached: AtomicBool::new(false),
            written: AtomicUsize::new(0),
            missing: Notify::new(),
            settled: Notify::new(),
        }
    }

    /// The store, for the next client.
    pub fn store(self: &Arc<Self>) -> Box<dyn Store> {
        Box::new(RecorderStore(self.clone()))
    }

    /// Commands that were written to the connection that stands, and have no answer yet.
    pub fn in_flight(&self) -> usize {
        if self.attached.load(Ordering::Relaxed) { self.written.load(Ordering::Relaxed) } else { 0 }
    }

    /// Whether the device is attached, as far as it knows.
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed)
    }

    /// Its client is gone.
    pub fn detached(&self) {
        self.attached.store(false, Ordering::Relaxed);
    }

    /// Whether a message waits in the outbox that outlives the client.
    pub fn is_pending(&self, tag: Tag) -> bool {
        self.seen().pending.values().any(|&(pending, ..)| pending == tag)
    }

    /// What it waits for, in words; none when for nothing.
    pub fn waits_for(&self) -> Option<String> {
        let seen = self.seen();
        let pending = seen.pending.values().map(|&(tag, _, written)| (tag, written)).collect::<Vec<_>>();
        let (own, attached) = (self.own, self.is_attached());
        (!pending.is_empty())
            .then(|| format!("{own} (attached {attached}): sends (message, written) {pending:?}"))
    }

    /// Waits until a message that is pending is acknowledged.
    pub async fn acknowledged(&self, tag: Tag) {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if self.book.has(tag) || !self.is_pending(tag) {
                return;
            }
            settled.await;
        }
    }

    /// The newest seq of a conversation that anything told of.
    pub fn head(&self, cid: ConversationId) -> u64 {
        self.seen().rows.get(&cid).map_or(0, |rows| rows.head)
    }

    /// Whether it holds every fact of a conversation up to `seq`.
    pub fn holds(&self, cid: ConversationId, seq: u64) -> bool {
        self.seen().rows.get(&cid).is_some_and(|rows| rows.head >= seq && rows.missing == 0)
    }

    /// Resolves once something may be missing.
    pub async fn missing_something(&self) {
        self.missing.notified().await;
    }

    /// Says that something may be missing.
    pub fn look_for_gaps(&self) {
        self.missing.notify_one();
    }

    /// The lowest run of seqs not seen, of each conversation that has one.
    pub fn gaps(&self) -> Vec<(ConversationId, u64, u64)> {
        let seen = self.seen();
        let gaps = seen.rows.iter().filter(|(_, rows)| rows.missing > 0);
        gaps.filter_map(|(&cid, rows)| rows.lowest_gap().map(|(low, high)| (cid, low, high))).collect()
    }

    /// Takes a page that was asked for to fill a gap.
    pub fn take_page(&self, cid: ConversationId, (low, high): (u64, u64), page: &v1::Page) {
        let mut seen = self.seen();
        let mut filled = false;
        for event in &page.events {
            filled |= (low..=high).contains(&event.seq);
            seen.record(self.own, event);
        }
        let more = seen.rows.get(&cid).is_some_and(|rows| rows.missing > 0);
        if !filled {
            let what =
                || format!("{cid:?}: a page shows nothing of {low}..={high}, which heads or events told of");
            seen.faults.add(what);
        } else if more {
            self.missing.notify_one();
        }
    }

    /// What was seen.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store_held(&self) -> MutexGuard<'_, MemoryStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, event: &v1::Event) {
        let mut seen = self.seen();
        let newest = seen.live.insert(event.slot, event.n).unwrap_or_default();
        if newest == event.n {
            seen.doubled += 1;
        } else if newest > event.n {
            seen.reordered += 1;
            seen.live.insert(event.slot, newest);
        }
        if matches!(event.change, Some(v1::event::Change::Message(_))) {
            seen.delivered += 1;
        }
        seen.record(self.own, event);
    }

    fn head_told(&self, head: &v1::Head) {
        let mut seen = self.seen();
        if let Ok(cid) = wire::cid(&head.cid) {
            seen.rows.entry(cid).or_default().reach(head.seq);
        }
        if let Some(last) = &head.last_message {
            seen.record(self.own, last);
        }
    }

    fn put(&self, client_id: ClientId, frame: &v1::ClientFrame, written: bool) {
        let Some(Request::Send(send)) = &frame.request else { return };
        let Some(message) = &send.message else { return };
        let Some(tag) = tag_of(message) else { return };
        let event = v1::Event {
            author: self.own.get(),
            change: Some(v1::event::Change::Message(message.clone())),
            ..v1::Event::default()
        };
        let mut seen = self.seen();
        let before = seen.pending.insert(client_id, (tag, digest_of(&event), written));
        if written && !before.is_some_and(|(.., written)| written) {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn settled(&self, client_id: ClientId) -> Option<Tag> {
        let (tag, _, written) = self.seen().pending.remove(&client_id)?;
        if written {
            self.written.fetch_sub(1, Ordering::Relaxed);
        }
        Some(tag)
    }

    fn sent(&self, client_id: ClientId, accepted: &v1::Accepted) {
        let pending = self.seen().pending.get(&client_id).copied();
        let (Some((tag, digest, _)), Ok(cid)) = (pending, wire::cid(&accepted.cid)) else { return };
        self.seen().rows.entry(cid).or_default().reach(accepted.seq);
        // In the book before it is no longer pending: whoever looks finds it in one of the two.
        self.book.acknowledge(tag, Entry { cid, seq: accepted.seq, client_id, digest });
        self.settled(client_id);
        self.settled.notify_waiters();
    }
}

impl Observer for Recorder {
    fn observe(&self, update: &Update) {
        match update {
            Update::Event(event) => self.event(event),
            Update::Head(head) => self.head_told(head),
            Update::Sent { client_id, accepted } => self.sent(*client_id, accepted),
            Update::Failed { client_id, error } => {
                if let Some(tag) = self.settled(*client_id) {
                    self.book.refuse(tag, &format!("{}: {}", error.code, error.message));
                    self.settled.notify_waiters();
                }
            }
            Update::Status(status) => {
                let attached = matches!(status, Status::Attached { .. });
                self.attached.store(attached, Ordering::Relaxed);
                let mut seen = self.seen();
                seen.attached += u64::from(attached);
                seen.live.clear();
                if let Status::Ended(anser_client::session::Ended::Kicked { code, .. }) = status {
                    seen.faults.add(|| format!("kicked: {code}"));
                }
            }
            Update::Synced => self.missing.notify_one(),
            Update::Restarted(timeline) => {
                self.seen().faults.add(|| format!("another timeline: {timeline:?}"))
            }
            Update::Reminted { .. }
            | Update::Conversation(_)
            | Update::Profiles(_)
            | Update::NotSaved(_)
            | Update::Missed(_) => {}
        }
    }
}

impl Seen {
    fn record(&mut self, own: AccountId, event: &v1::Event) {
        let Ok(cid) = wire::cid(&event.cid) else { return };
        if event.seq == 0 {
            return;
        }
        let digest = digest_of(event);
        let rows = self.rows.entry(cid).or_default();
        rows.reach(event.seq);
        let row = &mut rows.digests[event.seq as usize - 1];
        if *row == 0 {
            *row = digest;
            rows.missing -= 1;
        } else if *row != digest {
            self.faults.add(|| format!("{cid:?} seq {}: seen before as something else", event.seq));
        }
        if event.author != own.get() || event.client_id.is_empty() {
            return;
        }
        if let Some(v1::event::Change::Message(message)) = &event.change
            && let (Some(tag), Ok(client_id)) = (tag_of(message), wire::client_id(&event.client_id))
            && let Some(other) = self.own_ids.insert(tag, client_id).filter(|&known| known != client_id)
        {
            self.faults.add(|| format!("message {tag} carries two client ids: {other:?}, {client_id:?}"));
        }
    }
}

impl Rows {
    fn reach(&mut self, seq: u64) {
        if seq > self.head {
            self.missing += seq - self.head;
            self.head = seq;
            self.digests.resize(seq as usize, 0);
        }
    }

    fn lowest_gap(&self) -> Option<(u64, u64)> {
        let low = self.digests.iter().position(|&digest| digest == 0)?;
        let run = self.digests[low..].iter().take_while(|&&digest| digest == 0).count();
        Some((low as u64 + 1, (low + run) as u64))
    }
}

/// The store of a recorder, as the SDK takes one.
struct RecorderStore(Arc<Recorder>);

impl Store for RecorderStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        self.0.store_held().load()
    }

    fn apply(&mut self, change: Change) {
        if let Change::OutboxPut(entry) = &change {
            self.0.put(entry.client_id, &entry.frame, entry.written);
        }
        self.0.store_held().apply(change);
    }

    fn flush_outbox(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
