//! The outbox: commands that are not answered yet, first in first out per lane, one in flight per lane.

use std::collections::{BTreeMap, VecDeque};

use anser_model::{AccountId, ClientId};
use anser_proto::v1;

use crate::session::command::{Command, Lane, Ticket};

/// Commands that may wait at once.
pub const OUTBOX_ENTRIES: usize = 1_000;
/// Failed sends that are kept for the person to see; the oldest go first.
pub const FAILED_ENTRIES: usize = 100;

/// One command under its client id.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Position among all entries, in the order of the person's acts.
    pub order: u64,
    /// The idempotency key.
    pub client_id: ClientId,
    /// What is wanted.
    pub command: Command,
    /// What keeps its order.
    pub lane: Lane,
    /// Where it stands.
    pub state: EntryState,
    /// Whether it was ever handed to a socket: then it may have taken effect, and keeps its id.
    pub written: bool,
    /// How often the server asked to try again later.
    pub refusals: u32,
    /// Who asked, if somebody of this run did.
    pub ticket: Option<Ticket>,
}

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryState {
    /// To be sent when its turn comes.
    Queued,
    /// On its way; its answer is awaited.
    InFlight,
    /// Not before this time, in milliseconds of the monotonic clock. Holds up its lane.
    Waiting {
        /// When to try again.
        until_ms: u64,
    },
    /// Refused for good. Holds up nothing.
    Failed(v1::Error),
}

/// Commands that are not answered yet.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: BTreeMap<u64, Entry>,
    /// Orders of the entries that are not failed, by lane; the front one is the lane's turn.
    lanes: BTreeMap<Lane, VecDeque<u64>>,
    by_client_id: BTreeMap<ClientId, u64>,
    next_order: u64,
}

impl Outbox {
    /// The order that the next entry will have.
    pub fn next_order(&self) -> u64 {
        self.next_order
    }

    /// How many entries there are, failed ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether another entry would be too many.
    pub fn is_full(&self) -> bool {
        self.lanes.values().map(VecDeque::len).sum::<usize>() >= OUTBOX_ENTRIES
    }

    /// Every entry in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One entry.
    pub fn get(&self, order: u64) -> Option<&Entry> {
        self.entries.get(&order)
    }

    /// The entry with a client id.
    pub fn by_client_id(&self, id: ClientId) -> Option<&Entry> {
        self.entries.get(self.by_client_id.get(&id)?)
    }

    /// Adds a command at the end of its lane, or a saved entry at its old place.
    pub fn insert(&mut self, entry: Entry) {
        assert!(!self.entries.contains_key(&entry.order), "an order is given once");
        self.next_order = self.next_order.max(entry.order + 1);
        self.by_client_id.insert(entry.client_id, entry.order);
        if !matches!(entry.state, EntryState::Failed(_)) {
            let lane = self.lanes.entry(entry.lane).or_default();
            let place = lane.partition_point(|&order| order < entry.order);
            lane.insert(place, entry.order);
        }
        self.entries.insert(entry.order, entry);
    }

    /// Orders of the entries whose turn it is: the front of each lane, unless in flight or waiting.
    pub fn due(&self, now_ms: u64) -> Vec<u64> {
        let mut due = self
            .fronts()
            .filter(|entry| match entry.state {
                EntryState::Queued => true,
                EntryState::Waiting { until_ms } => until_ms <= now_ms,
                EntryState::InFlight | EntryState::Failed(_) => false,
            })
            .map(|entry| entry.order)
            .collect::<Vec<_>>();
        due.sort_unstable();
        due
    }

