//! What the machine does at most: small programs that do the bare work and nothing else, measured in
//! the same run as ours.

pub mod echo;
pub mod held;
