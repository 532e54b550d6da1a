//! How much may be asked of an edge: by one session, one account, one network.

use std::net::IpAddr;

use anser_edge::quota::Rate;
use anser_model::AccountId;

use crate::accounts::RateLimiter;

/// How much may be asked of an edge, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeRates {
    /// Requests of one session, by weight.
    pub session: Rate,
    /// Requests of all sessions of one account.
    pub account: Rate,
    /// Connections from one network, behind which there may be an office.
    pub connect_by_network: Rate,
    /// What comes from one network before it is known of whom.
    pub stranger_by_network: Rate,
}

impl Default for EdgeRates {
    fn default() -> Self {
        EdgeRates {
            session: Rate { burst: 600, interval_ms: 10 },
            account: Rate { burst: 1_200, interval_ms: 5 },
            connect_by_network: Rate { burst: 1_000, interval_ms: 20 },
            stranger_by_network: Rate { burst: 1_000, interval_ms: 20 },
        }
    }
}

impl EdgeRates {
    /// No limits: for load tests on a machine of one's own.
    pub const UNLIMITED: EdgeRates = EdgeRates {
        session: Rate::UNLIMITED,
        account: Rate::UNLIMITED,
        connect_by_network: Rate::UNLIMITED,
        stranger_by_network: Rate::UNLIMITED,
    };
}

/// The buckets that sessions share.
pub(super) struct Quotas {
    pub(super) account: RateLimiter<AccountId>,
    pub(super) connect: RateLimiter<IpAddr>,
    pub(super) stranger: RateLimiter<IpAddr>,
}

impl Quotas {
    pub(super) fn new(rates: &EdgeRates) -> Self {
        Quotas {
            account: RateLimiter::new(rates.account),
            connect: RateLimiter::new(rates.connect_by_network),
            stranger: RateLimiter::new(rates.stranger_by_network),
        }
    }
}
