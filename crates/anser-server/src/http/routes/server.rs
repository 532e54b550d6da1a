//! What application servers do, with an API key: accounts, tokens, and messages in the name of the system or of
//! an account. Everything is idempotent: accounts by handle, tokens by device key, messages by client id.

use anser_model::{AccountId, DeviceId};
use anser_proto::ErrorCode;
use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::super::api::{Api, Created, Nothing};
use super::super::body::{At, JsonBody, KeyHolder, NoBody};
use super::super::error::ERROR_MESSAGE_CHARS;
use super::super::facts::{self, AcceptedBody};
use super::super::kinds::MessageToSend;
use super::super::scalars::{Account, CommandId, Conversation};
use super::super::texts::{Avatar, Bio, DeviceKey, Handle, KnownSecret, Name, Title};
use super::super::{ApiError, HttpState};
use super::COMMAND;
use super::accounts::{KindOfDevice, PersonBody, SessionBody};
use super::groups::Members;
use crate::accounts::{Grant, IMPORTED_PER_CALL, Imported, NewPerson, Scope, TokenRequest};

/// Bytes of the longest import: a thousand accounts, each with all that it may have.
const IMPORT_BYTES: usize = 4 * 1024 * 1024;

/// Adds the operations.
pub fn add(api: &mut Api) {
    use ErrorCode as E;
    api.section("Application servers", "Accounts, tokens and messages, with an API key of the right scope.");
    api.on((Method::POST, "/server/accounts"), ("importAccounts", "Bring accounts along"), import)
        .about(
            "Scope accounts. Each account is made, found as the same request made it before, or refused for \
             itself; the answers come in the order asked for.",
        )
        .fails(&[E::NotAllowed]);
    let path = "/server/accounts/{account}";
    api.on((Method::GET, path), ("viewAccount", "One account"), view)
        .about("Scope accounts.")
        .fails(&[E::NotAllowed, E::NotFound]);
    let path = "/server/accounts/{account}/deactivate";
    api.on((Method::POST, path), ("deactivateAccount", "Let nobody in on an account any more"), deactivate)
        .about("Scope accounts. Not for administrators.")
        .fails(&[E::NotAllowed, E::NotFound]);
    let path = "/server/accounts/{account}/reactivate";
    api.on((Method::POST, path), ("reactivateAccount", "Let an account in again"), reactivate)
        .about("Scope accounts. Not for administrators.")
        .fails(&[E::NotAllowed, E::NotFound]);
    let path = "/server/accounts/{account}/tokens";
    api.on((Method::POST, path), ("issueTokens", "Get tokens for a device of an account"), tokens)
        .about(
            "Scope tokens. A live device with the same key stays the same device. Not for administrators, nor \
             for the system account.",
        )
        .fails(&[E::NotAllowed, E::NotFound, E::AccountDeactivated]);
    api.on(
        (Method::POST, "/server/messages"),
        ("sendAs", "Say something as the system or as an account"),
        send,
    )
    .about("Scope messages. The system may speak in groups without being a member.")
    .fails(COMMAND)
    .fails(&[E::TooManyConversations, E::AccountDeactivated])
    .fails_as(StatusCode::CONFLICT, E::BadValue);
    api.on(
        (Method::POST, "/server/groups"),
        ("createGroupAs", "Make a group in somebody's name"),
        create_group,
    )
    .about("Scope messages. Whoever it is made for owns it.")
    .fails(COMMAND)
    .fails(&[E::TooManyMembers, E::TooManyConversations, E::AccountDeactivated])
    .fails_as(StatusCode::CONFLICT, E::BadValue);
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportBody {
    #[serde(deserialize_with = "at_once")]
    #[schemars(length(min = 1, max = IMPORTED_PER_CALL))]
    accounts: Vec<PersonToImport>,
}

fn at_once<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PersonToImport>, D::Error> {
    let people = Vec::deserialize(from)?;
    match (1..=IMPORTED_PER_CALL).contains(&people.len()) {
        true => Ok(people),
        false => {
            let what = format!("holds {} accounts, 1 to {IMPORTED_PER_CALL} are allowed", people.len());
            Err(serde::de::Error::custom(what))
        }
    }
}

/// An account to bring along. The same one asked again is the same account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PersonToImport {
    handle: Handle,
    name: Name,
    avatar: Option<Avatar>,
    bio: Option<Bio>,
    /// An argon2id hash in the PHC string format; without it nobody signs in with a password.
    password_hash: Option<KnownSecret>,
}

#[derive(Serialize, JsonSchema)]
pub struct ImportedBody {
    /// One for each account asked for, in the same order.
    #[schemars(length(max = IMPORTED_PER_CALL))]
    accounts: Vec<ImportedOne>,
}

/// What became of one account.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum ImportedOne {
    /// It was made now.
    Made { account: Account },
    /// The same request had made it before.
    Known { account: Account },
    /// It was not made.
    Refused {
        /// A name of the error catalogue.
        #[schemars(length(max = 64))]
        code: &'static str,
        #[schemars(length(max = ERROR_MESSAGE_CHARS))]
        message: String,
    },
}

