//! The world around the server, simulated: a disk that lies until it syncs, a clock and randomness
//! from a seed; and the harnesses that drive the real code through every fault on them.
//!
//! Everything is a function of its seed. This crate must not know the real clock, disk or network.

pub mod chance;
pub mod clock;
pub mod crashes;
pub mod disk;
pub mod fuzz;
pub mod instructions;
pub mod model;
pub mod panics;
pub mod plain;
pub mod sim;
