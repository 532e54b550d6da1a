//! Where a server is.

use std::fmt;
use std::str::FromStr;

/// Port when an address names none.
const DEFAULT_PORT: u16 = 80;

/// A server's host and port, for the WebSocket and the HTTP API alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    authority: String,
}

/// The text is no address that this client can reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not `host`, `host:port`, `http://host:port` or `ws://host:port`.
    #[error("{0:?} is no server address: write host:port, http://host:port or ws://host:port")]
    Malformed(String),
    /// Asks for TLS.
    #[error("{0:?} asks for TLS, which this client does not speak: put a local proxy between")]
    NeedsTls(String),
}

impl ServerAddress {
    /// `host:port`, for connecting and for the Host header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL of the WebSocket.
    pub fn socket_url(&self) -> String {
        format!("ws://{}/ws", self.authority)
    }
}

impl FromStr for ServerAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let malformed = || BadAddress::Malformed(text.to_owned());
        let rest = match text.split_once("://") {
            Some(("ws" | "http", rest)) => rest,
            Some(("wss" | "https", _)) => return Err(BadAddress::NeedsTls(text.to_owned())),
            Some(_) => return Err(malformed()),
            None => text,
        };
        let authority = rest.strip_suffix("/ws").unwrap_or(rest).trim_end_matches('/');
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
        if authority.is_empty() || !authority.chars().all(fits) {
            return Err(malformed());
        }
        let port = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        match port {
            Some((host, port)) if host.is_empty() || port.parse::<u16>().is_err() => Err(malformed()),
            Some(_) => Ok(ServerAddress { authority: authority.to_owned() }),
            None => Ok(ServerAddress { authority: format!("{authority}:{DEFAULT_PORT}") }),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        let authority = |text: &str| text.parse::<ServerAddress>().map(|address| address.authority);
        assert_eq!(authority("ws://localhost:7000/ws").unwrap(), "localhost:7000");
        assert_eq!(authority("http://10.0.0.1:7000/").unwrap(), "10.0.0.1:7000");
        assert_eq!(authority("example.org").unwrap(), "example.org:80");
        assert_eq!(authority("[::1]:7000").unwrap(), "[::1]:7000");
        assert_eq!(authority("[::1]").unwrap(), "[::1]:80");
        assert!(matches!(authority("wss://example.org"), Err(BadAddress::NeedsTls(_))));
        for bad in ["", "ftp://x", "a b", "host:port", ":7000", "host/path"] {
            assert!(matches!(authority(bad), Err(BadAddress::Malformed(_))), "{bad}");
        }
    }
}
