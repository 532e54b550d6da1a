//! One connection that asks one thing at a time: to set a scene, and to look at it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use anser_model::ConversationId;
use anser_proto::v1::{client_frame::Request, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use anyhow::Context as _;

use super::pen::Pen;
use super::stage::Stage;
use crate::socket::{self, Attached, BINARY};

/// Requests that wait for their answers at once.
const AT_ONCE: usize = 64;
const READ_BYTES: usize = 64 * 1024;
/// What is put off is asked again after this.
const PUT_OFF_PAUSE: Duration = Duration::from_millis(300);

/// Asks.
pub struct Caller {
    stream: TcpStream,
    received: Vec<u8>,
    next_id: u64,
    /// Of whom it is the connection, and when.
    pub pen: Pen,
    timeline: u64,
    /// How far each slot has come.
    slots: BTreeMap<u32, u64>,
}

impl Caller {
    /// A connection of somebody.
    ///
    /// # Errors
    /// It is not let in.
    pub fn new(stage: &Stage<'_>, person: usize) -> anyhow::Result<Caller> {
        let Attached { stream, already_read, server_time_ms, timeline, .. } = stage.attach(person)?;
        let slots = BTreeMap::new();
        Ok(Caller {
            stream,
            received: already_read,
            next_id: 2,
            pen: Pen::new(server_time_ms),
            timeline,
            slots,
        })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// It is refused, or the socket fails.
    pub fn ask(&mut self, request: Request) -> anyhow::Result<response::Result> {
        let mut answers = self.ask_all([request])?;
        answers.pop().context("there is an answer")
    }

    /// Asks many things. The answers, in order.
    ///
    /// # Errors
    /// One is refused, or the socket fails.
    pub fn ask_all(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
    ) -> anyhow::Result<Vec<response::Result>> {
        let mut requests = requests.into_iter().peekable();
        let mut answers = Vec::new();
        while requests.peek().is_some() {
            let group: Vec<Request> = requests.by_ref().take(AT_ONCE).collect();
            let mut results = vec![None; group.len()];
            while results.iter().any(Option::is_none) {
                self.ask_those_left(&group, &mut results)?;
            }
            answers.extend(results.into_iter().flatten());
        }
        Ok(answers)
    }

    /// Asks what has no result yet. What is put off has none afterwards either.
    fn ask_those_left(
        &mut self,
        group: &[Request],
        results: &mut [Option<response::Result>],
    ) -> anyhow::Result<()> {
        let (mut asked, mut out) = (BTreeMap::new(), Vec::new());
        for place in (0..group.len()).filter(|&place| results[place].is_none()) {
            socket::push_request(&mut out, self.next_id, group[place].clone());
            asked.insert(self.next_id, place);
            self.next_id += 1;
        }
        self.stream.write_all(&out).context("asking")?;
        let mut is_put_off = false;
        while !asked.is_empty() {
            let server_frame::Frame::Response(answer) = self.frame()? else { continue };
            let place = asked.remove(&answer.id).context("an answer belongs to a question")?;
            if socket::is_put_off(answer.result.as_ref()) {
                is_put_off = true;
                continue;
            }
            let is_error = matches!(answer.result, None | Some(response::Result::Error(_)));
            anyhow::ensure!(!is_error, "a question was answered with {answer:?}");
            results[place] = answer.result;
        }
        if is_put_off {
            sleep(PUT_OFF_PAUSE);
        }
        Ok(())
    }

    /// Makes groups of these people. Their ids.
    ///
    /// # Errors
    /// One is refused.
    pub fn groups(&mut self, count: usize, members: &[u64]) -> anyhow::Result<Vec<ConversationId>> {
        let title = |number: usize| format!("group {number}");
        let requests: Vec<Request> =
            (0..count).map(|number| self.pen.create_group(title(number), members.to_vec())).collect();
        self.ask_all(requests)?.iter().map(|answer| Ok(accepted(answer)?.0)).collect()
    }

    /// A sync from nothing, and how far one has come by it.
    ///
    /// # Errors
    /// The socket fails.
    pub fn cursor(&mut self) -> anyhow::Result<v1::Cursor> {
        let response::Result::SyncStarted(mut started) = self.ask(Request::Sync(v1::Sync::default()))? else {
            anyhow::bail!("a sync is answered with what it starts");
        };
        while !started.owing.is_empty() {
            if let server_frame::Frame::SyncHeads(heads) = self.frame()?
                && heads.done
            {
                self.slots.insert(heads.slot, heads.n);
                started.owing.retain(|&slot| slot != heads.slot);
            }
        }
        Ok(v1::Cursor { timeline: self.timeline, slots: self.slots.clone().into_iter().collect() })
    }

    fn frame(&mut self) -> anyhow::Result<server_frame::Frame> {
        let mut piece = vec![0; READ_BYTES];
        loop {
            while let Some(framed) = socket::next_frame(&self.received) {
                let frame = (framed.opcode == BINARY)
                    .then(|| decode_server(&self.received[framed.start..framed.end], Encoding::Binary))
                    .transpose()?;
                self.received.drain(..framed.end);
                if let Some(v1::ServerFrame { frame: Some(frame) }) = frame {
                    return Ok(frame);
                }
            }
            let count = self.stream.read(&mut piece).context("waiting for the server")?;
            anyhow::ensure!(count > 0, "the server hung up");
            self.received.extend_from_slice(&piece[..count]);
        }
    }
}

/// Where a command took effect.
///
/// # Errors
/// It did not.
pub fn accepted(answer: &response::Result) -> anyhow::Result<(ConversationId, u64)> {
    match answer {
        response::Result::Accepted(accepted) => Ok((anser_proto::wire::cid(&accepted.cid)?, accepted.seq)),
        other => anyhow::bail!("a command was answered with {other:?}"),
    }
}
