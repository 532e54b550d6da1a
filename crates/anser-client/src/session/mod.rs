//! The session machine: everything a client does, as inputs and outputs. Deterministic, and without
//! I/O: time and randomness are arguments, so that it runs in a simulator as it runs on a socket.
//!
//! | part | owns |
//! |---|---|
//! | [`link`] | when a connection is opened, with which credential, when it counts as dead |
//! | [`cursor`] | how far this client has come, and which slots owe it heads |
//! | [`outbox`], [`marks`], [`queries`] | what was asked for and has no answer yet |
//! | [`conversation`], [`profiles`], [`presences`] | what is known |
//! | `attach`, `deliver`, `answers`, `write` | what inputs do to all of these |

pub mod command;
pub mod conversation;
pub mod cursor;
pub mod delivered;
pub mod doubt;
pub mod entropy;
pub mod exchange;
pub mod link;
pub mod marks;
pub mod outbox;
pub mod presences;
pub mod profiles;
pub mod queries;
pub mod ranges;
pub mod unread;

mod answers;
mod attach;
mod deliver;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use anser_model::{AccountId, ClientId, ConversationId, DeviceId, SessionId};
use anser_proto::{Encoding, v1};

pub use command::{Command, Intent, Lane, Query, Ticket};
pub use conversation::Conversation;
pub use exchange::{Answer, Ended, Failure, Input, LinkId, Now, Output, Status, TokenRefused, Update};
pub use outbox::{Entry, EntryState};

use crate::store::{Change, Saved, SavedEntry};
use cursor::{MergedCursor, SlotSet};
use delivered::Delivered;
use entropy::Entropy;
use link::{Link, Phase};
use marks::Marks;
use outbox::Outbox;
use presences::Presences;
use profiles::Profiles;
use queries::{Asking, Queries};

/// How much of what comes is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Nothing: updates pass through. For tools with thousands of sessions.
    Nothing,
    /// Heads and profiles: the list of conversations.
    Heads,
    /// Heads, profiles and facts: what a person looks at.
    Everything,
}

/// What a session is made with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name and version of the software, for the operator's eyes; at most 64 bytes.
    pub client: String,
    /// How much is kept in memory.
    pub keep: Keep,
    /// Attach without heads and events.
    pub send_only: bool,
    /// How much of it is given to the store as well. With `Nothing`, the outbox is not kept either.
    pub save: Keep,
    /// The form of the frames, which decides how long a command may be.
    pub encoding: Encoding,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            client: concat!("anser-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            keep: Keep::Everything,
            send_only: false,
            save: Keep::Heads,
            encoding: Encoding::Binary,
        }
    }
}

/// One session: see the module.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    account: Option<AccountId>,
    attached_as: Option<(DeviceId, SessionId)>,
    cursor: MergedCursor,
    /// Slots for which a Sync is wanted or not yet answered: what settles them now is stale.
    resync: SlotSet,
    resync_not_before_ms: u64,
    outbox: Outbox,
    marks: Marks,
    /// How far messages have come, for those who wait to be told.
    delivered: Delivered,
    queries: Queries,
    conversations: BTreeMap<ConversationId, Conversation>,
    heads_wanted: BTreeSet<ConversationId>,
    /// Conversations of which something is in doubt, and about which no question is under way.
    rechecks_wanted: BTreeSet<ConversationId>,
    profiles: Profiles,
    presences: Presences,
    in_flight: BTreeMap<u64, InFlight>,
    last_request: u64,
    unsaved: Unsaved,
}

/// A request without an answer.
#[derive(Debug)]
struct InFlight {
    asked: Asked,
    sent_ms: u64,
}

#[derive(Debug)]
enum Asked {
    Hello,
    Ping,
    Sync(SlotSet),
    Command(u64),
    Mark(Lane),
    Delivered(Lane),
    Query(Asking),
}

/// What changed since it was last persisted.
#[derive(Debug, Default)]
struct Unsaved {
    cursor: bool,
    conversations: BTreeSet<ConversationId>,
    outbox: BTreeSet<u64>,
}

/// One input being handled.
struct Turn {
    now: Now,
    entropy: Entropy,
    out: Vec<Output>,
}

impl Turn {
    fn tell(&mut self, update: Update) {
        self.out.push(Output::Tell(update));
    }

    fn answer(&mut self, ticket: Option<Ticket>, answer: Result<Answer, Failure>) {
        if let Some(ticket) = ticket {
            self.out.push(Output::Answer(ticket, answer));
        }
    }

    fn now_ms(&self) -> u64 {
        self.now.monotonic_ms
    }
}

