//! Pairs of people who write to each other: what they say, and whether all of it arrives, once and in
//! order.

use anser_model::{AccountId, ClientId, UnixMillis};
use anser_proto::v1::{client_frame::Request, event, response, server_frame, target};
use anser_proto::{Encoding, decode_server, v1};
use anyhow::Context as _;
use tokio::time::Instant;

use crate::load::{Next, Wire};
use crate::report::Percentiles;
use crate::socket::{self, BINARY, CLOSE};

/// Bytes of what is said.
const TEXT_BYTES: usize = 200;
/// A delivery is behind its sender's newest message by less than this.
const REMEMBERED: usize = 64;
/// The first request after hello.
const FIRST_REQUEST: u64 = 2;

/// What went wrong between acknowledgement and delivery. One of them voids every figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Acknowledged, and never delivered.
    pub lost: u64,
    /// Delivered again.
    pub doubled: u64,
    /// Delivered before one that was sent earlier.
    pub reordered: u64,
}

/// Connections in pairs: 0 with 1, 2 with 3, …
pub struct Talk {
    lines: Vec<Line>,
    faults: Faults,
    undelivered: u64,
    /// Told apart from other runs on the same accounts by this.
    round: u8,
    started: Instant,
    started_ms: u64,
    measuring: bool,
    deliveries_us: Vec<u64>,
}

/// One direction of a pair.
struct Line {
    /// Whom it goes to.
    peer: AccountId,
    sent: u64,
    acknowledged: u64,
    delivered: u64,
    last_seq: u64,
    sent_at: [Instant; REMEMBERED],
}

impl Talk {
    /// Between these accounts, on connections in the same order. `server_time_ms` is now.
    pub fn new(accounts: &[AccountId], round: u8, server_time_ms: u64) -> Talk {
        assert!(accounts.len().is_multiple_of(2), "people talk in pairs");
        let started = Instant::now();
        let line = |at: usize| Line {
            peer: accounts[at ^ 1],
            sent: 0,
            acknowledged: 0,
            delivered: 0,
            last_seq: 0,
            sent_at: [started; REMEMBERED],
        };
        Talk {
            lines: (0..accounts.len()).map(line).collect(),
            faults: Faults::default(),
            undelivered: 0,
            round,
            started,
            started_ms: server_time_ms,
            measuring: false,
            deliveries_us: Vec::with_capacity(1 << 20),
        }
    }

    /// What went wrong.
    pub fn faults(&self) -> Faults {
        let lost = self.lines.iter().map(|line| line.acknowledged.saturating_sub(line.delivered)).sum();
        Faults { lost, ..self.faults }
    }

