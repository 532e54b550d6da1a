//! The truth as plain maps: a second, naive reading of the facts, as one would do it on paper.
//!
//! Nothing here is shared with the fold that the server keeps, nor with the rules by which it decides.
//! What a view says is read off the facts again each time it is asked for.

mod conversation;
mod registers;
mod rewrites;
mod settings;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use anser_model::{
    AccountId, Change, ClientId, ConversationFact, ConversationId, DeviceId, N, Seq, Slot, SlotFact,
};

pub use conversation::{PlainConversation, PlainMember, Stay};
pub use registers::OwnView;
pub use view::PlainView;

/// Facts folded into plain maps, as a reader of the log would do it on paper.
#[derive(Debug, Default, Clone)]
pub struct Plain {
    slots: BTreeMap<Slot, PlainSlot>,
    conversations: BTreeMap<ConversationId, PlainConversation>,
    homes: BTreeMap<AccountId, PlainHome>,
    /// Where an account is or was a member.
    known: BTreeMap<AccountId, BTreeSet<ConversationId>>,
}

/// What a slot's log holds: where the fact of each n went, nowhere for those about the slot itself.
#[derive(Debug, Default, Clone)]
struct PlainSlot {
    entries: Vec<Option<(ConversationId, usize)>>,
}

/// What the home of an account was told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PlainHome {
    /// Slots in which the account has, or was about to have, conversations.
    pub entered: BTreeSet<Slot>,
    /// Tokens with a smaller account version are void.
    pub account_version: u64,
    /// Tokens of these devices with smaller device versions are void.
    pub devices: BTreeMap<DeviceId, u64>,
}