impl Session {
    /// A session that goes on from what was saved (or from nothing), with an access token if there is
    /// one already.
    pub fn new(config: Config, saved: Saved, token: Option<String>) -> Self {
        let mut session = Session {
            config,
            link: Link::new(token),
            account: saved.account,
            attached_as: None,
            cursor: MergedCursor::from_wire(&saved.cursor),
            resync: SlotSet::default(),
            resync_not_before_ms: 0,
            outbox: Outbox::default(),
            marks: Marks::default(),
            delivered: Delivered::default(),
            queries: Queries::default(),
            conversations: BTreeMap::new(),
            heads_wanted: BTreeSet::new(),
            rechecks_wanted: BTreeSet::new(),
            profiles: Profiles::default(),
            presences: Presences::default(),
            in_flight: BTreeMap::new(),
            last_request: 0,
            unsaved: Unsaved::default(),
        };
        session.restore(saved);
        session
    }

    /// Handles one input. `seed` is 16 random bytes, fresh for each input. The outputs are to be done
    /// in order.
    pub fn handle(&mut self, now: Now, seed: [u8; 16], input: Input) -> Vec<Output> {
        let mut turn = Turn { now, entropy: Entropy::new(seed), out: Vec::new() };
        match input {
            Input::Start => self.start(&mut turn),
            Input::Opened(link) => self.opened(&mut turn, link),
            Input::Frame(link, frame) if self.link.current() == Some(link) => self.frame(&mut turn, *frame),
            Input::Frame(..) => {}
            Input::Lost(link) => self.lost(&mut turn, link),
            Input::Token(token) => self.token(&mut turn, token),
            Input::Tick => {}
            Input::Do(ticket, intent) => self.intend(&mut turn, ticket, intent),
            Input::Stop => self.end(&mut turn, Ended::Stopped),
        }
        self.expire(&mut turn);
        self.write_due(&mut turn);
        self.save(&mut turn);
        turn.out
    }

    /// When [`Input::Tick`] is due, in milliseconds of the monotonic clock.
    pub fn wake_at_ms(&self) -> Option<u64> {
        let attached = self.link.attached().is_some() && self.link.draining_ms.is_none();
        let waiting = [
            self.outbox.next_due_ms(),
            self.marks.next_due_ms(),
            self.delivered.marks.next_due_ms(),
            self.queries.next_due_ms(),
            (!self.resync.is_empty() && !self.sync_is_in_flight()).then_some(self.resync_not_before_ms),
        ];
        let waiting = waiting.into_iter().flatten().filter(|_| attached && self.has_room());
        let oldest =
            self.in_flight.values().next().map(|it| it.sent_ms.saturating_add(write::REQUEST_TIMEOUT_MS));
        waiting.chain(self.link.wake_at_ms()).chain(oldest).chain(self.queries.next_deadline_ms()).min()
    }

    /// How the connection stands.
    pub fn status(&self) -> Status {
        match (&self.link.phase, self.account, self.attached_as) {
            (Phase::Idle, ..) => Status::Idle,
            (&Phase::Waiting { retry_in_ms, .. }, ..) => Status::Waiting { retry_in_ms },
            (Phase::Ended(ended), ..) => Status::Ended(ended.clone()),
            (Phase::Attached { .. }, Some(account), Some((device, session))) => {
                Status::Attached { account, device, session }
            }
            _ => Status::Connecting,
        }
    }

    /// Whose session it is; none before the first Welcome.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// Whether it is attached and no slot owes anything.
    pub fn is_synced(&self) -> bool {
        self.link.attached().is_some() && self.cursor.is_settled()
    }

    /// Whether nothing waits for an answer: no request is under way, no mark or question is to be sent.
    pub fn is_idle(&self) -> bool {
        let nothing_waits = self.marks.next_due_ms().is_none() && self.queries.next_due_ms().is_none();
        let nothing_waits = nothing_waits && self.delivered.marks.next_due_ms().is_none();
        let nothing_waits = nothing_waits && self.heads_wanted.is_empty() && self.rechecks_wanted.is_empty();
        self.in_flight.is_empty() && nothing_waits
    }

    /// How far it has come.
    pub fn cursor(&self) -> &MergedCursor {
        &self.cursor
    }

    /// Every conversation, the newest first.
    pub fn conversations(&self) -> Vec<&Conversation> {
        let mut list = self.conversations.values().collect::<Vec<_>>();
        list.sort_by_key(|conversation| (std::cmp::Reverse(conversation.at_ms()), conversation.cid()));
        list
    }

    /// One conversation.
    pub fn conversation(&self, cid: ConversationId) -> Option<&Conversation> {
        self.conversations.get(&cid)
    }

