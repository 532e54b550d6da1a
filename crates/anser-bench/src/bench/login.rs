//! People sign in over HTTP, on connections that stay: with passwords that cost nothing, which shows what the server
//! does around them, and with passwords that cost what they should, which is what a server really bears.

use anyhow::Context as _;
use tokio::time::Instant;

use super::figures::{Figure, Unit};
use super::options::Options;
use super::stage::Stage;
use crate::load::{self, End, Next, Outcome, Plan, Wire};
use crate::people::PASSWORD;
use crate::raw::echo::{self, Work};
use crate::server::ServerPlan;

const NAME: &str = "login";

/// Measures.
///
/// # Errors
/// The server fails, or does not let somebody in.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let connections = options.size.pick(4, 64, 64);
    let real = options.size.pick(1, 4, 4);
    for (part, name, cheap_passwords, connections) in [
        ("cheap", "sign-in, without the cost of the password", true, connections),
        ("real", "sign-in, with the cost of the password", false, real),
    ] {
        if !options.wants(part) {
            continue;
        }
        let plan = ServerPlan { cheap_passwords, ..ServerPlan::from_environment()? };
        let stage = Stage::open_with(options, connections, plan)?;
        options.step(name)?;
        let ours = sign_in(&stage, connections, options.brief())?;
        let folder = stage.folder();
        let work = Work {
            request_bytes: ours.bytes_each.0,
            answer_bytes: ours.bytes_each.1,
            durable_in: Some(&folder),
            forward_bytes: None,
            and_back: false,
        };
        let limit = echo::measure(work, (connections, |_| true), options.brief())?;
        let figure = Figure::new(NAME, name, ours.rate, Unit::PerSecond)
            .beside(limit.rate)
            .latency(ours.latency, Some(limit.latency))
            .note(format!("{connections} connections; the limit knows no passwords"))
            .used(&ours, ours.answers, &stage)?;
        figures.push(figure.intact());
        stage.close()?;
    }
    Ok(())
}

fn sign_in(stage: &Stage<'_>, connections: usize, plan: Plan) -> anyhow::Result<Outcome> {
    let authority = stage.authority();
    let end = || -> anyhow::Result<End> {
        let stream = std::net::TcpStream::connect(&authority).context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(End { stream: stream.into(), received: Vec::new(), in_flight: 1 })
    };
    let ends: anyhow::Result<Vec<End>> = (0..connections).map(|_| end()).collect();
    let accounts = (0..connections).map(|person| stage.account(person).to_string()).collect();
    let mut wire = SignIn { authority: authority.clone(), accounts };
    load::run(&mut ends?, &mut wire, plan.of(stage.pid()?))
}

struct SignIn {
    authority: String,
    /// Of the person who signs in on each connection.
    accounts: Vec<String>,
}

impl Wire for SignIn {
    fn ask(&mut self, at: usize, _now: Instant, out: &mut Vec<u8>) {
        let body = format!(r#"{{"handle":"person-{at}","password":"{PASSWORD}","device_name":"bench"}}"#);
        let head = format!(
            "POST /api/v1/sign-in HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.authority,
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }

    fn take(&mut self, at: usize, _now: Instant, bytes: &[u8], next: &mut Next) -> anyhow::Result<usize> {
        let Some((head, body)) = answer(bytes)? else { return Ok(0) };
        let grant: serde_json::Value = serde_json::from_slice(body)
            .with_context(|| format!("a grant: {}", String::from_utf8_lossy(bytes)))?;
        let is_grant = head.starts_with("HTTP/1.1 200") && grant["account"] == self.accounts[at].as_str();
        anyhow::ensure!(is_grant, "person {at} was answered with {head} {grant}");
        next.done.push(at);
        Ok(head.len() + body.len())
    }
}

/// Head and body of an answer, once it is whole.
fn answer(bytes: &[u8]) -> anyhow::Result<Option<(&str, &[u8])>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end + 4])?;
    let is_length = |line: &&str| line.to_ascii_lowercase().starts_with("content-length:");
    let line = head.lines().find(is_length).context("an answer says how long it is")?;
    let length: usize = line.split(':').nth(1).unwrap_or_default().trim().parse()?;
    Ok(bytes.get(end + 4..end + 4 + length).map(|body| (head, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_when_it_is_whole() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP";
        assert_eq!(answer(&bytes[..20]).expect("no end yet"), None);
        assert_eq!(answer(&bytes[..bytes.len() - 5]).expect("half a body"), None);
        let (head, body) = answer(bytes).expect("it is well formed").expect("it is whole");
        assert_eq!((head.len() + body.len(), body), (bytes.len() - 4, &b"{}"[..]));
    }
}
