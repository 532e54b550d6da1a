//! Messages: said, read back, taken back.

use anser_proto::ErrorCode;
use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::api::{Api, Created};
use super::super::body::{At, Caller, JsonBody, Params};
use super::super::facts::{self, AcceptedBody, PageBody, VersionsBody};
use super::super::kinds::MessageToSend;
use super::super::scalars::{CommandId, ConversationName, Position, Timeline, Whole};
use super::super::{ApiError, HttpState};
use super::conversations::{Limit, usual_limit};
use super::{COMMAND, InConversation};

/// Adds the operations.
pub fn add(api: &mut Api) {
    use ErrorCode as E;
    api.section("Messages", "Messages: said, read back, taken back.");
    let path = "/conversations/{conversation}/messages";
    api.on((Method::POST, path), ("sendMessage", "Say something"), send)
        .about("A direct conversation comes to be with its first message.")
        .fails(COMMAND)
        .fails(&[E::TooManyConversations])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    api.on((Method::GET, path), ("listMessages", "A page of what happened in a conversation"), page)
        .about(
            "The newest ones, or from the oldest side when after_seq or from_oldest is given. With \
             changed_after_n only what came or changed since that n: then before_seq is given, and no more \
             seqs lie between the two than limit.",
        )
        .fails(&[E::NotFound])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/messages/{seq}";
    api.on((Method::PUT, path), ("editMessage", "Say something else in a message of one's own"), edit)
        .about(
            "Within 24 hours. Its kind stays the same; what it replies to, and whether it is counted or \
             forwarded, stays as it was and is left out.",
        )
        .fails(COMMAND)
        .fails(&[E::EditTooLate, E::ForeignTimeline, E::BeyondHead])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/messages/{seq}/versions";
    api.on((Method::GET, path), ("listVersions", "What a message said before it was edited"), versions)
        .fails(&[E::NotFound, E::NoLongerMember, E::BeyondHead])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
    let path = "/conversations/{conversation}/messages/{seq}/recall";
    api.on((Method::POST, path), ("recallMessage", "Take a message back"), recall)
        .about("One's own within two minutes; admins and the owner of a group any one at any time.")
        .fails(COMMAND)
        .fails(&[E::RecallTooLate, E::ForeignTimeline, E::BeyondHead])
        .fails_as(StatusCode::CONFLICT, E::BadValue);
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBody {
    pub client_id: CommandId,
    pub message: MessageToSend,
}

pub async fn send(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    JsonBody(body): JsonBody<SendBody>,
) -> Result<Created<AcceptedBody>, ApiError> {
    let send = v1::Send {
        to: Some(path.conversation.target()),
        client_id: body.client_id.bytes(),
        message: Some(body.message.wire()?),
    };
    facts::accepted(state.ask(&session, Request::Send(send)).await?).map(Created)
}

#[derive(Deserialize, JsonSchema)]
pub struct PageParams {
    /// Only what stands above this seq.
    #[serde(default)]
    after_seq: Whole,
    /// Only what stands below this seq; 0: no bound.
    #[serde(default)]
    before_seq: Whole,
    /// At most so many.
    #[serde(default = "usual_limit")]
    limit: Limit,
    /// Begin at the oldest one that the asker may see.
    #[serde(default)]
    from_oldest: bool,
    /// Only what came or changed above this n; 0: no bound.
    #[serde(default)]
    changed_after_n: Whole,
}

pub async fn page(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<InConversation>,
    Params(params): Params<PageParams>,
) -> Result<Json<PageBody>, ApiError> {
    let page = v1::GetPage {
        r#in: Some(path.conversation.target()),
        after_seq: params.after_seq.0,
        before_seq: params.before_seq.0,
        limit: params.limit.0,
        from_oldest: params.from_oldest,
        changed_after_n: params.changed_after_n.0,
    };
    facts::page(state.ask(&session, Request::GetPage(page)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
pub struct MessagePath {
    conversation: ConversationName,
    seq: Position,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecallBody {
    client_id: CommandId,
    /// The timeline that the seq belongs to.
    timeline: Timeline,
}

pub async fn recall(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<MessagePath>,
    JsonBody(body): JsonBody<RecallBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let recall = v1::Recall {
        r#in: Some(path.conversation.target()),
        client_id: body.client_id.bytes(),
        seq: path.seq.0,
        timeline: body.timeline.0,
    };
    facts::accepted(state.ask(&session, Request::Recall(recall)).await?).map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditBody {
    client_id: CommandId,
    /// The timeline that the seq belongs to.
    timeline: Timeline,
    /// What it is to say.
    message: MessageToSend,
}

pub async fn edit(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<MessagePath>,
    JsonBody(body): JsonBody<EditBody>,
) -> Result<Json<AcceptedBody>, ApiError> {
    let edit = v1::Edit {
        r#in: Some(path.conversation.target()),
        client_id: body.client_id.bytes(),
        seq: path.seq.0,
        timeline: body.timeline.0,
        message: Some(body.message.wire()?),
    };
    facts::accepted(state.ask(&session, Request::Edit(edit)).await?).map(Json)
}

pub async fn versions(
    State(state): State<HttpState>,
    Caller(session): Caller,
    At(path): At<MessagePath>,
) -> Result<Json<VersionsBody>, ApiError> {
    let asked = v1::GetVersions { r#in: Some(path.conversation.target()), seq: path.seq.0 };
    facts::versions(state.ask(&session, Request::GetVersions(asked)).await?).map(Json)
}
