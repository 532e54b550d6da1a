//! Hello and sync: their order, what is kept back meanwhile, rounds.

use super::*;

#[test]
fn it_enters_before_the_home_is_asked_and_asks_the_home_before_the_slots() {
    let mut rig = Rig::new();
    let slots = [(3, 8)].into();
    let cursor = Some(v1::Cursor { timeline: 1, slots });
    assert_eq!(wanted(&rig.greet(v1::Hello { cursor, ..hello() })), ["whose is token"]);
    assert!(rig.session.is_busy() && rig.session.account().is_none());
    assert_eq!(wanted(&rig.give(Input::Verified(Ok(VERIFIED)))), ["enter 7", "ask home"]);
    assert!(rig.session.is_busy() && rig.session.account() == Some(ME));
    assert_eq!(rig.told(), [""; 0]);
    let asked = wanted(&rig.give(home(&[9, 3])));
    assert_eq!(asked, ["9.40.sync1.3 changes of 7 after 8", "9.40.sync1.9 changes of 7 after 0"]);
    assert!(!rig.session.is_busy());
    assert_eq!(rig.told(), ["1: welcome, owing [9, 3]"]);
}

#[test]
fn a_cursor_of_another_timeline_counts_as_none() {
    let mut rig = Rig::new();
    let cursor = Some(v1::Cursor { timeline: 2, slots: [(3, 8)].into() });
    rig.greet(v1::Hello { cursor, ..hello() });
    rig.give(Input::Verified(Ok(VERIFIED)));
    assert_eq!(wanted(&rig.give(home(&[3]))), ["9.40.sync1.3 changes of 7 after 0"]);
}

#[test]
fn events_wait_until_their_slot_has_answered() {
    let mut rig = Rig::new();
    rig.greet(hello());
    rig.offer(3, 4);
    rig.give(Input::Verified(Ok(VERIFIED)));
    rig.offer(3, 5);
    rig.offer(9, 2);
    rig.offer(3, 7);
    assert_eq!(rig.told(), [""; 0], "nothing is told before the welcome");
    rig.give(home(&[3]));
    assert_eq!(rig.told(), ["1: welcome, owing [3]", "event 9.2"]);
    rig.offer(3, 8);
    rig.offer(9, 3);
    assert_eq!(rig.told(), ["event 9.3"]);
    rig.heads(3, 1, 5);
    assert_eq!(rig.told(), ["heads 3 through 5", "event 3.7", "event 3.8"]);
    rig.offer(3, 9);
    assert_eq!(rig.told(), ["event 3.9"]);
    let attached = rig.session.attached.as_ref().expect("it is attached");
    assert!(attached.kept.is_none(), "who is owed nothing keeps nothing");
}

#[test]
fn answers_of_an_earlier_round_are_of_no_use() {
    let mut rig = Rig::attached(&[3]);
    rig.offer(3, 5);
    assert_eq!(wanted(&rig.sync()), ["ask home"]);
    rig.heads(3, 1, 5);
    rig.give(home(&[3]));
    rig.heads(3, 1, 5);
    assert!(rig.give(refused(3, 1)).is_empty());
    assert!(rig.give(Input::AskAgain { slot: Slot(3), round: 1 }).is_empty());
    assert_eq!(rig.told(), ["2: sync started, owing [3]"]);
    rig.offer(3, 6);
    rig.heads(3, 2, 5);
    assert_eq!(rig.told(), ["heads 3 through 5", "event 3.6"]);
}