    /// How many messages to show as unread: none in a conversation whose newest mark is on its way.
    pub fn unread(&self, cid: ConversationId) -> u64 {
        let Some(conversation) = self.conversation(cid) else { return 0 };
        let read_already = self.marks.furthest(Lane::Conversation(cid)) >= conversation.seq();
        if read_already { 0 } else { conversation.unread() }
    }

    /// Commands of a conversation that are not accepted yet, failed ones included, in the order of the
    /// person's acts. They belong below what the conversation holds.
    pub fn pending(&self, cid: ConversationId) -> impl Iterator<Item = &Entry> {
        self.outbox.entries().filter(move |entry| entry.lane == Lane::Conversation(cid))
    }

    /// What one's own message at a seq is about to say: the newest edit of it that is on its way. A view shows
    /// this in the place of what the conversation holds.
    pub fn edit_under_way(&self, cid: ConversationId, seq: u64) -> Option<&v1::Message> {
        let edits = self.pending(cid).filter_map(|entry| match &entry.command {
            Command::Edit(edit) if edit.seq == seq => edit.message.as_ref(),
            _ => None,
        });
        edits.last()
    }

    /// Every command that is not accepted yet.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What is known of people.
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// What is known of who is there.
    pub fn presences(&self) -> &Presences {
        &self.presences
    }

    fn restore(&mut self, saved: Saved) {
        for head in saved.heads {
            if let Ok(conversation) = Conversation::from_saved(head) {
                if conversation.needs_head() {
                    self.heads_wanted.insert(conversation.cid());
                }
                self.conversations.insert(conversation.cid(), conversation);
            }
        }
        for (cid, facts, ranges) in saved.facts {
            if let Some(conversation) = self.conversations.get_mut(&cid) {
                conversation.restore_facts(facts, ranges);
            }
        }
        // Whoever waits for it may not have been told before the end.
        for conversation in self.conversations.values().filter(|_| !self.config.send_only) {
            self.delivered.note(conversation);
        }
        self.profiles.learn(saved.profiles);
        for entry in saved.outbox {
            let own = self.account;
            if let Some(entry) = entry.restore(own).filter(|entry| self.outbox.get(entry.order).is_none()) {
                self.outbox.insert(entry);
            }
        }
    }

    fn start(&mut self, turn: &mut Turn) {
        if self.link.phase == Phase::Idle {
            self.attempt(turn);
        }
    }

    fn intend(&mut self, turn: &mut Turn, ticket: Ticket, intent: Intent) {
        if let Phase::Ended(ended) = &self.link.phase {
            return turn.answer(Some(ticket), Err(Failure::Ended(ended.clone())));
        }
        let refused = match intent {
            Intent::Command(command) => self.enqueue(turn, command, Some(ticket)).err(),
            Intent::ReadUpTo { target, seq } => self.want_mark(ticket, target, seq).err(),
            Intent::Query(mut query) => {
                query.fill_in(self.cursor.timeline().get());
                self.queries.ask_for_application(ticket, query, turn.now_ms()).err()
            }
            Intent::Watch { cid, accounts } => {
                self.presences.watch(cid, accounts);
                return turn.answer(Some(ticket), Ok(Answer::Done));
            }
            Intent::Retry(id) => self.retry(turn, ticket, id).err(),
            Intent::Discard(id) => {
                let discarded = self.discard(turn, id).map(|()| Answer::Done);
                return turn.answer(Some(ticket), discarded);
            }
        };
        if let Some(failure) = refused {
            turn.answer(Some(ticket), Err(failure));
        }
    }

    fn enqueue(
        &mut self,
        turn: &mut Turn,
        mut command: Command,
        ticket: Option<Ticket>,
    ) -> Result<(), Failure> {
        if self.outbox.is_full() {
            return Err(Failure::Full);
        }
        let timeline = self.cursor.timeline().get();
        match &mut command {
            Command::Recall(recall) => recall.timeline = timeline,
            Command::Edit(edit) => edit.timeline = timeline,
            _ => {}
        }
        let order = self.outbox.next_order();
        let lane = command.lane(self.account, order).ok_or(Failure::NoTarget)?;
        let client_id = ClientId::mint(self.link.server_now(turn.now), turn.entropy.ten_bytes());
        write::fits_in_a_frame(&command, client_id, self.config.encoding)?;
        let (state, written, refusals) = (EntryState::Queued, false, 0);
        self.outbox.insert(Entry { order, client_id, command, lane, state, written, refusals, ticket });
        self.unsaved.outbox.insert(order);
        self.tell_pending(turn, lane);
        Ok(())
    }

    fn want_mark(&mut self, ticket: Ticket, target: v1::Target, seq: u64) -> Result<(), Failure> {
        let lane = Lane::of_target(Some(&target), self.account).ok_or(Failure::NoTarget)?;
        self.marks.want(lane, target, seq, Some(ticket)).then_some(()).ok_or(Failure::Full)
    }

