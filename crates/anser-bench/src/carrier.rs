//! What may carry frames but a plain WebSocket: a stream of bytes, and TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anser_proto::v1::client_frame::Request;
use anser_proto::{Encoding, encode_client, v1};
use anyhow::Context as _;
use rustix::fd::{AsFd, BorrowedFd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::time::Instant;

use crate::load::{End, Next, Wire};
use crate::socket::{BINARY, Framed, Frames, PATIENCE, WEBSOCKET, greet, settle, upgrade_on};

/// Bytes before each frame of a stream: its length, big-endian.
const LENGTH_BYTES: usize = 4;
/// Each frame behind its length.
const BEHIND_LENGTHS: Frames = Frames { push: push_behind_length, next: next_behind_length };

/// A client's end of a connection.
pub enum Line {
    /// As it comes.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Line {
    /// From now on it does not wait.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.tcp().set_nonblocking(true)
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Line::Plain(tcp) => tcp,
            Line::Tls(stream) => &stream.sock,
        }
    }
}

impl From<TcpStream> for Line {
    fn from(tcp: TcpStream) -> Line {
        Line::Plain(tcp)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp().as_fd()
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Plain(tcp) => tcp.read(buffer),
            Line::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Plain(tcp) => tcp.write(bytes),
            Line::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Line::Plain(tcp) => tcp.flush(),
            Line::Tls(stream) => stream.flush(),
        }
    }
}

/// Attaches over a bare TCP connection; and what the server's clock says.
///
/// # Errors
/// The server refuses, or does not answer in time.
pub fn attach_bare(authority: &str, token: &str, in_flight: usize) -> anyhow::Result<(End, u64)> {
    end_of(Line::Plain(connect(authority)?), Vec::new(), token, BEHIND_LENGTHS, in_flight)
}

/// Attaches by WebSocket in TLS.
///
/// # Errors
/// The server refuses, or does not answer in time.
pub fn attach_tls(
    authority: &str,
    trust: &Arc<ClientConfig>,
    token: &str,
    in_flight: usize,
) -> anyhow::Result<(End, u64)> {
    let name = ServerName::try_from("localhost").context("a name")?;
    let session = ClientConnection::new(trust.clone(), name)?;
    let mut line = Line::Tls(Box::new(StreamOwned::new(session, connect(authority)?)));
    let received = upgrade_on(&mut line, authority)?;
    end_of(line, received, token, WEBSOCKET, in_flight)
}

/// Trusts the certificate in this file alone.
///
/// # Errors
/// It cannot be read.
pub fn trusting(certificate: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let certificate = CertificateDer::from_pem_file(certificate).context("the server's certificate")?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn connect(authority: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(authority).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn end_of(
    mut stream: Line,
    mut received: Vec<u8>,
    token: &str,
    frames: Frames,
    in_flight: usize,
) -> anyhow::Result<(End, u64)> {
    let welcome = greet(&mut stream, &mut received, token, frames)?;
    settle(&mut stream, &mut received, welcome.owing, frames)?;
    Ok((End { stream, received, in_flight }, welcome.server_time_ms))
}

fn push_behind_length(out: &mut Vec<u8>, id: u64, request: Request) {
    let payload = encode_client(&v1::ClientFrame { id, request: Some(request) }, Encoding::Binary);
    push_payload(out, &payload);
}

fn push_payload(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
}

fn next_behind_length(bytes: &[u8]) -> Option<Framed> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<LENGTH_BYTES>()?) as usize;
    let end = LENGTH_BYTES.checked_add(length)?;
    (bytes.len() >= end).then_some(Framed { opcode: BINARY, start: LENGTH_BYTES, end })
}

/// Says over bare connections what another wire says in WebSocket frames. It copies what passes, which the client pays for.
pub struct Bare<W> {
    inner: W,
    framed: Vec<u8>,
}

impl<W> Bare<W> {
    /// Over bare connections.
    pub fn new(inner: W) -> Bare<W> {
        Bare { inner, framed: Vec::new() }
    }

