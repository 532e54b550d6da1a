//! The auditor: knows from the log alone what must be true, and looks at everything that anybody is told.

use std::collections::BTreeMap;

use anser_client::session::Session;
use anser_core::engine::{Answer, Event, Input, ReplyTo};
use anser_core::record::Record;
use anser_core::storage::{StoredFact, decode_fact, split_facts};
use anser_model::{AccountId, Change, ConversationId, Fact, N, Refusal, Seq, Slot};
use anser_proto::v1::ephemeral::What;
use anser_proto::{v1, wire};
use bytes::Bytes;

use super::acts::deed_of;
use super::own;
use super::presence::AuditedPresence;
use super::rest::{READ_FACTS, Rest};
use super::typing::AuditedTyping;
use super::world::World;
use crate::plain::Plain;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which, in words that are the same for all seeds.
    pub promise: &'static str,
    /// How.
    pub how: String,
}

/// What the auditor knows.
#[derive(Default)]
pub(super) struct Auditor {
    pub plain: Plain,
    /// The facts as clients are told them.
    told: BTreeMap<(Slot, N), v1::Event>,
    /// The newest n that was acknowledged to anybody.
    acknowledged: BTreeMap<Slot, N>,
    /// What had been acknowledged when a question came.
    floors: Vec<(ReplyTo, N)>,
    /// Who ruled a slot last.
    owners: BTreeMap<Slot, usize>,
    pub typing: AuditedTyping,
    pub presence: AuditedPresence,
    /// Slots that came to another core.
    pub owner_changes: u64,
}

impl World {
    /// A promise is broken: the run is over.
    pub(super) fn broken(&mut self, promise: &'static str, how: String) {
        self.note(format_args!("BROKEN: {promise}: {how}"));
        self.breach.get_or_insert(Breach { promise, how });
    }

    /// A record counts from now on.
    pub(super) fn landed(&mut self, record: &Record) {
        let slot = record.header.slot;
        let facts = match split_facts(&record.payload) {
            Ok(facts) => facts,
            Err(error) => return self.broken("a record cannot be read", error.to_string()),
        };
        for (index, encoded) in facts.into_iter().enumerate() {
            let n = N(record.header.first_n.0 + index as u64);
            let fact = match decode_fact(&encoded) {
                Ok(fact) => fact,
                Err(error) => return self.broken("a fact cannot be read", error.to_string()),
            };
            let taken = match fact {
                Fact::Slot(fact) => {
                    self.note(format_args!("slot {slot} n {n}: {fact:?}"));
                    self.audit.plain.take_slot_fact(slot, n, &fact)
                }
                Fact::Conversation(fact) => {
                    self.note(format_args!("slot {slot} n {n}: {}", summary(&fact)));
                    let taken = self.audit.plain.take(slot, n, &fact);
                    let stored = StoredFact { n, slot, fact, encoded };
                    if let Some(event) = anser_edge::convert::event(&stored) {
                        self.audit.told.insert((slot, n), event);
                    }
                    taken
                }
            };
            if let Err(what) = taken {
                return self.broken("the log holds what cannot follow", what);
            }
            self.facts_landed += 1;
            self.landed_at = self.now;
        }
    }

    /// After a restart of one machine: everything that was durable is there, and what else survived counts.
    pub(super) fn read_what_survived(&mut self) {
        let Some(machine) = &mut self.machine else { return };
        let mut survived = Vec::new();
        let mut lost = None;
        for head in machine.log().heads() {
            let known = self.audit.plain.newest(head.slot);
            if head.last < known {
                lost =
                    Some(format!("slot {}: n {known} was durable, the log ends at {}", head.slot, head.last));
            }
            let mut from = known.next();
            while from <= head.last {
                match machine.log().read(head.slot, from, 1 << 20) {
                    Ok(records) if !records.is_empty() => {
                        from = records[records.len() - 1].header.last_n().next();
                        survived.extend(records);
                    }
                    other => {
                        lost = Some(format!("slot {} cannot be read from n {from}: {other:?}", head.slot));
                        break;
                    }
                }
            }
        }
        if let Some(lost) = lost {
            self.broken("what was durable is gone", lost);
        }
        survived.iter().for_each(|record| self.landed(record));
    }

