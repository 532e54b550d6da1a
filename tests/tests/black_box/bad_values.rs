//! Proper frames that hold what they may not, and questions about what is not the asker's to know.

use anser_proto::v1::client_frame::Request;
use anser_proto::v1::{self, Role};
use anser_tests::conversation::{by_cid, by_peer, text, text_of};
use anser_tests::{Client, Person, Server, http};
use bytes::Bytes;
use serde_json::Value;

fn send(to: Option<v1::Target>, client_id: Bytes, message: Option<v1::Message>) -> Request {
    Request::Send(v1::Send { to, client_id, message })
}

#[tokio::test]
async fn what_a_message_may_not_hold() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let of_kind = |kind: &str| v1::Message { kind: kind.into(), ..v1::Message::text("words") };
    let with_body = v1::Message { body: Bytes::from_static(b"x"), ..v1::Message::text("words") };
    let body =
        v1::Message { kind: "card".into(), body: vec![1; 32 * 1024 + 1].into(), ..v1::Message::default() };
    let mentions = v1::Message { mentions: vec![1; 65], ..v1::Message::text("words") };
    let cases = [
        ("an empty text", v1::Message::text(""), "message.text"),
        ("a text too long", v1::Message::text("x".repeat(16 * 1024 + 1)), "message.text"),
        ("no kind", of_kind(""), "message.kind"),
        ("a kind too long", of_kind(&"k".repeat(65)), "message.kind"),
        ("a body in a text", with_body, "message.body"),
        ("a body too long", body, "message.body"),
        ("too many mentions", mentions, "message.mentions"),
        (
            "a mention of nobody",
            v1::Message { mentions: vec![0], ..v1::Message::text("words") },
            "message.mentions",
        ),
    ];
    for (what, message, field) in cases {
        let request = send(by_peer(&ben), client.mint(), Some(message));
        let error = client.command(request).await.expect_err(what);
        assert_eq!(error.code, "bad_value", "{what}");
        assert!(error.message.starts_with(field), "{what}: {}", error.message);
    }
    let request = send(by_peer(&ben), client.mint(), None);
    assert_eq!(client.command(request).await.expect_err("no message").code, "bad_value");
    assert_eq!(client.conversations().await, [], "nothing of it had an effect");
}

