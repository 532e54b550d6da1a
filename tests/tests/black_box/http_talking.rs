//! Conversations over HTTP: what the socket does, without one.

use anser_tests::{Client, Person, Server, http, within};
use serde_json::{Value, json};

/// A client id of now, as JSON has it.
fn client_id() -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_millis();
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the system has randomness");
    let tail = random.iter().fold(0u128, |number, &byte| number << 8 | u128::from(byte));
    let number = now << 80 | tail & !(0xf << 76) & !(0b11 << 62) | 7 << 76 | 0b10 << 62;
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

struct Asker<'a> {
    server: &'a Server,
    token: &'a str,
}

impl Asker<'_> {
    async fn ask(&self, method: &str, path: &str, body: Value) -> http::Answer {
        http::json(self.server.address(), method, &format!("/api/v1{path}"), self.token, &body).await
    }

    /// Must succeed.
    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.ask(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        answer.json()
    }

    /// Must be refused with this status and code.
    async fn refused(&self, (method, path): (&str, &str), body: Value, status: u16, code: &str) {
        let answer = self.ask(method, path, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {path}: {}",
            answer.body
        );
    }
}

fn asker<'a>(server: &'a Server, person: &'a Person) -> Asker<'a> {
    Asker { server, token: &person.token }
}

fn text(text: &str) -> Value {
    json!({"client_id": client_id(), "message": {"kind": "text", "text": text}})
}

#[tokio::test]
async fn two_people_talk_without_a_socket() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let (at_ann, at_ben) = (asker(&server, &ann), asker(&server, &ben));
    let to_ben = format!("/conversations/with-{}/messages", ben.id());
    let hello = text("你好");
    let first = at_ann.done("POST", &to_ben, hello.clone()).await;
    let again = at_ann.done("POST", &to_ben, hello.clone()).await;
    assert_eq!((&first["seq"], &first["n"]), (&again["seq"], &again["n"]));
    assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(false), &json!(true)));
    let mut other = hello.clone();
    other["message"]["text"] = json!("something else");
    at_ann.refused(("POST", &to_ben), other, 409, "client_id_reused").await;

    let list = at_ben.done("GET", "/conversations", Value::Null).await;
    let head = &list["conversations"][0];
    assert_eq!(
        (&head["kind"], &head["peer"], &head["unread"]),
        (&json!("direct"), &json!(ann.id().to_string()), &json!(1))
    );
    assert_eq!(head["last_message"]["change"]["message"]["text"], "你好");
    let conversation = head["conversation"].as_str().expect("an id").to_owned();
    assert_eq!(first["conversation"], conversation.as_str());
    let synced = at_ben.done("POST", "/sync", json!({})).await;
    let timeline = &synced["cursor"]["timeline"];
    let read = json!({"seq": first["seq"], "timeline": timeline});
    at_ben.done("PUT", &format!("/conversations/{conversation}/read"), read).await;
    let head = at_ben.done("GET", &format!("/conversations/with-{}", ann.id()), Value::Null).await;
    assert_eq!(head["unread"], 0);
    let seen = at_ann.done("GET", &format!("/conversations/{conversation}"), Value::Null).await;
    assert_eq!(seen["peer_mark"], first["seq"]);

    let message = format!("{to_ben}/{}", first["seq"]);
    let edit =
        json!({"client_id": client_id(), "timeline": timeline, "message": {"kind": "text", "text": "再见"}});
    at_ann.done("PUT", &message, edit).await;
    let versions = at_ben
        .done(
            "GET",
            &format!("/conversations/{conversation}/messages/{}/versions", first["seq"]),
            Value::Null,
        )
        .await;
    assert_eq!((&versions["edits"], &versions["versions"][0]["text"]), (&json!(1), &json!("你好")));
    let recall = json!({"client_id": client_id(), "timeline": timeline});
    at_ben
        .refused(
            ("POST", &format!("/conversations/with-{}/messages/{}/recall", ann.id(), first["seq"])),
            recall.clone(),
            403,
            "not_allowed",
        )
        .await;
    at_ann.done("POST", &format!("{message}/recall"), recall).await;
    let page = at_ben
        .done("GET", &format!("/conversations/{conversation}/messages?limit=1&before_seq=3"), Value::Null)
        .await;
    let message = &page["events"][0]["change"]["message"];
    assert_eq!((&message["recalled"], message.get("text")), (&json!(true), None));
    let profiles = at_ben.done("GET", &format!("/profiles?accounts={},77", ann.id()), Value::Null).await;
    assert_eq!(
        (profiles["profiles"].as_array().map(Vec::len), &profiles["profiles"][0]["handle"]),
        (Some(1), &json!("ann"))
    );
}

