//! A server of one account, and a network, for the session machine to run against.
#![allow(dead_code, reason = "each test binary uses its own part")]

mod registers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anser_client::session::{Answer, Failure};
use anser_client::session::{Input, LinkId, Now, Output, Session, Ticket, Update};
use anser_client::store::{MemoryStore, Store};
use anser_client::{Config, Keep};
use anser_model::unread::Unread;
use anser_model::{AccountId, ClientId, ConversationId, Ordinal, Seq, UnixMillis, limits};
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::event::Change;
use anser_proto::v1::response::Result as Answered;
use anser_proto::v1::server_frame::Frame;
use anser_proto::{ErrorCode, v1, wire};

pub const OWN: AccountId = AccountId(1);
pub const PEERS: [AccountId; 3] = [AccountId(2), AccountId(3), AccountId(4)];
/// Two of the conversations share a slot.
const SLOTS: [u32; 3] = [7, 7, 200];
pub const EPOCH_MS: u64 = 1_800_000_000_000;

pub fn cid(peer: AccountId) -> ConversationId {
    ConversationId::direct(OWN, peer)
}

pub fn slot_of(peer: AccountId) -> u32 {
    SLOTS[PEERS.iter().position(|&it| it == peer).unwrap()]
}

#[derive(Debug, Default, Clone)]
pub struct Log {
    /// As they stand now.
    pub facts: Vec<v1::Event>,
    /// What was ever said, recalled or not.
    pub said: Vec<String>,
    pub mark: u64,
    pub peer_mark: u64,
    /// How far the own devices have said that messages have come.
    pub delivered: u64,
    pub peer_delivered: u64,
    pub cleared: u64,
    pub hidden: BTreeSet<u64>,
    pub marked_unread: bool,
    pub n: u64,
}

impl Log {
    pub fn seq(&self) -> u64 {
        self.facts.len() as u64
    }

    pub fn ordinal(&self, seq: u64) -> u64 {
        if seq == 0 { 0 } else { self.facts[seq as usize - 1].ordinal }
    }

    /// Whether a page gives what is there.
    pub fn gives(&self, seq: u64) -> bool {
        seq > self.cleared && !self.hidden.contains(&seq)
    }
}

/// The server, as far as one account can tell.
#[derive(Debug, Default)]
pub struct Server {
    pub timeline: u64,
    pub logs: BTreeMap<AccountId, Log>,
    pub slot_n: BTreeMap<u32, u64>,
    memory: BTreeMap<ClientId, v1::Accepted>,
    /// Slots that owe, and do not stream.
    pub owing: Vec<u32>,
    attached: bool,
    pub now_ms: u64,
    /// What the next commands get instead of an answer.
    pub own_profile_version: u64,
    /// What it is asked about people, and who of them is there.
    pub profiles_asked: Vec<u64>,
    pub watches: Vec<(bytes::Bytes, Vec<u64>)>,
    pub there: BTreeMap<u64, v1::Presence>,
    pub refusals: VecDeque<v1::Error>,
    pub out: VecDeque<v1::ServerFrame>,
    /// Client ids in the order in which they first came.
    pub arrivals: Vec<ClientId>,
}

impl Server {
    pub fn new() -> Self {
        let logs = PEERS.map(|peer| (peer, Log::default()));
        Server { timeline: 1, logs: logs.into(), ..Server::default() }
    }

    pub fn disconnect(&mut self) {
        self.attached = false;
        self.out.clear();
    }

    pub fn restore_from_backup(&mut self) {
        *self = Server { timeline: self.timeline + 1, now_ms: self.now_ms, ..Server::new() };
    }

    pub fn message(
        &mut self,
        peer: AccountId,
        author: AccountId,
        message: v1::Message,
        id: Option<ClientId>,
    ) -> v1::Event {
        let ordinal =
            self.logs[&peer].facts.last().map_or(0, |fact| fact.ordinal) + u64::from(!message.uncounted);
        let seq = self.logs[&peer].seq() + 1;
        let client_id = id.filter(|_| author == OWN).map(wire::client_id_bytes).unwrap_or_default();
        let text = message.text.clone();
        let event =
            v1::Event { seq, ordinal, client_id, ..self.fact(peer, author, Change::Message(message)) };
        let log = self.logs.get_mut(&peer).unwrap();
        log.facts.push(event.clone());
        log.said.push(text);
        self.push(&event);
        event
    }

