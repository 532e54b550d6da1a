//! The handlers: JSON in, a use case, JSON out.

use anser_model::DeviceId;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::body::{Caller, CameFrom, JsonBody, NoBody};
use super::{ApiError, HttpState};
use crate::accounts::{
    AccessError, AccountView, DeviceKind, ListedDevice, Profile, ProfileChange, Registration, Secret, SignIn,
    SignedIn,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    handle: String,
    password: Secret,
    name: String,
    invitation: Option<Secret>,
    device_name: String,
    device_kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInBody {
    handle: String,
    password: Secret,
    device_name: String,
    device_kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    refresh_token: Secret,
    nonce: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    old_password: Secret,
    new_password: Secret,
}

/// The answer to whoever came in. Ids are strings: JSON's numbers end at 2⁵³ in most programs.
#[derive(Serialize)]
pub struct SessionBody {
    account: String,
    device: String,
    access_token: Secret,
    access_expires_in_s: u64,
    refresh_token: Secret,
}

impl From<SignedIn> for SessionBody {
    fn from(signed_in: SignedIn) -> Self {
        SessionBody {
            account: signed_in.account.to_string(),
            device: signed_in.device.to_string(),
            access_token: signed_in.access_token,
            access_expires_in_s: signed_in.access_expires_in_s,
            refresh_token: signed_in.refresh_token,
        }
    }
}

#[derive(Serialize)]
pub struct DevicesBody {
    devices: Vec<DeviceBody>,
}

#[derive(Serialize)]
struct DeviceBody {
    device: String,
    name: String,
    kind: &'static str,
    created_at_ms: u64,
    last_seen_at_ms: u64,
    current: bool,
}

impl From<ListedDevice> for DeviceBody {
    fn from(listed: ListedDevice) -> Self {
        DeviceBody {
            device: listed.device.to_string(),
            name: listed.name,
            kind: listed.kind.as_str(),
            created_at_ms: listed.created_at.0,
            last_seen_at_ms: listed.last_seen_at.0,
            current: listed.current,
        }
    }
}

#[derive(Serialize)]
pub struct PersonBody {
    account: String,
    handle: String,
    name: String,
    avatar: String,
    bio: String,
    version: u64,
}

impl From<Profile> for PersonBody {
    fn from(profile: Profile) -> Self {
        PersonBody {
            account: profile.account.to_string(),
            handle: profile.handle,
            name: profile.name,
            avatar: profile.avatar,
            bio: profile.bio,
            version: profile.version,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileChangeBody {
    name: Option<String>,
    avatar: Option<String>,
    bio: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeactivateBody {
    password: Secret,
}

/// One's own account: what others see of it, and what only oneself does.
#[derive(Serialize)]
pub struct OwnProfileBody {
    #[serde(flatten)]
    person: PersonBody,
    admin: bool,
    created_at_ms: u64,
}

impl From<AccountView> for OwnProfileBody {
    fn from(view: AccountView) -> Self {
        let AccountView { profile, admin, created_at, .. } = view;
        OwnProfileBody { person: profile.into(), admin, created_at_ms: created_at.0 }
    }
}

#[derive(Serialize)]
pub struct InvitationBody {
    invitation: Secret,
    expires_at_ms: u64,
}

pub async fn register(
    State(state): State<HttpState>,
    CameFrom(address): CameFrom,
    JsonBody(body): JsonBody<RegisterBody>,
) -> Result<(StatusCode, Json<SessionBody>), ApiError> {
    let RegisterBody { handle, password, name, invitation, device_name, device_kind } = body;
    let device_kind = kind_named(device_kind)?;
    let registration = Registration { handle, password, name, invitation, device_name, device_kind };
    let signed_in = state.accounts.register(registration, address).await?;
    Ok((StatusCode::CREATED, Json(signed_in.into())))
}

pub async fn sign_in(
    State(state): State<HttpState>,
    CameFrom(address): CameFrom,
    JsonBody(body): JsonBody<SignInBody>,
) -> Result<Json<SessionBody>, ApiError> {
    let SignInBody { handle, password, device_name, device_kind } = body;
    let device_kind = kind_named(device_kind)?;
    let sign_in = SignIn { handle, password, device_name, device_kind };
    let signed_in = state.accounts.sign_in(sign_in, address).await?;
    Ok(Json(signed_in.into()))
}

pub async fn refresh(
    State(state): State<HttpState>,
    CameFrom(address): CameFrom,
    JsonBody(body): JsonBody<RefreshBody>,
) -> Result<Json<SessionBody>, ApiError> {
    let signed_in = state.accounts.refresh(&body.refresh_token, &body.nonce, address).await?;
    Ok(Json(signed_in.into()))
}

pub async fn sign_out(
    State(state): State<HttpState>,
    Caller(session): Caller,
    NoBody: NoBody,
) -> Result<StatusCode, ApiError> {
    state.accounts.sign_out(&session).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn change_password(
    State(state): State<HttpState>,
    Caller(session): Caller,
    JsonBody(body): JsonBody<PasswordBody>,
) -> Result<Json<SessionBody>, ApiError> {
    let changed = state.accounts.change_password(&session, body.old_password, body.new_password).await?;
    Ok(Json(changed.into()))
}

pub async fn list_devices(
    State(state): State<HttpState>,
    Caller(session): Caller,
) -> Result<Json<DevicesBody>, ApiError> {
    let devices = state.accounts.devices(&session).await?;
    Ok(Json(DevicesBody { devices: devices.into_iter().map(DeviceBody::from).collect() }))
}

pub async fn revoke_device(
    State(state): State<HttpState>,
    Caller(session): Caller,
    device: Result<Path<String>, PathRejection>,
    NoBody: NoBody,
) -> Result<StatusCode, ApiError> {
    // Whatever is no number is no device of theirs.
    let device = device.ok().and_then(|Path(device)| device.parse().ok()).map(DeviceId);
    let device = device.ok_or(AccessError::NotFound("device"))?;
    state.accounts.revoke_device(&session, device).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn look_up(
    State(state): State<HttpState>,
    Caller(session): Caller,
    handle: Result<Path<String>, PathRejection>,
) -> Result<Json<PersonBody>, ApiError> {
    let Path(handle) = handle.map_err(|_| AccessError::NotFound("person"))?;
    let person = state.accounts.look_up(&session, &handle).await?;
    Ok(Json(person.into()))
}

pub async fn own_profile(
    State(state): State<HttpState>,
    Caller(session): Caller,
) -> Result<Json<OwnProfileBody>, ApiError> {
    Ok(Json(state.accounts.own_profile(&session).await?.into()))
}

pub async fn change_profile(
    State(state): State<HttpState>,
    Caller(session): Caller,
    JsonBody(body): JsonBody<ProfileChangeBody>,
) -> Result<Json<OwnProfileBody>, ApiError> {
    let ProfileChangeBody { name, avatar, bio } = body;
    let change = ProfileChange { name, avatar, bio };
    Ok(Json(state.accounts.change_profile(&session, change).await?.into()))
}

pub async fn deactivate(
    State(state): State<HttpState>,
    Caller(session): Caller,
    JsonBody(body): JsonBody<DeactivateBody>,
) -> Result<StatusCode, ApiError> {
    state.accounts.deactivate_self(&session, body.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The kind of that name; a terminal where none is told, as before there were kinds.
fn kind_named(name: Option<String>) -> Result<DeviceKind, AccessError> {
    let Some(name) = name else { return Ok(DeviceKind::default()) };
    DeviceKind::named(&name).ok_or_else(|| {
        let kinds = DeviceKind::ALL.map(DeviceKind::as_str).join(", ");
        AccessError::bad("device_kind", format!("is none of {kinds}"))
    })
}

pub async fn invite(
    State(state): State<HttpState>,
    Caller(session): Caller,
    NoBody: NoBody,
) -> Result<(StatusCode, Json<InvitationBody>), ApiError> {
    let invitation = state.accounts.invite(&session).await?;
    let body = InvitationBody { invitation: invitation.secret, expires_at_ms: invitation.expires_at.0 };
    Ok((StatusCode::CREATED, Json(body)))
}
