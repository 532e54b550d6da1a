//! Load and proof: harnesses that start the real binary, speak to it through the SDK as people would,
//! and verify what it did by the senders' own ledger.
//!
//! | part | does |
//! |---|---|
//! | [`server`], [`people`], [`corpus`] | what a run needs: a server process, accounts, something to say |
//! | [`device`] | one installation: an SDK client that comes and goes, and what it has seen |
//! | [`cast`] | people with their devices, and what must be true of all of them in the end |
//! | [`clubs`] | small conversations in which everything happens that can, and what must follow from it |
//! | [`book`] | the ledger: what was acknowledged, written down by its senders |
//! | [`audit`] | reads everything back and compares |
//! | [`ledger`], [`kills`], [`storm`], [`upgrade`], [`matrix`] | the harnesses |
//! | [`carrier`] | what carries frames besides a plain WebSocket: bare TCP, and TLS |
//! | [`socket`], [`load`], [`talk`], [`process`] | a client with nothing around it, one loop for many sockets, what the system says of a process |
//! | [`raw`] | what the machine does at most, by small programs |
//! | [`bench`] | the benches: ours beside the machine's limit, with goals and the verifier's verdict |
//!
//! It must not know the server's crates: whatever it needs of a server, any client could ask.

pub mod audit;
pub mod bench;
pub mod book;
pub mod carrier;
pub mod cast;
pub mod clubs;
pub mod corpus;
pub mod device;
pub mod kills;
pub mod ledger;
pub mod load;
pub mod matrix;
pub mod people;
pub mod process;
pub mod random;
pub mod raw;
pub mod report;
pub mod server;
pub mod socket;
pub mod storm;
pub mod talk;
pub mod upgrade;
pub mod watch;
