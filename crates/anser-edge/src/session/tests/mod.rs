//! The session machine by hand: what it wants in which order, and what the client sees.

mod attach;
mod limits;
mod nothing_falls_between;
mod put_off;
mod requests;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;

use anser_core::engine::{Answer, Event, HomeView, Query, ReplyTo};
use anser_core::fanout::EdgeId;
use anser_core::storage::StoredFact;
use anser_model::KickReason;
use anser_model::{
    AccountId, Change, ConversationFact, ConversationId, DeviceId, Message, N, Ordinal, Refusal, Seq, Slot,
    SlotKey, Timeline, UnixMillis,
};
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::ephemeral::What;
use anser_proto::v1::server_frame::Frame;
use anser_proto::{Encoding, v1};
use bytes::Bytes;

use super::Session;
use crate::quota::Rate;
use crate::{Asked, Effect, Form, Framing, Grant, Input, Question, Shell, Table, Terms, Transport, Verified};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const ME: AccountId = AccountId(7);
const SESSION: u64 = 40;
const GRANT: Grant = Grant { account: ME, device: DeviceId(1), account_version: 3, device_version: 2 };
const KEY: SlotKey = SlotKey::new([5; 16]);
const HERE: EdgeId = EdgeId(9);

/// A shell without framing that knows accounts up to 100.
struct Bare {
    terms: Terms,
    draining: bool,
    delay_ms: u64,
    /// How long the account is to wait, if it has asked too much.
    account_waits_ms: Option<u64>,
    now_ms: u64,
    /// Newest facts of slots of which that is known.
    newest: BTreeMap<Slot, N>,
}

impl Default for Bare {
    fn default() -> Self {
        let terms = Terms {
            edge: HERE,
            timeline: Timeline(1),
            heartbeat_interval_ms: 240_000,
            backoff_cap_ms: 60_000,
            session_rate: Rate::UNLIMITED,
        };
        Bare {
            terms,
            draining: false,
            delay_ms: 0,
            account_waits_ms: None,
            now_ms: 0,
            newest: BTreeMap::new(),
        }
    }
}

impl Framing for Bare {
    fn frame(&self, frame: &v1::ServerFrame, form: Form) -> Bytes {
        anser_proto::encode_server(frame, form.encoding)
    }

    fn close(&self, _: Transport) -> Option<Bytes> {
        None
    }
}

impl Shell for Bare {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn slot(&self, cid: ConversationId) -> Slot {
        KEY.slot(cid)
    }

    fn newest(&self, slot: Slot) -> Option<N> {
        self.newest.get(&slot).copied()
    }

    fn is_draining(&self) -> bool {
        self.draining
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms
    }

    fn queueing_delay_ms(&self) -> u64 {
        self.delay_ms
    }

    fn charge(&self, _: AccountId, _: u32) -> Result<(), u64> {
        self.account_waits_ms.map_or(Ok(()), Err)
    }

    fn known_profiles(&self, accounts: &[AccountId]) -> Option<Vec<v1::Profile>> {
        let is_known = |account: &AccountId| account.0 > 50;
        let profile = |account: &AccountId| v1::Profile { account: account.0, ..v1::Profile::default() };
        accounts.iter().all(is_known).then(|| accounts.iter().map(profile).collect())
    }

    fn known_to_exist(&self, accounts: &[AccountId]) -> bool {
        accounts.iter().all(|account| account.0 <= 100)
    }

    fn resume_ticket(&self, grant: &Grant, session: u64, _: UnixMillis) -> String {
        format!("{}.{session}", grant.account)
    }
}

/// One session and its shell.
struct Rig {
    session: Session,
    shell: Bare,
    last_request: u64,
    /// Whether it still wanted to know, each time that it was offered somebody's presence.
    watches: Vec<bool>,
}

impl Rig {
    fn new() -> Self {
        Rig { session: Session::new(SESSION), shell: Bare::default(), last_request: 0, watches: Vec::new() }
    }

    /// A session that is attached and owes its client these slots.
    fn attached(slots: &[u8]) -> Self {
        let mut rig = Rig::new();
        rig.greet(hello());
        rig.give(Input::Verified(Ok(VERIFIED)));
        rig.give(home(slots));
        rig.sent();
        rig
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.session.step(input, NOW, &self.shell, &mut effects);
        effects
    }

    fn ask(&mut self, request: Request) -> Vec<Effect> {
        self.last_request += 1;
        let frame = v1::ClientFrame { id: self.last_request, request: Some(request) };
        self.give(Input::Frame { encoding: Encoding::Binary, frame: Ok(frame) })
    }

    fn greet(&mut self, hello: v1::Hello) -> Vec<Effect> {
        self.ask(Request::Hello(hello))
    }

    fn sync(&mut self) -> Vec<Effect> {
        self.ask(Request::Sync(v1::Sync { cursor: None }))
    }

    fn offer(&mut self, slot: u8, n: u64) {
        self.offer_bytes(slot, n, 0);
    }

    fn offer_bytes(&mut self, slot: u8, n: u64, padding: usize) {
        let cid = Bytes::from(vec![0; padding]);
        let event = v1::Event { slot: slot.into(), n, cid, ..v1::Event::default() };
        let bytes = self.shell.frame(&event.into(), self.session.form());
        self.session.offer_event(Slot(slot), N(n), &bytes, &self.shell);
    }

    fn heads(&mut self, slot: u8, round: u32, n: u64) -> Vec<Effect> {
        let answer = Answer::Heads { slot: Slot(slot), n: N(n), heads: Vec::new() };
        self.give(Input::Answered(Asked::Sync(Slot(slot), round), Ok(answer)))
    }

