//! What every [`Random`] must do, as a suite that each adapter runs against itself. That nobody can
//! guess its bytes no suite can show; that an adapter forgot some of the buffer, one can.

use std::collections::BTreeSet;

use super::random::Random;

/// The lengths that are filled: every small one, those around a power of two, and large ones.
const LARGE_LENGTHS: [usize; 6] = [127, 255, 256, 257, 4_099, 65_537];
/// Every length up to this one is filled.
const SMALL_LENGTHS: usize = 80;
/// How often each length is filled. That a good source leaves one byte at 0 every time has a chance of
/// 256^-24.
const FILLS: usize = 24;
/// Numbers drawn that must all differ.
const NUMBERS: usize = 10_000;

/// Runs the whole suite.
///
/// # Panics
/// When the adapter breaks the port's promise, with the case in the message. A good source fails by
/// chance less than once in 2^38 runs.
pub fn check_random(random: &dyn Random) {
    every_byte_of_every_length_is_filled(random);
    bytes_are_of_every_kind(random);
    numbers_differ_and_are_not_zero(random);
}

fn every_byte_of_every_length_is_filled(random: &dyn Random) {
    for length in (0..SMALL_LENGTHS).chain(LARGE_LENGTHS) {
        let mut seen = vec![0u8; length];
        for _ in 0..FILLS {
            let mut buffer = vec![0u8; length];
            random.fill(&mut buffer);
            seen.iter_mut().zip(&buffer).for_each(|(seen, byte)| *seen |= byte);
        }
        let forgotten = seen.iter().position(|&seen| seen == 0);
        assert_eq!(forgotten, None, "a byte of {length} that is never filled");
    }
}

fn bytes_are_of_every_kind(random: &dyn Random) {
    let mut first = vec![0u8; 65_536];
    random.fill(&mut first);
    let mut second = vec![0u8; 65_536];
    random.fill(&mut second);
    assert_ne!(first, second, "the source repeats itself");
    assert_ne!(first[..32_768], first[32_768..], "the source repeats itself");
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 256, "every value of a byte");
    let ones: u32 = first.iter().map(|byte| byte.count_ones()).sum();
    // Half of 524,288 bits, by less than 14 standard deviations of 362.
    assert!(ones.abs_diff(262_144) < 5_000, "{ones} of 524,288 bits are set");
}

fn numbers_differ_and_are_not_zero(random: &dyn Random) {
    let numbers: BTreeSet<u64> = (0..NUMBERS).map(|_| random.nonzero()).collect();
    assert_eq!(numbers.len(), NUMBERS, "numbers of 64 bits repeat");
    assert!(!numbers.contains(&0));
}
