//! Conversations as the HTTP API asks for them, from the edge.

use std::time::Duration;

use anser_core::ports::PortFuture;
use anser_model::{AccountId, ConversationId, Slot};
use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Wire;

use crate::accounts::Grant;
use crate::edge::{Edge, Page, Polled};
use crate::http::Messaging;

/// The sessions of an edge, for those inside the process.
pub(super) struct Inside(pub(super) Edge);

impl Messaging for Inside {
    fn ask(&self, grant: Grant, request: Request) -> PortFuture<Result<Wire, v1::Error>> {
        let edge = self.0.clone();
        Box::pin(async move { edge.ask(grant, request).await })
    }

    fn poll(
        &self,
        token: String,
        cursor: v1::Cursor,
        wait: Duration,
    ) -> PortFuture<Result<Polled, v1::Error>> {
        let edge = self.0.clone();
        Box::pin(async move { edge.poll(token, cursor, wait).await })
    }

    fn conversations(
        &self,
        account: AccountId,
        from: Option<(Slot, ConversationId)>,
        limit: usize,
    ) -> PortFuture<Result<Page, v1::Error>> {
        let edge = self.0.clone();
        Box::pin(async move { edge.conversations(account, from, limit).await })
    }
}
