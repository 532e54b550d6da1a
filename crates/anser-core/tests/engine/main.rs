//! The slot engine against a naive reading of its own log, under every order and fate of its effects.

mod credentials;
mod edit;
mod recall;
mod registers;
mod scene;
mod system;
mod takeover;
mod waits;
mod world;

use std::collections::{BTreeMap, HashMap, HashSet};

use anser_core::engine::{Accepted, Answer, Query};
use anser_core::storage::{StoredFact, decode_fact, split_facts};
use anser_model::limits::PAGE_MESSAGES;
use anser_model::{
    AccountId, Actor, Change, ClientId, Command, ConversationFact, ConversationId, DeviceId, Fact, Intent,
    Message, N, Refusal, Role, Seq, Slot,
};
use world::{Roughness, TIMELINE, World};

const PEOPLE: u64 = 5;

/// A command that somebody sent, and what it was told, over all its tries.
struct Sent {
    command: Command,
    accepted: Option<Accepted>,
    pending: Option<u64>,
}

/// A page that was asked for while the play goes on.
struct Read {
    caller: u64,
    cid: ConversationId,
    /// Messages whose recall or edit was acknowledged before, and its n.
    rewritten: Vec<(Seq, N)>,
}

struct Play {
    world: World,
    sent: Vec<Sent>,
    reads: Vec<Read>,
    groups: Vec<ConversationId>,
    minted: u64,
}

impl Play {
    fn new(seed: u64, rough: Roughness) -> Self {
        Play {
            world: World::new(seed, rough),
            sent: Vec::new(),
            reads: Vec::new(),
            groups: Vec::new(),
            minted: 0,
        }
    }

    fn person(&mut self) -> AccountId {
        AccountId(1 + self.world.dice.roll(PEOPLE))
    }

