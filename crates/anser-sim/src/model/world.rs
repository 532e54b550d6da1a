//! The real rules and the real fold, one command after another, beside the plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anser_core::conversation::{Conversation, Head, Touched};
use anser_core::decide::{Context, decide, fact_wanted, joiners};
use anser_core::ports::index::{ConversationRow, ConversationRows, MemberRow};
use anser_core::rows::{conversation_from, conversation_row, member_row};
use anser_core::storage::{StoredFact, decode_stored, encode_fact};
use anser_model::change::CommandKey;
use anser_model::{
    AccountId, Change, Command, ConversationFact, ConversationId, N, Refusal, Seq, Slot, SlotKey,
};

use super::rules::{self, Ruling};
use super::script::{CROWD_FROM, PEOPLE, Step, TIMELINE};
use crate::plain::{Plain, PlainView};

/// Everything of a case lives in one slot.
const SLOT: Slot = Slot(0);
/// Every so many changes, what is stored is read back.
const READ_BACK_EVERY: u64 = 8;
/// Of a crowd so many are looked at.
const CROWD_LOOKED_AT: u64 = 3;

/// What became of a step, where both agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Unchanged,
    Refused(&'static str),
}

/// One case in the making.
#[derive(Default)]
pub(super) struct World {
    pub plain: Plain,
    states: BTreeMap<ConversationId, Conversation>,
    rows: BTreeMap<ConversationId, Rows>,
    n: u64,
}

/// What a flush would have written: rows that a fact is said to have touched, and no others.
#[derive(Default)]
struct Rows {
    conversation: Option<ConversationRow>,
    members: BTreeMap<AccountId, MemberRow>,
}

macro_rules! same {
    ($what:expr, $real:expr, $plain:expr) => {
        if $real != $plain {
            return Err(format!("{}: the server says {:?}, the facts say {:?}", $what, $real, $plain));
        }
    };
}

impl World {
    /// Does one step on both sides. `Err` says in what they differ.
    pub fn step(&mut self, step: &Step) -> Result<Outcome, String> {
        let command = &step.command;
        let state = self.states.entry(command.cid).or_insert_with(|| Conversation::vacant(command.cid));
        let ruling = rules::rule(&self.plain, command, TIMELINE, step.at);
        let named = fact_wanted(state, command).and_then(|seq| self.plain.standing(command.cid, seq));
        let named = named.map(|(n, fact)| decode_stored(SLOT, n, &encode_fact(&fact)));
        let named = named.transpose().map_err(|error| format!("it is stored: {error}"))?;
        let context = Context { timeline: TIMELINE, now: step.at, named: named.as_deref() };
        let decided = decide(state, command, context);
        let asked = joiners(state, command);
        match (decided, ruling) {
            (Err(refusal), Ruling::Refused(due)) if rules::same(&refusal, &due) => {
                Ok(Outcome::Refused(rules::name_of(&refusal)))
            }
            (Ok(changes), Ruling::Nothing) if changes.is_empty() => Ok(Outcome::Unchanged),
            (Ok(changes), Ruling::Made(due)) if changes == due => {
                let asked: BTreeSet<AccountId> = asked.into_iter().collect();
                same!("homes that must know first", asked, rules::joiners(&changes, command.actor.account));
                self.record(step, changes)?;
                Ok(Outcome::Accepted)
            }
            (decided, due) => Err(format!("the server decides {}, due is {due:?}", in_words(&decided))),
        }
    }

    /// Every conversation of which there is a fact.
    pub fn into_states(self) -> impl Iterator<Item = Conversation> {
        self.states.into_values().filter(|state| state.shared.n_newest > N(0))
    }

    fn record(&mut self, step: &Step, changes: Vec<Change>) -> Result<(), String> {
        let cid = step.command.cid;
        let count = changes.len();
        for (index, change) in changes.into_iter().enumerate() {
            let fact = self.fact(step, change, index + 1 == count);
            self.n += 1;
            let encoded = encode_fact(&fact);
            let stored =
                decode_stored(SLOT, N(self.n), &encoded).map_err(|error| format!("it is stored: {error}"))?;
            same!("the fact read back", stored.fact, fact);
            self.plain.take(SLOT, N(self.n), &fact)?;
            let state = self.states.get_mut(&cid).expect("decided on before");
            let touched = state.apply(&stored);
            self.store(cid, &touched);
            self.compare(cid, &stored)?;
        }
        if self.n.is_multiple_of(READ_BACK_EVERY) { self.read_back(cid) } else { Ok(()) }
    }

    /// The fact as the engine would record it, by what the plain maps hold.
    fn fact(&self, step: &Step, change: Change, answers: bool) -> ConversationFact {
        let Command { actor, cid, client_id, intent, .. } = &step.command;
        let known = self.plain.conversation(*cid);
        let head = known.map_or(Seq(0), |known| known.head());
        let ordinal = known.map_or(0, |known| known.ordinal_at(head).0);
        let key = client_id.filter(|_| answers).map(|client_id| CommandKey {
            client_id,
            request_hash: intent.request_hash(&SlotKey::new([1; 16])),
        });
        ConversationFact {
            cid: *cid,
            at: step.at,
            author: actor.account,
            device: actor.device,
            author_profile_version: actor.profile_version,
            command: key,
            seq: change.is_sequenced().then(|| head.next()),
            ordinal: anser_model::Ordinal(ordinal + u64::from(change.is_countable())),
            rewritten: None,
            change,
        }
    }

