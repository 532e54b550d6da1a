//! How soon a server with much behind it serves again: filled with millions of messages, killed under
//! full load and at rest, started again until a message is acknowledged.

use std::time::Duration;

use anser_model::AccountId;
use anyhow::Context as _;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::load::{self, End, Outcome, Plan};
use crate::people::{self, Person};
use crate::report::{Report, percentile};
use crate::server::{Server, ServerPlan, folder_bytes, kill_now};
use crate::socket::attach;
use crate::talk::Talk;

/// From the start of the process to the first acknowledged message, at most.
pub const SERVING_AGAIN_MS: u64 = 1_000;
/// People who talk in pairs, all the time.
const PEOPLE: usize = 1_000;
/// One stretch of filling.
const FILL: Plan = Plan::new(Duration::ZERO, Duration::from_secs(10));
/// Load before a kill: more than the log keeps unfolded.
const BEFORE_KILL: Duration = Duration::from_secs(4);
/// A talk that a kill cuts off.
const UNTIL_KILLED: Plan = Plan::new(Duration::ZERO, Duration::from_secs(600));
/// Everybody says one thing.
const ONE_WORD: Plan = Plan::new(Duration::ZERO, Duration::ZERO);
/// A talk that shows that everybody goes on where they stood.
const AFTER_START: Plan = Plan::new(Duration::ZERO, Duration::from_millis(500));
/// People sign in again after so long, well before their tokens expire.
const SIGNED_IN: Duration = Duration::from_secs(300);
/// Long enough for everything to be folded and sealed.
const REST: Duration = Duration::from_secs(4);

/// A server with people who talk.
struct Stage {
    server: Server,
    people: Vec<Person>,
    signed_in: Instant,
    /// Told apart from other talks of the same people by this.
    round: u8,
    acknowledged: u64,
}

/// One restart.
struct Restart {
    under_load: bool,
    /// Until the process said where it serves.
    said_ms: u64,
    /// Until a message was acknowledged.
    served_ms: u64,
}

/// Fills a server with `messages`, then kills and starts it `restarts` times under load and as often at
/// rest. Whether it always served again in time.
///
/// # Errors
/// The server fails, or something acknowledged is gone.
pub async fn run(plan: ServerPlan, messages: u64, restarts: usize, json: bool) -> anyhow::Result<bool> {
    let began = Instant::now();
    let server = Server::start(plan).await?;
    let people = people::register(&server.address(), PEOPLE, 1).await?;
    let mut stage = Stage { server, people, signed_in: Instant::now(), round: 0, acknowledged: 0 };
    let filled = stage.fill(messages).await;
    let measured = match filled {
        Ok(()) => stage.measure(restarts).await,
        Err(error) => Err(error),
    };
    let restarts = match measured {
        Ok(restarts) => restarts,
        Err(error) => {
            let log = stage.server.log_tail();
            anyhow::bail!(
                "{error:#}\ndata kept in {}; the log ends:\n{log}",
                stage.server.keep_folder().display()
            );
        }
    };
    let in_time = restarts.iter().all(|restart| restart.served_ms <= SERVING_AGAIN_MS);
    stage.report(&restarts, began.elapsed(), json);
    stage.server.stop().await?;
    Ok(in_time)
}

impl Stage {
    /// New connections of everybody, and a talk between them.
    async fn talk(&mut self) -> anyhow::Result<(Vec<End>, Talk)> {
        self.round = self.round.wrapping_add(1);
        let (people, address, round) = (self.people.clone(), self.server.address(), self.round);
        spawn_blocking(move || {
            let mut ends = Vec::with_capacity(people.len());
            let mut server_time_ms = 0;
            for person in &people {
                let key = person.keys.first().context("everybody has a device")?;
                let attached = attach(address.authority(), &key.access_token)?;
                server_time_ms = attached.server_time_ms;
                ends.push(End {
                    stream: attached.stream.into(),
                    received: attached.already_read,
                    in_flight: 1,
                });
            }
            let accounts: Vec<AccountId> = people.iter().map(|person| person.account).collect();
            Ok((ends, Talk::new(&accounts, round, server_time_ms)))
        })
        .await?
    }

    async fn fill(&mut self, messages: u64) -> anyhow::Result<()> {
        while self.acknowledged < messages {
            self.sign_in_again().await?;
            let (ends, talk) = self.talk().await?;
            let (outcome, talk) = play(ends, talk, FILL).await?;
            let outcome = outcome.context("filling")?;
            self.acknowledged += talk.acknowledged();
            eprintln!("{} of {messages} messages stored, {:.0}/s", self.acknowledged, outcome.rate);
        }
        Ok(())
    }

    /// Before what people signed in with expires.
    async fn sign_in_again(&mut self) -> anyhow::Result<()> {
        if self.signed_in.elapsed() > SIGNED_IN {
            self.people = people::register(&self.server.address(), PEOPLE, 1).await?;
            self.signed_in = Instant::now();
        }
        Ok(())
    }

