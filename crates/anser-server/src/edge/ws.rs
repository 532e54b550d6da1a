//! WebSocket (RFC 6455), the server's side: the handshake's answer, and frames in and out.
//!
//! Written here because an idle connection must own no buffer: [`Inbox`] holds memory only while a
//! frame is incomplete, and an outgoing frame is encoded once for all who get it.

use anser_proto::peek::{self, PEEKED_BYTES, peek_send, refusal_len};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use sha1::{Digest, Sha1};

/// What RFC 6455 has every server append to the client's key.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a control frame's payload at most.
const CONTROL_BYTES: usize = 125;

/// Close codes of RFC 6455 that this server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// All was said.
    Normal = 1000,
    /// The server goes away.
    GoingAway = 1001,
    /// The rules of the protocol were broken.
    Protocol = 1002,
    /// A text message was not UTF-8.
    NotUtf8 = 1007,
    /// A message of the protocol above broke its rules, or the connection is not wanted.
    Policy = 1008,
    /// A message was too long.
    TooLarge = 1009,
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole message.
    Message(MessageKind, Vec<u8>),
    /// To be answered with a pong of the same payload.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// The other end is going.
    Close,
}

/// The other end broke the rules: close with the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct WsError {
    /// With which code to close.
    pub code: CloseCode,
    /// Which rule.
    pub what: &'static str,
}

const fn broken(what: &'static str) -> WsError {
    WsError { code: CloseCode::Protocol, what }
}

const TOO_LARGE: WsError = WsError { code: CloseCode::TooLarge, what: "a message is longer than 64 KiB" };

/// The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> String {
    let mut hasher = Sha1::new();
    hasher.update(key.as_bytes());
    hasher.update(KEY_SUFFIX.as_bytes());
    STANDARD.encode(hasher.finalize())
}

/// Frames coming in from one client. Empty and without memory between messages.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Where in them the next frame begins.
    at: usize,
    /// The message whose fragments are coming in.
    message: Option<(MessageKind, Vec<u8>)>,
}

struct Header {
    finished: bool,
    opcode: u8,
    mask: [u8; 4],
    start: usize,
    end: usize,
}

impl Inbox {
    /// Takes bytes off the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        // What was taken goes before more comes, and not frame by frame: many may come at once.
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next thing that is complete; call until there is none.
    pub fn next(&mut self, limit_bytes: usize) -> Result<Option<Incoming>, WsError> {
        loop {
            let Some(header) = self.header(limit_bytes)? else { return Ok(None) };
            let rest = &self.bytes[self.at..];
            if rest.len() < header.end {
                return Ok(None);
            }
            let mut payload = rest[header.start..header.end].to_vec();
            for (index, byte) in payload.iter_mut().enumerate() {
                *byte ^= header.mask[index % 4];
            }
            self.pass(header.end);
            if let Some(incoming) = self.frame(&header, payload, limit_bytes)? {
                return Ok(Some(incoming));
            }
        }
    }

    /// Passes over the next message if it is a send, whole and in one binary frame. Its request id.
    pub fn skip_send(&mut self, limit_bytes: usize) -> Option<u64> {
        let header = self.header(limit_bytes).ok()??;
        let rest = &self.bytes[self.at..];
        if header.opcode != 2 || !header.finished || self.message.is_some() || rest.len() < header.end {
            return None;
        }
        let mut head = [0; PEEKED_BYTES];
        let count = PEEKED_BYTES.min(header.end - header.start);
        for (index, byte) in rest[header.start..][..count].iter().enumerate() {
            head[index] = byte ^ header.mask[index % 4];
        }
        let id = peek_send(&head[..count])?;
        self.pass(header.end);
        Some(id)
    }

    /// So many bytes are taken.
    fn pass(&mut self, count: usize) {
        self.at += count;
        if self.at == self.bytes.len() {
            (self.bytes, self.at) = (Vec::new(), 0);
        }
    }

