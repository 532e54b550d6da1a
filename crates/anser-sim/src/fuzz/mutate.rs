//! Damage with a purpose: what bytes that were once well formed turn into.

use crate::chance::Chance;

/// Changes of one input at most.
const CHANGES: u64 = 5;
/// Bytes that one change inserts, removes or repeats at most.
const RUN_BYTES: u64 = 48;
/// Now and then a run is repeated this often, for what grows with its input.
const REPEATS: u64 = 2_000;

/// Numbers at which lengths and counts go wrong.
const NUMBERS: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Pieces of JSON, of addresses and of text that readers trip over.
const WORDS: [&[u8]; 20] = [
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"\"18446744073709551615\"",
    b"\\ud800",
    b"\\u0000",
    b"\xff",
    "鸿".as_bytes(),
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"a\":",
    b",",
    b":",
    b"://",
    b"]:",
    b"=",
];

/// Makes a damaged copy of `whole`, with pieces of `other`, of `limit_bytes` at most.
pub(super) fn damaged(chance: &mut Chance, whole: &[u8], other: &[u8], limit_bytes: usize) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..=chance.below(CHANGES) {
        change(chance, &mut bytes, other);
    }
    bytes.truncate(limit_bytes);
    bytes
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = chance.below(bytes.len() as u64 + 1) as usize;
    let end = (at + 1 + chance.below(RUN_BYTES) as usize).min(bytes.len());
    match chance.below(14) {
        0..2 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        2 if at < bytes.len() => bytes[at] = chance.below(256) as u8,
        3 => bytes.insert(at, chance.below(256) as u8),
        4 => drop(bytes.drain(at..end)),
        5 => bytes.truncate(at),
        6 => {
            let run = bytes[at..end].to_vec();
            bytes.splice(at..at, run);
        }
        7 if chance.happens(1, 16) => {
            let run = bytes[at..end].repeat(1 + chance.below(REPEATS) as usize);
            bytes.splice(at..at, run);
        }
        8..10 => {
            let number = number(chance);
            let end = (at + number.len()).min(bytes.len());
            // Over what is there, so that what stands behind keeps its place; or between.
            let replaced = if chance.happens(2, 3) { at..end } else { at..at };
            bytes.splice(replaced, number);
        }
        10 => {
            let word = WORDS[chance.below(WORDS.len() as u64) as usize];
            bytes.splice(at..at, word.iter().copied());
        }
        _ => {
            let from = chance.below(other.len() as u64 + 1) as usize;
            let to = from + chance.below((other.len() - from) as u64 + 1) as usize;
            let replaced = if chance.happens(1, 3) { at..bytes.len() } else { at..at };
            bytes.splice(replaced, other[from..to].iter().copied());
        }
    }
}

/// A number at an edge, or one beside it, in one of the forms in which formats write lengths.
fn number(chance: &mut Chance) -> Vec<u8> {
    let number =
        NUMBERS[chance.below(NUMBERS.len() as u64) as usize].wrapping_add(chance.below(3)).wrapping_sub(1);
    let width = [1, 2, 4, 8][chance.below(4) as usize];
    match chance.below(4) {
        0 => number.to_le_bytes()[..width].to_vec(),
        1 => number.to_be_bytes()[8 - width..].to_vec(),
        2 => number.to_string().into_bytes(),
        _ => varint(number),
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_a_function_of_its_seed_and_keeps_the_limit() {
        let damage = |seed| damaged(&mut Chance::new(seed), b"a whole frame", b"another", 40);
        let all: std::collections::BTreeSet<Vec<u8>> = (0..1_000).map(damage).collect();
        assert!(all.len() > 800, "{}", all.len());
        assert!(all.iter().all(|bytes| bytes.len() <= 40));
        assert_eq!(damage(7), damage(7));
    }
}
