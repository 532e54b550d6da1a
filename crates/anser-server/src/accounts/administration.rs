//! Running an installation: who is there, who may come in, who runs it. Used by the server in the name of
//! administrators and application servers, and by the command line on a data folder.

use std::sync::Arc;

use anser_core::ports::PortFuture;
use anser_core::ports::accounts::{
    AccountChange, AccountKey, AccountRow, Accounts, AccountsError, PresenceShown,
};
use anser_core::ports::clock::Clock;
use anser_core::ports::keys::{ApiKeys, Scope, Scopes};
use anser_core::ports::random::Random;
use anser_model::{AccountId, DeviceId, KickReason, UnixMillis, planted};

use super::passwords::Passwords;
use super::{
    AccessError, BadPasswordCost, CredentialView, Home, HomeError, PasswordCost, Profile, Secret, rules,
};

/// Accounts that one call lists.
pub const ACCOUNTS_PER_PAGE: usize = 200;
/// How often a decision is taken afresh when a row has changed in the meantime, or a random id is in use.
pub(super) const ATTEMPTS: usize = 4;

/// In whose name an installation is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority(Holder);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Whoever can write the data folder.
    Operator,
    /// An administrator.
    Person(AccountId),
    /// An application server, by its key.
    Key(u64),
}

impl Authority {
    /// Whoever can write the data folder may do everything.
    pub fn operator() -> Self {
        Authority(Holder::Operator)
    }

    /// Of an account, if it runs the installation.
    pub(super) fn of_account(row: &AccountRow) -> Result<Self, AccessError> {
        match row.admin && !row.deactivated || planted!(AdminUnchecked) {
            true => Ok(Authority(Holder::Person(row.account))),
            false => Err(AccessError::NotAllowed("only administrators may do this")),
        }
    }

    /// The administrator, if it is one.
    pub(super) fn account(self) -> Option<AccountId> {
        match self.0 {
            Holder::Person(account) => Some(account),
            Holder::Operator | Holder::Key(_) => None,
        }
    }

    /// Refuses an application server.
    pub(super) fn require_person(self) -> Result<(), AccessError> {
        match self.0 {
            Holder::Key(_) => Err(AccessError::NotAllowed("only administrators may do this, no API key")),
            Holder::Operator | Holder::Person(_) => Ok(()),
        }
    }

    /// Refuses to touch the system account, and an administrator in the name of an application server.
    fn require_may_touch(self, row: &AccountRow) -> Result<(), AccessError> {
        if row.account == AccountId::SYSTEM {
            return Err(AccessError::NotAllowed("the system account stays as it is"));
        }
        match self.0 {
            Holder::Key(_) if row.admin => {
                Err(AccessError::NotAllowed("an API key does not touch administrators"))
            }
            _ => Ok(()),
        }
    }
}

/// An application server whose key was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiCaller {
    /// Which key.
    pub key: u64,
    /// What it allows.
    pub scopes: Scopes,
}

impl ApiCaller {
    /// Refuses where the key does not allow `scope`.
    pub fn require(&self, scope: Scope) -> Result<(), AccessError> {
        match self.scopes.allow(scope) || planted!(ScopeUnchecked) {
            true => Ok(()),
            false => Err(AccessError::NotAllowed(match scope {
                Scope::Accounts => "the API key lacks the scope accounts",
                Scope::Tokens => "the API key lacks the scope tokens",
                Scope::Messages => "the API key lacks the scope messages",
            })),
        }
    }

    /// What it may do to accounts, by the scope of that name.
    pub fn authority(&self) -> Result<Authority, AccessError> {
        self.require(Scope::Accounts)?;
        Ok(Authority(Holder::Key(self.key)))
    }
}

/// An account as those see it who run the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// What everybody sees.
    pub profile: Profile,
    /// Whether it runs the installation.
    pub admin: bool,
    /// Whether it can sign in with a password.
    pub has_password: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Who is told whether it is there.
    pub presence: PresenceShown,
}

