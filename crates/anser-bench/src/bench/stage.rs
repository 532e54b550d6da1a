//! What a scenario needs: the real server on a folder of its own, people, their connections, and how far its
//! stores are behind its log.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anser_model::AccountId;
use anyhow::Context as _;
use rustix::process::Pid;
use rustls::ClientConfig;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::options::Options;
use crate::carrier::{attach_bare, attach_tls, trusting};
use crate::load::End;
use crate::people::{self, Person};
use crate::process;
use crate::server::{Server, ServerPlan};
use crate::socket::{Attached, attach};

/// How often the lag is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
const METRICS_PATIENCE: Duration = Duration::from_secs(5);
/// Looks from which it can be said whether the lag grows: over half a minute.
const LOOKS_LEAST: usize = 60;
/// It grows when its last third lies above the one before by more than this.
const GROWTH: f64 = 1.25;
/// How long the stores may take to hold everything.
const STORES_PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody comes who is put off, and after how long.
const ATTEMPTS: usize = 10;
const PUT_OFF_PAUSE: Duration = Duration::from_millis(500);
/// Connections between two looks at the clock.
const AT_ONCE: usize = 500;

/// A server with people.
pub struct Stage<'a> {
    /// How much is measured.
    pub options: &'a Options,
    /// Everybody.
    pub people: Vec<Person>,
    server: Server,
    runtime: Runtime,
}

