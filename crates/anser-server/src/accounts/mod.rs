//! Accounts: who may come in, on which device, and what others may know of them.
//!
//! [`AccountService`] holds the use cases. It decides nothing about conversations, and what it knows
//! of credentials in use it asks of the [`Home`].

mod administration;
mod bring;
mod directory;
mod error;
mod home;
mod invitations;
mod keys;
mod limiter;
mod outbox;
mod passwords;
mod profile;
mod refresh;
mod rules;
mod secret;
mod secrets;
mod sessions;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anser_core::ports::accounts::{AccountKey, AccountRow, Accounts};
pub use anser_core::ports::accounts::{DeviceKind, PresenceShown, SecondDevice, Seen};
use anser_core::ports::clock::Clock;
use anser_core::ports::keys::ApiKeys;
pub use anser_core::ports::keys::{ApiKeyRow, KEYS_IN_FORCE, Scope, Scopes};
use anser_core::ports::random::Random;
use anser_model::{AccountId, DeviceId, SessionId, Timeline, planted};

pub use administration::{ACCOUNTS_PER_PAGE, AccountView, Administration, ApiCaller, Authority};
pub use anser_edge::Grant;
pub use anser_edge::quota::Rate;
pub use bring::{IMPORTED_PER_CALL, Imported, NewPerson, TokenRequest};
pub use directory::{LastSeen, PROFILES_PER_CALL, Profile};
pub use error::AccessError;
pub use home::{CredentialView, Home, HomeError};
pub use invitations::{FirstInvitations, INVITATIONS_PER_AUTHOR, Invitation};
pub use keys::NewKey;
pub use limiter::{RateLimiter, network};
pub use passwords::{BadPasswordCost, PasswordCost};
pub use profile::ProfileChange;
pub use refresh::REFRESH_TOKEN_MS;
pub use rules::handle as check_handle;
pub use secret::Secret;
pub use secrets::{SECRETS_FOLDER, Secrets, SecretsError};
pub use sessions::{ListedDevice, Registration, SignIn, SignedIn};
pub use tokens::{ACCESS_TOKEN_S, RESUME_TICKET_S, TokenError, Tokens};

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RegistrationMode {
    /// Everybody.
    Open,
    /// Who was invited.
    #[default]
    Invitation,
    /// Nobody but the first administrator.
    Closed,
}

/// How much may be asked how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRates {
    /// Registrations and sign-ins from one network.
    pub sign_in_by_network: Rate,
    /// Passwords tried for one handle.
    pub password_by_handle: Rate,
    /// Refreshes from one network, behind which there may be an office.
    pub refresh_by_network: Rate,
    /// Authenticated requests of one account.
    pub request_by_account: Rate,
    /// Look-ups of handles by one account.
    pub look_up_by_account: Rate,
    /// Invitations by one account.
    pub invite_by_account: Rate,
}

impl Default for AccountRates {
    fn default() -> Self {
        AccountRates {
            sign_in_by_network: Rate { burst: 30, interval_ms: 2_000 },
            password_by_handle: Rate { burst: 10, interval_ms: 10_000 },
            refresh_by_network: Rate { burst: 2_000, interval_ms: 20 },
            request_by_account: Rate { burst: 60, interval_ms: 200 },
            look_up_by_account: Rate { burst: 30, interval_ms: 2_000 },
            invite_by_account: Rate { burst: 10, interval_ms: 60_000 },
        }
    }
}

/// What an operator may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountConfig {
    /// Who may register.
    pub registration: RegistrationMode,
    /// What becomes of a device when another one of its kind signs in.
    pub second_device: SecondDevice,
    /// How much may be asked how often.
    pub rates: AccountRates,
    /// What one password hash costs.
    pub password_cost: PasswordCost,
    /// How long access tokens are good, in seconds; `None`: [`ACCESS_TOKEN_S`].
    pub access_token_s: Option<u64>,
}

impl AccountConfig {
    /// The same without limits on how fast: for load tests on a machine of one's own.
    pub fn unlimited(self) -> Self {
        let rate = Rate::UNLIMITED;
        let rates = AccountRates {
            sign_in_by_network: rate,
            password_by_handle: rate,
            refresh_by_network: rate,
            request_by_account: rate,
            look_up_by_account: rate,
            invite_by_account: rate,
        };
        AccountConfig { rates, ..self }
    }

    /// The same with passwords hashed at next to no cost: for load tests, never for people.
    pub fn with_cheap_passwords(self) -> Self {
        AccountConfig { password_cost: PasswordCost { memory_kib: 8, passes: 1 }, ..self }
    }
}

/// What the use cases work with.
pub struct AccountParts {
    /// The rows.
    pub accounts: Arc<dyn Accounts>,
    /// The API keys.
    pub keys: Arc<dyn ApiKeys>,
    /// The homes of accounts.
    pub home: Arc<dyn Home>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The timeline in which tokens are good.
    pub timeline: Timeline,
}

/// Somebody whose token was checked, against the home too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// What the token granted.
    pub grant: Grant,
}

impl Session {
    /// Whose.
    pub fn account(&self) -> AccountId {
        self.grant.account
    }

    /// On which device.
    pub fn device(&self) -> DeviceId {
        self.grant.device
    }
}

/// The use cases.
pub struct AccountService {
    parts: AccountParts,
    administration: Administration,
    second_device: SecondDevice,
    access_token_s: u64,
    registration: Mutex<RegistrationMode>,
    tokens: Tokens,
    refresh_key: [u8; 32],
    passwords: Arc<passwords::Passwords>,
    limits: Limits,
    known: directory::KnownAccounts,
}

