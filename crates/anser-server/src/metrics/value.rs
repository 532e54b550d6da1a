//! Numbers that many tasks add to.

use std::sync::atomic::{AtomicU64, Ordering};

const US_PER_S: f64 = 1_000_000.0;

/// Only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// What it came to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long things took, in buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One more than there are bounds: what took longer than all.
    counts: [AtomicU64; Histogram::BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Upper bounds of the buckets, in microseconds.
    pub const BOUNDS_US: [u64; 15] = [
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 10_000_000,
    ];

    /// One thing took so long.
    pub fn observe_us(&self, took_us: u64) {
        let bucket = Self::BOUNDS_US.partition_point(|&bound| bound < took_us);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
    }

    /// The buckets as Prometheus wants them, each with all below it, by upper bound in seconds; the last is how
    /// many there were in all.
    pub(super) fn cumulative(&self) -> (Vec<(f64, u64)>, u64) {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(Self::BOUNDS_US.len());
        for (bound, count) in Self::BOUNDS_US.iter().zip(&self.counts) {
            total += count.load(Ordering::Relaxed);
            buckets.push((*bound as f64 / US_PER_S, total));
        }
        total += self.counts[Self::BOUNDS_US.len()].load(Ordering::Relaxed);
        (buckets, total)
    }

    pub(super) fn sum_seconds(&self) -> f64 {
        self.sum_us.load(Ordering::Relaxed) as f64 / US_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_took_at_most_its_bound() {
        let histogram = Histogram::default();
        for took_us in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.observe_us(took_us);
        }
        let (buckets, total) = histogram.cumulative();
        assert_eq!((buckets[0], buckets[1]), ((0.0001, 2), (0.00025, 3)));
        assert_eq!((buckets[14], total), ((10.0, 4), 5));
        assert!((histogram.sum_seconds() - 20.000_202).abs() < 1e-9);
    }
}
