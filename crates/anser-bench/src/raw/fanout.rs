//! The limit of "one says it, many are told": one thread and one epoll, which writes one buffer to every other
//! socket of a circle. Requests that are there together share the write.

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::echo::connect;
use super::frames::{EVENT_KEY, RESPONSE_KEY, frame, write_whole};
use crate::bench::circles::{Circles, Counting};
use crate::load::{self, End, Outcome, Plan};

/// Bytes of a request.
const REQUEST_BYTES: usize = 260;
const ANSWER_BYTES: usize = 64;
const EVENTS: usize = 1_024;

/// Measures circles of sockets, of which the first of each says something.
///
/// # Errors
/// A socket fails.
pub fn measure(
    circles: Circles,
    (in_flight, event_bytes): (usize, usize),
    plan: Plan,
) -> anyhow::Result<Outcome> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let thread: JoinHandle<anyhow::Result<()>> = std::thread::Builder::new()
        .name("raw-fanout".into())
        .spawn(move || serve(&listener, circles, event_bytes))?;
    let in_flight_of = |at| if circles.is_first(at) { in_flight } else { 0 };
    let ends: anyhow::Result<Vec<End>> =
        (0..circles.sockets()).map(|at| connect(address, in_flight_of(at))).collect();
    let mut ends = ends?;
    let mut wire =
        Counting::new(circles, |_, _, out: &mut Vec<u8>| out.extend_from_slice(&[7; REQUEST_BYTES]));
    let outcome = load::run(&mut ends, &mut wire, plan)?;
    drop(ends);
    thread.join().map_err(|_| anyhow::anyhow!("the raw server panicked"))??;
    Ok(outcome)
}

fn serve(listener: &TcpListener, circles: Circles, event_bytes: usize) -> anyhow::Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut streams: Vec<TcpStream> = Vec::with_capacity(circles.sockets());
    for at in 0..circles.sockets() {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        streams.push(stream);
    }
    let (answer, event) = (frame(ANSWER_BYTES, RESPONSE_KEY), frame(event_bytes, EVENT_KEY));
    let mut open = streams.len();
    let mut events = Vec::with_capacity(EVENTS);
    let mut requests = vec![0; REQUEST_BYTES * 64];
    while open > 0 {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for told in events.drain(..) {
            let at = told.data.u64() as usize;
            let count = match (&streams[at]).read(&mut requests) {
                Ok(0) => {
                    epoll::delete(&epoll, &streams[at])?;
                    open -= 1;
                    continue;
                }
                Ok(bytes) => bytes / REQUEST_BYTES,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            write_whole(&streams[at], &answer.repeat(count))?;
            let buffer = event.repeat(count);
            for other in circles.others(at) {
                write_whole(&streams[other], &buffer)?;
            }
        }
    }
    Ok(())
}
