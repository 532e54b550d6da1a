//! What is of use only now: who types, and who is there.

use anser_core::engine::{Query, Typing};
use anser_model::limits::WATCHED_PER_REQUEST;
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, client_frame::Request, ephemeral::What};
use anser_proto::wire;

use super::{Wanted, accounts_of, target};

pub(super) fn wanted(account: AccountId, request: Request) -> Result<Wanted, v1::Error> {
    match request {
        Request::Typing(typing) => {
            let (cid, _) = target(account, "in", typing.r#in)?;
            Ok(Wanted::Query(cid, Query::Typing { account, cid }))
        }
        Request::Watch(watch) => {
            let (cid, _) = target(account, "in", watch.r#in)?;
            let others = accounts_of("accounts", watch.accounts, WATCHED_PER_REQUEST)?;
            Ok(Wanted::Query(cid, Query::Acquainted { account, cid, others }))
        }
        other => Ok(Wanted::Other(other)),
    }
}

/// That somebody types, as the others are told.
pub fn typing(typing: &Typing) -> v1::ServerFrame {
    ephemeral(What::Typing(v1::IsTyping { cid: wire::cid_bytes(typing.cid), account: typing.account.0 }))
}

/// Whether somebody is there, as those are told who watch it.
pub fn presence(presence: v1::Presence) -> v1::ServerFrame {
    ephemeral(What::Presence(presence))
}

/// Who of a conversation is there, as it is answered.
pub fn presences(cid: ConversationId, presences: Vec<v1::Presence>) -> v1::response::Result {
    v1::response::Result::PresenceList(v1::PresenceList { cid: wire::cid_bytes(cid), presences })
}

fn ephemeral(what: What) -> v1::ServerFrame {
    let ephemeral = v1::Ephemeral { what: Some(what) };
    v1::ServerFrame { frame: Some(v1::server_frame::Frame::Ephemeral(ephemeral)) }
}
