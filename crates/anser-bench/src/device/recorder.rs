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

use crate::book::{Book, Entry, Faults, RECALLED, Tag, digest_of, digest_of_message, tag_of};

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
    /// Own commands without an answer.
    pending: HashMap<ClientId, Pending>,
    /// The newest n of each slot that came as an event on this connection.
    live: HashMap<u32, u64>,
}

/// A command without an answer.
#[derive(Debug, Clone, Copy)]
struct Pending {
    what: Asked,
    /// Whether it was written to a socket.
    written: bool,
}

/// What a command is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Say a message of this digest.
    Say(Tag, u64),
    /// Let something of this digest stand in place of a message.
    Amend(ConversationId, u64, u64),
}

/// One conversation.
#[derive(Debug, Default, Clone)]
pub struct Rows {
    /// By seq, from 1; 0: not seen.
    pub digests: Vec<u64>,
    /// The n under which each was seen.
    ns: Vec<u64>,
    /// What facts made of seqs, where that is not seen yet: a page from before may be looked at after them. What a
    /// message says since an edit that told nothing of it only its row says.
    amended: HashMap<u64, (u64, Option<u64>)>,
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
        let is_it = |pending: &Pending| matches!(pending.what, Asked::Say(said, _) if said == tag);
        self.seen().pending.values().any(is_it)
    }

    /// Whether a change of a message waits in the outbox that outlives the client.
    pub fn is_amending(&self, cid: ConversationId, seq: u64) -> bool {
        let is_it =
            |pending: &Pending| matches!(pending.what, Asked::Amend(at, of, _) if (at, of) == (cid, seq));
        self.seen().pending.values().any(is_it)
    }

    /// What it waits for, in words; none when for nothing.
    pub fn waits_for(&self) -> Option<String> {
        let seen = self.seen();
        let pending =
            seen.pending.values().map(|pending| (pending.what, pending.written)).collect::<Vec<_>>();
        let (own, attached) = (self.own, self.is_attached());
        (!pending.is_empty())
            .then(|| format!("{own} (attached {attached}): commands (what, written) {pending:?}"))
    }

    /// Waits until a message that is pending is acknowledged.
    pub async fn acknowledged(&self, tag: Tag) {
        self.until(|| self.book.has(tag) || !self.is_pending(tag)).await;
    }

    /// Waits until a change of a message that is pending is acknowledged.
    pub async fn amended(&self, cid: ConversationId, seq: u64, digest: u64) {
        self.until(|| self.book.amended(cid, seq) == Some(digest) || !self.is_amending(cid, seq)).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if is_so() {
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
        let Some(what) = frame.request.as_ref().and_then(|request| self.asked(request)) else { return };
        if let Asked::Say(tag, _) = what {
            self.book.begin(tag);
        }
        let mut seen = self.seen();
        let before = seen.pending.insert(client_id, Pending { what, written });
        if written && !before.is_some_and(|before| before.written) {
            self.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a command of a run is to do.
    fn asked(&self, request: &Request) -> Option<Asked> {
        match request {
            Request::Send(send) => {
                let message = send.message.as_ref()?;
                Some(Asked::Say(tag_of(message)?, digest_of_message(self.own.get(), message)))
            }
            Request::Edit(edit) => {
                let digest = digest_of_message(self.own.get(), edit.message.as_ref()?);
                Some(Asked::Amend(cid_of(edit.r#in.as_ref())?, edit.seq, digest))
            }
            Request::Recall(recall) => {
                Some(Asked::Amend(cid_of(recall.r#in.as_ref())?, recall.seq, RECALLED))
            }
            _ => None,
        }
    }

    fn settled(&self, client_id: ClientId) -> Option<Asked> {
        let pending = self.seen().pending.remove(&client_id)?;
        if pending.written {
            self.written.fetch_sub(1, Ordering::Relaxed);
        }
        Some(pending.what)
    }

    fn sent(&self, client_id: ClientId, accepted: &v1::Accepted) {
        let pending = self.seen().pending.get(&client_id).copied();
        let (Some(pending), Ok(cid)) = (pending, wire::cid(&accepted.cid)) else { return };
        self.seen().rows.entry(cid).or_default().reach(accepted.seq);
        // In the book before it is no longer pending: whoever looks finds it in one of the two.
        match pending.what {
            Asked::Say(tag, digest) => {
                self.book.acknowledge(tag, Entry { cid, seq: accepted.seq, client_id, digest });
            }
            Asked::Amend(cid, seq, digest) => self.book.amend(cid, seq, digest),
        }
        self.settled(client_id);
        self.settled.notify_waiters();
    }

    fn failed(&self, client_id: ClientId, error: &v1::Error) {
        let Some(what) = self.settled(client_id) else { return };
        let why = format!("{}: {}", error.code, error.message);
        match what {
            Asked::Say(tag, _) => self.book.refuse(tag, &why),
            Asked::Amend(cid, seq, _) => self.book.refuse_amendment(cid, seq, error),
        }
        self.settled.notify_waiters();
    }
}

/// Whether a message is shown as something has changed it.
fn is_amended(event: &v1::Event) -> bool {
    match &event.change {
        Some(v1::event::Change::Message(message)) => message.recalled || message.edits > 0,
        _ => false,
    }
}

/// The conversation that a request names by its cid.
fn cid_of(target: Option<&v1::Target>) -> Option<ConversationId> {
    match target?.target.as_ref()? {
        v1::target::Target::Cid(cid) => wire::cid(cid).ok(),
        v1::target::Target::Peer(_) => None,
    }
}

impl Observer for Recorder {
    fn observe(&self, update: &Update) {
        match update {
            Update::Event(event) => self.event(event),
            Update::Head(head) => self.head_told(head),
            Update::Sent { client_id, accepted } => self.sent(*client_id, accepted),
            Update::Failed { client_id, error } => self.failed(*client_id, error),
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
            | Update::Typing { .. }
            | Update::Presence(_)
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
        let rows = self.rows.entry(cid).or_default();
        if !rows.see(event.seq, event.n, digest_of(event), is_amended(event)) {
            self.faults.add(|| format!("{cid:?} seq {}: seen before as something else", event.seq));
        }
        match &event.change {
            Some(v1::event::Change::Recalled(recalled)) => rows.amend(recalled.seq, event.n, Some(RECALLED)),
            Some(v1::event::Change::Edited(edited)) => {
                // One edits one's own, so that who edits is who said it.
                let says = edited.message.as_ref().map(|message| digest_of_message(event.author, message));
                rows.amend(edited.seq, event.n, says);
            }
            _ => {}
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
            self.ns.resize(seq as usize, 0);
        }
    }

    /// Sees what stands at a seq as of an n. `false` where it stood as something else under the same n, or
    /// stands as something else under a later one that changed no message.
    fn see(&mut self, seq: u64, n: u64, digest: u64, is_amended: bool) -> bool {
        self.reach(seq);
        let (n, digest) = match self.amended.get(&seq) {
            // It is not what stands there any more; what does, another page says.
            Some(&(later, None)) if later > n => return true,
            Some(&(later, Some(amended))) if later > n => (later, amended),
            _ => (n, digest),
        };
        let (known, known_n) = (&mut self.digests[seq as usize - 1], &mut self.ns[seq as usize - 1]);
        if *known == 0 {
            (*known, *known_n) = (digest, n);
            self.missing -= 1;
            return true;
        }
        if n > *known_n && is_amended {
            (*known, *known_n) = (digest, n);
        }
        n < *known_n || *known == digest
    }

    /// A fact made something else of what stands at a seq; `None`: what, its row says.
    fn amend(&mut self, seq: u64, n: u64, digest: Option<u64>) {
        let place = (seq as usize).wrapping_sub(1);
        let is_known = self.digests.get(place).is_some_and(|known| *known != 0);
        if is_known && self.ns[place] >= n {
            return;
        }
        match digest {
            Some(digest) if is_known => (self.digests[place], self.ns[place]) = (digest, n),
            _ => {
                let (at, what) = self.amended.entry(seq).or_insert((n, digest));
                if n > *at {
                    (*at, *what) = (n, digest);
                }
                if is_known {
                    (self.digests[place], self.ns[place]) = (0, 0);
                    self.missing += 1;
                }
            }
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
