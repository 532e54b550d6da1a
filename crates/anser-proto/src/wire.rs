//! Ids on the wire to ids of the model, and the few frames that everybody builds.

use anser_model::client_id::BadClientId;
use anser_model::{AccountId, ClientId, ConversationId, Slot};
use bytes::Bytes;

use crate::v1;

/// What a field of a frame holds is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// A conversation id of another length.
    #[error("a conversation id has 16 bytes, this one has {0}")]
    Conversation(usize),
    /// A slot above 255.
    #[error("a slot lies between 0 and 255, not {0}")]
    Slot(u32),
    /// Not a client id.
    #[error(transparent)]
    Client(#[from] BadClientId),
}

/// Reads a conversation id.
pub fn cid(bytes: &[u8]) -> Result<ConversationId, BadId> {
    bytes.try_into().map(ConversationId).map_err(|_| BadId::Conversation(bytes.len()))
}

/// Writes a conversation id.
pub fn cid_bytes(cid: ConversationId) -> Bytes {
    Bytes::copy_from_slice(&cid.0)
}

/// Reads a client id.
pub fn client_id(bytes: &[u8]) -> Result<ClientId, BadId> {
    Ok(ClientId::from_bytes(bytes)?)
}

/// Writes a client id.
pub fn client_id_bytes(id: ClientId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// Reads a slot.
pub fn slot(number: u32) -> Result<Slot, BadId> {
    u8::try_from(number).map(Slot).map_err(|_| BadId::Slot(number))
}

impl v1::Target {
    /// A conversation by its id.
    pub fn cid(cid: ConversationId) -> Self {
        v1::Target { target: Some(v1::target::Target::Cid(cid_bytes(cid))) }
    }

    /// The direct conversation with `peer`; the self conversation for one's own id.
    pub fn peer(peer: AccountId) -> Self {
        v1::Target { target: Some(v1::target::Target::Peer(peer.get())) }
    }
}

impl v1::Message {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        v1::Message { kind: "text".to_owned(), text: text.into(), ..v1::Message::default() }
    }
}

impl v1::Event {
    /// The message of this event as a server tells it once the fact at `n` has recalled it. What is no
    /// message, or stands under a later n already, stays as it is; whether it was changed.
    pub fn recall(&mut self, n: u64) -> bool {
        match &mut self.change {
            Some(v1::event::Change::Message(message)) if self.n < n => {
                let (kind, uncounted) = (std::mem::take(&mut message.kind), message.uncounted);
                *message = v1::Message { kind, uncounted, recalled: true, ..v1::Message::default() };
                self.n = n;
                true
            }
            _ => false,
        }
    }

    /// The message of this event as a server tells it once the fact at `n` has edited it to say what `stands`
    /// says. What is no message, or stands under a later n already, stays as it is; whether it was changed.
    pub fn edit(&mut self, n: u64, stands: &v1::Message) -> bool {
        match &mut self.change {
            Some(v1::event::Change::Message(message)) if self.n < n => {
                message.clone_from(stands);
                self.n = n;
                true
            }
            _ => false,
        }
    }
}

impl v1::ClientFrame {
    /// The client id of the command it carries. None for requests that have none.
    pub fn client_id(&self) -> Option<&Bytes> {
        use v1::client_frame::Request;
        match self.request.as_ref()? {
            Request::Send(it) => Some(&it.client_id),
            Request::CreateGroup(it) => Some(&it.client_id),
            Request::AddMembers(it) => Some(&it.client_id),
            Request::RemoveMember(it) => Some(&it.client_id),
            Request::Leave(it) => Some(&it.client_id),
            Request::SetRole(it) => Some(&it.client_id),
            Request::Rename(it) => Some(&it.client_id),
            Request::Recall(it) => Some(&it.client_id),
            Request::Edit(it) => Some(&it.client_id),
            Request::SetAvatar(it) => Some(&it.client_id),
            Request::SetHistoryVisible(it) => Some(&it.client_id),
            Request::Dissolve(it) => Some(&it.client_id),
            _ => None,
        }
    }
}

impl v1::ServerFrame {
    /// The answer to request `id`.
    pub fn response(id: u64, result: v1::response::Result) -> Self {
        let response = v1::Response { id, result: Some(result) };
        v1::ServerFrame { frame: Some(v1::server_frame::Frame::Response(response)) }
    }

    /// A refusal of request `id`.
    pub fn error(id: u64, error: v1::Error) -> Self {
        Self::response(id, v1::response::Result::Error(error))
    }
}

impl From<v1::Event> for v1::ServerFrame {
    fn from(event: v1::Event) -> Self {
        v1::ServerFrame { frame: Some(v1::server_frame::Frame::Event(event)) }
    }
}

impl From<v1::SyncHeads> for v1::ServerFrame {
    fn from(heads: v1::SyncHeads) -> Self {
        v1::ServerFrame { frame: Some(v1::server_frame::Frame::SyncHeads(heads)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anser_model::UnixMillis;

    #[test]
    fn ids_cross_the_wire_and_come_back() {
        let conversation = ConversationId::of_self(AccountId(7));
        assert_eq!(cid(&cid_bytes(conversation)), Ok(conversation));
        assert_eq!(cid(&[1, 2]), Err(BadId::Conversation(2)));
        let id = ClientId::mint(UnixMillis(1_700_000_000_000), [3; 10]);
        assert_eq!(client_id(&client_id_bytes(id)), Ok(id));
        assert!(client_id(&[0; 16]).is_err());
        assert_eq!(slot(255), Ok(Slot(255)));
        assert_eq!(slot(256), Err(BadId::Slot(256)));
    }
}
