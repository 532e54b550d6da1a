//! What those with a role decide for all, on paper; and the end of a conversation.

use anser_model::{Change, ConversationFact, Role, Seq};

use super::conversation::{PlainConversation, require};

impl PlainConversation {
    pub(super) fn set(&mut self, seq: Seq, fact: &ConversationFact) -> Result<(), String> {
        self.require_group()?;
        let role = self.present_member(fact.author).map(|author| author.role);
        match &fact.change {
            Change::AvatarSet { avatar } => {
                require(role >= Some(Role::Admin), || "a plain member chooses the picture".into())?;
                self.avatars.push((seq, avatar.clone()));
            }
            Change::HistoryVisibleSet { visible } => {
                require(role >= Some(Role::Admin), || "a plain member decides on the past".into())?;
                self.history_visible = *visible;
            }
            Change::Dissolved => {
                require(role == Some(Role::Owner), || "another than the owner ends it".into())?;
                for member in self.members.values_mut().filter(|member| member.is_present()) {
                    member.stays.last_mut().expect("who is known was there once").ended = Some(seq);
                }
            }
            _ => return Err("no setting".into()),
        }
        Ok(())
    }
}
