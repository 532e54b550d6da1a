//! WebSocket (RFC 6455), the server's side: the handshake's answer, and frames in and out.
//!
//! Written here because an idle connection must own no buffer: [`Reader`] looks at frames where they were read, and
//! an outgoing frame is encoded once for all who get it.

use std::borrow::Cow;

use anser_proto::peek::{self, PEEKED_BYTES, peek_send, refusal_len};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use sha1::{Digest, Sha1};

use super::deflate::{InflateError, inflate};

/// What RFC 6455 has every server append to the client's key.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The bit of a frame's first byte that says that its message is compressed.
const COMPRESSED: u8 = 0x40;
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
    /// A text message was not UTF-8, or a compressed one is damaged.
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
pub enum Incoming<'a> {
    /// A whole message, mostly where it came; gathered, if it came in fragments.
    Message(MessageKind, Cow<'a, [u8]>),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
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

pub(super) const TOO_LARGE: WsError =
    WsError { code: CloseCode::TooLarge, what: "a message is longer than 64 KiB" };

/// The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> String {
    let mut hasher = Sha1::new();
    hasher.update(key.as_bytes());
    hasher.update(KEY_SUFFIX.as_bytes());
    STANDARD.encode(hasher.finalize())
}

/// Frames coming in from one client, read where they lie: it owns memory only while a message comes in fragments.
#[derive(Debug, Default)]
pub struct Reader {
    /// The message whose fragments are coming in.
    message: Option<Box<Partial>>,
    /// It was agreed that messages may be compressed.
    inflates: bool,
}

#[derive(Debug)]
struct Partial {
    kind: MessageKind,
    compressed: bool,
    bytes: Vec<u8>,
}

/// A frame's header, and where its payload lies.
struct Header {
    finished: bool,
    compressed: bool,
    opcode: u8,
    mask: [u8; 4],
    start: usize,
    end: usize,
}

impl Reader {
    /// One that takes compressed messages too.
    pub fn inflating() -> Self {
        Reader { message: None, inflates: true }
    }

    /// The next thing that is whole at the front of `bytes`, and how many of them it took. Fragments of a message
    /// that is not whole yet are taken with nothing to show for it; call again until nothing is taken.
    ///
    /// # Errors
    /// The other end broke the rules.
    pub fn next<'a>(
        &mut self,
        bytes: &'a mut [u8],
        limit_bytes: usize,
    ) -> Result<(usize, Option<Incoming<'a>>), WsError> {
        let header = match self.header(bytes, limit_bytes)? {
            Some(header) if header.end <= bytes.len() => header,
            _ => return Ok((0, None)),
        };
        let payload = &mut bytes[header.start..header.end];
        unmask(payload, header.mask);
        Ok((header.end, self.frame(&header, payload, limit_bytes)?))
    }

    /// Passes over the next message if it is a send, whole and in one binary frame. Its request id, and how many
    /// bytes it took.
    pub fn skip_send(&self, bytes: &[u8], limit_bytes: usize) -> Option<(usize, u64)> {
        let header = self.header(bytes, limit_bytes).ok()??;
        if header.opcode != 2
            || !header.finished
            || header.compressed
            || self.message.is_some()
            || bytes.len() < header.end
        {
            return None;
        }
        let mut head = [0; PEEKED_BYTES];
        let count = PEEKED_BYTES.min(header.end - header.start);
        head[..count].copy_from_slice(&bytes[header.start..][..count]);
        unmask(&mut head[..count], header.mask);
        Some((header.end, peek_send(&head[..count])?))
    }

    fn header(&self, bytes: &[u8], limit_bytes: usize) -> Result<Option<Header>, WsError> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (opcode, compressed) = (first & 0x0f, first & COMPRESSED != 0);
        if first & 0x70 & !COMPRESSED != 0 || compressed && !self.inflates {
            return Err(broken("a reserved bit is set, and no extension was agreed on that uses it"));
        }
        if compressed && !matches!(opcode, 1 | 2) {
            return Err(broken("only the first frame of a message says that it is compressed"));
        }
        if second & 0x80 == 0 {
            return Err(broken("a client masks its frames"));
        }
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
        let so_far = self.message.as_ref().map_or(0, |message| message.bytes.len());
        if length > limit_bytes as u64 || so_far + length as usize > limit_bytes {
            return Err(TOO_LARGE);
        }
        let Some(mask) = bytes.get(at..at + 4).and_then(|mask| mask.try_into().ok()) else { return Ok(None) };
        let start = at + 4;
        let (finished, end) = (first & 0x80 != 0, start + length as usize);
        Ok(Some(Header { finished, compressed, opcode, mask, start, end }))
    }

    fn frame<'a>(
        &mut self,
        header: &Header,
        payload: &'a [u8],
        limit_bytes: usize,
    ) -> Result<Option<Incoming<'a>>, WsError> {
        let kind = match (header.opcode, &mut self.message) {
            (0, Some(message)) => {
                assert!(message.bytes.len() + payload.len() <= limit_bytes, "checked with the header");
                message.bytes.extend_from_slice(payload);
                return if header.finished { self.gathered(limit_bytes).map(Some) } else { Ok(None) };
            }
            (0, None) => return Err(broken("a continuation of nothing")),
            (1 | 2, Some(_)) => return Err(broken("a new message within an unfinished one")),
            (1, None) => MessageKind::Text,
            (2, None) => MessageKind::Binary,
            (8, _) => return Ok(Some(Incoming::Close)),
            (9, _) => return Ok(Some(Incoming::Ping(payload))),
            (10, _) => return Ok(Some(Incoming::Pong)),
            _ => return Err(broken("an unknown opcode")),
        };
        if !header.finished {
            let (compressed, bytes) = (header.compressed, payload.to_vec());
            self.message = Some(Box::new(Partial { kind, compressed, bytes }));
            return Ok(None);
        }
        let payload = match header.compressed {
            true => Cow::Owned(inflated(payload, limit_bytes)?),
            false => Cow::Borrowed(payload),
        };
        readable(kind, &payload)?;
        Ok(Some(Incoming::Message(kind, payload)))
    }

    /// The message whose last fragment has come.
    fn gathered<'a>(&mut self, limit_bytes: usize) -> Result<Incoming<'a>, WsError> {
        let Partial { kind, compressed, mut bytes } = *self.message.take().expect("a message was begun");
        if compressed {
            bytes = inflated(&bytes, limit_bytes)?;
        }
        readable(kind, &bytes)?;
        Ok(Incoming::Message(kind, Cow::Owned(bytes)))
    }
}