    async fn measure(&mut self, restarts: usize) -> anyhow::Result<Vec<Restart>> {
        let mut measured = Vec::new();
        for number in 0..2 * restarts {
            self.sign_in_again().await?;
            let under_load = number % 2 == 0;
            let earlier =
                if under_load { Some(self.kill_under_load().await?) } else { self.kill_at_rest().await? };
            self.server.reap_killed().await?;
            let log_bytes = folder_bytes(&self.server.data().join("log"));
            let started = self.server.start_again().await?;
            let said_ms = started.elapsed().as_millis() as u64;
            let (ends, talk) = self.first_word().await?;
            let (outcome, talk) = play(ends, talk, ONE_WORD).await?;
            outcome.context("the first word after a start")?;
            let served_ms = started.elapsed().as_millis() as u64;
            self.acknowledged += talk.acknowledged();
            let how = if under_load { "under load" } else { "at rest" };
            eprintln!(
                "killed {how} with {} MiB of log: said where in {said_ms} ms, served in {served_ms} ms\n  {}",
                log_bytes >> 20,
                self.server.log_line("serving").unwrap_or_default()
            );
            self.everybody_goes_on(earlier.as_ref()).await?;
            measured.push(Restart { under_load, said_ms, served_ms });
        }
        Ok(measured)
    }

    /// The connections of the first pair, and a talk between them.
    async fn first_word(&mut self) -> anyhow::Result<(Vec<End>, Talk)> {
        let all = self.people.clone();
        self.people.truncate(2);
        let first = self.talk().await;
        self.people = all;
        first
    }

    async fn kill_under_load(&mut self) -> anyhow::Result<Talk> {
        let (ends, talk) = self.talk().await?;
        let pid = self.server.pid().context("the server runs")?;
        let playing = play(ends, talk, UNTIL_KILLED);
        sleep(BEFORE_KILL).await;
        kill_now(pid)?;
        let (outcome, talk) = playing.await?;
        anyhow::ensure!(outcome.is_err(), "the talk ended before the kill");
        let faults = talk.faults();
        anyhow::ensure!(faults.doubled + faults.reordered == 0, "until the kill: {faults:?}");
        self.acknowledged += talk.acknowledged();
        Ok(talk)
    }

    async fn kill_at_rest(&mut self) -> anyhow::Result<Option<Talk>> {
        sleep(REST).await;
        kill_now(self.server.pid().context("the server runs")?)?;
        Ok(None)
    }

    /// Everybody says something, which must stand behind all that was acknowledged before.
    async fn everybody_goes_on(&mut self, earlier: Option<&Talk>) -> anyhow::Result<()> {
        let (ends, mut talk) = self.talk().await?;
        if let Some(earlier) = earlier {
            talk.go_on_after(earlier);
        }
        let (outcome, talk) = play(ends, talk, AFTER_START).await?;
        outcome.context("after the start")?;
        let faults = talk.faults();
        anyhow::ensure!(faults == Default::default(), "after the start: {faults:?}");
        self.acknowledged += talk.acknowledged();
        Ok(())
    }

    fn report(&self, restarts: &[Restart], took: Duration, json: bool) {
        let of = |under_load, figure: fn(&Restart) -> u64| {
            let chosen = restarts.iter().filter(|restart| restart.under_load == under_load);
            let mut figures: Vec<u64> = chosen.map(figure).collect();
            figures.sort_unstable();
            figures
        };
        let mut report = Report::default();
        report.add("stored", self.acknowledged);
        report.add("data_mib", folder_bytes(&self.server.data()) >> 20);
        report.add("log_mib", folder_bytes(&self.server.data().join("log")) >> 20);
        report.add("restarts", restarts.len());
        report.add("under_load_said_ms_p50", percentile(&of(true, |restart| restart.said_ms), 50));
        report.add("under_load_served_ms_p50", percentile(&of(true, |restart| restart.served_ms), 50));
        report.add("under_load_served_ms_max", percentile(&of(true, |restart| restart.served_ms), 100));
        report.add("at_rest_served_ms_p50", percentile(&of(false, |restart| restart.served_ms), 50));
        report.add("at_rest_served_ms_max", percentile(&of(false, |restart| restart.served_ms), 100));
        report.add("served_ms_allowed", SERVING_AGAIN_MS);
        report.add("seconds", took.as_secs());
        report.print("kills stored", json);
    }
}

/// Plays on a thread of its own. The talk comes back whatever became of it.
fn play(mut ends: Vec<End>, mut talk: Talk, plan: Plan) -> JoinHandle<(anyhow::Result<Outcome>, Talk)> {
    spawn_blocking(move || {
        let outcome = load::run(&mut ends, &mut talk, plan);
        (outcome, talk)
    })
}
