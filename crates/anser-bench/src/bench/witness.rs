//! A whole client in a crowd of sockets that count: the SDK on a thread of its own, which sees what an application
//! would see, and says whether it was everything, once and in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anser_client::driver::{Observer, prepare};
use anser_client::session::Update;
use anser_client::{Client, Config, Delivery, Keep, Options};
use anser_model::ConversationId;
use anser_proto::v1::event;
use anser_proto::wire;
use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pen::number_of;
use super::stage::Stage;

/// How long it may take until it is let in, and until the last message has come.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Somebody who listens to one conversation in which one person counts.
pub struct Witness {
    seen: Arc<Seen>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

struct Seen {
    cid: ConversationId,
    /// The next number may not be below this.
    next: AtomicU64,
    /// Messages that came in their turn.
    in_turn: AtomicU64,
    /// Others.
    out_of_turn: AtomicU64,
}

impl Observer for Seen {
    fn observe(&self, update: &Update) {
        let Update::Event(told) = update else { return };
        let Some(event::Change::Message(message)) = &told.change else { return };
        if wire::cid(&told.cid) != Ok(self.cid) {
            return;
        }
        // A number that was put off is not said again.
        let next = self.next.load(Ordering::Relaxed);
        let number = number_of(&message.text).filter(|&number| number >= next);
        self.next.store(number.map_or(next, |number| number + 1), Ordering::Relaxed);
        let counter = if number.is_some() { &self.in_turn } else { &self.out_of_turn };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Witness {
    /// A member of a conversation, attached.
    ///
    /// # Errors
    /// It is not let in.
    pub fn start(stage: &Stage<'_>, person: usize, cid: ConversationId) -> anyhow::Result<Witness> {
        let seen = Arc::new(Seen {
            cid,
            next: AtomicU64::new(0),
            in_turn: AtomicU64::new(0),
            out_of_turn: AtomicU64::new(0),
        });
        let key = stage.people[person].keys.first().context("everybody has a device")?.clone();
        let servers = vec![stage.authority().parse().context("the server has an address")?];
        let mut options = Options::new(servers, key.access_token);
        options.tokens = key.tokens;
        options.session = Config { keep: Keep::Heads, save: Keep::Nothing, ..Config::default() };
        options.delivery = Delivery::Observer(seen.clone());
        let (stop, stopped) = oneshot::channel();
        let (attached, is_attached) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("witness".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (client, _, driver) = prepare(options)?;
                let listens = async {
                    client.attached().await?;
                    // Whoever started it waits for this, or has gone.
                    _ = attached.send(());
                    _ = stopped.await;
                    Client::stop(&client).await;
                    anyhow::Ok(())
                };
                tokio::join!(driver.run(), listens).1
            })
        })?;
        is_attached.recv_timeout(PATIENCE).context("the witness is not let in")?;
        Ok(Witness { seen, stop, thread })
    }

    /// Whether it saw so many messages, once each and in order.
    ///
    /// # Errors
    /// It did not.
    pub fn testify(self, said: u64) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.seen.in_turn.load(Ordering::Relaxed) < said && Instant::now() < until {
            std::thread::sleep(LOOK_INTERVAL);
        }
        // It may have ended by itself: then its own error says why.
        _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow::anyhow!("the witness panicked"))??;
        let (in_turn, out_of_turn) =
            (self.seen.in_turn.load(Ordering::Relaxed), self.seen.out_of_turn.load(Ordering::Relaxed));
        let is_whole = (in_turn, out_of_turn) == (said, 0);
        anyhow::ensure!(
            is_whole,
            "a client saw {in_turn} of {said} in their turn, and {out_of_turn} out of it"
        );
        Ok(())
    }
}
