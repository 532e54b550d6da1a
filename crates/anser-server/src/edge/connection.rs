//! One connection: what is queued for it, and how far its sync is. It owns nothing while idle but its
//! place in the table and the task that waits for the socket.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use anser_model::{N, Slot};
use anser_proto::{Encoding, ErrorCode, v1};
use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

use super::ws::{self, CloseCode, MessageKind};
use crate::accounts::Grant;

/// Bytes that may wait for a slow reader before it is told to resync.
pub const QUEUE_BYTES_MAX: usize = 256 * 1024;
/// Bytes that may wait at all: answers are not dropped, so a connection beyond this is closed.
pub const QUEUE_BYTES_FATAL: usize = 4 * QUEUE_BYTES_MAX;
/// Frames that one write gathers.
const FRAMES_PER_WRITE: usize = 64;

/// One connection of a client.
pub(super) struct Connection {
    pub(super) session: u64,
    stream: TcpStream,
    /// When something last came in, in monotonic milliseconds.
    heard_at_ms: AtomicU64,
    state: Mutex<State>,
}

/// What may change of a connection.
#[derive(Default)]
pub(super) struct State {
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    json: bool,
    /// A task waits until the socket takes more.
    writing: bool,
    /// Close once the queue is written.
    closing: bool,
    pub(super) attached: Option<Box<Attached>>,
}

/// Who is on a connection, and what it is owed.
pub(super) struct Attached {
    pub(super) grant: Grant,
    pub(super) profile_version: u64,
    /// No events are sent.
    pub(super) send_only: bool,
    /// Which slots owe a sync is not known yet: everything is kept back.
    pub(super) attaching: bool,
    /// It missed events and was told to resync: none are sent until it does.
    pub(super) stale: bool,
    /// Counts its syncs: an answer to an earlier one is of no use.
    pub(super) round: u32,
    /// Slots that owe their heads, with the events kept back until then.
    pub(super) owing: BTreeMap<Slot, Owed>,
    /// Events kept back while `attaching`.
    early: Vec<(Slot, N, Bytes)>,
    kept_back_bytes: usize,
}

/// What is kept back until a slot has answered a sync.
#[derive(Default)]
pub(super) struct Owed {
    pub(super) after: N,
    events: Vec<(N, Bytes)>,
}

