//! Every port on local disk and memory, for an installation that is one machine.
//!
//! This crate must not know the network, the client protocol, or that there could be other nodes.
//! Blocking calls run on threads of its own: whoever polls its futures is never held up.

pub mod accounts;
pub mod blob;
pub mod disk;
pub mod history;
pub mod index;
pub mod log;
mod pace;
pub mod registry;
mod sqlite;
pub mod system;
#[cfg(test)]
mod testing;