pub async fn import(
    State(state): State<HttpState>,
    KeyHolder(key): KeyHolder,
    JsonBody(body): JsonBody<ImportBody, IMPORT_BYTES>,
) -> Result<Json<ImportedBody>, ApiError> {
    let people = body.accounts.into_iter().map(|person| NewPerson {
        handle: person.handle.0,
        name: person.name.0,
        avatar: person.avatar.map(|Avatar(avatar)| avatar).unwrap_or_default(),
        bio: person.bio.map(|Bio(bio)| bio).unwrap_or_default(),
        password_hash: person.password_hash.map(|KnownSecret(hash)| hash),
    });
    let outcomes = state.accounts.administration().import(key.authority()?, people.collect()).await?;
    let accounts = outcomes.into_iter().map(|outcome| match outcome {
        Ok(Imported { account, made: true }) => ImportedOne::Made { account: Account(account) },
        Ok(Imported { account, made: false }) => ImportedOne::Known { account: Account(account) },
        Err(error) => ImportedOne::Refused { code: error.code().as_str(), message: error.to_string() },
    });
    Ok(Json(ImportedBody { accounts: accounts.collect() }))
}

#[derive(Deserialize, JsonSchema)]
pub struct OfAccount {
    account: Account,
}

/// An account as application servers see it.
#[derive(Serialize, JsonSchema)]
pub struct AccountBody {
    profile: PersonBody,
    deactivated: bool,
    /// It can sign in with a password.
    has_password: bool,
}

pub async fn view(
    State(state): State<HttpState>,
    KeyHolder(key): KeyHolder,
    At(path): At<OfAccount>,
) -> Result<Json<AccountBody>, ApiError> {
    let view = state.accounts.administration().view(key.authority()?, path.account.0).await?;
    let (deactivated, has_password) = (view.profile.deactivated, view.has_password);
    Ok(Json(AccountBody { profile: view.profile.into(), deactivated, has_password }))
}

pub async fn deactivate(
    State(state): State<HttpState>,
    KeyHolder(key): KeyHolder,
    At(path): At<OfAccount>,
    NoBody: NoBody,
) -> Result<Nothing, ApiError> {
    state.accounts.administration().deactivate(key.authority()?, path.account.0).await?;
    Ok(Nothing)
}

pub async fn reactivate(
    State(state): State<HttpState>,
    KeyHolder(key): KeyHolder,
    At(path): At<OfAccount>,
    NoBody: NoBody,
) -> Result<Nothing, ApiError> {
    state.accounts.administration().reactivate(key.authority()?, path.account.0).await?;
    Ok(Nothing)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokensBody {
    device_key: DeviceKey,
    device_name: Name,
    device_kind: Option<KindOfDevice>,
}

pub async fn tokens(
    State(state): State<HttpState>,
    KeyHolder(key): KeyHolder,
    At(path): At<OfAccount>,
    JsonBody(body): JsonBody<TokensBody>,
) -> Result<Json<SessionBody>, ApiError> {
    let asked = TokenRequest {
        account: path.account.0,
        device_key: body.device_key.0,
        device_name: body.device_name.0,
        device_kind: body.device_kind.unwrap_or_default().0,
    };
    Ok(Json(state.accounts.issue_tokens(&key, asked).await?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendAsBody {
    client_id: CommandId,
    /// Who says it; absent: the system.
    from: Option<Account>,
    to: Addressee,
    message: MessageToSend,
}

/// To whom.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Addressee {
    /// The direct conversation with this account.
    Account(Account),
    /// A conversation that is there.
    Conversation(Conversation),
}

/// In whose name a key speaks: the system's, or that of an account that is there and may sign in.
async fn speaker(
    state: &HttpState,
    key: &crate::accounts::ApiCaller,
    from: Option<Account>,
) -> Result<Grant, ApiError> {
    key.require(Scope::Messages)?;
    let account = from.map_or(AccountId::SYSTEM, |Account(account)| account);
    state.accounts.may_be_spoken_for(account).await?;
    Ok(Grant { account, device: DeviceId(0), account_version: 0, device_version: 0 })
}

pub async fn send(
    State(state): State<HttpState>,
    KeyHolder(key): KeyHolder,
    JsonBody(body): JsonBody<SendAsBody>,
) -> Result<Created<AcceptedBody>, ApiError> {
    let grant = speaker(&state, &key, body.from).await?;
    let to = match body.to {
        Addressee::Account(Account(peer)) => v1::Target::peer(peer),
        Addressee::Conversation(Conversation(cid)) => v1::Target::cid(cid),
    };
    let send =
        v1::Send { to: Some(to), client_id: body.client_id.bytes(), message: Some(body.message.wire()?) };
    facts::accepted(state.messaging.ask(grant, Request::Send(send)).await?).map(Created)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroupAsBody {
    client_id: CommandId,
    /// Whose group it is to be; absent: the system's.
    from: Option<Account>,
    title: Title,
    /// Others who are members from the start.
    #[serde(default)]
    #[schemars(with = "Vec<Account>", length(max = anser_model::limits::MEMBERS_PER_COMMAND))]
    members: Members,
    /// Whether those who join later see what was before.
    #[serde(default)]
    history_visible: bool,
    /// Only admins and the owner are to write.
    #[serde(default)]
    channel: bool,
}

pub async fn create_group(
    State(state): State<HttpState>,
    KeyHolder(key): KeyHolder,
    JsonBody(body): JsonBody<CreateGroupAsBody>,
) -> Result<Created<AcceptedBody>, ApiError> {
    let grant = speaker(&state, &key, body.from).await?;
    let create = v1::CreateGroup {
        client_id: body.client_id.bytes(),
        title: body.title.0,
        members: body.members.numbers(),
        history_visible: body.history_visible,
        channel: body.channel,
        ..v1::CreateGroup::default()
    };
    facts::accepted(state.messaging.ask(grant, Request::CreateGroup(create)).await?).map(Created)
}
