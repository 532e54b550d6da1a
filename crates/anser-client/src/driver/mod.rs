//! The tokio driver: gives a session a socket, a clock, a store and callers.

mod clock;
mod handle;
mod run;
mod socket;

use std::sync::Arc;

use anser_proto::Encoding;
use tokio::sync::{mpsc, watch};

pub use clock::Clock;
pub use handle::{ChatView, Client, ClientError, ConversationView, Posted};
pub use run::Driver;

use crate::address::ServerAddress;
use crate::session::{Config, Keep, Session, Status, Update};
use crate::store::{MemoryStore, Store, StoreError};
use crate::tokens::{NoMoreTokens, Tokens};

/// Updates that wait for a slow application before they are dropped and counted.
const UPDATES_WAITING: usize = 1_024;
/// Calls that wait for the driver.
const CALLS_WAITING: usize = 64;
/// Bytes that a connection reads at once.
const READ_BUFFER_BYTES: usize = 8 * 1024;
/// The same for tools with thousands of connections.
const LEAN_READ_BUFFER_BYTES: usize = 1024;

/// Sees updates as they happen, on the driver's task: must be quick, and must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, update: &Update);
}

/// Where updates go.
#[derive(Clone)]
pub enum Delivery {
    /// To [`Updates`], at most so many waiting; more are dropped and counted.
    Queue(usize),
    /// To an observer, all of them.
    Observer(Arc<dyn Observer>),
}

/// What a client is made with.
pub struct Options {
    /// Servers of the installation; the next one is tried when one fails.
    pub servers: Vec<ServerAddress>,
    /// An access token to begin with, if there is one.
    pub access_token: Option<String>,
    /// Where further tokens come from.
    pub tokens: Arc<dyn Tokens>,
    /// How the session behaves.
    pub session: Config,
    /// Where it is kept over a restart.
    pub store: Box<dyn Store>,
    /// Where updates go.
    pub delivery: Delivery,
    /// Bytes that the connection reads at once, held for its life.
    pub read_buffer_bytes: usize,
}

impl Options {
    /// For an application that a person looks at: keeps everything in memory, and saves what the store
    /// is given.
    pub fn new(servers: Vec<ServerAddress>, access_token: impl Into<String>) -> Self {
        Options {
            servers,
            access_token: Some(access_token.into()),
            tokens: Arc::new(NoMoreTokens),
            session: Config { save: Keep::Nothing, ..Config::default() },
            store: Box::new(MemoryStore::default()),
            delivery: Delivery::Queue(UPDATES_WAITING),
            read_buffer_bytes: READ_BUFFER_BYTES,
        }
    }

    /// Further tokens come from here.
    pub fn with_tokens(mut self, tokens: Arc<dyn Tokens>) -> Self {
        self.tokens = tokens;
        self
    }

    /// The session is kept over a restart.
    pub fn with_store(mut self, store: Box<dyn Store>) -> Self {
        self.store = store;
        self.session.save = Keep::Heads;
        self
    }

    /// For tools that hold thousands of sessions: nothing is kept, updates go to an observer.
    pub fn lean(mut self, observer: Arc<dyn Observer>) -> Self {
        (self.session.keep, self.session.save) = (Keep::Nothing, Keep::Nothing);
        self.delivery = Delivery::Observer(observer);
        self.read_buffer_bytes = LEAN_READ_BUFFER_BYTES;
        self
    }

    /// Attach without heads and events: for tools that only ask and send.
    pub fn send_only(mut self) -> Self {
        self.session.send_only = true;
        self
    }

    /// Frames in this form.
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.session.encoding = encoding;
        self
    }
}

/// What happens, for the application to follow.
#[derive(Debug)]
pub struct Updates {
    queue: mpsc::Receiver<Update>,
}

impl Updates {
    /// The next update; none when the client has ended.
    pub async fn next(&mut self) -> Option<Update> {
        self.queue.recv().await
    }

    /// The next update if one waits.
    pub fn try_next(&mut self) -> Option<Update> {
        self.queue.try_recv().ok()
    }
}

/// Makes a client: the handle, its updates, and the driver, whose [`Driver::run`] is to be awaited on a
/// task of the caller's. [`Client::connect`] does that too.
pub fn prepare(options: Options) -> Result<(Client, Updates, Driver), StoreError> {
    let Options { servers, access_token, tokens, session, mut store, delivery, read_buffer_bytes } = options;
    assert!(!servers.is_empty(), "a client needs a server");
    let encoding = session.encoding;
    let session = Session::new(session, store.load()?, access_token);
    let (calls, calls_in) = mpsc::channel(CALLS_WAITING);
    let (status, status_out) = watch::channel(Status::Idle);
    let room = match delivery {
        Delivery::Queue(room) => room.max(1),
        Delivery::Observer(_) => 1,
    };
    let (updates, updates_out) = mpsc::channel(room);
    let observer = match delivery {
        Delivery::Queue(_) => None,
        Delivery::Observer(observer) => Some(observer),
    };
    let outlet = run::Outlet { updates: observer.is_none().then_some(updates), observer, status, missed: 0 };
    let driver =
        Driver::new(session, store, tokens, servers, outlet, calls_in, (encoding, read_buffer_bytes));
    Ok((Client::new(calls, status_out), Updates { queue: updates_out }, driver))
}
