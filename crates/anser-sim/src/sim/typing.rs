//! Who is told that somebody types, audited: those who are there and nobody else, and never the one who types.

use std::collections::BTreeSet;

use anser_core::engine::Typing;
use anser_model::{AccountId, ConversationId};
use anser_proto::{v1, wire};

use super::audit::Found;
use super::world::World;

/// Who types where, and who may hear of it: by what cores let go of.
#[derive(Default)]
pub(super) struct AuditedTyping {
    released: BTreeSet<(ConversationId, AccountId, AccountId)>,
}

impl AuditedTyping {
    /// A device of an account is sent something that passes.
    pub fn may_be_told(&self, account: AccountId, ephemeral: &v1::Ephemeral) -> Found {
        let Some(v1::ephemeral::What::Typing(told)) = &ephemeral.what else {
            return Err(("what passes says nothing", format!("{ephemeral:?}")));
        };
        let is_due = wire::cid(&told.cid)
            .is_ok_and(|cid| self.released.contains(&(cid, AccountId(told.account), account)));
        match is_due {
            true => Ok(()),
            false => Err(("somebody hears of typing that is none of theirs", format!("{told:?}"))),
        }
    }
}

impl World {
    /// A core lets go of it that somebody types.
    pub(super) fn released_typing(&mut self, typing: &Typing) {
        let Typing { account, cid, audience, slot, n } = typing;
        let durable = self.audit.plain.newest(*slot);
        if *n > durable {
            let how = format!("{account} in {cid} as of n {n} of slot {slot}, which ends at {durable}");
            return self.broken("who is told of typing is not durable", how);
        }
        let known = self.audit.plain.conversation(*cid);
        let was_there =
            |account: AccountId| known.is_some_and(|conversation| conversation.was_present(account, *n));
        let wrong = audience.iter().find(|&hearer| hearer == account || !was_there(*hearer));
        if let Some(hearer) = wrong.or_else(|| (!was_there(*account)).then_some(account)) {
            let how = format!("{account} types in {cid}, told to {audience:?}; as of n {n} wrong: {hearer}");
            return self.broken("typing is told to one who is not there", how);
        }
        let told = audience.iter().map(|&hearer| (*cid, *account, hearer));
        self.audit.typing.released.extend(told);
    }
}
