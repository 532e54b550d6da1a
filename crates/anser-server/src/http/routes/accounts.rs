//! Coming in, devices, people: JSON in, a use case, JSON out.

use anser_core::ports::accounts::{DEVICES_PER_ACCOUNT, PresenceShown};
use anser_model::{AccountId, DeviceId};
use anser_proto::ErrorCode;
use axum::Json;
use axum::extract::State;
use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::api::{Api, Created, Nothing};
use super::super::body::{At, Caller, CameFrom, JsonBody, NoBody};
use super::super::scalars::{Account, Device, Whole};
use super::super::texts::{Avatar, Bio, Handle, KnownSecret, Name, NewPassword, Nonce};
use super::super::{ApiError, HttpState};
use crate::accounts::{
    AccessError, AccountView, DeviceKind, ListedDevice, Profile, ProfileChange, Registration, Secret, SignIn,
    SignedIn,
};

/// Adds the operations.
pub fn add(api: &mut Api) {
    use ErrorCode as E;
    api.section("Coming in", "Accounts, tokens and devices.");
    api.on((Method::POST, "/register"), ("register", "Register a new account"), register).fails(&[
        E::HandleTaken,
        E::InvitationRequired,
        E::InvitationSpent,
        E::RegistrationClosed,
    ]);
    api.on((Method::POST, "/sign-in"), ("signIn", "Sign in with a password, on a new device"), sign_in)
        .fails(&[E::WrongCredentials, E::AccountDeactivated]);
    api.on((Method::POST, "/refresh"), ("refresh", "Trade a refresh token for the next tokens"), refresh)
        .about(
            "The same nonce asked again gets the same answer; another nonce on a used token ends the device.",
        )
        .fails(&[E::Unauthenticated, E::Revoked, E::AccountDeactivated]);
    api.on((Method::POST, "/sign-out"), ("signOut", "Sign this device out"), sign_out);
    let summary = "Change the password, and sign all other devices out";
    api.on((Method::POST, "/password"), ("changePassword", summary), change_password)
        .fails(&[E::WrongCredentials]);
    api.on((Method::GET, "/devices"), ("listDevices", "The devices that are signed in"), list_devices);
    api.on((Method::DELETE, "/devices/{device}"), ("revokeDevice", "Sign a device out"), revoke_device)
        .fails(&[E::NotFound]);
    let summary = "Leave for good: nobody signs in on this account any more";
    api.on((Method::POST, "/deactivate"), ("deactivate", summary), deactivate)
        .fails(&[E::WrongCredentials, E::NotAllowed]);
    api.on((Method::POST, "/invitations"), ("invite", "Make an invitation"), invite).fails(&[
        E::NotAllowed,
        E::TooManyInvitations,
        E::RegistrationClosed,
    ]);
    api.section("People", "Who people are.");
    api.on((Method::GET, "/profile"), ("getProfile", "One's own account"), own_profile);
    api.on((Method::PATCH, "/profile"), ("changeProfile", "Change one's own profile"), change_profile);
    api.on((Method::GET, "/people/{handle}"), ("lookUp", "Find somebody by exact handle"), look_up)
        .fails(&[E::NotFound]);
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    handle: Handle,
    password: NewPassword,
    name: Name,
    /// Where one registers by invitation.
    invitation: Option<KnownSecret>,
    device_name: Name,
    device_kind: Option<KindOfDevice>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInBody {
    handle: Handle,
    password: KnownSecret,
    device_name: Name,
    device_kind: Option<KindOfDevice>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    refresh_token: KnownSecret,
    nonce: Nonce,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    old_password: KnownSecret,
    new_password: NewPassword,
}

/// The answer to whoever came in. Ids are strings: JSON's numbers end at 2⁵³ in most programs.
#[derive(Serialize, JsonSchema)]
pub struct SessionBody {
    account: Account,
    device: Device,
    /// For `Authorization: Bearer`, and for the socket.
    #[schemars(with = "String", length(max = 2_048))]
    access_token: Secret,
    /// For how many seconds it is good.
    access_expires_in_s: Whole,
    #[schemars(with = "String", length(max = 2_048))]
    refresh_token: Secret,
}

impl From<SignedIn> for SessionBody {
    fn from(signed_in: SignedIn) -> Self {
        SessionBody {
            account: Account(signed_in.account),
            device: Device(signed_in.device),
            access_token: signed_in.access_token,
            access_expires_in_s: Whole(signed_in.access_expires_in_s),
            refresh_token: signed_in.refresh_token,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct DevicesBody {
    #[schemars(length(max = DEVICES_PER_ACCOUNT))]
    devices: Vec<DeviceBody>,
}

#[derive(Serialize, JsonSchema)]
struct DeviceBody {
    device: Device,
    #[schemars(length(max = 64))]
    name: String,
    kind: KindOfDevice,
    created_at_ms: Whole,
    last_seen_at_ms: Whole,
    /// The one that asks.
    current: bool,
}

impl From<ListedDevice> for DeviceBody {
    fn from(listed: ListedDevice) -> Self {
        DeviceBody {
            device: Device(listed.device),
            name: listed.name,
            kind: KindOfDevice(listed.kind),
            created_at_ms: Whole(listed.created_at.0),
            last_seen_at_ms: Whole(listed.last_seen_at.0),
            current: listed.current,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct PersonBody {
    account: Account,
    #[schemars(length(max = 32))]
    handle: String,
    #[schemars(length(max = 64))]
    name: String,
    /// What clients show as a picture; empty: nothing.
    #[schemars(length(max = 256))]
    avatar: String,
    #[schemars(length(max = 1_024))]
    bio: String,
    /// Grows with every change.
    version: Whole,
}

impl From<Profile> for PersonBody {
    fn from(profile: Profile) -> Self {
        PersonBody {
            account: Account(profile.account),
            handle: profile.handle,
            name: profile.name,
            avatar: profile.avatar,
            bio: profile.bio,
            version: Whole(profile.version),
        }
    }
}

/// What a device is.
#[derive(Debug, Clone, Copy, Default)]
pub struct KindOfDevice(pub DeviceKind);
super::super::scalars::schema_of!(KindOfDevice, {
    "type": "string", "enum": DeviceKind::ALL.map(DeviceKind::as_str),
    "description": "What a device is; a terminal where it is not told.",
});

impl<'de> Deserialize<'de> for KindOfDevice {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        DeviceKind::named(&name).map(KindOfDevice).ok_or_else(|| {
            let kinds = DeviceKind::ALL.map(DeviceKind::as_str).join(", ");
            serde::de::Error::custom(format!("is none of {kinds}"))
        })
    }
}

impl Serialize for KindOfDevice {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

/// Who is told whether somebody is there, and since when not.
#[derive(Debug, Clone, Copy)]
pub struct ShownTo(pub PresenceShown);
super::super::scalars::schema_of!(ShownTo, {
    "type": "string", "enum": PresenceShown::ALL.map(PresenceShown::as_str),
    "description": "Who is told whether one is there, and when one was last: whoever is acquainted, or nobody.",
});

impl<'de> Deserialize<'de> for ShownTo {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let names = PresenceShown::ALL.map(PresenceShown::as_str).join(", ");
        PresenceShown::named(&name)
            .map(ShownTo)
            .ok_or_else(|| serde::de::Error::custom(format!("is none of {names}")))
    }
}

impl Serialize for ShownTo {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.as_str())
    }
}

/// What is not named stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChangeBody {
    name: Option<Name>,
    avatar: Option<Avatar>,
    bio: Option<Bio>,
    presence: Option<ShownTo>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeactivateBody {
    password: KnownSecret,
}

/// One's own account: what others see of it, and what only oneself does.
#[derive(Serialize, JsonSchema)]
pub struct OwnProfileBody {
    account: Account,
    #[schemars(length(max = 32))]
    handle: String,
    #[schemars(length(max = 64))]
    name: String,
    #[schemars(length(max = 256))]
    avatar: String,
    #[schemars(length(max = 1_024))]
    bio: String,
    /// Grows with every change.
    version: Whole,
    /// Runs the installation.
    admin: bool,
    /// Who is told whether it is there.
    presence: ShownTo,
    created_at_ms: Whole,
}

impl From<AccountView> for OwnProfileBody {
    fn from(view: AccountView) -> Self {
        let PersonBody { account, handle, name, avatar, bio, version } = view.profile.into();
        let created_at_ms = Whole(view.created_at.0);
        let (admin, presence) = (view.admin, ShownTo(view.presence));
        OwnProfileBody { account, handle, name, avatar, bio, version, admin, presence, created_at_ms }
    }
}

#[derive(Serialize, JsonSchema)]
pub struct InvitationBody {
    #[schemars(with = "String", length(max = 2_048))]
    invitation: Secret,
    expires_at_ms: Whole,
}

/// Whose address it is that is no number is nobody's, so that any text may come.
#[derive(Deserialize, JsonSchema)]
pub struct DevicePath {
    #[schemars(with = "Device")]
    device: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct HandlePath {
    #[schemars(with = "Handle")]
    handle: String,
}

impl From<anser_proto::v1::Profile> for PersonBody {
    fn from(profile: anser_proto::v1::Profile) -> Self {
        PersonBody {
            account: Account(AccountId(profile.account)),
            handle: profile.handle,
            name: profile.name,
            avatar: profile.avatar,
            bio: profile.bio,
            version: Whole(profile.version),
        }
    }
}

pub async fn register(
    State(state): State<HttpState>,
    CameFrom(address): CameFrom,
    JsonBody(body): JsonBody<RegisterBody>,
) -> Result<Created<SessionBody>, ApiError> {
    let RegisterBody { handle, password, name, invitation, device_name, device_kind } = body;
    let registration = Registration {
        handle: handle.0,
        password: password.0,
        name: name.0,
        invitation: invitation.map(|KnownSecret(invitation)| invitation),
        device_name: device_name.0,
        device_kind: device_kind.unwrap_or_default().0,
    };
    let signed_in = state.accounts.register(registration, address).await?;
    Ok(Created(signed_in.into()))
}

pub async fn sign_in(
    State(state): State<HttpState>,
    CameFrom(address): CameFrom,
    JsonBody(body): JsonBody<SignInBody>,
) -> Result<Json<SessionBody>, ApiError> {
    let SignInBody { handle, password, device_name, device_kind } = body;
    let sign_in = SignIn {
        handle: handle.0,
        password: password.0,
        device_name: device_name.0,
        device_kind: device_kind.unwrap_or_default().0,
    };
    let signed_in = state.accounts.sign_in(sign_in, address).await?;
    Ok(Json(signed_in.into()))
}

pub async fn refresh(
    State(state): State<HttpState>,
    CameFrom(address): CameFrom,
    JsonBody(body): JsonBody<RefreshBody>,
) -> Result<Json<SessionBody>, ApiError> {
    let signed_in = state.accounts.refresh(&body.refresh_token.0, &body.nonce.0, address).await?;
    Ok(Json(signed_in.into()))
}

pub async fn sign_out(
    State(state): State<HttpState>,
    Caller(session): Caller,
    NoBody: NoBody,
) -> Result<Nothing, ApiError> {
    state.accounts.sign_out(&session).await?;
    Ok(Nothing)
}

pub async fn change_password(
    State(state): State<HttpState>,
    Caller(session): Caller,
    JsonBody(body): JsonBody<PasswordBody>,
) -> Result<Json<SessionBody>, ApiError> {
    let changed = state.accounts.change_password(&session, body.old_password.0, body.new_password.0).await?;
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
    device: Result<At<DevicePath>, ApiError>,
    NoBody: NoBody,
) -> Result<Nothing, ApiError> {
    // Whatever is no number is no device of theirs.
    let device = device.ok().and_then(|At(path)| path.device.parse().ok()).map(DeviceId);
    let device = device.ok_or(AccessError::NotFound("device"))?;
    state.accounts.revoke_device(&session, device).await?;
    Ok(Nothing)
}

pub async fn look_up(
    State(state): State<HttpState>,
    Caller(session): Caller,
    handle: Result<At<HandlePath>, ApiError>,
) -> Result<Json<PersonBody>, ApiError> {
    let At(path) = handle.map_err(|_| AccessError::NotFound("person"))?;
    let person = state.accounts.look_up(&session, &path.handle).await?;
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
    let change = ProfileChange {
        name: body.name.map(|Name(name)| name),
        avatar: body.avatar.map(|Avatar(avatar)| avatar),
        bio: body.bio.map(|Bio(bio)| bio),
        presence: body.presence.map(|ShownTo(shown)| shown),
    };
    Ok(Json(state.accounts.change_profile(&session, change).await?.into()))
}

pub async fn deactivate(
    State(state): State<HttpState>,
    Caller(session): Caller,
    JsonBody(body): JsonBody<DeactivateBody>,
) -> Result<Nothing, ApiError> {
    state.accounts.deactivate_self(&session, body.password.0).await?;
    Ok(Nothing)
}

pub async fn invite(
    State(state): State<HttpState>,
    Caller(session): Caller,
    NoBody: NoBody,
) -> Result<Created<InvitationBody>, ApiError> {
    let invitation = state.accounts.invite(&session).await?;
    let expires_at_ms = Whole(invitation.expires_at.0);
    Ok(Created(InvitationBody { invitation: invitation.secret, expires_at_ms }))
}
