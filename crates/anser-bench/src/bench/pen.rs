//! What is said in a bench: requests as bytes, and how large they and their answers are.

use anser_model::{AccountId, ClientId, ConversationId, UnixMillis};
use anser_proto::v1::{self, client_frame::Request, event, response, server_frame};
use anser_proto::wire::cid_bytes;
use anser_proto::{Encoding, encode_server};
use tokio::time::Instant;

use crate::socket::push_request;

/// Bytes of what is said, where nothing else is.
pub const TEXT_BYTES: usize = 200;

/// Mints client ids.
#[derive(Debug, Clone)]
pub struct Pen {
    began: Instant,
    began_ms: u64,
    minted: u64,
}

impl Pen {
    /// From now on, which is `server_time_ms` by the server's clock.
    pub fn new(server_time_ms: u64) -> Pen {
        Pen { began: Instant::now(), began_ms: server_time_ms, minted: 0 }
    }

    /// Another one: in one process no two are alike, whichever pen they come from, since time passes between pens.
    pub fn client_id(&mut self) -> ClientId {
        self.minted += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.minted.to_be_bytes());
        ClientId::mint(UnixMillis(self.began_ms + self.began.elapsed().as_millis() as u64), random)
    }

    /// A request to say something.
    pub fn send(&mut self, to: v1::Target, text: String) -> Request {
        Request::Send(v1::Send {
            to: Some(to),
            client_id: self.client_id().as_bytes().to_vec().into(),
            message: Some(v1::Message::text(text)),
        })
    }

    /// A request to make a group.
    pub fn create_group(&mut self, title: String, members: Vec<u64>) -> Request {
        let client_id = self.client_id().as_bytes().to_vec().into();
        Request::CreateGroup(v1::CreateGroup { client_id, title, members, ..v1::CreateGroup::default() })
    }
}

/// A text of [`TEXT_BYTES`] that begins with these words.
pub fn padded(words: std::fmt::Arguments<'_>) -> String {
    let mut text = format!("{words} ");
    text.extend(std::iter::repeat_n('x', TEXT_BYTES.saturating_sub(text.len())));
    text
}

/// The number with which a text begins.
pub fn number_of(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}

/// How many bytes a send, its answer and its delivery have on the socket, so that the limit moves as many.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// A send.
    pub send: usize,
    /// `accepted`.
    pub accepted: usize,
    /// The event.
    pub event: usize,
}

impl Sizes {
    /// Of a text of [`TEXT_BYTES`], with numbers as large as they are in a bench.
    pub fn usual() -> Sizes {
        const N: u64 = 1 << 20;
        let text = padded(format_args!("0"));
        let cid = cid_bytes(ConversationId::direct(AccountId(1_000), AccountId(1_001)));
        let now_ms = 1_780_000_000_000;
        let mut out = Vec::new();
        let send = Pen::new(now_ms).send(v1::Target::peer(AccountId(1_000)), text.clone());
        push_request(&mut out, N, send);
        let accepted = v1::Accepted {
            cid: cid.clone(),
            slot: 200,
            n: N,
            seq: N,
            at_ms: now_ms,
            ordinal: N,
            ..Default::default()
        };
        let answer = v1::Response { id: N, result: Some(response::Result::Accepted(accepted)) };
        let told = v1::Event {
            slot: 200,
            n: N,
            cid,
            at_ms: now_ms,
            author: 1_000,
            client_id: vec![1; 16].into(),
            seq: N,
            ordinal: N,
            author_profile_version: 1,
            change: Some(event::Change::Message(v1::Message::text(text))),
        };
        Sizes {
            send: out.len(),
            accepted: on_socket(server_frame::Frame::Response(answer)),
            event: on_socket(server_frame::Frame::Event(told)),
        }
    }
}

fn on_socket(frame: server_frame::Frame) -> usize {
    let payload = encode_server(&v1::ServerFrame { frame: Some(frame) }, Encoding::Binary).len();
    payload + if payload < 126 { 2 } else { 4 }
}
