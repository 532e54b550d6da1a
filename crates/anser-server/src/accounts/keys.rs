//! API keys: what application servers come in with. A key is shown once; the store knows its hash.

use anser_core::ports::accounts::AccountsError;
use anser_core::ports::keys::{ApiKeyRow, KEYS_IN_FORCE, Scopes};
use anser_model::planted;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::administration::{ATTEMPTS, Administration, ApiCaller, Authority};
use super::{AccessError, AccountService, Secret, refresh, rules};

/// What every key begins with, so that people and scanners know one when they see it.
const KEY_PREFIX: &str = "ak_";
/// Random bytes of a key.
const KEY_BYTES: usize = 32;
/// Characters of every key: four for each three bytes, rounded up.
const KEY_CHARS: usize = KEY_PREFIX.len() + (KEY_BYTES * 4).div_ceil(3);

/// A key as its maker sees it, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its row.
    pub row: ApiKeyRow,
    /// Its text.
    pub secret: Secret,
}

impl Administration {
    /// Makes a key.
    pub async fn create_key(&self, by: Authority, name: &str, scopes: Scopes) -> Result<NewKey, AccessError> {
        by.require_person()?;
        let name = rules::name("name", name)?;
        if scopes.iter().next().is_none() {
            return Err(AccessError::bad("scopes", "are none: give accounts, tokens or messages"));
        }
        for _ in 0..ATTEMPTS {
            let mut bytes = [0; KEY_BYTES];
            self.random.fill(&mut bytes);
            let secret = Secret::new(format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)));
            let row = ApiKeyRow {
                key: self.random_id(),
                hash: refresh::hash(&secret),
                name: name.clone(),
                scopes,
                author: by.account(),
                created_at: self.clock.now(),
                revoked_at: None,
            };
            match self.keys.add_key(row.clone()).await {
                Ok(()) => {
                    tracing::info!(key = row.key, ?by, "an API key was made");
                    return Ok(NewKey { row, secret });
                }
                Err(AccountsError::IdTaken) => {}
                Err(AccountsError::Conflict) => {
                    return Err(AccessError::TooManyKeys { limit: KEYS_IN_FORCE });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountsError::IdTaken.into())
    }

    /// All keys, oldest first, and for a year those that were revoked.
    pub async fn keys(&self, by: Authority) -> Result<Vec<ApiKeyRow>, AccessError> {
        by.require_person()?;
        Ok(self.keys.keys().await?)
    }

    /// Lets nobody in with this key any more. May be repeated.
    pub async fn revoke_key(&self, by: Authority, key: u64) -> Result<(), AccessError> {
        by.require_person()?;
        self.keys.revoke_key(key, self.clock.now()).await.map_err(|error| match error {
            AccountsError::NotFound => AccessError::NotFound("API key"),
            error => error.into(),
        })?;
        tracing::info!(key, ?by, "an API key was revoked");
        Ok(())
    }
}

impl AccountService {
    /// Checks an API key: whose it is, and what it allows.
    pub async fn authenticate_key(&self, text: &str) -> Result<ApiCaller, AccessError> {
        if text.len() != KEY_CHARS || !text.starts_with(KEY_PREFIX) {
            return Err(AccessError::Unauthenticated);
        }
        let row = self.administration.keys.key(refresh::hash(&Secret::new(text))).await?;
        let is_good = |row: &ApiKeyRow| row.revoked_at.is_none() || planted!(RevokedKeysLetIn);
        let row = row.filter(is_good).ok_or(AccessError::Unauthenticated)?;
        Ok(ApiCaller { key: row.key, scopes: row.scopes })
    }
}

#[cfg(test)]
mod tests {
    use anser_core::ports::keys::Scope;

    use super::*;
    use crate::accounts::testing::Bench;

    const BY: fn() -> Authority = Authority::operator;

    fn scopes(scopes: &[Scope]) -> Scopes {
        scopes.iter().copied().collect()
    }

    #[tokio::test]
    async fn a_key_lets_in_until_it_is_revoked() {
        let bench = Bench::open();
        let administration = bench.service.administration();
        let asked = scopes(&[Scope::Tokens]);
        let made = administration.create_key(BY(), " app server ", asked).await.unwrap();
        let text = made.secret.expose().to_owned();
        assert!(text.starts_with("ak_") && text.len() == 46, "{text}");
        assert_eq!((made.row.name.as_str(), made.row.author), ("app server", None));
        assert!(!format!("{made:?}").contains(&text[3..]), "nothing shows it");
        let caller = bench.service.authenticate_key(&text).await.unwrap();
        assert_eq!((caller.key, caller.scopes), (made.row.key, asked));
        assert_eq!(caller.require(Scope::Tokens), Ok(()));
        for scope in [Scope::Accounts, Scope::Messages] {
            assert!(matches!(caller.require(scope), Err(AccessError::NotAllowed(_))));
        }
        assert!(matches!(caller.authority(), Err(AccessError::NotAllowed(_))));
        let mut other = text.clone().into_bytes();
        other[20] = if other[20] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        for bad in [other.as_str(), "", "ak_", &text[..45], &format!("{text}A"), &"x".repeat(46)] {
            let refused = bench.service.authenticate_key(bad).await;
            assert_eq!(refused, Err(AccessError::Unauthenticated), "{bad}");
        }
        assert_eq!(administration.keys(BY()).await.unwrap(), vec![made.row.clone()]);
        for _ in 0..2 {
            assert_eq!(administration.revoke_key(BY(), made.row.key).await, Ok(()));
        }
        assert_eq!(administration.revoke_key(BY(), 12).await, Err(AccessError::NotFound("API key")));
        assert_eq!(bench.service.authenticate_key(&text).await, Err(AccessError::Unauthenticated));
        assert!(administration.keys(BY()).await.unwrap()[0].revoked_at.is_some());
    }

    #[tokio::test]
    async fn keys_are_made_by_administrators_and_within_limits() {
        let bench = Bench::open();
        let administration = bench.service.administration();
        let all = scopes(&Scope::ALL);
        let bad = administration.create_key(BY(), "", all).await;
        assert!(matches!(bad, Err(AccessError::BadValue { field: "name", .. })));
        let none = administration.create_key(BY(), "x", Scopes::default()).await;
        assert!(matches!(none, Err(AccessError::BadValue { field: "scopes", .. })));
        let alice = bench.session(&bench.register("alice").await).await;
        assert!(matches!(bench.service.administrator(&alice).await, Err(AccessError::NotAllowed(_))));
        administration.set_admin(BY(), alice.account(), true).await.unwrap();
        let by = bench.service.administrator(&alice).await.unwrap();
        let first = administration.create_key(by, "first", all).await.unwrap();
        assert_eq!(first.row.author, Some(alice.account()));
        let key = bench.service.authenticate_key(first.secret.expose()).await.unwrap().authority().unwrap();
        let refused = administration.create_key(key, "by a key", all).await;
        assert!(matches!(refused, Err(AccessError::NotAllowed(_))));
        for number in 1..KEYS_IN_FORCE {
            administration.create_key(by, &format!("key {number}"), all).await.unwrap();
        }
        let one_more = administration.create_key(by, "one more", all).await;
        assert_eq!(one_more.unwrap_err(), AccessError::TooManyKeys { limit: KEYS_IN_FORCE });
    }
}
