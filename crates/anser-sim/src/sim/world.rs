//! The simulated world: its time, its roads, its steps, and what is done until it comes to rest.

use std::collections::BTreeMap;
use std::fmt;

use anser_core::engine::{Answer, AskId, Input};
use anser_model::{AccountId, Command, DeviceId, N, Refusal, Slot, SlotKey, Timeline, UnixMillis};

use super::agenda::Agenda;
use super::audit::{Auditor, Breach};
use super::coverage::Coverage;
use super::device::{Conn, Deed, Device};
use super::edge::Edge;
use super::figures::Figures;
use super::links::Link;
use super::log::{OneMachine, SharedLog};
use super::node::Node;
use super::plan::{Plan, Roads, Shape, Step, What};
use super::rest::Rest;
use super::stores::Stores;
use super::trace::Trace;
use crate::chance::Chance;
use crate::disk::Fault;

/// When the world begins.
pub(super) const BEGINNING: UnixMillis = UnixMillis(1_800_000_000_000);
/// The history of the installation.
pub(super) const TIMELINE: Timeline = Timeline(77);
/// Spreads conversations over slots.
pub(super) const SLOT_KEY: SlotKey = SlotKey::new([9; 16]);
/// How much a core's monotonic clock may run too fast or too slow, in millionths. Of two cores, over the
/// wait for a lease, that is nearly all that leases allow for.
const DRIFT: u64 = 40_000;
/// Happenings of one run at most.
const HAPPENINGS_MAX: u64 = 2_000_000;

/// Everything.
pub(super) struct World {
    pub plan: Plan,
    pub now: u64,
    agenda: Agenda,
    happened: u64,
    pub chance: Chance,
    trace: Trace,
    pub machine: Option<OneMachine>,
    pub shared: SharedLog,
    pub stores: Stores,
    pub trimmed: BTreeMap<Slot, N>,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    pub links: BTreeMap<(usize, usize), Link>,
    pub devices: Vec<Device>,
    pub conns: BTreeMap<u64, Conn>,
    pub next_conn: u64,
    pub accounts: Vec<AccountId>,
    /// Who is to rule a slot.
    pub directory: BTreeMap<Slot, usize>,
    pub serials: u64,
    pub asks: BTreeMap<(Slot, AskId), (usize, u32, u64)>,
    pub arrivals: BTreeMap<(usize, Slot), u64>,
    pub callers: BTreeMap<u64, (usize, u32, u64)>,
    pub next_caller: u64,
    /// Commands of the world itself, until they are done.
    pub own_commands: BTreeMap<u64, Command>,
    pub full_until: u64,
    pub slow_until: u64,
    slow_by: u64,
    pub no_stores_until: u64,
    pub late_stores_until: u64,
    pub is_calm: bool,
    /// Once calm, until when all must have converged.
    pub deadline: Option<u64>,
    pub rest: Rest,
    pub deeds: BTreeMap<u64, Deed>,
    pub audit: Auditor,
    pub coverage: Coverage,
    pub breach: Option<Breach>,
    pub faults: BTreeMap<&'static str, u64>,
    pub acts_done: u64,
    pub facts_landed: u64,
    pub landed_at: u64,
    pub connections: u64,
    pub passed_ms: u64,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The promise that was broken, if one was.
    pub breach: Option<Breach>,
    /// What two runs of one plan agree on.
    pub trace: u64,
    /// The lines of the trace, where they were wanted.
    pub lines: Vec<String>,
    /// What happened.
    pub figures: Figures,
}