    fn store(&mut self, cid: ConversationId, touched: &Touched) {
        let state = &self.states[&cid];
        let rows = self.rows.entry(cid).or_default();
        if touched.shared || rows.conversation.is_none() {
            rows.conversation = Some(conversation_row(&state.shared));
        }
        for account in &touched.members {
            rows.members.insert(*account, member_row(cid, *account, &state.members[account]));
        }
    }

    /// The rows that were touched hold the conversation.
    fn read_back(&self, cid: ConversationId) -> Result<(), String> {
        let (state, rows) = (&self.states[&cid], &self.rows[&cid]);
        let rows = ConversationRows {
            conversation: rows.conversation.clone().expect("the first fact stores one"),
            members: rows.members.values().cloned().collect(),
        };
        let mut read = conversation_from(SLOT, &rows).map_err(|error| format!("its rows: {error}"))?;
        // Registers of one member do not touch the shared row, so these two may lag.
        read.shared.n_newest = state.shared.n_newest;
        read.shared.touched_at = state.shared.touched_at;
        same!("the rows read back", &read, state);
        Ok(())
    }

    /// After a fact, what everybody may know by both.
    fn compare(&self, cid: ConversationId, stored: &Arc<StoredFact>) -> Result<(), String> {
        let state = &self.states[&cid];
        let fact = &stored.fact;
        let known = self.plain.conversation(cid).expect("it took a fact");
        let roster: Vec<AccountId> = known.present().collect();
        same!("who is there", state.roster().to_vec(), roster);

        let told: Vec<AccountId> = state.audience(fact).to_vec();
        let mut once = told.clone();
        once.sort_unstable();
        once.dedup();
        same!("who is told, once each", told.len(), once.len());
        let everybody: BTreeSet<AccountId> =
            (1..=PEOPLE).map(AccountId).chain(known.members().keys().copied()).chain(told).collect();
        let due: Vec<AccountId> = everybody
            .iter()
            .copied()
            .filter(|&account| self.plain.was_told(cid, account, stored.n, fact))
            .collect();
        same!("who is told", once, due);

        for account in everybody {
            if account.0 < CROWD_FROM || account.0 % (1_000 / CROWD_LOOKED_AT) == 1 {
                self.compare_for(state, account).map_err(|what| format!("for {account}, {what}"))?;
            }
        }
        let (home, plain) = (&state.shared.home, self.plain.home_at(cid));
        same!("slots entered", home.slots(), plain.entered.iter().copied().collect::<Vec<_>>());
        same!("account version", home.account_version, plain.account_version);
        same!("device versions", home.devices, plain.devices);
        Ok(())
    }

    fn compare_for(&self, state: &Conversation, account: AccountId) -> Result<(), String> {
        let cid = state.shared.cid;
        let view = self.plain.view(cid, account);
        same!("n of the newest", state.n_for(account), view.as_ref().map_or(N(0), |view| view.n));
        same!("presence", state.present(account).is_some(), view.as_ref().is_some_and(|view| view.present));
        let (head, view) = match (state.head_for(account), view) {
            (None, None) => return Ok(()),
            (Some(head), Some(view)) => (head, view),
            (head, view) => {
                let (head, view) = (head.is_some(), view.is_some());
                return Err(format!("the server has a head: {head}, the facts show one: {view}"));
            }
        };
        compare_head(&head, &view)?;
        let last = view.last_message.and_then(|seq| self.plain.shown(cid, account, seq, N(u64::MAX)));
        let shown = head.last_message.as_ref().map(|last| (last.n, last.fact.clone()));
        same!("what the last message says", shown, last);
        let member = &state.members[&account];
        same!("what is visible", member.intervals.clip(Seq(1), state.shared.head), view.visible);
        for seq in (1..=state.shared.head.0).map(Seq) {
            let may_see = self.plain.may_see(cid, account, seq);
            same!(format!("whether seq {seq} is visible"), member.intervals.contains(seq), may_see);
        }
        Ok(())
    }
}

fn compare_head(head: &Head, view: &PlainView) -> Result<(), String> {
    same!("kind", head.kind, view.kind);
    same!("n", head.n, view.n);
    same!("title", head.title, view.title);
    same!("peer", head.peer, view.peer);
    same!("head", head.seq, view.head);
    same!("ordinal", head.ordinal, view.ordinal);
    same!("time", head.at, view.at);
    same!("role", head.role, view.role);
    same!("mark", head.mark, view.mark);
    same!("picture", head.avatar, view.avatar);
    same!("whether newcomers see the past", head.history_visible, view.history_visible);
    same!("mark of unread", head.marked_unread, view.marked_unread);
    same!("cleared", head.cleared, view.cleared);
    same!("hidden", head.hidden.parts(), view.hidden);
    same!("what came to the peer", head.peer_delivered, view.peer_delivered);
    same!("base", head.unread.base(), view.base);
    same!("unread", head.unread_count, view.unread);
    same!("unread mentions", head.unread.mentions(), view.mentions);
    same!("mention of all", head.mention_all, view.mention_all.unwrap_or_default());
    same!("peer's mark", head.peer_mark, view.peer_mark);
    same!("members", head.member_count, view.member_count);
    same!("last message", head.last_message.as_ref().and_then(|m| m.fact.seq), view.last_message);
    same!("first visible", Some(head.first_visible), view.visible.first().map(|&(low, _)| low));
    Ok(())
}

fn in_words(decided: &Result<Vec<Change>, Refusal>) -> String {
    match decided {
        Ok(changes) if changes.is_empty() => "Nothing".into(),
        Ok(changes) => format!("Made({changes:?})"),
        Err(refusal) => format!("Refused({refusal:?})"),
    }
}
