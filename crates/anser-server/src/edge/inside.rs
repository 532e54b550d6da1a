//! Those who ask from inside the process: the HTTP API. They speak through a session as a socket does, so
//! that what they may do is decided in the same place; an inbox stands where the socket would.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anser_core::engine::{Answer, Query};
use anser_edge::{Grant, Session, Verified, convert};
use anser_model::{AccountId, ConversationId, N, Slot};
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Wire;
use anser_proto::v1::server_frame::Frame;
use anser_proto::{Encoding, ErrorCode, VERSION_MAX, decode_server, v1};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::shard::post::{Post, ToShard};
use super::{Edge, ws};

/// Bytes that an inbox holds before the session keeps them, with the limits of a socket's.
const INBOX_BYTES: usize = 4 * 1024 * 1024;
/// Bytes after which a poll tells what it has, and leaves the rest to the next one.
const POLL_SOFT_BYTES: usize = 512 * 1024;
/// How long a poll waits for slots that owe their heads.
const HEADS_PATIENCE: Duration = Duration::from_secs(5);
/// The request id of the one request of a session.
const ASKED: u64 = 1;

/// What came for somebody inside.
#[derive(Default)]
pub(super) struct Inbox {
    frames: Mutex<VecDeque<Bytes>>,
    news: Notify,
    /// The session has more than there is room for.
    has_more: AtomicBool,
    /// Nothing more will come.
    closed: AtomicBool,
}

impl Inbox {
    fn frames(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.frames.lock().expect("nothing panics while it holds an inbox")
    }

    /// Takes what the session has to say, while there is room.
    pub(super) fn fill(&self, session: &mut Session) {
        let is_news = {
            let mut frames = self.frames();
            if frames.iter().map(Bytes::len).sum::<usize>() < INBOX_BYTES {
                frames.extend(session.take_outgoing());
            }
            self.has_more.store(session.outgoing().len() > 0, Ordering::Release);
            !frames.is_empty()
        };
        if session.is_closing() {
            self.closed.store(true, Ordering::Release);
        }
        // Whoever has taken everything and looks again is to wait.
        if is_news || session.is_closing() {
            self.news.notify_one();
        }
    }

    /// The session is gone.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.news.notify_one();
    }
}

/// Somebody inside; gone when dropped.
struct Caller {
    post: Arc<Post>,
    caller: u64,
    inbox: Arc<Inbox>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.post.put(ToShard::Leave { caller: self.caller });
    }
}

impl Caller {
    /// Enters with the first thing that is said: as somebody who was let in, or as one who says hello.
    fn enter(edge: &Edge, verified: Option<Verified>, request: Request) -> Result<Caller, v1::Error> {
        let shared = &edge.shared;
        if shared.draining.is_cancelled() {
            return Err(v1::Error::new(ErrorCode::Draining, "the server is stopping: connect again"));
        }
        if edge.connections() >= shared.connections_max.load(Ordering::Relaxed) {
            let full = v1::Error::new(ErrorCode::Overloaded, "the server has as many connections as it may");
            return Err(full.after_ms(1_000));
        }
        let (post, inbox) = (edge.next_shard().clone(), Arc::<Inbox>::default());
        let caller = post.name_caller();
        let frame = v1::ClientFrame { id: ASKED, request: Some(request) };
        post.put(ToShard::Enter { caller, verified, inbox: inbox.clone(), frame });
        Ok(Caller { post, caller, inbox })
    }

    /// What came next, waiting for it no longer than until `until`.
    async fn hear(&self, until: Instant) -> Option<Frame> {
        let inbox = &self.inbox;
        loop {
            let next = inbox.frames().pop_front();
            if let Some(bytes) = next {
                // What is no message is the farewell of a socket.
                let frame = decode_server(ws::binary_payload(&bytes)?, Encoding::Binary);
                return frame.expect("what was encoded here is a frame").frame;
            }
            // What did not fit before.
            if inbox.has_more.swap(false, Ordering::AcqRel) {
                self.post.put(ToShard::Fill { caller: self.caller });
            } else if inbox.closed.load(Ordering::Acquire) {
                // It may have come between the two looks.
                if inbox.frames().is_empty() {
                    return None;
                }
                continue;
            }
            let news = tokio::time::timeout_at(until, inbox.news.notified());
            if news.await.is_err() {
                return None;
            }
        }
    }
}

