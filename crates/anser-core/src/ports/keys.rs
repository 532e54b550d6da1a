//! API keys: what lets application servers in. The port sees hashes alone.

use anser_model::{AccountId, UnixMillis};

use super::PortFuture;
use super::accounts::{AccountsError, TokenHash};

/// Keys that may be in force at the same time.
pub const KEYS_IN_FORCE: usize = 64;
/// How long the row of a revoked key is kept.
pub const REVOKED_KEY_KEPT_MS: u64 = 365 * anser_model::limits::DAY_MS;

/// One thing that a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Making, importing and deactivating accounts.
    Accounts,
    /// Issuing tokens for accounts.
    Tokens,
    /// Sending as the system.
    Messages,
}

impl Scope {
    /// All of them, in the order of their bits.
    pub const ALL: [Scope; 3] = [Scope::Accounts, Scope::Tokens, Scope::Messages];

    /// Its name in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Accounts => "accounts",
            Scope::Tokens => "tokens",
            Scope::Messages => "messages",
        }
    }

    /// The scope of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether it allows `scope`.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those that it allows.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |&scope| self.allow(scope))
    }

    /// As stored: a bit for each scope.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// What [`Scopes::bits`] gave; bits of scopes that this version does not know allow nothing.
    pub fn from_bits(bits: u8) -> Self {
        Scope::ALL.into_iter().filter(|scope| bits & scope.bit() != 0).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Scopes(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Random, below 2⁶³, not 0.
    pub key: u64,
    /// Hash of its text.
    pub hash: TokenHash,
    /// What it is for, in its maker's words.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// Who made it; nobody: the command line.
    pub author: Option<AccountId>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was revoked, if it was.
    pub revoked_at: Option<UnixMillis>,
}

/// The API keys of an installation.
pub trait ApiKeys: Send + Sync {
    /// Adds a key; `Conflict` where [`KEYS_IN_FORCE`] are in force, `IdTaken` where its id or hash is known.
    /// Keys that were revoked [`REVOKED_KEY_KEPT_MS`] ago go.
    fn add_key(&self, key: ApiKeyRow) -> PortFuture<Result<(), AccountsError>>;

    /// The key with this hash, revoked or not.
    fn key(&self, hash: TokenHash) -> PortFuture<Result<Option<ApiKeyRow>, AccountsError>>;

    /// All keys, revoked ones included, oldest first.
    fn keys(&self) -> PortFuture<Result<Vec<ApiKeyRow>, AccountsError>>;

    /// Revokes a key. May be repeated; the first time counts.
    fn revoke_key(&self, key: u64, at: UnixMillis) -> PortFuture<Result<(), AccountsError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_what_they_were_made_of() {
        let scopes: Scopes = [Scope::Accounts, Scope::Messages].into_iter().collect();
        assert!(
            scopes.allow(Scope::Accounts) && !scopes.allow(Scope::Tokens) && scopes.allow(Scope::Messages)
        );
        assert_eq!(scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), ["accounts", "messages"]);
        assert_eq!(Scopes::from_bits(scopes.bits() | 0x80), scopes, "unknown bits allow nothing");
        assert_eq!(Scope::named("tokens"), Some(Scope::Tokens));
        assert_eq!(Scope::named("all"), None);
    }
}
