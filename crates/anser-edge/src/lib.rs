//! What serves a client, without I/O: one machine for each connection, and who at an edge is told of
//! what a core hands on. The server puts sockets around it, the simulator a network of its own, so that
//! what is proved is what serves.
//!
//! This crate must not know sockets, WebSocket, tokio, clocks, or how tokens are signed.
//!
//! - [`session`]: one connection: hello, sync, requests, what is queued for it
//! - [`exchange`]: what goes in, what comes out
//! - [`shell`]: what the machine takes from around it at once
//! - [`admission`], [`quota`]: whether there is time for a request, and whether one may ask so much
//! - [`deliver`]: a durable fact, or something that passes, to the sessions that it is for
//! - [`convert`]: wire types end here

pub mod admission;
pub mod convert;
pub mod deliver;
pub mod exchange;
pub mod quota;
pub mod session;
pub mod shell;

pub use deliver::{Table, deliver, pass_on, resync, tell_own, tell_watching};
pub use exchange::{Asked, Effect, Grant, Input, Question, Verified};
pub use session::Session;
pub use shell::{Form, Framing, Shell, Terms, Transport};
