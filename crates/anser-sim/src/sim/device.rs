//! Devices: the real client session, with a store that loses what was not saved, on connections that break.

use std::collections::BTreeMap;

use anser_client::session::{
    Answer, Config, Ended, Failure, Input, Intent, Keep, LinkId, Now, Output, Session, Status, TokenRefused,
    Update,
};
use anser_client::store::{Change, MemoryStore, Store};
use anser_edge::Grant;
use anser_model::{AccountId, Actor, Command, ConversationId, DeviceId, N, Slot, UnixMillis};
use anser_proto::{Encoding, v1};
use bytes::Bytes;

use super::acts::{ACTS, Scene};
use super::edge::token_of;
use super::world::{BEGINNING, World};
use crate::chance::Chance;

/// How long a token is good.
const TOKEN_MS: u64 = 10 * 60_000;
/// How long what is to be kept may wait until it is saved.
const SAVE_MS: u64 = 1_000;

/// One device of somebody.
pub(super) struct Device {
    pub account: AccountId,
    pub id: DeviceId,
    pub session: Option<Session>,
    /// Counts its starts.
    life: u32,
    saved: MemoryStore,
    unsaved: Vec<Change>,
    save_is_due: bool,
    pub clock_off_ms: i64,
    /// The version of its credentials; tokens with smaller ones are void.
    pub version: u64,
    /// Nobody signs it in again yet.
    pub signed_out: bool,
    conn: Option<u64>,
    wake_at: Option<u64>,
    tickets: u64,
    /// Deeds whose answer is awaited.
    deeds: BTreeMap<u64, u64>,
    /// Up to where its cursor was audited.
    pub audited: BTreeMap<Slot, N>,
}

/// One connection.
pub(super) struct Conn {
    device: usize,
    life: u32,
    link: LinkId,
    edge: usize,
    edge_life: u32,
    session: u64,
    device_end: bool,
    edge_end: bool,
    /// Nothing gets through any more.
    dead: bool,
    up_at: u64,
    down_at: u64,
    pub stalled_until: u64,
}

/// What became of something that somebody did.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub device: usize,
    pub accepted: bool,
    pub refused: bool,
    /// A failed message was tried again on that device: a refusal says nothing any more.
    pub retried: bool,
}

impl Conn {
    /// So much time passes at once.
    pub fn pass(&mut self, ms: u64) {
        (self.up_at, self.down_at) = (self.up_at + ms, self.down_at + ms);
    }
}

impl Device {
    pub fn new(account: AccountId, id: DeviceId) -> Self {
        Device {
            account,
            id,
            session: None,
            life: 0,
            saved: MemoryStore::default(),
            unsaved: Vec::new(),
            save_is_due: false,
            clock_off_ms: 0,
            version: 1,
            signed_out: false,
            conn: None,
            wake_at: None,
            tickets: 0,
            deeds: BTreeMap::new(),
            audited: BTreeMap::new(),
        }
    }

    fn clock(&self, now: u64) -> Now {
        let unix = UnixMillis((BEGINNING.0 + now).saturating_add_signed(self.clock_off_ms));
        Now { unix, monotonic_ms: 5_000 + now }
    }
}

impl World {
    /// Switches a device on: it goes on from what it saved.
    pub(super) fn switch_on(&mut self, id: usize) {
        let device = &mut self.devices[id];
        if device.session.is_some() || device.signed_out {
            return;
        }
        device.life += 1;
        let config = Config { keep: Keep::Everything, save: Keep::Everything, ..Config::default() };
        device.session = Some(Session::new(config, device.saved.saved(), None));
        device.audited.clear();
        device.wake_at = None;
        self.note(format_args!("device {id} is on"));
        self.device_input(id, Input::Start);
    }

