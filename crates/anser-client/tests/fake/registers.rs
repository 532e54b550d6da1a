//! What a person decides for oneself alone, what was delivered, and who is there, as the server takes it.

use anser_model::AccountId;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Answered;
use anser_proto::v1::{self, event::Change};
use anser_proto::{ErrorCode, wire};

use super::{OWN, Server, accepted, cid};

impl Server {
    /// Who of those asked for is there.
    pub(super) fn watch(&mut self, watch: v1::Watch) -> Answered {
        if let Some(error) = self.refusals.pop_front() {
            return Answered::Error(error);
        }
        let presences =
            watch.accounts.iter().filter_map(|account| self.there.get(account).copied()).collect();
        let cid = wire::cid_bytes(cid(self.peer_of(watch.r#in)));
        self.watches.push((cid.clone(), watch.accounts));
        Answered::PresenceList(v1::PresenceList { cid, presences })
    }

    pub(super) fn take_register(&mut self, request: Request) -> Answered {
        match request {
            Request::DeliveredUpTo(v1::DeliveredUpTo { timeline, .. })
            | Request::Hide(v1::Hide { timeline, .. })
            | Request::ClearHistory(v1::ClearHistory { timeline, .. })
                if timeline != self.timeline =>
            {
                Answered::Error(v1::Error::new(ErrorCode::ForeignTimeline, "another history"))
            }
            Request::DeliveredUpTo(it) => {
                let peer = self.peer_of(it.r#in);
                let event = self.deliver(peer, OWN, it.seq);
                self.took(peer, event)
            }
            Request::MarkUnread(it) => {
                let peer = self.peer_of(it.r#in);
                let event = self.mark_unread(peer, it.marked);
                self.took(peer, event)
            }
            Request::Hide(it) => {
                let (peer, range) = (self.peer_of(it.r#in), it.ranges[0]);
                let event = self.hide(peer, range.low, range.high);
                self.took(peer, event)
            }
            Request::ClearHistory(it) => {
                let peer = self.peer_of(it.r#in);
                let event = self.clear(peer, it.seq);
                self.took(peer, event)
            }
            _ => unreachable!("called for these"),
        }
    }

    fn took(&self, peer: AccountId, event: Option<v1::Event>) -> Answered {
        let nothing = v1::Accepted { cid: wire::cid_bytes(cid(peer)), ..v1::Accepted::default() };
        Answered::Accepted(event.as_ref().map_or(nothing, accepted))
    }

    /// Messages have come to a device of somebody.
    pub fn deliver(&mut self, peer: AccountId, member: AccountId, seq: u64) -> Option<v1::Event> {
        let log = self.logs.get_mut(&peer).unwrap();
        let seq = seq.min(log.seq());
        let (known, mark) = match member == OWN {
            true => (&mut log.delivered, log.mark),
            false => (&mut log.peer_delivered, log.peer_mark),
        };
        if seq <= mark.max(*known) {
            return None;
        }
        *known = seq;
        let moved = v1::DeliveredMoved { member: member.get(), seq };
        let event = self.fact(peer, member, Change::DeliveredMoved(moved));
        self.push(&event);
        Some(event)
    }

    pub fn mark_unread(&mut self, peer: AccountId, marked: bool) -> Option<v1::Event> {
        let log = self.logs.get_mut(&peer).unwrap();
        if log.marked_unread == marked || log.n == 0 {
            return None;
        }
        log.marked_unread = marked;
        let event = self.fact(peer, OWN, Change::UnreadMarked(v1::UnreadMarked { marked }));
        self.push(&event);
        Some(event)
    }

    pub fn hide(&mut self, peer: AccountId, low: u64, high: u64) -> Option<v1::Event> {
        let log = self.logs.get_mut(&peer).unwrap();
        if high > log.seq() || (low..=high).all(|seq| !log.gives(seq)) {
            return None;
        }
        log.hidden.extend(low..=high);
        let ranges = vec![v1::SeqRange { low, high }];
        let event = self.fact(peer, OWN, Change::MessagesHidden(v1::MessagesHidden { ranges }));
        self.push(&event);
        Some(event)
    }

    pub fn clear(&mut self, peer: AccountId, seq: u64) -> Option<v1::Event> {
        let log = self.logs.get_mut(&peer).unwrap();
        if seq > log.seq() || seq <= log.cleared {
            return None;
        }
        log.cleared = seq;
        let ordinal = log.ordinal(seq);
        let change = Change::HistoryCleared(v1::HistoryCleared { seq, ordinal });
        let event = self.fact(peer, OWN, change);
        self.push(&event);
        Some(event)
    }

    /// What of these a person has hidden, as a head tells it.
    pub(super) fn runs(hidden: impl Iterator<Item = u64>) -> Vec<v1::SeqRange> {
        let mut runs: Vec<v1::SeqRange> = Vec::new();
        for seq in hidden {
            match runs.last_mut() {
                Some(run) if run.high + 1 == seq => run.high = seq,
                _ => runs.push(v1::SeqRange { low: seq, high: seq }),
            }
        }
        runs
    }
}
