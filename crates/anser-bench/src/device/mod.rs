//! One installation of somebody: an SDK client that comes, goes and is cut off, on a store that stays.

mod recorder;

use std::sync::Arc;
use std::time::Duration;

use anser_client::driver::prepare;
use anser_client::{Client, ClientError, Config, Delivery, Failure, Keep, Options, ServerAddress};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, Target};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use recorder::{Recorder, Seen};

use crate::book::{Book, Message, RECALLED};
use crate::people::Key;

/// Facts asked for at once.
const PAGE_FACTS: u32 = 200;
/// Bytes that a connection reads at once: a run has thousands of them.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// How long to wait before asking again for what could not be had.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What becomes of a message once it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It stays as it is.
    Stay,
    /// Its author says something else in it.
    Edit,
    /// Its author takes it back.
    Recall,
    /// The one, and then the other.
    EditAndRecall,
}

impl Then {
    /// By a number that ascends: of so many messages one is edited, one taken back, one both.
    pub fn of(number: u64, one_in: u64) -> Then {
        match number % one_in {
            0 => Then::Recall,
            1 => Then::Edit,
            2 if number % (4 * one_in) == 2 => Then::EditAndRecall,
            _ => Then::Stay,
        }
    }
}

/// One installation.
pub struct Device {
    /// Whose.
    pub account: AccountId,
    server: ServerAddress,
    key: Key,
    book: Arc<Book>,
    recorder: Arc<Recorder>,
    client: watch::Sender<Option<Client>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    driver: JoinSet<()>,
    /// Fetches what was missed, whenever heads tell of it.
    reader: JoinSet<()>,
}

impl Device {
    /// A device that was never connected.
    pub fn new(account: AccountId, server: ServerAddress, key: Key, book: Arc<Book>) -> Device {
        let recorder = Arc::new(Recorder::new(account, book.clone()));
        Device {
            account,
            server,
            key,
            book,
            recorder,
            client: watch::Sender::new(None),
            running: Mutex::default(),
        }
    }

    /// What it has seen.
    pub fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// What any client of it signs in with.
    pub fn options(&self) -> Options {
        let mut options = Options::new(vec![self.server.clone()], self.key.access_token.clone());
        options.tokens = self.key.tokens.clone();
        options
    }