/// What a poll came to.
#[derive(Debug, Default)]
pub struct Polled {
    /// The history that everything in it belongs to.
    pub timeline: u64,
    /// How far whoever merges it has come: slot to n.
    pub slots: BTreeMap<u32, u64>,
    /// Conversations that changed since the cursor.
    pub heads: Vec<v1::Head>,
    /// What happened since.
    pub events: Vec<v1::Event>,
    /// More lies ready: ask again at once.
    pub more: bool,
}

/// Some of an account's conversations, slot by slot.
#[derive(Debug, Default)]
pub struct Page {
    /// As their asker sees them.
    pub heads: Vec<v1::Head>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<(Slot, ConversationId)>,
}

impl Edge {
    /// Asks in somebody's name as a socket would, and waits for the one answer.
    pub async fn ask(&self, grant: Grant, request: Request) -> Result<Wire, v1::Error> {
        let profile_version = self.shared.profile_version(grant.account).await?;
        let verified = Verified { grant, profile_version };
        let caller = Caller::enter(self, Some(verified), request)?;
        // The node answers whatever it took; a limit would turn a slow answer into an unknown one.
        let far = Instant::now() + Duration::from_secs(3_600);
        loop {
            match caller.hear(far).await {
                Some(Frame::Response(v1::Response { id: ASKED, result: Some(Wire::Error(error)) })) => {
                    return Err(error);
                }
                Some(Frame::Response(v1::Response { id: ASKED, result: Some(result) })) => return Ok(result),
                Some(Frame::Response(v1::Response { id: 0, result: Some(Wire::Error(error)) })) => {
                    return Err(error);
                }
                Some(_) => {}
                None => return Err(v1::Error::new(ErrorCode::UnknownOutcome, "the server is stopping")),
            }
        }
    }

    /// Attaches as a socket would, gathers what changed after the cursor, and waits for something to happen if
    /// nothing did.
    pub async fn poll(&self, token: String, cursor: v1::Cursor, wait: Duration) -> Result<Polled, v1::Error> {
        let began = Instant::now();
        let hello = v1::Hello {
            version_min: VERSION_MAX,
            version_max: VERSION_MAX,
            token,
            cursor: Some(cursor.clone()),
            client: "HTTP sync".into(),
            send_only: false,
        };
        let caller = Caller::enter(self, None, Request::Hello(hello))?;
        let mut gathering = Gathering::new(cursor);
        loop {
            let until = if gathering.owes() { began + HEADS_PATIENCE } else { began + wait };
            let frame = match gathering.is_worth_telling() {
                // What lies ready comes with it.
                true => caller.hear(Instant::now()).await,
                false => caller.hear(until.max(Instant::now())).await,
            };
            let Some(frame) = frame else { return gathering.told() };
            if gathering.take(frame)? {
                return gathering.told();
            }
        }
    }