    /// A core hears a question: its answer must know of all that was acknowledged by now.
    pub(super) fn heard(&mut self, slot: Slot, input: &Input) {
        if let Input::Query { reply, .. } = input {
            let floor = self.audit.acknowledged.get(&slot).copied().unwrap_or_default();
            self.audit.floors.push((*reply, floor));
        }
    }

    /// A core lets go of an answer.
    pub(super) fn released_answer(&mut self, slot: Slot, reply: ReplyTo, answer: &Result<Answer, Refusal>) {
        let floor = match self.audit.floors.iter().position(|(asked, _)| *asked == reply) {
            Some(index) => self.audit.floors.swap_remove(index).1,
            None => N(0),
        };
        let newest = self.audit.plain.newest(slot);
        let n = match answer {
            Ok(Answer::Accepted(accepted)) => {
                if let Some(seq) = accepted.seq {
                    let fact = self.audit.plain.fact(accepted.cid, seq).map(|(n, _)| *n);
                    if fact != Some(accepted.n) {
                        let how = format!("slot {slot}: {accepted:?}, but the log holds {fact:?}");
                        return self.broken("acknowledged before it was durable", how);
                    }
                }
                let known = self.audit.acknowledged.entry(slot).or_default();
                *known = (*known).max(accepted.n);
                accepted.n
            }
            Ok(Answer::Page(page)) => page.n,
            Ok(Answer::Versions(list)) => list.n,
            Ok(Answer::Heads { n, .. }) => *n,
            Ok(Answer::Marks(marks)) => marks.n,
            Ok(Answer::Acquainted(found)) => found.n,
            Ok(Answer::Members(_) | Answer::Home(_) | Answer::Done) | Err(_) => return,
        };
        if n > newest {
            let how = format!("slot {slot}: the answer to {reply} shows n {n}, the log ends at {newest}");
            self.broken("an answer shows what is not durable", how);
        } else if n < floor {
            let how = format!("slot {slot}: the answer to {reply} shows n {n}, {floor} was acknowledged");
            self.broken("a read is older than what was acknowledged", how);
        }
    }

    /// A core lets go of an event.
    pub(super) fn released_event(&mut self, event: &Event) {
        let fact = &event.fact;
        if self.audit.plain.at(fact.slot, fact.n) != Some(&fact.fact) {
            let how = format!("slot {} n {}: {}", fact.slot, fact.n, summary(&fact.fact));
            self.broken("an event is not durable", how);
        }
    }

    /// A core serves a slot.
    pub(super) fn reigns(&mut self, slot: Slot, id: usize) {
        if self.audit.owners.insert(slot, id).is_some_and(|before| before != id) {
            self.audit.owner_changes += 1;
        }
    }

    /// A device is sent a frame: what is in it must be true, and for its eyes.
    pub(super) fn audit_frame(&mut self, device: usize, frame: &v1::ServerFrame) {
        use v1::response::Result as Answered;
        use v1::server_frame::Frame;
        let account = self.devices[device].account;
        let found = match &frame.frame {
            Some(Frame::Event(event)) => {
                self.audit.presence.told_event(device, account, event);
                self.audit.told_rightly(account, event)
            }
            Some(Frame::SyncHeads(heads)) => {
                heads.heads.iter().try_for_each(|head| self.audit.head_is_true(account, head))
            }
            Some(Frame::Response(response)) => match &response.result {
                Some(Answered::Page(page)) => {
                    let as_of = N(page.n);
                    page.events.iter().try_for_each(|event| self.audit.may_be_shown(account, event, as_of))
                }
                Some(Answered::ConversationList(list)) => {
                    list.heads.iter().try_for_each(|head| self.audit.head_is_true(account, head))
                }
                Some(Answered::MarkList(list)) => self.audit.marks_may_be_told(account, list),
                Some(Answered::MemberList(list)) => self.audit.may_know(account, &list.cid),
                Some(Answered::VersionList(list)) => self.audit.versions_are_true(account, list),
                Some(Answered::PresenceList(list)) => {
                    let mut told = list.presences.iter();
                    told.try_for_each(|it| self.audit.presence.may_be_told(device, account, it))
                }
                _ => Ok(()),
            },
            Some(Frame::Ephemeral(v1::Ephemeral { what: Some(What::Presence(presence)) })) => {
                self.audit.presence.may_be_told(device, account, presence)
            }
            Some(Frame::Ephemeral(ephemeral)) => self.audit.typing.may_be_told(account, ephemeral),
            _ => Ok(()),
        };
        if let Err((promise, how)) = found {
            self.broken(promise, format!("device {device} of {account}: {how}"));
        }
    }

