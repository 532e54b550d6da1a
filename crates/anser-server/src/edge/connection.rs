//! One connection: its socket, and the session on it. It owns nothing while idle but its place in the
//! table and the task that waits for the socket.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use anser_edge::Session;
use tokio::net::TcpStream;

/// Frames that one write gathers.
const FRAMES_PER_WRITE: usize = 64;

/// One connection of a client.
pub(super) struct Connection {
    /// That of its session.
    pub(super) id: u64,
    stream: TcpStream,
    network: IpAddr,
    /// When something last came in, in monotonic milliseconds.
    heard_at_ms: AtomicU64,
    state: Mutex<State>,
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
    pub(super) fn new(id: u64, stream: TcpStream, network: IpAddr, now_ms: u64) -> Self {
        let state = State { session: Session::new(id), writing: false };
        Connection { id, stream, network, heard_at_ms: AtomicU64::new(now_ms), state: Mutex::new(state) }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
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
    pub(super) fn flush(&self) -> Flushed {
        let mut state = self.state();
        if state.writing {
            return Flushed::Done;
        }
        match write(&mut state.session, &self.stream) {
            Ok(Flushed::Blocked) => {
                state.writing = true;
                Flushed::Blocked
            }
            Ok(Flushed::Done) => {
                if state.session.is_closing() {
                    // The other end reads what was written, answers, and closes: `converse` waits for it.
                    self.shut_down(std::net::Shutdown::Write);
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
    pub(super) fn flush_on(&self) -> Flushed {
        self.state().writing = false;
        self.flush()
    }

    /// Ends the connection now: its task sees the end of the stream.
    pub(super) fn hang_up(&self) {
        self.shut_down(std::net::Shutdown::Both);
    }

    fn shut_down(&self, how: std::net::Shutdown) {
        // The socket may be gone already.
        _ = socket2::SockRef::from(&self.stream).shutdown(how);
    }
}

fn write(session: &mut Session, stream: &TcpStream) -> io::Result<Flushed> {
    while session.outgoing().len() > 0 {
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
        let count = session.outgoing().len().min(FRAMES_PER_WRITE);
        for (slice, bytes) in slices.iter_mut().zip(session.outgoing()) {
            *slice = IoSlice::new(bytes);
        }
        match stream.try_write_vectored(&slices[..count]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => session.written(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
            Err(error) => return Err(error),
        }
    }
    Ok(Flushed::Done)
}
