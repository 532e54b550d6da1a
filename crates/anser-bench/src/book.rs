//! The ledger: what was to be said, and what the server acknowledged, written down by the senders.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anser_model::limits::RECALL_WINDOW_MS;
use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::{ErrorCode, v1};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// The kind of the messages: an envelope of text, and a body that names the message.
pub const KIND: &str = "anser.load";

/// Names one message of a run. Ascending in the order in which its sender sends.
pub type Tag = u64;

/// One message to be said.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its name.
    pub tag: Tag,
    /// Who says it.
    pub author: AccountId,
    /// Where.
    pub cid: ConversationId,
    /// What.
    pub text: String,
}

impl Message {
    /// As it goes over the wire.
    pub fn to_wire(&self) -> v1::Message {
        let body = bytes::Bytes::copy_from_slice(&self.tag.to_be_bytes());
        v1::Message { kind: KIND.to_owned(), body, ..v1::Message::text(self.text.clone()) }
    }

    /// What its author makes of it.
    pub fn edited(&self) -> Message {
        Message { text: format!("{} (edited)", self.text), ..self.clone() }
    }

    /// What stands for its author, name and text wherever it is seen.
    pub fn digest(&self) -> u64 {
        digest(self.author.get(), self.tag, &self.text)
    }
}

/// The name in a message of a run; none in any other.
pub fn tag_of(message: &v1::Message) -> Option<Tag> {
    Some(Tag::from_be_bytes(message.body.as_ref().try_into().ok()?))
}

/// What stands for a message that was recalled, whoever said it.
pub const RECALLED: u64 = 1;

/// What stands for a message of a run, by whoever said it: never 0.
pub fn digest_of_message(author: u64, message: &v1::Message) -> u64 {
    match message.recalled {
        true => RECALLED,
        false => digest(author, tag_of(message).unwrap_or_default(), &message.text),
    }
}

/// What stands for a sequenced fact: never 0.
pub fn digest_of(event: &v1::Event) -> u64 {
    match &event.change {
        Some(v1::event::Change::Message(message)) if message.recalled || message.kind == KIND => {
            digest_of_message(event.author, message)
        }
        // Whether it tells the words of the message depends on who is told, and how.
        Some(v1::event::Change::Edited(edited)) => digest(event.author, edited.seq, "edited"),
        other => {
            let mut hasher = DefaultHasher::new();
            (event.author, format!("{other:?}")).hash(&mut hasher);
            hasher.finish() | 2
        }
    }
}

fn digest(author: u64, tag: Tag, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (author, tag, text).hash(&mut hasher);
    hasher.finish() | 2
}

/// Where a message stands, as its sender was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// In which conversation.
    pub cid: ConversationId,
    /// At which seq.
    pub seq: u64,
    /// Under which client id it was sent.
    pub client_id: ClientId,
    /// Of the message as it was to be said.
    pub digest: u64,
}

/// The ledger of a run.
#[derive(Debug)]
pub struct Book {
    pages: Mutex<Pages>,
    acknowledged: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: HashMap<Tag, Entry>,
    /// What stands at a seq since its author changed it.
    amended: HashMap<(ConversationId, u64), u64>,
    /// How often that happened, by conversation: edits and recalls.
    amendments: HashMap<ConversationId, (usize, usize)>,
    unread: Vec<Tag>,
    /// When each message was to be said: it is no older than that.
    begun: HashMap<Tag, Instant>,
    /// Messages that nobody could take back any more when it was asked.
    too_late: BTreeSet<(ConversationId, u64)>,
    faults: Faults,
}

/// What went wrong: how often, and the first few in words.
#[derive(Debug, Default, Clone)]
pub struct Faults {
    /// How many there were.
    pub count: usize,
    /// The first ones.
    pub first: Vec<String>,
}

/// Faults that are kept in words.
const FAULTS_KEPT: usize = 20;

impl Faults {
    /// Adds one.
    pub fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < FAULTS_KEPT {
            self.first.push(what());
        }
    }

    /// Adds those of another.
    pub fn take(&mut self, other: Faults) {
        self.count += other.count;
        self.first.extend(other.first.into_iter().take(FAULTS_KEPT.saturating_sub(self.first.len())));
    }
}

impl Default for Book {
    fn default() -> Self {
        Book { pages: Mutex::default(), acknowledged: watch::Sender::new(0) }
    }
}

