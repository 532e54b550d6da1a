//! Settings of groups and channels.

use anser_model::Change;
use anser_model::limits::AVATAR_BYTES;
use anser_proto::v1::{self, event::Change as Wire};

use super::bad;

/// What a picture may be named: whether it is a file id or an address is for clients to judge.
pub(super) fn avatar_of(avatar: String) -> Result<String, v1::Error> {
    if avatar.len() > AVATAR_BYTES {
        return Err(bad("avatar", &format!("at most {AVATAR_BYTES} bytes, not {}", avatar.len())));
    }
    if avatar.chars().any(char::is_control) {
        return Err(bad("avatar", "a picture is named without control characters"));
    }
    Ok(avatar)
}

pub(super) fn event(change: &Change) -> Wire {
    match change {
        Change::AvatarSet { avatar } => Wire::AvatarSet(v1::AvatarSet { avatar: avatar.clone() }),
        Change::HistoryVisibleSet { visible } => {
            Wire::HistoryVisibleSet(v1::HistoryVisibleSet { visible: *visible })
        }
        Change::Dissolved => Wire::Dissolved(v1::Dissolved {}),
        _ => unreachable!("called for these settings"),
    }
}
