//! The bytes of one connection, plain or in TLS, read and written without waiting. rustls is a machine without I/O,
//! so that a connection in TLS needs neither a task nor a buffer of ours: what waits is what it has not sent yet.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};

use rustls::ServerConnection;

/// A socket whose handshakes are done. It never waits.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<TlsStream>),
}

/// A socket in TLS.
pub struct TlsStream {
    tcp: TcpStream,
    tls: ServerConnection,
}

impl TryFrom<tokio::net::TcpStream> for Stream {
    type Error = io::Error;

    fn try_from(stream: tokio::net::TcpStream) -> io::Result<Self> {
        // It stays as it is there: nobody waits for it.
        stream.into_std().map(Stream::Plain)
    }
}

impl TryFrom<tokio_rustls::server::TlsStream<tokio::net::TcpStream>> for Stream {
    type Error = io::Error;

    fn try_from(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> io::Result<Self> {
        let (tcp, tls) = stream.into_inner();
        Ok(Stream::Tls(Box::new(TlsStream { tcp: tcp.into_std()?, tls })))
    }
}

impl Stream {
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(stream) => &stream.tcp,
        }
    }

    /// Whether there is something to read although the socket has nothing: what was decrypted and not read.
    pub(super) fn holds_plaintext(&mut self) -> bool {
        match self {
            Stream::Plain(_) => false,
            // An error comes again when it is read.
            Stream::Tls(stream) => {
                let state = stream.tls.process_new_packets();
                state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
            }
        }
    }

    /// Reads what is there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    /// Takes as much of it as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write(bytes),
            Stream::Tls(stream) => stream.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    /// Takes as much of these as there is room for.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write_vectored(slices),
            Stream::Tls(stream) => stream.write_vectored(slices),
        }
    }

    /// Sends on what was taken and is not sent yet.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(stream) => stream.send(),
        }
    }

    pub(super) fn shut_down(&mut self, how: Shutdown) {
        if let Stream::Tls(stream) = self {
            stream.tls.send_close_notify();
            // A courtesy: without it the other end cannot tell an end from a cut.
            _ = stream.send();
        }
        // The socket may be gone already.
        _ = self.tcp().shutdown(how);
    }
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Cut without a goodbye: frames tell whether something is missing.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            if self.tls.read_tls(&mut self.tcp)? == 0 {
                return Ok(0);
            }
            let processed = self.tls.process_new_packets();
            // An alert says why; an update of keys is answered.
            let sent = self.send();
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            match sent {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                // Whatever is left goes with the next write.
                _ => {}
            }
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        // The machine holds a bounded number of bytes, and takes none above it.
        let taken = self.tls.writer().write_vectored(slices)?;
        match self.send() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ if taken == 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}