impl Attached {
    pub(super) fn new(grant: Grant, profile_version: u64, send_only: bool) -> Self {
        Attached {
            grant,
            profile_version,
            send_only,
            attaching: true,
            stale: false,
            round: 0,
            owing: BTreeMap::new(),
            early: Vec::new(),
            kept_back_bytes: 0,
        }
    }
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
    pub(super) fn new(session: u64, stream: TcpStream, now_ms: u64) -> Self {
        Connection { session, stream, heard_at_ms: AtomicU64::new(now_ms), state: Mutex::default() }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
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

    /// From now on it is answered in this form.
    pub(super) fn speak(&self, encoding: Encoding) {
        self.state().json = encoding == Encoding::Json;
    }

    /// Queues a frame for this connection alone.
    pub(super) fn push_frame(&self, frame: &v1::ServerFrame) {
        let mut state = self.state();
        let bytes = encoded(frame, state.encoding());
        state.push(bytes);
    }

    pub(super) fn push_raw(&self, bytes: Bytes) {
        self.state().push(bytes);
    }

    /// Queues the last frame; the socket is closed once it is written.
    pub(super) fn push_close(&self, code: CloseCode) {
        let mut state = self.state();
        if !state.closing {
            state.push(ws::close(code));
            state.closing = true;
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    pub(super) fn flush(&self) -> Flushed {
        let mut state = self.state();
        if state.writing {
            return Flushed::Done;
        }
        match state.write(&self.stream) {
            Ok(Flushed::Blocked) => {
                state.writing = true;
                Flushed::Blocked
            }
            Ok(Flushed::Done) => {
                if state.closing {
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

    /// Whether its last frame is queued already.
    pub(super) fn is_closing(&self) -> bool {
        self.state().closing
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

impl State {
    pub(super) fn encoding(&self) -> Encoding {
        if self.json { Encoding::Json } else { Encoding::Binary }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.closing {
            return;
        }
        self.queued_bytes += bytes.len();
        self.queue.push_back(bytes);
        // A single frame that waits for nothing else may be as long as it is.
        if self.queued_bytes > QUEUE_BYTES_FATAL && self.queue.len() > 1 {
            // The first may be half written: it stays.
            self.queue.truncate(1);
            let error = v1::Error::new(ErrorCode::TooSlow, "too many answers wait to be read");
            self.queue.push_back(encoded(&v1::ServerFrame::error(0, error), self.encoding()));
            self.queue.push_back(ws::close(CloseCode::Policy));
            self.queued_bytes = self.queue.iter().map(Bytes::len).sum();
            self.closing = true;
        }
    }

    fn write(&mut self, stream: &TcpStream) -> io::Result<Flushed> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE];
            let count = self.queue.len().min(FRAMES_PER_WRITE);
            for (slice, bytes) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(bytes);
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) => return Err(error),
            }
        }
        // An idle connection keeps no queue.
        self.queue = VecDeque::new();
        Ok(Flushed::Done)
    }

    fn written(&mut self, mut count: usize) {
        self.queued_bytes -= count;
        while count > 0 {
            let front = self.queue.front_mut().expect("what was written was queued");
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.queue.pop_front();
        }
    }

    /// Offers an event: sent, kept back until its slot has answered, or dropped with a resync.
    pub(super) fn offer_event(&mut self, slot: Slot, n: N, bytes: &Bytes) {
        let waiting = self.queued_bytes;
        let Some(attached) = &mut self.attached else { return };
        if attached.stale || attached.send_only {
            return;
        }
        if attached.kept_back_bytes + waiting + bytes.len() > QUEUE_BYTES_MAX {
            attached.stale = true;
            attached.early = Vec::new();
            attached.owing.values_mut().for_each(|owed| owed.events = Vec::new());
            attached.kept_back_bytes = 0;
            let resync = v1::server_frame::Frame::Resync(v1::Resync { slots: Vec::new() });
            let bytes = encoded(&v1::ServerFrame { frame: Some(resync) }, self.encoding());
            return self.push(bytes);
        }
        if attached.attaching {
            attached.kept_back_bytes += bytes.len();
            attached.early.push((slot, n, bytes.clone()));
        } else if let Some(owed) = attached.owing.get_mut(&slot) {
            attached.kept_back_bytes += bytes.len();
            owed.events.push((n, bytes.clone()));
        } else {
            self.push(bytes.clone());
        }
    }

    /// The slots that owe a sync are known: events of the others flow.
    pub(super) fn begin_sync(&mut self, owing: BTreeMap<Slot, Owed>) {
        let Some(attached) = &mut self.attached else { return };
        attached.attaching = false;
        attached.stale = false;
        attached.round += 1;
        attached.kept_back_bytes = attached.early.iter().map(|(_, _, bytes)| bytes.len()).sum();
        attached.owing = owing;
        let mut free = Vec::new();
        for (slot, n, bytes) in std::mem::take(&mut attached.early) {
            match attached.owing.get_mut(&slot) {
                Some(owed) => owed.events.push((n, bytes)),
                None => {
                    attached.kept_back_bytes -= bytes.len();
                    free.push(bytes);
                }
            }
        }
        free.into_iter().for_each(|bytes| self.push(bytes));
    }

    /// A slot has answered up to `n`: the heads, then what happened since.
    pub(super) fn synced(&mut self, slot: Slot, round: u32, n: N, heads: Vec<Bytes>) {
        let Some(attached) = &mut self.attached else { return };
        if attached.round != round {
            return;
        }
        let Some(owed) = attached.owing.remove(&slot) else { return };
        let mut later = Vec::new();
        for (event_n, bytes) in owed.events {
            attached.kept_back_bytes -= bytes.len();
            if event_n > n {
                later.push(bytes);
            }
        }
        heads.into_iter().chain(later).for_each(|bytes| self.push(bytes));
    }
}

impl Owed {
    pub(super) fn since(after: N) -> Self {
        Owed { after, events: Vec::new() }
    }
}

/// A frame as it goes over the socket.
pub(super) fn encoded(frame: &v1::ServerFrame, encoding: Encoding) -> Bytes {
    let kind = match encoding {
        Encoding::Json => MessageKind::Text,
        Encoding::Binary => MessageKind::Binary,
    };
    ws::message(kind, &anser_proto::encode_server(frame, encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_is_counted_to_the_last_byte() {
        let mut state = State::default();
        while !state.closing {
            state.push(Bytes::from(vec![0; QUEUE_BYTES_MAX]));
        }
        assert_eq!(state.queue.len(), 3, "the one being written, the error, the close");
        state.push(Bytes::from_static(b"too late"));
        state.written(QUEUE_BYTES_MAX - 1);
        state.written(1 + state.queue[1].len());
        state.written(state.queue[0].len());
        assert_eq!((state.queue.len(), state.queued_bytes), (0, 0));
    }

    #[test]
    fn one_long_frame_may_be_sent_to_whoever_reads() {
        let mut state = State::default();
        state.push(Bytes::from(vec![0; 2 * QUEUE_BYTES_FATAL]));
        assert!(!state.closing);
        state.written(2 * QUEUE_BYTES_FATAL);
        assert_eq!((state.queue.len(), state.queued_bytes), (0, 0));
    }
}