    /// What was said.
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Takes off the requests that the inner one has framed.
    fn unframe(&self, out: &mut Vec<u8>) {
        let mut left = &self.framed[..];
        // A client's header, whose mask is zero, is a server's with four bytes more.
        while let Some(header) = (WEBSOCKET.next)(left) {
            let payload = header.start + MASK_BYTES..header.end + MASK_BYTES;
            push_payload(out, &left[payload]);
            left = &left[header.end + MASK_BYTES..];
        }
        debug_assert!(left.is_empty(), "requests are whole");
    }
}

/// Bytes of a client's mask.
const MASK_BYTES: usize = 4;

impl<W: Wire> Wire for Bare<W> {
    fn ask(&mut self, at: usize, now: Instant, out: &mut Vec<u8>) {
        self.framed.clear();
        self.inner.ask(at, now, &mut self.framed);
        self.unframe(out);
    }

    fn take(&mut self, at: usize, now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let mut taken = 0;
        self.framed.clear();
        while let Some(frame) = next_behind_length(&bytes[taken..]) {
            let payload = &bytes[taken..][frame.start..frame.end];
            push_server_frame(&mut self.framed, payload);
            taken += frame.end;
        }
        let framed = std::mem::take(&mut self.framed);
        let understood = self.inner.take(at, now, &framed, next)?;
        anyhow::ensure!(understood == framed.len(), "connection {at} was told what is no frame");
        self.framed = framed;
        Ok(taken)
    }

    fn is_settled(&self) -> bool {
        self.inner.is_settled()
    }

    fn is_over(&self) -> bool {
        self.inner.is_over()
    }

    fn begin(&mut self) {
        self.inner.begin();
    }

    fn end(&mut self) {
        self.inner.end();
    }
}

fn push_server_frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(0x80 | BINARY);
    match u16::try_from(payload.len()) {
        Ok(short @ ..126) => out.push(short as u8),
        Ok(long) => {
            out.push(126);
            out.extend_from_slice(&long.to_be_bytes());
        }
        Err(_) => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use anser_proto::{decode_client, v1};

    use super::*;
    use crate::socket::push_request;

    /// Asks twice, with so many letters, and keeps the payloads of what it takes.
    #[derive(Default)]
    struct Says(Vec<Vec<u8>>);

    impl Wire for Says {
        fn ask(&mut self, at: usize, _: Instant, out: &mut Vec<u8>) {
            let ping = Request::Ping(v1::Ping {});
            let text = "x".repeat(at);
            let send = v1::Send { message: Some(v1::Message::text(&text)), ..v1::Send::default() };
            push_request(out, 7, ping);
            push_request(out, 8, Request::Send(send));
        }

        fn take(&mut self, _: usize, _: Instant, bytes: &[u8], _: &mut Next) -> anyhow::Result<usize> {
            let mut taken = 0;
            while let Some(frame) = (WEBSOCKET.next)(&bytes[taken..]) {
                self.0.push(bytes[taken..][frame.start..frame.end].to_vec());
                taken += frame.end;
            }
            Ok(taken)
        }
    }

    #[test]
    fn what_is_said_in_frames_goes_behind_lengths_and_comes_back() {
        for bytes in [0, 100, 125, 126, 5_000] {
            let mut bare = Bare::new(Says::default());
            let mut out = Vec::new();
            bare.ask(bytes, Instant::now(), &mut out);
            let first = next_behind_length(&out).expect("it is whole");
            let second = &out[first.end..];
            let ping = decode_client(&out[first.start..first.end], Encoding::Binary).expect("a frame");
            let send = decode_client(&second[LENGTH_BYTES..], Encoding::Binary).expect("a frame");
            assert_eq!((ping.id, send.id, second.len() > bytes), (7, 8, true));
        }
        let mut bare = Bare::new(Says::default());
        let payloads = [vec![], vec![1; 125], vec![2; 126], vec![3; 70_000]];
        let mut bytes = Vec::new();
        payloads.iter().for_each(|payload| push_payload(&mut bytes, payload));
        let whole = bytes.len();
        bytes.extend([0, 0, 0, 9, 1]);
        let taken = bare.take(0, Instant::now(), &bytes, &mut Next::default()).expect("they are frames");
        assert_eq!((taken, &bare.into_inner().0[..]), (whole, &payloads[..]));
    }
}