impl Book {
    /// A sender was told that its message is durable.
    pub fn acknowledge(&self, tag: Tag, entry: Entry) {
        let mut pages = self.pages();
        match pages.entries.insert(tag, entry) {
            Some(before) if before == entry => return,
            Some(before) => {
                let what = || format!("message {tag} was acknowledged as {before:?}, then as {entry:?}");
                return pages.faults.add(what);
            }
            None => pages.unread.push(tag),
        }
        let count = pages.entries.len();
        drop(pages);
        self.acknowledged.send_replace(count);
    }

    /// An author was told that what they had said stands as something else, durably.
    pub fn amend(&self, cid: ConversationId, seq: u64, digest: u64) {
        let mut pages = self.pages();
        pages.amended.insert((cid, seq), digest);
        let (edits, recalls) = pages.amendments.entry(cid).or_default();
        *if digest == RECALLED { recalls } else { edits } += 1;
    }

    /// What stands at a seq since its author changed it.
    pub fn amended(&self, cid: ConversationId, seq: u64) -> Option<u64> {
        self.pages().amended.get(&(cid, seq)).copied()
    }

    /// How often messages of a conversation were changed.
    pub fn amendments(&self, cid: ConversationId) -> usize {
        self.pages().amendments.get(&cid).map_or(0, |(edits, recalls)| edits + recalls)
    }

    /// How often messages were edited, and how often taken back.
    pub fn all_amendments(&self) -> (usize, usize) {
        let pages = self.pages();
        pages.amendments.values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// Every entry.
    pub fn all(&self) -> Vec<(Tag, Entry)> {
        self.pages().entries.iter().map(|(&tag, &entry)| (tag, entry)).collect()
    }

    /// A message is to be said.
    pub fn begin(&self, tag: Tag) {
        self.pages().begun.entry(tag).or_insert_with(Instant::now);
    }

    /// The same, so many milliseconds ago.
    #[cfg(test)]
    pub fn begin_at(&self, tag: Tag, ago_ms: u64) {
        let mut pages = self.pages();
        let begun = pages.begun.get_mut(&tag).expect("it was begun");
        *begun = begun.checked_sub(Duration::from_millis(ago_ms)).expect("the machine runs for longer");
    }

    /// A change was refused for good, which none of a run may be: but for a recall by somebody who was away for
    /// longer than there is time for it.
    pub fn refuse_amendment(&self, cid: ConversationId, seq: u64, error: &v1::Error) {
        let mut pages = self.pages();
        let is_it = |(_, entry): &(&Tag, &Entry)| (entry.cid, entry.seq) == (cid, seq);
        let tag = pages.entries.iter().find(is_it).map(|(&tag, _)| tag);
        let begun = tag.and_then(|tag| pages.begun.get(&tag)).copied();
        let is_late = begun.is_some_and(|begun| begun.elapsed() >= Duration::from_millis(RECALL_WINDOW_MS));
        if error.code == ErrorCode::RecallTooLate.as_str() && is_late {
            pages.too_late.insert((cid, seq));
        } else {
            let why = format!("{}: {}", error.code, error.message);
            pages.faults.add(|| format!("{cid:?} seq {seq} could not be changed: {why}"));
        }
    }

    /// How many messages nobody could take back any more when it was asked.
    pub fn too_late(&self) -> usize {
        self.pages().too_late.len()
    }

    /// A message was refused for good, which none of a run may be.
    pub fn refuse(&self, tag: Tag, why: &str) {
        self.pages().faults.add(|| format!("message {tag} was refused: {why}"));
    }

    /// Whether a message was acknowledged.
    pub fn has(&self, tag: Tag) -> bool {
        self.pages().entries.contains_key(&tag)
    }

    /// Where a message stands.
    pub fn entry(&self, tag: Tag) -> Option<Entry> {
        self.pages().entries.get(&tag).copied()
    }

    /// How many messages were acknowledged.
    pub fn len(&self) -> usize {
        *self.acknowledged.borrow()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until so many are acknowledged.
    ///
    /// # Errors
    /// None was, for so long.
    pub async fn wait_for_count(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        let mut acknowledged = self.acknowledged.subscribe();
        loop {
            if *acknowledged.borrow_and_update() >= count {
                return Ok(());
            }
            let changed = timeout(patience, acknowledged.changed()).await;
            anyhow::ensure!(
                changed.is_ok(),
                "{} of {count} acknowledged, then none for {patience:?}",
                self.len()
            );
        }
    }

    /// Entries written since this was last asked.
    pub fn drain_new(&self) -> Vec<(Tag, Entry)> {
        let mut pages = self.pages();
        let tags = std::mem::take(&mut pages.unread);
        tags.into_iter().filter_map(|tag| Some((tag, *pages.entries.get(&tag)?))).collect()
    }

    /// What the senders found wrong.
    pub fn faults(&self) -> Faults {
        self.pages().faults.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
