//! API keys, for administrators.

use anser_proto::ErrorCode;
use axum::Json;
use axum::extract::State;
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::super::api::{Api, Created, Nothing};
use super::super::body::{At, Caller, JsonBody, NoBody};
use super::super::scalars::{Account, KeyId, Whole};
use super::super::texts::Name;
use super::super::{ApiError, HttpState};
use crate::accounts::{ApiKeyRow, KEYS_IN_FORCE, Scope, Scopes, Secret};

/// Rows that are listed: revoked ones are kept for a year.
const KEYS_LISTED: usize = 10_000;

/// Adds the operations.
pub fn add(api: &mut Api) {
    use ErrorCode as E;
    api.section("Running the installation", "API keys, for administrators.");
    api.on((Method::POST, "/admin/keys"), ("createKey", "Make an API key"), create)
        .about("Its text is shown once.")
        .fails(&[E::NotAllowed, E::TooManyKeys]);
    api.on((Method::GET, "/admin/keys"), ("listKeys", "All API keys, oldest first"), list)
        .fails(&[E::NotAllowed]);
    api.on((Method::DELETE, "/admin/keys/{key}"), ("revokeKey", "Let nobody in with a key any more"), revoke)
        .fails(&[E::NotAllowed, E::NotFound]);
}

/// One thing that a key allows.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ScopeName {
    /// Making, importing and deactivating accounts.
    Accounts,
    /// Issuing tokens for accounts.
    Tokens,
    /// Sending as the system, or as an account.
    Messages,
}

impl From<Scope> for ScopeName {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Accounts => ScopeName::Accounts,
            Scope::Tokens => ScopeName::Tokens,
            Scope::Messages => ScopeName::Messages,
        }
    }
}

impl From<ScopeName> for Scope {
    fn from(scope: ScopeName) -> Self {
        match scope {
            ScopeName::Accounts => Scope::Accounts,
            ScopeName::Tokens => Scope::Tokens,
            ScopeName::Messages => Scope::Messages,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyToMake {
    name: Name,
    #[serde(deserialize_with = "some")]
    #[schemars(length(min = 1, max = 3))]
    scopes: Vec<ScopeName>,
}

fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ScopeName>, D::Error> {
    let scopes = Vec::deserialize(from)?;
    match (1..=Scope::ALL.len()).contains(&scopes.len()) {
        true => Ok(scopes),
        false => Err(serde::de::Error::custom("name one to three of accounts, tokens, messages")),
    }
}

#[derive(Serialize, JsonSchema)]
pub struct KeyBody {
    key: KeyId,
    #[schemars(length(max = 64))]
    name: String,
    #[schemars(length(max = 3))]
    scopes: Vec<ScopeName>,
    /// Who made it; absent: the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<Account>,
    created_at_ms: Whole,
    /// When it was revoked, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at_ms: Option<Whole>,
}

impl From<ApiKeyRow> for KeyBody {
    fn from(row: ApiKeyRow) -> Self {
        KeyBody {
            key: KeyId(row.key),
            name: row.name,
            scopes: row.scopes.iter().map(ScopeName::from).collect(),
            author: row.author.map(Account),
            created_at_ms: Whole(row.created_at.0),
            revoked_at_ms: row.revoked_at.map(|at| Whole(at.0)),
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct NewKeyBody {
    key: KeyBody,
    /// What application servers come in with: `Authorization: Bearer ak_…`. Shown this once.
    #[schemars(with = "String", length(min = 46, max = 46))]
    secret: Secret,
}

pub async fn create(
    State(state): State<HttpState>,
    Caller(session): Caller,
    JsonBody(body): JsonBody<KeyToMake>,
) -> Result<Created<NewKeyBody>, ApiError> {
    let by = state.accounts.administrator(&session).await?;
    let scopes: Scopes = body.scopes.into_iter().map(Scope::from).collect();
    let made = state.accounts.administration().create_key(by, &body.name.0, scopes).await?;
    Ok(Created(NewKeyBody { key: made.row.into(), secret: made.secret }))
}

#[derive(Serialize, JsonSchema)]
pub struct KeysBody {
    #[schemars(length(max = KEYS_LISTED))]
    keys: Vec<KeyBody>,
    /// So many may be in force.
    in_force_at_most: Whole,
}

pub async fn list(
    State(state): State<HttpState>,
    Caller(session): Caller,
) -> Result<Json<KeysBody>, ApiError> {
    let by = state.accounts.administrator(&session).await?;
    let mut rows = state.accounts.administration().keys(by).await?;
    // The newest of more than anybody made by hand.
    rows.drain(..rows.len().saturating_sub(KEYS_LISTED));
    let keys = rows.into_iter().map(KeyBody::from).collect();
    Ok(Json(KeysBody { keys, in_force_at_most: Whole(KEYS_IN_FORCE as u64) }))
}

#[derive(Deserialize, JsonSchema)]
pub struct KeyPath {
    key: KeyId,
}

pub async fn revoke(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<KeyPath>,
    NoBody: NoBody,
) -> Result<Nothing, ApiError> {
    let by = state.accounts.administrator(&session).await?;
    state.accounts.administration().revoke_key(by, path.key.0).await?;
    Ok(Nothing)
}
