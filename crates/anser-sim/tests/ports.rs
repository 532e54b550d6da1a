//! The small ports as simulated: what holds of the real ones while nothing goes wrong holds here.

use std::sync::Arc;

use anser_core::ports::clock_conformance::check_clock;
use anser_core::ports::disk_conformance::check_disk;
use anser_core::ports::random_conformance::check_random;
use anser_core::ports::registry::Registry;
use anser_core::ports::registry_conformance::{RegistryFactory, check_registry};
use anser_embedded::registry::MemoryRegistry;
use anser_model::UnixMillis;
use anser_sim::chance::SimRandom;
use anser_sim::clock::SimClock;
use anser_sim::disk::SimDisk;

const START: UnixMillis = UnixMillis(1_700_000_000_000);

#[test]
fn the_simulated_disk_is_a_disk() {
    let mut seed = 0;
    check_disk(&mut || {
        seed += 1;
        Box::new(SimDisk::new(seed))
    });
}

#[test]
fn the_simulated_clock_is_a_clock() {
    for start in [UnixMillis(0), START] {
        let clock = SimClock::new(start);
        check_clock(&clock, &mut |ms| clock.advance_ms(ms));
    }
}

#[test]
fn the_simulated_randomness_is_random() {
    (0..8).for_each(|seed| check_random(&SimRandom::new(seed)));
}

struct OnSimClock(Arc<SimClock>);

impl RegistryFactory for OnSimClock {
    fn open(&self) -> Arc<dyn Registry> {
        Arc::new(MemoryRegistry::new(self.0.clone()))
    }

    fn pass_ms(&self, ms: u64) {
        self.0.advance_ms(ms);
    }
}

#[test]
fn the_registry_lives_by_the_simulated_clock() {
    check_registry(&mut || Box::new(OnSimClock(Arc::new(SimClock::new(START)))));
}