    /// Switches a device off; if it crashes, what it had not saved is lost.
    pub(super) fn switch_off(&mut self, id: usize, crashes: bool) {
        if self.devices[id].session.is_none() {
            return;
        }
        if !crashes {
            self.device_input(id, Input::Stop);
            self.save(id);
        }
        let device = &mut self.devices[id];
        device.session = None;
        device.unsaved.clear();
        device.save_is_due = false;
        device.deeds.clear();
        self.note(format_args!("device {id} is off"));
        if let Some(conn) = self.devices[id].conn.take() {
            self.device_end_is_gone(conn);
        }
    }

    /// Somebody does something.
    pub(super) fn act(&mut self, id: usize, act: usize, seed: u64, number: u64) {
        let everybody = self.accounts.clone();
        let device = &mut self.devices[id];
        let Some(session) = &device.session else { return };
        let chance = Chance::new(seed);
        let mut scene = Scene { session, everybody: &everybody, number, chance };
        let Some(intent) = ACTS[act].make(&mut scene) else { return };
        device.tickets += 1;
        let ticket = device.tickets;
        device.deeds.insert(ticket, number);
        if matches!(intent, Intent::Retry(_)) {
            self.deeds.values_mut().filter(|deed| deed.device == id).for_each(|deed| deed.retried = true);
        }
        let deed = Deed { device: id, accepted: false, refused: false, retried: false };
        self.deeds.insert(number, deed);
        self.acts_done += 1;
        self.device_input(id, Input::Do(ticket, intent));
    }

    pub(super) fn device_input(&mut self, id: usize, input: Input) {
        let mut seed = [0; 16];
        self.chance.fill(&mut seed);
        let device = &mut self.devices[id];
        let clock = device.clock(self.now);
        let Some(session) = &mut device.session else { return };
        let outputs = session.handle(clock, seed, input);
        for output in outputs {
            self.device_output(id, output);
        }
        self.audit_cursor(id);
        self.wake_later(id);
    }

    fn wake_later(&mut self, id: usize) {
        let device = &mut self.devices[id];
        let Some(session) = &device.session else { return };
        let Some(at) = session.wake_at_ms().map(|at| at.saturating_sub(5_000).max(self.now)) else { return };
        if device.wake_at.is_some_and(|known| known <= at && known > self.now) {
            return;
        }
        device.wake_at = Some(at);
        let life = device.life;
        self.after(at - self.now, move |world| {
            let now = world.now;
            let device = &mut world.devices[id];
            if device.life == life && device.wake_at.is_some_and(|at| at <= now) {
                device.wake_at = None;
                world.device_input(id, Input::Tick);
            }
        });
    }

    fn device_output(&mut self, id: usize, output: Output) {
        match output {
            Output::Open { link, address_turn } => self.connect(id, link, address_turn),
            Output::Send(link, frame) => {
                self.save_outbox(id);
                self.send_up(id, link, *frame);
            }
            Output::Close(link) => {
                let conn = self.devices[id].conn;
                if let Some(conn) = conn.filter(|conn| self.conns[conn].link == link) {
                    self.devices[id].conn = None;
                    self.device_end_is_gone(conn);
                }
            }
            Output::NeedToken => self.issue_token(id),
            Output::Persist(change) => {
                let device = &mut self.devices[id];
                device.unsaved.push(*change);
                if !device.save_is_due {
                    device.save_is_due = true;
                    let life = device.life;
                    self.after(SAVE_MS, move |world| {
                        if world.devices[id].life == life {
                            world.save(id);
                        }
                    });
                }
            }
            Output::Answer(ticket, answer) => self.deed_is_answered(id, ticket, answer),
            Output::Tell(update) => self.device_is_told(id, update),
        }
    }