impl World {
    pub fn new(plan: &Plan, keep_lines: bool) -> Self {
        let mut chance = Chance::of(&[plan.seed, 0x0077_6f72_6c64]);
        let mut devices = Vec::new();
        let mut accounts = Vec::new();
        for (index, &count) in plan.devices.iter().enumerate() {
            let account = AccountId(101 + index as u64);
            accounts.push(account);
            devices.extend((0..count).map(|device| Device::new(account, DeviceId(1 + device as u64))));
        }
        let machine =
            (plan.shape == Shape::OneMachine).then(|| OneMachine::new(chance.number(), &SLOT_KEY, TIMELINE));
        let nodes =
            (0..plan.nodes()).map(|_| Node::new(chance.below(2 * DRIFT) as i64 - DRIFT as i64)).collect();
        World {
            plan: plan.clone(),
            now: 0,
            agenda: Agenda::default(),
            happened: 0,
            chance,
            trace: Trace::new(keep_lines),
            machine,
            shared: SharedLog::default(),
            stores: Stores::default(),
            trimmed: BTreeMap::new(),
            nodes,
            edges: (0..plan.edges()).map(|_| Edge::new()).collect(),
            links: BTreeMap::new(),
            devices,
            conns: BTreeMap::new(),
            next_conn: 0,
            accounts,
            directory: BTreeMap::new(),
            serials: 0,
            asks: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            callers: BTreeMap::new(),
            next_caller: 0,
            own_commands: BTreeMap::new(),
            full_until: 0,
            slow_until: 0,
            slow_by: 0,
            no_stores_until: 0,
            late_stores_until: 0,
            is_calm: false,
            deadline: None,
            rest: Rest::Live,
            deeds: BTreeMap::new(),
            audit: Auditor::default(),
            coverage: Coverage::default(),
            breach: None,
            faults: BTreeMap::new(),
            acts_done: 0,
            facts_landed: 0,
            landed_at: 0,
            connections: 0,
            passed_ms: 0,
        }
    }

    /// Lives through the plan.
    pub fn run(mut self) -> Outcome {
        self.begin();
        while self.breach.is_none() {
            let Some((at, happening)) = self.agenda.take() else { break };
            self.happened += 1;
            if self.happened > HAPPENINGS_MAX {
                self.broken("the world does not come to rest", format!("{HAPPENINGS_MAX} happenings"));
                break;
            }
            self.now = at;
            happening(&mut self);
            if self.deadline == Some(0) {
                break;
            }
        }
        Outcome {
            breach: self.breach,
            trace: self.trace.hash(),
            lines: self.trace.into_lines(),
            figures: Figures {
                simulated_ms: self.now - self.passed_ms,
                passed_ms: self.passed_ms,
                faults: self.faults,
                coverage: self.coverage,
                owner_changes: self.audit.owner_changes,
                acts: self.acts_done,
                facts: self.facts_landed,
                connections: self.connections,
            },
        }
    }

    fn begin(&mut self) {
        for edge in 0..self.edges.len() {
            self.start_edge(edge);
        }
        for node in 0..self.nodes.len() {
            self.start_node(node);
        }
        for device in 0..self.devices.len() {
            let delay = self.chance.below(2_000);
            self.after(delay, move |world| world.switch_on(device));
        }
        for (number, step) in self.plan.steps.clone().into_iter().enumerate() {
            self.after(step.at, move |world| world.step(number as u64 + 1, &step));
        }
        let calm_at = self.plan.calm_at;
        self.after(calm_at, World::calm_down);
    }

    /// Puts something down for later.
    pub fn after(&mut self, ms: u64, then: impl FnOnce(&mut World) + 'static) {
        self.agenda.put(self.now + ms, Box::new(then));
    }

    pub fn note(&mut self, what: fmt::Arguments<'_>) {
        self.trace.note(self.now, what);
    }

    /// Counts a fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    // Roads.

    pub fn roads(&self) -> Roads {
        if self.is_calm { Roads::calm() } else { self.plan.roads }
    }

    /// One in `rate`; 0: never.
    pub fn happens_on_road(&mut self, rate: u64) -> bool {
        rate > 0 && self.chance.happens(1, rate)
    }

    pub fn device_delay(&mut self) -> u64 {
        let most = self.roads().device_ms;
        1 + self.chance.below(most)
    }

    pub fn link_delay(&mut self) -> u64 {
        if self.plan.shape == Shape::OneMachine {
            return 0;
        }
        let most = self.roads().link_ms;
        self.chance.below(most + 1)
    }

    pub fn store_delay(&mut self) -> u64 {
        let most = self.roads().store_ms;
        self.chance.below(most + 1)
    }

    pub fn store_fails(&mut self) -> bool {
        let fails = self.now < self.no_stores_until || self.happens_on_road(self.roads().store_away);
        if fails {
            self.fault("store away");
        }
        fails
    }