impl From<AccountRow> for AccountView {
    fn from(row: AccountRow) -> Self {
        let AccountRow { admin, created_at, presence, .. } = row;
        let has_password = row.password_hash.is_some();
        AccountView { admin, has_password, created_at, presence, profile: row.into() }
    }
}

/// What the use cases of those who run an installation work with.
pub struct Administration {
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) keys: Arc<dyn ApiKeys>,
    pub(super) home: Arc<dyn Home>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) passwords: Arc<Passwords>,
}

impl Administration {
    /// For the command line, on the stores of a folder: a server on it, now or later, tells the homes.
    pub fn of_folder(
        accounts: Arc<dyn Accounts>,
        keys: Arc<dyn ApiKeys>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, BadPasswordCost> {
        let passwords = Arc::new(Passwords::new(PasswordCost::default(), Arc::clone(&random))?);
        Ok(Administration { accounts, keys, home: Arc::new(ToldLater), clock, random, passwords })
    }

    /// Accounts by handle, those after `after`, at most [`ACCOUNTS_PER_PAGE`]; the system account too.
    pub async fn list(
        &self,
        by: Authority,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AccountView>, AccessError> {
        by.require_person()?;
        if !(1..=ACCOUNTS_PER_PAGE).contains(&limit) {
            let what = format!("is {limit}, 1 to {ACCOUNTS_PER_PAGE} are allowed");
            return Err(AccessError::bad("limit", what));
        }
        let rows = self.accounts.accounts_after(after.map(str::to_owned), limit).await?;
        Ok(rows.into_iter().map(AccountView::from).collect())
    }

    /// The account with this handle, deactivated or not.
    pub async fn find(&self, _by: Authority, handle: &str) -> Result<AccountView, AccessError> {
        let not_found = AccessError::NotFound("account");
        let Ok(handle) = rules::handle(handle) else { return Err(not_found) };
        self.row(AccountKey::Handle(handle)).await.map(AccountView::from)
    }

    /// One account, deactivated or not.
    pub async fn view(&self, _by: Authority, account: AccountId) -> Result<AccountView, AccessError> {
        self.row(AccountKey::Id(account)).await.map(AccountView::from)
    }

    /// Ends all sessions of an account, and lets nobody in on it. May be repeated. Answers once its home
    /// has made that durable. Not the last one who runs the installation.
    pub async fn deactivate(&self, by: Authority, account: AccountId) -> Result<(), AccessError> {
        self.set_deactivated(by, account, true).await
    }

    /// Lets an account in again: it signs in anew. May be repeated.
    pub async fn reactivate(&self, by: Authority, account: AccountId) -> Result<(), AccessError> {
        self.set_deactivated(by, account, false).await
    }

    /// Gives an account another password, and ends all its sessions.
    pub async fn reset_password(
        &self,
        by: Authority,
        account: AccountId,
        new: Secret,
    ) -> Result<(), AccessError> {
        by.require_person()?;
        rules::password("password", &new)?;
        by.require_may_touch(&self.row(AccountKey::Id(account)).await?)?;
        let password_hash = self.passwords.hash(new).await?;
        let change = |row: &AccountRow| AccountChange::PasswordReset {
            from_version: row.credential_version,
            password_hash: password_hash.clone(),
            at: self.clock.now(),
        };
        self.change_credentials(account, KickReason::Revoked, change).await?;
        tracing::info!(%account, ?by, "a password was reset");
        Ok(())
    }

    /// Makes somebody run the installation, or no longer. May be repeated.
    pub async fn set_admin(&self, by: Authority, account: AccountId, admin: bool) -> Result<(), AccessError> {
        by.require_person()?;
        by.require_may_touch(&self.row(AccountKey::Id(account)).await?)?;
        self.accounts.change(account, AccountChange::Admin { admin }).await?;
        tracing::info!(%account, ?by, admin, "who runs the installation was changed");
        Ok(())
    }

    /// Where nobody can run the installation any more: lets this account in again, makes it run the
    /// installation, and gives it another password if there is one. For the operator alone.
    pub async fn reset_admin(
        &self,
        by: Authority,
        handle: &str,
        password: Option<Secret>,
    ) -> Result<AccountView, AccessError> {
        if by != Authority::operator() {
            return Err(AccessError::NotAllowed("this is done on the command line of the server alone"));
        }
        let account = self.find(by, handle).await?.profile.account;
        if let Some(password) = &password {
            rules::password("password", password)?;
        }
        self.reactivate(by, account).await?;
        self.set_admin(by, account, true).await?;
        if let Some(password) = password {
            self.reset_password(by, account, password).await?;
        }
        self.view(by, account).await
    }

    /// Deactivates an account because it asked for it itself.
    pub(super) async fn deactivate_own(&self, row: &AccountRow) -> Result<(), AccessError> {
        self.set_deactivated(Authority(Holder::Person(row.account)), row.account, true).await
    }

    async fn set_deactivated(
        &self,
        by: Authority,
        account: AccountId,
        deactivated: bool,
    ) -> Result<(), AccessError> {
        let row = self.row(AccountKey::Id(account)).await?;
        by.require_may_touch(&row)?;
        if row.deactivated == deactivated {
            // Whether its home was told the first time is not known.
            return self.tell_home(&row, KickReason::Deactivated).await;
        }
        let change = |row: &AccountRow| AccountChange::Deactivated {
            from_version: row.credential_version,
            deactivated,
            at: self.clock.now(),
        };
        self.change_credentials(account, KickReason::Deactivated, change).await?;
        // The outbox tells it too; told here, others see it at once.
        if let Err(error) = self.home.profile_changed(account, row.profile_version + 1).await {
            tracing::warn!(%error, %account, "a changed profile is told later");
        }
        tracing::info!(%account, ?by, deactivated, "whether an account may sign in was changed");
        Ok(())
    }

    /// Makes a change that voids all tokens, and answers once the home knows.
    async fn change_credentials(
        &self,
        account: AccountId,
        why: KickReason,
        change: impl Fn(&AccountRow) -> AccountChange,
    ) -> Result<(), AccessError> {
        for _ in 0..ATTEMPTS {
            let row = self.row(AccountKey::Id(account)).await?;
            match self.accounts.change(account, change(&row)).await {
                Ok(()) => {
                    let credential_version = row.credential_version + 1;
                    return self.tell_home(&AccountRow { credential_version, ..row }, why).await;
                }
                Err(AccountsError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountsError::Conflict.into())
    }

    async fn tell_home(&self, row: &AccountRow, why: KickReason) -> Result<(), AccessError> {
        Ok(self.home.raise_credentials(row.account, row.credential_version, None, why).await?)
    }

    async fn row(&self, key: AccountKey) -> Result<AccountRow, AccessError> {
        let row = self.accounts.accounts(vec![key]).await?.pop().flatten();
        row.ok_or(AccessError::NotFound("account"))
    }

    /// A random id below 2⁶³ that is not 0: it fits a signed 64-bit column everywhere.
    pub(super) fn random_id(&self) -> u64 {
        loop {
            let id = self.random.nonzero() >> 1;
            if id != 0 {
                return id;
            }
        }
    }
}

/// The homes of a folder that this process does not serve: the outbox tells them.
struct ToldLater;

impl Home for ToldLater {
    fn raise_credentials(
        &self,
        _account: AccountId,
        _account_version: u64,
        _device: Option<(DeviceId, u64)>,
        _why: KickReason,
    ) -> PortFuture<Result<(), HomeError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn credentials(&self, _account: AccountId) -> PortFuture<Result<CredentialView, HomeError>> {
        let why = "this process serves nobody".to_owned();
        Box::pin(std::future::ready(Err(HomeError::Unavailable(why))))
    }
}

#[cfg(test)]
mod tests;