#[test]
fn a_slot_that_cannot_answer_is_asked_again_from_the_same_place() {
    let mut rig = Rig::new();
    let cursor = Some(v1::Cursor { timeline: 1, slots: [(3, 8)].into() });
    rig.greet(v1::Hello { cursor, ..hello() });
    rig.give(Input::Verified(Ok(VERIFIED)));
    rig.give(home(&[3, 4]));
    rig.sent();
    assert_eq!(wanted(&rig.give(refused(3, 1))), ["later 3 in 1"]);
    assert_eq!(rig.told(), ["heads 3 pending"]);
    let again = || Input::AskAgain { slot: Slot(3), round: 1 };
    assert_eq!(wanted(&rig.give(again())), ["9.40.sync1.3 changes of 7 after 8"]);
    let not_taken = Input::NotTaken(Asked::Sync(Slot(3), 1), Refusal::Overloaded);
    assert_eq!(wanted(&rig.give(not_taken)), ["later 3 in 1"]);
    assert_eq!(rig.told(), [""; 0]);
    rig.heads(3, 1, 9);
    assert!(rig.give(again()).is_empty(), "it has answered");
}

#[test]
fn who_only_sends_gets_no_heads_and_no_events() {
    let mut rig = Rig::new();
    rig.greet(v1::Hello { send_only: true, ..hello() });
    rig.give(Input::Verified(Ok(VERIFIED)));
    rig.offer(3, 1);
    assert!(rig.give(home(&[3])).is_empty());
    rig.offer(3, 2);
    rig.session.resync(&[], &rig.shell);
    assert!(rig.sync().is_empty());
    assert_eq!(rig.told(), ["1: welcome, owing []", "2: bad_value"]);
}

#[test]
fn credentials_below_the_homes_are_not_let_in() {
    let mut rig = Rig::new();
    rig.greet(hello());
    rig.give(Input::Verified(Ok(VERIFIED)));
    assert!(rig.give(home_of(&[3], GRANT.account_version + 1)).is_empty());
    assert_eq!(rig.told(), ["1: revoked"]);
    assert!(rig.session.is_closing());
    assert_eq!(rig.session.account(), Some(ME), "it was entered, and has to be taken out");

    let devices = vec![(DeviceId(2), 9), (GRANT.device, GRANT.device_version + 1)];
    let view = HomeView { slots: Vec::new(), account_version: 0, devices };
    let mut rig = Rig::new();
    rig.greet(hello());
    rig.give(Input::Verified(Ok(VERIFIED)));
    rig.give(Input::Told(Ok(Answer::Home(view))));
    assert_eq!(rig.told(), ["1: revoked"]);
}

#[test]
fn a_hello_that_fails_ends_the_connection_with_its_reason() {
    let refused_by = |hello: v1::Hello, inputs: Vec<Input>| {
        let mut rig = Rig::new();
        rig.greet(hello);
        for input in inputs {
            rig.give(input);
        }
        assert!(rig.session.is_closing() && !rig.session.is_busy());
        rig.told()
    };
    let newer = v1::Hello { version_min: 90, version_max: 91, ..hello() };
    assert_eq!(refused_by(newer, vec![]), ["1: unsupported_version"]);
    let named = v1::Hello { client: "x".repeat(65), ..hello() };
    assert_eq!(refused_by(named, vec![]), ["1: bad_value"]);
    let beyond = Some(v1::Cursor { timeline: 1, slots: [(256, 1)].into() });
    assert_eq!(refused_by(v1::Hello { cursor: beyond, ..hello() }, vec![]), ["1: bad_value"]);
    let error = v1::Error::new(anser_proto::ErrorCode::Unauthenticated, "not ours");
    assert_eq!(refused_by(hello(), vec![Input::Verified(Err(error))]), ["1: unauthenticated"]);
    let away = Input::Told(Err(Refusal::Unavailable));
    assert_eq!(refused_by(hello(), vec![Input::Verified(Ok(VERIFIED)), away]), ["1: unavailable"]);
}

#[test]
fn a_sync_whose_home_is_away_may_be_asked_again() {
    let mut rig = Rig::attached(&[]);
    rig.sync();
    rig.offer(3, 1);
    rig.give(Input::Answered(Asked::Request(9), Err(Refusal::NotFound)));
    rig.give(Input::Told(Err(Refusal::Unavailable)));
    assert_eq!(rig.told(), ["2: unavailable", "resync []", "9: not_found"], "answers wait for no other sync");
    rig.offer(3, 2);
    assert_eq!(rig.told(), [""; 0], "what was missed is missed until a sync has begun");
    rig.sync();
    rig.give(home(&[3]));
    rig.offer(3, 3);
    rig.heads(3, 2, 2);
    assert_eq!(rig.told(), ["3: sync started, owing [3]", "heads 3 through 2", "event 3.3"]);
}

