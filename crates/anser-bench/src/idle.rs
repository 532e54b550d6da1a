//! What a session costs that is attached and says nothing: the slope of the server's own memory over the
//! number of sessions, beside a bare task that waits for a socket.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Pid;

use crate::figures::Figure;
use crate::people;
use crate::process::resident_bytes;
use crate::server::{Server, ServerPlan};
use crate::socket::attach;

/// People whose sessions they are.
const PEOPLE: usize = 50;
/// How often memory is looked at until it rests.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// After so many looks it counts as it is.
const LOOKS_MAX: usize = 20;
/// It rests when it moved by less than this share between two looks.
const REST: f64 = 0.002;

/// How it is measured.
#[derive(Debug, Clone)]
pub struct IdleOptions {
    /// Fewer sessions.
    pub quick: bool,
    /// Starts [`crate::raw::held::hold`] as a process of its own.
    pub raw_command: Vec<OsString>,
}

/// Measures.
///
/// # Errors
/// A process fails, or a session is not let in.
pub fn run(options: &IdleOptions) -> anyhow::Result<Vec<Figure>> {
    let (few, many) = if options.quick { (1_500, 5_000) } else { (2_000, 9_000) };
    let raw = measure_raw(options, few, many)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut server =
        runtime.block_on(Server::start(ServerPlan { frugal: true, ..ServerPlan::from_environment()? }))?;
    let people = runtime.block_on(people::register(&server.address(), PEOPLE, 1))?;
    let tokens: Vec<&str> =
        people.iter().filter_map(|person| person.keys.first()).map(|key| key.access_token.as_str()).collect();
    let pid = server.pid().context("the server runs")?;
    let address = server.address();
    let ours = slope(pid, few, many, |number| {
        Ok(attach(address.authority(), tokens[number % tokens.len()])?.stream)
    })?;
    runtime.block_on(server.stop())?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(vec![
        Figure::beside("bytes_per_session", ours.bytes_each, raw.bytes_each),
        Figure::alone("sessions", many as f64),
        Figure::beside("server_own_memory_mib", mib(ours.own_bytes), mib(raw.own_bytes)),
    ])
}

struct Slope {
    bytes_each: f64,
    /// With all of them.
    own_bytes: u64,
}

/// What each costs, from `few` to `many`.
fn slope(
    pid: Pid,
    few: usize,
    many: usize,
    mut connect: impl FnMut(usize) -> anyhow::Result<TcpStream>,
) -> anyhow::Result<Slope> {
    let mut held = Vec::with_capacity(many);
    for number in 0..few {
        held.push(connect(number)?);
    }
    let before = at_rest(pid)?;
    for number in few..many {
        held.push(connect(number)?);
    }
    let after = at_rest(pid)?;
    let bytes_each = after.saturating_sub(before) as f64 / (many - few) as f64;
    Ok(Slope { bytes_each, own_bytes: after })
}

fn at_rest(pid: Pid) -> anyhow::Result<u64> {
    let (_, mut last) = resident_bytes(pid)?;
    for _ in 0..LOOKS_MAX {
        sleep(LOOK_INTERVAL);
        let (_, own) = resident_bytes(pid)?;
        if (own.abs_diff(last) as f64) < last as f64 * REST {
            return Ok(own);
        }
        last = own;
    }
    Ok(last)
}

fn measure_raw(options: &IdleOptions, few: usize, many: usize) -> anyhow::Result<Slope> {
    let (program, arguments) = options.raw_command.split_first().context("a command for the raw limit")?;
    let mut holder = Holder(Command::new(program).args(arguments).stdout(Stdio::piped()).spawn()?);
    let stdout = holder.0.stdout.take().context("its output is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let address = line.trim().rsplit("http://").next().unwrap_or_default().to_owned();
    let pid = Pid::from_raw(holder.0.id().cast_signed()).context("a pid is above 0")?;
    slope(pid, few, many, |_| TcpStream::connect(&address).context("connecting to the raw holder"))
}

/// Ends when this goes.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
