//! The end of a run: nothing goes wrong any more, and everything must converge. First everybody who is there
//! must see what is true; then everybody comes back, and new devices load all afresh; then they read.

use anser_client::session::command::Query;
use anser_client::session::{EntryState, Input, Intent};
use anser_model::{DeviceId, Slot};
use anser_proto::v1;

use super::device::Device;
use super::world::World;

/// Facts of each conversation that new devices read.
pub(super) const READ_FACTS: u32 = 50;
/// How long until everything has converged, once nothing goes wrong any more.
const CONVERGES_WITHIN_MS: u64 = 10 * 60_000;
/// How long nothing must have been decided: a command may still be on its way whose sender is gone.
const QUIET_MS: u64 = 6_000;
/// How often it is looked whether it has.
const LOOK_MS: u64 = 1_000;

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Everybody is as they were.
    Live,
    /// Everybody has come back, and devices were added that load all afresh.
    Fresh,
    /// Those devices have read.
    Read,
}

impl World {
    /// Nothing goes wrong any more.
    pub(super) fn calm_down(&mut self) {
        self.note(format_args!("calm"));
        self.is_calm = true;
        (self.full_until, self.slow_until, self.no_stores_until) = (0, 0, 0);
        self.links.values_mut().for_each(|link| link.cut_until = 0);
        for node in 0..self.nodes.len() {
            self.nodes[node].no_log_until = 0;
            self.go_on(node);
        }
        if let Some(machine) = self.machine.as_ref().filter(|machine| machine.is_open())
            && machine.may_fail()
        {
            // The medium is mended by a restart alone.
            self.stop_node(0, false);
        }
        for edge in 0..self.edges.len() {
            self.start_edge(edge);
        }
        for node in 0..self.nodes.len() {
            self.start_node(node);
        }
        self.all_read_on();
        for device in 0..self.devices.len() {
            self.devices[device].clock_off_ms = 0;
            self.switch_on(device);
        }
        let until = self.now + CONVERGES_WITHIN_MS;
        self.deadline = Some(until);
        self.after(LOOK_MS, World::look);
    }

    /// Whether everything has converged.
    fn look(&mut self) {
        let waiting = self.waits_for();
        if let Some(waiting) = waiting {
            if self.deadline.is_some_and(|deadline| self.now > deadline) {
                return self.broken("it does not converge", waiting);
            }
            return self.after(LOOK_MS, World::look);
        }
        self.audit_rest(self.rest);
        if self.breach.is_some() {
            return;
        }
        match self.rest {
            Rest::Live => self.come_back(),
            Rest::Fresh => self.read_all(),
            Rest::Read => {
                self.deadline = Some(0);
                return;
            }
        }
        self.deadline = Some(self.now + CONVERGES_WITHIN_MS);
        self.after(LOOK_MS, World::look);
    }

    /// The same by a fresh load of everything, and for those who come back with what they had.
    fn come_back(&mut self) {
        self.rest = Rest::Fresh;
        for device in 0..self.devices.len() {
            self.switch_off(device, false);
            self.switch_on(device);
        }
        for account in self.accounts.clone() {
            self.devices.push(Device::new(account, DeviceId(9)));
            self.switch_on(self.devices.len() - 1);
        }
    }

    /// The new devices read every conversation from its beginning, of which memory holds the least.
    fn read_all(&mut self) {
        self.rest = Rest::Read;
        for id in self.plan.all_devices()..self.devices.len() {
            let Some(session) = &self.devices[id].session else { continue };
            let cids: Vec<_> = session.conversations().iter().map(|seen| seen.cid()).collect();
            for cid in cids {
                let r#in = Some(v1::Target::cid(cid));
                let limit = READ_FACTS;
                let page = v1::GetPage { r#in, limit, from_oldest: true, ..v1::GetPage::default() };
                // Nobody waits for the answer by its ticket: the session keeps what it is told.
                self.device_input(id, Input::Do(u64::MAX, Intent::Query(Query::Page(page))));
            }
        }
    }

    /// What is still under way, if something is.
    fn waits_for(&self) -> Option<String> {
        if let Some((_, command)) = self.own_commands.first_key_value() {
            return Some(format!("a command of the world: {command:?}"));
        }
        if self.now < self.landed_at + QUIET_MS {
            return Some("facts are still being decided".into());
        }
        for (id, device) in self.devices.iter().enumerate() {
            let Some(session) = &device.session else {
                return Some(format!("device {id} is off"));
            };
            if !session.is_synced() {
                let owing: Vec<Slot> = Slot::all().filter(|&slot| session.cursor().owes(slot)).collect();
                return Some(format!("device {id} is not synced: {:?}, owing {owing:?}", session.status()));
            }
            let unanswered =
                |entry: &&anser_client::session::Entry| !matches!(entry.state, EntryState::Failed(_));
            if let Some(entry) = session.outbox().entries().find(unanswered) {
                return Some(format!("device {id} waits for an answer to {:?}", entry.command));
            }
            if !session.is_idle() {
                return Some(format!("device {id} waits for something"));
            }
            if self.is_deaf(id) {
                return Some(format!("device {id} has not noticed that its connection is dead"));
            }
            if let Some(missing) = self.misses_presence(id) {
                return Some(missing);
            }
        }
        None
    }
}
