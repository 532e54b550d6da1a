//! The session machine against a scripted server: each thing that can go wrong, one at a time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use anser_client::session::{Answer, Ended, EntryState, Failure, Input, Intent, Status, Update};
use anser_client::{Config, Keep, Query};
use anser_model::{N, Slot, Timeline, limits};
use anser_proto::v1::server_frame::Frame;
use anser_proto::{ErrorCode, v1};
use fake::{OWN, PEERS, World, cid};

const PEER: anser_model::AccountId = PEERS[0];

fn texts(world: &World) -> Vec<String> {
    let facts = world.session.conversation(cid(PEER)).into_iter().flat_map(|it| it.facts());
    let text = |event: &v1::Event| match &event.change {
        Some(v1::event::Change::Message(message)) => message.text.clone(),
        other => panic!("{other:?}"),
    };
    facts.map(text).collect()
}

fn accepted(world: &World, ticket: u64) -> &v1::Accepted {
    match world.answers.get(&ticket) {
        Some(Ok(Answer::Accepted(accepted))) => accepted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_same_client_id() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let (first, second) = (world.send_text(PEER, "一"), world.send_text(PEER, "二"));
    assert_eq!(world.to_server.len(), 1, "one send in flight per conversation");
    world.cut(1);
    world.quiesce();
    assert_eq!((accepted(&world, first).seq, accepted(&world, second).seq), (1, 2));
    assert_eq!(texts(&world), ["一", "二"]);
    assert_eq!(world.server.arrivals.len(), 2);
    assert!(world.session.outbox().is_empty());
}

#[test]
fn an_echo_answers_a_send_whose_answer_is_lost() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let ticket = world.send_text(PEER, "雁");
    world.up();
    assert!(world.down(), "the event precedes the answer");
    assert_eq!(accepted(&world, ticket).seq, 1);
    world.cut(0);
    world.quiesce();
    assert_eq!(texts(&world), ["雁"]);
}

#[test]
fn a_refusal_for_now_holds_up_its_conversation_alone() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let slow = v1::Error::new(ErrorCode::RateLimited, "slow down").after_ms(5_000);
    world.server.refusals.push_back(slow);
    let (put_off, behind) = (world.send_text(PEER, "a"), world.send_text(PEER, "b"));
    world.up();
    world.down();
    let elsewhere = world.send_text(PEERS[1], "c");
    while world.up() || world.down() {}
    assert!(world.answers.contains_key(&elsewhere) && !world.answers.contains_key(&put_off));
    world.pass_ms(4_999);
    assert!(world.to_server.is_empty(), "not before the server said");
    world.quiesce();
    assert!(accepted(&world, put_off).seq < accepted(&world, behind).seq);
}

#[test]
fn a_refusal_for_good_lets_the_next_one_go_and_can_be_retried() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    world.server.refusals.push_back(v1::Error::new(ErrorCode::NotAllowed, "muted"));
    let (refused, next) = (world.send_text(PEER, "a"), world.send_text(PEER, "b"));
    world.quiesce();
    assert!(matches!(&world.answers[&refused], Err(Failure::Refused(error)) if error.code == "not_allowed"));
    assert_eq!(accepted(&world, next).seq, 1);
    let failed = world.session.pending(cid(PEER)).next().unwrap().clone();
    assert!(matches!(failed.state, EntryState::Failed(_)));
    world.restart();
    world.quiesce();
    assert_eq!(world.session.pending(cid(PEER)).count(), 1, "a failed send survives a restart");
    let again = world.ask(Intent::Retry(failed.client_id));
    world.quiesce();
    assert_eq!(accepted(&world, again).seq, 2);
    assert_eq!(world.session.pending(cid(PEER)).count(), 0);
    let discarded = world.ask(Intent::Discard(failed.client_id));
    assert_eq!(world.answers[&discarded], Err(Failure::NoSuchSend));
}

#[test]
fn an_id_from_a_wrong_clock_is_minted_anew_only_before_it_is_written() {
    let mut world = World::new();
    world.clock_skew_ms = limits::DAY_MS;
    let early = world.send_text(PEER, "minted with the own clock");
    let old = world
        .session
        .pending(cid(PEER))
        .next()
        .or(world.session.outbox().entries().next())
        .unwrap()
        .client_id;
    world.start();
    world.quiesce();
    assert_eq!(accepted(&world, early).seq, 1);
    assert!(
        world.updates.iter().any(|update| matches!(update, Update::Reminted { old: it, .. } if *it == old))
    );
    let later = world.send_text(PEER, "minted with the server's");
    world.quiesce();
    assert_eq!(accepted(&world, later).seq, 2);
    assert_eq!(world.updates.iter().filter(|update| matches!(update, Update::Reminted { .. })).count(), 1);
}

