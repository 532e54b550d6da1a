//! Who is typing: told by others for a while, and told to them while one types.

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::Target;

use super::{Effect, State};
use crate::chat::snapshot::Row;

/// How long it shows that somebody types, unless it is said again.
const SHOWN_MS: u64 = 6_000;
/// How often one says so oneself.
const TOLD_EVERY_MS: u64 = 4_000;
/// People who are named at once.
const NAMED_MAX: usize = 3;

/// Somebody who types somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Typist {
    cid: ConversationId,
    account: AccountId,
    until_ms: u64,
}

impl State {
    /// Somebody said to be typing.
    pub fn sees_typing(&mut self, cid: ConversationId, account: AccountId) {
        self.typists.retain(|it| (it.cid, it.account) != (cid, account));
        if account != self.snapshot.own {
            self.typists.push(Typist { cid, account, until_ms: self.now_ms + SHOWN_MS });
        }
    }

    /// Time has passed for who said nothing more.
    pub(super) fn forget_typists(&mut self) {
        let now_ms = self.now_ms;
        self.typists.retain(|it| it.until_ms > now_ms);
    }

    /// What has come was typed: a conversation with something newer has nobody typing until it is said again.
    pub(super) fn forget_typists_of_newer(&mut self, rows: &[Row]) {
        let newer = |cid| {
            let at_ms = |rows: &[Row]| rows.iter().find(|row| row.cid == cid).map_or(0, |row| row.at_ms);
            at_ms(rows) > at_ms(&self.snapshot.rows)
        };
        let still = self.typists.iter().filter(|it| !newer(it.cid)).copied().collect();
        self.typists = still;
    }

    /// What to show while somebody types in a conversation.
    pub fn typing_in(&self, row: &Row) -> Option<String> {
        let here: Vec<AccountId> =
            self.typists.iter().filter(|it| it.cid == row.cid).map(|it| it.account).collect();
        if here.is_empty() {
            return None;
        }
        // Between two people it is clear who; elsewhere by name, where the names are known.
        let members = if row.is_group() && self.open_cid() == Some(row.cid) { self.members() } else { &[] };
        let named = members.iter().filter(|member| here.contains(&member.account) && !member.name.is_empty());
        let names: Vec<&str> = named.map(|member| member.name.as_str()).take(NAMED_MAX).collect();
        Some((self.words.typing)(&names))
    }

    /// Says that one types, now and then while one does.
    pub(super) fn tell_typing(&mut self) -> Vec<Effect> {
        let Some(open) = &self.open else { return vec![] };
        let told = self.typing_told.filter(|&(cid, _)| cid == open.cid).map(|(_, at_ms)| at_ms);
        let due = told.is_none_or(|at_ms| self.now_ms.saturating_sub(at_ms) >= TOLD_EVERY_MS);
        let may = self.open_row().is_none_or(|row| row.may_write());
        if !due || !may || self.input.is_blank() || open.editing.is_some() || !self.snapshot.attached {
            return vec![];
        }
        self.typing_told = Some((open.cid, self.now_ms));
        let to = open.peer.map_or_else(|| Target::cid(open.cid), Target::peer);
        vec![Effect::Typing(to)]
    }
}
