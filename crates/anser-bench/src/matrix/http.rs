//! Requests over HTTP by hand, so that two answers can be compared byte for byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of the longest answer.
const BODY_BYTES: usize = 64 * 1024 * 1024;
/// Where every operation lies.
const BASE: &str = "/api/v1";

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// How.
    pub method: &'static str,
    /// Where, below the base of the API.
    pub path: String,
    /// With which body.
    pub body: Option<Value>,
}

impl Ask {
    /// Something to be read.
    pub fn get(path: impl Into<String>) -> Ask {
        Ask { method: "GET", path: path.into(), body: None }
    }

    /// Something to be gone.
    pub fn delete(path: impl Into<String>) -> Ask {
        Ask { method: "DELETE", path: path.into(), body: None }
    }

    /// Something to be done, without more to say.
    pub fn act(path: impl Into<String>) -> Ask {
        Ask { method: "POST", path: path.into(), body: None }
    }

    /// Something to be done.
    pub fn post(path: impl Into<String>, body: Value) -> Ask {
        Ask { method: "POST", path: path.into(), body: Some(body) }
    }

    /// Something to be so.
    pub fn put(path: impl Into<String>, body: Value) -> Ask {
        Ask { method: "PUT", path: path.into(), body: Some(body) }
    }

    /// Something to be changed in part.
    pub fn patch(path: impl Into<String>, body: Value) -> Ask {
        Ask { method: "PATCH", path: path.into(), body: Some(body) }
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// Every header but the time, in its order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The body as JSON; null where there is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The code of the error that it is.
    pub fn code(&self) -> Option<String> {
        self.json()["error"]["code"].as_str().map(str::to_owned)
    }

    /// Whether nobody could tell the two apart.
    pub fn is_same_as(&self, other: &HttpAnswer) -> bool {
        (self.status, &self.headers, &self.body) == (other.status, &other.headers, &other.body)
    }

    /// In words.
    pub fn shown(&self) -> String {
        const SHOWN_BYTES: usize = 300;
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(SHOWN_BYTES)]);
        format!("{} {:?} {body}", self.status, self.headers)
    }
}

/// A connection that asks one thing after another.
pub struct Http {
    authority: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Http {
    /// Of a server.
    pub fn new(authority: &str) -> Http {
        Http { authority: authority.to_owned(), stream: None }
    }

    /// Asks, with a token or key or with none.
    ///
    /// # Errors
    /// The server does not answer, or not as HTTP.
    pub fn ask(&mut self, ask: &Ask, bearer: Option<&str>) -> anyhow::Result<HttpAnswer> {
        let body = ask.body.as_ref().map(Value::to_string);
        let mut request =
            format!("{} {BASE}{} HTTP/1.1\r\nHost: {}\r\n", ask.method, ask.path, self.authority);
        if let Some(bearer) = bearer {
            request += &format!("Authorization: Bearer {bearer}\r\n");
        }
        match &body {
            Some(body) => {
                request += &format!(
                    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            }
            None => request += "Content-Length: 0\r\n\r\n",
        }
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.get_mut().write_all(request.as_bytes()).context("asking")?;
        let answer = read_answer(&mut stream).with_context(|| format!("{} {}", ask.method, ask.path))?;
        if !answer.headers.iter().any(|(name, value)| name == "connection" && value == "close") {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> anyhow::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.authority).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<HttpAnswer> {
    let mut line = String::new();
    let mut next = |stream: &mut BufReader<TcpStream>| -> anyhow::Result<String> {
        line.clear();
        anyhow::ensure!(stream.read_line(&mut line)? > 0, "the server hung up");
        Ok(line.trim_end().to_owned())
    };
    let first = next(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("not HTTP: {first:?}"))?;
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let line = next(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').with_context(|| format!("no header: {line:?}"))?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        anyhow::ensure!(name != "transfer-encoding", "the length of every answer is told before it");
        if name == "content-length" {
            length = value.parse().context("a length is a number")?;
        }
        if name != "date" {
            headers.push((name, value));
        }
    }
    anyhow::ensure!(length <= BODY_BYTES, "an answer of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).context("the answer ends too early")?;
    Ok(HttpAnswer { status, headers, body })
}
