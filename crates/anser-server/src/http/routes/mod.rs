//! The operations, one file for each family of them.

mod accounts;
mod conversations;
mod groups;
mod keys;
mod messages;
mod passing;
mod server;
mod sync;

use anser_proto::ErrorCode;
use axum::Router;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::HttpState;
use super::api::Api;
use super::scalars::{CommandId, Conversation, ConversationName};

pub use sync::Waiting;

/// What a command with a client id may be refused with.
const COMMAND: &[ErrorCode] = &[
    ErrorCode::NotFound,
    ErrorCode::NotAllowed,
    ErrorCode::NoLongerMember,
    ErrorCode::ClientIdTooOld,
    ErrorCode::ClientIdInFuture,
    ErrorCode::ClientIdReused,
];

/// A conversation that may not be there yet.
#[derive(Deserialize, JsonSchema)]
struct InConversation {
    conversation: ConversationName,
}

/// A group.
#[derive(Deserialize, JsonSchema)]
struct InGroup {
    conversation: Conversation,
}

/// A command that says all with its address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OnlyClientId {
    client_id: CommandId,
}

/// All routes, and the document.
pub fn all() -> (Router<HttpState>, Value) {
    let mut api = Api::new();
    accounts::add(&mut api);
    conversations::add(&mut api);
    groups::add(&mut api);
    messages::add(&mut api);
    passing::add(&mut api);
    sync::add(&mut api);
    server::add(&mut api);
    keys::add(&mut api);
    api.finish()
}
