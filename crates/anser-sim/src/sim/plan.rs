//! What is tried in one run, drawn from its seed ahead of time, so that it can be shown and shrunk.

use std::fmt;

use super::acts::ACTS;
use crate::chance::Chance;

/// How the installation is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One process with everything in it, on the real log over a simulated disk.
    OneMachine,
    /// Cores that share a log and stores, and edges apart from them.
    Cluster {
        /// Cores.
        nodes: usize,
        /// Edges.
        edges: usize,
    },
}

/// How bad the roads are, for the whole run. Rates are one in so many; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roads {
    /// What a frame between a device and its edge takes at most.
    pub device_ms: u64,
    /// What a message between processes takes at most.
    pub link_ms: u64,
    /// What the log takes at most for an append.
    pub log_ms: u64,
    /// What a store takes at most.
    pub store_ms: u64,
    /// A frame at which the connection breaks.
    pub severed: u64,
    /// An append whose answer is lost: it landed, or not, or lands later.
    pub append_unknown: u64,
    /// An append for which there is no room.
    pub append_full: u64,
    /// A record that the log is given twice.
    pub append_twice: u64,
    /// A store that does not answer, or only after its work was done.
    pub store_away: u64,
    /// A question between slots that is lost.
    pub ask_lost: u64,
    /// An answer between slots that comes twice.
    pub ask_twice: u64,
}

/// One thing that is tried at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, in milliseconds since the beginning.
    pub at: u64,
    /// What.
    pub what: What,
    /// Decides what the step leaves open.
    pub seed: u64,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Somebody does something on a device: the act of this number.
    Act(usize, usize),
    /// A device is switched off, for so many milliseconds; if it crashes, what it had not saved is lost.
    Off(usize, u64, bool),
    /// A device's connection breaks.
    Sever(usize),
    /// A device's connection is dead, and neither end is told.
    HalfOpen(usize),
    /// A device does not read for so many milliseconds.
    Stall(usize, u64),
    /// A device's wall clock jumps by so many milliseconds.
    DeviceClock(usize, i64),
    /// A device is signed out everywhere, and signs in anew after so many milliseconds.
    Revoke(usize, u64),
    /// A core is killed, and starts again after so many milliseconds; perhaps its machine loses power.
    Kill(usize, u64, bool),
    /// A core stands still.
    Pause(usize, u64),
    /// A core's wall clock jumps.
    NodeClock(usize, i64),
    /// An edge is killed, and starts again.
    KillEdge(usize, u64),
    /// Another core is told to rule some of the slots; the one that rules them is not told.
    Depose(usize),
    /// A core loses the log, another one takes its slots over, and one edge cannot reach that one: it goes on
    /// asking the first.
    Coup(usize),
    /// A slot is handed over in good order.
    HandOver(usize),
    /// An edge and a core cannot reach each other.
    Cut(usize, usize, u64),
    /// A core cannot reach the log.
    NoLog(usize, u64),
    /// The log has no room.
    FullDisk(u64),
    /// The log is slow by so many milliseconds at most, for as long.
    SlowDisk(u64, u64),
    /// The stores do not answer.
    NoStores(u64),
    /// What is given to the stores is given up, and lands long after.
    LateStores(u64),
    /// The disk under the log fails in its next operations (one machine).
    DiskFault(u64),
    /// Nothing happens for a long time.
    Pass(u64),
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where it was drawn from; also decides everything that the steps leave open.
    pub seed: u64,
    /// How the installation is built.
    pub shape: Shape,
    /// Devices of each account.
    pub devices: Vec<usize>,
    /// How bad the roads are.
    pub roads: Roads,
    /// In the order of time.
    pub steps: Vec<Step>,
    /// When everything is mended.
    pub calm_at: u64,
}