fn inflated(payload: &[u8], limit_bytes: usize) -> Result<Vec<u8>, WsError> {
    inflate(payload, limit_bytes).map_err(|error| match error {
        InflateError::TooLarge => TOO_LARGE,
        InflateError::Damaged => {
            WsError { code: CloseCode::NotUtf8, what: "a message is not compressed as was agreed" }
        }
    })
}

fn readable(kind: MessageKind, message: &[u8]) -> Result<(), WsError> {
    if kind == MessageKind::Text && std::str::from_utf8(message).is_err() {
        return Err(WsError { code: CloseCode::NotUtf8, what: "a text message is not UTF-8" });
    }
    Ok(())
}

/// Takes a mask off, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    if mask == [0; 4] {
        return;
    }
    let wide = u64::from(u32::from_ne_bytes(mask));
    let wide = wide | wide << 32;
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
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

/// A whole message as one frame, which was compressed.
pub fn deflated_message(kind: MessageKind, compressed: &[u8]) -> Bytes {
    frame(COMPRESSED | if kind == MessageKind::Text { 1 } else { 2 }, compressed)
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

    /// Everything that is whole at the front of `bytes`, which it is taken off, until a rule is broken.
    fn read(reader: &mut Reader, bytes: &mut Vec<u8>) -> Result<Vec<Incoming<'static>>, CloseCode> {
        let mut read = Vec::new();
        loop {
            let (taken, incoming) = reader.next(bytes, LIMIT).map_err(|error| error.code)?;
            read.extend(incoming.map(|incoming| match incoming {
                Incoming::Message(kind, message) => Incoming::Message(kind, Cow::Owned(message.into_owned())),
                Incoming::Ping(payload) => Incoming::Ping(payload.to_vec().leak()),
                Incoming::Pong => Incoming::Pong,
                Incoming::Close => Incoming::Close,
            }));
            if taken == 0 {
                return Ok(read);
            }
            bytes.drain(..taken);
        }
    }

    #[test]
    fn a_message_arrives_byte_by_byte() {
        let mut reader = Reader::default();
        let text = "你好".as_bytes();
        let mut bytes = masked(0x81, text);
        let last = bytes.pop().expect("there are bytes");
        for end in 0..=bytes.len() {
            let mut so_far = bytes[..end].to_vec();
            assert_eq!(reader.next(&mut so_far, LIMIT), Ok((0, None)));
            assert_eq!(so_far, bytes[..end], "what is not taken is not touched");
        }
        bytes.push(last);
        assert_eq!(
            reader.next(&mut bytes, LIMIT),
            Ok((12, Some(Incoming::Message(MessageKind::Text, Cow::Borrowed(text)))))
        );
    }

    #[test]
    fn fragments_join_and_control_frames_come_between() {
        let (mut reader, mut bytes) = (Reader::default(), Vec::new());
        for (first, payload) in [(0x02, &b"ab"[..]), (0x89, b"p"), (0x80, b"cd"), (0x82, &[7; 300])] {
            bytes.extend(masked(first, payload));
        }
        let message = |payload: &[u8]| Incoming::Message(MessageKind::Binary, Cow::Owned(payload.to_vec()));
        let all = vec![Incoming::Ping(b"p"), message(b"abcd"), message(&[7; 300])];
        assert_eq!(read(&mut reader, &mut bytes), Ok(all));
        assert!(bytes.is_empty() && reader.message.is_none(), "no memory is kept");
    }

    #[test]
    fn sends_are_passed_over_and_nothing_else_is() {
        use anser_proto::v1::{self, client_frame::Request};
        let frame = |id, request| {
            let frame = v1::ClientFrame { id, request: Some(request) };
            masked(0x82, &anser_proto::encode_client(&frame, anser_proto::Encoding::Binary))
        };
        let mut reader = Reader::default();
        let send =
            Request::Send(v1::Send { message: Some(v1::Message::text("hello")), ..v1::Send::default() });
        let bytes = frame(7, send);
        assert_eq!(reader.skip_send(&bytes, LIMIT), Some((bytes.len(), 7)));
        assert_eq!(reader.skip_send(&bytes[..bytes.len() - 1], LIMIT), None, "it is not whole");
        assert_eq!(reader.skip_send(&frame(9, Request::Ping(v1::Ping {})), LIMIT), None);
        assert_eq!(reader.next(&mut masked(0x02, b"ab"), LIMIT), Ok((8, None)));
        assert_eq!(reader.skip_send(&bytes, LIMIT), None, "another message has begun");
    }

    #[test]
    fn compressed_messages_are_taken_where_that_was_agreed() {
        let words = "how are you? ".repeat(40);
        let short = super::super::deflate::deflate(words.as_bytes()).expect("it becomes shorter");
        let message = || Incoming::Message(MessageKind::Text, Cow::Owned(words.clone().into_bytes()));
        let mut reader = Reader::inflating();
        let (first, second) = short.split_at(9);
        let mut bytes = [masked(0xc1, &short), masked(0x41, first), masked(0x80, second)].concat();
        bytes.extend(masked(0x81, b"as it is"));
        let plain = Incoming::Message(MessageKind::Text, Cow::Borrowed(b"as it is"));
        assert_eq!(read(&mut reader, &mut bytes), Ok(vec![message(), message(), plain]));
        assert_eq!(reader.skip_send(&masked(0xc2, &short), LIMIT), None, "it has to be looked at");
        let code = |bytes: Vec<u8>| read(&mut Reader::inflating(), &mut bytes.clone());
        assert_eq!(code(masked(0xc1, &[0xff; 9])), Err(CloseCode::NotUtf8), "damaged");
        assert_eq!(code([masked(0x41, first), masked(0xc0, second)].concat()), Err(CloseCode::Protocol));
        assert_eq!(code(masked(0xc9, b"p")), Err(CloseCode::Protocol), "a control frame");
        assert_eq!(code(masked(0xa1, b"a")), Err(CloseCode::Protocol), "another reserved bit");
        let bomb = super::super::deflate::deflate(&vec![0; 4 * LIMIT]).expect("it becomes shorter");
        assert_eq!(code(masked(0xc2, &bomb)), Err(CloseCode::TooLarge));
        let sent = deflated_message(MessageKind::Text, &short);
        assert_eq!((sent[0], sent.len()), (0xc1, short.len() + 2));
    }

    #[test]
    fn broken_rules_are_named() {
        let code = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            read(&mut Reader::default(), &mut bytes)
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
        let (mut reader, mut bytes) = (Reader::default(), masked(0x02, &[0; 40_000]));
        bytes.extend(masked(0x80, &[0; 40_000]));
        assert_eq!(reader.next(&mut bytes, LIMIT), Ok((40_008, None)));
        assert_eq!(
            read(&mut reader, &mut bytes[40_008..].to_vec()),
            Err(CloseCode::TooLarge),
            "in fragments"
        );
    }
}
