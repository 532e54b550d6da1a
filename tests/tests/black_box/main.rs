//! Black-box scenarios: the real binary, real sockets, and a folder of its own for each scenario.

mod accounts;
mod bad_frames;
mod bad_values;
mod channels;
mod configuration;
mod credentials;
mod doctor;
mod drain;
mod edit;
mod groups;
mod handshake;
mod heartbeat;
mod http_talking;
mod idempotency;
mod metrics;
mod operator;
mod presence;
mod proxies;
mod recall;
mod registers;
mod replies;
mod slow_reader;
mod sync;
mod talking;
mod tls;
mod typing;
