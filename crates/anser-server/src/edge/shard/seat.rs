//! One connection at a shard: its socket, the session on it, and what came and is not taken yet. Those who ask from
//! inside the process have an inbox in the place of the socket.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;

use anser_edge::Session;

use super::super::inside::Inbox;
use super::super::stream::Stream;
use super::super::wire::Wire;
use super::Counts;

/// Frames that one write gathers.
const FRAMES_PER_WRITE: usize = 64;

/// One connection. Between frames it owns nothing but this.
pub(super) struct Seat {
    pub transport: Transport,
    pub session: Session,
    /// Bytes that came and are not taken yet.
    pub kept: Vec<u8>,
    pub network: IpAddr,
    /// When something last came in, in seconds of the shard's clock.
    pub heard_at_s: u32,
    /// Since when the socket takes no more, if it does not.
    pub blocked_since_s: Option<u32>,
    /// After how long without a frame its client pings.
    pub heartbeat_interval_s: u32,
    pub reading: Reading,
    /// It is not read for a while.
    pub is_put_off: bool,
    /// It is among those that are to be written.
    pub is_dirty: bool,
    /// It was written since it was looked at last.
    pub was_active: bool,
}

/// Where the frames of a session come from and go to.
pub(super) enum Transport {
    Socket { stream: Stream, wire: Wire },
    Inside { caller: u64, inbox: Arc<Inbox> },
}

/// Whether what comes is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it comes.
    Open,
    /// Not for now: the session waits for something, or was put off.
    Paused,
    /// Without looking, so many bytes, until this second: we closed, and a socket that is dropped with unread bytes
    /// resets the connection; the other end may lose our last words.
    Lingering { left_bytes: u32, until_s: u32 },
}

/// What a write came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything is written.
    Done,
    /// The last word is written: the other end is to close.
    Said,
    /// The socket takes no more.
    Blocked,
    /// The connection is gone.
    Gone,
}

impl Seat {
    /// Writes what is queued, as far as the socket takes it.
    pub fn flush(&mut self, counts: &mut Counts) -> Flushed {
        let stream = match &mut self.transport {
            Transport::Socket { stream, .. } => stream,
            Transport::Inside { inbox, .. } => {
                inbox.fill(&mut self.session);
                return Flushed::Done;
            }
        };
        self.was_active = true;
        match write(&mut self.session, stream, counts) {
            Ok(true) if self.session.is_closing() => {
                stream.shut_down(Shutdown::Write);
                Flushed::Said
            }
            Ok(true) => Flushed::Done,
            Ok(false) => Flushed::Blocked,
            Err(_) => Flushed::Gone,
        }
    }

    /// Lets go of what only a busy connection needs.
    pub fn rest(&mut self) {
        if !std::mem::take(&mut self.was_active) {
            self.session.rest();
            if self.kept.is_empty() {
                self.kept = Vec::new();
            }
        }
    }
}

/// Writes what one call takes. A single frame, which is usual, costs the system less by itself.
fn write_some(session: &Session, stream: &mut Stream) -> io::Result<usize> {
    let mut outgoing = session.outgoing();
    if outgoing.len() == 1
        && let Some(bytes) = outgoing.next()
    {
        return stream.write(bytes);
    }
    let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
    let count = outgoing.len().min(FRAMES_PER_WRITE);
    for (slice, bytes) in slices.iter_mut().zip(outgoing) {
        *slice = IoSlice::new(bytes);
    }
    stream.write_vectored(&slices[..count])
}

/// Whether everything is written.
fn write(session: &mut Session, stream: &mut Stream, counts: &mut Counts) -> io::Result<bool> {
    while session.outgoing().len() > 0 {
        let before = session.outgoing().len();
        match write_some(session, stream) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                session.written(written);
                counts.bytes_sent += written as u64;
                counts.frames_sent += (before - session.outgoing().len()) as u64;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    match stream.flush() {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