#[test]
fn an_id_that_may_have_arrived_is_kept_through_a_restart_and_a_month() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    world.send_text(PEER, "once");
    world.up();
    world.restart();
    world.cut(0);
    world.pass_ms(limits::CLIENT_ID_ACCEPTED_MS + limits::DAY_MS);
    world.quiesce();
    assert_eq!(texts(&world), ["once"]);
    assert_eq!(world.server.logs[&PEER].seq(), 1);
}

#[test]
fn an_outbox_survives_a_restart_in_order() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    for text in ["1", "2", "3"] {
        world.send_text(PEER, text);
    }
    world.up();
    world.restart();
    world.quiesce();
    assert_eq!(texts(&world), ["1", "2", "3"]);
    assert_eq!(world.server.logs[&PEER].seq(), 3);
}

#[test]
fn nothing_moves_the_cursor_of_an_owing_slot() {
    let mut world = World::new();
    world.server.message(PEER, PEER, v1::Message::text("before"), None);
    world.start();
    world.up();
    world.down();
    assert!(world.session.cursor().owes(Slot(7)) && !world.session.is_synced());
    let ticket = world.send_text(PEER, "while owing");
    world.up();
    world.down();
    assert_eq!(accepted(&world, ticket).n, 2);
    assert_eq!(world.session.cursor().n(Slot(7)), N(0));
    world.quiesce();
    assert_eq!(world.session.cursor().n(Slot(7)), N(3), "what came is acknowledged by itself");
    assert!(world.updates.contains(&Update::Synced));
}

#[test]
fn a_resync_asks_for_a_sync_and_ignores_what_an_older_one_says() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    world.server.message(PEER, PEER, v1::Message::text("seen"), None);
    world.quiesce();
    world.server.resync();
    world.server.message(PEER, PEER, v1::Message::text("missed"), None);
    let stale = v1::SyncHeads { slot: 7, done: true, n: 1, ..v1::SyncHeads::default() };
    world.server.out.push_back(stale.into());
    world.down();
    world.down();
    assert!(world.session.cursor().owes(Slot(7)), "a sync from before the resync settles nothing");
    world.quiesce();
    assert_eq!(world.session.cursor().n(Slot(7)), N(4), "both were acknowledged");
    assert_eq!(world.session.unread(cid(PEER)), 2);
}

#[test]
fn another_timeline_voids_the_caches_but_not_the_outbox() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    world.server.message(PEER, PEER, v1::Message::text("of the old history"), None);
    world.quiesce();
    world.cut(0);
    world.server.restore_from_backup();
    let plain = world.send_text(PEER, "plain");
    let reply = v1::Message { reply_to: 1, ..v1::Message::text("reply") };
    let reply = v1::Send { to: Some(v1::Target::peer(PEER)), message: Some(reply), ..v1::Send::default() };
    let reply = world.ask(Intent::Command(anser_client::Command::Send(reply)));
    world.quiesce();
    assert_eq!(world.session.cursor().timeline(), Timeline(2));
    assert!(world.updates.contains(&Update::Restarted(Timeline(2))));
    assert_eq!(texts(&world), ["plain"]);
    assert_eq!(accepted(&world, plain).seq, 1);
    assert!(
        matches!(&world.answers[&reply], Err(Failure::Refused(error)) if error.code == "foreign_timeline")
    );
}

#[test]
fn marks_show_at_once_and_are_counted_when_they_are_facts() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    for text in ["a", "b", "c"] {
        world.server.message(PEER, PEER, v1::Message::text(text), None);
    }
    world.quiesce();
    assert_eq!(world.session.unread(cid(PEER)), 3);
    let ticket = world.ask(Intent::ReadUpTo { target: v1::Target::peer(PEER), seq: 3 });
    assert_eq!(world.session.unread(cid(PEER)), 0);
    assert_eq!(world.session.conversation(cid(PEER)).unwrap().unread(), 3);
    world.quiesce();
    assert!(accepted(&world, ticket).n > 0);
    assert_eq!(world.session.conversation(cid(PEER)).unwrap().unread(), 0);
}

