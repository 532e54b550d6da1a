//! Requests: what goes to the core at once, what makes a session wait, what is refused.

use super::*;
use anser_model::ClientId;
use anser_proto::wire;

fn send_to(peer: u64) -> Request {
    let client_id = wire::client_id_bytes(ClientId::mint(NOW, [1; 10]));
    let (to, message) = (Some(v1::Target::peer(AccountId(peer))), Some(v1::Message::text("hi")));
    Request::Send(v1::Send { to, message, client_id })
}

#[test]
fn a_command_goes_to_the_core_and_its_answer_to_the_client() {
    let mut rig = Rig::attached(&[]);
    let effects = rig.ask(send_to(8));
    let [Effect::Command { reply, command }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*reply, ReplyTo::Session { edge: HERE.0, session: SESSION, request: 2 });
    assert_eq!((command.actor.account, command.actor.profile_version), (ME, VERIFIED.profile_version));
    assert!(!rig.session.is_busy());
    let asked = Asked::of(*reply).expect("a session asked");
    rig.give(Input::Answered(asked, Err(Refusal::NotFound)));
    rig.give(Input::NotTaken(asked, Refusal::Overloaded));
    assert_eq!(rig.told(), ["2: not_found", "2: overloaded"]);
}

#[test]
fn people_who_are_not_known_are_looked_up_first() {
    let mut rig = Rig::attached(&[]);
    assert_eq!(wanted(&rig.ask(send_to(101))), ["who misses of [AccountId(101)]"]);
    assert!(rig.session.is_busy());
    assert_eq!(wanted(&rig.give(Input::Missing(Ok(vec![])))), ["command 9.40.2"]);
    assert!(!rig.session.is_busy());
    rig.ask(send_to(101));
    assert!(rig.give(Input::Missing(Ok(vec![AccountId(101)]))).is_empty());
    rig.ask(send_to(101));
    let error = v1::Error::new(anser_proto::ErrorCode::Unavailable, "away");
    assert!(rig.give(Input::Missing(Err(error))).is_empty());
    assert_eq!(rig.told(), ["3: not_found", "4: unavailable"]);
}

#[test]
#[should_panic(expected = "no frame is taken while another one waits")]
fn no_frame_is_taken_while_another_one_waits() {
    let mut rig = Rig::attached(&[]);
    rig.ask(send_to(101));
    rig.ask(send_to(8));
}

#[test]
fn events_and_answers_reach_a_session_that_waits() {
    let mut rig = Rig::attached(&[3]);
    rig.ask(send_to(101));
    rig.offer(4, 1);
    rig.heads(3, 1, 2);
    assert_eq!(rig.told(), ["event 4.1", "heads 3 through 2"]);
    assert!(rig.session.is_busy());
}

#[test]
fn a_list_of_all_conversations_asks_the_home_and_then_its_slots_at_once() {
    let mut rig = Rig::attached(&[]);
    let all = || Request::GetConversations(v1::GetConversations { cids: vec![] });
    assert_eq!(wanted(&rig.ask(all())), ["ask home"]);
    let heads = |slot| Input::Told(Ok(Answer::Heads { slot, n: N(1), heads: vec![] }));
    assert_eq!(wanted(&rig.give(home(&[5, 3]))), ["ask changes of 7 after 0"; 2]);
    assert!(rig.give(heads(Slot(3))).is_empty() && rig.session.is_busy());
    assert!(rig.give(heads(Slot(5))).is_empty());
    rig.ask(all());
    rig.give(home(&[5, 3]));
    rig.give(Input::Told(Err(Refusal::Unavailable)));
    assert!(rig.session.is_busy(), "the other answer is still to come");
    rig.give(heads(Slot(3)));
    assert_eq!(rig.told(), ["2: 0 heads", "3: unavailable"]);
    assert!(!rig.session.is_busy());
}

