//! Who is there: edges and cores as the product has them, and who may be told, audited.

use std::collections::{BTreeMap, BTreeSet};

use anser_core::engine::Acquainted;
use anser_core::fanout::EdgeId;
use anser_edge::Input;
use anser_model::{AccountId, ConversationId, ConversationKind, Role};
use anser_proto::{v1, wire};

use super::audit::Found;
use super::edge::ToEdge;
use super::world::{SLOT_KEY, World};

/// Whom the sessions of an edge watch, and what they are about to be answered.
#[derive(Default)]
pub(super) struct Watching {
    by_session: BTreeMap<u64, BTreeSet<AccountId>>,
    looks: BTreeMap<(u64, u64), Look>,
}

/// A request for who is there, while cores are asked.
struct Look {
    cid: ConversationId,
    left: BTreeSet<AccountId>,
    found: Vec<v1::Presence>,
}

impl Watching {
    /// The sessions that watch somebody.
    pub fn sessions_of(&self, account: AccountId) -> Vec<u64> {
        let watching = self.by_session.iter().filter(|(_, accounts)| accounts.contains(&account));
        watching.map(|(&session, _)| session).collect()
    }

    /// A session is not to know of somebody any more.
    pub fn forget(&mut self, session: u64, account: AccountId) {
        if let Some(accounts) = self.by_session.get_mut(&session) {
            accounts.remove(&account);
        }
    }

    fn all(&self) -> BTreeSet<AccountId> {
        self.by_session.values().flatten().copied().collect()
    }
}

impl super::edge::Edge {
    /// Everybody whom somebody here watches.
    pub fn watched(&self) -> BTreeSet<AccountId> {
        self.watching.all()
    }
}

/// What others see of somebody.
pub(super) fn presence_of(account: AccountId, online: bool) -> v1::Presence {
    v1::Presence { account: account.0, online, last_seen_at_ms: 0, profile_version: 1 }
}

impl World {
    /// A session of an edge watches these, and nobody else.
    pub(super) fn watch(&mut self, id: usize, session: u64, accounts: BTreeSet<AccountId>) {
        let watching = &mut self.edges[id].watching;
        let before = watching.all();
        match accounts.is_empty() {
            true => _ = watching.by_session.remove(&session),
            false => _ = watching.by_session.insert(session, accounts),
        }
        let after = watching.all();
        for &account in before.symmetric_difference(&after) {
            let watches = after.contains(&account);
            for node in 0..self.nodes.len() {
                self.send_to_node(id, node, move |world| world.watch_at(node, id, account, watches));
            }
        }
    }

    /// A session has ended.
    pub(super) fn watch_nobody(&mut self, id: usize, session: u64) {
        self.edges[id].watching.looks.retain(|&(looks, _), _| looks != session);
        self.watch(id, session, BTreeSet::new());
    }

    /// A core learns whether an edge wants to know of somebody.
    pub(super) fn watch_at(&mut self, node: usize, edge: usize, account: AccountId, watches: bool) {
        let presence = &mut self.nodes[node].presence;
        match watches {
            true => presence.watch(account, EdgeId(edge as u16)),
            false => presence.unwatch(account, EdgeId(edge as u16)),
        }
    }

    /// A core tells edges who came and went, of those whose home it is.
    pub(super) fn tell_presence(&mut self, id: usize) {
        let (now, node) = (self.now, &mut self.nodes[id]);
        for (edge, accounts) in node.presence.take(now, &node.routing) {
            let mut seen = Vec::new();
            for account in accounts {
                if self.owner(SLOT_KEY.slot(ConversationId::of_self(account))) == id {
                    seen.push((account, self.is_there(id, account)));
                }
            }
            if !seen.is_empty() {
                self.send_to_edge(id, usize::from(edge.0), ToEdge::Presence(seen));
            }
        }
    }

    /// Whether somebody is there, as far as a core knows.
    fn is_there(&self, id: usize, account: AccountId) -> bool {
        let node = &self.nodes[id];
        !node.routing.edges_of(account).is_empty() || node.presence.is_leaving(account)
    }

    /// A session asks who is there: the homes of those are asked.
    pub(super) fn look_at(
        &mut self,
        id: usize,
        session: u64,
        (request, cid): (u64, ConversationId),
        accounts: Vec<AccountId>,
    ) {
        let life = self.edges[id].life;
        if accounts.is_empty() {
            let presences = Ok(Vec::new());
            return self.seat_later(id, session, 1, Input::Looked { request, cid, presences });
        }
        let look = Look { cid, left: accounts.iter().copied().collect(), found: Vec::new() };
        self.edges[id].watching.looks.insert((session, request), look);
        for account in accounts {
            let node = self.edge_owner(id, SLOT_KEY.slot(ConversationId::of_self(account)));
            let sent = self.send_to_node(id, node, move |world| {
                let seen = (account, world.is_there(node, account));
                world.send_to_edge(node, id, ToEdge::Looked { life, session, request, seen });
            });
            if !sent {
                self.edges[id].watching.looks.remove(&(session, request));
                let why = anser_edge::convert::error(&anser_model::Refusal::Unavailable);
                let presences = Err(why);
                return self.seat_later(id, session, 1, Input::Looked { request, cid, presences });
            }
        }
    }

