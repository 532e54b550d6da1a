//! Where a server is, and how it is reached: as it comes, or in TLS.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use anser_proto::STREAM_ALPN;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::trust::{BadCa, Trust};

/// Port when an address names none, plain and in TLS.
const DEFAULT_PORT: u16 = 80;
const DEFAULT_TLS_PORT: u16 = 443;

/// A server's host and port, for frames and the HTTP API alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    authority: String,
    /// Whom it may be vouched for by, where it is reached in TLS.
    trust: Option<Trust>,
    /// Frames go each behind its length, instead of in a WebSocket.
    is_stream: bool,
}

/// The text is no address that this client can reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no server address: write host:port, or http:// or https:// before it; tcp:// or tls:// for frames without a WebSocket"
)]
pub struct BadAddress(String);

impl ServerAddress {
    /// `host:port`, for connecting and for the Host header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL of the WebSocket.
    pub fn socket_url(&self) -> String {
        let scheme = if self.trust.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}/ws", self.authority)
    }

    /// Whether frames go each behind its length, instead of in a WebSocket.
    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// The same, with frames each behind its length.
    #[must_use]
    pub fn as_stream(self) -> Self {
        ServerAddress { is_stream: true, ..self }
    }

    /// The same, whose certificate is vouched for by one in this PEM file, and by nobody else.
    ///
    /// # Errors
    /// The file holds no certificate, or the address does not ask for TLS.
    pub fn trusting(self, ca: &Path) -> Result<Self, BadCa> {
        match self.trust {
            Some(_) => Ok(ServerAddress { trust: Some(Trust::in_file(ca)?), ..self }),
            None => Err(BadCa::NoTls { address: self.to_string(), ca: ca.to_owned() }),
        }
    }

    /// The file of [`ServerAddress::trusting`], if there is one.
    pub fn ca(&self) -> Option<&Path> {
        self.trust.as_ref().and_then(Trust::file)
    }

    /// Opens a connection for HTTP, with its TLS handshake.
    pub(crate) async fn connect(&self) -> io::Result<Wire> {
        self.connect_for(None).await
    }

    /// Opens a connection for frames, each behind its length.
    pub(crate) async fn connect_stream(&self) -> io::Result<Wire> {
        self.connect_for(Some(STREAM_ALPN)).await
    }

    async fn connect_for(&self, protocol: Option<&[u8]>) -> io::Result<Wire> {
        let tcp = TcpStream::connect(&self.authority).await?;
        tcp.set_nodelay(true)?;
        match &self.trust {
            None => Ok(Wire::Plain(tcp)),
            Some(trust) => Ok(Wire::Tls(Box::new(trust.shake_hands(self.host(), tcp, protocol).await?))),
        }
    }

    fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(&*self.authority, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl FromStr for ServerAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let malformed = || BadAddress(text.to_owned());
        let (trust, is_stream, rest) = match text.split_once("://") {
            Some(("ws" | "http", rest)) => (None, false, rest),
            Some(("wss" | "https", rest)) => (Some(Trust::System), false, rest),
            Some(("tcp", rest)) => (None, true, rest),
            Some(("tls", rest)) => (Some(Trust::System), true, rest),
            Some(_) => return Err(malformed()),
            None => (None, false, text),
        };
        let authority = rest.strip_suffix("/ws").unwrap_or(rest).trim_end_matches('/');
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
        if authority.is_empty() || !authority.chars().all(fits) {
            return Err(malformed());
        }
        let port = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        let default = if trust.is_some() { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
        let authority = match port {
            Some((host, port)) if host.is_empty() || port.parse::<u16>().is_err() => return Err(malformed()),
            Some(_) => authority.to_owned(),
            None => format!("{authority}:{default}"),
        };
        Ok(ServerAddress { authority, trust, is_stream })
    }
}

/// As a URL, which is an address again.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.is_stream, &self.trust) {
            (false, None) => "http",
            (false, Some(_)) => "https",
            (true, None) => "tcp",
            (true, Some(_)) => "tls",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// A connection to a server.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        let url = |text: &str| text.parse::<ServerAddress>().map(|address| address.to_string());
        assert_eq!(url("ws://localhost:7000/ws").unwrap(), "http://localhost:7000");
        assert_eq!(url("http://10.0.0.1:7000/").unwrap(), "http://10.0.0.1:7000");
        assert_eq!(url("example.org").unwrap(), "http://example.org:80");
        assert_eq!(url("wss://example.org/ws").unwrap(), "https://example.org:443");
        assert_eq!(url("https://example.org:8443").unwrap(), "https://example.org:8443");
        assert_eq!(url("[::1]:7000").unwrap(), "http://[::1]:7000");
        assert_eq!(url("[::1]").unwrap(), "http://[::1]:80");
        for stream in ["tcp://localhost:7000", "tls://example.org:443"] {
            let address: ServerAddress = stream.parse().unwrap();
            assert_eq!((address.is_stream(), address.to_string().as_str()), (true, stream));
        }
        assert_eq!(
            url("http://a:1").unwrap().parse::<ServerAddress>().unwrap().as_stream().to_string(),
            "tcp://a:1"
        );
        for bad in ["", "ftp://x", "a b", "host:port", ":7000", "host/path"] {
            assert_eq!(url(bad), Err(BadAddress(bad.to_owned())));
        }
    }

    #[test]
    fn the_host_of_a_certificate_is_without_port_and_brackets() {
        let host = |text: &str| text.parse::<ServerAddress>().unwrap().host().to_owned();
        assert_eq!(host("https://example.org"), "example.org");
        assert_eq!(host("https://[::1]:7000"), "::1");
    }

    #[test]
    fn a_ca_is_for_tls_and_must_hold_a_certificate() {
        let address = |text: &str| text.parse::<ServerAddress>().unwrap();
        let nowhere = Path::new("nowhere.pem");
        let error = address("http://a:1").trusting(nowhere).unwrap_err().to_string();
        assert!(error.contains("https://") && error.contains("nowhere.pem"), "{error}");
        let error = address("https://a:1").trusting(nowhere).unwrap_err().to_string();
        assert!(error.contains("nowhere.pem"), "{error}");
        let no_certificate = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let error = address("https://a:1").trusting(no_certificate).unwrap_err().to_string();
        assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
    }
}
