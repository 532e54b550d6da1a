//! One installation that keeps everything, as what people look at does: an SDK client on a store that stays, and
//! every row that was ever told to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anser_client::driver::prepare;
use anser_client::store::{Change, MemoryStore, Saved, Store, StoreError};
use anser_client::{Client, Config, Delivery, Keep, Observer, Options, ServerAddress, Status, Update};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1;
use anser_proto::wire;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::book::Faults;
use crate::people::Key;

/// One installation.
pub struct Device {
    server: ServerAddress,
    key: Key,
    witness: Arc<Witness>,
    client: watch::Sender<Option<Client>>,
    driver: tokio::sync::Mutex<JoinSet<()>>,
}

/// What a device was told.
#[derive(Default)]
pub struct Witness {
    store: Mutex<MemoryStore>,
    told: Mutex<Told>,
}

/// Rows that were told, by conversation.
#[derive(Debug, Default)]
pub struct Told {
    /// As events, while they happened.
    pub live: HashMap<ConversationId, Vec<v1::Event>>,
    /// As the newest message of a head.
    pub heads: HashMap<ConversationId, Vec<v1::Event>>,
    /// Events that came again, or behind a later one of their slot, and what else was wrong.
    pub faults: Faults,
    /// The newest n of each slot that came as an event on this connection.
    newest: HashMap<u32, u64>,
}

impl Device {
    /// Of somebody, never connected.
    pub fn new(server: ServerAddress, key: Key) -> Device {
        let (witness, client) = (Arc::default(), watch::Sender::new(None));
        Device { server, key, witness, client, driver: tokio::sync::Mutex::default() }
    }

    /// Starts its client on what its store holds.
    ///
    /// # Errors
    /// Never but for a broken store, which one in memory is not.
    pub async fn connect(&self) -> anyhow::Result<()> {
        let mut driver = self.driver.lock().await;
        if self.client.borrow().is_some() {
            return Ok(());
        }
        let mut options = Options::new(vec![self.server.clone()], self.key.access_token.clone());
        options.tokens = self.key.tokens.clone();
        options.session = Config { keep: Keep::Everything, save: Keep::Everything, ..Config::default() };
        options.store = Box::new(WitnessStore(self.witness.clone()));
        options.delivery = Delivery::Observer(self.witness.clone());
        let (client, _, running) = prepare(options)?;
        driver.spawn(running.run());
        self.client.send_replace(Some(client));
        Ok(())
    }

    /// Goes offline: as an application that is closed, or as a telephone in a tunnel.
    pub async fn go(&self, orderly: bool) {
        let mut driver = self.driver.lock().await;
        match self.client.send_replace(None) {
            Some(client) if orderly => {
                client.stop().await;
                while driver.join_next().await.is_some() {}
            }
            _ => driver.shutdown().await,
        }
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

    /// What it was told.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.witness.told()
    }
}

impl Witness {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> MutexGuard<'_, MemoryStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Witness {
    fn observe(&self, update: &Update) {
        let mut told = self.told();
        match update {
            Update::Event(event) => told.event(event),
            Update::Head(head) => {
                if let (Some(last), Ok(cid)) = (&head.last_message, wire::cid(&head.cid)) {
                    told.heads.entry(cid).or_default().push(last.clone());
                }
            }
            Update::Status(status) => {
                told.newest.clear();
                if let Status::Ended(anser_client::session::Ended::Kicked { code, .. }) = status {
                    told.faults.add(|| format!("kicked: {code}"));
                }
            }
            Update::Failed { client_id, error } => {
                told.faults.add(|| format!("command {client_id:?} was refused: {error:?}"));
            }
            Update::Restarted(timeline) => told.faults.add(|| format!("another timeline: {timeline:?}")),
            _ => {}
        }
    }
}

impl Told {
    /// Takes an event as it comes.
    pub fn event(&mut self, event: &v1::Event) {
        let newest = self.newest.entry(event.slot).or_default();
        if event.n <= *newest {
            let (n, newest) = (event.n, *newest);
            self.faults.add(|| format!("slot {}: n {n} came behind n {newest}", event.slot));
        }
        *newest = event.n.max(*newest);
        if let Ok(cid) = wire::cid(&event.cid) {
            self.live.entry(cid).or_default().push(event.clone());
        }
    }
}

/// The store of a device, as the SDK takes one.
struct WitnessStore(Arc<Witness>);

impl Store for WitnessStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        self.0.store().load()
    }

    fn apply(&mut self, change: Change) {
        self.0.store().apply(change);
    }

    fn flush_outbox(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Somebody, with their devices. The first one is always on: it does what its owner does.
pub struct Player {
    /// Who.
    pub account: AccountId,
    /// What they use.
    pub devices: Vec<Device>,
}

impl Player {
    /// What its first device asks with.
    pub async fn client(&self) -> Client {
        self.devices[0].client().await
    }
}