#[test]
fn a_gap_in_the_stream_is_fetched() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    world.server.message(PEER, PEER, v1::Message::text("1"), None);
    world.quiesce();
    for text in ["2", "3", "4"] {
        world.server.message(PEER, PEER, v1::Message::text(text), None);
    }
    world.server.out.drain(..2);
    world.down();
    assert_eq!(texts(&world), ["4"], "what is older may have been recalled by what is missing");
    world.quiesce();
    assert_eq!(texts(&world), ["1", "2", "3", "4"]);
    assert_eq!(world.session.conversation(cid(PEER)).unwrap().ranges().islands(), [(1, 4)]);
}

#[test]
fn typing_is_said_now_or_not_at_all() {
    let mut world = World::new();
    let typing = || Intent::Query(Query::Typing(v1::Typing { r#in: Some(v1::Target::peer(PEER)) }));
    let lost = world.ask(typing());
    world.pass_ms(3_000);
    assert_eq!(world.answers[&lost], Err(Failure::TimedOut), "without a connection it is soon of no use");
    world.start();
    world.quiesce();
    let said = world.ask(typing());
    world.quiesce();
    assert_eq!(world.answers[&said], Ok(Answer::Done));
    let busy = v1::Error::new(ErrorCode::Overloaded, "later").after_ms(500);
    world.server.refusals.push_back(busy.clone());
    let refused = world.ask(typing());
    world.quiesce();
    assert_eq!(world.answers[&refused], Err(Failure::Refused(busy)), "it is not asked again");
}

#[test]
fn that_somebody_types_is_told_and_kept_nowhere() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let is_typing = v1::IsTyping { cid: anser_proto::wire::cid_bytes(cid(PEER)), account: PEER.get() };
    let what = Some(v1::ephemeral::What::Typing(is_typing));
    world.server.out.push_back(fake::frame(Frame::Ephemeral(v1::Ephemeral { what })));
    world.server.out.push_back(fake::frame(Frame::Ephemeral(v1::Ephemeral { what: None })));
    let before = (world.session.cursor().clone(), world.updates.len());
    while world.down() {}
    assert_eq!(world.updates[before.1..], [Update::Typing { cid: cid(PEER), account: PEER }]);
    assert_eq!((world.session.cursor(), world.session.conversations().len()), (&before.0, 0));
}

#[test]
fn who_is_watched_is_asked_again_after_every_sync() {
    let mut world = World::new();
    let there = v1::Presence { account: PEER.get(), online: true, profile_version: 9, ..Default::default() };
    world.server.there.insert(PEER.get(), there);
    world.server.own_profile_version = 4;
    let watch =
        |accounts: &[anser_model::AccountId]| Intent::Watch { cid: cid(PEER), accounts: accounts.to_vec() };
    let early = world.ask(watch(&[PEER]));
    assert_eq!(world.answers[&early], Ok(Answer::Done), "without a connection it is kept");
    world.start();
    world.quiesce();
    assert_eq!(world.server.watches.len(), 1);
    assert_eq!(world.session.presences().get(PEER), Some(&there));
    assert!(world.updates.contains(&Update::Presence(vec![PEER])));
    assert!(world.server.profiles_asked.contains(&PEER.get()), "its profile is newer than what is known");
    assert!(world.server.profiles_asked.contains(&OWN.get()), "so is one's own, by the welcome");

    let away = v1::Presence { online: false, last_seen_at_ms: 5, ..there };
    let what = |presence| Some(v1::ephemeral::What::Presence(presence));
    let strange = v1::Presence { account: 99, ..there };
    for presence in [away, away, strange] {
        let frame = fake::frame(Frame::Ephemeral(v1::Ephemeral { what: what(presence) }));
        world.server.out.push_back(frame);
    }
    let before = world.updates.len();
    world.quiesce();
    let told = world.updates[before..].iter().filter(|update| matches!(update, Update::Presence(_))).count();
    assert_eq!((told, world.session.presences().get(PEER)), (1, Some(&away)));

    world.cut(0);
    assert_eq!(world.session.presences().get(PEER), None, "nobody knows");
    world.quiesce();
    assert_eq!((world.server.watches.len(), world.session.presences().get(PEER)), (2, Some(&there)));
    world.server.resync();
    world.server.message(PEER, PEER, v1::Message::text("missed"), None);
    world.quiesce();
    assert_eq!(world.server.watches.len(), 3);

    world.server.refusals.push_back(v1::Error::new(ErrorCode::Overloaded, "later").after_ms(500));
    world.ask(watch(&[PEER, OWN]));
    world.quiesce();
    assert_eq!(world.server.watches.len(), 4, "put off is not given up");
    world.server.refusals.push_back(v1::Error::new(ErrorCode::NotFound, "no such thing"));
    world.ask(watch(&[PEER]));
    world.quiesce();
    assert_eq!((world.server.watches.len(), world.session.presences().get(PEER)), (4, None));
    world.cut(0);
    world.quiesce();
    assert_eq!(world.server.watches.len(), 4, "what there is not is not asked again");
}

#[test]
fn a_conversation_is_watched_one_question_at_a_time() {
    let mut world = World::new();
    let there = v1::Presence { account: PEER.get(), online: true, ..Default::default() };
    world.server.there.insert(PEER.get(), there);
    world.start();
    world.quiesce();
    // The answers to two might overtake each other: the later question waits for the earlier answer.
    for accounts in [vec![OWN], vec![PEER]] {
        world.ask(Intent::Watch { cid: cid(PEER), accounts });
    }
    assert_eq!(world.to_server.len(), 1);
    world.quiesce();
    let asked: Vec<_> = world.server.watches.iter().map(|(_, accounts)| accounts.as_slice()).collect();
    assert_eq!(asked, [[OWN.get()], [PEER.get()]]);
    assert_eq!(world.session.presences().get(PEER), Some(&there));
}

#[test]
fn silence_ends_a_connection_and_a_heartbeat_keeps_one() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let first = world.link;
    for _ in 0..3 {
        let due = world.session.wake_at_ms().unwrap();
        assert!(due - world.now_ms <= 240_000);
        world.pass_ms(due - world.now_ms);
        assert_eq!(world.to_server.len(), 1, "a ping");
        world.up();
        world.down();
    }
    assert_eq!(world.link, first);
    world.pass_ms(240_000);
    world.to_server.clear();
    world.pass_ms(20_000);
    assert_ne!(world.link, first, "no answer to a ping ends the connection");
}

#[test]
fn a_draining_server_is_left_when_it_has_answered() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let under_way = world.send_text(PEER, "under way");
    let draining = v1::Draining { reconnect_after_ms: 3_000 };
    world.server.out.push_back(fake::frame(Frame::Draining(draining)));
    world.down();
    let held_back = world.send_text(PEERS[1], "held back");
    assert_eq!(world.to_server.len(), 1);
    world.up();
    while world.down() {}
    assert!(world.link.is_none() && world.answers.contains_key(&under_way));
    assert!(matches!(world.session.status(), Status::Waiting { retry_in_ms } if retry_in_ms >= 3_000));
    world.quiesce();
    accepted(&world, held_back);
}