    pub fn read(&mut self, peer: AccountId, member: AccountId, seq: u64) -> Option<v1::Event> {
        let log = self.logs.get_mut(&peer).unwrap();
        let seq = seq.min(log.seq());
        let ordinal = log.ordinal(seq);
        let mark = if member == OWN { &mut log.mark } else { &mut log.peer_mark };
        if seq <= *mark {
            return None;
        }
        *mark = seq;
        if member == OWN {
            log.marked_unread = false;
        }
        let change = Change::MarkMoved(v1::MarkMoved { member: member.get(), seq, ordinal });
        let event = v1::Event { ordinal, ..self.fact(peer, member, change) };
        self.push(&event);
        Some(event)
    }

    /// The author of the message at `seq` takes it back on another device, if it is one that still says
    /// something.
    pub fn recall(&mut self, peer: AccountId, seq: u64) {
        let stands = seq.checked_sub(1).and_then(|index| self.logs[&peer].facts.get(index as usize)).cloned();
        let says = |message: &v1::Message| !message.recalled;
        let Some(mut stands) =
            stands.filter(|it| matches!(&it.change, Some(Change::Message(message)) if says(message)))
        else {
            return;
        };
        let change = Change::Recalled(v1::Recalled { seq });
        let (next, ordinal) = (self.logs[&peer].seq() + 1, self.logs[&peer].ordinal(self.logs[&peer].seq()));
        let recall = self.fact(peer, AccountId(stands.author), change);
        let event = v1::Event { seq: next, ordinal, ..recall };
        if let Some(Change::Message(message)) = &mut stands.change {
            let (kind, uncounted) = (message.kind.clone(), message.uncounted);
            *message = v1::Message { kind, uncounted, recalled: true, ..v1::Message::default() };
        }
        stands.n = event.n;
        let facts = &mut self.logs.get_mut(&peer).unwrap().facts;
        facts[seq as usize - 1] = stands;
        facts.push(event.clone());
        self.push(&event);
    }

    fn fact(&mut self, peer: AccountId, author: AccountId, change: Change) -> v1::Event {
        let n = self.slot_n.entry(slot_of(peer)).or_default();
        *n += 1;
        let log = self.logs.get_mut(&peer).unwrap();
        log.n = *n;
        v1::Event {
            slot: slot_of(peer),
            n: *n,
            cid: wire::cid_bytes(cid(peer)),
            at_ms: self.now_ms,
            author: author.get(),
            change: Some(change),
            ..v1::Event::default()
        }
    }

    fn push(&mut self, event: &v1::Event) {
        if self.attached && !self.owing.contains(&event.slot) {
            self.out.push_back(event.clone().into());
        }
    }

    /// The server lost its place for everything.
    pub fn resync(&mut self) {
        if self.attached {
            self.owing = vec![7, 200];
            self.out.push_back(frame(Frame::Resync(v1::Resync::default())));
        }
    }

    /// A slot that owes says what it has.
    pub fn settle(&mut self, slot: u32) {
        if !self.attached || !self.owing.contains(&slot) {
            return;
        }
        self.owing.retain(|&other| other != slot);
        let heads = PEERS.into_iter().filter(|&peer| slot_of(peer) == slot && self.logs[&peer].n > 0);
        let heads = heads.map(|peer| self.head(peer)).collect::<Vec<_>>();
        let n = self.slot_n.get(&slot).copied().unwrap_or_default();
        for head in heads {
            self.out.push_back(v1::SyncHeads { slot, heads: vec![head], ..v1::SyncHeads::default() }.into());
        }
        self.out.push_back(v1::SyncHeads { slot, done: true, n, ..v1::SyncHeads::default() }.into());
    }

    pub fn unread(&self, peer: AccountId) -> Unread {
        let log = &self.logs[&peer];
        let mut unread = Unread::default();
        let base = log.mark.max(log.cleared);
        unread.raise_base(Seq(base), Ordinal(log.ordinal(base)));
        for fact in &log.facts {
            if let Some(Change::Message(message)) = &fact.change
                && fact.author == OWN.get()
                && !message.uncounted
            {
                unread.own_send(Seq(fact.seq), Ordinal(fact.ordinal));
            }
        }
        unread
    }