#[tokio::test]
async fn the_body_of_a_standard_kind_is_looked_at() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let of_kind = |kind: &str, body: &str| {
        let (kind, body) = (kind.into(), Bytes::copy_from_slice(body.as_bytes()));
        Some(v1::Message { kind, body, text: "[see the body]".into(), ..v1::Message::default() })
    };
    let voice = r#"{"file":"f","mime":"audio/ogg","bytes":1,"duration_ms":900}"#;
    for (kind, body, field, right) in [
        ("image", "", "message.body:", "JSON object"),
        ("image", r#"{"file":"f","mime":"image/png"}"#, "message.body:", "missing field `bytes`"),
        ("voice", &voice.replace('1', "0"), "message.body.bytes:", "not 0"),
        ("voice", &voice.replace("900", "-1"), "message.body.duration_ms:", "-1"),
        ("video", voice, "message.body", "missing field"),
        ("file", r#"{"file":"/etc/passwd","mime":"a/b","bytes":1,"name":"x"}"#, "message.body.file:", "A-Z"),
        ("location", r#"{"latitude":91,"longitude":0}"#, "message.body.latitude:", "from -90 to 90"),
        ("card", r#"{"account":7}"#, "message.body.account:", "string"),
        ("card", r#"{"account":"7","admin":true}"#, "message.body", "unknown field `admin`"),
        ("transcript", r#"{"title":"t","items":[]}"#, "message.body.items:", "1 to 100"),
        ("custom", "[1]", "message.body:", "object"),
    ] {
        let request = send(by_peer(&ben), client.mint(), of_kind(kind, body));
        let error = client.command(request).await.expect_err(kind);
        assert_eq!(error.code, "bad_value", "{kind} {body}");
        assert!(
            error.message.starts_with(field) && error.message.contains(right),
            "{kind}: {}",
            error.message
        );
    }
    assert_eq!(client.conversations().await, [], "nothing of it had an effect");
    for (kind, body) in [("voice", voice), ("custom", "{}"), ("x-own", "not JSON")] {
        let message = of_kind(kind, body);
        let request = send(by_peer(&ben), client.mint(), message.clone());
        let sent = client.command(request).await.expect("it is what it says");
        assert_eq!(Some(client.message(&sent.cid, sent.seq).await), message, "stored as it was given");
    }
}

#[tokio::test]
async fn long_and_strange_texts_within_the_limits_arrive_as_they_are() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach_in_json(&server, &ben).await;
    let texts = [
        format!("{}the end", "\n".repeat(9_999)),
        "鸿雁传书 🪿\u{200d}🪿 \u{202e}right to left\u{202c}".to_owned(),
        "nul \0, tab \t, escape \u{1b}[31m".to_owned(),
        r#"'; DROP TABLE messages; -- <script>alert("x")</script> {{7*7}} %s%n"#.to_owned(),
        "x".repeat(16 * 1024),
        "\u{1}".repeat(16 * 1024 - 1) + "x",
    ];
    for words in &texts {
        let cid = at_ann.tell(&ben, words).await.cid;
        let got = at_ben.event(|event| text_of(event).map(str::to_owned)).await;
        assert!(got == *words, "the event differs");
        let page = at_ben.whole_history(&cid).await;
        assert!(page.last().and_then(text_of) == Some(words), "the page differs");
    }
}

#[tokio::test]
async fn what_other_requests_may_not_hold() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let cid = client.create_group("harbour", &[&ben], true).await;
    let unknown = u64::MAX - 7;
    let (short_cid, mint) = (Bytes::from_static(b"short"), client.mint());
    let create = |title: &str, members: Vec<u64>| {
        let (client_id, title) = (mint.clone(), title.to_owned());
        let history_visible = true;
        Request::CreateGroup(v1::CreateGroup {
            client_id,
            title,
            members,
            history_visible,
            ..v1::CreateGroup::default()
        })
    };
    let rename = |title: &str| {
        let (cid, client_id, title) = (cid.clone(), mint.clone(), title.to_owned());
        Request::Rename(v1::Rename { cid, client_id, title })
    };
    let add = |members: Vec<u64>| {
        Request::AddMembers(v1::AddMembers { cid: cid.clone(), client_id: mint.clone(), members })
    };
    let page = |limit: u32, r#in: Option<v1::Target>| {
        Request::GetPage(v1::GetPage { r#in, limit, ..v1::GetPage::default() })
    };
    let set_role = |role: i32| {
        let (cid, client_id, member) = (cid.clone(), mint.clone(), ben.id());
        Request::SetRole(v1::SetRole { cid, client_id, member, role })
    };
    let peer = |peer: u64| Some(v1::Target { target: Some(v1::target::Target::Peer(peer)) });
    let read =
        |seq: u64, timeline: u64| Request::ReadUpTo(v1::ReadUpTo { r#in: by_cid(&cid), seq, timeline });
    let timeline = client.welcome.timeline;
    let cases = [
        ("an empty title", create("", vec![]), "bad_value"),
        ("a blank title", rename(" \u{3000} "), "bad_value"),
        ("a title too long", rename(&"t".repeat(257)), "bad_value"),
        ("a line feed in a title", rename("two\nlines"), "bad_value"),
        ("an escape in a title", create("\u{1b}[2J", vec![]), "bad_value"),
        ("a nul in a title", rename("nul\0"), "bad_value"),
        ("nobody to add", add(vec![]), "bad_value"),
        ("account 0", add(vec![0]), "bad_value"),
        ("too many at once", add((1..=513).collect()), "bad_value"),
        ("an account that is none", add(vec![unknown]), "not_found"),
        ("a group with nobody", create("ghosts", vec![ben.id(), unknown]), "not_found"),
        ("a peer that is none", text(peer(unknown), mint.clone(), "words"), "not_found"),
        ("peer 0", text(peer(0), mint.clone(), "words"), "bad_value"),
        ("no target", text(None, mint.clone(), "words"), "bad_value"),
        ("a short cid", text(by_cid(&short_cid), mint.clone(), "words"), "bad_value"),
        ("an unknown cid", text(by_cid(&Bytes::from_static(&[9; 16])), mint.clone(), "words"), "not_found"),
        ("a page of nothing", page(0, by_cid(&cid)), "bad_value"),
        ("a page of everything", page(201, by_cid(&cid)), "bad_value"),
        ("a page of an unknown cid", page(10, by_cid(&Bytes::from_static(&[9; 16]))), "not_found"),
        ("a page with a stranger", page(10, peer(unknown)), "not_found"),
        ("no role", set_role(0), "bad_value"),
        ("a role that is none", set_role(77), "bad_value"),
        ("a mark past the head", read(1_000, timeline), "beyond_head"),
        ("a mark of another history", read(1, timeline ^ 1), "foreign_timeline"),
        (
            "profiles of too many",
            Request::GetProfiles(v1::GetProfiles { accounts: vec![1; 201] }),
            "bad_value",
        ),
        (
            "heads of too many",
            Request::GetConversations(v1::GetConversations { cids: vec![cid.clone(); 201] }),
            "bad_value",
        ),
        (
            "a slot that is none",
            Request::Sync(v1::Sync { cursor: Some(v1::Cursor { timeline, slots: [(256, 1)].into() }) }),
            "bad_value",
        ),
    ];
    for (what, request, code) in cases {
        let error = client.ask(request).await.expect_err(what);
        assert_eq!(error.code, code, "{what}: {}", error.message);
        assert!(!error.message.is_empty() && error.retry_after_ms == 0, "{what}");
    }
    assert_eq!(client.head(&cid).await.title, "harbour");
    let named = client.ask(Request::GetProfiles(v1::GetProfiles { accounts: vec![ben.id(), unknown] })).await;
    match named.expect("unknown ids are left out") {
        v1::response::Result::ProfileList(list) => {
            assert_eq!(list.profiles.iter().map(|profile| profile.account).collect::<Vec<_>>(), [ben.id()]);
        }
        other => panic!("profiles were answered {other:?}"),
    }
}

/// Every question and command about a conversation.
fn about(cid: &Bytes, client: &Client, somebody: u64) -> Vec<Request> {
    let (cid, client_id) = (cid.clone(), client.mint());
    let timeline = client.welcome.timeline;
    let title = "mine".to_owned();
    vec![
        text(by_cid(&cid), client_id.clone(), "words"),
        Request::ReadUpTo(v1::ReadUpTo { r#in: by_cid(&cid), seq: 1, timeline }),
        Request::ReadUpTo(v1::ReadUpTo { r#in: by_cid(&cid), seq: 1, timeline: timeline ^ 1 }),
        Request::ReadUpTo(v1::ReadUpTo { r#in: by_cid(&cid), seq: 1_000_000, timeline }),
        Request::AddMembers(v1::AddMembers {
            cid: cid.clone(),
            client_id: client_id.clone(),
            members: vec![somebody],
        }),
        Request::RemoveMember(v1::RemoveMember {
            cid: cid.clone(),
            client_id: client_id.clone(),
            member: somebody,
        }),
        Request::Leave(v1::Leave { cid: cid.clone(), client_id: client_id.clone() }),
        Request::SetRole(v1::SetRole {
            cid: cid.clone(),
            client_id: client_id.clone(),
            member: somebody,
            role: Role::Admin as i32,
        }),
        Request::Rename(v1::Rename { cid: cid.clone(), client_id: client_id.clone(), title }),
        Request::SetAvatar(v1::SetAvatar {
            cid: cid.clone(),
            client_id: client_id.clone(),
            avatar: String::new(),
        }),
        Request::SetHistoryVisible(v1::SetHistoryVisible {
            cid: cid.clone(),
            client_id: client_id.clone(),
            visible: true,
        }),
        Request::Dissolve(v1::Dissolve { cid: cid.clone(), client_id }),
        Request::DeliveredUpTo(v1::DeliveredUpTo { r#in: by_cid(&cid), seq: 1, timeline }),
        Request::MarkUnread(v1::MarkUnread { r#in: by_cid(&cid), marked: true }),
        Request::Hide(v1::Hide {
            r#in: by_cid(&cid),
            ranges: vec![v1::SeqRange { low: 1, high: 1 }],
            timeline,
        }),
        Request::ClearHistory(v1::ClearHistory { r#in: by_cid(&cid), seq: 1_000_000, timeline }),
        Request::GetMarks(v1::GetMarks { r#in: by_cid(&cid) }),
        Request::Typing(v1::Typing { r#in: by_cid(&cid) }),
        Request::GetPage(v1::GetPage { r#in: by_cid(&cid), limit: 10, ..v1::GetPage::default() }),
        Request::GetPage(v1::GetPage {
            r#in: by_cid(&cid),
            after_seq: 1,
            limit: 1,
            ..v1::GetPage::default()
        }),
        Request::GetMembers(v1::GetMembers { cid: cid.clone() }),
        Request::GetConversations(v1::GetConversations { cids: vec![cid] }),
    ]
}

#[tokio::test]
async fn other_peoples_things_are_answered_like_things_that_do_not_exist() {
    let mut server = Server::start().await;
    let [ann, ben, eve] = Person::register_all(&server, ["ann", "ben", "eve"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let direct = at_ann.tell(&ben, "between us").await.cid;
    let group = at_ann.create_group("ours", &[&ben], true).await;
    let own = at_ann.tell(&ann, "mine").await.cid;
    for life in 0..2 {
        let mut at_eve = Client::attach(&server, &eve).await;
        for theirs in [&direct, &group, &own] {
            let nothing = Bytes::from(theirs.iter().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>());
            let asked = about(theirs, &at_eve, ben.id()).into_iter().zip(about(&nothing, &at_eve, ben.id()));
            for (about_theirs, about_nothing) in asked {
                let shown = format!("life {life}: {about_theirs:?}");
                let is_list = matches!(about_theirs, Request::GetConversations(_));
                let (one, other) = (at_eve.ask(about_theirs).await, at_eve.ask(about_nothing).await);
                assert_eq!(one, other, "{shown}");
                assert_eq!(one.is_ok(), is_list, "{shown}");
            }
        }
        assert_eq!(at_eve.conversations().await, []);
        server.kill().await;
        server.start_again().await;
    }
    let devices = |device: u64| format!("/api/v1/devices/{device}");
    let delete = |device: u64| {
        let (address, token) = (server.address(), eve.token.clone());
        async move { http::json(address, "DELETE", &devices(device), &token, &Value::Null).await }
    };
    let (theirs, nothing) = (delete(ann.device).await, delete(ann.device ^ 1).await);
    assert_eq!((theirs.status, theirs.code().as_str()), (404, "not_found"));
    assert_eq!(theirs.body, nothing.body);
    Client::attach(&server, &ann).await;
}