#[test]
fn being_kicked_ends_the_session_and_tells_everybody() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let (sent, asked) = (
        world.send_text(PEER, "never answered"),
        world.ask(Intent::Query(Query::Members(v1::GetMembers::default()))),
    );
    let kicked = v1::Kicked { code: "revoked".into(), message: "signed out elsewhere".into() };
    world.server.out.push_back(fake::frame(Frame::Kicked(kicked)));
    world.down();
    assert!(matches!(world.session.status(), Status::Ended(Ended::Kicked { .. })));
    for ticket in [sent, asked] {
        assert!(matches!(world.answers[&ticket], Err(Failure::Ended(_))));
    }
    let late = world.send_text(PEER, "too late");
    assert!(matches!(world.answers[&late], Err(Failure::Ended(_))));
    assert_eq!(world.store.saved().outbox.len(), 1, "what was not answered stays saved");
}

#[test]
fn questions_give_up_and_commands_do_not() {
    let mut world = World::new();
    let asked = world.ask(Intent::Query(Query::Members(v1::GetMembers::default())));
    let sent = world.send_text(PEER, "patient");
    world.pass_ms(30_000);
    assert_eq!(world.answers[&asked], Err(Failure::TimedOut));
    assert!(!world.answers.contains_key(&sent));
    world.start();
    world.quiesce();
    accepted(&world, sent);
}

