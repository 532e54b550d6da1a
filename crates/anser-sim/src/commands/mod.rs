//! The commands of the harnesses, a file each.

pub mod fuzz;
pub mod instructions;
pub mod model;
pub mod sim;
