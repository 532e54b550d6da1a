//! What is to happen when: the one thread of the simulated world.

use std::collections::BTreeMap;

use super::world::World;

/// Something that happens to the world.
pub(super) type Happening = Box<dyn FnOnce(&mut World)>;

/// Happenings by time; those of one instant in the order in which they were put down.
#[derive(Default)]
pub(super) struct Agenda {
    entries: BTreeMap<(u64, u64), Happening>,
    next: u64,
}

impl Agenda {
    /// Puts something down for an instant, in milliseconds since the beginning.
    pub fn put(&mut self, at: u64, happening: Happening) {
        self.entries.insert((at, self.next), happening);
        self.next += 1;
    }

    /// Takes what is next, with its instant.
    pub fn take(&mut self) -> Option<(u64, Happening)> {
        self.entries.pop_first().map(|((at, _), happening)| (at, happening))
    }

    /// Lets `ms` pass at once: everything is put off by it.
    pub fn pass(&mut self, ms: u64) {
        let entries = std::mem::take(&mut self.entries);
        self.entries = entries.into_iter().map(|((at, order), it)| ((at + ms, order), it)).collect();
    }
}