#[test]
fn a_command_that_fits_in_no_frame_is_refused_at_home() {
    let mut world = World::new();
    let ticket = world.send_text(PEER, &"雁".repeat(30_000));
    assert!(
        matches!(&world.answers[&ticket], Err(Failure::Refused(error)) if error.code == "frame_too_large")
    );
    assert!(world.session.outbox().is_empty());
}

#[test]
fn a_lean_session_keeps_nothing_and_passes_everything_on() {
    let config = Config { keep: Keep::Nothing, save: Keep::Nothing, ..Config::default() };
    let mut world = World::with(config);
    world.start();
    world.quiesce();
    world.server.message(PEER, PEER, v1::Message::text("passing"), None);
    let ticket = world.send_text(PEER, "out");
    world.quiesce();
    accepted(&world, ticket);
    assert_eq!(world.session.conversations().len(), 0);
    assert_eq!(world.updates.iter().filter(|update| matches!(update, Update::Event(_))).count(), 2);
    assert!(world.store.saved().outbox.is_empty());
    assert_eq!(world.session.cursor().n(Slot(7)), N(2));
    assert!(size_of::<anser_client::Session>() <= 1024, "{}", size_of::<anser_client::Session>());
}

#[test]
fn stale_connections_say_nothing() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let old = world.link.unwrap();
    world.cut(0);
    world.quiesce();
    let current = world.link;
    world.input(Input::Lost(old));
    let kicked = v1::Kicked { code: "revoked".into(), message: String::new() };
    world.input(Input::Frame(old, Box::new(fake::frame(Frame::Kicked(kicked)))));
    assert_eq!(world.link, current);
    assert!(matches!(world.session.status(), Status::Attached { account: OWN, .. }));
}

#[test]
fn what_comes_is_acknowledged_once_a_second_and_after_a_restart() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    let say = |world: &mut World| drop(world.server.message(PEER, PEER, v1::Message::text("x"), None));
    let delivered = |world: &World| {
        let is_one = |frame: &&v1::ClientFrame| {
            matches!(frame.request, Some(v1::client_frame::Request::DeliveredUpTo(_)))
        };
        world.to_server.iter().filter(is_one).count()
    };
    // Whether it is between two, only the head tells.
    say(&mut world);
    world.quiesce();
    world.pass_ms(1_000);
    assert_eq!(world.server.logs[&PEER].delivered, 1);
    for _ in 0..5 {
        say(&mut world);
    }
    while world.down() {}
    assert_eq!(delivered(&world), 1, "the first at once, the rest together");
    while world.up() || world.down() {}
    assert_eq!((world.server.logs[&PEER].delivered, delivered(&world)), (2, 0));
    world.pass_ms(1_000);
    while world.up() || world.down() {}
    assert_eq!(world.server.logs[&PEER].delivered, 6);
    say(&mut world);
    while world.down() {}
    world.restart();
    world.quiesce();
    assert_eq!(world.server.logs[&PEER].delivered, 7);
}

#[test]
fn a_store_forgets_what_is_hidden_and_what_another_device_has_cleared() {
    let mut world = World::new();
    world.start();
    world.quiesce();
    for _ in 0..6 {
        world.server.message(PEER, PEER, v1::Message::text("x"), None);
    }
    world.quiesce();
    let kept = |world: &World| {
        let (_, facts, _) = world.store.saved().facts.into_iter().next().unwrap();
        facts.iter().map(|fact| fact.seq).collect::<Vec<_>>()
    };
    assert_eq!(kept(&world), [1, 2, 3, 4, 5, 6]);
    let range = v1::SeqRange { low: 4, high: 5 };
    let hide = v1::Hide { r#in: Some(v1::Target::peer(PEER)), ranges: vec![range], timeline: 0 };
    let asked = world.ask(Intent::Query(Query::Hide(hide)));
    world.quiesce();
    assert!(matches!(world.answers[&asked], Ok(Answer::Accepted(_))));
    assert_eq!(kept(&world), [1, 2, 3, 6]);
    world.cut(0);
    world.server.clear(PEER, 2);
    world.quiesce();
    assert_eq!(kept(&world), [3, 6]);
    world.restart();
    world.quiesce();
    assert_eq!((kept(&world), world.session.unread(cid(PEER))), (vec![3, 6], 4));
}