    fn client_id(&mut self) -> ClientId {
        self.minted += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.minted.to_be_bytes());
        // Devices disagree on the time by up to four minutes either way.
        let skewed = self.world.now.0 + self.world.dice.roll(480_000) - 240_000;
        ClientId::mint(anser_model::UnixMillis(skewed), random)
    }

    fn act(&mut self) {
        let actor = self.person();
        let other = self.person();
        let group = (!self.groups.is_empty())
            .then(|| self.groups[self.world.dice.roll(self.groups.len() as u64) as usize]);
        let words = words(self.minted);
        let said = words.clone();
        let text = || Intent::Send(Message { kind: "text".into(), text: said, ..Message::default() });
        if self.world.dice.one_in(4) {
            return self.act_on_own_view(actor, other, group);
        }
        let (cid, peer, intent) = match (self.world.dice.roll(24), group) {
            (0, _) | (_, None) => {
                let intent = Intent::CreateGroup {
                    title: "g".into(),
                    members: vec![other],
                    history_visible: self.world.dice.one_in(2),
                    channel: self.world.dice.one_in(4),
                    avatar: String::new(),
                };
                let client_id = self.client_id();
                let cid = ConversationId::created(actor, client_id);
                self.groups.push(cid);
                return self.send(actor, cid, None, Some(client_id), intent);
            }
            (1, Some(cid)) => (cid, None, Intent::AddMembers(vec![other, actor])),
            (2, Some(cid)) => (cid, None, Intent::RemoveMember(other)),
            (3, Some(cid)) => (cid, None, Intent::Leave),
            (4, Some(cid)) => (cid, None, Intent::SetRole { member: other, role: Role::Admin }),
            (5, Some(cid)) => (cid, None, Intent::Rename("new".into())),
            (6..=8, Some(cid)) => {
                let seq = Seq(1 + self.world.dice.roll(20));
                return self.send(actor, cid, None, None, Intent::ReadUpTo { seq, timeline: TIMELINE });
            }
            (9..=12, Some(cid)) => (cid, None, text()),
            (13..=16, Some(cid)) => {
                let cid = if self.world.dice.one_in(3) { ConversationId::direct(actor, other) } else { cid };
                let seq = Seq(1 + self.world.dice.roll(20));
                (cid, None, Intent::Recall { seq, timeline: TIMELINE })
            }
            (17..=20, Some(cid)) => {
                let cid = if self.world.dice.one_in(3) { ConversationId::direct(actor, other) } else { cid };
                let seq = Seq(1 + self.world.dice.roll(20));
                let message = Message { kind: "text".into(), text: words, ..Message::default() };
                (cid, None, Intent::Edit { seq, timeline: TIMELINE, message })
            }
            _ if actor == other => (ConversationId::of_self(actor), Some(actor), text()),
            _ => (ConversationId::direct(actor, other), Some(other), text()),
        };
        let client_id = self.client_id();
        self.send(actor, cid, peer, Some(client_id), intent);
    }

    fn send(
        &mut self,
        account: AccountId,
        cid: ConversationId,
        peer: Option<AccountId>,
        client_id: Option<ClientId>,
        intent: Intent,
    ) {
        let actor = Actor { account, device: DeviceId(1), profile_version: 1 };
        let command = Command { actor, cid, peer, client_id, intent };
        let caller = self.world.command(command.clone());
        self.sent.push(Sent { command, accepted: None, pending: Some(caller) });
    }

    /// Reads a page as it stands while other things are under way.
    fn read(&mut self) {
        let (account, index) = (self.person(), self.world.dice.roll(self.sent.len() as u64) as usize);
        let cid = self.sent[index].command.cid;
        let acknowledged = self.sent.iter().filter(|sent| sent.command.cid == cid && sent.accepted.is_some());
        let rewritten = acknowledged.filter_map(|sent| match sent.command.intent {
            Intent::Recall { seq, .. } | Intent::Edit { seq, .. } => Some((seq, sent.accepted?.n)),
            _ => None,
        });
        let rewritten = rewritten.collect();
        let query = Query::Page {
            account,
            cid,
            after: None,
            before: None,
            changed_after: N(0),
            limit: PAGE_MESSAGES,
        };
        let caller = self.world.query(self.world.key.slot(cid), query);
        self.reads.push(Read { caller, cid, rewritten });
    }

    /// No page begins with a body whose recall or edit was acknowledged before it was asked for.
    fn check_reads(&mut self) {
        for read in std::mem::take(&mut self.reads) {
            match self.world.answers.remove(&read.caller) {
                Some(Ok(Answer::Page(page))) => {
                    for (seq, n) in read.rewritten {
                        let given = page.facts.iter().find(|fact| fact.fact.seq == Some(seq));
                        let stale = given.filter(|fact| fact.n < n);
                        assert_eq!(stale, None, "{seq} of {} was rewritten at n {n}", read.cid);
                    }
                }
                Some(Ok(other)) => panic!("a page is answered with one, not {other:?}"),
                Some(Err(_)) => {}
                None => self.reads.push(read),
            }
        }
    }

    /// Takes answers in, and asks again where one was lost or says so.
    fn collect(&mut self, retry: bool) {
        for index in 0..self.sent.len() {
            let Some(caller) = self.sent[index].pending else {
                // Out of mere doubt: the same id again must change nothing.
                if retry && self.sent[index].command.client_id.is_some() && self.world.dice.one_in(40) {
                    let command = self.sent[index].command.clone();
                    self.sent[index].pending = Some(self.world.command(command));
                }
                continue;
            };
            let again = match self.world.answers.remove(&caller) {
                Some(Ok(Answer::Accepted(accepted))) => {
                    let sent = &mut self.sent[index];
                    sent.pending = None;
                    if sent.command.client_id.is_some() {
                        let first = sent.accepted.get_or_insert(accepted);
                        assert_eq!(
                            (first.seq, first.n, first.at),
                            (accepted.seq, accepted.n, accepted.at),
                            "one effect"
                        );
                    }
                    false
                }
                Some(Ok(_)) => panic!("a command is answered with what it came to"),
                Some(Err(
                    Refusal::UnknownOutcome
                    | Refusal::Unavailable
                    | Refusal::StorageFull
                    | Refusal::Overloaded,
                )) => true,
                Some(Err(refusal)) => {
                    let sent = &mut self.sent[index];
                    assert!(sent.accepted.is_none(), "accepted before, refused now: {refusal}");
                    sent.pending = None;
                    false
                }
                None => retry,
            };
            if again {
                let command = self.sent[index].command.clone();
                self.sent[index].pending = Some(self.world.command(command));
            }
        }
    }

    fn ask(&mut self, slot: Slot, query: Query) -> Answer {
        for _ in 0..50 {
            let caller = self.world.query(slot, query.clone());
            self.world.settle();
            match self.world.answers.remove(&caller) {
                Some(Ok(answer)) => return answer,
                Some(Err(Refusal::Unavailable)) => {}
                other => panic!("{query:?} came to {other:?}"),
            }
        }
        panic!("{query:?} is never answered");
    }

    /// The facts of every conversation, as the log tells them.
    fn ledger(&self) -> BTreeMap<ConversationId, Vec<(N, ConversationFact)>> {
        let mut ledger: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for durable in self.world.durable.values() {
            let mut n = N(0);
            for record in &durable.log {
                for encoded in split_facts(&record.payload).expect("our own record") {
                    n = n.next();
                    if let Fact::Conversation(fact) = decode_fact(&encoded).expect("our own fact") {
                        ledger.entry(fact.cid).or_default().push((n, fact));
                    }
                }
                assert_eq!(n, record.header.last_n(), "n has no gap");
            }
        }
        ledger
    }
}

