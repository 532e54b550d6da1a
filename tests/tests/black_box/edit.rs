//! Edits: who may say something else, what is remembered, and that nobody is served the old words any more.

use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::event::Change;
use anser_proto::v1::response::Result as Answer;
use anser_tests::conversation::{by_cid, edit, text_of};
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

fn code<T: std::fmt::Debug>(result: Result<T, v1::Error>) -> String {
    result.expect_err("it is refused").code
}

async fn told_of_edit(client: &mut Client) -> (v1::Edited, v1::Event) {
    client
        .event(|event| match &event.change {
            Some(Change::Edited(edited)) => Some((edited.clone(), event.clone())),
            _ => None,
        })
        .await
}

fn withheld() -> v1::Message {
    v1::Message { kind: "text".into(), withheld: true, ..v1::Message::default() }
}

#[tokio::test]
async fn one_s_own_message_says_something_else_to_both_and_after_a_restart() {
    let mut server = Server::start().await;
    let [ann, ben, eve] = Person::register_all(&server, ["ann", "ben", "eve"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let mut at_eve = Client::attach_in_json(&server, &eve).await;
    let sent = at_ann.tell(&ben, "see you at nine").await;
    let (cid, seq, timeline) = (sent.cid, sent.seq, at_ann.welcome.timeline);
    assert_eq!(code(at_ben.edit(&cid, seq, "never").await), "not_allowed");
    let (stranger, nothing) = (at_eve.edit(&cid, seq, "x").await, at_eve.edit(&cid, 99, "x").await);
    assert_eq!((&stranger, code(stranger.clone())), (&nothing, "not_found".to_owned()));
    assert_eq!(code(at_eve.versions(&cid, seq).await), "not_found");

    let request = edit(&cid, at_ann.mint(), seq, timeline, v1::Message::text("see you at ten"));
    let accepted = at_ann.command(request.clone()).await.expect("one's own");
    assert_eq!((accepted.seq, accepted.ordinal, accepted.duplicate), (seq + 1, sent.ordinal, false));
    let (told, event) = told_of_edit(&mut at_ben).await;
    let stands = told.message.expect("both may see it");
    assert_eq!((told.seq, event.n, event.seq), (seq, accepted.n, accepted.seq));
    assert_eq!(
        (stands.text.as_str(), stands.edits, stands.edited_at_ms),
        ("see you at ten", 1, accepted.at_ms)
    );
    let again = at_ann.command(request).await.expect("the same again");
    assert_eq!(again, v1::Accepted { duplicate: true, ..accepted.clone() });
    let foreign = edit(&cid, at_ann.mint(), seq, timeline ^ 1, v1::Message::text("x"));
    assert_eq!(code(at_ann.command(foreign).await), "foreign_timeline");
    assert_eq!(code(at_ann.edit(&cid, 1, "x").await), "not_found", "no message");

    for _ in 0..2 {
        let head = at_ben.head(&cid).await;
        assert_eq!((head.unread, head.seq), (1, accepted.seq), "it is counted once");
        let last = head.last_message.expect("it is still the newest message");
        assert_eq!((last.seq, last.n, last.change), (seq, accepted.n, Some(Change::Message(stands.clone()))));
        assert_eq!(at_ben.message(&cid, seq).await, stands);
        assert_eq!(at_ben.versions(&cid, seq).await, Ok((1, vec!["see you at nine".to_owned()])));
        let page = at_ben.page(&cid, seq, 1).await.expect("a page");
        let named = Some(Change::Edited(v1::Edited { seq, message: None }));
        assert_eq!(page.events[0].change, named, "a page tells an edit without the words");
        server.stop().await;
        server.start_again().await;
        at_ben = Client::attach(&server, &ben).await;
    }

    let mut at_ann = Client::attach(&server, &ann).await;
    at_ann.recall(&cid, seq).await.expect("one's own");
    assert_eq!(at_ben.versions(&cid, seq).await, Ok((0, Vec::new())), "a recall takes all of it away");
    assert_eq!(code(at_ann.edit(&cid, seq, "back").await), "not_allowed");
}

#[tokio::test]
async fn who_does_not_see_the_edit_does_not_see_the_words() {
    let server = Server::start().await;
    let [owner, member, gone, new] =
        Person::register_all(&server, ["owner", "member", "gone", "newcomer"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_member = Client::attach(&server, &member).await;
    let mut at_gone = Client::attach(&server, &gone).await;
    let mut at_new = Client::attach(&server, &new).await;
    let cid = at_owner.create_group("harbour", &[&member, &gone], false).await;
    let seq = at_member.say(&cid, "the first words").await.expect("a member").seq;
    at_owner.remove(&cid, &gone).await.expect("the owner may");
    at_owner.add(&cid, &[&new]).await.expect("a member may");
    let (_, before) = Client::attach_with(&server, Client::hello(&gone.token)).await;
    assert_eq!(before.heads[0].last_message.as_ref().and_then(text_of), Some("the first words"));

    let edited = at_member.edit(&cid, seq, "the second words").await.expect("one's own");
    let (told, _) = told_of_edit(&mut at_new).await;
    assert_eq!(told, v1::Edited { seq, message: None }, "it sees that there was one, and not of what");
    assert_eq!(told_of_edit(&mut at_owner).await.0, told, "then nobody is told the words");
    assert_eq!(at_owner.message(&cid, seq).await.text, "the second words");
    assert_eq!(code(at_new.versions(&cid, seq).await), "not_found");

    // Who left holds what is void now: its sync says so, without an event and without the words.
    assert_eq!(at_gone.message(&cid, seq).await, withheld());
    assert_eq!(at_gone.versions(&cid, seq).await, Ok((0, Vec::new())));
    let hello = v1::Hello { cursor: Some(before.cursor.clone()), ..Client::hello(&gone.token) };
    let (_, changed) = Client::attach_with(&server, hello).await;
    let last = changed.heads[0].last_message.as_ref().expect("there was one");
    assert_eq!((last.n, &last.change), (edited.n, &Some(Change::Message(withheld()))));
    let events = at_gone.drain().await;
    assert!(!events.iter().any(|frame| format!("{frame:?}").contains("Edited")), "no event: {events:?}");

    at_owner.add(&cid, &[&gone]).await.expect("a member may");
    assert_eq!(at_gone.message(&cid, seq).await, withheld(), "coming back changes nothing");
    at_member.edit(&cid, seq, "the third words").await.expect("one's own");
    assert_eq!(at_gone.message(&cid, seq).await.text, "the third words");
    assert_eq!(at_gone.versions(&cid, seq).await, Ok((2, vec!["the first words".to_owned()])));
}

#[tokio::test]
async fn a_device_that_was_away_asks_what_was_edited_in_what_it_holds() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let cid = at_ann.tell(&ben, "0").await.cid;
    for number in 1..10 {
        at_ann.say(&cid, &number.to_string()).await.expect("it is accepted");
    }
    let (at_ben, before) = Client::attach_with(&server, Client::hello(&ben.token)).await;
    drop(at_ben);
    let edited = at_ann.edit(&cid, 4, "not 2").await.expect("one's own");
    let hello = v1::Hello { cursor: Some(before.cursor.clone()), ..Client::hello(&ben.token) };
    let (mut at_ben, synced) = Client::attach_with(&server, hello).await;
    assert_eq!(synced.heads[0].unread, 10, "an edit counts for nothing");
    let (r#in, n) = (by_cid(&cid), before.heads[0].n);
    let asked =
        v1::GetPage { r#in, before_seq: 12, limit: 200, changed_after_n: n, ..v1::GetPage::default() };
    let Ok(Answer::Page(page)) = at_ben.ask(Request::GetPage(asked)).await else { panic!("a page") };
    let changed: Vec<_> = page.events.iter().map(|event| (event.seq, event.n, text_of(event))).collect();
    assert_eq!(changed, [(4, edited.n, Some("not 2"))]);
}

#[tokio::test]
async fn what_an_edit_may_not_say() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let sent = client.tell(&ben, "words").await;
    let (cid, seq, timeline) = (sent.cid, sent.seq, client.welcome.timeline);
    let words = || v1::Message::text("other words");
    let cases = [
        ("no words", v1::Message::text(""), "message.text"),
        ("too many words", v1::Message::text("x".repeat(16 * 1024 + 1)), "message.text"),
        ("no kind", v1::Message { kind: String::new(), ..words() }, "message.kind"),
        ("a body in a text", v1::Message { body: Bytes::from_static(b"x"), ..words() }, "message.body"),
        ("another reply", v1::Message { reply_to: 1, ..words() }, "message.reply_to"),
        ("another count", v1::Message { uncounted: true, ..words() }, "message.uncounted"),
        ("another origin", v1::Message { forwarded: true, ..words() }, "message.forwarded"),
        ("a recall", v1::Message { recalled: true, ..words() }, "message.recalled"),
        ("a number of edits", v1::Message { edits: 3, ..words() }, "message.edits"),
        ("a time of an edit", v1::Message { edited_at_ms: 3, ..words() }, "message.edits"),
        ("what is withheld", v1::Message { withheld: true, ..words() }, "message.withheld"),
        ("too many mentions", v1::Message { mentions: vec![1; 65], ..words() }, "message.mentions"),
    ];
    for (what, message, field) in cases {
        let request = edit(&cid, client.mint(), seq, timeline, message);
        let error = client.command(request).await;
        let error = error.expect_err(what);
        assert_eq!(error.code, "bad_value", "{what}");
        assert!(error.message.starts_with(field), "{what}: {}", error.message);
    }
    let nothing = v1::Edit { r#in: by_cid(&cid), client_id: client.mint(), seq, timeline, message: None };
    assert_eq!(code(client.ask(Request::Edit(nothing)).await), "bad_value");
    let other_kind = v1::Message { kind: "x-poem".into(), ..words() };
    let request = edit(&cid, client.mint(), seq, timeline, other_kind);
    let error = client.command(request).await;
    let error = error.expect_err("a kind is kept");
    assert!(error.code == "bad_value" && error.message.contains("message.kind"), "{error:?}");
    let to_all = v1::Message { mention_all: true, ..words() };
    let request = edit(&cid, client.mint(), seq, timeline, to_all);
    assert_eq!(code(client.command(request).await), "bad_value");
    let bad_id = edit(&cid, Bytes::from_static(b"short"), seq, timeline, words());
    assert_eq!(code(client.command(bad_id).await), "bad_client_id");
    assert_eq!(client.message(&cid, seq).await, v1::Message::text("words"), "nothing of it had an effect");
}
