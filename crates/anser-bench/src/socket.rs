//! A client's end with nothing around it: the WebSocket handshake and the hello by hand, so that what
//! the client costs neither hides nor adds to what the server costs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anser_proto::v1::{client_frame::Request, response, server_frame};
use anser_proto::{Encoding, VERSION_MAX, VERSION_MIN, decode_server, encode_client, v1};
use anyhow::Context as _;

/// How long the server may take to answer a handshake or a hello.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer to a handshake at most.
const HEAD_BYTES: usize = 4 * 1024;
/// Binary, whole.
pub const BINARY: u8 = 2;
/// The other end is going.
pub const CLOSE: u8 = 8;

/// A session that is attached.
pub struct Attached {
    /// The socket, blocking still.
    pub stream: TcpStream,
    /// What came after the welcome.
    pub already_read: Vec<u8>,
    /// When the welcome was written, by the server's clock.
    pub server_time_ms: u64,
    /// The history that seqs belong to.
    pub timeline: u64,
    /// Slots whose heads are still to come.
    pub owing: Vec<u32>,
}

impl Attached {
    /// Waits until no slot owes anything: from then on whatever happens comes as an event. What came meanwhile is
    /// passed over.
    ///
    /// # Errors
    /// The server hangs up, or does not go on.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let owing = std::mem::take(&mut self.owing);
        settle(&mut self.stream, &mut self.already_read, owing, WEBSOCKET)
    }
}

/// How frames lie in bytes.
#[derive(Clone, Copy)]
pub struct Frames {
    /// Appends a request.
    pub push: fn(&mut Vec<u8>, u64, Request),
    /// The frame at the front, if it is whole.
    pub next: fn(&[u8]) -> Option<Framed>,
}

/// In WebSocket's.
pub const WEBSOCKET: Frames = Frames { push: push_request, next: next_frame };

/// Waits until none of these slots owes anything.
///
/// # Errors
/// The server hangs up, or does not go on.
pub fn settle(
    stream: &mut impl Read,
    bytes: &mut Vec<u8>,
    mut owing: Vec<u32>,
    frames: Frames,
) -> anyhow::Result<()> {
    while !owing.is_empty() {
        let Some(frame) = (frames.next)(bytes) else {
            read_more(stream, bytes)?;
            continue;
        };
        let told = decode_server(&bytes[frame.start..frame.end], Encoding::Binary)?;
        bytes.drain(..frame.end);
        if let Some(server_frame::Frame::SyncHeads(heads)) = told.frame
            && heads.done
        {
            owing.retain(|&slot| slot != heads.slot);
        }
    }
    Ok(())
}

/// Connects and upgrades: the socket, and what came after the answer to the handshake.
///
/// # Errors
/// The server refuses, or does not answer in time.
pub fn upgrade(authority: &str) -> anyhow::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(authority).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let bytes = upgrade_on(&mut stream, authority)?;
    Ok((stream, bytes))
}

/// Upgrades: what came after the answer to the handshake.
///
/// # Errors
/// The server refuses, or does not answer in time.
pub fn upgrade_on(stream: &mut (impl Read + Write), authority: &str) -> anyhow::Result<Vec<u8>> {
    stream.write_all(handshake(authority).as_bytes())?;
    let mut bytes = Vec::new();
    let head_end = loop {
        read_more(stream, &mut bytes)?;
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        anyhow::ensure!(bytes.len() < HEAD_BYTES, "the answer to the handshake does not end");
    };
    anyhow::ensure!(bytes.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&bytes[..head_end]));
    bytes.drain(..head_end);
    Ok(bytes)
}

/// What a client says to become a WebSocket.
pub fn handshake(authority: &str) -> String {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    format!(
        "GET /ws HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
}

/// Connects, upgrades and says hello.
///
/// # Errors
/// The server refuses, or does not answer in time.
pub fn attach(authority: &str, token: &str) -> anyhow::Result<Attached> {
    let (mut stream, mut bytes) = upgrade(authority)?;
    let welcome = greet(&mut stream, &mut bytes, token, WEBSOCKET)?;
    bytes.shrink_to_fit();
    let (server_time_ms, timeline) = (welcome.server_time_ms, welcome.timeline);
    Ok(Attached { stream, already_read: bytes, server_time_ms, timeline, owing: welcome.owing })
}

/// Says hello on a connection that is there.
///
/// # Errors
/// The server refuses, or does not answer in time.
pub fn greet(
    stream: &mut (impl Read + Write),
    bytes: &mut Vec<u8>,
    token: &str,
    frames: Frames,
) -> anyhow::Result<v1::Welcome> {
    let hello = v1::Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        token: token.to_owned(),
        client: "anser-bench".to_owned(),
        ..v1::Hello::default()
    };
    let mut out = Vec::new();
    (frames.push)(&mut out, 1, Request::Hello(hello));
    stream.write_all(&out)?;
    loop {
        if let Some(frame) = (frames.next)(bytes) {
            let answer = decode_server(&bytes[frame.start..frame.end], Encoding::Binary)?;
            bytes.drain(..frame.end);
            match answer.frame {
                Some(server_frame::Frame::Response(v1::Response {
                    result: Some(response::Result::Welcome(welcome)),
                    ..
                })) => return Ok(welcome),
                other => anyhow::bail!("hello was answered with {other:?}"),
            }
        }
        read_more(stream, bytes)?;
    }
}

fn read_more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut piece = [0; 2_048];
    let count = stream.read(&mut piece).context("waiting for the server")?;
    anyhow::ensure!(count > 0, "the server hung up");
    bytes.extend_from_slice(&piece[..count]);
    Ok(())
}

/// Appends a request as one WebSocket message. The mask is zero: it protects proxies, not programs.
pub fn push_request(out: &mut Vec<u8>, id: u64, request: Request) {
    let payload = encode_client(&v1::ClientFrame { id, request: Some(request) }, Encoding::Binary);
    out.push(0x80 | BINARY);
    match payload.len() {
        short @ ..126 => out.push(0x80 | short as u8),
        long => {
            out.push(0x80 | 126);
            out.extend_from_slice(&u16::try_from(long).expect("requests here are short").to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&payload);
}

/// Whether an answer says that nothing happened, and that one may come again.
pub fn is_put_off(result: Option<&response::Result>) -> bool {
    matches!(result, Some(response::Result::Error(error)) if error.code == "overloaded" && error.retry_after_ms > 0)
}

/// A whole frame at the front of some bytes: its payload lies in `start..end`.
pub struct Framed {
    /// What kind.
    pub opcode: u8,
    /// Where its payload begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// The frame at the front, if it is whole. A server sends no fragments here.
pub fn next_frame(bytes: &[u8]) -> Option<Framed> {
    let [first, second, ..] = *bytes else { return None };
    let (length, start): (usize, usize) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let end = start.checked_add(length)?;
    (bytes.len() >= end).then_some(Framed { opcode: first & 0x0f, start, end })
}
