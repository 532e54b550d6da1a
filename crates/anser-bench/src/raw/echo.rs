//! The limit of "request, durable, answer": one thread, one epoll, and for all requests that are there
//! one write into a pre-written file and one fdatasync.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread::JoinHandle;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use tempfile::NamedTempFile;
use tokio::time::Instant;

use crate::load::{self, End, Outcome, Plan, Taken, Wire};

/// Bytes of a request.
const REQUEST_BYTES: usize = 200;
/// Bytes of an answer.
const ANSWER_BYTES: usize = 32;
/// Bytes of the file, all written before the run.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
const SECTOR_BYTES: u64 = 512;
const EVENTS: usize = 1_024;

/// Measures with so many connections, one request in flight on each.
///
/// # Errors
/// The file or a socket fails.
pub fn measure(folder: &Path, connections: usize, plan: Plan) -> anyhow::Result<Outcome> {
    let file = prewritten(folder)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let server: JoinHandle<anyhow::Result<()>> = std::thread::Builder::new()
        .name("raw-echo".into())
        .spawn(move || serve(&listener, connections, file.as_file()))?;
    let ends: anyhow::Result<Vec<End>> = (0..connections).map(|_| connect(address)).collect();
    let mut ends = ends?;
    let outcome = load::run(&mut ends, &mut Echo, plan)?;
    drop(ends);
    server.join().map_err(|_| anyhow::anyhow!("the raw server panicked"))??;
    Ok(outcome)
}

fn connect(address: SocketAddr) -> anyhow::Result<End> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(End { stream, received: Vec::new(), sends: true })
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

fn serve(listener: &TcpListener, connections: usize, file: &File) -> anyhow::Result<()> {
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
    let (mut group, mut owed, mut offset) = (Vec::new(), Vec::new(), 0);
    let mut request = [0; REQUEST_BYTES];
    while open > 0 {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let at = event.data.u64() as usize;
            match (&streams[at]).read(&mut request) {
                Ok(REQUEST_BYTES) => {
                    group.extend_from_slice(&request);
                    owed.push(at);
                }
                Ok(0) => {
                    epoll::delete(&epoll, &streams[at])?;
                    open -= 1;
                }
                Ok(_) => anyhow::bail!("on loopback a small request arrives whole"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if group.is_empty() {
            continue;
        }
        file.write_all_at(&group, offset)?;
        file.sync_data()?;
        offset += (group.len() as u64).next_multiple_of(SECTOR_BYTES);
        if offset + (connections * REQUEST_BYTES) as u64 > FILE_BYTES {
            offset = 0;
        }
        group.clear();
        for at in owed.drain(..) {
            (&streams[at]).write_all(&[1; ANSWER_BYTES])?;
        }
    }
    Ok(())
}

struct Echo;

impl Wire for Echo {
    fn ask(&mut self, _at: usize, _now: Instant, out: &mut Vec<u8>) {
        out.extend_from_slice(&[7; REQUEST_BYTES]);
    }

    fn take(&mut self, _at: usize, _now: Instant, bytes: &[u8]) -> anyhow::Result<Taken> {
        let answered = bytes.len() >= ANSWER_BYTES;
        Ok(Taken { bytes: if answered { ANSWER_BYTES } else { 0 }, answered })
    }
}