    fn header(&self, limit_bytes: usize) -> Result<Option<Header>, WsError> {
        let bytes = &self.bytes[self.at..];
        let [first, second, ..] = bytes[..] else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(broken("a reserved bit is set, and no extension was agreed on"));
        }
        if second & 0x80 == 0 {
            return Err(broken("a client masks its frames"));
        }
        let opcode = first & 0x0f;
        let (length, at) = match second & 0x7f {
            126 => match bytes.get(2..4) {
                Some(long) => (u64::from(u16::from_be_bytes([long[0], long[1]])), 4),
                None => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|long| <[u8; 8]>::try_from(long).ok()) {
                Some(long) => (u64::from_be_bytes(long), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        if opcode >= 8 && (length > CONTROL_BYTES as u64 || first & 0x80 == 0) {
            return Err(broken("a control frame is short and whole"));
        }
        let so_far = self.message.as_ref().map_or(0, |(_, message)| message.len());
        if length > limit_bytes as u64 || so_far + length as usize > limit_bytes {
            return Err(TOO_LARGE);
        }
        let Some(mask) = bytes.get(at..at + 4).and_then(|mask| mask.try_into().ok()) else { return Ok(None) };
        let start = at + 4;
        Ok(Some(Header { finished: first & 0x80 != 0, opcode, mask, start, end: start + length as usize }))
    }

    fn frame(
        &mut self,
        header: &Header,
        payload: Vec<u8>,
        limit_bytes: usize,
    ) -> Result<Option<Incoming>, WsError> {
        match (header.opcode, &mut self.message) {
            (0, Some((_, message))) => {
                assert!(message.len() + payload.len() <= limit_bytes, "checked with the header");
                message.extend_from_slice(&payload);
            }
            (0, None) => return Err(broken("a continuation of nothing")),
            (1 | 2, Some(_)) => return Err(broken("a new message within an unfinished one")),
            (1, None) => self.message = Some((MessageKind::Text, payload)),
            (2, None) => self.message = Some((MessageKind::Binary, payload)),
            (8, _) => return Ok(Some(Incoming::Close)),
            (9, _) => return Ok(Some(Incoming::Ping(payload))),
            (10, _) => return Ok(Some(Incoming::Pong)),
            _ => return Err(broken("an unknown opcode")),
        }
        if !header.finished {
            return Ok(None);
        }
        let (kind, message) = self.message.take().expect("a message was begun");
        if kind == MessageKind::Text && std::str::from_utf8(&message).is_err() {
            return Err(WsError { code: CloseCode::NotUtf8, what: "a text message is not UTF-8" });
        }
        Ok(Some(Incoming::Message(kind, message)))
    }
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    put_header(opcode, payload.len(), &mut frame);
    frame.put_slice(payload);
    frame.freeze()
}

fn put_header(opcode: u8, payload_bytes: usize, frame: &mut impl BufMut) {
    frame.put_u8(0x80 | opcode);
    match payload_bytes {
        short @ ..126 => frame.put_u8(short as u8),
        long @ ..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(long as u16);
        }
        longer => {
            frame.put_u8(127);
            frame.put_u64(longer as u64);
        }
    }
}

/// Appends a message that answers a request with an error, which is encoded already.
pub fn append_refusal(id: u64, error: &[u8], out: &mut Vec<u8>) {
    put_header(2, refusal_len(id, error), out);
    peek::append_refusal(id, error, out);
}

/// A whole message as one frame.
pub fn message(kind: MessageKind, payload: &[u8]) -> Bytes {
    frame(if kind == MessageKind::Text { 1 } else { 2 }, payload)
}

/// The payload of a binary message as [`message`] made it; `None` for any other frame.
pub fn binary_payload(frame: &[u8]) -> Option<&[u8]> {
    let header = match frame {
        [0x82, 127, ..] => 10,
        [0x82, 126, ..] => 4,
        [0x82, ..] => 2,
        _ => return None,
    };
    frame.get(header..)
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(10, payload)
}

/// The last frame.
pub fn close(code: CloseCode) -> Bytes {
    frame(8, &(code as u16).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 * 1024;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = vec![first];
        match payload.len() {
            short @ ..126 => bytes.push(0x80 | short as u8),
            long @ ..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((long as u16).to_be_bytes());
            }
            longer => {
                bytes.push(0x80 | 127);
                bytes.extend((longer as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        bytes
    }

    #[test]
    fn a_payload_is_found_again() {
        for length in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let bytes = vec![7; length];
            assert_eq!(binary_payload(&message(MessageKind::Binary, &bytes)), Some(&bytes[..]));
        }
        for other in [&b""[..], &close(CloseCode::Policy), &message(MessageKind::Text, b"x"), &pong(b"")] {
            assert_eq!(binary_payload(other), None);
        }
    }

    #[test]
    fn the_handshake_of_the_rfc() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_message_arrives_byte_by_byte_and_leaves_no_memory() {
        let mut inbox = Inbox::default();
        let text = "你好".as_bytes();
        let bytes = masked(0x81, text);
        for byte in &bytes[..bytes.len() - 1] {
            inbox.push(&[*byte]);
            assert_eq!(inbox.next(LIMIT), Ok(None));
        }
        inbox.push(&bytes[bytes.len() - 1..]);
        assert_eq!(inbox.next(LIMIT), Ok(Some(Incoming::Message(MessageKind::Text, text.to_vec()))));
        assert_eq!(inbox.bytes.capacity(), 0);
    }

    #[test]
    fn fragments_join_and_control_frames_come_between() {
        let mut inbox = Inbox::default();
        inbox.push(&masked(0x02, b"ab"));
        inbox.push(&masked(0x89, b"p"));
        inbox.push(&masked(0x80, b"cd"));
        inbox.push(&masked(0x82, &[7; 300]));
        assert_eq!(inbox.next(LIMIT), Ok(Some(Incoming::Ping(b"p".to_vec()))));
        assert_eq!(inbox.next(LIMIT), Ok(Some(Incoming::Message(MessageKind::Binary, b"abcd".to_vec()))));
        assert_eq!(inbox.next(LIMIT), Ok(Some(Incoming::Message(MessageKind::Binary, vec![7; 300]))));
        assert_eq!(inbox.next(LIMIT), Ok(None));
    }

    #[test]
    fn sends_are_passed_over_and_nothing_else_is() {
        use anser_proto::v1::{self, client_frame::Request};
        let frame = |id, request| {
            let frame = v1::ClientFrame { id, request: Some(request) };
            masked(0x82, &anser_proto::encode_client(&frame, anser_proto::Encoding::Binary))
        };
        let mut inbox = Inbox::default();
        let send =
            Request::Send(v1::Send { message: Some(v1::Message::text("hello")), ..v1::Send::default() });
        inbox.push(&frame(7, send.clone()));
        inbox.push(&frame(8, send.clone()));
        inbox.push(&frame(9, Request::Ping(v1::Ping {})));
        let last = frame(10, send);
        inbox.push(&last[..last.len() - 1]);
        assert_eq!([(); 3].map(|()| inbox.skip_send(LIMIT)), [Some(7), Some(8), None]);
        assert!(matches!(inbox.next(LIMIT), Ok(Some(Incoming::Message(MessageKind::Binary, _)))));
        assert_eq!(inbox.skip_send(LIMIT), None, "it is not whole");
        inbox.push(&last[last.len() - 1..]);
        assert_eq!((inbox.skip_send(LIMIT), inbox.next(LIMIT)), (Some(10), Ok(None)));
        assert_eq!(inbox.bytes.capacity(), 0);
    }

    #[test]
    fn broken_rules_are_named() {
        let code = |bytes: &[u8]| {
            let mut inbox = Inbox::default();
            inbox.push(bytes);
            inbox.next(LIMIT).map_err(|error| error.code)
        };
        assert_eq!(code(&[0x81, 0x01, b'a']), Err(CloseCode::Protocol), "unmasked");
        assert_eq!(code(&masked(0xc1, b"a")), Err(CloseCode::Protocol), "reserved bit");
        assert_eq!(code(&masked(0x83, b"a")), Err(CloseCode::Protocol), "unknown opcode");
        assert_eq!(code(&masked(0x80, b"a")), Err(CloseCode::Protocol), "continues nothing");
        assert_eq!(code(&masked(0x09, b"a")), Err(CloseCode::Protocol), "fragmented ping");
        assert_eq!(code(&masked(0x81, &[0xff])), Err(CloseCode::NotUtf8));
        assert_eq!(
            code(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1]),
            Err(CloseCode::TooLarge),
            "before its bytes come"
        );
        let mut inbox = Inbox::default();
        inbox.push(&masked(0x02, &[0; 40_000]));
        inbox.push(&masked(0x80, &[0; 40_000]));
        assert_eq!(inbox.next(LIMIT).map_err(|error| error.code), Err(CloseCode::TooLarge), "in fragments");
    }
}
