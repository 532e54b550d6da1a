//! A profile that is signed in: its account calls, and what a client is made with.

use std::sync::Arc;

use anser_client::account::{AccountApi, AccountError, Device, Invitation, Person, ProfileChange};
use anser_client::tokens::{BoxFuture, Tokens as _};
use anser_client::{Options, ServerAddress};
use anser_model::{AccountId, DeviceId};
use anser_proto::ErrorCode;

use crate::profile::tokens::ProfileTokens;
use crate::profile::{Profile, SavedSession};

/// Somebody who is signed in. Cheap to clone.
#[derive(Clone)]
pub struct SignedIn {
    profile: Profile,
    session: SavedSession,
    servers: Vec<ServerAddress>,
    api: AccountApi,
    tokens: Arc<ProfileTokens>,
}

impl SignedIn {
    /// Who is signed in on a profile.
    pub fn on(profile: Profile) -> anyhow::Result<SignedIn> {
        let session = profile.signed_in()?;
        let servers = session.addresses()?;
        let api = AccountApi::new(servers.clone());
        let tokens = ProfileTokens::new(profile.clone(), api.clone(), session.access_token.clone());
        Ok(SignedIn { profile, session, servers, api, tokens: Arc::new(tokens) })
    }

    /// On which profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whose.
    pub fn account(&self) -> AccountId {
        AccountId(self.session.account)
    }

    /// What the account signs in with.
    pub fn handle(&self) -> &str {
        &self.session.handle
    }

    /// What a client is made with: memory as store, all of the profile's tokens.
    pub async fn options(&self) -> Options {
        Options::new(self.servers.clone(), self.tokens.current().await).with_tokens(self.tokens.clone())
    }

    /// Finds somebody by exact handle.
    pub async fn person(&self, handle: &str) -> Result<Person, AccountError> {
        let handle = handle.strip_prefix('@').unwrap_or(handle).to_owned();
        self.call(move |api, token| {
            let handle = handle.clone();
            Box::pin(async move { api.person(&token, &handle).await })
        })
        .await
    }

    /// Every one of these handles.
    pub async fn people(&self, handles: &[String]) -> Result<Vec<Person>, AccountError> {
        let mut people = Vec::with_capacity(handles.len());
        for handle in handles {
            people.push(self.person(handle).await.map_err(|error| naming(handle, error))?);
        }
        Ok(people)
    }

    /// One's own devices.
    pub async fn devices(&self) -> Result<Vec<Device>, AccountError> {
        self.call(|api, token| Box::pin(async move { api.devices(&token).await })).await
    }

    /// Signs one of one's own devices out.
    pub async fn revoke(&self, device: DeviceId) -> Result<(), AccountError> {
        self.call(move |api, token| Box::pin(async move { api.revoke_device(&token, device).await })).await
    }

    /// One's own profile, after this change, if it is one.
    pub async fn profile_with(&self, change: ProfileChange) -> Result<Person, AccountError> {
        self.call(move |api, token| {
            let change = change.clone();
            Box::pin(async move {
                match change.is_empty() {
                    true => api.profile(&token).await,
                    false => api.change_profile(&token, &change).await,
                }
            })
        })
        .await
    }

    /// Deactivates the account.
    pub async fn deactivate(&self, password: &str) -> Result<(), AccountError> {
        let password = password.to_owned();
        self.call(move |api, token| {
            let password = password.clone();
            Box::pin(async move { api.deactivate(&token, &password).await })
        })
        .await
    }

    /// Makes an invitation.
    pub async fn invite(&self) -> Result<Invitation, AccountError> {
        self.call(|api, token| Box::pin(async move { api.invite(&token).await })).await
    }

    /// Signs this device out at the server.
    pub async fn sign_out(&self) -> Result<(), AccountError> {
        self.call(|api, token| Box::pin(async move { api.sign_out(&token).await })).await
    }

    /// Changes the password, and keeps the new grant.
    pub async fn change_password(&self, old: &str, new: &str) -> anyhow::Result<()> {
        let (old, new) = (old.to_owned(), new.to_owned());
        let grant = self
            .call(move |api, token| {
                let (old, new) = (old.clone(), new.clone());
                Box::pin(async move { api.change_password(&token, &old, &new).await })
            })
            .await?;
        Ok(self.profile.keep(&SavedSession::new(&self.servers, &self.session.handle, &grant))?)
    }

    /// Makes a call, once more with a fresh token when the one at hand has expired.
    async fn call<T>(
        &self,
        call: impl Fn(AccountApi, String) -> BoxFuture<'static, Result<T, AccountError>>,
    ) -> Result<T, AccountError> {
        let first = call(self.api.clone(), self.tokens.current().await).await;
        match first {
            Err(AccountError::Refused { ref code, .. }) if code == ErrorCode::Unauthenticated.as_str() => {
                match self.tokens.next().await {
                    Ok(token) => call(self.api.clone(), token).await,
                    Err(_) => first,
                }
            }
            answered => answered,
        }
    }
}

/// Puts the handle into the error: of several, the person wants to know which.
fn naming(handle: &str, error: AccountError) -> AccountError {
    match error {
        AccountError::Refused { status, code, message, retry_after_ms } => {
            let message = format!("{handle}: {message}");
            AccountError::Refused { status, code, message, retry_after_ms }
        }
        other => other,
    }
}
