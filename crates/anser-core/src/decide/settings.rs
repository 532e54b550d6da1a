//! What those with a role decide for a whole group or channel.
//!
//! What is so already is decided again: a command under a client id leaves a fact, or a retry that comes late
//! would have an effect that the first did not have.

use anser_model::{AccountId, Change, Refusal, Role};

use super::require_group;
use crate::conversation::Conversation;

pub(super) fn set_avatar(
    conversation: &Conversation,
    actor: AccountId,
    avatar: &str,
) -> Result<Vec<Change>, Refusal> {
    if require_group(conversation, actor)?.role < Role::Admin {
        return Err(Refusal::NotAllowed("admins and the owner choose the picture"));
    }
    Ok(vec![Change::AvatarSet { avatar: avatar.to_owned() }])
}

pub(super) fn set_history_visible(
    conversation: &Conversation,
    actor: AccountId,
    visible: bool,
) -> Result<Vec<Change>, Refusal> {
    if require_group(conversation, actor)?.role < Role::Admin {
        return Err(Refusal::NotAllowed("admins and the owner decide what newcomers see"));
    }
    Ok(vec![Change::HistoryVisibleSet { visible }])
}

pub(super) fn dissolve(conversation: &Conversation, actor: AccountId) -> Result<Vec<Change>, Refusal> {
    if require_group(conversation, actor)?.role != Role::Owner {
        return Err(Refusal::NotAllowed("the owner dissolves it"));
    }
    Ok(vec![Change::Dissolved])
}
