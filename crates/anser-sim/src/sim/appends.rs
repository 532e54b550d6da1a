//! Records on their way to the log: each lands where it follows or not at all, now, late, twice or never.

use anser_core::engine::Input;
use anser_core::ports::log::AppendError;
use anser_core::record::Record;
use anser_model::{N, Slot};

use super::world::World;

impl World {
    pub(super) fn append(&mut self, id: usize, slot: Slot, serial: u64, record: Record) {
        if self.machine.is_some() {
            return self.commit_later(id, slot, serial, record);
        }
        let life = self.nodes[id].life;
        let through = record.header.last_n();
        let ruler = self.nodes[id].rulers.get_mut(&slot).expect("an owner appends");
        ruler.appends.push_back((through, None));
        let there = self.log_delay(id);
        let lost = there.is_none() || self.happens_on_road(self.roads().append_unknown);
        let full = self.now < self.full_until || self.happens_on_road(self.roads().append_full);
        if full {
            let result = Err(AppendError::NoSpace("the log is full".into()));
            return self.resolve_at(self.now + 5, id, slot, serial, through, result);
        }
        if lost {
            self.fault("append of unknown fate");
            let give_up_at = self.now + 1_000 + self.chance.below(3_000);
            // It lands before that, or long after, or never.
            let lands_after = match self.chance.below(3) {
                _ if there.is_none() => None,
                0 => None,
                1 => Some(self.chance.below(500)),
                _ => Some(self.chance.below(15_000)),
            };
            if let Some(delay) = lands_after {
                self.after(delay, move |world| _ = world.land(&record));
            }
            let result = Err(AppendError::Unknown("no answer from the log".into()));
            return self.resolve_at(give_up_at, id, slot, serial, through, result);
        }
        if self.happens_on_road(self.roads().append_twice) {
            self.fault("append given twice");
            let again = record.clone();
            let delay = self.chance.below(3_000);
            self.after(there.unwrap_or(0) + delay, move |world| _ = world.land(&again));
        }
        let back = self.log_delay(id).unwrap_or(5_000);
        let arrives = self.in_order(id, slot, self.now + there.unwrap_or(0));
        self.after(arrives - self.now, move |world| {
            let result = world.land(&record);
            let at = world.now + back;
            if world.nodes[id].life == life {
                world.resolve_at(at, id, slot, serial, through, result);
            }
        });
    }

    /// Appends of one slot arrive in the order in which they were sent.
    fn in_order(&mut self, id: usize, slot: Slot, at: u64) -> u64 {
        let arrives = self.arrivals.entry((id, slot)).or_default();
        *arrives = (*arrives).max(at);
        *arrives
    }

    /// The fate of an append is known at an instant; owners are told in the order in which they sent.
    fn resolve_at(
        &mut self,
        at: u64,
        id: usize,
        slot: Slot,
        serial: u64,
        through: N,
        result: Result<(), AppendError>,
    ) {
        let life = self.nodes[id].life;
        self.on_node(id, life, at - self.now, move |world| {
            let Some(ruler) = world.nodes[id].rulers.get_mut(&slot).filter(|it| it.serial == serial) else {
                return;
            };
            let sent = ruler.appends.iter_mut().find(|(n, fate)| *n == through && fate.is_none());
            sent.expect("it was sent").1 = Some(result);
            let known = ruler.appends.iter().take_while(|(_, fate)| fate.is_some()).count();
            let resolved: Vec<_> = ruler.appends.drain(..known).collect();
            for (through, fate) in resolved {
                let result = fate.expect("taken while it is known");
                world.give_input(id, slot, serial, Input::Appended { through, result });
            }
        });
    }

    /// A record reaches the shared log: what it says is the truth from now on, if it counts.
    fn land(&mut self, record: &Record) -> Result<(), AppendError> {
        let result = self.shared.append(record);
        if result.is_ok() {
            self.landed(record);
        }
        result
    }

    fn commit_later(&mut self, id: usize, slot: Slot, serial: u64, record: Record) {
        let life = self.nodes[id].life;
        let ruler = self.nodes[id].rulers.get_mut(&slot).expect("an owner appends");
        ruler.appends.push_back((record.header.last_n(), None));
        self.nodes[id].committing.push((slot, serial, record));
        if self.nodes[id].committing.len() == 1 {
            let delay = self.log_delay(id).unwrap_or(0);
            self.on_node(id, life, delay, move |world| world.commit(id));
        }
    }

    fn commit(&mut self, id: usize) {
        let waiting = std::mem::take(&mut self.nodes[id].committing);
        let Some(machine) = &mut self.machine else { return };
        let full = self.now < self.full_until;
        let records: Vec<Record> = waiting.iter().map(|(.., record)| record.clone()).collect();
        let results = match full {
            true => vec![Err(AppendError::NoSpace("the log is full".into())); records.len()],
            false => machine.log().commit(&records),
        };
        if machine.disk().is_down() {
            self.note(format_args!("the disk goes down in the middle of a commit"));
            self.stop_node(id, true);
            return self.after(1_000, move |world| world.start_node(id));
        }
        for ((slot, serial, record), result) in waiting.into_iter().zip(results) {
            if result.is_ok() {
                self.landed(&record);
            }
            let through = record.header.last_n();
            self.resolve_at(self.now, id, slot, serial, through, result);
        }
    }
}
