//! What application servers do: bring accounts along, and get tokens for them.

use anser_core::ports::accounts::{
    AccountKey, AccountsError, Brought, BroughtAccount, DeviceKind, NewDevice, PasswordHash, TokenHash,
};
use anser_core::ports::keys::Scope;
use anser_model::{AccountId, DeviceId, planted};
use sha2::{Digest, Sha256};

use super::administration::{ATTEMPTS, Administration, ApiCaller, Authority};
use super::{AccessError, AccountService, Grant, Secret, SignedIn, passwords, rules};

/// Accounts that one call brings.
pub const IMPORTED_PER_CALL: usize = 1_000;

/// An account to bring along. Its handle is what it is known by: the same asked again is the same account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPerson {
    /// Under which handle.
    pub handle: String,
    /// What people are to see.
    pub name: String,
    /// What clients are to show as its picture; empty: nothing.
    pub avatar: String,
    /// What it says of itself; empty: nothing.
    pub bio: String,
    /// An argon2id hash in the PHC string format; without it nobody signs in with a password.
    pub password_hash: Option<Secret>,
}

/// An account that was brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Which one.
    pub account: AccountId,
    /// Whether it was made now, and not before.
    pub made: bool,
}

/// For whom tokens are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Whose they are to be.
    pub account: AccountId,
    /// By what the application server knows the device: the same key is the same device.
    pub device_key: String,
    /// How the device is called.
    pub device_name: String,
    /// What it is.
    pub device_kind: DeviceKind,
}

impl Administration {
    /// Makes one account, or finds the one that the same request made before. Another request for the same
    /// handle is refused.
    pub async fn create_account(&self, by: Authority, person: NewPerson) -> Result<Imported, AccessError> {
        let mut outcomes = self.import(by, vec![person]).await?;
        outcomes.pop().expect("one was asked for")
    }

    /// Makes up to [`IMPORTED_PER_CALL`] accounts in one transaction: each is made, found as in
    /// [`Administration::create_account`], or refused for itself.
    pub async fn import(
        &self,
        by: Authority,
        people: Vec<NewPerson>,
    ) -> Result<Vec<Result<Imported, AccessError>>, AccessError> {
        if people.len() > IMPORTED_PER_CALL {
            let what = format!("holds {} accounts, at most {IMPORTED_PER_CALL} are allowed", people.len());
            return Err(AccessError::bad("accounts", what));
        }
        let checked: Vec<_> = people.into_iter().map(|person| self.checked(person)).collect();
        let mut good: Vec<BroughtAccount> = checked.iter().flatten().cloned().collect();
        for _ in 0..ATTEMPTS {
            match self.accounts.bring(good.clone()).await {
                Ok(brought) => {
                    assert_eq!(brought.len(), good.len(), "each has its outcome");
                    let made = brought.iter().filter(|one| matches!(one, Brought::Made(_))).count();
                    tracing::info!(?by, asked = checked.len(), made, "accounts were imported");
                    let mut outcomes = brought.into_iter();
                    let outcome = |checked: Result<BroughtAccount, AccessError>| {
                        checked.and_then(|_| imported(outcomes.next().expect("each has its outcome")))
                    };
                    return Ok(checked.into_iter().map(outcome).collect());
                }
                Err(AccountsError::IdTaken) => {
                    good.iter_mut().for_each(|one| one.account = AccountId(self.random_id()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountsError::IdTaken.into())
    }

    fn checked(&self, person: NewPerson) -> Result<BroughtAccount, AccessError> {
        let handle = rules::handle(&person.handle)?;
        let name = rules::name("name", &person.name)?;
        let avatar = rules::avatar(&person.avatar)?;
        let bio = rules::bio(&person.bio)?;
        let password_hash = person.password_hash.as_ref().map(passwords::foreign_hash).transpose()?;
        let request = request_hash(&[
            &handle,
            &name,
            &avatar,
            &bio,
            password_hash.as_ref().map_or("", |PasswordHash(hash)| hash),
        ]);
        let (account, at) = (AccountId(self.random_id()), self.clock.now());
        Ok(BroughtAccount { account, handle, name, avatar, bio, password_hash, request, at })
    }
}

fn imported(brought: Brought) -> Result<Imported, AccessError> {
    match brought {
        Brought::Made(account) => Ok(Imported { account, made: true }),
        Brought::Known(account) => Ok(Imported { account, made: false }),
        Brought::Taken => Err(AccessError::AlreadyExists),
    }
}

/// By what a repetition of a request is known: each part with its length before it.
fn request_hash(parts: &[&str]) -> TokenHash {
    let mut hasher = Sha256::new_with_prefix(b"anser/import/1");
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    TokenHash(hasher.finalize().into())
}

impl AccountService {
    /// Whether an application server may say something in the name of this account: the system's, or that of
    /// somebody who may sign in and does not run the installation.
    pub async fn may_be_spoken_for(&self, account: AccountId) -> Result<(), AccessError> {
        let row = self.account(AccountKey::Id(account)).await?.ok_or(AccessError::NotFound("account"))?;
        if row.admin && !planted!(KeysSpeakForAdmins) {
            return Err(AccessError::NotAllowed("an API key does not speak for administrators"));
        }
        match row.deactivated {
            true => Err(AccessError::Deactivated),
            false => Ok(()),
        }
    }

    /// Tokens for a device of an account, in the name of an application server. A live device with the same
    /// key stays the same device, with another chain of refresh tokens: what was given before can be
    /// refreshed no more. Neither for administrators nor for the system account.
    pub async fn issue_tokens(
        &self,
        caller: &ApiCaller,
        asked: TokenRequest,
    ) -> Result<SignedIn, AccessError> {
        caller.require(Scope::Tokens)?;
        let name = rules::name("device_name", &asked.device_name)?;
        let key = rules::device_key(&asked.device_key)?;
        for _ in 0..ATTEMPTS {
            let row = self.account(AccountKey::Id(asked.account)).await?;
            let row = row.ok_or(AccessError::NotFound("account"))?;
            if row.admin || row.account == AccountId::SYSTEM {
                let why = "an API key gets no tokens for administrators or the system account";
                return Err(AccessError::NotAllowed(why));
            }
            if row.deactivated {
                return Err(AccessError::Deactivated);
            }
            let (at, token) = (self.parts.clock.now(), self.new_family());
            let device = NewDevice {
                device: DeviceId(self.random_id()),
                name: name.clone(),
                kind: asked.device_kind,
                key: Some(key.clone()),
                at,
                family: token.new_family(at),
            };
            let accounts = &self.parts.accounts;
            match accounts.add_device(row.account, row.credential_version, device, self.second_device).await {
                Ok(added) => {
                    self.end_replaced(&row, &added.ended).await;
                    let grant = Grant {
                        account: row.account,
                        device: added.device,
                        account_version: row.credential_version,
                        device_version: added.version,
                    };
                    tracing::info!(account = %row.account, device = %added.device, key = caller.key, "tokens were issued");
                    return Ok(self.signed_in(&grant, token));
                }
                Err(AccountsError::Conflict | AccountsError::IdTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountsError::Conflict.into())
    }
}

#[cfg(test)]
mod tests;
