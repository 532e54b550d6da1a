//! Groups: made, named, and who is in them.

use anser_model::limits::MEMBERS_PER_COMMAND;
use anser_proto::ErrorCode;
use anser_proto::v1::client_frame::Request;
use anser_proto::{v1, wire};
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::super::api::{Api, Created};
use super::super::body::{At, Caller, JsonBody, Params};
use super::super::facts::{self, AcceptedBody, Role};
use super::super::scalars::{Account, CommandId, Conversation};
use super::super::texts::{Avatar, Title};
use super::super::{ApiError, HttpState};
use super::{COMMAND, InGroup, OnlyClientId};

/// Adds the operations.
pub fn add(api: &mut Api) {
    use ErrorCode as E;
    api.section("Groups", "Groups: made, named, and who is in them.");
    api.on((Method::POST, "/conversations"), ("createGroup", "Make a group"), create)
        .fails(COMMAND)
        .fails(&[E::TooManyMembers, E::TooManyConversations]);
    let members = "/conversations/{conversation}/members";
    api.on((Method::POST, members), ("addMembers", "Bring people into a group"), add_members)
        .fails(COMMAND)
        .fails(&[E::AlreadyMember, E::TooManyMembers, E::TooManyConversations])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let member = "/conversations/{conversation}/members/{account}";
    api.on((Method::DELETE, member), ("removeMember", "Put somebody out of a group"), remove_member)
        .fails(COMMAND)
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let role = "/conversations/{conversation}/members/{account}/role";
    api.on((Method::PUT, role), ("setRole", "Give a member a role"), set_role)
        .fails(COMMAND)
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/leave";
    api.on((Method::POST, path), ("leaveGroup", "Leave a group"), leave)
        .about("When the owner leaves, the longest-serving admin, else member, becomes owner.")
        .fails(COMMAND)
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/title";
    api.on((Method::PUT, path), ("renameGroup", "Give a group another title"), rename)
        .fails(COMMAND)
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/avatar";
    api.on((Method::PUT, path), ("setGroupAvatar", "Give a group or a channel another picture"), set_avatar)
        .fails(COMMAND)
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/history-visible";
    let summary = "Decide what those who join from now on see of the past";
    api.on((Method::PUT, path), ("setHistoryVisible", summary), set_history_visible)
        .fails(COMMAND)
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/dissolve";
    api.on((Method::POST, path), ("dissolveGroup", "End a group or a channel for everybody"), dissolve)
        .fails(COMMAND)
        .fails_as(StatusCode::CONFLICT, E::BadValue);
}

/// Some accounts, none or more.
#[derive(Debug, Default)]
pub struct Members(Vec<u64>);

