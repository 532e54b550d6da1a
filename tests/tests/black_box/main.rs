//! Black-box scenarios: the real binary, real sockets, and a folder of its own for each scenario.

mod accounts;
mod bad_frames;
mod bad_values;
mod credentials;
mod drain;
mod edit;
mod groups;
mod handshake;
mod heartbeat;
mod idempotency;
mod operator;
mod recall;
mod replies;
mod slow_reader;
mod sync;
mod talking;
