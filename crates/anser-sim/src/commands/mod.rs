//! The commands of the harnesses, a file each.

pub mod model;