struct Limits {
    sign_in_by_network: RateLimiter<IpAddr>,
    password_by_handle: RateLimiter<String>,
    refresh_by_network: RateLimiter<IpAddr>,
    request_by_account: RateLimiter<AccountId>,
    look_up_by_account: RateLimiter<AccountId>,
    invite_by_account: RateLimiter<AccountId>,
}

impl AccountService {
    /// Puts the use cases together. Starts the threads that hash passwords.
    pub fn new(
        parts: AccountParts,
        secrets: &Secrets,
        config: AccountConfig,
    ) -> Result<Self, BadPasswordCost> {
        let AccountConfig { registration, second_device, rates, password_cost, access_token_s } = config;
        let passwords = Arc::new(passwords::Passwords::new(password_cost, Arc::clone(&parts.random))?);
        let administration = Administration {
            accounts: Arc::clone(&parts.accounts),
            keys: Arc::clone(&parts.keys),
            home: Arc::clone(&parts.home),
            clock: Arc::clone(&parts.clock),
            random: Arc::clone(&parts.random),
            passwords: Arc::clone(&passwords),
        };
        Ok(AccountService {
            administration,
            second_device,
            access_token_s: access_token_s.unwrap_or(ACCESS_TOKEN_S),
            registration: Mutex::new(registration),
            tokens: Tokens::new(secrets.signing(), parts.timeline),
            refresh_key: *secrets.refresh(),
            passwords,
            limits: Limits {
                sign_in_by_network: RateLimiter::new(rates.sign_in_by_network),
                password_by_handle: RateLimiter::new(rates.password_by_handle),
                refresh_by_network: RateLimiter::new(rates.refresh_by_network),
                request_by_account: RateLimiter::new(rates.request_by_account),
                look_up_by_account: RateLimiter::new(rates.look_up_by_account),
                invite_by_account: RateLimiter::new(rates.invite_by_account),
            },
            known: directory::KnownAccounts::default(),
            parts,
        })
    }

    /// The use cases of those who run the installation.
    pub fn administration(&self) -> &Administration {
        &self.administration
    }

    /// What somebody who was let in may do to the installation, if that is an administrator.
    pub async fn administrator(&self, session: &Session) -> Result<Authority, AccessError> {
        Authority::of_account(&self.own_account(session).await?)
    }

    /// From now on these may register, and so much may be asked how often. What a password costs stays.
    pub fn set_terms(&self, registration: RegistrationMode, rates: AccountRates) {
        *self.registration.lock().unwrap_or_else(PoisonError::into_inner) = registration;
        let limits = &self.limits;
        limits.sign_in_by_network.set_rate(rates.sign_in_by_network);
        limits.password_by_handle.set_rate(rates.password_by_handle);
        limits.refresh_by_network.set_rate(rates.refresh_by_network);
        limits.request_by_account.set_rate(rates.request_by_account);
        limits.look_up_by_account.set_rate(rates.look_up_by_account);
        limits.invite_by_account.set_rate(rates.invite_by_account);
    }

    /// Who may register now.
    fn registration(&self) -> RegistrationMode {
        *self.registration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks an access token, and with the home that it is still good. Fails closed: where the home
    /// does not answer, nobody is let in.
    pub async fn authenticate(&self, token: &str) -> Result<Session, AccessError> {
        let grant = self
            .tokens
            .verify_access(token, self.parts.clock.now())
            .map_err(|_| AccessError::Unauthenticated)?;
        self.admit(grant).await
    }

    /// Checks a resume ticket in the same way, and says which session it resumes.
    pub async fn resume(&self, ticket: &str) -> Result<(Session, SessionId), AccessError> {
        let (grant, session) = self
            .tokens
            .verify_ticket(ticket, self.parts.clock.now())
            .map_err(|_| AccessError::Unauthenticated)?;
        Ok((self.admit(grant).await?, session))
    }

    /// A ticket with which the same session can be resumed.
    pub fn ticket(&self, session: &Session, id: SessionId) -> Secret {
        self.tokens.ticket(&session.grant, id, self.parts.clock.now())
    }

    async fn admit(&self, grant: Grant) -> Result<Session, AccessError> {
        let view = self.parts.home.credentials(grant.account).await?;
        let is_good = view.admits(grant.account_version, grant.device, grant.device_version);
        match is_good || planted!(RevocationUnchecked) {
            true => Ok(Session { grant }),
            false => Err(AccessError::Revoked),
        }
    }

    /// Counts one authenticated request of the HTTP API.
    pub fn count_request(&self, session: &Session) -> Result<(), AccessError> {
        self.limits.request_by_account.take(session.account(), self.now_ms())
    }

    /// Monotonic time, for limits.
    fn now_ms(&self) -> u64 {
        self.parts.clock.monotonic_ms()
    }

    fn random_id(&self) -> u64 {
        self.administration.random_id()
    }

    async fn account(&self, key: AccountKey) -> Result<Option<AccountRow>, AccessError> {
        Ok(self.parts.accounts.accounts(vec![key]).await?.pop().flatten())
    }

    /// The row of somebody who was let in.
    async fn own_account(&self, session: &Session) -> Result<AccountRow, AccessError> {
        self.account(AccountKey::Id(session.account())).await?.ok_or(AccessError::Unauthenticated)
    }
}
