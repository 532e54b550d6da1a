//! The bytes of one connection, plain or in TLS, read and written without waiting. rustls is a machine without I/O,
//! so that a connection in TLS needs neither a task nor a buffer of ours: what waits is what it has not sent yet.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};

use rustls::ServerConnection;
use tokio::net::TcpStream;

/// A socket whose handshakes are done.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<TlsStream>),
}

/// A socket in TLS.
pub struct TlsStream {
    tcp: TcpStream,
    tls: Mutex<ServerConnection>,
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Stream::Plain(tcp)
    }
}

impl From<tokio_rustls::server::TlsStream<TcpStream>> for Stream {
    fn from(stream: tokio_rustls::server::TlsStream<TcpStream>) -> Self {
        let (tcp, tls) = stream.into_inner();
        Stream::Tls(Box::new(TlsStream { tcp, tls: Mutex::new(tls) }))
    }
}

impl Stream {
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(stream) => &stream.tcp,
        }
    }

    /// Ready when a read may give something.
    pub(super) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tls(stream) if stream.holds_plaintext() => Poll::Ready(Ok(())),
            _ => self.tcp().poll_read_ready(context),
        }
    }

    /// Reads what is there.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.try_read(buffer),
            Stream::Tls(stream) => stream.try_read(buffer),
        }
    }

    /// Takes as much of these as there is room for.
    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.try_write_vectored(slices),
            Stream::Tls(stream) => stream.try_write_vectored(slices),
        }
    }

    /// Sends on what was taken and is not sent yet.
    pub(super) fn try_flush(&self) -> io::Result<()> {
        match self {
            Stream::Plain(_) => Ok(()),
            Stream::Tls(stream) => stream.send(&mut stream.machine()),
        }
    }

    pub(super) fn shut_down(&self, how: Shutdown) {
        if let Stream::Tls(stream) = self {
            let mut machine = stream.machine();
            machine.send_close_notify();
            // A courtesy: without it the other end cannot tell an end from a cut.
            _ = stream.send(&mut machine);
        }
        // The socket may be gone already.
        _ = socket2::SockRef::from(self.tcp()).shutdown(how);
    }
}

impl TlsStream {
    fn machine(&self) -> MutexGuard<'_, ServerConnection> {
        self.tls.lock().expect("nothing panics while it holds a TLS machine")
    }

    /// What was decrypted and not read. The socket need not become readable again for it.
    fn holds_plaintext(&self) -> bool {
        // An error comes again when it is read.
        self.machine().process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut machine = self.machine();
        loop {
            match machine.reader().read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Cut without a goodbye: frames tell whether something is missing.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            if machine.read_tls(&mut NotWaiting(&self.tcp))? == 0 {
                return Ok(0);
            }
            let processed = machine.process_new_packets();
            // An alert says why; an update of keys is answered.
            let sent = self.send(&mut machine);
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            match sent {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                // Whatever is left goes with the next write.
                _ => {}
            }
        }
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut machine = self.machine();
        match self.send(&mut machine) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        // The machine holds a bounded number of bytes, and takes none above it.
        let taken = machine.writer().write_vectored(slices)?;
        match self.send(&mut machine) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ if taken == 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    fn send(&self, machine: &mut ServerConnection) -> io::Result<()> {
        while machine.wants_write() {
            machine.write_tls(&mut NotWaiting(&self.tcp))?;
        }
        Ok(())
    }
}

/// A socket as rustls wants it.
struct NotWaiting<'a>(&'a TcpStream);

impl Read for NotWaiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for NotWaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