    /// What a device's cursor claims to have, it must have.
    pub(super) fn audit_cursor(&mut self, id: usize) {
        let device = &self.devices[id];
        let Some(session) = &device.session else { return };
        let account = device.account;
        let mut audited = Vec::new();
        let mut missing = None;
        for (&number, &n) in &session.cursor().to_wire().slots {
            let Ok(slot) = wire::slot(number) else { continue };
            let from = device.audited.get(&slot).copied().unwrap_or_default();
            if n <= from.0 || session.cursor().owes(slot) {
                continue;
            }
            for n in from.0 + 1..=n {
                let Some(fact) = self.audit.plain.at(slot, N(n)) else { continue };
                if self.audit.plain.was_told(fact.cid, account, N(n), fact)
                    && !has_taken(session, account, N(n), fact)
                {
                    missing = Some(format!("slot {slot} n {n}: {}", summary(fact)));
                }
            }
            audited.push((slot, N(n)));
        }
        self.devices[id].audited.extend(audited);
        if let Some(missing) = missing {
            let how = format!("device {id} of {account} has nothing of {missing}");
            self.broken("a cursor claims what was never told", how);
        }
    }

    /// After the storm: everybody has everything, once, and sees the same
    pub(super) fn audit_rest(&mut self, rest: Rest) {
        if let Some((account, slot, cid)) = self.audit.plain.unentered().first() {
            let how = format!("{account} is in {cid}, and its home has no note of slot {slot}");
            return self.broken("a home does not know where its owner is", how);
        }
        for id in 0..self.devices.len() {
            let found = match &self.devices[id].session {
                Some(session) => {
                    self.audit.view_is_true(self.devices[id].account, session, rest != Rest::Live)
                }
                None => Ok(()),
            };
            if let Err(how) = found {
                return self.broken("a device does not see what is true", format!("device {id}: {how}"));
            }
        }
        if rest == Rest::Read {
            self.audit_read();
        }
        self.audit_deeds();
    }

    /// New devices have read every conversation from its beginning: nothing is missing.
    fn audit_read(&mut self) {
        let new = &self.devices[self.plan.all_devices()..];
        let missing = new.iter().find_map(|device| {
            self.audit.plain.conversations_of(device.account).find_map(|cid| {
                let view = self.audit.plain.view(cid, device.account)?;
                let seen = device.session.as_ref()?.conversation(cid)?;
                let visible = view.visible.iter().flat_map(|&(low, high)| low.0..=high.0);
                let hides = |seq| self.audit.hides(cid, device.account, Seq(seq), N(u64::MAX));
                let visible = visible.filter(|&seq| !hides(seq));
                let missing = visible.take(READ_FACTS as usize).find(|&seq| seen.fact(seq).is_none())?;
                Some(format!("a new device of {}: seq {missing} of {cid}", device.account))
            })
        });
        if let Some(how) = missing {
            self.broken("a page leaves out what its reader may see", how);
        }
    }

    /// Everything that was done took effect once or not at all, as its doer was told.
    fn audit_deeds(&mut self) {
        let mut effects: BTreeMap<u64, u64> = BTreeMap::new();
        let mut places: BTreeMap<(usize, ConversationId), Vec<(u64, Seq)>> = BTreeMap::new();
        for conversation in self.audit.plain.conversations() {
            for (_, fact) in conversation.facts() {
                let Change::MessageSent(message) = &fact.change else { continue };
                let Some(number) = deed_of(&message.text) else { continue };
                *effects.entry(number).or_default() += 1;
                if let (Some(deed), Some(seq)) = (self.deeds.get(&number), fact.seq)
                    && !deed.retried
                {
                    places.entry((deed.device, conversation.cid())).or_default().push((number, seq));
                }
            }
        }
        let twice = effects.iter().find(|&(_, &count)| count > 1).map(|(&number, _)| number);
        if let Some(number) = twice {
            return self.broken("a message was sent once and is there twice", format!("deed {number}"));
        }
        let undone = self.deeds.iter().find(|(number, deed)| {
            deed.refused && !deed.accepted && !deed.retried && effects.contains_key(number)
        });
        if let Some((number, _)) = undone {
            let how = format!("deed {number}");
            return self.broken("a message was refused and is there", how);
        }
        for ((device, cid), mut places) in places {
            places.sort_unstable();
            if let Some(pair) = places.windows(2).find(|pair| pair[0].1 > pair[1].1) {
                let how = format!("device {device} in {cid}: {pair:?}");
                return self.broken("somebody's own messages changed their order", how);
            }
        }
    }
}