    pub fn head(&self, peer: AccountId) -> v1::Head {
        let log = &self.logs[&peer];
        let unread = self.unread(peer);
        let ordinal = log.ordinal(log.seq());
        v1::Head {
            cid: wire::cid_bytes(cid(peer)),
            kind: v1::ConversationKind::Direct.into(),
            n: log.n,
            peer: peer.get(),
            seq: log.seq(),
            ordinal,
            last_message: log
                .facts
                .iter()
                .rfind(|it| matches!(it.change, Some(Change::Message(_))))
                .filter(|it| log.gives(it.seq))
                .cloned(),
            role: v1::Role::Member.into(),
            mark: log.mark,
            base_seq: unread.base().0,
            base_ordinal: unread.base_ordinal().0,
            own_sends: unread.own_sends().iter().map(|own| own.0.0).collect(),
            own_send_ordinals: unread.own_sends().iter().map(|own| own.1.0).collect(),
            unread: unread.count(Ordinal(ordinal)),
            peer_mark: log.peer_mark,
            member_count: 2,
            at_ms: log.facts.last().map_or(0, |fact| fact.at_ms),
            first_visible_seq: 1,
            peer_delivered: log.peer_delivered.max(log.peer_mark),
            marked_unread: log.marked_unread,
            cleared_seq: log.cleared,
            hidden: Self::runs(log.hidden.iter().copied().filter(|&seq| seq > log.cleared)),
            ..v1::Head::default()
        }
    }

    pub fn receive(&mut self, frame: v1::ClientFrame) {
        let answer = match frame.request.unwrap() {
            Request::Hello(hello) => self.hello(hello),
            Request::Ping(_) => Answered::Pong(v1::Pong { server_time_ms: EPOCH_MS + self.now_ms }),
            Request::Sync(sync) => {
                let owing = self.changed_since(&sync.cursor.unwrap_or_default());
                self.owing.clone_from(&owing);
                Answered::SyncStarted(v1::SyncStarted { owing })
            }
            Request::Send(send) => self.send(send),
            Request::ReadUpTo(read) => self.read_up_to(read),
            request @ (Request::DeliveredUpTo(_)
            | Request::MarkUnread(_)
            | Request::Hide(_)
            | Request::ClearHistory(_)) => self.take_register(request),
            Request::GetPage(asked) => self.page(&asked),
            Request::GetProfiles(asked) => {
                self.profiles_asked.extend(asked.accounts);
                Answered::ProfileList(v1::ProfileList::default())
            }
            Request::Watch(watch) => self.watch(watch),
            Request::GetConversations(asked) => {
                let asked_for = |peer: &AccountId| {
                    asked.cids.is_empty() || asked.cids.contains(&wire::cid_bytes(cid(*peer)))
                };
                let heads = PEERS.into_iter().filter(asked_for).map(|peer| self.head(peer)).collect();
                Answered::ConversationList(v1::ConversationList { heads })
            }
            Request::Typing(_) => {
                self.refusals.pop_front().map_or(Answered::Done(v1::Done {}), Answered::Error)
            }
            other => panic!("the tests do not use {other:?}"),
        };
        self.out.push_back(v1::ServerFrame::response(frame.id, answer));
    }

    fn changed_since(&self, cursor: &v1::Cursor) -> Vec<u32> {
        let known = |slot: &u32| {
            let n = if cursor.timeline == self.timeline {
                cursor.slots.get(slot).copied().unwrap_or(0)
            } else {
                0
            };
            let newest = self.slot_n.get(slot).copied().unwrap_or_default();
            if n > newest { 0 } else { n }
        };
        [7, 200]
            .into_iter()
            .filter(|slot| self.slot_n.get(slot).copied().unwrap_or_default() > known(slot))
            .collect()
    }

    fn hello(&mut self, hello: v1::Hello) -> Answered {
        assert_eq!((hello.version_min, hello.version_max), (1, 1));
        assert!(!hello.token.is_empty());
        self.attached = true;
        self.owing = self.changed_since(&hello.cursor.unwrap_or_default());
        Answered::Welcome(v1::Welcome {
            version: 1,
            account: OWN.get(),
            device: 1,
            session: 1,
            server_time_ms: EPOCH_MS + self.now_ms,
            heartbeat_interval_ms: 240_000,
            timeline: self.timeline,
            owing: self.owing.clone(),
            resume_ticket: "ticket".into(),
            backoff_base_ms: 100,
            backoff_cap_ms: 2_000,
            profile_version: self.own_profile_version,
        })
    }

