//! Many connections that ask questions, one in flight on each, beside a bare epoll that answers as many bytes.

use anser_proto::v1::{client_frame::Request, response, server_frame};
use anser_proto::{Encoding, decode_server, v1};
use anyhow::Context as _;
use tokio::time::Instant;

use super::figures::{Figure, Unit};
use super::stage::Stage;
use crate::load::{self, End, Next, Outcome, Plan, Wire};
use crate::raw::echo::{self, Work};
use crate::raw::frames::RESPONSE_KEY;
use crate::socket::{self, CLOSE};

/// One answer of so many is decoded and compared; of the others it is seen that they are no errors. To read all of them
/// would cost this program more than the server.
const LOOKED_AT: u64 = 16;

/// What is asked, and what the answer has to be.
pub trait Question {
    /// The next one of a connection.
    fn ask(&mut self, at: usize) -> Request;

    /// Looks at its answer.
    ///
    /// # Errors
    /// It is not what was asked for.
    fn look(&mut self, at: usize, answer: &response::Result) -> anyhow::Result<()>;
}

struct Asking<Q> {
    question: Q,
    ids: Vec<u64>,
    answered: u64,
}

impl<Q: Question> Wire for Asking<Q> {
    fn ask(&mut self, at: usize, _now: Instant, out: &mut Vec<u8>) {
        self.ids[at] += 1;
        socket::push_request(out, self.ids[at], self.question.ask(at));
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let payload = &bytes[taken..][framed.start..framed.end];
            taken += framed.end;
            anyhow::ensure!(framed.opcode != CLOSE, "the server closed connection {at}");
            if payload.first() != Some(&RESPONSE_KEY) {
                continue;
            }
            self.answered += 1;
            if is_error(payload) || self.answered.is_multiple_of(LOOKED_AT) {
                let frame = decode_server(payload, Encoding::Binary)?.frame;
                let Some(server_frame::Frame::Response(v1::Response { id, result: Some(result) })) = frame
                else {
                    anyhow::bail!("connection {at} was told {frame:?}");
                };
                anyhow::ensure!(id == self.ids[at], "connection {at} did not ask for {result:?}");
                if socket::is_put_off(Some(&result)) {
                    next.put_off.push(at);
                    continue;
                }
                self.question.look(at, &result)?;
            }
            next.done.push(at);
        }
        Ok(taken)
    }
}

/// Whether a response frame holds an error, seen without decoding it: field 1 is the id, and field 2 the error.
fn is_error(payload: &[u8]) -> bool {
    let after_number = |bytes: &[u8], from: usize| {
        bytes.get(from..)?.iter().position(|byte| byte & 0x80 == 0).map(|place| from + place + 1)
    };
    let id_key = after_number(payload, 1);
    let result_key = id_key.and_then(|at| after_number(payload, at + 1));
    result_key.and_then(|at| payload.get(at)) == Some(&(2 << 3 | 2))
}

/// What came out, and the limit for as many bytes.
pub struct Asked {
    /// Ours.
    pub ours: Outcome,
    /// Of the bare epoll.
    pub limit: Outcome,
}

/// Asks on these connections.
///
/// # Errors
/// An answer is not what was asked for, or a socket fails.
pub fn ask(
    stage: &Stage<'_>,
    mut ends: Vec<End>,
    question: impl Question,
    plan: Plan,
) -> anyhow::Result<Asked> {
    let connections = ends.len();
    let mut wire = Asking { question, ids: vec![1; connections], answered: 0 };
    let ours = load::run(&mut ends, &mut wire, plan.of(stage.pid()?))?;
    drop(ends);
    Ok(Asked { ours, limit: limit(ours.bytes_each, connections, stage.options.brief())? })
}

/// What a bare epoll does for requests and answers of so many bytes.
///
/// # Errors
/// A socket fails.
pub fn limit(bytes_each: (usize, usize), connections: usize, plan: Plan) -> anyhow::Result<Outcome> {
    let work = Work {
        request_bytes: bytes_each.0,
        answer_bytes: bytes_each.1,
        durable_in: None,
        forward_bytes: None,
        and_back: false,
    };
    echo::measure(work, (connections, |_| true), plan).context("measuring the raw limit")
}

/// The figure of answers each second.
///
/// # Errors
/// The server is gone.
pub fn figure(
    stage: &Stage<'_>,
    scenario: &'static str,
    name: &str,
    asked: &Asked,
) -> anyhow::Result<Figure> {
    let ours = &asked.ours;
    let figure = Figure::new(scenario, name, ours.rate, Unit::PerSecond)
        .beside(asked.limit.rate)
        .latency(ours.latency, Some(asked.limit.latency))
        .note(format!("answers of {} B", ours.bytes_each.1))
        .intact();
    figure.used(ours, ours.answers, stage)
}

#[cfg(test)]
mod tests {
    use anser_proto::encode_server;

    use super::*;

    fn payload(id: u64, result: response::Result) -> Vec<u8> {
        let frame = server_frame::Frame::Response(v1::Response { id, result: Some(result) });
        encode_server(&v1::ServerFrame { frame: Some(frame) }, Encoding::Binary).to_vec()
    }

    #[test]
    fn an_error_is_seen_without_decoding() {
        let error = v1::Error { code: "overloaded".to_owned(), ..v1::Error::default() };
        for id in [1, 300, 1 << 40] {
            assert!(is_error(&payload(id, response::Result::Error(error.clone()))));
            assert!(!is_error(&payload(id, response::Result::Pong(v1::Pong { server_time_ms: 1 << 50 }))));
            let page = v1::Page { cid: vec![1; 500].into(), ..v1::Page::default() };
            assert!(!is_error(&payload(id, response::Result::Page(page))));
        }
        assert!(!is_error(&[]) && !is_error(&[RESPONSE_KEY, 0x80]));
    }
}
