//! What the server sends of its own accord: events, heads, and notices about the connection.

use anser_model::{AccountId, ConversationId, N};
use anser_proto::v1::{self, ephemeral::What, event::Change, server_frame::Frame};
use anser_proto::wire;

use crate::session::command::Query;
use crate::session::exchange::{Ended, Update};
use crate::session::queries::Asker;
use crate::session::{Conversation, Keep, Session, Turn};

/// Facts that a page may hold; a wider gap is left as an island until somebody looks.
const PAGE_FACTS: u64 = anser_model::limits::PAGE_MESSAGES as u64;

impl Session {
    pub(super) fn frame(&mut self, turn: &mut Turn, frame: v1::ServerFrame) {
        self.link.last_heard_ms = turn.now_ms();
        match frame.frame {
            Some(Frame::Response(response)) => self.response(turn, response),
            Some(Frame::Event(event)) => self.event(turn, event),
            Some(Frame::SyncHeads(heads)) => self.sync_heads(turn, heads),
            Some(Frame::Resync(resync)) => self.missed(&resync.slots),
            Some(Frame::Kicked(kicked)) => {
                let (code, message) = (kicked.code, kicked.message);
                self.end(turn, Ended::Kicked { code, message });
            }
            Some(Frame::Draining(draining)) => self.link.draining_ms = Some(draining.reconnect_after_ms),
            Some(Frame::Ephemeral(ephemeral)) => self.passing(turn, ephemeral),
            // A push of a newer server, which this version can do without.
            None => {}
        }
    }

    fn passing(&mut self, turn: &mut Turn, ephemeral: v1::Ephemeral) {
        match ephemeral.what {
            Some(What::Typing(it)) => {
                let Ok(cid) = wire::cid(&it.cid) else { return };
                turn.tell(Update::Typing { cid, account: AccountId(it.account) });
            }
            Some(What::Presence(presence)) => {
                let account = AccountId(presence.account);
                if self.config.keep > Keep::Nothing {
                    self.profiles.saw(account, presence.profile_version);
                }
                if self.presences.told(presence) {
                    turn.tell(Update::Presence(vec![account]));
                }
            }
            // Of a newer server.
            None => {}
        }
    }

    /// It was answered who of a conversation is there.
    pub(super) fn present(&mut self, turn: &mut Turn, cid: ConversationId, list: &v1::PresenceList) {
        if self.config.keep > Keep::Nothing {
            let seen = list.presences.iter().map(|it| (AccountId(it.account), it.profile_version));
            seen.for_each(|(account, version)| self.profiles.saw(account, version));
        }
        let changed = self.presences.answered(cid, list);
        if !changed.is_empty() {
            turn.tell(Update::Presence(changed));
        }
    }

    fn event(&mut self, turn: &mut Turn, event: v1::Event) {
        self.observe(event.slot, event.n);
        self.settle_by_echo(turn, &event);
        if self.config.keep > Keep::Nothing {
            self.profiles.saw(AccountId(event.author), event.author_profile_version);
            self.fold(turn, &event);
        }
        if let Ok(cid) = wire::cid(&event.cid) {
            self.presences.noticed(cid, &event);
        }
        turn.tell(Update::Event(Box::new(event)));
    }

    /// A fact was reported: the cursor may move.
    pub(super) fn observe(&mut self, slot: u32, n: u64) {
        if let Ok(slot) = wire::slot(slot) {
            self.unsaved.cursor |= self.cursor.observe(slot, N(n));
        }
    }

    /// One's own command seen as a fact is an answer, should the answer itself be lost.
    pub(super) fn settle_by_echo(&mut self, turn: &mut Turn, event: &v1::Event) {
        if self.account != Some(AccountId(event.author)) || event.client_id.is_empty() {
            return;
        }
        let Ok(client_id) = wire::client_id(&event.client_id) else { return };
        let Some(order) = self.outbox.by_client_id(client_id).map(|entry| entry.order) else { return };
        let accepted = v1::Accepted {
            cid: event.cid.clone(),
            slot: event.slot,
            n: event.n,
            seq: event.seq,
            at_ms: event.at_ms,
            duplicate: false,
            ordinal: event.ordinal,
        };
        self.accepted(turn, order, accepted, Some(event));
    }

