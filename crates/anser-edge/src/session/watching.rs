//! Of whom a session wants to know whether they are there, and through which conversation it may.

use std::collections::{BTreeMap, BTreeSet};

use anser_core::engine::Acquainted;
use anser_model::limits::WATCHED_PER_CONNECTION;
use anser_model::{AccountId, Change, ConversationId, planted};
use anser_proto::{ErrorCode, v1};
use bytes::Bytes;

use super::Session;
use crate::{Effect, Framing, Shell, convert};

/// Whom a session watches, by conversation.
#[derive(Debug, Default)]
pub(super) struct Watching(BTreeMap<ConversationId, BTreeSet<AccountId>>);

impl Watching {
    fn all(&self) -> BTreeSet<AccountId> {
        self.0.values().flatten().copied().collect()
    }

    fn contains(&self, account: AccountId) -> bool {
        self.0.values().any(|watched| watched.contains(&account))
    }
}

/// Who is no member of a conversation any more by a fact; everybody, if nobody is named.
pub(crate) fn parting(change: &Change) -> Option<Option<AccountId>> {
    match change {
        Change::MemberRemoved { member, .. } => Some(Some(*member)),
        Change::Dissolved => Some(None),
        _ => None,
    }
}

impl Session {
    /// A core said of whom the session may know: it watches them, in place of those that it watched in the same
    /// conversation before, and is told who is there.
    pub(super) fn acquainted(
        &mut self,
        request: u64,
        found: Acquainted,
        shell: &dyn Shell,
        effects: &mut Vec<Effect>,
    ) {
        let Acquainted { cid, accounts, .. } = found;
        let Some(attached) = self.attached.as_mut() else { return };
        if !attached.send_only {
            let watching = attached.watching.get_or_insert_default();
            let before = watching.0.insert(cid, accounts.iter().copied().collect());
            let all = watching.all();
            if all.len() > WATCHED_PER_CONNECTION {
                watching.0.insert(cid, before.unwrap_or_default());
                let why = format!("accounts: a connection watches at most {WATCHED_PER_CONNECTION}");
                return self.refuse(request, v1::Error::new(ErrorCode::BadValue, why), shell);
            }
            watching.0.retain(|_, watched| !watched.is_empty());
            if watching.0.is_empty() {
                attached.watching = None;
            }
            effects.push(Effect::Watch(all.into_iter().collect()));
        }
        effects.push(Effect::Look { request, cid, accounts });
    }

    /// It is known who is there.
    pub(super) fn looked(
        &mut self,
        request: u64,
        cid: ConversationId,
        presences: Result<Vec<v1::Presence>, v1::Error>,
        shell: &dyn Shell,
    ) {
        match presences {
            Ok(mut presences) => {
                presences.retain(|presence| self.may_know(cid, AccountId(presence.account)));
                self.push_result(request, convert::presences(cid, presences), shell);
            }
            Err(error) => self.refuse(request, error, shell),
        }
    }

    /// Whether somebody is still watched by a conversation: while it was looked up who is there, an event may have told that
    /// the two part. Who is sent no events has asked of the moment in which its question was answered.
    fn may_know(&self, cid: ConversationId, account: AccountId) -> bool {
        self.attached.as_ref().is_some_and(|attached| {
            let watched = attached.watching.as_ref().and_then(|watching| watching.0.get(&cid));
            attached.send_only || watched.is_some_and(|watched| watched.contains(&account))
        })
    }

    /// Somebody, or everybody, is no member of a conversation any more: the two know nothing of each other by it.
    pub(crate) fn part(&mut self, cid: ConversationId, who: Option<AccountId>) {
        let Some(attached) = self.attached.as_mut().filter(|_| !planted!(WatchOutlivesMembership)) else {
            return;
        };
        let (own, Some(watching)) = (attached.grant.account, attached.watching.as_mut()) else { return };
        match who.filter(|&who| who != own) {
            Some(who) => _ = watching.0.get_mut(&cid).is_some_and(|watched| watched.remove(&who)),
            None => _ = watching.0.remove(&cid),
        }
    }

    /// From here on the session may have missed who went: it asks again once it has synced.
    pub(super) fn watch_nobody(&mut self) {
        if let Some(attached) = self.attached.as_mut() {
            attached.watching = None;
        }
    }

    /// Offers what others see of somebody now. Whether the session still wants to know: while it is owed a sync it
    /// is told nothing of it, and asks again after that.
    pub(crate) fn offer_presence(
        &mut self,
        account: AccountId,
        bytes: &Bytes,
        framing: &dyn Framing,
    ) -> bool {
        let wants = self.attached.as_ref().is_some_and(|attached| {
            attached.watching.as_ref().is_some_and(|watching| watching.contains(account))
        });
        if wants {
            self.offer_passing(bytes, framing);
        }
        wants
    }

    /// One's own profile is another one: what the session says from now on bears its version.
    pub(crate) fn own_profile(&mut self, version: u64, bytes: &Bytes, framing: &dyn Framing) {
        let Some(attached) = self.attached.as_mut() else { return };
        if attached.profile_version < version {
            attached.profile_version = version;
            self.offer_passing(bytes, framing);
        }
    }

    /// Unlike somebody who types, somebody who came is there for hours: who reads too slowly to hear of it syncs,
    /// and asks again.
    fn offer_passing(&mut self, bytes: &Bytes, framing: &dyn Framing) {
        let hears = self.attached.as_ref().is_some_and(|it| !it.send_only && it.kept.is_none());
        if !hears {
            return;
        }
        if self.queue.bytes() + bytes.len() > super::QUEUE_BYTES_MAX {
            return self.resync(&[], framing);
        }
        self.push(bytes.clone(), framing);
    }
}