#[tokio::test]
async fn a_group_is_run_over_http() {
    let server = Server::start().await;
    let [ann, ben, cid] = Person::register_all(&server, ["ann", "ben", "cid"]).await;
    let (at_ann, at_ben, at_cid) = (asker(&server, &ann), asker(&server, &ben), asker(&server, &cid));
    let make = json!({"client_id": client_id(), "title": "飞鸟", "members": [ben.id().to_string()]});
    let group = at_ann.done("POST", "/conversations", make.clone()).await["conversation"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(at_ann.done("POST", "/conversations", make).await["conversation"], group.as_str(), "once");
    let path = |rest: &str| format!("/conversations/{group}{rest}");
    at_cid.refused(("GET", &path("/members")), Value::Null, 404, "not_found").await;
    at_cid.refused(("POST", &path("/messages")), text("let me in"), 404, "not_found").await;
    let add = json!({"client_id": client_id(), "members": [cid.id().to_string()]});
    at_ann.done("POST", &path("/members"), add).await;
    let add = json!({"client_id": client_id(), "members": [cid.id().to_string()]});
    at_ann.refused(("POST", &path("/members")), add, 409, "already_member").await;
    let role = json!({"client_id": client_id(), "role": "admin"});
    at_ann.done("PUT", &path(&format!("/members/{}/role", ben.id())), role).await;
    at_ben.done("PUT", &path("/title"), json!({"client_id": client_id(), "title": "雁"})).await;
    at_cid
        .refused(
            ("PUT", &path("/title")),
            json!({"client_id": client_id(), "title": "x"}),
            403,
            "not_allowed",
        )
        .await;
    let members = at_cid.done("GET", &path("/members"), Value::Null).await;
    let roles: Vec<_> =
        members["members"].as_array().expect("members").iter().map(|member| member["role"].clone()).collect();
    assert_eq!(roles.len(), 3);
    assert!(
        roles.contains(&json!("owner"))
            && roles.contains(&json!("admin"))
            && roles.contains(&json!("member"))
    );
    let custom = json!({"kind": "custom", "text": "a vote", "body": {"question": "where?", "answers": [1, null, {"x": true}]}});
    at_cid
        .done("POST", &path("/messages"), json!({"client_id": client_id(), "message": custom.clone()}))
        .await;
    let unknown = json!({"kind": "x-sticker", "text": "[goose]", "body": "AAEC/w=="});
    at_cid
        .done("POST", &path("/messages"), json!({"client_id": client_id(), "message": unknown.clone()}))
        .await;
    let page = at_ann.done("GET", &path("/messages?limit=2"), Value::Null).await;
    for (event, sent) in page["events"].as_array().expect("events").iter().zip([custom, unknown]) {
        let message = &event["change"]["message"];
        assert_eq!((&message["kind"], &message["body"]), (&sent["kind"], &sent["body"]));
    }
    let remove = path(&format!("/members/{}?client_id={}", cid.id(), client_id()));
    at_ben.done("DELETE", &remove, Value::Null).await;
    at_cid.refused(("POST", &path("/messages")), text("still here"), 403, "no_longer_member").await;
    at_ann.done("POST", &path("/leave"), json!({"client_id": client_id()})).await;
    let head = at_ben.done("GET", &path(""), Value::Null).await;
    assert_eq!(
        (&head["role"], &head["title"], &head["member_count"]),
        (&json!("owner"), &json!("雁"), &json!(1))
    );
}

#[tokio::test]
async fn what_is_wrong_is_named_before_anything_happens() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let at_ann = asker(&server, &ann);
    let to_ben = format!("/conversations/with-{}/messages", ben.id());
    let old = "01800000-0000-7000-8000-000000000000";
    let said = |message: Value| json!({"client_id": client_id(), "message": message});
    let bad = [
        (json!({"message": {"kind": "text", "text": "x"}}), "client_id"),
        (json!({"client_id": "x", "message": {"kind": "text", "text": "x"}}), "UUIDv7"),
        (said(json!({"kind": "text"})), "not empty"),
        (said(json!({"kind": "text", "text": "x", "body": {}})), "no body"),
        (said(json!({"kind": "text", "text": "x", "recalled": true})), "recalled"),
        (said(json!({"kind": "custom", "body": "AAAA"})), "JSON object"),
        (said(json!({"kind": "x-thing", "body": {}})), "base64"),
        (said(json!({"kind": "x-thing", "body": "***"})), "base64"),
        (said(json!({"kind": "two words"})), "kind"),
        (said(json!({"kind": "vote"})), "kind of one's own"),
        (said(json!({"kind": "text", "text": "x".repeat(16_385)})), "16384"),
        (said(json!({"kind": "text", "text": "x", "mentions": [7]})), "mentions"),
        (said(json!({"kind": "text", "text": "x", "mentions": vec!["7"; 65]})), "64"),
    ];
    for (body, part) in bad {
        let answer = at_ann.ask("POST", &to_ben, body.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_value"), "{body}: {}", answer.body);
        assert!(answer.body.contains(part), "{part} in {}", answer.body);
    }
    at_ann
        .refused(
            ("POST", &to_ben),
            json!({"client_id": old, "message": {"kind": "text", "text": "x"}}),
            409,
            "client_id_too_old",
        )
        .await;
    at_ann.refused(("POST", "/conversations/with-77/messages"), text("anybody?"), 404, "not_found").await;
    at_ann.refused(("POST", "/conversations/with-0/messages"), text("x"), 400, "bad_value").await;
    for path in ["?limit=0", "?limit=201", "?limit=x", "?limit=1&limit=2", "?before=1"] {
        at_ann.refused(("GET", &format!("{to_ben}{path}")), Value::Null, 400, "bad_value").await;
    }
    let all = said(json!({"kind": "text", "text": "x", "mention_all": true}));
    at_ann.refused(("POST", &to_ben), all, 409, "bad_value").await;
    at_ann.refused(("POST", "/sync"), json!({"wait_s": 51}), 400, "bad_value").await;
    at_ann
        .refused(
            ("POST", "/sync"),
            json!({"cursor": {"timeline": "1", "slots": {"256": 1}}}),
            400,
            "bad_value",
        )
        .await;
    let nobody = Asker { server: &server, token: "" };
    nobody.refused(("POST", &to_ben), text("x"), 401, "unauthenticated").await;
    let list = at_ann.done("GET", "/conversations", Value::Null).await;
    assert_eq!(list["conversations"], json!([]), "nothing happened");
}

#[tokio::test]
async fn a_sync_waits_for_what_happens_and_goes_on_from_its_cursor() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let (at_ann, at_ben) = (asker(&server, &ann), asker(&server, &ben));
    let to_ben = format!("/conversations/with-{}/messages", ben.id());
    let empty = at_ben.done("POST", "/sync", json!({})).await;
    assert_eq!((&empty["conversations"], &empty["events"]), (&json!([]), &json!([])));
    at_ann.done("POST", &to_ben, text("one")).await;
    let first = at_ben.done("POST", "/sync", json!({"cursor": empty["cursor"], "wait_s": 50})).await;
    assert_eq!(first["conversations"][0]["last_message"]["change"]["message"]["text"], "one", "at once");

    let waits = at_ben.done("POST", "/sync", json!({"cursor": first["cursor"], "wait_s": 50}));
    let says = async {
        // Nothing tells from outside that somebody waits: what is said before is in the heads, and right too.
        at_ann.done("POST", &to_ben, text("two")).await
    };
    // Each request of these scenarios ends within 20 s: it did not wait for its end.
    let (second, _) = tokio::join!(waits, says);
    let told = second.to_string();
    assert!(told.contains("\"two\"") && !told.contains("\"one\""), "{told}");
    let third = at_ben.done("POST", "/sync", json!({"cursor": second["cursor"]})).await;
    assert_eq!((&third["conversations"], &third["events"]), (&json!([]), &json!([])), "nothing twice");
    let fresh = at_ben.done("POST", "/sync", json!({"cursor": {"timeline": "7", "slots": {"0": 9}}})).await;
    assert_eq!(fresh["conversations"].as_array().map(Vec::len), Some(1), "a foreign cursor counts as none");
    assert_eq!(fresh["cursor"], third["cursor"]);

    // The same cursor as on the socket: what HTTP has told, a socket does not tell again.
    let mut client = Client::attach(&server, &ben).await;
    at_ann.done("POST", &to_ben, text("three")).await;
    let heard = client.pushed(|frame| match frame {
        anser_proto::v1::server_frame::Frame::Event(event) => Some(event.n),
        _ => None,
    });
    let n = within("the socket hears it", heard).await;
    let last = at_ben.done("POST", "/sync", json!({"cursor": third["cursor"]})).await;
    assert_eq!(last["conversations"][0]["n"], n);
}