/// What nobody says twice, so that a single byte of it that is left somewhere is found.
fn words(number: u64) -> String {
    format!("<said {number}>")
}

/// A fact as it is to be shown: its n, and what it says if it is a message.
type Shown = (Seq, N, Option<String>);

/// The sequenced facts of a conversation as they stand in the end for one who sees these. A recalled message
/// says nothing, and so does one that was edited where it is not seen; both stand under the n of that.
fn standing(facts: &[(N, ConversationFact)], visible: &[Seq]) -> BTreeMap<Seq, Shown> {
    let mut standing = BTreeMap::new();
    for (n, fact) in facts {
        let Some(seq) = fact.seq else { continue };
        let says = match &fact.change {
            Change::MessageSent(message) => Some(message.text.clone()),
            _ => None,
        };
        standing.insert(seq, (seq, *n, says));
        if let Change::Recalled { stands } = &fact.change {
            let target = stands.seq.expect("sequenced");
            standing.insert(target, (target, *n, Some(String::new())));
        }
        if let Change::Edited { seq: target, stands, .. } = &fact.change {
            let message = stands.as_ref().and_then(|stands| stands.message()).expect("the log holds it");
            let says = if visible.contains(&seq) { message.text.clone() } else { String::new() };
            standing.insert(*target, (*target, *n, Some(says)));
        }
    }
    standing
}

fn shown(fact: &StoredFact) -> Shown {
    let says = match &fact.fact.change {
        Change::MessageSent(message) => {
            let said = fact.fact.rewritten.is_none() || fact.fact.edits().is_some();
            assert_eq!(message.text.is_empty(), !said, "recalled, withheld or neither: {fact:?}");
            Some(message.text.clone())
        }
        _ => None,
    };
    (fact.fact.seq.expect("sequenced"), fact.n, says)
}

/// What an account may see of a conversation and must be told, read naively off the log.
struct Naive {
    visible: Vec<Seq>,
    present: bool,
    unread: u64,
    mark: Seq,
}

fn naive(facts: &[(N, ConversationFact)], account: AccountId) -> Option<Naive> {
    let mut visible: HashSet<Seq> = HashSet::new();
    let (mut present, mut ever, mut history) = (false, false, false);
    let (mut base, mut mark) = (Seq(0), Seq(0));
    let mut all = Vec::new();
    let mut messages: Vec<(Seq, AccountId)> = Vec::new();
    for (_, fact) in facts {
        let Some(seq) = fact.seq else {
            if let Change::ReadUpTo { member, seq, .. } = fact.change
                && member == account
            {
                mark = mark.max(seq);
                base = base.max(seq);
            }
            if let Change::HistoryCleared { member, seq, .. } = fact.change
                && member == account
            {
                base = base.max(seq);
            }
            continue;
        };
        all.push(seq);
        let joins = match &fact.change {
            Change::Created { members, history_visible, .. } => {
                history = *history_visible;
                fact.author == account || members.contains(&account)
            }
            Change::MembersAdded { members, .. } => members.contains(&account),
            Change::HistoryVisibleSet { visible } => {
                history = *visible;
                false
            }
            _ => false,
        };
        if joins {
            (present, ever) = (true, true);
            base = base.max(seq);
            if history {
                visible.extend(&all);
            }
        }
        if present {
            visible.insert(seq);
        }
        if matches!(fact.change, Change::MemberRemoved { member, .. } if member == account)
            || fact.change == Change::Dissolved
        {
            present = false;
        }
        if fact.change.is_countable() && visible.contains(&seq) {
            messages.push((seq, fact.author));
        }
    }
    let unread = messages.iter().filter(|&&(seq, author)| seq > base && author != account).count() as u64;
    let mut visible: Vec<Seq> = visible.into_iter().collect();
    visible.sort();
    ever.then_some(Naive { visible, present, unread, mark })
}

