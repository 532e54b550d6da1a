//! The slot engine, sync, fan-out and the ports: what decides.
//!
//! This crate must not know HTTP, WebSocket, SQL, Kafka, Redis, tokio, or which node it runs on.
//! Disk, clock and randomness are ports.

pub mod conversation;
pub mod decide;
pub mod engine;
pub mod fanout;
pub mod ports;
pub mod presence;
pub mod record;
pub mod rows;
pub mod storage;
