//! One connection of somebody: asks, and keeps every byte that it ever heard.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anser_model::{ClientId, UnixMillis};
use anser_proto::v1::{client_frame::Request, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use anyhow::Context as _;
use bytes::Bytes;
use tokio::time::Instant;

use crate::random::Random;
use crate::socket::{self, BINARY, CLOSE};

/// The id of every request: answers to two of them can be compared byte for byte.
const REQUEST: u64 = 7;

/// A session that is attached.
pub struct Line {
    stream: TcpStream,
    received: Vec<u8>,
    heard: Vec<u8>,
    attached: Instant,
    server_time_ms: u64,
    timeline: u64,
    /// How far it was told, by slot.
    cursor: BTreeMap<u32, u64>,
    /// Whether it was told that it missed something.
    has_missed: bool,
    random: Random,
}

/// An answer, with the bytes that it came in.
pub struct Answer {
    /// What was answered.
    pub result: response::Result,
    /// The frame.
    pub bytes: Vec<u8>,
}

impl Line {
    /// Attaches with a token.
    pub fn open(authority: &str, token: &str, random: Random) -> anyhow::Result<Line> {
        let attached = socket::attach(authority, token)?;
        Ok(Line {
            stream: attached.stream,
            received: attached.already_read,
            heard: Vec::new(),
            attached: Instant::now(),
            server_time_ms: attached.server_time_ms,
            timeline: attached.timeline,
            cursor: BTreeMap::new(),
            has_missed: false,
            random,
        })
    }

    /// The history that seqs belong to.
    pub fn timeline(&self) -> u64 {
        self.timeline
    }

    /// A client id that nobody has used.
    pub fn client_id(&mut self) -> Bytes {
        let now = UnixMillis(self.server_time_ms + self.attached.elapsed().as_millis() as u64);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random.bits().to_be_bytes());
        Bytes::copy_from_slice(ClientId::mint(now, random).as_bytes())
    }

    /// Asks, and waits for the answer; for a sync, until all that was owed has come.
    pub fn ask(&mut self, request: Request) -> anyhow::Result<Answer> {
        let mut out = Vec::new();
        socket::push_request(&mut out, REQUEST, request);
        self.stream.write_all(&out).context("asking")?;
        let answer = self.answer()?;
        let mut owing = match &answer.result {
            response::Result::SyncStarted(started) => started.owing.clone(),
            _ => Vec::new(),
        };
        while !owing.is_empty() {
            let (_, frame) = self.next_frame()?;
            if let Some(server_frame::Frame::SyncHeads(heads)) = frame.frame
                && heads.done
            {
                owing.retain(|&slot| slot != heads.slot);
            }
        }
        Ok(answer)
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        loop {
            let (bytes, frame) = self.next_frame()?;
            if let Some(server_frame::Frame::Response(answer)) = frame.frame
                && answer.id == REQUEST
            {
                let result = answer.result.context("an answer without a result")?;
                return Ok(Answer { result, bytes });
            }
        }
    }

    /// The same, where the command must take effect.
    pub fn accepted(&mut self, request: Request) -> anyhow::Result<v1::Accepted> {
        match self.ask(request)?.result {
            response::Result::Accepted(accepted) => Ok(accepted),
            other => anyhow::bail!("the stage cannot be set: {other:?}"),
        }
    }

    /// Everything heard since the last time, up to now. The answers to what it asked are among it.
    pub fn hears(&mut self) -> anyhow::Result<Vec<u8>> {
        self.ask(Request::Ping(v1::Ping {}))?;
        // Whoever missed something hears nothing of it until it has asked.
        if std::mem::take(&mut self.has_missed) {
            let (timeline, slots) = (self.timeline, self.cursor.clone());
            self.ask(Request::Sync(v1::Sync { cursor: Some(v1::Cursor { timeline, slots }) }))?;
        }
        Ok(std::mem::take(&mut self.heard))
    }

    fn next_frame(&mut self) -> anyhow::Result<(Vec<u8>, v1::ServerFrame)> {
        let bytes = self.next()?;
        let frame = decode_server(&bytes, Encoding::Binary)?;
        match &frame.frame {
            Some(server_frame::Frame::Event(event)) => {
                let n = self.cursor.entry(event.slot).or_default();
                *n = event.n.max(*n);
            }
            Some(server_frame::Frame::SyncHeads(heads)) if heads.done => {
                self.cursor.insert(heads.slot, heads.n);
            }
            Some(server_frame::Frame::Resync(_)) => self.has_missed = true,
            _ => {}
        }
        Ok((bytes, frame))
    }

    fn next(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(framed) = socket::next_frame(&self.received) {
                let bytes = self.received[framed.start..framed.end].to_vec();
                self.received.drain(..framed.end);
                self.heard.extend_from_slice(&bytes);
                anyhow::ensure!(framed.opcode != CLOSE, "the server closed the connection");
                if framed.opcode == BINARY {
                    return Ok(bytes);
                }
                continue;
            }
            let mut piece = [0; 8_192];
            let count = self.stream.read(&mut piece).context("waiting for the server")?;
            anyhow::ensure!(count > 0, "the server hung up");
            self.received.extend_from_slice(&piece[..count]);
        }
    }
}

/// Everything that a connection hears on which these requests were sent at once, until it is closed; or until what
/// is asked behind them is answered, on one that is not.
pub fn heard_until_closed(authority: &str, requests: Vec<Request>) -> anyhow::Result<Vec<v1::ServerFrame>> {
    let (mut stream, mut received) = socket::upgrade(authority)?;
    let (mut out, behind) = (Vec::new(), 1 + requests.len() as u64);
    let ping = Request::Ping(v1::Ping {});
    for (id, request) in (1..).zip(requests.into_iter().chain([ping])) {
        socket::push_request(&mut out, id, request);
    }
    stream.write_all(&out).context("asking")?;
    let mut frames = Vec::new();
    loop {
        while let Some(framed) = socket::next_frame(&received) {
            if framed.opcode == CLOSE {
                return Ok(frames);
            }
            if framed.opcode == BINARY {
                let frame = decode_server(&received[framed.start..framed.end], Encoding::Binary)?;
                let is_last = matches!(&frame.frame, Some(server_frame::Frame::Response(answer)) if answer.id == behind);
                frames.push(frame);
                if is_last {
                    return Ok(frames);
                }
            }
            received.drain(..framed.end);
        }
        let mut piece = [0; 8_192];
        match stream.read(&mut piece).context("waiting for the server")? {
            0 => return Ok(frames),
            count => received.extend_from_slice(&piece[..count]),
        }
    }
}
