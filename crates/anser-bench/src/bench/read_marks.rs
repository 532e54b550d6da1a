//! Pairs in which each message is read at once: done when its author is told the mark.

use anser_model::AccountId;
use anser_proto::v1::{client_frame::Request, event, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use tokio::time::Instant;

use super::pen::{Pen, padded};
use crate::load::{Next, Wire};
use crate::socket::{self, CLOSE};

/// Connections in pairs: 0 writes to 1, 2 to 3, …
pub struct ReadMarks {
    pairs: Vec<Pair>,
    timeline: u64,
    pen: Pen,
    ids: Vec<u64>,
}

struct Pair {
    accounts: [AccountId; 2],
    /// Of the message under way, once it was delivered.
    delivered_seq: u64,
    read_seq: u64,
    said: u64,
}

impl ReadMarks {
    /// Between these, on connections in the same order.
    pub fn new(accounts: &[AccountId], timeline: u64, server_time_ms: u64) -> ReadMarks {
        let pair =
            |two: &[AccountId]| Pair { accounts: [two[0], two[1]], delivered_seq: 0, read_seq: 0, said: 0 };
        ReadMarks {
            pairs: accounts.chunks_exact(2).map(pair).collect(),
            timeline,
            pen: Pen::new(server_time_ms),
            ids: vec![1; accounts.len()],
        }
    }

    /// It is said again, or read again.
    fn put_off(&mut self, at: usize, next: &mut Next) {
        if at % 2 == 1 {
            return next.reactions.push(at);
        }
        self.pairs[at / 2].said -= 1;
        next.put_off.push(at);
    }

    fn event(&mut self, at: usize, event: &v1::Event, next: &mut Next) -> anyhow::Result<()> {
        let pair = &mut self.pairs[at / 2];
        match &event.change {
            Some(event::Change::Message(message)) if at % 2 == 1 => {
                let expected = padded(format_args!("{}", pair.said - 1));
                let is_next = message.text == expected && event.seq > pair.delivered_seq;
                anyhow::ensure!(is_next, "connection {at} got another message than the next: {event:?}");
                pair.delivered_seq = event.seq;
                next.reactions.push(at);
            }
            Some(event::Change::MarkMoved(mark))
                if at.is_multiple_of(2) && mark.member == pair.accounts[1].0 =>
            {
                let is_it = mark.seq == pair.delivered_seq && mark.seq > pair.read_seq;
                anyhow::ensure!(
                    is_it,
                    "connection {at} got another mark than that of its message: {event:?}"
                );
                pair.read_seq = mark.seq;
                next.done.push(at);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Wire for ReadMarks {
    fn ask(&mut self, at: usize, _now: Instant, out: &mut Vec<u8>) {
        let pair = &mut self.pairs[at / 2];
        let text = padded(format_args!("{}", pair.said));
        pair.said += 1;
        self.ids[at] += 1;
        socket::push_request(out, self.ids[at], self.pen.send(v1::Target::peer(pair.accounts[1]), text));
    }

    fn react(&mut self, at: usize, _now: Instant, out: &mut Vec<u8>) {
        let pair = &self.pairs[at / 2];
        self.ids[at] += 1;
        let target = Some(v1::Target::peer(pair.accounts[0]));
        let read = v1::ReadUpTo { r#in: target, seq: pair.delivered_seq, timeline: self.timeline };
        socket::push_request(out, self.ids[at], Request::ReadUpTo(read));
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            anyhow::ensure!(framed.opcode != CLOSE, "the server closed connection {at}");
            match decode_server(payload, Encoding::Binary)?.frame {
                Some(server_frame::Frame::Response(answer)) if socket::is_put_off(answer.result.as_ref()) => {
                    self.put_off(at, next);
                }
                Some(server_frame::Frame::Response(answer)) => {
                    let is_accepted = matches!(&answer.result, Some(response::Result::Accepted(_)));
                    anyhow::ensure!(is_accepted, "connection {at} was answered with {answer:?}");
                }
                Some(server_frame::Frame::Event(event)) => self.event(at, &event, next)?,
                _ => {}
            }
        }
        Ok(taken)
    }
}