/// Found by the simulator: the answer moved the cursor past an event that was still kept back, and then the
/// connection broke.
#[test]
fn an_answer_does_not_overtake_the_events_that_a_sync_keeps_back() {
    let mut rig = Rig::attached(&[]);
    rig.sync();
    rig.offer(3, 1);
    rig.give(Input::Answered(Asked::Request(9), Err(Refusal::NotFound)));
    rig.offer(5, 1);
    assert_eq!(rig.told(), [""; 0], "everything is kept back until the slots are known");
    rig.give(home(&[5]));
    assert_eq!(rig.told(), ["2: sync started, owing [5]", "event 3.1", "9: not_found"]);
}

#[test]
fn long_heads_come_in_several_frames_of_which_the_last_settles() {
    use anser_core::conversation::Head;
    use anser_model::{ConversationKind, Role, Unread};
    let head = Head {
        cid: ConversationId::of_self(ME),
        kind: ConversationKind::Group,
        n: N(1),
        title: "t".repeat(20_000),
        peer: None,
        seq: Seq(1),
        ordinal: Ordinal(1),
        last_message: None,
        role: Some(Role::Member),
        mark: Seq(0),
        unread: Unread::default(),
        unread_count: 1,
        peer_mark: None,
        peer_delivered: None,
        marked_unread: false,
        cleared: Seq(0),
        hidden: anser_model::SeqRanges::default(),
        avatar: String::new(),
        history_visible: false,
        member_count: 2,
        at: NOW,
        first_visible: Seq(1),
        mention_all: Seq(0),
    };
    let mut rig = Rig::attached(&[3]);
    let answer = Answer::Heads { slot: Slot(3), n: N(6), heads: vec![head; 3] };
    rig.give(Input::Answered(Asked::Sync(Slot(3), 1), Ok(answer)));
    let frames: Vec<_> = rig
        .sent()
        .into_iter()
        .map(|frame| match frame {
            Frame::SyncHeads(heads) => (heads.heads.len(), heads.done, heads.n),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(frames, [(2, false, 0), (1, true, 6)]);
}

#[test]
fn a_slot_that_is_known_to_have_nothing_new_is_not_asked() {
    let mut rig = Rig::new();
    rig.shell.newest.extend([(Slot(3), N(5)), (Slot(5), N(9))]);
    let cursor = v1::Cursor { timeline: 1, slots: [(3, 5), (5, 8), (6, 4)].into() };
    rig.greet(v1::Hello { cursor: Some(cursor.clone()), ..hello() });
    rig.give(Input::Verified(Ok(VERIFIED)));
    // What is on its way is no news to who has it; of slot 6 nothing is known.
    rig.offer(3, 5);
    let asked = wanted(&rig.give(home(&[3, 5, 6])));
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].ends_with("changes of 7 after 8") && asked[1].ends_with("changes of 7 after 4"));
    assert_eq!(rig.told(), ["1: welcome, owing [5, 6]"]);
    rig.shell.newest.insert(Slot(3), N(6));
    rig.offer(3, 6);
    assert_eq!(rig.told(), ["event 3.6"], "from there on it flows");
    rig.heads(5, 1, 9);
    rig.heads(6, 1, 4);
    rig.sent();
    let current = v1::Cursor { timeline: 1, slots: [(3, 6), (5, 9), (6, 4)].into() };
    rig.shell.newest.insert(Slot(6), N(4));
    rig.ask(Request::Sync(v1::Sync { cursor: Some(current) }));
    assert!(rig.give(home(&[3, 5, 6])).is_empty());
    assert_eq!(rig.told(), ["2: sync started, owing []"]);
    rig.offer(5, 10);
    assert_eq!(rig.told(), ["event 5.10"]);
}