    fn peer_of(&self, target: Option<v1::Target>) -> AccountId {
        match target.unwrap().target.unwrap() {
            v1::target::Target::Peer(peer) => AccountId(peer),
            v1::target::Target::Cid(bytes) => {
                PEERS.into_iter().find(|&peer| cid(peer).0[..] == bytes[..]).unwrap()
            }
        }
    }

    fn send(&mut self, send: v1::Send) -> Answered {
        let peer = self.peer_of(send.to);
        let id = wire::client_id(&send.client_id).unwrap();
        if !self.arrivals.contains(&id) {
            self.arrivals.push(id);
        }
        if let Some(known) = self.memory.get(&id) {
            return Answered::Accepted(v1::Accepted { duplicate: true, ..known.clone() });
        }
        if let Some(error) = self.refusals.pop_front() {
            return Answered::Error(error);
        }
        if id.minted_at() > UnixMillis(EPOCH_MS + self.now_ms + limits::CLIENT_ID_FUTURE_MS) {
            return Answered::Error(v1::Error::new(ErrorCode::ClientIdInFuture, "mint another"));
        }
        let event = self.message(peer, OWN, send.message.unwrap(), Some(id));
        let accepted = accepted(&event);
        self.memory.insert(id, accepted.clone());
        Answered::Accepted(accepted)
    }