impl Plan {
    /// Draws a run.
    pub fn draw(seed: u64) -> Plan {
        let mut chance = Chance::of(&[seed, 0x616e_7365]);
        let shape = if chance.happens(2, 5) {
            Shape::OneMachine
        } else {
            Shape::Cluster { nodes: 2 + chance.below(2) as usize, edges: 1 + chance.below(2) as usize }
        };
        let accounts = 3 + chance.below(4) as usize;
        let devices: Vec<usize> = (0..accounts).map(|_| 1 + usize::from(chance.happens(1, 3))).collect();
        let roads = Roads::draw(&mut chance);
        let span = 20_000 + chance.below(60_000);
        let mut plan = Plan { seed, shape, devices, roads, steps: Vec::new(), calm_at: span };
        let acts = 40 + chance.below(80);
        let weights: u64 = ACTS.iter().map(|act| act.weight).sum();
        for _ in 0..acts {
            let device = chance.below(plan.all_devices() as u64) as usize;
            let mut drawn = chance.below(weights);
            let act = ACTS.iter().position(|act| {
                let is_it = drawn < act.weight;
                drawn = drawn.saturating_sub(act.weight);
                is_it
            });
            plan.step(&mut chance, span, What::Act(device, act.expect("weights add up")));
        }
        // Some runs are calm, so that what is wrong without any fault is found as such.
        let faults = if chance.happens(1, 8) { 0 } else { 1 + chance.below(14) };
        for _ in 0..faults {
            let what = plan.draw_fault(&mut chance);
            plan.step(&mut chance, span, what);
        }
        plan.steps.sort_by_key(|step| step.at);
        plan
    }

    /// Devices of all accounts.
    pub fn all_devices(&self) -> usize {
        self.devices.iter().sum()
    }

    /// Core nodes.
    pub fn nodes(&self) -> usize {
        match self.shape {
            Shape::OneMachine => 1,
            Shape::Cluster { nodes, .. } => nodes,
        }
    }

    /// Edges.
    pub fn edges(&self) -> usize {
        match self.shape {
            Shape::OneMachine => 1,
            Shape::Cluster { edges, .. } => edges,
        }
    }

    fn step(&mut self, chance: &mut Chance, span: u64, what: What) {
        self.steps.push(Step { at: 500 + chance.below(span), what, seed: chance.number() });
    }

    fn draw_fault(&self, chance: &mut Chance) -> What {
        let device = chance.below(self.all_devices() as u64) as usize;
        let node = chance.below(self.nodes() as u64) as usize;
        let edge = chance.below(self.edges() as u64) as usize;
        let short = 200 + chance.below(4_000);
        let longer = 1_000 + chance.below(30_000);
        let jump = chance.below(600_000) as i64 - 300_000;
        let is_cluster = self.shape != Shape::OneMachine;
        match chance.below(22) {
            0 | 1 => What::Off(device, longer, chance.happens(1, 2)),
            2 => What::Sever(device),
            3 => What::HalfOpen(device),
            4 => What::Stall(device, longer),
            5 => What::DeviceClock(device, jump),
            6 => What::Revoke(device, short),
            7 | 8 => What::Kill(node, short, chance.happens(1, 2)),
            9 => What::Pause(node, short + chance.below(6_000)),
            10 => What::NodeClock(node, jump),
            11 if is_cluster => What::KillEdge(edge, short),
            12 | 13 if is_cluster => What::Depose(node),
            14 if is_cluster => match chance.below(2) {
                0 => What::HandOver(node),
                _ => What::Coup(node),
            },
            15 if is_cluster => What::Cut(edge, node, longer),
            16 if is_cluster => What::NoLog(node, short + chance.below(6_000)),
            17 => What::FullDisk(short),
            18 => What::SlowDisk(chance.below(3_000), short),
            19 if chance.happens(1, 2) => What::LateStores(short),
            19 => What::NoStores(longer),
            20 => What::Pass(60_000 + chance.below(40 * 24 * 3_600_000)),
            _ if !is_cluster => What::DiskFault(short),
            _ => What::Sever(device),
        }
    }
}

