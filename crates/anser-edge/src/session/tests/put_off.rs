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
        [page(), send(), read()].map(|request| rig.ask(request).len())
    };
    assert_eq!(given(25), [1, 1, 1]);
    assert_eq!(given(26), [0, 1, 1]);
    assert_eq!(given(60), [0, 0, 1]);
    assert_eq!(given(201), [0, 0, 0]);
    assert_eq!(given(0), [1, 1, 1], "and when there is time again, all go on");
    let told = errors(&rig.sent());
    assert_eq!(told.len(), 6);
    assert!(told.iter().all(|(code, retry_after_ms)| code == "overloaded" && *retry_after_ms >= 500));
    assert_eq!(told[2].1, 1_000, "a message that would wait for twice as long as is bearable");
}

#[test]
fn a_hello_that_would_wait_for_too_long_is_told_to_come_again() {
    let mut rig = Rig::new();
    rig.shell.delay_ms = 400;
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
