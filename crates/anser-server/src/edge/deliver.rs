//! What a core hands on, to the connections it is for: encoded once, gathered per connection, written
//! once per wake-up.

use std::collections::HashMap;
use std::sync::Arc;

use anser_core::engine::{Answer, Event};
use anser_model::{AccountId, Change, N, Refusal, Slot};
use anser_proto::{Encoding, ErrorCode, v1};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::connection::{Connection, encoded};
use super::sessions::Table;
use super::ws::CloseCode;
use super::{EdgeShared, convert};
use crate::node::{Asked, ToEdge};

/// Batches that are delivered before anything is written.
const BATCHES_PER_TURN: usize = 256;
/// Bytes of heads in one frame, before it is closed.
const HEADS_SOFT_BYTES: usize = 32 * 1024;

impl EdgeShared {
    /// Delivers until the core is gone.
    pub(super) async fn deliver(self: Arc<Self>, mut from_core: mpsc::Receiver<Vec<ToEdge>>) {
        let mut batches = Vec::with_capacity(BATCHES_PER_TURN);
        let mut dirty: HashMap<u64, Arc<Connection>> = HashMap::new();
        while from_core.recv_many(&mut batches, BATCHES_PER_TURN).await > 0 {
            {
                let table = self.sessions.read();
                for item in batches.drain(..).flatten() {
                    self.deliver_one(&table, item, &mut dirty);
                }
            }
            for (_, connection) in dirty.drain() {
                self.write(&connection);
            }
        }
    }

    fn deliver_one(self: &Arc<Self>, table: &Table, item: ToEdge, dirty: &mut HashMap<u64, Arc<Connection>>) {
        match item {
            ToEdge::Answer { session, asked, answer } => {
                let Some(connection) = table.connection(session) else { return };
                match asked {
                    Asked::Request(request) => connection.push_frame(&match answer {
                        Ok(answer) => v1::ServerFrame::response(request, convert::result(&answer)),
                        Err(refusal) => v1::ServerFrame::error(request, convert::error(&refusal)),
                    }),
                    Asked::Sync(slot, round) => self.sync_answered(connection, slot, round, answer),
                }
                dirty.entry(session).or_insert_with(|| connection.clone());
            }
            ToEdge::Event { event, accounts } => self.deliver_event(table, &event, &accounts, dirty),
        }
    }

    fn deliver_event(
        self: &Arc<Self>,
        table: &Table,
        event: &Event,
        accounts: &[AccountId],
        dirty: &mut HashMap<u64, Arc<Connection>>,
    ) {
        if let Change::CredentialsRaised { account, account_version, device } = event.fact.fact.change {
            for connection in table.of(account) {
                self.revoke_below(connection, account_version, device);
                dirty.entry(connection.session).or_insert_with(|| connection.clone());
            }
            return;
        }
        let (slot, n) = (event.fact.slot, event.fact.n);
        let mut forms: [Option<Bytes>; 2] = [None, None];
        for &account in accounts {
            for connection in table.of(account) {
                if self.is_origin(event, connection.session) {
                    continue;
                }
                let mut state = connection.state();
                let encoding = state.encoding();
                let form = &mut forms[usize::from(encoding == Encoding::Json)];
                if form.is_none() {
                    let Some(wire) = convert::event(&event.fact) else { return };
                    *form = Some(encoded(&wire.into(), encoding));
                }
                if let Some(bytes) = form {
                    state.offer_event(slot, n, bytes);
                }
                drop(state);
                dirty.entry(connection.session).or_insert_with(|| connection.clone());
            }
        }
    }

    /// Whether a message goes to the session that sent it, which knows all of it with its answer. Of
    /// any other fact the answer tells too little: where a mark leaves the unread, who was there already.
    fn is_origin(&self, event: &Event, session: u64) -> bool {
        let answers = matches!(event.fact.fact.change, Change::MessageSent(_));
        let anser_core::engine::ReplyTo::Session { edge, session: origin, .. } = event.origin else {
            return false;
        };
        answers && edge == self.id.0 && origin == session
    }

    fn revoke_below(
        &self,
        connection: &Connection,
        account_version: u64,
        device: Option<(anser_model::DeviceId, u64)>,
    ) {
        let void = connection.state().attached.as_ref().is_some_and(|attached| {
            attached.grant.account_version < account_version
                || device.is_some_and(|(device, version)| {
                    attached.grant.device == device && attached.grant.device_version < version
                })
        });
        if void {
            self.kick(
                connection,
                ErrorCode::Revoked,
                "the device was signed out, or its credentials were changed",
            );
        }
    }

    /// Says why, and closes.
    pub(super) fn kick(&self, connection: &Connection, code: ErrorCode, why: &str) {
        let kicked = v1::Kicked { code: code.as_str().into(), message: why.into() };
        connection.push_frame(&v1::ServerFrame { frame: Some(v1::server_frame::Frame::Kicked(kicked)) });
        connection.push_close(CloseCode::Policy);
    }

    fn sync_answered(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        slot: Slot,
        round: u32,
        answer: Result<Answer, Refusal>,
    ) {
        match answer {
            Ok(Answer::Heads { n, heads, .. }) => {
                let mut state = connection.state();
                let encoding = state.encoding();
                let wire = heads.iter().map(convert::head).collect();
                state.synced(slot, round, n, heads_frames(slot, n, wire, encoding));
            }
            Ok(other) => tracing::error!(?other, "a sync was answered out of kind"),
            Err(_) => {
                let pending =
                    v1::SyncHeads { slot: u32::from(slot.0), pending: true, ..v1::SyncHeads::default() };
                connection.push_frame(&heads_frame(pending));
                self.sync_later(connection.clone(), slot, round);
            }
        }
    }
}

fn heads_frame(heads: v1::SyncHeads) -> v1::ServerFrame {
    v1::ServerFrame { frame: Some(v1::server_frame::Frame::SyncHeads(heads)) }
}

/// The heads of a slot in frames of bearable size; the last one says that the slot is done.
fn heads_frames(slot: Slot, n: N, heads: Vec<v1::Head>, encoding: Encoding) -> Vec<Bytes> {
    let number = u32::from(slot.0);
    let mut frames = Vec::new();
    let mut page = Vec::new();
    let mut size = 0;
    for head in heads {
        size += prost::Message::encoded_len(&head);
        page.push(head);
        if size > HEADS_SOFT_BYTES {
            let heads = std::mem::take(&mut page);
            let part = v1::SyncHeads { slot: number, heads, ..v1::SyncHeads::default() };
            frames.push(encoded(&heads_frame(part), encoding));
            size = 0;
        }
    }
    let last = v1::SyncHeads { slot: number, done: true, n: n.0, heads: page, pending: false };
    frames.push(encoded(&heads_frame(last), encoding));
    frames
}