    /// How long the log takes one way; `None`: it cannot be reached from there.
    pub fn log_delay(&mut self, node: usize) -> Option<u64> {
        if self.nodes[node].no_log_until > self.now {
            return None;
        }
        let slow = if self.now < self.slow_until { self.slow_by } else { 0 };
        let most = self.roads().log_ms + slow;
        Some(self.chance.below(most + 1))
    }

    // Who rules what.

    /// Who is to rule a slot.
    pub fn owner(&mut self, slot: Slot) -> usize {
        let nodes = self.nodes.len();
        *self.directory.entry(slot).or_insert(slot.index() % nodes)
    }

    /// Slots in which something was ever asked.
    pub fn slots_in_use(&self) -> Vec<Slot> {
        self.directory.keys().copied().collect()
    }

    /// Whether the log under the one machine was made to fail.
    pub fn may_halt(&self, _why: &str) -> bool {
        self.machine.as_ref().is_some_and(OneMachine::may_fail)
    }

    // The world's own commands.

    pub fn ask_until_done(&mut self, command: Command) {
        self.next_caller += 1;
        let caller = self.next_caller;
        self.own_commands.insert(caller, command.clone());
        self.command_of_the_world(caller, command);
        self.after(2_000, move |world| {
            if let Some(command) = world.own_commands.remove(&caller) {
                world.ask_until_done(command);
            }
        });
    }

    pub fn told_world(&mut self, caller: u64, answer: &Result<Answer, Refusal>) {
        if answer.is_ok() {
            self.own_commands.remove(&caller);
        }
    }

    // Steps.

    fn step(&mut self, number: u64, step: &Step) {
        if self.is_calm {
            return;
        }
        self.note(format_args!("step {number}: {}", step.what));
        if !matches!(step.what, What::Act(..)) {
            self.fault(kind_of(step.what));
        }
        match step.what {
            What::Act(device, act) => self.act(device, act, step.seed, number),
            What::Off(device, ms, crashes) => {
                self.switch_off(device, crashes);
                self.after(ms, move |world| world.switch_on(device));
            }
            What::Sever(device) => self.sever_device(device),
            What::HalfOpen(device) => self.half_open(device),
            What::Stall(device, ms) => self.stall(device, ms),
            What::DeviceClock(device, ms) => self.devices[device].clock_off_ms += ms,
            What::Revoke(device, ms) => self.revoke(device, ms),
            What::Kill(node, ms, power) => {
                self.stop_node(node, power);
                if self.plan.shape == Shape::OneMachine {
                    self.stop_edge(0);
                }
                self.take_over_from(node, step.seed);
                self.after(ms, move |world| world.start_again(node));
            }
            What::Pause(node, ms) => self.stand_still(node, ms),
            What::NodeClock(node, ms) => self.nodes[node].clock_off_ms += ms,
            What::KillEdge(edge, ms) => {
                self.stop_edge(edge);
                self.after(ms, move |world| world.start_edge(edge));
            }
            What::Depose(node) => self.depose(node, step.seed),
            What::Coup(node) => self.coup(node, step.seed),
            What::HandOver(node) => self.hand_over(node, step.seed),
            What::Cut(edge, node, ms) => {
                let until = self.now + ms;
                self.links.entry((edge, node)).or_default().cut_until = until;
            }
            What::NoLog(node, ms) => self.nodes[node].no_log_until = self.now + ms,
            What::FullDisk(ms) => self.full_until = self.now + ms,
            What::SlowDisk(by, ms) => (self.slow_by, self.slow_until) = (by, self.now + ms),
            What::NoStores(ms) => self.no_stores_until = self.now + ms,
            What::LateStores(ms) => self.late_stores_until = self.now + ms,
            What::DiskFault(_) => {
                let faults = [Fault::Crash, Fault::Kill, Fault::IoError, Fault::NoSpace, Fault::ShortWrite];
                let fault = faults[Chance::new(step.seed).below(5) as usize];
                if let Some(machine) = self.machine.as_mut().filter(|machine| machine.is_open()) {
                    machine.plan(step.seed % 7, fault);
                }
            }
            What::Pass(ms) => self.pass(ms),
        }
    }

    /// Nothing happens for a long time; what is on its way stays in its order.
    fn pass(&mut self, ms: u64) {
        self.passed_ms += ms;
        self.agenda.pass(ms);
        self.conns.values_mut().for_each(|conn| conn.pass(ms));
        self.links.values_mut().for_each(|link| link.pass(ms));
        self.arrivals.values_mut().for_each(|at| *at += ms);
    }

