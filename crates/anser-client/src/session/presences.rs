//! Who is there: whom the application watches, asked again after every sync, since the server forgets it with one.

use std::collections::{BTreeMap, BTreeSet};

use anser_model::limits::WATCHED_PER_REQUEST;
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, event::Change};

/// Who is watched, and what is known of them.
#[derive(Debug, Default)]
pub struct Presences {
    watched: BTreeMap<ConversationId, Vec<AccountId>>,
    /// Conversations about which the server is to be asked.
    wanted: BTreeSet<ConversationId>,
    /// Of whom the last answer about a conversation told.
    told: BTreeMap<ConversationId, BTreeSet<AccountId>>,
    known: BTreeMap<AccountId, v1::Presence>,
}

impl Presences {
    /// What is known of somebody who is watched; nothing without a connection, or of those who do not tell.
    pub fn get(&self, account: AccountId) -> Option<&v1::Presence> {
        self.known.get(&account)
    }

    /// Whom the application watches, by conversation.
    pub fn watched(&self) -> impl Iterator<Item = (ConversationId, &[AccountId])> {
        self.watched.iter().map(|(&cid, accounts)| (cid, accounts.as_slice()))
    }

    /// Everything that is known.
    pub fn all(&self) -> impl Iterator<Item = &v1::Presence> {
        self.known.values()
    }

    /// The application watches these of a conversation, in place of those before. What is too much for one request
    /// is left out.
    pub fn watch(&mut self, cid: ConversationId, mut accounts: Vec<AccountId>) {
        accounts.truncate(WATCHED_PER_REQUEST);
        if self.watched.get(&cid).map_or(&[][..], Vec::as_slice) == accounts {
            return;
        }
        self.wanted.insert(cid);
        if accounts.is_empty() {
            return self.unwatch(cid);
        }
        self.watched.insert(cid, accounts);
        self.forget_untold();
    }

    /// The server knows nothing of it any more: it is asked again, once everything is current.
    pub fn ask_again(&mut self) {
        self.wanted = self.watched.keys().copied().collect();
    }

    /// Without a connection nobody knows.
    pub fn lose(&mut self) {
        self.told.clear();
        self.known.clear();
        self.wanted.clear();
    }

    /// An answer was lost.
    pub fn want(&mut self, cid: ConversationId) {
        self.wanted.insert(cid);
    }

    /// Conversations to ask about.
    pub fn wanted(&self) -> impl Iterator<Item = ConversationId> {
        self.wanted.iter().copied()
    }

