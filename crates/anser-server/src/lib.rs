//! What faces the network: accounts and their HTTP API, sockets, and the wiring of the parts.
//!
//! Wire types end here: what goes inwards is a validated value of the model or of a port.

pub mod accounts;
pub mod edge;
pub mod http;
pub mod metrics;
pub mod node;
pub mod wiring;
