//! The listeners: whether their addresses are free, or a server answers there.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::folder::Running;
use super::report::Report;

/// How long an answer is awaited.
const PATIENCE: Duration = Duration::from_secs(3);

/// A listener that a server has, or will have.
pub struct Listening {
    pub name: &'static str,
    /// The setting that names its address.
    pub key: &'static str,
    pub address: SocketAddr,
    pub tls: bool,
    /// Whether a server does without it.
    pub optional: bool,
}

/// Whether the address can be used, or is.
pub fn check(report: &mut Report, listening: &Listening, running: Running) {
    let Listening { name, key, address, tls, optional } = *listening;
    let fix = format!("choose another address with --{}", key.replace('_', "-"));
    if running == Running::Yes {
        return match answers(address, tls) {
            Ok(()) => report.ok(name, format!("{address} answers")),
            Err(why) => {
                let found =
                    format!("a server runs on the folder, and nothing of it answers at {address}: {why}");
                let fix = format!("give this command the {key} that the server was started with");
                if optional { report.warn(name, found, fix) } else { report.fail(name, found, fix) }
            }
        };
    }
    match TcpListener::bind(address) {
        Ok(_) => report.ok(name, format!("{address} is free")),
        Err(error) if optional => report.warn(name, format!("{address} cannot be used: {error}"), fix),
        Err(error) => report.fail(name, format!("{address} cannot be used: {error}"), fix),
    }
}

/// Whether a server is healthy there. Behind TLS: whether it takes connections.
fn answers(address: SocketAddr, tls: bool) -> Result<(), String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.to_string())?;
    if tls {
        return Ok(());
    }
    let exchange = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(head)
    };
    match exchange(&mut stream) {
        Ok(head) if &head == b"HTTP/1.1 200" => Ok(()),
        Ok(head) => Err(format!("it says {:?}", String::from_utf8_lossy(&head))),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn an_address_in_use_is_found() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let level = |optional, running| {
            let mut report = Report::default();
            let listening = Listening { name: "listener", key: "listen", address, tls: false, optional };
            check(&mut report, &listening, running);
            let check = report.checks.pop().unwrap();
            assert!(check.level == Level::Ok || check.fix.is_some());
            check.level
        };
        assert_eq!(level(false, Running::No), Level::Fail);
        assert_eq!(level(true, Running::No), Level::Warn);
        drop(taken);
        assert_eq!(level(false, Running::No), Level::Ok);
        assert_eq!(level(false, Running::Yes), Level::Fail, "a server that runs would answer");
    }
}