    /// When the first waiting entry is due.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.fronts()
            .filter_map(|entry| match entry.state {
                EntryState::Waiting { until_ms } => Some(until_ms),
                _ => None,
            })
            .min()
    }

    /// The entry is handed to the socket. Returns it.
    pub fn start(&mut self, order: u64) -> &Entry {
        let entry = self.entries.get_mut(&order).expect("what is due is in the outbox");
        let front = self.lanes.get(&entry.lane).and_then(VecDeque::front);
        assert_eq!(front, Some(&order), "only the front of a lane is sent");
        assert!(!matches!(entry.state, EntryState::InFlight), "one in flight per lane");
        entry.state = EntryState::InFlight;
        entry.written = true;
        entry
    }

    /// Gives an entry that was never written another client id.
    pub fn mint_anew(&mut self, order: u64, id: ClientId) {
        let entry = self.entries.get_mut(&order).expect("what is due is in the outbox");
        assert!(
            !entry.written || anser_model::planted!(RetryMintsAnew),
            "what was written keeps its client id"
        );
        self.by_client_id.remove(&entry.client_id);
        self.by_client_id.insert(id, order);
        entry.client_id = id;
    }

    /// The answers of everything in flight are lost: their turn comes again.
    pub fn lose_answers(&mut self) {
        for entry in self.entries.values_mut() {
            if entry.state == EntryState::InFlight {
                entry.state = EntryState::Queued;
            }
        }
    }

    /// The entry's answer is lost, or it is to be repeated on another connection.
    pub fn requeue(&mut self, order: u64) {
        if let Some(entry) = self.entries.get_mut(&order) {
            entry.state = EntryState::Queued;
        }
    }

    /// How often an entry was put off before.
    pub fn refusals(&self, order: u64) -> u32 {
        self.get(order).map_or(0, |entry| entry.refusals)
    }

    /// The entry is to be repeated, under the same client id, at `until_ms`.
    pub fn put_off(&mut self, order: u64, until_ms: u64) {
        if let Some(entry) = self.entries.get_mut(&order) {
            entry.state = EntryState::Waiting { until_ms };
            entry.refusals = entry.refusals.saturating_add(1);
        }
    }

    /// The entry is done, or given up: it leaves, and its lane goes on.
    pub fn remove(&mut self, order: u64) -> Option<Entry> {
        let entry = self.entries.remove(&order)?;
        self.by_client_id.remove(&entry.client_id);
        self.leave_lane(entry.lane, order);
        Some(entry)
    }

    /// The entry stays to be seen with its error, and its lane goes on. Returns the entries that had to
    /// go to make room.
    pub fn keep_failed(&mut self, order: u64, error: v1::Error) -> Vec<Entry> {
        let Some(entry) = self.entries.get_mut(&order) else { return Vec::new() };
        entry.state = EntryState::Failed(error);
        entry.ticket = None;
        let lane = entry.lane;
        self.leave_lane(lane, order);
        let failed = self.entries.values().filter(|entry| matches!(entry.state, EntryState::Failed(_)));
        let mut orders = failed.map(|entry| entry.order).collect::<Vec<_>>();
        orders.truncate(orders.len().saturating_sub(FAILED_ENTRIES));
        orders.into_iter().filter_map(|order| self.remove(order)).collect()
    }

    /// Nobody of this run waits any more: who did.
    pub fn take_tickets(&mut self) -> Vec<Ticket> {
        self.entries.values_mut().filter_map(|entry| entry.ticket.take()).collect()
    }

    /// One's own account is known now: lanes named by a peer become conversations.
    pub fn settle_lanes(&mut self, own: AccountId) {
        if !self.lanes.keys().any(|lane| matches!(lane, Lane::Peer(_))) {
            return;
        }
        self.lanes.clear();
        for entry in self.entries.values_mut() {
            entry.lane = entry.lane.settled(Some(own));
            if !matches!(entry.state, EntryState::Failed(_)) {
                self.lanes.entry(entry.lane).or_default().push_back(entry.order);
            }
        }
    }

    fn fronts(&self) -> impl Iterator<Item = &Entry> {
        let each = if anser_model::planted!(ManyUnderWay) { usize::MAX } else { 1 };
        self.lanes
            .values()
            .flat_map(move |lane| lane.iter().take(each))
            .filter_map(|order| self.entries.get(order))
    }

    fn leave_lane(&mut self, lane: Lane, order: u64) {
        let Some(orders) = self.lanes.get_mut(&lane) else { return };
        orders.retain(|&other| other != order);
        if orders.is_empty() {
            self.lanes.remove(&lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use anser_model::UnixMillis;

    use super::*;

    fn put(outbox: &mut Outbox, peer: u64) -> u64 {
        let order = outbox.next_order();
        let command =
            Command::Send(v1::Send { to: Some(v1::Target::peer(AccountId(peer))), ..v1::Send::default() });
        let lane = command.lane(None, order).unwrap();
        let client_id = ClientId::mint(UnixMillis(order), [order as u8; 10]);
        let state = EntryState::Queued;
        outbox.insert(Entry {
            order,
            client_id,
            command,
            lane,
            state,
            written: false,
            refusals: 0,
            ticket: None,
        });
        order
    }

    #[test]
    fn lanes_are_independent_and_go_one_by_one() {
        let mut outbox = Outbox::default();
        let (a1, a2, b1) = (put(&mut outbox, 1), put(&mut outbox, 1), put(&mut outbox, 2));
        assert_eq!(outbox.due(0), [a1, b1]);
        outbox.start(a1);
        assert_eq!(outbox.due(0), [b1]);
        outbox.put_off(a1, 50);
        assert_eq!(outbox.due(49), [b1]);
        assert_eq!(outbox.next_due_ms(), Some(50));
        assert_eq!(outbox.due(50), [a1, b1]);
        outbox.start(a1);
        outbox.lose_answers();
        assert_eq!(outbox.due(50), [a1, b1]);
        assert!(outbox.remove(a1).unwrap().written);
        assert_eq!(outbox.due(50), [a2, b1]);
    }

    #[test]
    fn a_failure_steps_aside_and_the_oldest_failures_go() {
        let mut outbox = Outbox::default();
        let orders = (0..FAILED_ENTRIES + 2).map(|_| put(&mut outbox, 1)).collect::<Vec<_>>();
        let mut gone = Vec::new();
        for &order in &orders[..=FAILED_ENTRIES] {
            outbox.start(order);
            gone.extend(outbox.keep_failed(order, v1::Error::default()));
        }
        assert_eq!(gone.iter().map(|entry| entry.order).collect::<Vec<_>>(), [orders[0]]);
        assert_eq!(outbox.due(0), [orders[FAILED_ENTRIES + 1]]);
    }

    #[test]
    fn settled_lanes_keep_the_order_of_the_acts() {
        let mut outbox = Outbox::default();
        let by_peer = put(&mut outbox, 2);
        let order = outbox.next_order();
        let cid = anser_model::ConversationId::direct(AccountId(1), AccountId(2));
        let command = Command::Send(v1::Send { to: Some(v1::Target::cid(cid)), ..v1::Send::default() });
        let lane = command.lane(None, order).unwrap();
        let client_id = ClientId::mint(UnixMillis(99), [9; 10]);
        let state = EntryState::Queued;
        outbox.insert(Entry {
            order,
            client_id,
            command,
            lane,
            state,
            written: false,
            refusals: 0,
            ticket: None,
        });
        outbox.settle_lanes(AccountId(1));
        assert_eq!(outbox.due(0), [by_peer]);
        outbox.remove(by_peer);
        assert_eq!(outbox.due(0), [order]);
    }
}