    /// Conversations of an account in the order of their slots and ids, at most `limit` of them, from `from` on.
    pub async fn conversations(
        &self,
        account: AccountId,
        from: Option<(Slot, ConversationId)>,
        limit: usize,
    ) -> Result<Page, v1::Error> {
        let (edge, home) = (&self.shared, ConversationId::of_self(account));
        let refused = |refusal| convert::error(&refusal);
        let answer = edge.node.ask_query(edge.node.slot(home), Query::Home { cid: home }).await;
        let Answer::Home(view) = answer.map_err(refused)? else {
            return Err(v1::Error::new(ErrorCode::Internal, "a home did not answer as one"));
        };
        let first = from.map_or(Slot(0), |(slot, _)| slot);
        let slots: BTreeSet<Slot> = view.slots.into_iter().filter(|&slot| slot >= first).collect();
        let mut page = Page::default();
        for slot in slots {
            let query = Query::Changes { account, after: N(0) };
            let Answer::Heads { heads, .. } = edge.node.ask_query(slot, query).await.map_err(refused)? else {
                return Err(v1::Error::new(ErrorCode::Internal, "a slot did not answer a sync"));
            };
            let mut heads: Vec<_> =
                heads.into_iter().filter(|head| from.is_none_or(|from| (slot, head.cid) >= from)).collect();
            heads.sort_unstable_by_key(|head| head.cid);
            for head in heads {
                if page.heads.len() == limit {
                    page.next = Some((slot, head.cid));
                    return Ok(page);
                }
                page.heads.push(convert::head(&head));
            }
        }
        Ok(page)
    }
}

/// What a poll has heard.
struct Gathering {
    asked: v1::Cursor,
    polled: Polled,
    welcomed: bool,
    owing: BTreeSet<u32>,
    /// Heads of slots that have more to say.
    parts: HashMap<u32, Vec<v1::Head>>,
    bytes: usize,
}

impl Gathering {
    fn new(asked: v1::Cursor) -> Self {
        Gathering {
            asked,
            polled: Polled::default(),
            welcomed: false,
            owing: BTreeSet::new(),
            parts: HashMap::new(),
            bytes: 0,
        }
    }

    fn owes(&self) -> bool {
        !self.welcomed || !self.owing.is_empty()
    }

    fn is_worth_telling(&self) -> bool {
        let has_news = !self.polled.heads.is_empty() || !self.polled.events.is_empty();
        has_news && !self.owes()
    }

    /// Takes what came; `true`: nothing more is to be waited for.
    fn take(&mut self, frame: Frame) -> Result<bool, v1::Error> {
        match frame {
            Frame::Response(v1::Response { result: Some(Wire::Welcome(welcome)), .. }) => {
                self.welcomed = true;
                self.polled.timeline = welcome.timeline;
                if self.asked.timeline == welcome.timeline {
                    self.polled.slots = std::mem::take(&mut self.asked.slots);
                }
                self.owing.extend(welcome.owing);
            }
            Frame::Response(v1::Response { result: Some(Wire::Error(error)), .. }) => return Err(error),
            Frame::SyncHeads(heads) if !heads.pending => self.heads(heads),
            Frame::Event(event) => {
                self.bytes += prost::Message::encoded_len(&event);
                let n = self.polled.slots.entry(event.slot).or_default();
                *n = event.n.max(*n);
                self.polled.events.push(event);
            }
            Frame::Kicked(kicked) => {
                return Err(v1::Error { code: kicked.code, message: kicked.message, retry_after_ms: 0 });
            }
            Frame::Resync(_) => {
                self.polled.more = true;
                return Ok(true);
            }
            Frame::Draining(_) => return Ok(true),
            _ => {}
        }
        if self.bytes >= POLL_SOFT_BYTES {
            self.polled.more = true;
            return Ok(true);
        }
        Ok(false)
    }

    fn heads(&mut self, part: v1::SyncHeads) {
        self.parts.entry(part.slot).or_default().extend(part.heads);
        if part.done {
            let heads = self.parts.remove(&part.slot).unwrap_or_default();
            self.bytes += heads.iter().map(prost::Message::encoded_len).sum::<usize>();
            self.polled.heads.extend(heads);
            self.polled.slots.insert(part.slot, part.n);
            self.owing.remove(&part.slot);
        }
    }

    fn told(mut self) -> Result<Polled, v1::Error> {
        if !self.welcomed {
            return Err(v1::Error::new(ErrorCode::Unavailable, "a part of the server cannot be reached now")
                .after_ms(1_000));
        }
        self.polled.more |= !self.owing.is_empty();
        Ok(self.polled)
    }
}
