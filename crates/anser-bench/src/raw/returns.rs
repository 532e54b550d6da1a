//! The limit of "everybody comes back": one thread and one epoll that accepts, and to each thing that is said
//! answers so many bytes. A process of its own, for its descriptors.

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::frames::write_whole;

const EVENTS: usize = 1_024;
const READ_BYTES: usize = 4 * 1024;
/// The token of the socket that accepts.
const DOOR: u64 = u64::MAX;

/// Serves until it is killed, having said on standard output where it listens: `answers_bytes` of the first answer
/// on a connection, of the second, and so on.
///
/// # Errors
/// A socket fails.
pub fn serve(answers_bytes: &[usize]) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    // As many may wait at the door as at the server's.
    rustix::net::listen(&listener, 4_096)?;
    println!("answers http://{}", listener.local_addr()?);
    let answers: Vec<Vec<u8>> = answers_bytes.iter().map(|&bytes| vec![1; bytes]).collect();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(DOOR), epoll::EventFlags::IN)?;
    // By descriptor: a place is taken again when its connection is gone.
    let mut open: Vec<Option<(TcpStream, usize)>> = Vec::new();
    let mut events = Vec::with_capacity(EVENTS);
    let mut scratch = [0; READ_BYTES];
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            if event.data.u64() == DOOR {
                accept(&listener, &epoll, &mut open)?;
                continue;
            }
            let at = event.data.u64() as usize;
            let Some((stream, said)) = &mut open[at] else { continue };
            match stream.read(&mut scratch) {
                Ok(0) => open[at] = None,
                Ok(_) => {
                    if let Some(answer) = answers.get(*said) {
                        write_whole(stream, answer)?;
                    }
                    *said += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => open[at] = None,
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    epoll: &rustix::fd::OwnedFd,
    open: &mut Vec<Option<(TcpStream, usize)>>,
) -> anyhow::Result<()> {
    use std::os::fd::AsRawFd as _;
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let at = stream.as_raw_fd() as usize;
        epoll::add(epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        if open.len() <= at {
            open.resize_with(at + 1, || None);
        }
        open[at] = Some((stream, 0));
    }
}