    fn failed_send(&self, id: ClientId) -> Result<&Entry, Failure> {
        let entry = self.outbox.by_client_id(id);
        entry.filter(|entry| matches!(entry.state, EntryState::Failed(_))).ok_or(Failure::NoSuchSend)
    }

    fn retry(&mut self, turn: &mut Turn, ticket: Ticket, id: ClientId) -> Result<(), Failure> {
        let command = self.failed_send(id)?.command.clone();
        self.enqueue(turn, command, Some(ticket))?;
        self.discard(turn, id)
    }

    fn discard(&mut self, turn: &mut Turn, id: ClientId) -> Result<(), Failure> {
        let (order, lane) = self.failed_send(id).map(|entry| (entry.order, entry.lane))?;
        self.outbox.remove(order);
        self.forget_saved(turn, order, id);
        self.tell_pending(turn, lane);
        Ok(())
    }

    /// The pending commands of a conversation changed.
    fn tell_pending(&self, turn: &mut Turn, lane: Lane) {
        match lane {
            Lane::Conversation(cid) if self.config.keep > Keep::Nothing => {
                turn.tell(Update::Conversation(cid))
            }
            _ => {}
        }
    }

    /// Ends the session for good. Everybody who waits is told; what waits in the outbox stays saved.
    fn end(&mut self, turn: &mut Turn, ended: Ended) {
        if matches!(self.link.phase, Phase::Ended(_)) {
            return;
        }
        if let Some(link) = self.link.current() {
            turn.out.push(Output::Close(link));
        }
        self.lose_answers();
        self.link.phase = Phase::Ended(ended.clone());
        let tickets = self.outbox.take_tickets();
        let tickets = tickets.into_iter().chain(self.marks.clear()).chain(self.queries.clear());
        for ticket in tickets {
            turn.answer(Some(ticket), Err(Failure::Ended(ended.clone())));
        }
        turn.tell(Update::Status(Status::Ended(ended)));
    }

    fn persist(&self, turn: &mut Turn, change: Change) {
        if self.config.save > Keep::Nothing {
            turn.out.push(Output::Persist(Box::new(change)));
        }
    }

    /// Facts of a conversation were taken in.
    fn persist_facts(&self, turn: &mut Turn, cid: ConversationId, events: &[v1::Event]) {
        let Some(conversation) =
            self.conversations.get(&cid).filter(|_| self.config.save == Keep::Everything)
        else {
            return;
        };
        // What one among them has rewritten goes with it.
        let rewritten = events.iter().filter_map(|event| match &event.change {
            Some(v1::event::Change::Recalled(recalled)) => conversation.fact(recalled.seq),
            Some(v1::event::Change::Edited(edited)) => conversation.fact(edited.seq),
            _ => None,
        });
        let events = events.iter().filter_map(|event| conversation.fact(event.seq)).chain(rewritten).cloned();
        let (events, ranges) = (events.collect(), conversation.sure_ranges());
        self.persist(turn, Change::Facts { cid, events, ranges });
    }

    /// Its owner has hidden or cleared something: no copy of it stays.
    fn persist_forgotten(&self, turn: &mut Turn, cid: ConversationId) {
        if let Some(conversation) =
            self.conversations.get(&cid).filter(|_| self.config.save == Keep::Everything)
        {
            self.persist(turn, Change::Forgotten { cid, seqs: conversation.hidden() });
            self.persist_facts(turn, cid, &[]);
        }
    }

    fn persist_entry(&mut self, turn: &mut Turn, order: u64) {
        self.unsaved.outbox.remove(&order);
        if let Some(saved) = self
            .outbox
            .get(order)
            .filter(|_| self.config.save > Keep::Nothing)
            .map(|entry| Box::new(SavedEntry::of(entry)))
        {
            self.persist(turn, Change::OutboxPut(saved));
        }
    }

    fn forget_saved(&mut self, turn: &mut Turn, order: u64, id: ClientId) {
        self.unsaved.outbox.remove(&order);
        self.persist(turn, Change::OutboxRemoved(id));
    }

    /// Persists what changed. The cursor goes last: it may only say what the rest has taken in.
    fn save(&mut self, turn: &mut Turn) {
        let unsaved = std::mem::take(&mut self.unsaved);
        if self.config.save == Keep::Nothing {
            return;
        }
        for order in unsaved.outbox {
            self.persist_entry(turn, order);
        }
        for cid in unsaved.conversations {
            if let Some(conversation) = self.conversations.get(&cid) {
                self.persist(turn, Change::Head(Box::new(conversation.to_save())));
            }
        }
        if unsaved.cursor {
            self.persist(turn, Change::Cursor(self.cursor.to_wire()));
        }
    }
}