    fn start_again(&mut self, node: usize) {
        self.start_node(node);
        if self.plan.shape == Shape::OneMachine {
            self.start_edge(0);
        }
    }

    /// Others are told to rule what a core ruled that is gone.
    fn take_over_from(&mut self, node: usize, seed: u64) {
        let others: Vec<usize> = (0..self.nodes.len()).filter(|&other| other != node).collect();
        // Sometimes nobody is told, and it goes on when it is back.
        if others.is_empty() || seed.is_multiple_of(4) {
            return;
        }
        let delay = 100 + Chance::new(seed).below(3_000);
        self.after(delay, move |world| {
            for slot in world.slots_in_use() {
                if world.directory[&slot] == node {
                    let to = others[(slot.index() + seed as usize % 7) % others.len()];
                    world.assign(slot, to);
                }
            }
        });
    }

    fn assign(&mut self, slot: Slot, to: usize) {
        self.directory.insert(slot, to);
        if self.nodes[to].up {
            self.rule(to, slot);
        }
    }

    /// A core takes over about half of what others rule; they are not told.
    fn depose(&mut self, node: usize, seed: u64) {
        let mut chance = Chance::new(seed);
        for slot in self.slots_in_use() {
            if self.directory[&slot] != node && chance.happens(1, 2) {
                self.assign(slot, node);
            }
        }
    }

    /// A core takes over from the next one, which cannot reach the log; one edge does not hear of it.
    fn coup(&mut self, node: usize, seed: u64) {
        let victim = (node + 1) % self.nodes.len();
        let ms = 6_000 + seed % 4_000;
        self.nodes[victim].no_log_until = self.now + ms;
        let edge = seed as usize % self.edges.len();
        self.links.entry((edge, node)).or_default().cut_until = self.now + ms;
        for slot in self.slots_in_use() {
            if self.directory[&slot] == victim {
                self.assign(slot, node);
            }
        }
    }

    /// A slot changes hands in good order.
    fn hand_over(&mut self, node: usize, seed: u64) {
        let slots: Vec<Slot> =
            self.slots_in_use().into_iter().filter(|slot| self.directory[slot] != node).collect();
        if slots.is_empty() {
            return;
        }
        let slot = slots[seed as usize % slots.len()];
        let from = self.directory.insert(slot, node).expect("it is in use");
        match self.nodes[from].rulers.contains_key(&slot) && self.nodes[from].up {
            true => {
                self.close_slot(from, slot);
                // Whoever does not get to close is deposed.
                self.after(8_000, move |world| {
                    if world.directory[&slot] == node && !world.nodes[node].rulers.contains_key(&slot) {
                        world.assign(slot, node);
                    }
                });
            }
            false => self.assign(slot, node),
        }
    }

    fn close_slot(&mut self, node: usize, slot: Slot) {
        self.give(node, slot, Input::FlushNow);
        self.give(node, slot, Input::Close);
    }
}

fn kind_of(what: What) -> &'static str {
    match what {
        What::Act(..) => "act",
        What::Off(_, _, true) => "device crashed",
        What::Off(_, _, false) => "device off",
        What::Sever(_) => "connection severed",
        What::HalfOpen(_) => "connection half open",
        What::Stall(..) => "device stalled",
        What::DeviceClock(..) => "device clock jumped",
        What::Revoke(..) => "device revoked",
        What::Kill(_, _, true) => "power lost",
        What::Kill(_, _, false) => "core killed",
        What::Pause(..) => "core paused",
        What::NodeClock(..) => "core clock jumped",
        What::KillEdge(..) => "edge killed",
        What::Depose(_) => "slots taken over",
        What::Coup(_) => "takeover behind a cut",
        What::HandOver(_) => "slot handed over",
        What::Cut(..) => "edge cut off from core",
        What::NoLog(..) => "core cut off from log",
        What::FullDisk(_) => "log full",
        What::SlowDisk(..) => "log slow",
        What::NoStores(_) => "stores away",
        What::LateStores(_) => "flushes late",
        What::DiskFault(_) => "disk fault",
        What::Pass(_) => "long absence",
    }
}
