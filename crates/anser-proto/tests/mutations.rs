//! Damaged frames never panic the decoder, and whatever is read can be written and read again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use anser_proto::{Encoding, decode_client, decode_server, encode_client, encode_server};
use serde_json::Value;

/// Damaged inputs for each vector and form.
const ROUNDS: u64 = 400;

/// xorshift64*: a seeded stream, so that a failure can be repeated.
struct Mutator(u64);

impl Mutator {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below.max(1)
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.next(4) {
            let at = self.next(bytes.len() + 1);
            match self.next(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.next(8),
                1 if at < bytes.len() => bytes[at] = self.next(256) as u8,
                2 => bytes.insert(at, self.next(256) as u8),
                3 => bytes.truncate(at),
                4 if at < bytes.len() => drop(bytes.drain(at..at + self.next(bytes.len() - at))),
                _ => {
                    let from = self.next(other.len() + 1);
                    let piece = other[from..from + self.next(other.len() - from)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Both forms of every canonical vector.
fn corpus() -> Vec<(Vec<u8>, Encoding)> {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut corpus = Vec::new();
    for name in ["client.json", "server.json"] {
        let file: Value = serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap();
        for vector in file["vectors"].as_array().unwrap() {
            corpus.push((serde_json::to_vec(&vector["json"]).unwrap(), Encoding::Json));
            corpus.push((unhex(vector["binary"].as_str().unwrap()), Encoding::Binary));
        }
    }
    corpus
}

#[test]
fn damaged_frames_are_refused_or_read_and_never_panic() {
    let corpus = corpus();
    let mut mutator = Mutator(0x616e_7365_7221);
    let mut read = 0;
    for (whole, encoding) in &corpus {
        for _ in 0..ROUNDS {
            let mut bytes = whole.clone();
            let other = mutator.next(corpus.len());
            mutator.damage(&mut bytes, &corpus[other].0);
            if let Ok(frame) = decode_client(&bytes, *encoding) {
                read += 1;
                let binary = encode_client(&frame, Encoding::Binary);
                assert_eq!(decode_client(&binary, Encoding::Binary), Ok(frame.clone()));
                assert!(decode_client(&encode_client(&frame, Encoding::Json), Encoding::Json).is_ok());
            }
            if let Ok(frame) = decode_server(&bytes, *encoding) {
                read += 1;
                let binary = encode_server(&frame, Encoding::Binary);
                assert_eq!(decode_server(&binary, Encoding::Binary), Ok(frame.clone()));
                assert!(decode_server(&encode_server(&frame, Encoding::Json), Encoding::Json).is_ok());
            }
        }
    }
    assert!(read > 1_000, "the mutator leaves some frames readable: {read}");
}