    /// What to ask about a conversation.
    pub fn request(&mut self, cid: ConversationId) -> v1::Watch {
        self.wanted.remove(&cid);
        let watched = self.watched.get(&cid).map_or(&[][..], Vec::as_slice);
        let accounts = watched.iter().map(|account| account.get()).collect();
        v1::Watch { r#in: Some(v1::Target::cid(cid)), accounts }
    }

    /// The answer about a conversation came. Of whom something is different.
    pub fn answered(&mut self, cid: ConversationId, list: &v1::PresenceList) -> Vec<AccountId> {
        let Some(watched) = self.watched.get(&cid) else { return Vec::new() };
        let told: Vec<v1::Presence> =
            list.presences.iter().filter(|it| watched.contains(&AccountId(it.account))).copied().collect();
        self.told.insert(cid, told.iter().map(|it| AccountId(it.account)).collect());
        let mut changed = self.forget_untold();
        changed.extend(told.into_iter().filter(|&it| self.learn(it)).map(|it| AccountId(it.account)));
        changed
    }

    /// Something happened in a conversation. Who came into it, or spoke there for the first time, is known from now
    /// on; who left it is not.
    pub fn noticed(&mut self, cid: ConversationId, event: &v1::Event) {
        let Some(watched) = self.watched.get(&cid) else { return };
        let is_told = |account| self.told.get(&cid).is_some_and(|told| told.contains(&account));
        let author = AccountId(event.author);
        let is_different = match &event.change {
            Some(
                Change::MembersAdded(_)
                | Change::MemberRemoved(_)
                | Change::RoleSet(_)
                | Change::Dissolved(_),
            ) => true,
            Some(Change::Message(_)) => watched.contains(&author) && !is_told(author),
            _ => false,
        };
        if is_different {
            self.wanted.insert(cid);
        }
    }

    /// Somebody came or went. Whether that is news.
    pub fn told(&mut self, presence: v1::Presence) -> bool {
        let account = AccountId(presence.account);
        if self.is_told(account) {
            return self.learn(presence);
        }
        // It tells again, and did not when it was asked for.
        let watching = self.watched.iter().filter(|(_, watched)| watched.contains(&account));
        self.wanted.extend(watching.map(|(&cid, _)| cid));
        false
    }

    /// There is nothing to be known of a conversation: it is not asked about any more.
    pub fn give_up(&mut self, cid: ConversationId) {
        self.wanted.remove(&cid);
        self.unwatch(cid);
    }

    fn unwatch(&mut self, cid: ConversationId) {
        self.watched.remove(&cid);
        self.told.remove(&cid);
        self.forget_untold();
    }

    fn learn(&mut self, presence: v1::Presence) -> bool {
        self.known.insert(AccountId(presence.account), presence) != Some(presence)
    }

    /// Whether somebody is told of, in any conversation.
    fn is_told(&self, account: AccountId) -> bool {
        self.watched.iter().any(|(cid, watched)| {
            watched.contains(&account) && self.told.get(cid).is_some_and(|told| told.contains(&account))
        })
    }

    /// Who is told of nowhere is not known. Whom that concerns.
    fn forget_untold(&mut self) -> Vec<AccountId> {
        let untold: Vec<AccountId> =
            self.known.keys().copied().filter(|&account| !self.is_told(account)).collect();
        untold.iter().for_each(|account| _ = self.known.remove(account));
        untold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: ConversationId = ConversationId([1; 16]);
    const OTHER: ConversationId = ConversationId([2; 16]);
    const BOB: AccountId = AccountId(8);
    const EVE: AccountId = AccountId(9);

    fn there(account: AccountId) -> v1::Presence {
        v1::Presence { account: account.get(), online: true, ..v1::Presence::default() }
    }

    fn ask(presences: &mut Presences) -> Option<(ConversationId, Vec<u64>)> {
        let cid = presences.wanted().next()?;
        Some((cid, presences.request(cid).accounts))
    }

    fn list(accounts: &[AccountId]) -> v1::PresenceList {
        v1::PresenceList { presences: accounts.iter().map(|&it| there(it)).collect(), ..Default::default() }
    }

    #[test]
    fn only_who_is_watched_is_known() {
        let mut presences = Presences::default();
        presences.watch(CID, vec![BOB, EVE]);
        presences.watch(CID, vec![BOB, EVE]);
        assert_eq!(ask(&mut presences), Some((CID, vec![8, 9])));
        assert_eq!(ask(&mut presences), None);
        assert_eq!(presences.answered(CID, &list(&[BOB])), [BOB], "she does not tell");
        assert!(
            !presences.told(there(BOB))
                && !presences.told(there(EVE))
                && !presences.told(there(AccountId(7)))
        );
        assert_eq!(ask(&mut presences).map(|(cid, _)| cid), Some(CID), "she tells after all");
        presences.watch(OTHER, vec![EVE]);
        assert_eq!(presences.answered(OTHER, &list(&[EVE, BOB])), [EVE]);
        assert_eq!(presences.answered(CID, &list(&[])), [BOB], "he tells no more");
        assert_eq!(presences.get(EVE), Some(&there(EVE)), "she is told of in the other one");
        presences.answered(CID, &list(&[BOB]));
        presences.watch(CID, Vec::new());
        assert_eq!((presences.get(BOB), presences.get(EVE)), (None, Some(&there(EVE))));
        let asked: Vec<_> = std::iter::from_fn(|| ask(&mut presences)).collect();
        assert_eq!(asked.iter().map(|(_, accounts)| accounts.len()).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn who_comes_speaks_or_goes_is_asked_about_again() {
        let mut presences = Presences::default();
        presences.watch(CID, vec![BOB, EVE]);
        let mut noticed = |author: AccountId, change: Change| {
            _ = ask(&mut presences);
            presences.answered(CID, &list(&[EVE]));
            let event = v1::Event { author: author.get(), change: Some(change), ..Default::default() };
            presences.noticed(CID, &event);
            presences.noticed(OTHER, &event);
            ask(&mut presences).is_some()
        };
        let text = || Change::Message(v1::Message::text("hello"));
        assert!(noticed(BOB, text()), "he had said nothing before");
        assert!(!noticed(EVE, text()) && !noticed(AccountId(7), text()));
        assert!(noticed(EVE, Change::MembersAdded(v1::MembersAdded { members: vec![8] })));
        assert!(noticed(EVE, Change::MemberRemoved(v1::MemberRemoved { member: 8, ..Default::default() })));
    }

    #[test]
    fn it_is_asked_again_after_a_sync_and_given_up_where_there_is_nothing() {
        let mut presences = Presences::default();
        presences.watch(CID, vec![BOB]);
        presences.watch(OTHER, vec![EVE]);
        presences.answered(CID, &list(&[BOB]));
        presences.lose();
        assert!(presences.get(BOB).is_none() && ask(&mut presences).is_none());
        presences.give_up(OTHER);
        presences.ask_again();
        assert_eq!(ask(&mut presences).map(|(cid, _)| cid), Some(CID));
        assert_eq!(ask(&mut presences), None);
        presences.want(CID);
        assert!(ask(&mut presences).is_some());
    }
}
