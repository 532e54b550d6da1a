//! Frames from a client, one after the other: most go to the core without waiting for anything.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anser_core::engine::{Answer, Query, ReplyTo};
use anser_model::{AccountId, Actor, Command, ConversationId, Refusal};
use anser_proto::v1::client_frame::Request;
use anser_proto::{Encoding, ErrorCode, v1, wire};

use super::EdgeShared;
use super::connection::Connection;
use super::convert::{self, Wanted};
use super::ws::{CloseCode, MessageKind};

/// Accounts in one request for profiles, and conversations in one for heads.
const ASKED_AT_ONCE: usize = 200;
/// Bytes of heads in one answer.
const LIST_BYTES: usize = 512 * 1024;

/// What is left to do of a message, before the next one is taken. Boxed, and only where there is some:
/// every connection would else carry room for the largest request while it is idle.
pub(super) type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

impl EdgeShared {
    /// Takes one message. What it leads to is answered later, or queued on the connection.
    pub(super) fn message(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Option<Rest> {
        let encoding = match kind {
            MessageKind::Text => Encoding::Json,
            MessageKind::Binary => Encoding::Binary,
        };
        let attached = {
            let state = connection.state();
            state.attached.as_ref().map(|attached| Actor {
                account: attached.grant.account,
                device: attached.grant.device,
                profile_version: attached.profile_version,
            })
        };
        if attached.is_none() {
            connection.speak(encoding);
        }
        let frame = match anser_proto::decode_client(bytes, encoding) {
            Ok(frame) => frame,
            Err(error) => {
                self.refuse_and_close(connection, 0, v1::Error::new(error.code(), error.to_string()));
                return None;
            }
        };
        if frame.id == 0 {
            let error = v1::Error::new(ErrorCode::BadRequestId, "a request id is above 0");
            connection.push_frame(&v1::ServerFrame::error(0, error));
            return None;
        }
        let id = frame.id;
        let Some(request) = frame.request else {
            let error = v1::Error::new(
                ErrorCode::UnknownRequest,
                "the frame holds no request that this version knows",
            );
            self.refuse(connection, id, error);
            return None;
        };
        match (attached, request) {
            (None, Request::Hello(hello)) => {
                let (edge, connection) = (self.clone(), connection.clone());
                return Some(Box::pin(async move {
                    if let Err(error) = edge.hello(&connection, id, hello).await {
                        edge.refuse_and_close(&connection, id, error);
                    }
                }));
            }
            (None, _) => {
                let error =
                    v1::Error::new(ErrorCode::HelloRequired, "the first frame of a connection is hello");
                self.refuse_and_close(connection, id, error);
            }
            (Some(_), Request::Hello(_)) => {
                self.refuse(connection, id, v1::Error::new(ErrorCode::HelloRepeated, "already attached"));
            }
            (Some(actor), request) => return self.request(connection, id, actor, request),
        }
        None
    }

    fn request(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        id: u64,
        actor: Actor,
        request: Request,
    ) -> Option<Rest> {
        if self.is_draining() {
            let error = v1::Error::new(ErrorCode::Draining, "the server is stopping: connect again");
            self.refuse(connection, id, error.after_ms(super::RECONNECT_AFTER_MS));
            return None;
        }
        let given = match convert::wanted(actor, request) {
            Ok(Wanted::Command(command)) => {
                let named = convert::named_accounts(&command);
                if !named.is_empty() && !self.people.known_to_exist(&named) {
                    let (edge, connection) = (self.clone(), connection.clone());
                    return Some(Box::pin(async move {
                        match edge.require_existing(named).await {
                            Ok(()) => edge.command(&connection, id, command),
                            Err(error) => edge.refuse(&connection, id, error),
                        }
                    }));
                }
                self.command(connection, id, command);
                return None;
            }
            Ok(Wanted::Query(cid, query)) => {
                self.node.query(self.node.slot(cid), self.reply_to(connection, id), query)
            }
            Ok(Wanted::Other(request)) => {
                let (edge, connection) = (self.clone(), connection.clone());
                return Some(Box::pin(async move {
                    edge.other_request(&connection, id, actor, request).await;
                }));
            }
            Err(error) => {
                self.refuse(connection, id, error);
                return None;
            }
        };
        if let Err(refusal) = given {
            self.refuse(connection, id, convert::error(&refusal));
        }
        None
    }

    fn command(&self, connection: &Connection, id: u64, command: Command) {
        let reply = self.reply_to(connection, id);
        tracing::debug!(trace = %reply, cid = %command.cid, account = %command.actor.account, "command");
        if let Err(refusal) = self.node.command(reply, command) {
            self.refuse(connection, id, convert::error(&refusal));
        }
    }

    fn reply_to(&self, connection: &Connection, id: u64) -> ReplyTo {
        ReplyTo::Session { edge: self.id.0, session: connection.session, request: id }
    }

    async fn require_existing(&self, named: Vec<AccountId>) -> Result<(), v1::Error> {
        match self.people.missing(named).await {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(missing) => {
                let why = format!("there is no account {}", missing[0]);
                Err(v1::Error::new(ErrorCode::NotFound, why))
            }
            Err(error) => Err(error),
        }
    }

    async fn other_request(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        id: u64,
        actor: Actor,
        request: Request,
    ) {
        use v1::response::Result as Wire;
        let result = match request {
            Request::Ping(v1::Ping {}) => Ok(Wire::Pong(v1::Pong { server_time_ms: self.clock.now().0 })),
            Request::Sync(sync) => match self.sync(connection, id, actor.account, sync).await {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Request::GetProfiles(asked) => self.profiles(asked).await.map(Wire::ProfileList),
            Request::GetConversations(asked) => {
                self.conversations(actor.account, asked).await.map(Wire::ConversationList)
            }
            _ => Err(v1::Error::new(ErrorCode::UnknownRequest, "this server does not know the request")),
        };
        let frame = match result {
            Ok(result) => v1::ServerFrame::response(id, result),
            Err(error) => v1::ServerFrame::error(id, error),
        };
        connection.push_frame(&frame);
    }

    async fn profiles(&self, asked: v1::GetProfiles) -> Result<v1::ProfileList, v1::Error> {
        if asked.accounts.len() > ASKED_AT_ONCE {
            let why = format!("accounts: at most {ASKED_AT_ONCE}, not {}", asked.accounts.len());
            return Err(v1::Error::new(ErrorCode::BadValue, why));
        }
        let accounts = asked.accounts.into_iter().map(AccountId).collect();
        let profiles = self.people.profiles(accounts).await?;
        Ok(v1::ProfileList { profiles })
    }

    async fn conversations(
        &self,
        account: AccountId,
        asked: v1::GetConversations,
    ) -> Result<v1::ConversationList, v1::Error> {
        if asked.cids.len() > ASKED_AT_ONCE {
            let why = format!("cids: at most {ASKED_AT_ONCE}, not {}", asked.cids.len());
            return Err(v1::Error::new(ErrorCode::BadValue, why));
        }
        let mut heads = Vec::new();
        if asked.cids.is_empty() {
            let home = self.home(account).await.map_err(|refusal| convert::error(&refusal))?;
            for slot in home.slots {
                let query = Query::Changes { account, after: anser_model::N(0) };
                heads.extend(self.heads(slot, query).await.map_err(|refusal| convert::error(&refusal))?);
            }
        }
        for cid in &asked.cids {
            let cid: ConversationId = wire::cid(cid)
                .map_err(|error| v1::Error::new(ErrorCode::BadValue, format!("cids: {error}")))?;
            match self.heads(self.node.slot(cid), Query::Head { account, cid }).await {
                Ok(found) => heads.extend(found),
                Err(Refusal::NotFound) => {}
                Err(refusal) => return Err(convert::error(&refusal)),
            }
        }
        let list = v1::ConversationList { heads };
        if prost::Message::encoded_len(&list) > LIST_BYTES {
            let why =
                "cids: all conversations do not fit into one answer: attach or sync for all, or name some";
            return Err(v1::Error::new(ErrorCode::BadValue, why));
        }
        Ok(list)
    }

    async fn heads(&self, slot: anser_model::Slot, query: Query) -> Result<Vec<v1::Head>, Refusal> {
        match self.node.ask_query(slot, query).await? {
            Answer::Heads { heads, .. } => Ok(heads.iter().map(convert::head).collect()),
            _ => Err(Refusal::Unavailable),
        }
    }

    fn refuse(&self, connection: &Connection, id: u64, error: v1::Error) {
        connection.push_frame(&v1::ServerFrame::error(id, error));
    }

    pub(super) fn refuse_and_close(&self, connection: &Connection, id: u64, error: v1::Error) {
        connection.push_frame(&v1::ServerFrame::error(id, error));
        connection.push_close(CloseCode::Policy);
    }
}