    /// What the client gets now.
    fn sent(&mut self) -> Vec<Frame> {
        let encoding = self.session.form().encoding;
        let decode = |bytes: Bytes| {
            let frame = anser_proto::decode_server(&bytes, encoding).expect("what was encoded here");
            frame.frame.expect("a frame holds something")
        };
        self.session.take_outgoing().into_iter().map(decode).collect()
    }

    /// The same, in words.
    fn told(&mut self) -> Vec<String> {
        self.sent().iter().map(in_words).collect()
    }
}

const VERIFIED: Verified = Verified { grant: GRANT, profile_version: 4 };

fn hello() -> v1::Hello {
    v1::Hello { version_min: 1, version_max: 1, token: "token".into(), ..v1::Hello::default() }
}

fn home_of(slots: &[u8], account_version: u64) -> Input {
    let slots = slots.iter().map(|&slot| Slot(slot)).collect();
    Input::Told(Ok(Answer::Home(HomeView { slots, account_version, devices: Vec::new() })))
}

fn home(slots: &[u8]) -> Input {
    home_of(slots, 0)
}

fn in_words(frame: &Frame) -> String {
    use v1::response::Result as Wire;
    match frame {
        Frame::Response(v1::Response { id, result }) => {
            match result.as_ref().expect("an answer says something") {
                Wire::Error(error) => format!("{id}: {}", error.code),
                Wire::Welcome(welcome) => format!("{id}: welcome, owing {:?}", welcome.owing),
                Wire::SyncStarted(started) => format!("{id}: sync started, owing {:?}", started.owing),
                Wire::Pong(_) => format!("{id}: pong"),
                Wire::ProfileList(list) => format!("{id}: {} profiles", list.profiles.len()),
                Wire::PresenceList(list) => format!("{id}: {} presences", list.presences.len()),
                Wire::ConversationList(list) => format!("{id}: {} heads", list.heads.len()),
                other => format!("{id}: {other:?}"),
            }
        }
        Frame::Event(event) => format!("event {}.{}", event.slot, event.n),
        Frame::SyncHeads(heads) if heads.pending => format!("heads {} pending", heads.slot),
        Frame::SyncHeads(heads) => format!("heads {} through {}", heads.slot, heads.n),
        Frame::Resync(resync) => format!("resync {:?}", resync.slots),
        Frame::Kicked(kicked) => format!("kicked: {}", kicked.code),
        Frame::Draining(_) => "draining".into(),
        Frame::Ephemeral(v1::Ephemeral { what: Some(What::Presence(it)) }) => {
            format!("{} is {}", it.account, if it.online { "there" } else { "away" })
        }
        Frame::Ephemeral(_) => "something that passes".into(),
    }
}

/// What is wanted, in words.
fn wanted(effects: &[Effect]) -> Vec<String> {
    let query = |query: &Query| match query {
        Query::Changes { account, after } => format!("changes of {account} after {after}"),
        Query::Home { .. } => "home".into(),
        Query::Head { .. } => "head".into(),
        other => format!("{other:?}"),
    };
    let word = |effect: &Effect| match effect {
        Effect::Enter(account) => format!("enter {account}"),
        Effect::Ask(Question::Token(token)) => format!("whose is {token}"),
        Effect::AskCore { query: asked, .. } => format!("ask {}", query(asked)),
        Effect::Ask(Question::Missing(accounts)) => format!("who misses of {accounts:?}"),
        Effect::Ask(Question::Profiles(accounts)) => format!("profiles of {accounts:?}"),
        Effect::Command { reply, .. } => format!("command {reply}"),
        Effect::Query { reply, query: asked, .. } => format!("{reply} {}", query(asked)),
        Effect::Watch(accounts) => format!("watch {accounts:?}"),
        Effect::Look { request, accounts, .. } => format!("{request} look at {accounts:?}"),
        Effect::AskLater { slot, round } => format!("later {slot} in {round}"),
    };
    effects.iter().map(word).collect()
}

/// A message of somebody in a slot.
fn message(slot: u8, n: u64, origin: ReplyTo, change: Change) -> Event {
    let fact = ConversationFact {
        cid: ConversationId::of_self(ME),
        at: NOW,
        author: ME,
        device: DeviceId(1),
        author_profile_version: 1,
        command: None,
        seq: Some(Seq(n)),
        ordinal: Ordinal(n),
        rewritten: None,
        change,
    };
    let stored = StoredFact { n: N(n), slot: Slot(slot), fact, encoded: Bytes::new() };
    Event { fact: Arc::new(stored), audience: Arc::new([ME]), origin }
}

fn text() -> Change {
    Change::MessageSent(Message {
        kind: "text".into(),
        text: "hello".into(),
        body: Bytes::new(),
        reply_to: None,
        mentions: Vec::new(),
        mention_all: false,
        uncounted: false,
        forwarded: false,
    })
}

/// A table of one account.
struct OnlyMe<'a>(&'a mut [Rig]);

impl Table for OnlyMe<'_> {
    fn each_of(&mut self, account: AccountId, except: Option<u64>, with: &mut dyn FnMut(&mut Session)) {
        let here = self.0.iter_mut().map(|rig| &mut rig.session);
        here.filter(|session| session.account() == Some(account) && Some(session.id()) != except)
            .for_each(with);
    }

    fn each_watching(&mut self, _: AccountId, with: &mut dyn FnMut(&mut Session) -> bool) {
        self.0.iter_mut().for_each(|rig| rig.watches.push(with(&mut rig.session)));
    }
}

fn refused(slot: u8, round: u32) -> Input {
    Input::Answered(Asked::Sync(Slot(slot), round), Err(Refusal::Unavailable))
}
