//! The server's own decoders, WebSocket frames and tokens, fed what was well formed once: no panic, no
//! message beyond its limit, no token that was not signed. (`cargo xtask prove fuzz` has the others.)

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use anser_model::{AccountId, DeviceId, SessionId, Timeline, UnixMillis};
use anser_server::accounts::{Grant, Tokens};
use anser_server::edge::deflate::deflate;
use anser_server::edge::ws::{Incoming, MessageKind, Reader, accept_key};

const ROUNDS: u64 = 60_000;
const LIMIT_BYTES: usize = 1_024;
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// xorshift64*: a seeded stream, so that a failure can be repeated.
struct Mutator(u64);

impl Mutator {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = [0, 1, 125, 126, 127, 128, 254, 255][self.below(8)],
                2 => bytes.insert(at, self.below(256) as u8),
                3 => bytes.truncate(at),
                4 => drop(bytes.drain(at..at + self.below(bytes.len() - at + 1))),
                _ => {
                    let from = self.below(other.len() + 1);
                    let piece = other[from..from + self.below(other.len() - from + 1)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
    }
}

/// A client's frame, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend((long as u16).to_be_bytes());
        }
    }
    bytes.extend([1, 2, 3, 4]);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ [1, 2, 3, 4][at % 4]));
    bytes
}

/// What came in, apart from the bytes that it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// Everything that comes out, however the bytes were cut on their way.
fn read(mut reader: Reader, bytes: &[u8], piece: usize) -> (Vec<Came>, bool) {
    let (mut kept, mut read) = (Vec::new(), Vec::new());
    for part in bytes.chunks(piece.max(1)) {
        kept.extend_from_slice(part);
        loop {
            let (taken, incoming) = match reader.next(&mut kept, LIMIT_BYTES) {
                Ok(next) => next,
                Err(_) => return (read, true),
            };
            read.extend(incoming.map(|incoming| match incoming {
                Incoming::Message(kind, message) => Came::Message(kind, message.into_owned()),
                Incoming::Ping(payload) => Came::Ping(payload.to_vec()),
                Incoming::Pong => Came::Pong,
                Incoming::Close => Came::Close,
            }));
            if taken == 0 {
                break;
            }
            kept.drain(..taken);
        }
    }
    (read, false)
}

#[test]
fn damaged_frames_are_the_same_in_one_piece_and_in_many() {
    let corpus = [
        [frame(0x81, "你好".as_bytes()), frame(0x82, &[7; 300])].concat(),
        [frame(0x02, b"ab"), frame(0x89, b"ping"), frame(0x80, b"cd")].concat(),
        [frame(0x8a, b""), frame(0x88, &[3, 232])].concat(),
        frame(0x82, &[9; LIMIT_BYTES]),
        frame(0xc1, &deflate("how are you? 好的 ".repeat(40).as_bytes()).expect("it becomes shorter")),
    ];
    let mut mutator = Mutator(0x616e_7365_7221);
    let (mut messages, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let mut bytes = corpus[round as usize % corpus.len()].clone();
        let other = mutator.below(corpus.len());
        mutator.damage(&mut bytes, &corpus[other]);
        // Every other one agreed that messages may be compressed.
        let reader = || if round % 2 == 0 { Reader::default() } else { Reader::inflating() };
        let (whole, broken) = read(reader(), &bytes, bytes.len());
        let piece = 1 + mutator.below(9);
        assert_eq!(
            read(reader(), &bytes, piece),
            (whole.clone(), broken),
            "round {round}: {bytes:02x?} by {piece}"
        );
        for incoming in &whole {
            match incoming {
                Came::Message(_, message) => assert!(message.len() <= LIMIT_BYTES, "round {round}"),
                Came::Ping(payload) => assert!(payload.len() <= 125, "round {round}"),
                Came::Pong | Came::Close => {}
            }
        }
        messages += whole.len();
        refused += usize::from(broken);
        let _ = accept_key(&String::from_utf8_lossy(&bytes));
    }
    assert!(messages > 1_000 && refused > 1_000, "{messages} were read, {refused} refused");
}

#[test]
fn no_damaged_token_is_taken() {
    let tokens = Tokens::new(&[1; 32], Timeline(7));
    let grant = Grant { account: AccountId(1), device: DeviceId(2), account_version: 3, device_version: 4 };
    let access = tokens.access(&grant, NOW, 900).expose().to_owned();
    let ticket = tokens.ticket(&grant, SessionId(5), NOW).expose().to_owned();
    assert_eq!(tokens.verify_access(&access, NOW), Ok(grant));
    let mut mutator = Mutator(0x746f_6b65_6e73);
    for round in 0..ROUNDS {
        let (whole, other) = if round % 2 == 0 { (&access, &ticket) } else { (&ticket, &access) };
        let mut bytes = whole.clone().into_bytes();
        mutator.damage(&mut bytes, other.as_bytes());
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert!(tokens.verify_access(&text, NOW).is_err() || text == access, "round {round}: {text}");
        assert!(tokens.verify_ticket(&text, NOW).is_err() || text == ticket, "round {round}: {text}");
    }
}