    fn deed_is_answered(&mut self, id: usize, ticket: u64, answer: Result<Answer, Failure>) {
        let Some(number) = self.devices[id].deeds.remove(&ticket) else { return };
        let name = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(Failure::Refused(error)) => error.code.clone(),
            Err(failure) => failure.to_string(),
        };
        self.note(format_args!("device {id}: deed {number} came to {name}"));
        self.coverage.outcome(&name);
        let deed = self.deeds.get_mut(&number).expect("an answer is to something done");
        match answer {
            Ok(Answer::Accepted(_)) => deed.accepted = true,
            Err(Failure::Refused(_)) => deed.refused = true,
            _ => {}
        }
    }

    fn device_is_told(&mut self, id: usize, update: Update) {
        if let Update::Status(status) = &update {
            self.note(format_args!("device {id}: {status:?}"));
            if let Status::Ended(Ended::Kicked { .. } | Ended::SignedOut | Ended::Refused { .. }) = status {
                self.devices[id].signed_out = true;
            }
        }
    }

    /// Whoever issues tokens does so for a device that is signed in.
    fn issue_token(&mut self, id: usize) {
        let device = &self.devices[id];
        let life = device.life;
        let delay = 1 + self.chance.below(100);
        self.after(delay, move |world| {
            let until = UnixMillis(BEGINNING.0 + world.now + TOKEN_MS);
            let device = &world.devices[id];
            if device.life != life {
                return;
            }
            let grant = Grant {
                account: device.account,
                device: device.id,
                account_version: 1,
                device_version: device.version,
            };
            let token = match device.signed_out {
                true => Err(TokenRefused::SignedOut),
                false => Ok(token_of(&grant, until)),
            };
            world.device_input(id, Input::Token(token));
        });
    }

    /// Voids a device's credentials at the home of its account; it signs in anew later.
    pub(super) fn revoke(&mut self, id: usize, back_after: u64) {
        let device = &mut self.devices[id];
        device.version += 1;
        device.signed_out = true;
        let (account, version) = (device.account, device.version);
        let intent = anser_model::Intent::RaiseCredentials {
            account_version: 1,
            device: Some((device.id, version)),
            why: anser_model::KickReason::Revoked,
        };
        let cid = ConversationId::of_self(account);
        let command = Command { actor: Actor::SYSTEM, cid, peer: Some(account), client_id: None, intent };
        self.ask_until_done(command);
        self.after(back_after, move |world| world.sign_in(id));
    }

    fn sign_in(&mut self, id: usize) {
        if !self.devices[id].signed_out {
            return;
        }
        self.switch_off(id, false);
        self.devices[id].signed_out = false;
        self.switch_on(id);
    }

    /// The outbox is safe before anything of it is written.
    fn save_outbox(&mut self, id: usize) {
        let device = &mut self.devices[id];
        let is_outbox = |change: &Change| matches!(change, Change::OutboxPut(_) | Change::OutboxRemoved(_));
        let (outbox, rest): (Vec<Change>, Vec<Change>) =
            std::mem::take(&mut device.unsaved).into_iter().partition(is_outbox);
        outbox.into_iter().for_each(|change| device.saved.apply(change));
        device.unsaved = rest;
    }

    fn save(&mut self, id: usize) {
        let device = &mut self.devices[id];
        device.save_is_due = false;
        for change in std::mem::take(&mut device.unsaved) {
            device.saved.apply(change);
        }
    }

    // Connections.

    fn connect(&mut self, id: usize, link: LinkId, address_turn: u32) {
        let edge = address_turn as usize % self.edges.len();
        let life = self.devices[id].life;
        let delay = self.device_delay();
        self.after(delay, move |world| {
            if world.devices[id].life != life || world.devices[id].session.is_none() {
                return;
            }
            if !world.edges[edge].up {
                return world.device_input(id, Input::Lost(link));
            }
            world.next_conn += 1;
            let conn = world.next_conn;
            let session = world.seat(edge, conn);
            let (edge_life, now) = (world.edges[edge].life, world.now);
            let made = Conn {
                device: id,
                life,
                link,
                edge,
                edge_life,
                session,
                device_end: true,
                edge_end: true,
                dead: false,
                up_at: now,
                down_at: now,
                stalled_until: 0,
            };
            world.conns.insert(conn, made);
            world.devices[id].conn = Some(conn);
            world.connections += 1;
            world.device_input(id, Input::Opened(link));
        });
    }

    fn send_up(&mut self, id: usize, link: LinkId, frame: v1::ClientFrame) {
        let Some(conn) = self.devices[id].conn.filter(|conn| self.conns[conn].link == link) else { return };
        if self.happens_on_road(self.roads().severed) {
            self.fault("connection severed");
            self.sever(conn);
        }
        let delay = self.device_delay();
        let now = self.now;
        let road = self.conns.get_mut(&conn).expect("a device's connection is known");
        road.up_at = road.up_at.max(now + delay);
        let wait = road.up_at - now;
        self.after(wait, move |world| {
            let road = &world.conns[&conn];
            let edge = &world.edges[road.edge];
            if road.dead || !road.edge_end || !edge.up || edge.life != road.edge_life {
                return;
            }
            let (edge, session) = (road.edge, road.session);
            world.seat_hears(edge, session, frame);
        });
    }

    pub(super) fn send_down(&mut self, conn: u64, bytes: Bytes) {
        if self.happens_on_road(self.roads().severed) {
            self.fault("connection severed");
            self.sever(conn);
        }
        let delay = self.device_delay();
        let now = self.now;
        let road = self.conns.get_mut(&conn).expect("a session's connection is known");
        road.down_at = road.down_at.max(now + delay);
        let wait = road.down_at - now;
        self.after(wait, move |world| {
            let road = &world.conns[&conn];
            let (id, link) = (road.device, road.link);
            if road.dead || !road.device_end || world.devices[id].life != road.life {
                return;
            }
            let frame = anser_proto::decode_server(&bytes, Encoding::Binary);
            let frame = frame.expect("an edge sends frames");
            world.note(format_args!("device {id} gets {}", frame_in_words(&frame)));
            world.audit_frame(id, &frame);
            world.device_input(id, Input::Frame(link, Box::new(frame)));
        });
    }

    /// Both ends learn sooner or later that nothing gets through any more.
    pub(super) fn sever(&mut self, conn: u64) {
        let road = self.conns.get_mut(&conn).expect("known");
        if std::mem::replace(&mut road.dead, true) {
            return;
        }
        let (soon, later) = (self.chance.below(2_000), self.chance.below(8_000));
        self.after(soon, move |world| world.tell_device_end(conn));
        self.after(later, move |world| world.drop_edge_end(conn));
    }

    /// Nothing gets through any more, and nobody is told.
    pub(super) fn half_open(&mut self, id: usize) {
        if let Some(conn) = self.devices[id].conn {
            self.conns.get_mut(&conn).expect("known").dead = true;
        }
    }

    /// Whether its connection is dead, and it does not know.
    pub(super) fn is_deaf(&self, id: usize) -> bool {
        self.devices[id].conn.is_some_and(|conn| self.conns[&conn].dead)
    }

    pub(super) fn sever_device(&mut self, id: usize) {
        if let Some(conn) = self.devices[id].conn {
            self.sever(conn);
        }
    }

    /// A device does not read for a while.
    pub(super) fn stall(&mut self, id: usize, ms: u64) {
        let Some(conn) = self.devices[id].conn else { return };
        let until = self.now + ms;
        self.conns.get_mut(&conn).expect("known").stalled_until = until;
        self.after(ms, move |world| world.read_on(conn));
    }

    /// A device reads again: what waits for it comes.
    fn read_on(&mut self, conn: u64) {
        let road = &self.conns[&conn];
        let (edge, session) = (road.edge, road.session);
        if road.edge_end && self.edges[edge].life == road.edge_life {
            self.pump(edge, session);
        }
    }

    pub(super) fn all_read_on(&mut self) {
        let conns: Vec<u64> = self.conns.keys().copied().collect();
        for conn in conns {
            self.conns.get_mut(&conn).expect("known").stalled_until = 0;
            self.read_on(conn);
        }
    }

    fn tell_device_end(&mut self, conn: u64) {
        let road = self.conns.get_mut(&conn).expect("known");
        if !std::mem::replace(&mut road.device_end, false) {
            return;
        }
        let (id, life, link) = (road.device, road.life, road.link);
        if self.devices[id].life == life {
            if self.devices[id].conn == Some(conn) {
                self.devices[id].conn = None;
            }
            self.device_input(id, Input::Lost(link));
        }
    }

    fn drop_edge_end(&mut self, conn: u64) {
        let road = self.conns.get_mut(&conn).expect("known");
        if !std::mem::replace(&mut road.edge_end, false) {
            return;
        }
        let (edge, life, session) = (road.edge, road.edge_life, road.session);
        if self.edges[edge].up && self.edges[edge].life == life {
            self.remove_seat(edge, session);
        }
    }

    /// The device has closed: the edge learns of it.
    fn device_end_is_gone(&mut self, conn: u64) {
        let road = self.conns.get_mut(&conn).expect("known");
        road.device_end = false;
        if !road.dead {
            let delay = self.device_delay();
            self.after(delay, move |world| world.drop_edge_end(conn));
        }
    }

    /// The edge has closed: what it wrote before still arrives, then the device learns of it.
    pub(super) fn edge_end_is_gone(&mut self, conn: u64) {
        let now = self.now;
        let road = self.conns.get_mut(&conn).expect("known");
        road.edge_end = false;
        if !road.dead {
            let wait = road.down_at.max(now) - now + 1;
            self.after(wait, move |world| world.tell_device_end(conn));
        }
    }
}

