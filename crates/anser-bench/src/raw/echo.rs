//! The limit of "request, answer": one thread and one epoll. What must be durable is written for all requests that
//! are there at once, into a pre-written file, with one fdatasync; what has a receiver is passed on to it.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread::JoinHandle;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use tempfile::NamedTempFile;
use tokio::time::Instant;

use super::frames::{EVENT_KEY, RESPONSE_KEY, frame, write_whole};
use crate::load::{self, End, Next, Outcome, Plan, Wire};
use crate::socket;

/// Bytes of the file, all written before the run.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
const SECTOR_BYTES: u64 = 512;
const EVENTS: usize = 1_024;

/// What is done for each request.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Bytes of its answer.
    pub answer_bytes: usize,
    /// It is durable, in a file in this folder, before it is answered.
    pub durable_in: Option<&'a Path>,
    /// So many bytes go to the other one of a pair: 0 with 1, 2 with 3, …
    pub forward_bytes: Option<usize>,
    /// In a pair, the second one says something each time that it is told something, and the request of the
    /// first one is done when it is told that.
    pub and_back: bool,
}

/// Measures with so many connections, of which these ask, one request in flight on each.
///
/// # Errors
/// The file or a socket fails.
pub fn measure(
    work: Work<'_>,
    (connections, asks): (usize, impl Fn(usize) -> bool),
    plan: Plan,
) -> anyhow::Result<Outcome> {
    let file = work.durable_in.map(prewritten).transpose()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut bare = Bare { request: vec![7; work.request_bytes], work, forwarded: 0, received: 0 };
    let mut server = Server {
        request_bytes: work.request_bytes,
        answer: frame(work.answer_bytes, RESPONSE_KEY),
        forward: work.forward_bytes.map(|bytes| frame(bytes, EVENT_KEY)),
        file,
        offset: 0,
    };
    let thread: JoinHandle<anyhow::Result<()>> = std::thread::Builder::new()
        .name("raw-echo".into())
        .spawn(move || server.serve(&listener, connections))?;
    let ends: anyhow::Result<Vec<End>> =
        (0..connections).map(|at| connect(address, usize::from(asks(at)))).collect();
    let mut ends = ends?;
    let outcome = load::run(&mut ends, &mut bare, plan)?;
    drop(ends);
    thread.join().map_err(|_| anyhow::anyhow!("the raw server panicked"))??;
    Ok(outcome)
}

/// A connection to a raw program.
///
/// # Errors
/// It takes none.
pub fn connect(address: SocketAddr, in_flight: usize) -> anyhow::Result<End> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(End { stream: stream.into(), received: Vec::new(), in_flight })
}

fn prewritten(folder: &Path) -> std::io::Result<NamedTempFile> {
    // Named, as a log's file is.
    let file = tempfile::NamedTempFile::new_in(folder)?;
    let zeros = vec![0; 1 << 20];
    for offset in (0..FILE_BYTES).step_by(zeros.len()) {
        file.as_file().write_all_at(&zeros, offset)?;
    }
    file.as_file().sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

struct Server {
    request_bytes: usize,
    answer: Vec<u8>,
    forward: Option<Vec<u8>>,
    file: Option<NamedTempFile>,
    offset: u64,
}

impl Server {
    fn serve(&mut self, listener: &TcpListener, connections: usize) -> anyhow::Result<()> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut streams: Vec<TcpStream> = Vec::with_capacity(connections);
        for at in 0..connections {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
            streams.push(stream);
        }
        let mut open = connections;
        let mut events = Vec::with_capacity(EVENTS);
        let (mut group, mut owed) = (Vec::new(), Vec::new());
        let mut request = vec![0; self.request_bytes];
        while open > 0 {
            epoll::wait(&epoll, spare_capacity(&mut events), None)?;
            for event in events.drain(..) {
                let at = event.data.u64() as usize;
                match (&streams[at]).read(&mut request) {
                    Ok(0) => {
                        epoll::delete(&epoll, &streams[at])?;
                        open -= 1;
                    }
                    Ok(count) if count == self.request_bytes => {
                        group.extend_from_slice(&request);
                        owed.push(at);
                    }
                    Ok(_) => anyhow::bail!("on loopback a small request arrives whole"),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
            }
            self.keep(&group)?;
            group.clear();
            for at in owed.drain(..) {
                write_whole(&streams[at], &self.answer)?;
                if let Some(forward) = &self.forward {
                    write_whole(&streams[at ^ 1], forward)?;
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, group: &[u8]) -> anyhow::Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| !group.is_empty()) else { return Ok(()) };
        let bytes = group.len() as u64;
        if self.offset + bytes > FILE_BYTES {
            self.offset = 0;
        }
        file.as_file().write_all_at(group, self.offset)?;
        file.as_file().sync_data()?;
        self.offset += bytes.next_multiple_of(SECTOR_BYTES);
        Ok(())
    }
}

struct Bare<'a> {
    request: Vec<u8>,
    work: Work<'a>,
    forwarded: u64,
    received: u64,
}

impl Wire for Bare<'_> {
    fn ask(&mut self, _at: usize, _now: Instant, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.request);
        self.forwarded += 1;
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let mut taken = 0;
        while let Some(framed) = socket::next_frame(&bytes[taken..]) {
            let is_event = bytes[taken + framed.start] == EVENT_KEY;
            taken += framed.end;
            self.received += u64::from(is_event);
            match (is_event, self.work.and_back) {
                (false, false) => next.done.push(at),
                (true, true) if at.is_multiple_of(2) => next.done.push(at),
                (true, true) => next.reactions.push(at),
                _ => {}
            }
        }
        Ok(taken)
    }

    fn react(&mut self, at: usize, now: Instant, out: &mut Vec<u8>) {
        self.ask(at, now, out);
    }

    fn is_settled(&self) -> bool {
        self.work.forward_bytes.is_none() || self.received == self.forwarded
    }
}
