//! Where a session gets access tokens from.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::account::{AccountApi, AccountError, Grant};
use crate::session::TokenRefused;

/// A future that another crate can implement a port with.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gives out access tokens.
pub trait Tokens: Send + Sync {
    /// A token that is newer than any given before.
    fn next(&self) -> BoxFuture<'_, Result<String, TokenRefused>>;
}

/// No other token than the one that the session began with.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMoreTokens;

impl Tokens for NoMoreTokens {
    fn next(&self) -> BoxFuture<'_, Result<String, TokenRefused>> {
        Box::pin(async { Err(TokenRefused::SignedOut) })
    }
}

/// What must be kept to stay signed in: a refresh token, and the nonce under which its use began.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshState {
    /// Presented once.
    pub refresh_token: String,
    /// With the same nonce, an answer that was lost can be asked for again.
    pub nonce: Option<String>,
}

impl std::fmt::Debug for RefreshState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshState").field("begun", &self.nonce.is_some()).finish_non_exhaustive()
    }
}

/// Keeps a [`RefreshState`] durably. Called before the state is used.
pub type SaveRefresh = dyn Fn(&RefreshState) -> std::io::Result<()> + Send + Sync;

/// Tokens by refreshing. Rotation survives a crash at any instant: the nonce is saved before the call,
/// the new refresh token after it.
pub struct RefreshedTokens {
    api: AccountApi,
    state: Mutex<RefreshState>,
    save: Arc<SaveRefresh>,
}

impl RefreshedTokens {
    /// Goes on from a saved state.
    pub fn new(api: AccountApi, state: RefreshState, save: Arc<SaveRefresh>) -> Self {
        RefreshedTokens { api, state: Mutex::new(state), save }
    }

    async fn rotate(&self) -> Result<Grant, TokenRefused> {
        let mut state = self.state.lock().await;
        let nonce = match &state.nonce {
            Some(begun) => begun.clone(),
            None => new_nonce()?,
        };
        state.nonce = Some(nonce.clone());
        self.keep(&state)?;
        let grant = self.api.refresh(&state.refresh_token, &nonce).await.map_err(|error| match error {
            AccountError::Refused { status: 400..=499, .. } if !error.can_retry() => TokenRefused::SignedOut,
            _ => TokenRefused::Unavailable,
        })?;
        *state = RefreshState { refresh_token: grant.refresh_token.clone(), nonce: None };
        self.keep(&state)?;
        Ok(grant)
    }

    fn keep(&self, state: &RefreshState) -> Result<(), TokenRefused> {
        (self.save)(state).map_err(|error| {
            tracing::error!(%error, "cannot save the refresh token");
            TokenRefused::Unavailable
        })
    }
}

impl Tokens for RefreshedTokens {
    fn next(&self) -> BoxFuture<'_, Result<String, TokenRefused>> {
        Box::pin(async { self.rotate().await.map(|grant| grant.access_token) })
    }
}

/// 32 hexadecimal digits.
fn new_nonce() -> Result<String, TokenRefused> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| TokenRefused::Unavailable)?;
    Ok(format!("{:032x}", u128::from_le_bytes(random)))
}
