//! Rates by name: how often something may be asked.

use anser_server::accounts::{AccountRates, Rate};
use anser_server::edge::EdgeRates;

/// All of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// What is asked over HTTP, and who may come in.
    pub accounts: AccountRates,
    /// What is asked of the edge: in force from a start on.
    pub edge: EdgeRates,
}

/// Which rate is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateName {
    SignIn,
    Password,
    Refresh,
    Request,
    LookUp,
    Invite,
    Session,
    Account,
    Connect,
    Stranger,
}

impl RateName {
    pub const ALL: [RateName; 10] = [
        RateName::SignIn,
        RateName::Password,
        RateName::Refresh,
        RateName::Request,
        RateName::LookUp,
        RateName::Invite,
        RateName::Session,
        RateName::Account,
        RateName::Connect,
        RateName::Stranger,
    ];

    /// What people write.
    pub fn as_str(self) -> &'static str {
        match self {
            RateName::SignIn => "sign-in",
            RateName::Password => "password",
            RateName::Refresh => "refresh",
            RateName::Request => "request",
            RateName::LookUp => "look-up",
            RateName::Invite => "invite",
            RateName::Session => "session",
            RateName::Account => "account",
            RateName::Connect => "connect",
            RateName::Stranger => "stranger",
        }
    }

    /// What it limits.
    pub fn meaning(self) -> &'static str {
        match self {
            RateName::SignIn => "registrations and sign-ins from one network",
            RateName::Password => "passwords tried for one handle",
            RateName::Refresh => "refreshed tokens from one network",
            RateName::Request => "HTTP requests of one account",
            RateName::LookUp => "handles looked up by one account",
            RateName::Invite => "invitations made by one account",
            RateName::Session => "requests of one connection (from a start on)",
            RateName::Account => "requests of all connections of one account (from a start on)",
            RateName::Connect => "connections from one network (from a start on)",
            RateName::Stranger => "frames from one network before it is known of whom (from a start on)",
        }
    }

    /// Its place among all of them.
    pub fn of(self, rates: &mut Rates) -> &mut Rate {
        let Rates { accounts: rates, edge } = rates;
        match self {
            RateName::SignIn => &mut rates.sign_in_by_network,
            RateName::Password => &mut rates.password_by_handle,
            RateName::Refresh => &mut rates.refresh_by_network,
            RateName::Request => &mut rates.request_by_account,
            RateName::LookUp => &mut rates.look_up_by_account,
            RateName::Invite => &mut rates.invite_by_account,
            RateName::Session => &mut edge.session,
            RateName::Account => &mut edge.account,
            RateName::Connect => &mut edge.connect_by_network,
            RateName::Stranger => &mut edge.stranger_by_network,
        }
    }

    /// The rate of this name.
    pub fn named(name: &str) -> Option<RateName> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// All names, for whoever wrote another.
    pub fn names() -> String {
        Self::ALL.map(RateName::as_str).join(", ")
    }
}

/// Reads `BURST/MILLISECONDS`.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let form =
        "write BURST/MILLISECONDS, as \"30/2000\": so many at once, then one more after each of so many";
    let (burst, interval_ms) = text.split_once('/').ok_or(form)?;
    let burst: u32 = burst.parse().map_err(|_| form)?;
    let interval_ms: u64 = interval_ms.parse().map_err(|_| form)?;
    if burst == 0 || interval_ms == 0 {
        return Err("a rate allows something: write a burst and milliseconds above 0".into());
    }
    Ok(Rate { burst, interval_ms })
}

/// Reads `NAME=BURST/MILLISECONDS`.
pub fn parse_named_rate(text: &str) -> Result<(RateName, Rate), String> {
    let (name, rate) =
        text.split_once('=').ok_or("write NAME=BURST/MILLISECONDS, for example sign-in=30/2000")?;
    let known = RateName::named(name);
    let name =
        known.ok_or_else(|| format!("there is no rate {name:?}: write one of {}", RateName::names()))?;
    Ok((name, parse_rate(rate)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_or_refused_with_what_would_be_right() {
        let (name, rate) = parse_named_rate("look-up=5/1000").expect("a rate");
        let mut rates = Rates::default();
        *name.of(&mut rates) = rate;
        assert_eq!(rates.accounts.look_up_by_account, Rate { burst: 5, interval_ms: 1_000 });
        let wrong = [
            ("look-up", "for example"),
            ("x=1/1", "no rate"),
            ("invite=0/5", "above 0"),
            ("invite=a/5", "BURST"),
        ];
        for (text, said) in wrong {
            let error = parse_named_rate(text).err().unwrap_or_default();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