pub(super) type Found = Result<(), (&'static str, String)>;

impl Auditor {
    fn fact_of(&self, event: &v1::Event) -> Result<(Slot, N), String> {
        let slot = wire::slot(event.slot).map_err(|error| error.to_string())?;
        let known = self.told.get(&(slot, N(event.n)));
        if known == Some(event) {
            return Ok((slot, N(event.n)));
        }
        Err(format!("slot {slot} n {}: told {event:?}, in the log {known:?}", event.n))
    }

    fn told_rightly(&self, account: AccountId, event: &v1::Event) -> Found {
        let (slot, n) = self.fact_of(event).map_err(|how| ("an event is not what the log holds", how))?;
        let fact = self.plain.at(slot, n).expect("it has an event");
        match self.plain.was_told(fact.cid, account, n, fact) {
            true => Ok(()),
            false => {
                let how = format!("slot {slot} n {n}: {}", summary(fact));
                Err(("an event reaches one who is not to know", how))
            }
        }
    }

    /// A sequenced fact as an account is shown it as of some n: a recalled message without what it said.
    fn shown(
        &self,
        account: AccountId,
        slot: Slot,
        cid: ConversationId,
        seq: Seq,
        as_of: N,
    ) -> Option<v1::Event> {
        let (n, fact) = self.plain.shown(cid, account, seq, as_of)?;
        anser_edge::convert::event(&StoredFact { n, slot, fact, encoded: Bytes::new() })
    }

    /// What is shown as of some n, in a page or a head.
    fn may_be_shown(&self, account: AccountId, event: &v1::Event, as_of: N) -> Found {
        let shown = |how: String| ("what is shown is not what the log holds", how);
        let slot = wire::slot(event.slot).map_err(|error| shown(error.to_string()))?;
        let cid = wire::cid(&event.cid).map_err(|error| shown(error.to_string()))?;
        let seq = Seq(event.seq);
        let stood = self.shown(account, slot, cid, seq, as_of);
        if stood.as_ref() != Some(event) && !is_withheld_form(event, stood.as_ref()) {
            let before = self.shown(account, slot, cid, seq, N(event.n));
            // It is a promise of its own that what was true once is shown no more.
            let promise = match before.as_ref() == Some(event) {
                true => "what was recalled or edited is shown",
                false => "what is shown is not what the log holds",
            };
            let how = format!("seq {seq} of {cid} as of n {as_of}: {event:?}, and {stood:?} stands");
            return Err((promise, how));
        }
        if self.hides(cid, account, seq, as_of) {
            let how = format!("seq {seq} of {cid} as of n {as_of} to {account}");
            return Err(("somebody is shown what it has hidden", how));
        }
        match self.plain.may_see(cid, account, seq) {
            true => Ok(()),
            false => {
                Err(("somebody is shown what it may not see", format!("seq {seq} of {cid}, slot {slot}")))
            }
        }
    }

    /// What a message is said to have said, it said where the asker could see.
    fn versions_are_true(&self, account: AccountId, list: &v1::VersionList) -> Found {
        self.may_know(account, &list.cid)?;
        let shown = |how: String| ("what is shown is not what the log holds", how);
        let cid = wire::cid(&list.cid).map_err(|error| shown(error.to_string()))?;
        let due = self.plain.shown(cid, account, Seq(list.seq), N(list.n));
        let (_, fact) = due.ok_or_else(|| shown(format!("{list:?} of nothing")))?;
        let edits = fact.edits().filter(|_| self.plain.may_see(cid, account, Seq(list.seq)));
        let (times, versions) = edits.map_or((0, &[][..]), |edits| (edits.times, &edits.versions));
        let seen = versions.iter().filter(|it| self.plain.may_see(cid, account, it.by));
        let due: Vec<v1::Version> = seen
            .map(|it| v1::Version { at_ms: it.at.0, text: it.text.clone(), body: it.body.clone() })
            .collect();
        // One who came back meanwhile sees more by now.
        let is_part = list.versions.iter().all(|version| due.contains(version));
        match is_part && (list.edits == times || list.edits == 0) {
            true => Ok(()),
            false => Err(shown(format!("{list:?}, and {due:?} of {times} edits is true"))),
        }
    }

    pub(super) fn may_know(&self, account: AccountId, cid: &[u8]) -> Found {
        let known = wire::cid(cid).ok().and_then(|cid| self.plain.conversation(cid));
        match known.is_some_and(|conversation| conversation.members().contains_key(&account)) {
            true => Ok(()),
            false => Err(("a stranger is told of a conversation", format!("{cid:02x?}"))),
        }
    }

    fn head_is_true(&self, account: AccountId, head: &v1::Head) -> Found {
        self.may_know(account, &head.cid)?;
        match &head.last_message {
            Some(last) => self.may_be_shown(account, last, N(head.n)),
            None => Ok(()),
        }
    }

    /// A session's view against the truth, conversation by conversation; whether it has synced since all of
    /// that happened.
    fn view_is_true(&self, account: AccountId, session: &Session, synced: bool) -> Result<(), String> {
        let mut expected = 0;
        for cid in self.plain.conversations_of(account) {
            let Some(view) = self.plain.view(cid, account) else { continue };
            expected += 1;
            let seen = session.conversation(cid).ok_or_else(|| format!("{cid} is not there"))?;
            let head = seen.head();
            let same = |what: &str, seen: u64, is: u64| match seen == is {
                true => Ok(()),
                false => Err(format!("{cid}: its {what} is {is}, and is seen as {seen}: {head:?} {view:?}")),
            };
            same("head", head.seq, view.head.0)?;
            same("ordinal", head.ordinal, view.ordinal.0)?;
            same("unread", seen.unread(), view.unread)?;
            same("mark", seen.mark(), view.mark.0)?;
            same(
                "mention of all",
                seen.mention_all().unwrap_or_default(),
                view.mention_all.map_or(0, |it| it.0),
            )?;
            let mentions: Vec<u64> = view.mentions.iter().map(|seq| seq.0).collect();
            if seen.mentions() != mentions {
                let seen = seen.mentions();
                return Err(format!("{cid}: unread mentions are {mentions:?}, and are seen as {seen:?}"));
            }
            same("membership", u64::from(seen.is_member()), u64::from(view.present))?;
            same("role", u64::from(head.role as u32), view.role.map_or(0, |role| role as u64 + 1))?;
            same("peer", head.peer, view.peer.map_or(0, AccountId::get))?;
            same("peer's mark", head.peer_mark, view.peer_mark.map_or(0, |mark| mark.0))?;
            own::is_true(cid, &head, &view)?;
            same("members", u64::from(head.member_count), u64::from(view.member_count))?;
            let last = head.last_message.as_ref().map_or(0, |message| message.seq);
            same("last message", last, view.last_message.map_or(0, |seq| seq.0))?;
            if let Some(last) = &head.last_message {
                self.held_is_true(account, last, synced || view.present)?;
            }
            if head.title != view.title {
                return Err(format!("{cid}: its title is {:?}, and is seen as {:?}", view.title, head.title));
            }
            for fact in seen.facts() {
                self.held_is_true(account, fact, synced || view.present)?;
            }
        }
        let seen = session.conversations().len();
        match seen == expected {
            true => Ok(()),
            false => Err(format!("{expected} conversations are there, {seen} are seen")),
        }
    }

    /// A fact that a device holds; its own it may know by the answer alone.
    ///
    /// A former member is told with its next sync alone that something was recalled after it left.
    fn held_is_true(&self, account: AccountId, event: &v1::Event, is_told: bool) -> Result<(), String> {
        let slot = wire::slot(event.slot).map_err(|error| error.to_string())?;
        let cid = wire::cid(&event.cid).map_err(|error| error.to_string())?;
        let as_of = |n| {
            let shown = self.shown(account, slot, cid, Seq(event.seq), n)?;
            Some(v1::Event { author_profile_version: event.author_profile_version, ..shown })
        };
        let Some(standing) = as_of(N(u64::MAX)) else {
            return Err(format!("it holds {event:?}, of which there is nothing"));
        };
        if standing != *event && (is_told || as_of(N(event.n)).as_ref() != Some(event)) {
            return Err(format!("it holds {event:?}, and {standing:?} stands"));
        }
        let standing = self.shown(account, slot, cid, Seq(event.seq), N(u64::MAX)).unwrap_or(standing);
        self.may_be_shown(account, &standing, N(u64::MAX)).map_err(|(_, how)| how)
    }
}

/// Whether this is what stands there, without what it says: as it was shown to one who came back since.
fn is_withheld_form(event: &v1::Event, stood: Option<&v1::Event>) -> bool {
    use v1::event::Change::Message;
    let Some(stood) = stood else { return false };
    let (Some(Message(shown)), Some(Message(message))) = (&event.change, &stood.change) else { return false };
    let (kind, uncounted) = (message.kind.clone(), message.uncounted);
    let withheld = v1::Message { kind, uncounted, withheld: true, ..v1::Message::default() };
    let change = Some(Message(withheld));
    shown.withheld && message.edits > 0 && *event == v1::Event { change, ..stood.clone() }
}

/// Whether a session shows the effect of a fact, or of a later one in its place.
fn has_taken(session: &Session, account: AccountId, n: N, fact: &anser_model::ConversationFact) -> bool {
    let Some(seen) = session.conversation(fact.cid) else {
        return matches!(fact.change, Change::Entered { .. } | Change::CredentialsRaised { .. });
    };
    match (&fact.change, fact.seq) {
        (Change::Recalled { stands }, Some(seq)) => {
            let target = stands.seq.map_or(0, |seq| seq.0);
            let shown = |event: &v1::Event| match &event.change {
                Some(v1::event::Change::Message(message)) => event.seq != target || message.recalled,
                _ => true,
            };
            seen.seq() >= seq.0 && seen.facts().all(shown)
        }
        (Change::Edited { seq: target, stands, .. }, Some(seq)) => {
            let times = stands.as_ref().and_then(|stands| stands.edits()).map_or(0, |edits| edits.times);
            let shown = |event: &v1::Event| match &event.change {
                Some(v1::event::Change::Message(message)) => {
                    event.seq != target.0 || message.recalled || message.withheld || message.edits >= times
                }
                _ => true,
            };
            seen.seq() >= seq.0 && seen.facts().all(shown)
        }
        (_, Some(seq)) => seen.seq() >= seq.0,
        (
            Change::DeliveredUpTo { .. }
            | Change::UnreadMarked { .. }
            | Change::MessagesHidden { .. }
            | Change::HistoryCleared { .. },
            None,
        ) => own::has_taken(seen, account, n, &fact.change),
        (Change::ReadUpTo { member, seq, .. }, None) if *member == account => seen.mark() >= seq.0,
        // Of somebody who has left, a mark is no news any more.
        (Change::ReadUpTo { seq, .. }, None) => seen.head().peer_mark >= seq.0 || seen.peer().is_none(),
        _ => true,
    }
}

/// A fact in one line.
pub(super) fn summary(fact: &anser_model::ConversationFact) -> String {
    let seq = fact.seq.map_or_else(|| "register".to_owned(), |seq| format!("seq {seq}"));
    let what = match &fact.change {
        Change::MessageSent(message) => {
            let text: String = message.text.chars().take(16).collect();
            format!("{text:?}")
        }
        Change::Recalled { stands } => format!("Recalled {{ seq: {:?} }}", stands.seq),
        Change::Edited { seq, to_all, .. } => format!("Edited {{ seq: {seq}, to_all: {to_all} }}"),
        other => format!("{other:?}"),
    };
    format!("{} in {} {seq}: {what}", fact.author, fact.cid)
}