impl Plain {
    /// Folds in the next fact of a slot. Every n of a slot must come: those of facts about the slot
    /// itself through [`Plain::take_slot_fact`].
    ///
    /// # Errors
    /// What cannot be, in words. Nothing can be said of what is taken after that.
    pub fn take(&mut self, slot: Slot, n: N, fact: &ConversationFact) -> Result<(), String> {
        let index = self.conversations.get(&fact.cid).map_or(0, |conversation| conversation.facts().len());
        self.enter(slot, n, Some((fact.cid, index)))?;
        let conversation =
            self.conversations.entry(fact.cid).or_insert_with(|| PlainConversation::new(fact.cid, slot));
        if conversation.slot() != slot {
            let known = conversation.slot();
            return Err(format!("slot {slot} n {n}: conversation {} lives in slot {known}", fact.cid));
        }
        conversation.take(n, fact).map_err(|what| format!("slot {slot} n {n}: {what}, in {fact:?}"))?;
        match &fact.change {
            Change::Created { members, .. } => self.note(fact.cid, members.iter().chain([&fact.author])),
            Change::MembersAdded { members, .. } => self.note(fact.cid, members),
            Change::Entered { account, slot } => {
                self.homes.entry(*account).or_default().entered.insert(*slot);
            }
            Change::CredentialsRaised { account, account_version, device, why: _ } => {
                let home = self.homes.entry(*account).or_default();
                home.account_version = home.account_version.max(*account_version);
                if let Some((device, version)) = device {
                    let known = home.devices.entry(*device).or_default();
                    *known = (*known).max(*version);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the next n of a slot, which a fact about the slot itself has.
    ///
    /// # Errors
    /// What cannot be, in words.
    pub fn take_slot_fact(&mut self, slot: Slot, n: N, _fact: &SlotFact) -> Result<(), String> {
        self.enter(slot, n, None)
    }

    fn enter(&mut self, slot: Slot, n: N, entry: Option<(ConversationId, usize)>) -> Result<(), String> {
        let known = self.slots.entry(slot).or_default();
        let last = known.entries.len() as u64;
        if n.0 != last + 1 {
            return Err(format!("slot {slot} n {n}: it follows n {last}"));
        }
        known.entries.push(entry);
        Ok(())
    }

    fn note<'a>(&mut self, cid: ConversationId, accounts: impl IntoIterator<Item = &'a AccountId>) {
        for account in accounts {
            self.known.entry(*account).or_default().insert(cid);
        }
    }

    /// A conversation of which there is a fact; of an account's own that may be registers alone.
    pub fn conversation(&self, cid: ConversationId) -> Option<&PlainConversation> {
        self.conversations.get(&cid)
    }

    /// Every conversation of which there is a fact.
    pub fn conversations(&self) -> impl Iterator<Item = &PlainConversation> {
        self.conversations.values()
    }

    /// Whether an account may see the sequenced fact at `seq`, body and all.
    pub fn may_see(&self, cid: ConversationId, account: AccountId, seq: Seq) -> bool {
        self.conversation(cid).is_some_and(|conversation| conversation.may_see(account, seq))
    }

    /// A conversation as one account may know it; `None` for a stranger.
    pub fn view(&self, cid: ConversationId, account: AccountId) -> Option<PlainView> {
        self.conversation(cid)?.view(account)
    }

    /// Whether this is the fact at that n, and one that the account is told of as it happens.
    pub fn was_told(&self, cid: ConversationId, account: AccountId, n: N, fact: &ConversationFact) -> bool {
        self.conversation(cid).is_some_and(|conversation| {
            self.at(conversation.slot(), n) == Some(fact) && conversation.tells(fact, account)
        })
    }

    /// What a sender's command under a client id came to.
    pub fn done(&self, cid: ConversationId, sender: AccountId, client_id: ClientId) -> Option<(N, Seq)> {
        self.conversation(cid)?.done(sender, client_id)
    }

    /// What the home of an account was told; nothing, if it was told nothing.
    pub fn home(&self, account: AccountId) -> PlainHome {
        self.homes.get(&account).cloned().unwrap_or_default()
    }

    /// What the home was told whose conversation this is.
    pub fn home_at(&self, cid: ConversationId) -> PlainHome {
        let whose = self.homes.iter().find(|(account, _)| ConversationId::of_self(**account) == cid);
        whose.map(|(_, home)| home.clone()).unwrap_or_default()
    }

    /// The sequenced fact at a seq, with its n.
    pub fn fact(&self, cid: ConversationId, seq: Seq) -> Option<&(N, ConversationFact)> {
        self.conversation(cid)?.fact(seq)
    }

    /// The sequenced fact at a seq as it is to be shown, under the n that its row carries.
    pub fn standing(&self, cid: ConversationId, seq: Seq) -> Option<(N, ConversationFact)> {
        self.conversation(cid)?.standing(seq)
    }

    /// The same as an account may be shown it, as of some n.
    pub fn shown(
        &self,
        cid: ConversationId,
        account: AccountId,
        seq: Seq,
        as_of: N,
    ) -> Option<(N, ConversationFact)> {
        self.conversation(cid)?.shown(account, seq, as_of)
    }

    /// The fact about a conversation at an n; `None` for one about the slot itself.
    pub fn at(&self, slot: Slot, n: N) -> Option<&ConversationFact> {
        let index = usize::try_from(n.0.checked_sub(1)?).ok()?;
        let (cid, index) = (*self.slots.get(&slot)?.entries.get(index)?)?;
        Some(&self.conversations[&cid].facts().get(index)?.1)
    }

    /// The newest n of a slot; 0: it has none.
    pub fn newest(&self, slot: Slot) -> N {
        N(self.slots.get(&slot).map_or(0, |known| known.entries.len() as u64))
    }

    /// Conversations in which an account is or was a member.
    pub fn conversations_of(&self, account: AccountId) -> impl Iterator<Item = ConversationId> + '_ {
        self.known.get(&account).into_iter().flatten().copied()
    }

    /// Memberships in slots that the member's home knows nothing of: a sync would miss them. A home
    /// needs no note of its owner's own conversation.
    pub fn unentered(&self) -> Vec<(AccountId, Slot, ConversationId)> {
        let nothing = PlainHome::default();
        let mut missing = Vec::new();
        for (&account, cids) in &self.known {
            let home = self.homes.get(&account).unwrap_or(&nothing);
            for &cid in cids.iter().filter(|&&cid| cid != ConversationId::of_self(account)) {
                let slot = self.conversations[&cid].slot();
                if !home.entered.contains(&slot) {
                    missing.push((account, slot, cid));
                }
            }
        }
        missing
    }
}
