//! Who is there: of the people at the top of the list, and of the group that is open.

use std::collections::BTreeMap;

use anser_model::limits::WATCHED_PER_REQUEST;
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::ConversationKind;

use super::{Effect, State};
use crate::chat::snapshot::{Row, There};

/// Rows of the list, from the newest on, of whose people it is asked whether they are there.
const ROWS_WATCHED: usize = 60;

impl State {
    /// Whether the other one of a direct conversation is there.
    pub fn there(&self, row: &Row) -> Option<There> {
        self.snapshot.there.get(&row.peer?).copied()
    }

    /// Whether somebody is there now.
    pub fn is_there(&self, account: AccountId) -> bool {
        self.snapshot.there.get(&account) == Some(&There::Now)
    }

    /// How many of the open group are there, oneself included; 0 where that is not known.
    pub fn count_there(&self) -> usize {
        let others = self.members().iter().filter(|member| self.is_there(member.account)).count();
        if others == 0 { 0 } else { others + 1 }
    }

    /// What is to be watched otherwise than it is.
    pub(super) fn watch(&mut self) -> Vec<Effect> {
        let wanted = self.to_watch();
        let ended = self.watched.keys().filter(|cid| !wanted.contains_key(cid)).copied();
        let mut effects: Vec<Effect> = ended.map(|cid| Effect::Watch { cid, accounts: Vec::new() }).collect();
        let begun = wanted.iter().filter(|&(cid, accounts)| self.watched.get(cid) != Some(accounts));
        effects.extend(begun.map(|(&cid, accounts)| Effect::Watch { cid, accounts: accounts.clone() }));
        self.watched = wanted;
        effects
    }

    fn to_watch(&self) -> BTreeMap<ConversationId, Vec<AccountId>> {
        let is_near =
            |(place, row): &(usize, &Row)| *place < ROWS_WATCHED || self.open_cid() == Some(row.cid);
        let direct = self.snapshot.rows.iter().filter(|row| row.kind == ConversationKind::Direct);
        let direct = direct.enumerate().filter(is_near);
        let mut wanted: BTreeMap<_, _> =
            direct.filter_map(|(_, row)| Some((row.cid, vec![row.peer?]))).collect();
        // In a channel only those who write are told who is there.
        if let Some(row) = self.open_row().filter(|row| row.is_group() && row.may_write()) {
            let others = self.members().iter().map(|member| member.account);
            let others: Vec<_> =
                others.filter(|&it| it != self.snapshot.own).take(WATCHED_PER_REQUEST).collect();
            if !others.is_empty() {
                wanted.insert(row.cid, others);
            }
        }
        wanted
    }
}