fn check(play: &mut Play) {
    let ledger = play.ledger();
    let mut by_command: HashMap<(ConversationId, AccountId, ClientId), Vec<(N, Seq)>> = HashMap::new();
    for (&cid, facts) in &ledger {
        let seqs: Vec<u64> = facts.iter().filter_map(|(_, fact)| fact.seq).map(|seq| seq.0).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "seqs have no gap");
        for (n, fact) in facts {
            if let Some(key) = fact.command {
                let done = by_command.entry((cid, fact.author, key.client_id)).or_default();
                done.push((*n, fact.seq.expect("commands with a client id are sequenced")));
            }
        }
    }
    assert!(by_command.values().all(|done| done.len() == 1), "one effect per client id");
    for sent in &play.sent {
        if let (Some(accepted), Some(client_id)) = (sent.accepted, sent.command.client_id) {
            let done = by_command.get(&(sent.command.cid, sent.command.actor.account, client_id));
            if let Some(seq) = accepted.seq {
                assert_eq!(done, Some(&vec![(accepted.n, seq)]), "what was acknowledged is in the log");
            }
        }
    }
    for account in (1..=PEOPLE).map(AccountId) {
        check_views(play, &ledger, account);
    }
    check_nothing_is_left(play, &ledger);
}

/// What was recalled is in no store any more, nor in any event after its recall.
fn check_nothing_is_left(play: &Play, ledger: &BTreeMap<ConversationId, Vec<(N, ConversationFact)>>) {
    for (cid, facts) in ledger {
        let durable = &play.world.durable[&play.world.key.slot(*cid)];
        for (n, recall) in facts {
            let Change::Recalled { stands } = &recall.change else { continue };
            let sent = facts.iter().find(|(_, fact)| fact.seq == stands.seq).expect("it was sent");
            let Change::MessageSent(message) = &sent.1.change else { panic!("only messages are recalled") };
            assert_eq!(*stands.as_ref(), sent.1.without_body(sent.0, recall.seq.expect("sequenced")));
            let edits = facts.iter().filter_map(|(_, fact)| match &fact.change {
                Change::Edited { seq, stands: Some(edited), .. } if Some(*seq) == stands.seq => {
                    edited.message()
                }
                _ => None,
            });
            // All that it ever said.
            let said: Vec<&[u8]> = edits.chain([message]).map(|message| message.text.as_bytes()).collect();
            let left = durable.stored().find(|bytes| said.iter().any(|said| contains(bytes, said)));
            assert_eq!(left, None, "{} of {cid} is left in a store", message.text);
            let late = play
                .world
                .events
                .iter()
                .skip_while(|event| event.fact.n != *n || event.fact.fact.cid != *cid);
            for event in late.filter(|event| event.fact.fact.cid == *cid) {
                let encoded = &event.fact.encoded;
                let late = said.iter().any(|said| contains(encoded, said));
                assert!(!late, "a body after its recall: {event:?}");
            }
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn check_views(
    play: &mut Play,
    ledger: &BTreeMap<ConversationId, Vec<(N, ConversationFact)>>,
    account: AccountId,
) {
    let home = ConversationId::of_self(account);
    let Answer::Home(view) = play.ask(play.world.key.slot(home), Query::Home { cid: home }) else {
        panic!("a home answers as one");
    };
    let mut heads = HashMap::new();
    for &slot in &view.slots {
        let Answer::Heads { heads: found, .. } = play.ask(slot, Query::Changes { account, after: N(0) })
        else {
            panic!("a sync answers with heads");
        };
        heads.extend(found.into_iter().map(|head| (head.cid, head)));
    }
    for (&cid, facts) in ledger {
        let Some(naive) = naive(facts, account) else {
            assert!(!heads.contains_key(&cid), "a stranger is told nothing");
            continue;
        };
        let slot = play.world.key.slot(cid);
        assert!(
            view.slots.contains(&slot),
            "{account} entered {slot} before the membership of {cid}: {view:?} {:?} {facts:?}",
            ledger.get(&home)
        );
        let head = heads.get(&cid).unwrap_or_else(|| panic!("{account} misses {cid}"));
        assert_eq!(head.role.is_some(), naive.present);
        assert_eq!(Some(&head.seq), naive.visible.last(), "the head is the newest visible");
        assert_eq!(head.mark, naive.mark);
        assert_eq!(head.unread_count, naive.unread, "unread of {account} in {cid}");
        let standing = standing(facts, &naive.visible);
        let own = registers::of(facts, account);
        own.check(head, facts, naive.mark);
        registers::check_marks(play, slot, account, cid, facts, naive.present);
        let given: Vec<Seq> = naive.visible.iter().copied().filter(|&seq| own.gives(seq)).collect();
        let expected: Vec<Shown> = given.iter().map(|seq| standing[seq].clone()).collect();
        let last = standing.range(..=head.seq).rfind(|(_, (_, _, says))| says.is_some());
        let last = last.filter(|(seq, _)| given.contains(seq)).map(|(_, shown)| shown);
        assert_eq!(head.last_message.as_deref().map(shown).as_ref(), last, "the newest message, if visible");
        let pages = pages(play, slot, account, cid);
        assert_eq!(pages, expected, "pages are the visible facts");
        check_changes(play, slot, account, cid, &expected);
    }
}

/// Everything that an account sees of a conversation, page by page.
fn pages(play: &mut Play, slot: Slot, account: AccountId, cid: ConversationId) -> Vec<Shown> {
    let mut seen: Vec<Shown> = Vec::new();
    loop {
        let after = Some(seen.last().map_or(Seq(0), |&(seq, ..)| seq));
        let query = Query::Page { account, cid, after, before: None, changed_after: N(0), limit: 7 };
        let Answer::Page(page) = play.ask(slot, query) else { panic!("a page") };
        assert!(!page.facts.is_empty() || !page.more, "there is more where something is");
        seen.extend(page.facts.iter().map(|fact| shown(fact)));
        if !page.more {
            return seen;
        }
    }
}

/// Who comes back from some n is told of every conversation in which something that it may see stands
/// otherwise since, and a page tells what.
fn check_changes(play: &mut Play, slot: Slot, account: AccountId, cid: ConversationId, expected: &[Shown]) {
    // Who has hidden or cleared all of it is given nothing.
    let Some(newest) = expected.iter().map(|&(_, n, _)| n.0).max() else { return };
    let since = N(play.world.dice.roll(newest + 1));
    let query = Query::Page {
        account,
        cid,
        after: Some(Seq(0)),
        before: None,
        changed_after: since,
        limit: PAGE_MESSAGES,
    };
    let Answer::Page(page) = play.ask(slot, query) else { panic!("a page") };
    let changed: Vec<Shown> = expected.iter().filter(|&&(_, n, _)| n > since).cloned().collect();
    assert_eq!(page.facts.iter().map(|fact| shown(fact)).collect::<Vec<_>>(), changed);
    let Answer::Heads { heads, .. } = play.ask(slot, Query::Changes { account, after: since }) else {
        panic!("a sync answers with heads");
    };
    let head = heads.iter().find(|head| head.cid == cid);
    assert!(changed.is_empty() || head.is_some_and(|head| head.n.0 >= newest), "{account} is told of {cid}");
}

fn play(seed: u64, rough: Roughness, crash_one_in: u64) -> Play {
    let mut play = Play::new(seed, rough);
    for round in 0..60 {
        play.act();
        for _ in 0..play.world.dice.roll(30) {
            play.world.step();
        }
        if play.world.dice.one_in(6) {
            play.world.tick_all();
        }
        if crash_one_in > 0 && play.world.dice.one_in(crash_one_in) {
            let slots = play.world.slots();
            let victim = slots[play.world.dice.roll(slots.len() as u64) as usize];
            play.world.crash(victim);
        }
        play.collect(round % 16 == 15);
        play.read();
        play.check_reads();
    }
    play.world.rough = Roughness { append_unknown: 0, append_no_space: 0, store_unavailable: 0 };
    for _ in 0..6 {
        play.world.settle();
        play.collect(true);
    }
    play.world.settle();
    play.collect(false);
    play.check_reads();
    let unanswered: Vec<&Command> =
        play.sent.iter().filter(|sent| sent.pending.is_some()).map(|sent| &sent.command).collect();
    assert!(unanswered.is_empty(), "everything is answered, but not {unanswered:?}");
    play
}

fn seeds() -> u64 {
    std::env::var("ANSER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(150)
}

#[test]
fn a_calm_world_agrees_with_the_log() {
    for seed in 0..seeds() {
        eprintln!("seed {seed}");
        let rough = Roughness { append_unknown: 0, append_no_space: 0, store_unavailable: 0 };
        check(&mut play(seed, rough, 0));
    }
}

#[test]
fn a_rough_world_agrees_with_the_log() {
    for seed in 0..seeds() {
        eprintln!("seed {seed}");
        let rough = Roughness { append_unknown: 12, append_no_space: 12, store_unavailable: 10 };
        check(&mut play(seed, rough, 8));
    }
}