/// A frame in a few words.
fn frame_in_words(frame: &v1::ServerFrame) -> String {
    use anser_proto::v1::response::Result as Answered;
    use anser_proto::v1::server_frame::Frame;
    match &frame.frame {
        Some(Frame::Event(event)) => format!("event {}.{}", event.slot, event.n),
        Some(Frame::SyncHeads(heads)) if heads.pending => format!("pending of slot {}", heads.slot),
        Some(Frame::SyncHeads(heads)) => {
            let each: Vec<String> = heads
                .heads
                .iter()
                .map(|head| format!("n {} seq {} mark {}", head.n, head.seq, head.mark))
                .collect();
            let end = if heads.done { format!(", done through {}", heads.n) } else { String::new() };
            format!("heads of slot {}: [{}]{end}", heads.slot, each.join("; "))
        }
        Some(Frame::Resync(resync)) => format!("resync {:?}", resync.slots),
        Some(Frame::Kicked(kicked)) => format!("kicked: {}", kicked.code),
        Some(Frame::Draining(_)) => "draining".into(),
        Some(Frame::Ephemeral(_)) => "something that passes".into(),
        Some(Frame::Response(response)) => match &response.result {
            Some(Answered::Accepted(it)) => format!("accepted {}.{} seq {}", it.slot, it.n, it.seq),
            Some(Answered::Error(error)) => format!("refusal {}", error.code),
            Some(Answered::Page(page)) => {
                format!("page of {} through {}.{}", page.events.len(), page.slot, page.n)
            }
            Some(Answered::Welcome(welcome)) => format!("welcome, owing {:?}", welcome.owing),
            Some(Answered::SyncStarted(started)) => format!("sync started, owing {:?}", started.owing),
            Some(Answered::ConversationList(list)) => {
                let each: Vec<String> =
                    list.heads.iter().map(|head| format!("n {} seq {}", head.n, head.seq)).collect();
                format!("list [{}]", each.join("; "))
            }
            Some(_) => "an answer".into(),
            None => "nothing".into(),
        },
        None => "nothing".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_clock_of_its_own() {
        let mut device = Device::new(AccountId(1), DeviceId(2));
        device.clock_off_ms = -3;
        assert_eq!(device.clock(10).unix, UnixMillis(BEGINNING.0 + 7));
    }
}