    /// How many messages were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.lines.iter().map(|line| line.acknowledged).sum()
    }

    /// Goes on where an earlier talk on the same connections was cut off: whatever is acknowledged now
    /// must stand behind whatever was acknowledged then.
    pub fn go_on_after(&mut self, earlier: &Talk) {
        assert_eq!(self.lines.len(), earlier.lines.len(), "the same people talk");
        for (line, before) in self.lines.iter_mut().zip(&earlier.lines) {
            line.last_seq = before.last_seq;
        }
    }

    /// How many were delivered in the measured time, and how long after they were sent.
    pub fn deliveries(&mut self) -> (u64, Percentiles) {
        (self.deliveries_us.len() as u64, Percentiles::of(&mut self.deliveries_us))
    }

    fn client_id(&self, at: usize, number: u64, now: Instant) -> ClientId {
        let ms = self.started_ms + (now - self.started).as_millis() as u64;
        let mut random = [0; 10];
        random[1] = self.round;
        random[3..5].copy_from_slice(&(at as u16).to_be_bytes());
        random[5..].copy_from_slice(&number.to_be_bytes()[3..]);
        ClientId::mint(UnixMillis(ms), random)
    }

    fn answer(&mut self, at: usize, answer: v1::Response, next: &mut Next) -> anyhow::Result<()> {
        let line = &mut self.lines[at];
        if socket::is_put_off(answer.result.as_ref()) {
            // It is said again.
            line.sent -= 1;
            self.undelivered -= 1;
            next.put_off.push(at);
            return Ok(());
        }
        match answer.result {
            Some(response::Result::Accepted(ref accepted)) => {
                anyhow::ensure!(
                    answer.id == FIRST_REQUEST + line.acknowledged
                        && accepted.seq > line.last_seq
                        && !accepted.duplicate,
                    "message {} of connection {at} was answered with {answer:?}",
                    line.acknowledged
                );
                line.last_seq = accepted.seq;
                line.acknowledged += 1;
                next.done.push(at);
                Ok(())
            }
            other => {
                anyhow::bail!("message {} of connection {at} was answered with {other:?}", line.acknowledged)
            }
        }
    }

    fn delivery(&mut self, at: usize, now: Instant, event: &v1::Event) -> anyhow::Result<()> {
        let Some(event::Change::Message(message)) = &event.change else { return Ok(()) };
        let mut words = message.text.split(' ').map(str::parse::<u64>);
        let (Some(Ok(round)), Some(Ok(from)), Some(Ok(number))) = (words.next(), words.next(), words.next())
        else {
            anyhow::bail!("connection {at} got what nobody said: {message:?}")
        };
        let ours = round == u64::from(self.round) && from == (at ^ 1) as u64;
        anyhow::ensure!(ours, "connection {at} got what was said elsewhere: {message:?}");
        let line = &mut self.lines[at ^ 1];
        match number.cmp(&line.delivered) {
            std::cmp::Ordering::Less => self.faults.doubled += 1,
            std::cmp::Ordering::Greater => self.faults.reordered += 1,
            std::cmp::Ordering::Equal => {
                line.delivered += 1;
                self.undelivered -= 1;
                if self.measuring {
                    let sent_at = line.sent_at[number as usize % REMEMBERED];
                    self.deliveries_us.push((now - sent_at).as_micros() as u64);
                }
            }
        }
        Ok(())
    }
}

impl Wire for Talk {
    fn ask(&mut self, at: usize, now: Instant, out: &mut Vec<u8>) {
        let number = self.lines[at].sent;
        let client_id = self.client_id(at, number, now);
        let mut text = format!("{} {at} {number} ", self.round);
        text.extend(std::iter::repeat_n('x', TEXT_BYTES - text.len()));
        let line = &mut self.lines[at];
        let send = v1::Send {
            to: Some(v1::Target { target: Some(target::Target::Peer(line.peer.0)) }),
            client_id: client_id.as_bytes().to_vec().into(),
            message: Some(v1::Message { kind: "text".to_owned(), text, ..v1::Message::default() }),
        };
        socket::push_request(out, FIRST_REQUEST + number, Request::Send(send));
        line.sent_at[number as usize % REMEMBERED] = now;
        line.sent += 1;
        self.undelivered += 1;
    }

    fn take(&mut self, at: usize, now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            anyhow::ensure!(framed.opcode != CLOSE, "the server closed connection {at}");
            if framed.opcode != BINARY {
                continue;
            }
            let frame = decode_server(payload, Encoding::Binary).context("a frame of the server")?;
            match frame.frame {
                Some(server_frame::Frame::Response(answer)) => {
                    self.answer(at, answer, next)?;
                }
                Some(server_frame::Frame::Event(event)) => self.delivery(at, now, &event)?,
                Some(server_frame::Frame::SyncHeads(_)) | None => {}
                Some(other) => anyhow::bail!("connection {at} was told {other:?}"),
            }
        }
        Ok(taken)
    }

    fn is_settled(&self) -> bool {
        self.undelivered == 0 || self.faults.reordered > 0
    }

    fn begin(&mut self) {
        self.measuring = true;
    }

    fn end(&mut self) {
        self.measuring = false;
    }
}
