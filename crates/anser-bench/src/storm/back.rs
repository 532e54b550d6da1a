//! Everybody comes back at once: the server is killed under a thousand clients and started again.

use std::time::Duration;

use anser_client::driver::prepare;
use anser_client::session::Status;
use anser_client::{Client, Config, Keep, Options};
use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::share::Share;
use crate::device::Device;
use crate::server::{Server, kill_now};

/// Of all who come back, at most so many of a hundred may come within a tenth of a second: a herd would come
/// within one. (A first backoff is spread over half a second, so that a fifth is the least.)
pub const HERD_PERCENT: u64 = 50;
/// How long everybody may take.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// When who came back.
pub struct Back {
    /// After the server was killed, ascending.
    pub after_ms: Vec<u64>,
}

impl Back {
    /// How many of a hundred came within the busiest tenth of a second.
    pub fn busiest_percent(&self) -> u64 {
        let in_window = |(place, &at): (usize, &u64)| {
            self.after_ms[place..].iter().take_while(|&&later| later < at + 100).count()
        };
        let busiest = self.after_ms.iter().enumerate().map(in_window).max().unwrap_or_default();
        100 * busiest as u64 / self.after_ms.len().max(1) as u64
    }
}

/// Brings so many clients, kills the server, and starts it again on its share.
///
/// # Errors
/// The server does not start, or somebody is not let in to begin with.
pub async fn run(server: &mut Server, devices: &[Device], how: (usize, u64)) -> anyhow::Result<Back> {
    let (count, share_percent) = how;
    let mut drivers = JoinSet::new();
    let mut clients: Vec<Client> = Vec::with_capacity(count);
    for number in 0..count {
        let mut options: Options = devices[number % devices.len()].options();
        options.session = Config { keep: Keep::Nothing, save: Keep::Nothing, ..Config::default() };
        options.read_buffer_bytes = READ_BUFFER_BYTES;
        let (client, updates, driver) = prepare(options)?;
        drop(updates);
        drivers.spawn(driver.run());
        clients.push(client);
    }
    for client in &clients {
        client.attached().await.context("a client is not let in")?;
    }
    // Long enough that earlier failures are forgotten, as of people who were there all day.
    sleep(Duration::from_secs(11)).await;
    let killed = Instant::now();
    kill_now(server.pid().context("the server runs")?)?;
    server.reap_killed().await?;
    server.start_again().await?;
    let _share = Share::hold(server.pid().context("the server runs")?, share_percent)?;
    let mut left: Vec<&Client> = clients.iter().collect();
    let mut after_ms = Vec::with_capacity(count);
    while !left.is_empty() && killed.elapsed() < PATIENCE {
        let now_ms = killed.elapsed().as_millis() as u64;
        let away = left.len();
        left.retain(|client| !matches!(client.status(), Status::Attached { .. }));
        after_ms.extend(std::iter::repeat_n(now_ms, away - left.len()));
        sleep(LOOK_INTERVAL).await;
    }
    drop(clients);
    drivers.shutdown().await;
    Ok(Back { after_ms })
}