impl<'a> Stage<'a> {
    /// Starts a server and registers people.
    ///
    /// # Errors
    /// It does not start, or refuses somebody.
    pub fn open(options: &'a Options, people: usize) -> anyhow::Result<Stage<'a>> {
        Stage::open_with(options, people, ServerPlan::from_environment()?)
    }

    /// The same with a server that is run like this.
    ///
    /// # Errors
    /// As [`Stage::open`].
    pub fn open_with(options: &'a Options, people: usize, plan: ServerPlan) -> anyhow::Result<Stage<'a>> {
        options.step(&format!("starting a server, and registering {people} people"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = runtime.block_on(Server::start(plan))?;
        let people = runtime.block_on(people::register(&server.address(), people, 1))?;
        Ok(Stage { options, people, server, runtime })
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.server.address().authority().to_owned()
    }

    /// The server's process.
    ///
    /// # Errors
    /// It is gone.
    pub fn pid(&self) -> anyhow::Result<Pid> {
        self.server.pid().context("the server runs")
    }

    /// Where the server writes: what the limit writes goes there too.
    pub fn folder(&self) -> PathBuf {
        self.server.data()
    }

    /// Somebody's account.
    pub fn account(&self, person: usize) -> AccountId {
        self.people[person].account
    }

    /// Somebody's token.
    pub fn token(&self, person: usize) -> &str {
        self.people[person].keys.first().map_or("", |key| key.access_token.as_str())
    }

    /// A connection of somebody, who comes again where it is put off, and has been told all that it missed.
    ///
    /// # Errors
    /// It is not let in.
    pub fn attach(&self, person: usize) -> anyhow::Result<Attached> {
        let mut attempts = 1;
        loop {
            let attached = attach(&self.authority(), self.token(person));
            match attached.and_then(|mut attached| attached.settle().map(|()| attached)) {
                Err(_) if attempts < ATTEMPTS => sleep(PUT_OFF_PAUSE),
                ended => return ended,
            }
            attempts += 1;
        }
    }

    /// Connections of these, with so many requests in flight each; and what the server's clock says.
    ///
    /// # Errors
    /// Somebody is not let in.
    pub fn ends(
        &self,
        people: impl IntoIterator<Item = usize>,
        in_flight: impl Fn(usize) -> usize,
    ) -> anyhow::Result<(Vec<End>, u64)> {
        let (mut ends, mut server_time_ms) = (Vec::new(), 0);
        for (at, person) in people.into_iter().enumerate() {
            if at % AT_ONCE == 0 {
                self.options.step(&format!("attaching, {at} are there"))?;
            }
            let Attached { stream, already_read, server_time_ms: now_ms, .. } = self.attach(person)?;
            server_time_ms = now_ms;
            ends.push(End { stream: stream.into(), received: already_read, in_flight: in_flight(at) });
        }
        Ok((ends, server_time_ms))
    }

    /// The same over bare TCP, or in TLS where somebody is trusted.
    ///
    /// # Errors
    /// Somebody is not let in.
    pub fn ends_over(
        &self,
        trust: Option<&Arc<ClientConfig>>,
        people: impl IntoIterator<Item = usize>,
        in_flight: impl Fn(usize) -> usize,
    ) -> anyhow::Result<(Vec<End>, u64)> {
        let (mut ends, mut server_time_ms) = (Vec::new(), 0);
        for (at, person) in people.into_iter().enumerate() {
            let (authority, token) = (self.authority(), self.token(person));
            let (end, now_ms) = match trust {
                Some(trust) => attach_tls(&authority, trust, token, in_flight(at))?,
                None => attach_bare(&authority, token, in_flight(at))?,
            };
            server_time_ms = now_ms;
            ends.push(end);
        }
        Ok((ends, server_time_ms))
    }

    /// Starts the server again, and from now on it speaks TLS. Whom to trust.
    ///
    /// # Errors
    /// It does not stop, or does not start.
    pub fn turn_to_tls(&mut self) -> anyhow::Result<Arc<ClientConfig>> {
        self.options.step("starting the server again, with TLS")?;
        self.runtime.block_on(self.server.stop())?;
        self.server.plan_mut().tls = true;
        // The port after the old one, where its metrics would be, may be somebody's by now.
        self.server.leave_port();
        self.runtime.block_on(self.server.start_again())?;
        trusting(&self.server.certificate())
    }

    /// All that is resident, in MiB.
    ///
    /// # Errors
    /// The server is gone.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        Ok(process::resident_bytes(self.pid()?)?.0 as f64 / f64::from(1 << 20))
    }

    /// Looks at the lag from now on.
    ///
    /// # Errors
    /// The server does not say where its metrics are.
    pub fn watch_lag(&self) -> anyhow::Result<LagWatch> {
        LagWatch::start(self.metrics()?)
    }

    /// Waits until the stores hold all that is in the log, or hold it no sooner than they may.
    ///
    /// # Errors
    /// The metrics cannot be read.
    pub fn settle_stores(&self) -> anyhow::Result<()> {
        self.options.step("until the stores hold everything")?;
        let (metrics, until) = (self.metrics()?, Instant::now() + STORES_PATIENCE);
        while lag_facts(&metrics)? > 0 && Instant::now() < until {
            sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Stops the server.
    ///
    /// # Errors
    /// It does not stop as it should.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.runtime.block_on(self.server.stop())
    }

    fn metrics(&self) -> anyhow::Result<String> {
        let line = self.server.log_line(" admin=").context("the server logs where its metrics are")?;
        let address = line.split(" admin=").nth(1).and_then(|rest| rest.split('"').nth(1));
        address.map(str::to_owned).context("the server's metrics have an address")
    }
}

/// Looks at the lag until it is stopped.
pub struct LagWatch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<u64>>>,
}

impl LagWatch {
    fn start(metrics: String) -> anyhow::Result<LagWatch> {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let thread = std::thread::Builder::new().name("lag".into()).spawn(move || {
            let mut looks = Vec::new();
            while !told.load(Ordering::Relaxed) {
                looks.push(lag_facts(&metrics)?);
                std::thread::park_timeout(LOOK_INTERVAL);
            }
            looks.push(lag_facts(&metrics)?);
            Ok(looks)
        })?;
        Ok(LagWatch { is_over, thread })
    }

    /// What was seen until now.
    ///
    /// # Errors
    /// The metrics could not be read.
    pub fn stop(self) -> anyhow::Result<Lag> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        Ok(Lag::of(&self.thread.join().map_err(|_| anyhow::anyhow!("the look at the lag panicked"))??))
    }
}

/// Durable facts that a store did not hold yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The most that were seen.
    pub most: u64,
    /// In the end.
    pub last: u64,
    /// Whether it went on growing: then the figure does not hold. `None`: it was not looked at for long enough.
    pub grows: Option<bool>,
}

impl Lag {
    /// Of looks at equal distances.
    fn of(looks: &[u64]) -> Lag {
        let (most, last) = (looks.iter().max().copied(), looks.last().copied());
        // The first third fills what stores take before they write.
        let (middle, end) = (&looks[looks.len() / 3..looks.len() * 2 / 3], &looks[looks.len() * 2 / 3..]);
        let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
        let grows = (looks.len() >= LOOKS_LEAST).then(|| mean(end) > mean(middle) * GROWTH);
        Lag { most: most.unwrap_or_default(), last: last.unwrap_or_default(), grows }
    }
}

/// Durable facts that the store furthest behind does not hold yet.
fn lag_facts(metrics: &str) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(metrics).context("connecting to the metrics")?;
    stream.set_read_timeout(Some(METRICS_PATIENCE))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page).context("reading the metrics")?;
    most_lag(&page).context("the metrics tell the lag")
}

fn most_lag(page: &str) -> Option<u64> {
    let lines = page.lines().filter(|line| line.starts_with("anser_flush_lag_facts{"));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.map(|value| value as u64).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_that_goes_on_growing_is_told_from_one_that_fills_up() {
        let growing: Vec<u64> = (0..90).map(|look| look * 1_000).collect();
        assert_eq!(Lag::of(&growing), Lag { most: 89_000, last: 89_000, grows: Some(true) });
        let filling: Vec<u64> = (0..90).map(|look| (look * 1_000).min(25_000) + look % 3 * 100).collect();
        assert_eq!(Lag::of(&filling).grows, Some(false));
        assert_eq!(Lag::of(&growing[..20]).grows, None, "too short to be told");
        assert_eq!(Lag::of(&[]), Lag { most: 0, last: 0, grows: None });
    }

    #[test]
    fn the_store_furthest_behind_counts() {
        let page = "# TYPE anser_flush_lag_facts gauge\nanser_flush_lag_facts{store=\"index\"} 10\n\
                    anser_flush_lag_facts{store=\"history\"} 250\nanser_log_bytes 7\n";
        assert_eq!(most_lag(page), Some(250));
        assert_eq!(most_lag("anser_log_bytes 7\n"), None);
    }
}