    /// Starts its client on what its store holds.
    ///
    /// # Errors
    /// Never but for a broken store, which one in memory is not.
    pub async fn connect(&self) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        if self.client.borrow().is_some() {
            return Ok(());
        }
        let mut options = self.options();
        options.session = Config {
            client: concat!("anser-bench/", env!("CARGO_PKG_VERSION")).to_owned(),
            keep: Keep::Heads,
            save: Keep::Heads,
            ..Config::default()
        };
        options.store = self.recorder.store();
        options.delivery = Delivery::Observer(self.recorder.clone());
        options.read_buffer_bytes = READ_BUFFER_BYTES;
        let (client, _, driver) = prepare(options)?;
        running.driver.spawn(driver.run());
        running.reader.spawn(read_on(client.clone(), self.recorder.clone()));
        self.client.send_replace(Some(client));
        Ok(())
    }

    /// Goes offline as an application that is closed.
    pub async fn stop(&self) {
        let mut running = self.running.lock().await;
        if let Some(client) = self.client.send_replace(None) {
            client.stop().await;
        }
        running.reader.shutdown().await;
        while running.driver.join_next().await.is_some() {}
        self.recorder.detached();
    }

    /// Goes offline as a telephone in a tunnel: nothing is said, what was under way is lost.
    pub async fn cut(&self) {
        let mut running = self.running.lock().await;
        running.reader.shutdown().await;
        running.driver.shutdown().await;
        self.client.send_replace(None);
        self.recorder.detached();
    }

    /// Whether it is meant to be connected.
    pub fn is_on(&self) -> bool {
        self.client.borrow().is_some()
    }

    /// Its client, as soon as it has one.
    pub async fn client(&self) -> Client {
        let mut client = self.client.subscribe();
        let there = client.wait_for(Option::is_some).await.expect("a device keeps its watch").clone();
        there.expect("it was waited for")
    }

    /// Says a message, through as many connections and restarts of this device as it takes.
    pub async fn send(&self, to: Target, message: &Message) {
        loop {
            let client = self.client().await;
            match client.send(to.clone(), message.to_wire()).await {
                Ok(_) => return,
                Err(ClientError::Stopped | ClientError::Session(Failure::Ended(_))) => {
                    // What reached the store goes on from there; the rest was never taken.
                    if self.recorder.is_pending(message.tag) || self.book.has(message.tag) {
                        return self.recorder.acknowledged(message.tag).await;
                    }
                    self.gone(&client).await;
                }
                Err(ClientError::Session(Failure::Full)) => tokio::time::sleep(RETRY_PAUSE).await,
                Err(other) => return self.book.refuse(message.tag, &other.to_string()),
            }
        }
    }

    /// Says something else in a message, or takes it back, through as many connections and restarts of this device
    /// as it takes.
    async fn amend(&self, cid: ConversationId, seq: u64, message: Option<Message>) {
        let digest = message.as_ref().map_or(RECALLED, Message::digest);
        loop {
            let client = self.client().await;
            let amended = match &message {
                Some(message) => client.edit(cid, seq, message.to_wire()).await,
                None => client.recall(cid, seq).await,
            };
            match amended {
                Ok(_) => return,
                Err(ClientError::Stopped | ClientError::Session(Failure::Ended(_))) => {
                    if self.recorder.is_amending(cid, seq) || self.book.amended(cid, seq) == Some(digest) {
                        return self.recorder.amended(cid, seq, digest).await;
                    }
                    self.gone(&client).await;
                }
                Err(ClientError::Session(Failure::Full)) => tokio::time::sleep(RETRY_PAUSE).await,
                Err(ClientError::Session(Failure::Refused(error))) => {
                    return self.book.refuse_amendment(cid, seq, &error);
                }
                Err(other) => {
                    let error = v1::Error::new(anser_proto::ErrorCode::Internal, other.to_string());
                    return self.book.refuse_amendment(cid, seq, &error);
                }
            }
        }
    }

    /// Says a message, and changes it at once if it is not to stay as it is.
    pub async fn say(&self, to: Target, message: &Message, then: Then) {
        self.send(to, message).await;
        let Some(entry) = self.book.entry(message.tag) else { return };
        if then == Then::Edit || then == Then::EditAndRecall {
            self.amend(entry.cid, entry.seq, Some(message.edited())).await;
        }
        if then == Then::Recall || then == Then::EditAndRecall {
            self.amend(entry.cid, entry.seq, None).await;
        }
    }

    /// Waits until a client that has ended is seen to be gone, for at most a moment.
    async fn gone(&self, _ended: &Client) {
        let mut client = self.client.subscribe();
        let _ = timeout(RETRY_PAUSE, client.changed()).await;
    }

    /// Moves the account's read mark. Whether the server said that it moved.
    pub async fn read_up_to(&self, cid: ConversationId, seq: u64) -> bool {
        let client = self.client.borrow().clone();
        match client {
            Some(client) => client.read_up_to(Target::cid(cid), seq).await.is_ok(),
            None => false,
        }
    }

    /// Every head that the device shows, by its client's own rules.
    pub async fn heads(&self) -> Vec<v1::Head> {
        let client = self.client().await;
        let heads = client.look(|session| session.conversations().iter().map(|it| it.head()).collect()).await;
        heads.unwrap_or_default()
    }
}

/// Fetches what is missing, each time that all heads are there.
async fn read_on(client: Client, recorder: Arc<Recorder>) {
    loop {
        recorder.missing_something().await;
        for (cid, low, high) in recorder.gaps() {
            let asked = v1::GetPage {
                r#in: Some(Target::cid(cid)),
                after_seq: low - 1,
                before_seq: high + 1,
                limit: PAGE_FACTS,
                ..v1::GetPage::default()
            };
            match client.page(asked).await {
                Ok(page) => recorder.take_page(cid, (low, high), &page),
                Err(ClientError::Stopped) => return,
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }
}