#[tokio::test]
async fn waiting_syncs_are_few_and_end_with_their_token() {
    let server = Server::start().await;
    let [ann] = Person::register_all(&server, ["ann"]).await;
    let other = ann.on_another_device(&server).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..9 {
        let (address, token) = (server.address(), other.token.clone());
        waiting.spawn(async move {
            http::json(address, "POST", "/api/v1/sync", &token, &json!({"wait_s": 15})).await
        });
    }
    // Eight wait, whichever they are; the ninth is told so at once.
    let refused = within("one is refused", waiting.join_next()).await.expect("nine ask");
    let refused = refused.expect("nobody panicked");
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"), "{}", refused.body);
    let device = format!("/devices/{}", other.device);
    asker(&server, &ann).done("DELETE", &device, Value::Null).await;
    while let Some(answer) = within("a sync ends with its token", waiting.join_next()).await {
        let answer = answer.expect("nobody panicked");
        assert_eq!((answer.status, answer.code().as_str()), (401, "revoked"), "{}", answer.body);
    }
}

#[tokio::test]
async fn application_servers_bring_people_and_speak() {
    let server = Server::start().await;
    let [ann] = Person::register_all(&server, ["ann"]).await;
    let made = server
        .tool(&["key", "create", "--name", "app", "--scope", "accounts,tokens,messages", "--json"], "")
        .await;
    let made: Value = serde_json::from_str(&made.stdout).expect("JSON");
    let key = made
        .as_object()
        .and_then(|fields| fields.values().filter_map(Value::as_str).find(|text| text.starts_with("ak_")));
    let at_app = Asker { server: &server, token: key.expect("a key") };
    let people = json!({"accounts": [{"handle": "zoe", "name": "Zoe"}, {"handle": "ann", "name": "Ann"}]});
    let brought = at_app.done("POST", "/server/accounts", people.clone()).await;
    let outcomes: Vec<_> =
        brought["accounts"].as_array().expect("accounts").iter().map(|one| one["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("made"), json!("refused")]);
    let again = at_app.done("POST", "/server/accounts", people).await;
    assert_eq!(
        (&again["accounts"][0]["outcome"], &again["accounts"][0]["account"]),
        (&json!("known"), &brought["accounts"][0]["account"])
    );
    let zoe = brought["accounts"][0]["account"].as_str().expect("an id").to_owned();
    let tokens = at_app
        .done(
            "POST",
            &format!("/server/accounts/{zoe}/tokens"),
            json!({"device_key": "d", "device_name": "App"}),
        )
        .await;
    let token = tokens["access_token"].as_str().expect("a token").to_owned();
    let at_zoe = Asker { server: &server, token: &token };

    let make =
        json!({"client_id": client_id(), "from": zoe, "title": "Zoe's", "members": [ann.id().to_string()]});
    let group = at_app.done("POST", "/server/groups", make).await["conversation"].clone();
    for to in [json!({"conversation": group}), json!({"account": zoe})] {
        let say = json!({"client_id": client_id(), "to": to, "message": {"kind": "text", "text": "from the system"}});
        let (first, second) = (
            at_app.done("POST", "/server/messages", say.clone()).await,
            at_app.done("POST", "/server/messages", say).await,
        );
        assert_eq!((&first["seq"], &second["duplicate"]), (&second["seq"], &json!(true)));
        let path =
            format!("/conversations/{}/messages?limit=1", first["conversation"].as_str().expect("an id"));
        let page = at_zoe.done("GET", &path, Value::Null).await;
        assert_eq!(page["events"][0]["author"], "1", "the system is nobody's account");
    }
    let say = json!({"client_id": client_id(), "from": zoe, "to": {"account": ann.id().to_string()}, "message": {"kind": "text", "text": "hi"}});
    at_app.done("POST", "/server/messages", say).await;

    // A person is no application server, and the other way round; a key does what its scopes allow.
    let say =
        json!({"client_id": client_id(), "to": {"account": zoe}, "message": {"kind": "text", "text": "x"}});
    asker(&server, &ann).refused(("POST", "/server/messages"), say.clone(), 401, "unauthenticated").await;
    at_app.refused(("GET", "/conversations"), Value::Null, 401, "unauthenticated").await;
    at_app.refused(("POST", "/server/messages"), json!({"client_id": client_id(), "from": "77", "to": {"account": zoe}, "message": {"kind": "text", "text": "x"}}), 404, "not_found").await;
    asker(&server, &ann)
        .refused(("POST", "/admin/keys"), json!({"name": "x", "scopes": ["tokens"]}), 403, "not_allowed")
        .await;
    assert_eq!(server.tool(&["user", "make-admin", "ann"], "").await.code, Some(0));
    let at_ann = asker(&server, &ann);
    let narrow = at_ann.done("POST", "/admin/keys", json!({"name": "narrow", "scopes": ["tokens"]})).await;
    let secret = narrow["secret"].as_str().expect("a secret").to_owned();
    let at_narrow = Asker { server: &server, token: &secret };
    at_narrow.refused(("POST", "/server/messages"), say.clone(), 403, "not_allowed").await;
    at_narrow
        .refused(("POST", &format!("/server/accounts/{zoe}/deactivate")), Value::Null, 403, "not_allowed")
        .await;
    let say = json!({"client_id": client_id(), "from": ann.id().to_string(), "to": {"account": zoe}, "message": {"kind": "text", "text": "x"}});
    at_app.refused(("POST", "/server/messages"), say, 403, "not_allowed").await;
    let keys = at_ann.done("GET", "/admin/keys", Value::Null).await;
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    assert!(!keys.to_string().contains("ak_"), "no list shows what lets in");
    at_ann
        .done(
            "DELETE",
            &format!("/admin/keys/{}", narrow["key"]["key"].as_str().expect("an id")),
            Value::Null,
        )
        .await;
    at_narrow.refused(("GET", &format!("/server/accounts/{zoe}")), Value::Null, 401, "unauthenticated").await;

    at_app.done("POST", &format!("/server/accounts/{zoe}/deactivate"), Value::Null).await;
    at_zoe.refused(("GET", "/profile"), Value::Null, 401, "revoked").await;
    let say = json!({"client_id": client_id(), "from": zoe, "to": {"account": ann.id().to_string()}, "message": {"kind": "text", "text": "x"}});
    at_app.refused(("POST", "/server/messages"), say, 403, "account_deactivated").await;
}