impl Members {
    /// As frames carry them.
    pub fn numbers(self) -> Vec<u64> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let accounts = Vec::<Account>::deserialize(from)?;
        match accounts.len() <= MEMBERS_PER_COMMAND {
            true => Ok(Members(accounts.into_iter().map(|Account(account)| account.0).collect())),
            false => Err(serde::de::Error::custom(format!(
                "at most {MEMBERS_PER_COMMAND} accounts, not {}",
                accounts.len()
            ))),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBody {
    client_id: CommandId,
    title: Title,
    /// Others who are members from the start.
    #[serde(default)]
    #[schemars(with = "Vec<Account>", length(max = MEMBERS_PER_COMMAND))]
    members: Members,
    /// Whether those who join later see what was before.
    #[serde(default)]
    history_visible: bool,
    /// Only admins and the owner are to write.
    #[serde(default)]
    channel: bool,
    avatar: Option<Avatar>,
}

pub async fn create(
    State(state): State<HttpState>,
    Caller(session): Caller,
    JsonBody(body): JsonBody<CreateBody>,
) -> Result<Created<AcceptedBody>, ApiError> {
    let create = v1::CreateGroup {
        client_id: body.client_id.bytes(),
        title: body.title.0,
        members: body.members.numbers(),
        history_visible: body.history_visible,
        channel: body.channel,
        avatar: body.avatar.map(|Avatar(avatar)| avatar).unwrap_or_default(),
    };
    facts::accepted(state.ask(&session, Request::CreateGroup(create)).await?).map(Created)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddBody {
    client_id: CommandId,
    #[serde(deserialize_with = "somebody")]
    #[schemars(with = "Vec<Account>", length(min = 1, max = MEMBERS_PER_COMMAND))]
    members: Members,
}

fn somebody<'de, D: Deserializer<'de>>(from: D) -> Result<Members, D::Error> {
    let members = Members::deserialize(from)?;
    match members.0.is_empty() {
        true => Err(serde::de::Error::custom("name at least one account")),
        false => Ok(members),
    }
}

pub async fn add_members(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InGroup>,
    JsonBody(body): JsonBody<AddBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let (cid, client_id) = (wire::cid_bytes(path.conversation.0), body.client_id.bytes());
    let add = v1::AddMembers { cid, client_id, members: body.members.numbers() };
    facts::accepted(state.ask(&session, Request::AddMembers(add)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
pub struct MemberPath {
    conversation: Conversation,
    account: Account,
}

#[derive(Deserialize, JsonSchema)]
pub struct ClientIdParam {
    /// A UUIDv7: the same one again has no second effect.
    client_id: CommandId,
}

pub async fn remove_member(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<MemberPath>,
    Params(params): Params<ClientIdParam>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let (cid, client_id) = (wire::cid_bytes(path.conversation.0), params.client_id.bytes());
    let remove = v1::RemoveMember { cid, client_id, member: path.account.0.0 };
    facts::accepted(state.ask(&session, Request::RemoveMember(remove)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    client_id: CommandId,
    role: Role,
}

pub async fn set_role(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<MemberPath>,
    JsonBody(body): JsonBody<RoleBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let set = v1::SetRole {
        cid: wire::cid_bytes(path.conversation.0),
        client_id: body.client_id.bytes(),
        member: path.account.0.0,
        role: body.role.wire() as i32,
    };
    facts::accepted(state.ask(&session, Request::SetRole(set)).await?).map(Json)
}

pub async fn leave(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InGroup>,
    JsonBody(body): JsonBody<OnlyClientId>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let leave = v1::Leave { cid: wire::cid_bytes(path.conversation.0), client_id: body.client_id.bytes() };
    facts::accepted(state.ask(&session, Request::Leave(leave)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TitleBody {
    client_id: CommandId,
    title: Title,
}

pub async fn rename(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InGroup>,
    JsonBody(body): JsonBody<TitleBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let (cid, client_id) = (wire::cid_bytes(path.conversation.0), body.client_id.bytes());
    let rename = v1::Rename { cid, client_id, title: body.title.0 };
    facts::accepted(state.ask(&session, Request::Rename(rename)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AvatarBody {
    client_id: CommandId,
    avatar: Avatar,
}

pub async fn set_avatar(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InGroup>,
    JsonBody(body): JsonBody<AvatarBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let (cid, client_id) = (wire::cid_bytes(path.conversation.0), body.client_id.bytes());
    let set = v1::SetAvatar { cid, client_id, avatar: body.avatar.0 };
    facts::accepted(state.ask(&session, Request::SetAvatar(set)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VisibleBody {
    client_id: CommandId,
    visible: bool,
}

pub async fn set_history_visible(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InGroup>,
    JsonBody(body): JsonBody<VisibleBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let (cid, client_id) = (wire::cid_bytes(path.conversation.0), body.client_id.bytes());
    let set = v1::SetHistoryVisible { cid, client_id, visible: body.visible };
    facts::accepted(state.ask(&session, Request::SetHistoryVisible(set)).await?).map(Json)
}

pub async fn dissolve(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InGroup>,
    JsonBody(body): JsonBody<OnlyClientId>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let dissolve =
        v1::Dissolve { cid: wire::cid_bytes(path.conversation.0), client_id: body.client_id.bytes() };
    facts::accepted(state.ask(&session, Request::Dissolve(dissolve)).await?).map(Json)
}
