//! Token buckets, each a single number, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use super::error::AccessError;

/// Buckets that one limiter keeps. Above it the quarter that is closest to full is forgotten, which
/// costs those who are limited nothing.
const BUCKETS: usize = 65_536;

/// How much may be done at once, and how soon more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// Milliseconds until one more.
    pub interval_ms: u64,
}

/// A bucket for each key. A bucket is the time at which it will be full again (the generic cell rate
/// algorithm, ITU-T I.371): no timer has to fill it.
pub struct RateLimiter<K> {
    buckets: Mutex<Buckets<K>>,
}

struct Buckets<K> {
    rate: Rate,
    full_at_ms: HashMap<K, u64>,
}

impl<K: Hash + Eq + Clone> RateLimiter<K> {
    /// A limiter without buckets yet.
    pub fn new(rate: Rate) -> Self {
        assert!(rate.burst > 0, "a rate allows something");
        RateLimiter { buckets: Mutex::new(Buckets { rate, full_at_ms: HashMap::new() }) }
    }

    /// From now on at this rate. Who has used up their bucket waits no longer than the new rate says.
    pub fn set_rate(&self, rate: Rate) {
        assert!(rate.burst > 0, "a rate allows something");
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.rate != rate {
            // When a bucket is full again was counted at the old rate, and means nothing at the new one.
            *buckets = Buckets { rate, full_at_ms: HashMap::new() };
        }
    }

    /// Takes one token of the key's bucket at a monotonic time, or says when there will be one.
    pub fn take(&self, key: K, now_ms: u64) -> Result<(), AccessError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { rate, full_at_ms: buckets } = &mut *buckets;
        let capacity_ms = rate.interval_ms * u64::from(rate.burst);
        let full_at_ms = buckets.get(&key).copied().unwrap_or(0).max(now_ms) + rate.interval_ms;
        let earliest_ms = full_at_ms.saturating_sub(capacity_ms);
        if earliest_ms > now_ms {
            return Err(AccessError::RateLimited { retry_after_ms: earliest_ms - now_ms });
        }
        if buckets.len() >= BUCKETS && !buckets.contains_key(&key) {
            forget_fullest(buckets);
        }
        buckets.insert(key, full_at_ms);
        Ok(())
    }
}

fn forget_fullest<K: Hash + Eq>(buckets: &mut HashMap<K, u64>) {
    let mut times: Vec<u64> = buckets.values().copied().collect();
    let quarter = times.len() / 4;
    let (_, &mut threshold, _) = times.select_nth_unstable(quarter);
    buckets.retain(|_, full_at_ms| *full_at_ms > threshold);
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
        assert!(limiter.buckets.lock().unwrap().full_at_ms.len() <= BUCKETS);
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
