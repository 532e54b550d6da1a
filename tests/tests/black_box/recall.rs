//! Recalls: who may take back what, and that nothing of it is served to anybody from then on.

use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::event::Change;
use anser_proto::v1::response::Result as Answer;
use anser_tests::conversation::{by_cid, recall, text, text_of};
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

fn code<T: std::fmt::Debug>(result: Result<T, v1::Error>) -> String {
    result.expect_err("it is refused").code
}

/// The message at a seq, as somebody is told it.
async fn message(client: &mut Client, cid: &Bytes, seq: u64) -> v1::Message {
    let page = client.page(cid, seq - 1, 1).await.expect("it may be seen");
    match page.events.into_iter().next().and_then(|event| event.change) {
        Some(Change::Message(message)) => message,
        other => panic!("seq {seq} is {other:?}"),
    }
}

/// A recalled text message: that it was there, and nothing of what it said.
fn gone() -> v1::Message {
    v1::Message { kind: "text".into(), recalled: true, ..v1::Message::default() }
}

async fn told_of_recall(client: &mut Client) -> (u64, v1::Event) {
    client
        .event(|event| match &event.change {
            Some(Change::Recalled(recalled)) => Some((recalled.seq, event.clone())),
            _ => None,
        })
        .await
}

fn since(person: &Person, cursor: &v1::Cursor) -> v1::Hello {
    v1::Hello { cursor: Some(cursor.clone()), ..Client::hello(&person.token) }
}

