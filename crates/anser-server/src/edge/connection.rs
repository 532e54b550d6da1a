//! One connection: its socket, and the session on it. It owns nothing while idle but its place in the
//! table and the task that waits for the socket. Those who ask from inside the process have an inbox in
//! the place of the socket.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use anser_edge::Session;

use super::stream::Stream;
use crate::metrics::Metrics;

use super::inside::Inbox;

/// Frames that one write gathers.
const FRAMES_PER_WRITE: usize = 64;

/// One connection of a client.
pub(super) struct Connection {
    /// That of its session.
    pub(super) id: u64,
    transport: Transport,
    network: IpAddr,
    /// After how long without a frame its client pings.
    heartbeat_interval_ms: u64,
    /// When something last came in, in monotonic milliseconds.
    heard_at_ms: AtomicU64,
    state: Mutex<State>,
}

/// Where the frames of a session go.
enum Transport {
    Socket(Stream),
    Inside(Inbox),
}

/// What may change of a connection.
pub(super) struct State {
    pub(super) session: Session,
    /// A task waits until the socket takes more.
    writing: bool,
}

/// What a write came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything is written, or somebody is at it.
    Done,
    /// The socket takes no more: somebody has to wait for it.
    Blocked,
}

impl Connection {
    pub(super) fn new(
        id: u64,
        stream: Stream,
        network: IpAddr,
        heartbeat_interval_ms: u64,
        now_ms: u64,
    ) -> Self {
        let session = Session::with_heartbeat(id, heartbeat_interval_ms);
        Self::of(session, Transport::Socket(stream), network, heartbeat_interval_ms, now_ms)
    }

    /// A session without a socket.
    pub(super) fn inside(session: Session) -> Self {
        Self::of(session, Transport::Inside(Inbox::default()), Ipv4Addr::LOCALHOST.into(), 0, 0)
    }

    fn of(
        session: Session,
        transport: Transport,
        network: IpAddr,
        heartbeat_interval_ms: u64,
        now_ms: u64,
    ) -> Self {
        let (id, heard_at_ms) = (session.id(), AtomicU64::new(now_ms));
        let state = Mutex::new(State { session, writing: false });
        Connection { id, transport, network, heartbeat_interval_ms, heard_at_ms, state }
    }

    pub(super) fn stream(&self) -> &Stream {
        match &self.transport {
            Transport::Socket(stream) => stream,
            Transport::Inside(_) => unreachable!("nobody waits for a socket where there is none"),
        }
    }

    /// What has come for whoever asks from inside; `None` for a socket.
    pub(super) fn inbox(&self) -> Option<&Inbox> {
        match &self.transport {
            Transport::Socket(_) => None,
            Transport::Inside(inbox) => Some(inbox),
        }
    }

    pub(super) fn heartbeat_interval_ms(&self) -> u64 {
        self.heartbeat_interval_ms
    }

    /// From where it comes.
    pub(super) fn network(&self) -> IpAddr {
        self.network
    }

    pub(super) fn heard(&self, now_ms: u64) {
        self.heard_at_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn heard_at_ms(&self) -> u64 {
        self.heard_at_ms.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds a connection")
    }

    /// Whether its last frame is queued already.
    pub(super) fn is_closing(&self) -> bool {
        self.state().session.is_closing()
    }

    /// Writes what is queued, as far as the socket takes it.
    pub(super) fn flush(&self, metrics: &Metrics) -> Flushed {
        let mut state = self.state();
        if state.writing {
            return Flushed::Done;
        }
        let stream = match &self.transport {
            Transport::Socket(stream) => stream,
            Transport::Inside(inbox) => {
                inbox.fill(&mut state.session);
                return Flushed::Done;
            }
        };
        match write(&mut state.session, stream, metrics) {
            Ok(Flushed::Blocked) => {
                state.writing = true;
                Flushed::Blocked
            }
            Ok(Flushed::Done) => {
                if state.session.is_closing() {
                    // The other end reads what was written, answers, and closes: `converse` waits for it.
                    stream.shut_down(std::net::Shutdown::Write);
                }
                Flushed::Done
            }
            Err(_) => {
                self.hang_up();
                Flushed::Done
            }
        }
    }

    /// Goes on after the socket became writable; for the one that waits for it.
    pub(super) fn flush_on(&self, metrics: &Metrics) -> Flushed {
        self.state().writing = false;
        self.flush(metrics)
    }

    /// Ends the connection now: its task sees the end of the stream.
    pub(super) fn hang_up(&self) {
        if let Transport::Socket(stream) = &self.transport {
            stream.shut_down(std::net::Shutdown::Both);
        }
    }
}

fn write(session: &mut Session, stream: &Stream, metrics: &Metrics) -> io::Result<Flushed> {
    while session.outgoing().len() > 0 {
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let count = session.outgoing().len().min(FRAMES_PER_WRITE);
        for (slice, bytes) in slices.iter_mut().zip(session.outgoing()) {
            *slice = IoSlice::new(bytes);
        }
        match stream.try_write_vectored(&slices[..count]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                let before = session.outgoing().len();
                session.written(written);
                metrics.bytes_sent.add(written as u64);
                metrics.frames_sent.add((before - session.outgoing().len()) as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
            Err(error) => return Err(error),
        }
    }
    match stream.try_flush() {
        Ok(()) => Ok(Flushed::Done),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Flushed::Blocked),
        Err(error) => Err(error),
    }
}
