//! Frames of the form and size of the server's, with nothing in them, and how they are written.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;

use rustix::event::{PollFd, PollFlags, poll};

use crate::socket::BINARY;

/// The first byte of a server frame that holds a response.
pub const RESPONSE_KEY: u8 = 1 << 3 | 2;
/// The first byte of a server frame that holds an event.
pub const EVENT_KEY: u8 = 2 << 3 | 2;

/// A WebSocket message of so many bytes in all, beginning with this byte.
pub fn frame(bytes: usize, first: u8) -> Vec<u8> {
    let mut frame = vec![0x80 | BINARY];
    match bytes {
        ..=127 => frame.push(bytes.saturating_sub(2) as u8),
        128..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&((bytes - 4) as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&((bytes - 10) as u64).to_be_bytes());
        }
    }
    frame.push(first);
    frame.resize(bytes.max(frame.len()), 0);
    frame
}

/// Writes all of it to a socket that does not block, waiting where it takes no more.
///
/// # Errors
/// The socket fails.
pub fn write_whole(mut stream: &TcpStream, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(stream, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::next_frame;

    #[test]
    fn a_frame_has_the_size_that_is_asked_for() {
        for bytes in [3, 32, 127, 130, 300, 70_000] {
            let built = frame(bytes, EVENT_KEY);
            let framed = next_frame(&built).expect("it is whole");
            assert_eq!((built.len(), framed.end, built[framed.start]), (bytes, bytes, EVENT_KEY));
        }
    }
}
