//! The simulator: the real cores, the real log, the real edge and client sessions, on simulated roads, disks
//! and clocks. Everything follows from a seed: the same plan gives the same trace.
//!
//! - `plan`: what is tried, drawn from the seed ahead of time
//! - `acts`: what people do; a new command joins here
//! - `world`, `agenda`: time, roads, steps; `rest`: the end, in which all must converge
//! - `node`, `edge`, `device`: the processes; `appends`, `links`: how they speak;
//!   `log`, `stores`: what they stand on
//! - `audit`: what must be true, known from the log alone
//! - `coverage`: which states were reached; `figures`: what else happened
//! - `campaign`: many seeds; `shrink`: a failing one made small, and told

mod acts;
mod agenda;
mod appends;
mod audit;
mod campaign;
mod coverage;
mod device;
mod edge;
mod figures;
mod links;
mod log;
mod node;
mod own;
mod plan;
#[cfg(test)]
mod ports;
mod presence;
mod rest;
mod shrink;
mod stores;
mod trace;
mod typing;
mod world;

pub use audit::Breach;
pub use campaign::{Campaign, Failure, Report};
pub use coverage::Coverage;
pub use figures::Figures;
pub use plan::{Plan, Roads, Shape, Step, What};
pub use shrink::{shrink, story};
pub use world::Outcome;

/// Lives through a plan. A panic of the product is a breach like any other.
pub fn run(plan: &Plan, keep_lines: bool) -> Outcome {
    campaign::quietly(|| world::World::new(plan, keep_lines).run())
}