#[test]
fn a_named_conversation_that_is_not_there_is_left_out() {
    let mut rig = Rig::attached(&[]);
    let named = |cids| Request::GetConversations(v1::GetConversations { cids });
    let cid = wire::cid_bytes(ConversationId::of_self(ME));
    assert_eq!(wanted(&rig.ask(named(vec![cid.clone(), cid]))), ["ask head"; 2]);
    assert!(rig.give(Input::Told(Err(Refusal::NotFound))).is_empty());
    assert!(rig.give(Input::Told(Err(Refusal::NotFound))).is_empty());
    assert!(rig.ask(named(vec![Bytes::from_static(b"short")])).is_empty());
    assert!(rig.ask(named(vec![Bytes::new(); 201])).is_empty());
    assert_eq!(rig.told(), ["2: 0 heads", "3: bad_value", "4: bad_value"]);
}

#[test]
fn what_needs_no_core_is_answered_here() {
    let mut rig = Rig::attached(&[]);
    assert!(rig.ask(Request::Ping(v1::Ping {})).is_empty());
    let profiles = |accounts| Request::GetProfiles(v1::GetProfiles { accounts });
    assert_eq!(wanted(&rig.ask(profiles(vec![8]))), ["profiles of [AccountId(8)]"]);
    rig.give(Input::Profiles(Ok(vec![v1::Profile::default()])));
    assert_eq!(wanted(&rig.ask(profiles(vec![60, 8]))), ["profiles of [AccountId(60), AccountId(8)]"]);
    rig.give(Input::Profiles(Ok(vec![v1::Profile::default()])));
    assert!(rig.ask(profiles(vec![60, 61])).is_empty(), "both are known here");
    assert!(rig.ask(profiles(vec![8; 201])).is_empty());
    assert!(rig.ask(Request::Hello(hello())).is_empty());
    let told =
        ["2: pong", "3: 1 profiles", "4: 1 profiles", "5: 2 profiles", "6: bad_value", "7: hello_repeated"];
    assert_eq!(rig.told(), told);
}

#[test]
fn nothing_is_begun_while_the_server_goes() {
    let mut rig = Rig::attached(&[]);
    rig.shell.draining = true;
    assert!(rig.ask(send_to(8)).is_empty());
    assert_eq!(rig.told(), ["2: draining"]);
}

#[test]
fn frames_that_are_none_and_frames_before_hello() {
    let frame = |frame| Input::Frame { encoding: Encoding::Json, frame };
    let broken = v1::Error::new(anser_proto::ErrorCode::MalformedFrame, "not a frame");
    let told = |input| {
        let mut rig = Rig::new();
        assert!(rig.give(input).is_empty());
        assert_eq!(rig.session.form().encoding, Encoding::Json, "as it spoke first");
        (rig.told(), rig.session.is_closing())
    };
    let said = |word: &str, closes| (vec![word.to_owned()], closes);
    assert_eq!(told(frame(Err(broken))), said("0: malformed_frame", true));
    let request = Some(Request::Ping(v1::Ping {}));
    assert_eq!(
        told(frame(Ok(v1::ClientFrame { id: 0, request: request.clone() }))),
        said("0: bad_request_id", false)
    );
    assert_eq!(told(frame(Ok(v1::ClientFrame { id: 1, request: None }))), said("1: unknown_request", false));
    assert_eq!(told(frame(Ok(v1::ClientFrame { id: 1, request }))), said("1: hello_required", true));
}

#[test]
fn a_session_that_is_closing_takes_no_frame_and_queues_nothing() {
    let mut rig = Rig::attached(&[]);
    rig.session.close(None);
    assert!(rig.ask(send_to(8)).is_empty());
    rig.offer(3, 1);
    assert_eq!(rig.told(), [""; 0]);
}

#[test]
fn somebody_inside_asks_at_once_and_is_sent_no_events() {
    let mut rig = Rig::new();
    rig.session = Session::admitted(SESSION, VERIFIED);
    assert_eq!(rig.session.account(), Some(ME));
    let effects = rig.ask(send_to(8));
    let [Effect::Command { command, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((command.actor.account, command.actor.profile_version), (ME, VERIFIED.profile_version));
    rig.offer(4, 1);
    rig.session.resync(&[], &rig.shell);
    assert!(rig.told().is_empty());
    assert!(rig.sync().is_empty());
    assert!(rig.greet(hello()).is_empty());
    let told = rig.told();
    assert!(told.iter().any(|told| told.ends_with(": bad_value")), "{told:?}");
    assert!(told.iter().any(|told| told.ends_with(": hello_repeated")), "{told:?}");
}