    /// Folds a fact into its conversation.
    pub(super) fn fold(&mut self, turn: &mut Turn, event: &v1::Event) {
        let (Some(own), Ok(cid)) = (self.account, wire::cid(&event.cid)) else { return };
        let keep_facts = self.config.keep == Keep::Everything;
        let conversation = match self.conversations.get_mut(&cid) {
            Some(known) => known,
            None => {
                let Ok(new) = Conversation::from_event(event, own) else { return };
                self.conversations.entry(cid).or_insert(new)
            }
        };
        let applied = conversation.take_event(event, own, keep_facts);
        if conversation.needs_head() {
            self.heads_wanted.insert(cid);
        }
        if !self.config.send_only {
            self.delivered.note(conversation);
        }
        if conversation.recheck().is_some() {
            self.rechecks_wanted.insert(cid);
        }
        // Who is spoken to, and who is spoken of, are to be shown by their names.
        let named = match &event.change {
            Some(Change::MembersAdded(added)) => added.members.clone(),
            Some(Change::MemberRemoved(removed)) => vec![removed.member],
            Some(Change::RoleSet(set)) => vec![set.member],
            _ => Vec::new(),
        };
        for account in named.into_iter().map(AccountId).chain(conversation.peer()) {
            self.profiles.saw(account, 1);
        }
        // Before its heads are there, a slot's gaps are what heads and pages will tell anyway.
        let settled = wire::slot(event.slot).is_ok_and(|slot| !self.cursor.owes(slot));
        if let Some((low, high)) =
            applied.gap.filter(|(low, high)| keep_facts && settled && high - low < PAGE_FACTS)
        {
            let page = v1::GetPage {
                r#in: Some(v1::Target::cid(cid)),
                after_seq: low - 1,
                before_seq: high + 1,
                limit: PAGE_FACTS as u32,
                ..v1::GetPage::default()
            };
            self.queries.ask(Asker::Gap(cid), Query::Page(page), turn.now_ms());
        }
        if applied.head && Conversation::hides(event) {
            self.persist_forgotten(turn, cid);
        }
        if applied.facts {
            self.persist_facts(turn, cid, std::slice::from_ref(event));
        }
        if applied.head || applied.facts {
            self.unsaved.conversations.insert(cid);
            turn.tell(Update::Conversation(cid));
        }
    }

    /// Takes a head of a sync or an answer.
    pub(super) fn take_head(&mut self, turn: &mut Turn, head: v1::Head) {
        if let Some(last) = &head.last_message {
            let last = last.clone();
            self.settle_by_echo(turn, &last);
        }
        if self.config.keep > Keep::Nothing {
            self.keep_head(turn, &head);
        }
        turn.tell(Update::Head(Box::new(head)));
    }

    fn keep_head(&mut self, turn: &mut Turn, head: &v1::Head) {
        let Ok(cid) = wire::cid(&head.cid) else { return };
        let keep_facts = self.config.keep == Keep::Everything;
        let hidden_before = self.conversations.get(&cid).map(Conversation::hidden).unwrap_or_default();
        let taken = match self.conversations.get_mut(&cid) {
            Some(known) => known.take_head(head.clone(), keep_facts),
            None => {
                let Ok(mut new) = Conversation::from_head(head.clone()) else { return };
                new.take_head(head.clone(), keep_facts);
                self.conversations.insert(cid, new);
                true
            }
        };
        if !taken {
            return;
        }
        self.heads_wanted.remove(&cid);
        if let Some(conversation) = self.conversations.get(&cid).filter(|_| !self.config.send_only) {
            self.delivered.note(conversation);
        }
        if self.conversations.get(&cid).and_then(Conversation::recheck).is_some() {
            self.rechecks_wanted.insert(cid);
        }
        if self.conversations.get(&cid).is_some_and(|now| now.hidden() != hidden_before) {
            self.persist_forgotten(turn, cid);
        }
        self.profiles.saw(AccountId(head.peer), 1);
        if let Some(last) = &head.last_message {
            self.profiles.saw(AccountId(last.author), last.author_profile_version);
        }
        self.persist_facts(turn, cid, head.last_message.as_slice());
        self.unsaved.conversations.insert(cid);
        turn.tell(Update::Conversation(cid));
    }
}