impl What {
    /// The device that it is about, if it is about one.
    pub fn device(&self) -> Option<usize> {
        match *self {
            What::Act(device, _)
            | What::Off(device, ..)
            | What::Sever(device)
            | What::HalfOpen(device)
            | What::Stall(device, _)
            | What::DeviceClock(device, _)
            | What::Revoke(device, _) => Some(device),
            _ => None,
        }
    }

    /// The edge that it is about, if it is about one.
    pub fn edge(&self) -> Option<usize> {
        match *self {
            What::KillEdge(edge, _) | What::Cut(edge, ..) => Some(edge),
            _ => None,
        }
    }
}

impl Roads {
    /// Roads on which nothing goes wrong.
    pub fn calm() -> Roads {
        Roads {
            device_ms: 30,
            link_ms: 3,
            log_ms: 3,
            store_ms: 3,
            severed: 0,
            append_unknown: 0,
            append_full: 0,
            append_twice: 0,
            store_away: 0,
            ask_lost: 0,
            ask_twice: 0,
        }
    }

    fn draw(chance: &mut Chance) -> Roads {
        let mut rate = |least: u64| if chance.happens(1, 2) { 0 } else { least + chance.below(10 * least) };
        let (severed, append_unknown, append_full) = (rate(60), rate(10), rate(30));
        let (append_twice, store_away) = (rate(5), rate(8));
        let (ask_lost, ask_twice) = (rate(5), rate(5));
        Roads {
            device_ms: 1 + chance.below(400),
            link_ms: 1 + chance.below(60),
            log_ms: 1 + chance.below(40),
            store_ms: 1 + chance.below(200),
            severed,
            append_unknown,
            append_full,
            append_twice,
            store_away,
            ask_lost,
            ask_twice,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            What::Act(device, act) => write!(f, "device {device}: {}", ACTS[act].name),
            What::Off(device, ms, crashes) => {
                let how = if crashes { "crashes" } else { "is switched off" };
                write!(f, "device {device} {how}, for {ms} ms")
            }
            What::Sever(device) => write!(f, "device {device} loses its connection"),
            What::HalfOpen(device) => write!(f, "device {device}'s connection dies silently"),
            What::Stall(device, ms) => write!(f, "device {device} does not read for {ms} ms"),
            What::DeviceClock(device, ms) => write!(f, "device {device}'s clock jumps by {ms} ms"),
            What::Revoke(device, ms) => write!(f, "device {device} is signed out, and in after {ms} ms"),
            What::Kill(node, ms, true) => write!(f, "core {node} loses power for {ms} ms"),
            What::Kill(node, ms, false) => write!(f, "core {node} is killed, back after {ms} ms"),
            What::Pause(node, ms) => write!(f, "core {node} stands still for {ms} ms"),
            What::NodeClock(node, ms) => write!(f, "core {node}'s clock jumps by {ms} ms"),
            What::KillEdge(edge, ms) => write!(f, "edge {edge} is killed, back after {ms} ms"),
            What::Depose(node) => write!(f, "core {node} takes slots over"),
            What::Coup(node) => write!(f, "core {node} takes over from one that has lost the log"),
            What::HandOver(node) => write!(f, "a slot is handed over to core {node}"),
            What::Cut(edge, node, ms) => write!(f, "edge {edge} and core {node} are cut off for {ms} ms"),
            What::NoLog(node, ms) => write!(f, "core {node} cannot reach the log for {ms} ms"),
            What::FullDisk(ms) => write!(f, "the log is full for {ms} ms"),
            What::SlowDisk(by, ms) => write!(f, "the log is slow by up to {by} ms for {ms} ms"),
            What::LateStores(ms) => write!(f, "flushes of the next {ms} ms land late"),
            What::NoStores(ms) => write!(f, "the stores are away for {ms} ms"),
            What::DiskFault(ms) => write!(f, "the disk under the log fails; the next start after {ms} ms"),
            What::Pass(ms) => write!(f, "{:.1} hours pass", ms as f64 / 3_600_000.0),
        }
    }
}
