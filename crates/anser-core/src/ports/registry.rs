//! Which nodes there are, where to reach them, and who holds which lease. Nothing that cannot be
//! rebuilt by asking the nodes again, and nothing that a message waits for.
//!
//! Everything ends by itself: a row lives as long as it is announced, a lease as long as it is renewed.
//! Times to live are durations, so that no two clocks are compared. A holder counts its own from
//! *before* it asked, by a clock that counts suspend; it may believe less than the registry, never more.
//!
//! A lease gives liveness only: what must not happen twice is fenced where it happens, by the token,
//! which grows with every new holder.

use super::PortFuture;

/// Bytes of the name of a lease, at most.
pub const LEASE_NAME_BYTES: usize = 128;
/// Bytes of one address, at most.
pub const ADDRESS_BYTES: usize = 256;
/// Nodes at once, at most.
pub const NODES: usize = 4_096;
/// Leases at once, at most.
pub const LEASES: usize = 65_536;
/// How long a row or a lease may live without being renewed, at most.
pub const TIME_TO_LIVE_MS: u64 = 24 * 60 * 60 * 1000;

/// One life of one process: drawn at random when it starts, so that no two are ever alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles {
    /// Holds connections.
    pub edge: bool,
    /// Owns slots.
    pub core: bool,
    /// Follows the log.
    pub worker: bool,
}

/// A node as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Which one.
    pub node: NodeId,
    /// What it does.
    pub roles: Roles,
    /// Where the other nodes reach it.
    pub link_address: String,
    /// Where clients reach it; an edge has one.
    pub client_address: Option<String>,
}

/// A lease as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is held, such as `shard/3`.
    pub name: String,
    /// Who holds it.
    pub holder: NodeId,
    /// Larger than that of every earlier holder; never 0.
    pub token: u64,
    /// How much longer, unless it is renewed.
    pub remaining_ms: u64,
}

/// What [`Registry::acquire`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// It is the asker's.
    Held(Lease),
    /// It is another's.
    Taken(Lease),
}

/// A claim to hold a lease, checked by its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseClaim {
    /// What is held.
    pub name: String,
    /// Who claims to hold it.
    pub holder: NodeId,
    /// Under which token.
    pub token: u64,
}

/// The nodes of an installation, and their leases.
pub trait Registry: Send + Sync {
    /// Adds a node, or replaces its row, for `ttl_ms`.
    fn announce(&self, node: NodeRow, ttl_ms: u64) -> PortFuture<Result<(), RegistryError>>;

    /// Removes a node's row at once. Its leases stay until they are released or end. No error where
    /// there is none.
    fn withdraw(&self, node: NodeId) -> PortFuture<Result<(), RegistryError>>;

    /// Every node that is there now, by id.
    fn nodes(&self) -> PortFuture<Result<Vec<NodeRow>, RegistryError>>;

    /// Takes each lease that is free, for `ttl_ms`, in the order asked for. One that the asker holds
    /// already is prolonged under its token, so a call whose answer was lost may be repeated.
    fn acquire(
        &self,
        names: Vec<String>,
        holder: NodeId,
        ttl_ms: u64,
    ) -> PortFuture<Result<Vec<Acquired>, RegistryError>>;

    /// Prolongs each lease that is held as claimed, to `ttl_ms` from now, and says which were, in the
    /// order given. A lease that has ended is not: whoever wants it acquires it under a new token.
    fn renew(&self, claims: Vec<LeaseClaim>, ttl_ms: u64) -> PortFuture<Result<Vec<bool>, RegistryError>>;

    /// Ends each lease that is held as claimed; the others stay as they are.
    fn release(&self, claims: Vec<LeaseClaim>) -> PortFuture<Result<(), RegistryError>>;

    /// Who holds what now, in the order asked for.
    fn leases(&self, names: Vec<String>) -> PortFuture<Result<Vec<Option<Lease>>, RegistryError>>;
}

/// Why the registry did not do what it was asked. Nothing of the call took effect, but where it is
/// `Unavailable`: then that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be reached, or is busy; another try can help.
    #[error("the registry cannot be reached now: {0}")]
    Unavailable(String),
    /// There are as many as there may be; another try can help once some have ended.
    #[error("the registry is full: {limit} at most")]
    Full {
        /// How many there may be.
        limit: usize,
    },
    /// A name, an address or a time to live is empty or beyond its limit.
    #[error("the registry cannot take this: {0}")]
    Malformed(String),
}

impl RegistryError {
    /// Whether asking the same again may help.
    pub fn retry_helps(&self) -> bool {
        !matches!(self, RegistryError::Malformed(_))
    }
}