    fn read_up_to(&mut self, read: v1::ReadUpTo) -> Answered {
        if read.timeline != self.timeline {
            return Answered::Error(v1::Error::new(ErrorCode::ForeignTimeline, "another history"));
        }
        let peer = self.peer_of(read.r#in);
        match self.read(peer, OWN, read.seq) {
            Some(event) => Answered::Accepted(accepted(&event)),
            None => Answered::Accepted(v1::Accepted {
                cid: wire::cid_bytes(cid(peer)),
                ..v1::Accepted::default()
            }),
        }
    }

    fn page(&mut self, asked: &v1::GetPage) -> Answered {
        let peer = self.peer_of(asked.r#in.clone());
        let end = if asked.before_seq == 0 { u64::MAX } else { asked.before_seq };
        let log = &self.logs[&peer];
        let all = log.facts.iter().filter(|fact| log.gives(fact.seq));
        let all = all.filter(|fact| fact.seq > asked.after_seq && fact.seq < end);
        let mut events = all.cloned().collect::<Vec<_>>();
        let more = events.len() > asked.limit as usize;
        if asked.after_seq > 0 || asked.changed_after_n > 0 {
            events.truncate(asked.limit as usize);
        } else {
            events.drain(..events.len().saturating_sub(asked.limit as usize));
        }
        events.retain(|event| event.n > asked.changed_after_n);
        let slot = slot_of(peer);
        let n = self.slot_n.get(&slot).copied().unwrap_or_default();
        Answered::Page(v1::Page { cid: wire::cid_bytes(cid(peer)), events, more, slot, n })
    }
}

pub fn frame(frame: Frame) -> v1::ServerFrame {
    v1::ServerFrame { frame: Some(frame) }
}

fn accepted(event: &v1::Event) -> v1::Accepted {
    v1::Accepted {
        cid: event.cid.clone(),
        slot: event.slot,
        n: event.n,
        seq: event.seq,
        at_ms: event.at_ms,
        duplicate: false,
        ordinal: event.ordinal,
    }
}

/// A session, a network of two queues, and the server at the other end.
pub struct World {
    pub session: Session,
    pub server: Server,
    pub store: MemoryStore,
    pub link: Option<LinkId>,
    pub to_server: VecDeque<v1::ClientFrame>,
    pub now_ms: u64,
    /// How far the client's wall clock is ahead.
    pub clock_skew_ms: u64,
    pub updates: Vec<Update>,
    pub answers: BTreeMap<Ticket, Result<Answer, Failure>>,
    pub last_ticket: Ticket,
    inputs: u64,
    is_saved: bool,
}

pub fn config() -> Config {
    Config { keep: Keep::Everything, save: Keep::Everything, ..Config::default() }
}

impl World {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        World {
            is_saved: config.save > Keep::Nothing,
            session: Session::new(config, Default::default(), Some("token".into())),
            server: Server::new(),
            store: MemoryStore::default(),
            link: None,
            to_server: VecDeque::new(),
            now_ms: 1_000,
            clock_skew_ms: 0,
            updates: Vec::new(),
            answers: BTreeMap::new(),
            last_ticket: 0,
            inputs: 0,
        }
    }

    pub fn input(&mut self, input: Input) {
        self.inputs += 1;
        let mut seed = [0x5a; 16];
        seed[..8].copy_from_slice(&self.inputs.to_le_bytes());
        let unix = UnixMillis(EPOCH_MS + self.now_ms + self.clock_skew_ms);
        let now = Now { unix, monotonic_ms: self.now_ms };
        for output in self.session.handle(now, seed, input) {
            match output {
                Output::Open { link, .. } => {
                    assert_eq!(self.link, None, "one connection at a time");
                    self.link = Some(link);
                    self.to_server.clear();
                    self.server.disconnect();
                }
                Output::Send(link, frame) => {
                    assert_eq!(self.link, Some(link), "frames go to the open connection");
                    if let Some(id) = frame.client_id().filter(|_| self.is_saved) {
                        let saved = self.store.entry(wire::client_id(id).unwrap());
                        assert!(saved.is_some_and(|entry| entry.written), "saved before it is sent");
                    }
                    self.to_server.push_back(*frame);
                }
                Output::Close(link) => {
                    assert_eq!(self.link.take(), Some(link));
                    self.server.disconnect();
                    self.to_server.clear();
                }
                Output::NeedToken => panic!("the tests have a token"),
                Output::Persist(change) => self.store.apply(*change),
                Output::Answer(ticket, answer) => {
                    assert!(self.answers.insert(ticket, answer).is_none(), "one answer for each ticket");
                }
                Output::Tell(update) => self.updates.push(update),
            }
        }
    }

    pub fn start(&mut self) {
        self.input(Input::Start);
        self.opened();
    }

    /// The connection that was asked for opens.
    pub fn opened(&mut self) {
        if let Some(link) = self.link {
            self.input(Input::Opened(link));
        }
    }

    pub fn ask(&mut self, intent: anser_client::session::Intent) -> Ticket {
        self.last_ticket += 1;
        self.input(Input::Do(self.last_ticket, intent));
        self.last_ticket
    }

    pub fn send_text(&mut self, peer: AccountId, text: &str) -> Ticket {
        let message = Some(v1::Message::text(text));
        let send = v1::Send { to: Some(v1::Target::peer(peer)), message, ..v1::Send::default() };
        self.ask(anser_client::session::Intent::Command(anser_client::Command::Send(send)))
    }

    /// One frame reaches the server.
    pub fn up(&mut self) -> bool {
        let Some(frame) = self.to_server.pop_front() else { return false };
        self.server.now_ms = self.now_ms;
        self.server.receive(frame);
        true
    }

    /// One frame reaches the client.
    pub fn down(&mut self) -> bool {
        let (Some(link), Some(frame)) = (self.link, self.server.out.pop_front()) else { return false };
        self.input(Input::Frame(link, Box::new(frame)));
        true
    }

    /// The connection breaks. What was on its way to the server may still arrive, its answers not.
    pub fn cut(&mut self, arrives: usize) {
        for _ in 0..arrives {
            self.up();
        }
        self.to_server.clear();
        self.server.disconnect();
        if let Some(link) = self.link.take() {
            self.input(Input::Lost(link));
        }
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now_ms += ms;
        self.server.now_ms = self.now_ms;
        let had = self.link;
        self.input(Input::Tick);
        if self.link != had {
            self.opened();
        }
    }

    /// The process ends and begins again from its store.
    pub fn restart(&mut self) {
        self.to_server.clear();
        self.server.disconnect();
        self.link = None;
        let saved = self.store.load().unwrap();
        self.session = Session::new(config(), saved, Some("token".into()));
        self.input(Input::Start);
        self.opened();
    }

    /// No more faults: runs until nothing is left to do.
    pub fn quiesce(&mut self) {
        for _ in 0..20_000 {
            if self.up() || self.down() {
                continue;
            }
            if let Some(&slot) = self.server.owing.first() {
                self.server.settle(slot);
                if self.down() {
                    continue;
                }
            }
            if self.session.is_synced() && self.is_idle() {
                return;
            }
            let wake = self.session.wake_at_ms().expect("whatever is not done has a time");
            self.pass_ms(wake.saturating_sub(self.now_ms).max(1));
        }
        panic!("the session does not come to rest: {:?}", self.session);
    }

    fn is_idle(&self) -> bool {
        let failed = |entry: &anser_client::session::Entry| {
            matches!(entry.state, anser_client::session::EntryState::Failed(_))
        };
        self.session.outbox().entries().all(failed) && self.session.is_idle()
    }
}
