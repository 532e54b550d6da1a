//! How much one may ask: a bucket is a single number, and whoever holds one is told when to come again.

/// How much may be asked at once, and how soon more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How much at once.
    pub burst: u32,
    /// Milliseconds until one more.
    pub interval_ms: u64,
}

impl Rate {
    /// No limit: for load tests on a machine of one's own.
    pub const UNLIMITED: Rate = Rate { burst: u32::MAX, interval_ms: 0 };
}

/// The time at which it will be full again (the generic cell rate algorithm, ITU-T I.371): no timer has to
/// fill it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    full_at_ms: u64,
}

impl Bucket {
    /// Takes so much at a monotonic time, or says in how many milliseconds there will be as much. What weighs
    /// more than a full bucket holds takes a full one.
    ///
    /// # Errors
    /// There is less in it; nothing was taken.
    pub fn take(&mut self, weight: u32, rate: Rate, now_ms: u64) -> Result<(), u64> {
        assert!(rate.burst > 0, "a rate allows something");
        let weight = weight.min(rate.burst);
        let capacity_ms = rate.interval_ms * u64::from(rate.burst);
        let full_at_ms = self.full_at_ms.max(now_ms) + rate.interval_ms * u64::from(weight);
        let earliest_ms = full_at_ms.saturating_sub(capacity_ms);
        if earliest_ms > now_ms {
            return Err(earliest_ms - now_ms);
        }
        self.full_at_ms = full_at_ms;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, interval_ms: 1_000 };

    #[test]
    fn a_bucket_empties_by_weight_and_fills_by_time() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(2, RATE, 5_000), Ok(()));
        assert_eq!(bucket.take(2, RATE, 5_000), Err(1_000));
        assert_eq!(bucket.take(1, RATE, 5_000), Ok(()), "what was refused cost nothing");
        assert_eq!(bucket.take(1, RATE, 5_999), Err(1));
        assert_eq!(bucket.take(1, RATE, 6_000), Ok(()));
        assert_eq!(bucket.take(9, RATE, 60_000), Ok(()), "more than there ever is takes all");
        assert_eq!(bucket.take(1, RATE, 60_000), Err(1_000), "never more than full");
    }

    #[test]
    fn without_a_limit_nothing_is_ever_refused() {
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| bucket.take(u32::MAX, Rate::UNLIMITED, 1) == Ok(())));
    }
}