#[tokio::test]
async fn one_s_own_message_is_gone_for_both_and_after_a_restart() {
    let mut server = Server::start().await;
    let [ann, ben, eve] = Person::register_all(&server, ["ann", "ben", "eve"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let mut at_eve = Client::attach_in_json(&server, &eve).await;
    let sent = at_ann.tell(&ben, "a slip of the pen").await;
    let (cid, seq) = (sent.cid, sent.seq);
    assert_eq!(code(at_ben.recall(&cid, seq).await), "not_allowed");
    let (stranger, nothing) = (at_eve.recall(&cid, seq).await, at_eve.recall(&cid, 99).await);
    assert_eq!((&stranger, code(stranger.clone())), (&nothing, "not_found".to_owned()));

    let client_id = at_ann.mint();
    let timeline = at_ann.welcome.timeline;
    let request = recall(&cid, client_id, seq, timeline);
    let accepted = at_ann.command(request.clone()).await.expect("one's own");
    assert_eq!((accepted.seq, accepted.ordinal, accepted.duplicate), (seq + 1, sent.ordinal, false));
    let (told, event) = told_of_recall(&mut at_ben).await;
    assert_eq!((told, event.n, event.seq), (seq, accepted.n, accepted.seq));
    let again = at_ann.command(request).await.expect("the same again");
    assert_eq!(again, v1::Accepted { duplicate: true, ..accepted.clone() });
    assert_eq!(code(at_ann.recall(&cid, seq).await), "not_allowed", "another command: it is done already");
    let foreign = recall(&cid, at_ann.mint(), seq, timeline ^ 1);
    assert_eq!(code(at_ann.command(foreign).await), "foreign_timeline");
    assert_eq!(code(at_ann.recall(&cid, 1).await), "not_found", "no message");

    for _ in 0..2 {
        let head = at_ben.head(&cid).await;
        assert_eq!((head.unread, head.seq), (1, accepted.seq), "it stays counted");
        let last = head.last_message.expect("it is still the newest message");
        assert_eq!((last.seq, last.n, last.change), (seq, accepted.n, Some(Change::Message(gone()))));
        assert_eq!(message(&mut at_ben, &cid, seq).await, gone());
        server.stop().await;
        server.start_again().await;
        at_ben = Client::attach(&server, &ben).await;
    }
}

#[tokio::test]
async fn admins_recall_what_members_said_and_those_who_left_lose_it_too() {
    let server = Server::start().await;
    let [owner, admin, member, gone_one] =
        Person::register_all(&server, ["owner", "admin", "member", "gone"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_admin = Client::attach(&server, &admin).await;
    let mut at_member = Client::attach(&server, &member).await;
    let mut at_gone = Client::attach(&server, &gone_one).await;
    let cid = at_owner.create_group("harbour", &[&admin, &member, &gone_one], true).await;
    at_owner.set_role(&cid, &admin, v1::Role::Admin).await.expect("the owner may");
    let first = at_owner.say(&cid, "the owner's words").await.expect("a member").seq;
    let second = at_member.say(&cid, "a member's words").await.expect("a member").seq;
    at_owner.remove(&cid, &gone_one).await.expect("the owner may");
    let after = at_member.say(&cid, "after").await.expect("a member").seq;

    let (_, before) = Client::attach_with(&server, Client::hello(&gone_one.token)).await;
    assert_eq!(before.heads[0].last_message.as_ref().and_then(text_of), Some("a member's words"));
    assert_eq!(code(at_member.recall(&cid, first).await), "not_allowed");
    assert_eq!(code(at_gone.recall(&cid, second).await), "no_longer_member");
    at_admin.recall(&cid, first).await.expect("an admin may, even the owner's");
    at_owner.recall(&cid, second).await.expect("the owner may");
    assert_eq!(told_of_recall(&mut at_member).await.0, first);
    assert_eq!(told_of_recall(&mut at_member).await.0, second);
    for seq in [first, second] {
        assert_eq!(message(&mut at_member, &cid, seq).await, gone());
        assert_eq!(message(&mut at_gone, &cid, seq).await, gone(), "who left is served no more of it either");
    }
    assert_eq!(message(&mut at_member, &cid, after).await.text, "after");

    // Who left is told by its sync that something it may see is void, and nothing else.
    let (mut back, changed) = Client::attach_with(&server, since(&gone_one, &before.cursor)).await;
    let (old, new) = (&before.heads[0], &changed.heads[0]);
    assert_eq!((new.seq, new.role(), new.at_ms), (old.seq, v1::Role::Unspecified, old.at_ms));
    assert_eq!(new.last_message.as_ref().and_then(text_of), Some(""));
    assert!(new.n > old.n);
    assert_eq!(back.sync(changed.cursor.clone()).await.heads, []);
    let events = at_gone.drain().await;
    assert!(!events.iter().any(|frame| format!("{frame:?}").contains("Recalled")), "no event: {events:?}");
}

#[tokio::test]
async fn a_device_that_was_away_asks_what_changed_in_what_it_holds() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let cid = at_ann.tell(&ben, "0").await.cid;
    for number in 1..10 {
        at_ann.say(&cid, &number.to_string()).await.expect("it is accepted");
    }
    let (mut at_ben, before) = Client::attach_with(&server, Client::hello(&ben.token)).await;
    let (held, n) = (at_ben.whole_history(&cid).await, before.heads[0].n);
    drop(at_ben);
    let recalled = at_ann.recall(&cid, 4).await.expect("one's own");
    at_ann.say(&cid, "more").await.expect("it is accepted");

    let (mut at_ben, synced) = Client::attach_with(&server, since(&ben, &before.cursor)).await;
    assert_eq!(synced.heads[0].unread, 11, "recalled messages stay counted");
    let newest = held.last().expect("there is something").seq;
    let asked = |changed_after_n, before_seq, limit| {
        let r#in = by_cid(&cid);
        Request::GetPage(v1::GetPage { r#in, before_seq, limit, changed_after_n, ..v1::GetPage::default() })
    };
    let Ok(Answer::Page(page)) = at_ben.ask(asked(n, newest + 1, 200)).await else { panic!("a page") };
    assert_eq!(page.events.len(), 1, "of what was held only what changed: {:?}", page.events);
    let changed = &page.events[0];
    assert_eq!((changed.seq, changed.n, &changed.change), (4, recalled.n, &Some(Change::Message(gone()))));
    assert!(!page.more && page.n >= synced.heads[0].n);
    // What was held, with that in its place, is what a fresh client is told.
    let mut merged = held.clone();
    merged[3] = changed.clone();
    let fresh = at_ben.whole_history(&cid).await;
    assert_eq!(merged, fresh[..held.len()]);
    let Ok(Answer::Page(page)) = at_ben.ask(asked(page.n, newest + 1, 200)).await else { panic!("a page") };
    assert_eq!((page.events, page.more), (vec![], false));
    assert_eq!(code(at_ben.ask(asked(n, 0, 200)).await), "bad_value");
    assert_eq!(code(at_ben.ask(asked(n, 202, 200)).await), "bad_value");
    assert!(at_ben.ask(asked(n, 201, 200)).await.is_ok());
}

#[tokio::test]
async fn a_retry_of_what_was_recalled_changes_nothing_and_nobody_sends_a_recalled_message() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let cid = at_ann.tell(&ben, "hello").await.cid;
    let send = text(by_cid(&cid), at_ann.mint(), "twice");
    let first = at_ann.command(send.clone()).await.expect("it is accepted");
    at_ann.recall(&cid, first.seq).await.expect("one's own");
    let again = at_ann.command(send).await.expect("it is remembered");
    assert_eq!(again, v1::Accepted { duplicate: true, ..first.clone() });
    assert_eq!(message(&mut at_ann, &cid, first.seq).await, gone());
    let message = Some(v1::Message { text: "a".into(), ..gone() });
    let (to, client_id) = (by_cid(&cid), at_ann.mint());
    assert_eq!(code(at_ann.ask(Request::Send(v1::Send { to, client_id, message })).await), "bad_value");
}
