//! The client SDK of Anser.
//!
//! [`session`] is the whole behaviour of a client as a pure machine: inputs in, outputs out, time and
//! randomness as arguments. [`driver`] gives it a socket, a clock and a store, and is what an
//! application uses, through [`Client`]. [`account`] holds the HTTP calls that end in a token.
//!
//! The machine must not know sockets, files, tasks or the wall clock: it runs in a simulator too.

pub mod account;
pub mod address;
pub mod driver;
pub mod session;
pub mod store;
pub mod tokens;
mod trust;

pub use address::ServerAddress;
pub use driver::{Client, ClientError, Delivery, Driver, Observer, Options, Updates};
pub use session::{Answer, Command, Config, Failure, Keep, Query, Session, Status, Update};
pub use trust::BadCa;
