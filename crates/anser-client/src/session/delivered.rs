//! Delivered marks: what comes to this device in a direct conversation is acknowledged by itself, at most once
//! per second and conversation, so that the other one sees that it has come.

use std::collections::BTreeMap;

use anser_model::ConversationId;
use anser_proto::v1;

use crate::session::command::Lane;
use crate::session::conversation::Conversation;
use crate::session::marks::Marks;

/// Delivered marks on their way, and how far they were asked for.
#[derive(Debug, Default)]
pub struct Delivered {
    pub(super) marks: Marks,
    /// The furthest that was asked for in this session: asked for again, it would be no news.
    told: BTreeMap<ConversationId, u64>,
}

impl Delivered {
    /// Something came: whoever waits for it is to be told.
    pub fn note(&mut self, conversation: &Conversation) {
        let Some(seq) = conversation.to_acknowledge() else { return };
        let cid = conversation.cid();
        let told = self.told.get(&cid).copied().unwrap_or_default();
        if seq > told && self.marks.want(Lane::Conversation(cid), v1::Target::cid(cid), seq, None) {
            self.told.insert(cid, seq);
        }
    }

    /// Another history begins: nothing of the old one counts.
    pub fn clear(&mut self) {
        *self = Delivered::default();
    }
}
