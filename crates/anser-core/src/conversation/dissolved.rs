//! The end of a conversation: everybody is a former member as of it.

use std::sync::Arc;

use anser_model::{AccountId, ConversationFact, planted};

use super::{Conversation, Touched};

impl Conversation {
    /// Every membership ends. What nobody is a member of takes nothing more.
    pub(super) fn dissolve(&mut self, fact: &ConversationFact, touched: &mut Touched) {
        if planted!(DissolvedStays) {
            return;
        }
        for &account in self.roster.clone().iter() {
            self.entomb(account, fact, 0, touched);
        }
        self.rebuild_roster();
    }

    /// Whose membership a fact ended.
    pub(super) fn parted_by(&self, fact: &ConversationFact) -> Arc<[AccountId]> {
        let by_it = |seq| fact.seq == Some(seq);
        let parted = self
            .members
            .iter()
            .filter(|(_, member)| member.tombstone.as_ref().is_some_and(|tombstone| by_it(tombstone.head)));
        parted.map(|(&account, _)| account).collect()
    }
}
