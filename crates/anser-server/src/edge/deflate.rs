//! Compression of single messages (RFC 7692, permessage-deflate), without takeover of context on either side: what a message
//! was compressed with is of no use to the next one, so a connection owns nothing, and a thread has one compressor and one
//! decompressor for all that it holds.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// A message shorter than this goes as it is: it would hardly become shorter.
pub const LEAST_BYTES: usize = 160;
/// With what every compressed message ends, and what is left out on the wire.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The largest window that there is, as an exponent of two; the only one that we compress with.
const WINDOW_BITS: &str = "15";

thread_local! {
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static DECOMPRESSOR: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// What to answer to these offers of `Sec-WebSocket-Extensions`: the first that we can keep to. `None`: as it is.
pub fn agree(offers: &str) -> Option<String> {
    offers.split(',').find_map(agree_to)
}

fn agree_to(offer: &str) -> Option<String> {
    let mut parameters = offer.split(';').map(str::trim);
    if !parameters.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
    let mut seen = Vec::new();
    for parameter in parameters {
        let (name, value) = parameter
            .split_once('=')
            .map_or((parameter, None), |(name, value)| (name.trim(), Some(value.trim().trim_matches('"'))));
        match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // It may use a smaller window than ours, which is the largest.
            ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) if matches!(bits.parse(), Ok(8..=15u8)) => {}
            ("server_max_window_bits", Some(WINDOW_BITS)) => {
                answer.push_str("; server_max_window_bits=");
                answer.push_str(WINDOW_BITS);
            }
            _ => return None,
        }
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Some(answer)
}

/// A message compressed, if that makes it shorter.
pub fn deflate(message: &[u8]) -> Option<Vec<u8>> {
    if message.len() < LEAST_BYTES {
        return None;
    }
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        // It is worth nothing beyond the message's own length, but for the tail, which is cut.
        let mut compressed = Vec::with_capacity(message.len() + TAIL.len());
        let status = compressor.compress_vec(message, &mut compressed, FlushCompress::Sync);
        let whole = matches!(status, Ok(Status::Ok)) && compressor.total_in() == message.len() as u64;
        if !whole || !compressed.ends_with(&TAIL) {
            return None;
        }
        compressed.truncate(compressed.len() - TAIL.len());
        (compressed.len() < message.len()).then_some(compressed)
    })
}

/// Why what came is no compressed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// It is longer than it may be.
    TooLarge,
    /// It is not compressed as it should be.
    Damaged,
}

/// A message as it was before it was compressed.
///
/// # Errors
/// See [`InflateError`].
pub fn inflate(compressed: &[u8], limit_bytes: usize) -> Result<Vec<u8>, InflateError> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor.reset(false);
        let mut message = Vec::with_capacity((4 * compressed.len()).clamp(64, limit_bytes + 1));
        for part in [compressed, &TAIL] {
            inflate_part(decompressor, part, &mut message, limit_bytes)?;
        }
        Ok(message)
    })
}

fn inflate_part(
    decompressor: &mut Decompress,
    mut part: &[u8],
    message: &mut Vec<u8>,
    limit_bytes: usize,
) -> Result<(), InflateError> {
    loop {
        let (read, written) = (decompressor.total_in(), message.len());
        let status = decompressor.decompress_vec(part, message, FlushDecompress::Sync);
        let status = status.map_err(|_| InflateError::Damaged)?;
        if message.len() > limit_bytes {
            return Err(InflateError::TooLarge);
        }
        part = &part[(decompressor.total_in() - read) as usize..];
        let is_full = message.len() == message.capacity();
        match status {
            // A last block: what follows it is nothing of ours but the tail.
            Status::StreamEnd => return Ok(()),
            _ if part.is_empty() && !is_full => return Ok(()),
            _ if is_full => message.reserve(message.len().clamp(64, limit_bytes + 1 - message.len())),
            _ if decompressor.total_in() == read && message.len() == written => {
                return Err(InflateError::Damaged);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 * 1024;

    #[test]
    fn what_is_compressed_comes_out_again() {
        let words = "你好, how are you? ".repeat(200);
        let short = deflate(words.as_bytes()).expect("it becomes shorter");
        assert!(short.len() < words.len() / 10, "{} of {}", short.len(), words.len());
        assert_eq!(inflate(&short, LIMIT).as_deref(), Ok(words.as_bytes()));
        let again = deflate(words.as_bytes()).expect("it becomes shorter");
        assert_eq!(again, short, "nothing is taken over");
        let most = vec![b'a'; LIMIT];
        assert_eq!(
            inflate(&deflate(&most).expect("it becomes shorter"), LIMIT).map(|it| it.len()),
            Ok(LIMIT)
        );
    }

    #[test]
    fn what_would_not_become_shorter_goes_as_it_is() {
        assert_eq!(deflate(&[b'a'; LEAST_BYTES - 1]), None);
        let mut state = 1u32;
        let noise: Vec<u8> = (0..1_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        assert_eq!(deflate(&noise), None);
    }

    /// A few bytes may stand for gigabytes: they are let out only as far as a message may be.
    #[test]
    fn what_is_too_large_or_damaged_is_refused() {
        let bomb = deflate(&vec![0; 16 * LIMIT]).expect("it becomes shorter");
        assert!(bomb.len() < LIMIT / 10);
        assert_eq!(inflate(&bomb, LIMIT), Err(InflateError::TooLarge));
        assert_eq!(inflate(&[0xff; 20], LIMIT), Err(InflateError::Damaged));
        let words = "how are you? ".repeat(40);
        assert_eq!(
            inflate(&deflate(words.as_bytes()).expect("shorter"), LIMIT).as_deref(),
            Ok(words.as_bytes())
        );
        assert_eq!(inflate(&[], LIMIT).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn every_cut_and_every_flip_is_answered() {
        let words = "how are you? 好的 ".repeat(30);
        let whole = deflate(words.as_bytes()).expect("it becomes shorter");
        for place in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x10;
            // It may be another message: the frame's length and TCP's checksum are what tell.
            for other in [&whole[..place], &flipped] {
                assert!(
                    inflate(other, LIMIT).is_ok_and(|message| message.len() <= LIMIT)
                        || inflate(other, 64).is_err()
                );
            }
            assert_eq!(inflate(&whole, LIMIT).as_deref(), Ok(words.as_bytes()), "nothing is left behind");
        }
    }

    #[test]
    fn offers_are_agreed_to_as_far_as_they_can_be_kept() {
        let usual = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "x-webkit-deflate-frame, Permessage-Deflate ;client_max_window_bits=\"12\"",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ] {
            assert_eq!(agree(offer).as_deref(), Some(usual), "{offer}");
        }
        let largest = agree("permessage-deflate; server_max_window_bits=15");
        assert_eq!(largest, Some(format!("{usual}; server_max_window_bits=15")));
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; what_is_this",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ] {
            assert_eq!(agree(offer), None, "{offer}");
        }
    }
}
