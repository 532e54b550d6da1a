//! What the machine does at most: small programs that do the bare work and nothing else, measured in
//! the same run as ours. What they send has the form of the server's frames, so that the client's work is the same.

pub mod echo;
pub mod fanout;
pub mod frames;
pub mod held;
pub mod process;
pub mod returns;
