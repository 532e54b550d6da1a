//! The session machine under random faults: order, uniqueness and counts hold whatever happens.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::collections::BTreeSet;

use anser_client::session::{EntryState, Intent};
use anser_model::{AccountId, Ordinal};
use anser_proto::{ErrorCode, v1};
use fake::{OWN, PEERS, World, cid, slot_of};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    PeerSends(usize, bool),
    OtherDeviceSends(usize),
    Read(usize, u64),
    PeerReads(usize, u64),
    Recall(usize, u64),
    PeerDelivered(usize, u64),
    /// By this device, or by another one.
    MarkUnread(usize, bool, bool),
    Hide(usize, u64, u64, bool),
    Clear(usize, u64, bool),
    Up(usize),
    Down(usize),
    /// Frames to the client are delivered twice.
    DownTwice,
    Cut(usize),
    Restart,
    Resync,
    Settle(u32),
    PassMs(u64),
    RefuseForNow,
    RefuseForGood,
    Page(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = || 0..PEERS.len();
    prop_oneof![
        6 => peer().prop_map(Step::Send),
        4 => (peer(), any::<bool>()).prop_map(|(peer, counted)| Step::PeerSends(peer, counted)),
        2 => peer().prop_map(Step::OtherDeviceSends),
        2 => (peer(), 0u64..40).prop_map(|(peer, seq)| Step::Read(peer, seq)),
        1 => (peer(), 0u64..40).prop_map(|(peer, seq)| Step::PeerReads(peer, seq)),
        3 => (peer(), 0u64..40).prop_map(|(peer, seq)| Step::Recall(peer, seq)),
        1 => (peer(), 0u64..40).prop_map(|(peer, seq)| Step::PeerDelivered(peer, seq)),
        1 => (peer(), any::<bool>(), any::<bool>()).prop_map(|(peer, marked, own)| Step::MarkUnread(peer, marked, own)),
        3 => (peer(), 1u64..12, 0u64..3, any::<bool>()).prop_map(|(peer, seq, more, own)| Step::Hide(peer, seq, seq + more, own)),
        1 => (peer(), 1u64..8, any::<bool>()).prop_map(|(peer, seq, own)| Step::Clear(peer, seq, own)),
        8 => (1usize..4).prop_map(Step::Up),
        8 => (1usize..4).prop_map(Step::Down),
        1 => Just(Step::DownTwice),
        3 => (0usize..3).prop_map(Step::Cut),
        1 => Just(Step::Restart),
        1 => Just(Step::Resync),
        2 => prop_oneof![Just(7u32), Just(200u32)].prop_map(Step::Settle),
        4 => prop_oneof![1u64..50, 1_000u64..3_000, Just(21_000u64)].prop_map(Step::PassMs),
        1 => Just(Step::RefuseForNow),
        1 => Just(Step::RefuseForGood),
        1 => peer().prop_map(Step::Page),
    ]
}

/// What the person did: texts in order, by conversation.
type Acts = Vec<(AccountId, String)>;