    /// A home has answered.
    pub(super) fn looked(&mut self, id: usize, session: u64, request: u64, seen: (AccountId, bool)) {
        let looks = &mut self.edges[id].watching.looks;
        let Some(look) = looks.get_mut(&(session, request)) else { return };
        let (account, online) = seen;
        if look.left.remove(&account) {
            look.found.push(presence_of(account, online));
        }
        if look.left.is_empty() {
            let Look { cid, found, .. } = looks.remove(&(session, request)).expect("it was found");
            self.seat_input(id, session, Input::Looked { request, cid, presences: Ok(found) });
        }
    }

    /// A core says of whom somebody may know: of present members of the same conversation, as of a durable n.
    pub(super) fn released_acquainted(&mut self, (edge, session): (u16, u64), found: &Acquainted) {
        // Whoever is gone is told nothing.
        let Some(asker) = self.edges[usize::from(edge)].account_of(session) else { return };
        let Acquainted { cid, accounts, slot, n } = found;
        let durable = self.audit.plain.newest(*slot);
        if *n > durable {
            let how = format!("{found:?}, slot {slot} ends at {durable}");
            return self.broken("who is acquainted is not durable", how);
        }
        let Some(known) = self.audit.plain.conversation(*cid) else {
            return self.broken("a stranger is acquainted", format!("{found:?}"));
        };
        let is_strange = |&other: &AccountId| {
            let silent = known.kind() == Some(ConversationKind::Direct) && !known.has_spoken(other, *n);
            other == asker || silent || !known.was_present(other, *n)
        };
        let strange = accounts.iter().copied().find(|other| is_strange(other));
        if let Some(other) = strange.or_else(|| (!known.was_present(asker, *n)).then_some(asker)) {
            let how = format!("{asker} of {found:?}: not of {other}");
            return self.broken("somebody may know who is there that it does not know", how);
        }
        let told = accounts.iter().map(|&other| (*cid, asker, other));
        self.audit.presence.acquainted.extend(told.clone());
        let again: BTreeSet<_> = told.map(|(cid, _, other)| (cid, other)).collect();
        let devices: Vec<usize> =
            (0..self.devices.len()).filter(|&id| self.devices[id].account == asker).collect();
        let parted = &mut self.audit.presence.parted;
        parted.retain(|(device, cid, other)| !devices.contains(device) || !again.contains(&(*cid, *other)));
    }

    /// What a device does not know of those whom it watches, or knows wrongly: everybody is there.
    pub(super) fn misses_presence(&self, id: usize) -> Option<String> {
        let device = &self.devices[id];
        let presences = device.session.as_ref()?.presences();
        if let Some(away) = presences.all().find(|presence| !presence.online) {
            return Some(format!("device {id} takes {} for away", away.account));
        }
        let mut due = BTreeSet::new();
        for (cid, accounts) in presences.watched() {
            let Some(known) = self.audit.plain.conversation(cid) else { continue };
            let Some(own) = known.members().get(&device.account).filter(|own| own.is_present()) else {
                continue;
            };
            if known.kind() == Some(ConversationKind::Channel) && own.role < Role::Admin {
                continue;
            }
            let is_direct = known.kind() == Some(ConversationKind::Direct);
            let newest = self.audit.plain.newest(SLOT_KEY.slot(cid));
            due.extend(accounts.iter().copied().filter(|&other| {
                let is_member = known.members().get(&other).is_some_and(|it| it.is_present());
                let has_spoken = !is_direct || known.has_spoken(other, newest);
                other != device.account && is_member && has_spoken
            }));
        }
        let known: BTreeSet<AccountId> = presences.all().map(|it| AccountId(it.account)).collect();
        (known != due).then(|| format!("device {id} knows of {known:?}, and watches {due:?}"))
    }
}

/// Who may know of whom, and who was told that it may not any more.
#[derive(Default)]
pub(super) struct AuditedPresence {
    acquainted: BTreeSet<(ConversationId, AccountId, AccountId)>,
    /// Devices that were told that somebody, or oneself, is in a conversation no more.
    parted: BTreeSet<(usize, ConversationId, AccountId)>,
}

impl AuditedPresence {
    /// A device is sent an event.
    pub fn told_event(&mut self, device: usize, account: AccountId, event: &v1::Event) {
        let Ok(cid) = wire::cid(&event.cid) else { return };
        let gone = match &event.change {
            Some(v1::event::Change::MemberRemoved(it)) if it.member != account.0 => {
                Some(AccountId(it.member))
            }
            Some(v1::event::Change::MemberRemoved(_) | v1::event::Change::Dissolved(_)) => None,
            _ => return,
        };
        let acquainted = self.acquainted.iter().filter(|&&(within, asker, other)| {
            within == cid && asker == account && gone.is_none_or(|gone| gone == other)
        });
        self.parted.extend(acquainted.map(|&(_, _, other)| (device, cid, other)));
    }

    /// A device is told whether somebody is there.
    pub fn may_be_told(&self, device: usize, account: AccountId, presence: &v1::Presence) -> Found {
        let other = AccountId(presence.account);
        let through = self.acquainted.iter().filter(|&&(_, asker, of)| asker == account && of == other);
        let mut through = through.filter(|&&(cid, ..)| !self.parted.contains(&(device, cid, other)));
        match other == account || through.next().is_some() {
            true => Ok(()),
            false => Err(("somebody hears who is there that it does not know", format!("{presence:?}"))),
        }
    }
}
