//! Token buckets by key, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use anser_edge::quota::{Bucket, Rate};

use super::error::AccessError;

/// Buckets that one limiter keeps. Above it the quarter that is closest to full is forgotten, which
/// costs those who are limited nothing.
const BUCKETS: usize = 65_536;

/// A bucket for each key.
pub struct RateLimiter<K> {
    buckets: Mutex<Buckets<K>>,
}

struct Buckets<K> {
    rate: Rate,
    by_key: HashMap<K, Bucket>,
}

impl<K: Hash + Eq + Clone> RateLimiter<K> {
    /// A limiter without buckets yet.
    pub fn new(rate: Rate) -> Self {
        assert!(rate.burst > 0, "a rate allows something");
        RateLimiter { buckets: Mutex::new(Buckets { rate, by_key: HashMap::new() }) }
    }

    /// From now on at this rate. Who has used up their bucket waits no longer than the new rate says.
    pub fn set_rate(&self, rate: Rate) {
        assert!(rate.burst > 0, "a rate allows something");
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.rate != rate {
            // When a bucket is full again was counted at the old rate, and means nothing at the new one.
            *buckets = Buckets { rate, by_key: HashMap::new() };
        }
    }

    /// Takes one token of the key's bucket at a monotonic time, or says when there will be one.
    pub fn take(&self, key: K, now_ms: u64) -> Result<(), AccessError> {
        self.charge(key, 1, now_ms).map_err(|retry_after_ms| AccessError::RateLimited { retry_after_ms })
    }

    /// Takes so many, or says in how many milliseconds there will be as many.
    ///
    /// # Errors
    /// There are fewer: none was taken.
    pub fn charge(&self, key: K, weight: u32, now_ms: u64) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { rate, by_key: buckets } = &mut *buckets;
        if *rate == Rate::UNLIMITED {
            return Ok(());
        }
        if let Some(bucket) = buckets.get_mut(&key) {
            return bucket.take(weight, *rate, now_ms);
        }
        if buckets.len() >= BUCKETS {
            forget_fullest(buckets);
        }
        buckets.entry(key).or_default().take(weight, *rate, now_ms)
    }
}

fn forget_fullest<K: Hash + Eq>(buckets: &mut HashMap<K, Bucket>) {
    let mut all: Vec<Bucket> = buckets.values().copied().collect();
    let quarter = all.len() / 4;
    let (_, &mut threshold, _) = all.select_nth_unstable(quarter);
    buckets.retain(|_, bucket| *bucket > threshold);
}

/// The part of an address that one customer of a network cannot change at will: all of an IPv4 one,
/// the first 64 bits of an IPv6 one.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, interval_ms: 1_000 };

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = RateLimiter::new(RATE);
        let wait = |retry_after_ms| Err(AccessError::RateLimited { retry_after_ms });
        for _ in 0..3 {
            assert_eq!(limiter.take("a", 5_000), Ok(()));
        }
        assert_eq!(limiter.take("a", 5_000), wait(1_000));
        assert_eq!(limiter.take("b", 5_000), Ok(()), "each key for itself");
        assert_eq!(limiter.take("a", 5_999), wait(1));
        assert_eq!(limiter.take("a", 6_000), Ok(()), "what was refused cost nothing");
        assert_eq!(limiter.take("a", 6_000), wait(1_000));
        for _ in 0..3 {
            assert_eq!(limiter.take("a", 60_000), Ok(()), "never more than full");
        }
        assert_eq!(limiter.take("a", 60_000), wait(1_000));
    }

    #[test]
    fn a_new_rate_counts_at_once() {
        let limiter = RateLimiter::new(RATE);
        (0..3).for_each(|_| assert_eq!(limiter.take("a", 0), Ok(())));
        limiter.set_rate(RATE);
        assert!(limiter.take("a", 0).is_err(), "the same rate changes nothing");
        limiter.set_rate(Rate { burst: 1, interval_ms: 50 });
        assert_eq!(limiter.take("a", 0), Ok(()));
        assert_eq!(limiter.take("a", 0), Err(AccessError::RateLimited { retry_after_ms: 50 }));
    }

    #[test]
    fn memory_is_bounded_and_the_limited_stay_limited() {
        let limiter = RateLimiter::new(RATE);
        for _ in 0..3 {
            assert_eq!(limiter.take(u64::MAX, 0), Ok(()));
        }
        for key in 0..3 * BUCKETS as u64 {
            assert_eq!(limiter.take(key, 0), Ok(()));
        }
        assert!(limiter.buckets.lock().unwrap().by_key.len() <= BUCKETS);
        assert!(limiter.take(u64::MAX, 0).is_err());
    }

    #[test]
    fn one_network_is_one_key() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
