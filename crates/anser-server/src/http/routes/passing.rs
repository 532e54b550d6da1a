//! What is of use only now: who types, and who is there.

use anser_proto::ErrorCode;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::{self, response::Result as Wire};
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::api::{Api, Nothing};
use super::super::body::{At, Caller, NoBody, Params};
use super::super::facts;
use super::super::scalars::{Account, Whole};
use super::super::{ApiError, HttpState};
use super::InConversation;
use super::conversations::{AccountList, PROFILES};

/// Adds the operations.
pub fn add(api: &mut Api) {
    use ErrorCode as E;
    api.section("What passes", "Of use only now, and kept nowhere.");
    let path = "/conversations/{conversation}/typing";
    api.on((Method::POST, path), ("typing", "Say that one is typing"), typing)
        .about("Say it again every 4 seconds while it goes on. In a channel for admins and the owner.")
        .fails(&[E::NotFound, E::NoLongerMember, E::NotAllowed])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/presence";
    api.on((Method::GET, path), ("listPresence", "Who of a conversation is there"), presence)
        .about(
            "Of a direct conversation the other one once it has written there, of a group present members; in a \
             channel for admins and the owner. Others, and those who do not tell, are left out.",
        )
        .fails(&[E::NotFound, E::NoLongerMember, E::NotAllowed])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
}

pub async fn typing(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    NoBody: NoBody,
) -> Result<Nothing, ApiError> {
    let typing = v1::Typing { r#in: Some(path.conversation.target()) };
    match state.ask(&session, Request::Typing(typing)).await? {
        Wire::Done(_) => Ok(Nothing),
        _ => Err(facts::broken("nothing that is to be said")),
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct PresenceParams {
    /// Of whom, separated by commas.
    accounts: AccountList,
}

/// Who is there.
#[derive(Serialize, JsonSchema)]
pub struct PresenceListBody {
    #[schemars(length(max = PROFILES))]
    presences: Vec<PresenceBody>,
}

/// Whether somebody is there.
#[derive(Serialize, JsonSchema)]
struct PresenceBody {
    account: Account,
    /// One of its devices is connected, or was seconds ago.
    online: bool,
    /// When it was last connected, in milliseconds since 1970. 0: it is there now, or never was.
    last_seen_at_ms: Whole,
    /// The version of its profile.
    profile_version: Whole,
}

pub async fn presence(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    Params(params): Params<PresenceParams>,
) -> Result<Json<PresenceListBody>, ApiError> {
    let asked = v1::Watch { r#in: Some(path.conversation.target()), accounts: params.accounts.0 };
    let Wire::PresenceList(list) = state.ask(&session, Request::Watch(asked)).await? else {
        return Err(facts::broken("a list of who is there"));
    };
    let presences = list.presences.into_iter().filter_map(|presence| {
        Some(PresenceBody {
            account: facts::account(presence.account)?,
            online: presence.online,
            last_seen_at_ms: Whole(presence.last_seen_at_ms),
            profile_version: Whole(presence.profile_version),
        })
    });
    Ok(Json(PresenceListBody { presences: presences.collect() }))
}
