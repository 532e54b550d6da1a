//! What is put off for want of time or quota: nothing of it reaches a core.

use super::*;

fn send() -> Request {
    Request::Send(v1::Send {
        to: Some(v1::Target::peer(AccountId(8))),
        client_id: anser_proto::wire::client_id_bytes(anser_model::ClientId::mint(NOW, [1; 10])),
        message: Some(v1::Message::text("hello")),
    })
}

fn page() -> Request {
    let r#in = Some(v1::Target::peer(AccountId(8)));
    Request::GetPage(v1::GetPage { r#in, limit: 10, ..v1::GetPage::default() })
}

fn read() -> Request {
    let r#in = Some(v1::Target::peer(AccountId(8)));
    Request::ReadUpTo(v1::ReadUpTo { r#in, seq: 1, timeline: 1 })
}

fn typing() -> Request {
    Request::Typing(v1::Typing { r#in: Some(v1::Target::peer(AccountId(8))) })
}

fn errors(frames: &[Frame]) -> Vec<(String, u64)> {
    let error = |frame: &Frame| match frame {
        Frame::Response(v1::Response { result: Some(v1::response::Result::Error(error)), .. }) => {
            Some((error.code.clone(), error.retry_after_ms))
        }
        _ => None,
    };
    frames.iter().filter_map(error).collect()
}

#[test]
fn under_load_history_is_put_off_before_messages_and_marks_last() {
    let mut rig = Rig::attached(&[]);
    let mut given = |delay_ms: u64| {
        rig.shell.delay_ms = delay_ms;
        [typing(), page(), send(), read()].map(|request| rig.ask(request).len())
    };
    assert_eq!(given(20), [1, 1, 1, 1]);
    assert_eq!(given(50), [0, 1, 1, 1]);
    assert_eq!(given(51), [0, 0, 1, 1]);
    assert_eq!(given(61), [0, 0, 0, 1]);
    assert_eq!(given(251), [0, 0, 0, 0]);
    assert_eq!(given(0), [1, 1, 1, 1], "and when there is time again, all go on");
    let told = errors(&rig.sent());
    assert_eq!(told.len(), 10);
    assert!(told.iter().all(|(code, retry_after_ms)| code == "overloaded" && *retry_after_ms >= 500));
}

#[test]
fn what_passes_reaches_whoever_keeps_up_and_nobody_else() {
    use anser_core::engine::Typing;
    let (cid, account) = (ConversationId::direct(ME, AccountId(8)), AccountId(8));
    let typing = Typing { account, cid, audience: Arc::new([ME]), slot: Slot(1), n: N(3) };
    let shell = Rig::new().shell;
    let pass_on = |rig: &mut Rig| {
        crate::pass_on(&typing, &[ME], &shell, &mut OnlyMe(std::slice::from_mut(rig)));
        rig.told()
    };
    let mut rig = Rig::attached(&[]);
    rig.told();
    assert_eq!(pass_on(&mut rig), ["something that passes"]);
    // While it syncs, and once it has missed something.
    rig.sync();
    assert_eq!(pass_on(&mut rig), Vec::<String>::new());
    rig.give(home(&[]));
    rig.told();
    assert_eq!(pass_on(&mut rig), ["something that passes"]);
    rig.session.resync(&[Slot(1)], &shell);
    assert_eq!(pass_on(&mut rig), ["resync [1]"]);
    // While it does not read.
    let mut slow = Rig::attached(&[]);
    slow.told();
    slow.offer_bytes(1, 1, crate::session::QUEUE_BYTES_EPHEMERAL);
    assert_eq!(pass_on(&mut slow), ["event 1.1"]);
    let mut sender = Rig::new();
    sender.greet(v1::Hello { send_only: true, ..hello() });
    sender.give(Input::Verified(Ok(VERIFIED)));
    sender.give(home(&[]));
    assert_eq!(sender.told().len(), 1);
    assert_eq!(pass_on(&mut sender), Vec::<String>::new());
    let mut greeted = Rig::new();
    assert_eq!(pass_on(&mut greeted), Vec::<String>::new(), "nobody is on it");
}

#[test]
fn a_message_may_wait_no_longer_than_its_class_allows() {
    let mut rig = Rig::attached(&[]);
    rig.shell.delay_ms = 120;
    rig.ask(send());
    assert_eq!(errors(&rig.sent()), [("overloaded".to_owned(), 1_000)], "twice as long as is bearable");
}

#[test]
fn a_hello_that_would_wait_for_too_long_is_told_to_come_again() {
    let mut rig = Rig::new();
    rig.shell.delay_ms = 500;
    assert_eq!(rig.greet(hello()).len(), 0);
    assert_eq!(errors(&rig.sent()), [("overloaded".to_owned(), 1_000)]);
    assert!(rig.session.is_closing());
}

#[test]
fn a_session_has_a_quota_that_fills_with_time() {
    let mut rig = Rig::attached(&[]);
    rig.shell.terms.session_rate = Rate { burst: 100, interval_ms: 10 };
    let taken = (0..150).filter(|_| rig.ask(send()).len() == 1).count();
    assert_eq!(taken, 100);
    assert_eq!(errors(&rig.sent())[0], ("rate_limited".to_owned(), 10));
    assert!(rig.session.was_put_off() && !rig.session.was_put_off(), "the shell is told once");
    rig.shell.now_ms = 45;
    let taken = (0..150).filter(|_| rig.ask(send()).len() == 1).count();
    assert_eq!(taken, 4);
    rig.shell.now_ms = 2_000;
    let taken = (0..150).filter(|_| rig.ask(page()).len() == 1).count();
    assert_eq!(taken, 25, "a page weighs as much as four messages");
}

#[test]
fn all_sessions_of_an_account_share_another_one() {
    let mut rig = Rig::attached(&[]);
    rig.shell.account_waits_ms = Some(70);
    assert_eq!(rig.ask(send()).len(), 0);
    assert_eq!(errors(&rig.sent()), [("rate_limited".to_owned(), 70)]);
}
