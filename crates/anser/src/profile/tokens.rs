//! Access tokens that several processes of one profile share: the newest is in the file, and one
//! process at a time refreshes.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anser_client::account::AccountApi;
use anser_client::session::TokenRefused;
use anser_client::tokens::{BoxFuture, RefreshState, RefreshedTokens, Tokens};
use tokio::sync::Mutex;

use crate::profile::{Profile, TOKENS_LOCK};

/// How often a lock that another process holds is tried again, and how many times.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);
const LOCK_ATTEMPTS: u32 = 600;

/// The tokens of a profile.
pub struct ProfileTokens {
    profile: Profile,
    api: AccountApi,
    /// The token that this process was given last.
    given: Mutex<String>,
}

impl ProfileTokens {
    /// Goes on from the token that was saved.
    pub fn new(profile: Profile, api: AccountApi, given: String) -> Self {
        ProfileTokens { profile, api, given: Mutex::new(given) }
    }

    /// The token that was given last; it may have expired.
    pub async fn current(&self) -> String {
        self.given.lock().await.clone()
    }

    async fn refreshed(&self) -> Result<String, TokenRefused> {
        let mut given = self.given.lock().await;
        let _lock = self.lock().await?;
        let session = self.profile.session().map_err(|error| unavailable(&error))?;
        let session = session.ok_or(TokenRefused::SignedOut)?;
        if session.access_token != *given {
            // Another process was faster.
            given.clone_from(&session.access_token);
            return Ok(session.access_token);
        }
        let begun = RefreshState { refresh_token: session.refresh_token, nonce: session.refresh_nonce };
        let profile = self.profile.clone();
        let save = Arc::new(move |state: &RefreshState| keep(&profile, state));
        let token = RefreshedTokens::new(self.api.clone(), begun, save).next().await?;
        let mut session = self.profile.signed_in().map_err(|error| unavailable(&error))?;
        session.access_token.clone_from(&token);
        self.profile.keep(&session).map_err(|error| unavailable(&error.into()))?;
        given.clone_from(&token);
        Ok(token)
    }

    /// Waits, within bounds, until no other process refreshes.
    async fn lock(&self) -> Result<File, TokenRefused> {
        let file = self.profile.open_lock(TOKENS_LOCK).map_err(|error| unavailable(&error.into()))?;
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_INTERVAL).await,
                Err(TryLockError::Error(error)) => return Err(unavailable(&error.into())),
            }
        }
        Err(TokenRefused::Unavailable)
    }
}

impl Tokens for ProfileTokens {
    fn next(&self) -> BoxFuture<'_, Result<String, TokenRefused>> {
        Box::pin(self.refreshed())
    }
}

fn keep(profile: &Profile, state: &RefreshState) -> io::Result<()> {
    let mut session = profile.signed_in().map_err(io::Error::other)?;
    session.refresh_token.clone_from(&state.refresh_token);
    session.refresh_nonce.clone_from(&state.nonce);
    profile.keep(&session)
}

fn unavailable(error: &anyhow::Error) -> TokenRefused {
    tracing::error!(%error, "cannot use the saved session");
    TokenRefused::Unavailable
}