fn take(world: &mut World, acts: &mut Acts, step: Step) {
    match step {
        Step::Send(peer) => {
            let text = format!("own {}", acts.len());
            world.send_text(PEERS[peer], &text);
            acts.push((PEERS[peer], text));
        }
        Step::PeerSends(peer, counted) => {
            let message = v1::Message { uncounted: !counted, ..v1::Message::text("theirs") };
            world.server.message(PEERS[peer], PEERS[peer], message, None);
        }
        Step::OtherDeviceSends(peer) => {
            world.server.message(PEERS[peer], OWN, v1::Message::text("elsewhere"), None);
        }
        Step::Read(peer, seq) => {
            world.ask(Intent::ReadUpTo { target: v1::Target::peer(PEERS[peer]), seq });
        }
        Step::Recall(peer, seq) => world.server.recall(PEERS[peer], seq),
        Step::PeerReads(peer, seq) => {
            world.server.read(PEERS[peer], PEERS[peer], seq);
        }
        Step::PeerDelivered(peer, seq) => {
            world.server.deliver(PEERS[peer], PEERS[peer], seq);
        }
        Step::MarkUnread(peer, marked, true) => {
            let mark = v1::MarkUnread { r#in: Some(v1::Target::peer(PEERS[peer])), marked };
            world.ask(Intent::Query(anser_client::Query::MarkUnread(mark)));
        }
        Step::MarkUnread(peer, marked, false) => drop(world.server.mark_unread(PEERS[peer], marked)),
        Step::Hide(peer, low, high, true) => {
            let (r#in, ranges) = (Some(v1::Target::peer(PEERS[peer])), vec![v1::SeqRange { low, high }]);
            world.ask(Intent::Query(anser_client::Query::Hide(v1::Hide { r#in, ranges, timeline: 0 })));
        }
        Step::Hide(peer, low, high, false) => drop(world.server.hide(PEERS[peer], low, high)),
        Step::Clear(peer, seq, true) => {
            let clear = v1::ClearHistory { r#in: Some(v1::Target::peer(PEERS[peer])), seq, timeline: 0 };
            world.ask(Intent::Query(anser_client::Query::ClearHistory(clear)));
        }
        Step::Clear(peer, seq, false) => drop(world.server.clear(PEERS[peer], seq)),
        Step::Up(frames) => (0..frames).for_each(|_| _ = world.up()),
        Step::Down(frames) => (0..frames).for_each(|_| _ = world.down()),
        Step::DownTwice => {
            if let Some(frame) = world.server.out.front().cloned() {
                world.server.out.push_front(frame);
                world.down();
                world.down();
            }
        }
        Step::Cut(arrives) => world.cut(arrives),
        Step::Restart => world.restart(),
        Step::Resync => world.server.resync(),
        Step::Settle(slot) => world.server.settle(slot),
        Step::PassMs(ms) => world.pass_ms(ms),
        Step::RefuseForNow => {
            let error = v1::Error::new(ErrorCode::Overloaded, "later").after_ms(300);
            world.server.refusals.push_back(error);
        }
        Step::RefuseForGood => world.server.refusals.push_back(v1::Error::new(ErrorCode::NotAllowed, "no")),
        Step::Page(peer) => {
            let target = Some(v1::Target::peer(PEERS[peer]));
            let asked = v1::GetPage { r#in: target, limit: 5, ..v1::GetPage::default() };
            world.ask(Intent::Query(anser_client::Query::Page(asked)));
        }
    }
    assert_in_order(world);
}

/// At any time: what a conversation holds has distinct seqs and client ids, none of them pending too.
fn assert_in_order(world: &World) {
    for conversation in world.session.conversations() {
        let facts = conversation.facts().collect::<Vec<_>>();
        assert!(facts.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        assert!(facts.iter().all(|fact| !conversation.is_hidden(fact.seq)), "what is hidden is held");
        let ids = facts.iter().map(|fact| &fact.client_id).filter(|id| !id.is_empty()).collect::<Vec<_>>();
        let pending =
            world.session.pending(conversation.cid()).map(|entry| entry.client_id).collect::<Vec<_>>();
        assert!(
            pending.iter().all(|id| !ids.iter().any(|held| held[..] == id.as_bytes()[..])),
            "shown twice"
        );
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        for island in conversation.sure_ranges().islands() {
            // What no page gives any more a page may tell sooner than an event or a head does.
            let peer = PEERS.into_iter().find(|&peer| cid(peer) == conversation.cid()).unwrap();
            let lacks = |&seq: &u64| !facts.iter().any(|fact| fact.seq == seq);
            let missing =
                (island.0..=island.1).filter(lacks).find(|&seq| world.server.logs[&peer].gives(seq));
            assert_eq!(missing, None, "an island holds every fact that is not hidden");
        }
    }
}

/// When everything has come to rest: the client knows what the server knows, and what the person did
/// is there once and in order.
fn assert_converged(world: &World, acts: &Acts) {
    let failed = world.session.outbox().entries().map(|entry| {
        assert!(matches!(entry.state, EntryState::Failed(_)));
        entry.command.clone()
    });
    let failed = failed.map(|command| match command {
        anser_client::Command::Send(send) => send.message.unwrap().text,
        other => panic!("{other:?}"),
    });
    let failed = failed.collect::<BTreeSet<_>>();
    for peer in PEERS {
        let log = &world.server.logs[&peer];
        let texts = log.said.iter().map(String::as_str).filter(|text| text.starts_with("own "));
        let done = acts.iter().filter(|(to, text)| *to == peer && !failed.contains(text));
        assert_eq!(texts.collect::<Vec<_>>(), done.map(|(_, text)| text.as_str()).collect::<Vec<_>>());
        let Some(conversation) = world.session.conversation(cid(peer)) else {
            assert_eq!(log.n, 0);
            continue;
        };
        let head = conversation.head();
        let recount = world.server.unread(peer).count(Ordinal(log.ordinal(log.seq())));
        assert_eq!(conversation.unread(), recount, "unread of {peer}");
        assert_eq!((head.seq, head.mark, head.peer_mark), (log.seq(), log.mark, log.peer_mark));
        assert_eq!(conversation.n(), log.n);
        let truth = world.server.head(peer);
        assert_eq!(
            (head.peer_delivered, head.marked_unread, head.cleared_seq, &head.hidden),
            (truth.peer_delivered, truth.marked_unread, truth.cleared_seq, &truth.hidden)
        );
        assert_eq!(head.last_message.as_ref().map(|last| last.seq), truth.last_message.map(|last| last.seq));
        let told = log.delivered.max(log.mark);
        assert!(conversation.to_acknowledge().is_none_or(|seq| told >= seq), "who waits is told what came");
        let newest = world.server.slot_n.get(&slot_of(peer)).copied().unwrap_or_default();
        assert_eq!(
            world.session.cursor().to_wire().slots.get(&slot_of(peer)).copied().unwrap_or_default(),
            newest
        );
        assert_eq!(conversation.recheck(), None, "nothing is left in doubt");
        assert_eq!(&conversation.sure_ranges(), conversation.ranges());
        for fact in conversation.facts().chain(&head.last_message) {
            let truth = &log.facts[fact.seq as usize - 1];
            assert_eq!((&fact.change, fact.n, &fact.client_id), (&truth.change, truth.n, &truth.client_id));
        }
    }
    let saved = world.store.saved();
    for (cid, facts, ranges) in &saved.facts {
        let conversation = world.session.conversation(*cid).unwrap();
        assert_eq!(ranges, conversation.ranges());
        assert!(facts.iter().eq(conversation.facts()), "what is saved is what is shown");
        assert!(
            facts.iter().all(|fact| !conversation.is_hidden(fact.seq)),
            "nothing of what is hidden is saved"
        );
    }
    assert_eq!(saved.cursor, world.session.cursor().to_wire());
    assert_eq!(saved.outbox.len(), world.session.outbox().len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn faults_never_reorder_repeat_or_miscount(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        let mut acts = Acts::new();
        world.start();
        for step in steps {
            take(&mut world, &mut acts, step);
        }
        world.server.refusals.clear();
        world.quiesce();
        assert_in_order(&world);
        assert_converged(&world, &acts);
    }
}
