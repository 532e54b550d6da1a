//! What an edge does for one message: for whoever says it, and for those who are told.

use std::sync::Arc;

use anser_core::engine::{Accepted, Answer, Event, HomeView, ReplyTo};
use anser_core::fanout::EdgeId;
use anser_core::storage::StoredFact;
use anser_edge::quota::Rate;
use anser_edge::{
    Asked, Effect, Form, Framing, Grant, Input, Session, Shell, Table, Terms, Transport, Verified,
};
use anser_model::{
    AccountId, Change, ClientId, ConversationFact, ConversationId, DeviceId, Message, N, Ordinal, Seq, Slot,
    SlotKey, Timeline, UnixMillis,
};
use anser_proto::v1::client_frame::Request;
use anser_proto::{Encoding, v1};
use bytes::Bytes;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const KEY: SlotKey = SlotKey::new([5; 16]);
const HERE: EdgeId = EdgeId(1);
const TEXT: &str = "Shall we meet at the station at seven? 那我在东门等你 👋";
const TOLD: u64 = 10;

/// A shell that lets everybody in.
struct Open(Terms);

impl Framing for Open {
    fn frame(&self, frame: &v1::ServerFrame, form: Form) -> Bytes {
        anser_proto::encode_server(frame, form.encoding)
    }

    fn close(&self, _: Transport) -> Option<Bytes> {
        None
    }
}

impl Shell for Open {
    fn terms(&self) -> &Terms {
        &self.0
    }

    fn slot(&self, cid: ConversationId) -> Slot {
        KEY.slot(cid)
    }

    fn newest(&self, _: Slot) -> Option<N> {
        None
    }

    fn is_draining(&self) -> bool {
        false
    }

    fn monotonic_ms(&self) -> u64 {
        0
    }

    fn queueing_delay_ms(&self) -> u64 {
        0
    }

    fn charge(&self, _: AccountId, _: u32) -> Result<(), u64> {
        Ok(())
    }

    fn known_profiles(&self, _: &[AccountId]) -> Option<Vec<v1::Profile>> {
        None
    }

    fn known_to_exist(&self, _: &[AccountId]) -> bool {
        true
    }

    fn resume_ticket(&self, _: &Grant, _: u64, _: UnixMillis) -> String {
        String::new()
    }
}

/// Sessions, one for each account from 1 on.
struct Hall {
    shell: Open,
    sessions: Vec<Session>,
    effects: Vec<Effect>,
}

impl Table for Hall {
    fn each_of(&mut self, account: AccountId, _: Option<u64>, with: &mut dyn FnMut(&mut Session)) {
        with(&mut self.sessions[account.0 as usize - 1]);
    }

    fn each_watching(&mut self, _: AccountId, _: &mut dyn FnMut(&mut Session) -> bool) {}
}

impl Hall {
    fn new(count: u64) -> Hall {
        let terms = Terms {
            edge: HERE,
            timeline: Timeline(1),
            heartbeat_interval_ms: 240_000,
            backoff_cap_ms: 60_000,
            session_rate: Rate::UNLIMITED,
        };
        let sessions = (1..=count).map(Session::new).collect();
        let mut hall = Hall { shell: Open(terms), sessions, effects: Vec::new() };
        (1..=count).for_each(|account| hall.attach(account));
        hall
    }

    fn attach(&mut self, account: u64) {
        let hello =
            v1::Hello { version_min: 1, version_max: 1, token: "token".into(), ..v1::Hello::default() };
        let frame = v1::ClientFrame { id: 1, request: Some(Request::Hello(hello)) };
        self.give(account, Input::Frame { encoding: Encoding::Binary, frame: Ok(frame) });
        let account_id = AccountId(account);
        let grant = Grant { account: account_id, device: DeviceId(1), account_version: 1, device_version: 1 };
        self.give(account, Input::Verified(Ok(Verified { grant, profile_version: 1 })));
        let home = HomeView { slots: Vec::new(), account_version: 0, devices: Vec::new() };
        self.give(account, Input::Told(Ok(Answer::Home(home))));
        self.effects.clear();
        self.sessions[account as usize - 1].take_outgoing();
    }

    fn give(&mut self, account: u64, input: Input) {
        self.sessions[account as usize - 1].step(input, NOW, &self.shell, &mut self.effects);
    }

    fn sent(&mut self, account: u64) -> usize {
        self.sessions[account as usize - 1].take_outgoing().len()
    }
}

pub(super) fn request(times: u64) {
    let mut hall = Hall::new(1);
    let cid = ConversationId::direct(AccountId(7), AccountId(8));
    let slot = KEY.slot(cid);
    for id in 2..times + 2 {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&id.to_be_bytes());
        let client_id = ClientId::mint(NOW, random).as_bytes().to_vec();
        let send = v1::Send {
            to: Some(v1::Target::cid(cid)),
            client_id: client_id.into(),
            message: Some(v1::Message::text(TEXT)),
        };
        let frame = v1::ClientFrame { id, request: Some(Request::Send(send)) };
        let bytes = anser_proto::encode_client(&frame, Encoding::Binary);
        let frame = anser_proto::decode_client(&bytes, Encoding::Binary).expect("it was encoded here");
        hall.give(1, Input::Frame { encoding: Encoding::Binary, frame: Ok(frame) });
        assert!(matches!(hall.effects.pop(), Some(Effect::Command { .. })), "it goes to the core");
        let (n, seq, ordinal) = (N(id), Some(Seq(id)), Ordinal(id));
        let accepted = Accepted { cid, slot, n, seq, ordinal, at: NOW, duplicate: false };
        hall.give(1, Input::Answered(Asked::Request(id), Ok(Answer::Accepted(accepted))));
        assert_eq!(hall.sent(1), 1);
    }
}

pub(super) fn deliver(times: u64) {
    let mut hall = Hall::new(TOLD);
    let accounts: Vec<AccountId> = (1..=TOLD).map(AccountId).collect();
    let terms = hall.shell.0.clone();
    for n in 1..=times {
        let event = said(n);
        anser_edge::deliver(&event, &accounts, &Open(terms.clone()), &mut hall);
        let told: usize = (1..=TOLD).map(|account| hall.sent(account)).sum();
        assert_eq!(told, accounts.len());
    }
}

fn said(n: u64) -> Event {
    let fact = ConversationFact {
        cid: ConversationId([3; 16]),
        at: NOW,
        author: AccountId(1_000),
        device: DeviceId(1),
        author_profile_version: 1,
        command: None,
        seq: Some(Seq(n)),
        ordinal: Ordinal(n),
        rewritten: None,
        change: Change::MessageSent(Message { kind: "text".into(), text: TEXT.into(), ..Message::default() }),
    };
    let fact = Arc::new(StoredFact { n: N(n), slot: Slot(3), fact, encoded: Bytes::new() });
    Event { fact, audience: Arc::new([]), origin: ReplyTo::Caller(0) }
}
