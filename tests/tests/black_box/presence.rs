//! Who is there: told to those who may know, as long as they may.

use anser_proto::v1::client_frame::Request;
use anser_proto::v1::ephemeral::What;
use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::server_frame::Frame;
use anser_proto::v1::{self, Presence};
use anser_tests::conversation::{by_cid, by_peer};
use anser_tests::{Client, Person, Server, http};
use bytes::Bytes;
use serde_json::json;

async fn watch(
    client: &mut Client,
    target: Option<v1::Target>,
    people: &[&Person],
) -> Result<Vec<Presence>, v1::Error> {
    let accounts = people.iter().map(|person| person.id()).collect();
    match client.ask(Request::Watch(v1::Watch { r#in: target, accounts })).await? {
        Answer::PresenceList(list) => Ok(list.presences),
        other => panic!("a watch was answered {other:?}"),
    }
}

fn presence(frame: &Frame) -> Option<Presence> {
    match frame {
        Frame::Ephemeral(v1::Ephemeral { what: Some(What::Presence(it)) }) => Some(*it),
        _ => None,
    }
}

async fn server_time_ms(client: &mut Client) -> u64 {
    match client.ask(Request::Ping(v1::Ping {})).await.expect("it is answered") {
        Answer::Pong(pong) => pong.server_time_ms,
        other => panic!("a ping was answered {other:?}"),
    }
}

async fn heard_nothing(client: &mut Client) -> bool {
    client.ask(Request::Ping(v1::Ping {})).await.expect("it is answered");
    client.kept(&presence).is_none()
}

#[tokio::test]
async fn who_comes_and_goes_is_told_to_who_watches() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    at_ann.tell(&ben, "are you there?").await;
    let asleep = watch(&mut at_ann, by_peer(&ben), &[&ben, &ann]).await.expect("it is her conversation");
    assert_eq!(asleep, [], "whoever writes to somebody does not learn when it is awake");
    let mut at_ben = Client::attach(&server, &ben).await;
    at_ben.tell(&ann, "now I am").await;
    let there = watch(&mut at_ann, by_peer(&ben), &[&ben]).await.expect("they have spoken");
    let due = Presence { account: ben.id(), online: true, last_seen_at_ms: 0, profile_version: 1 };
    assert_eq!(there, [due]);

    // A second device that comes and goes makes no difference; the last one that goes does.
    let tablet = ben.on_another_device(&server).await;
    let (at_tablet, _) = Client::attach_with(&server, Client::hello(&tablet.token)).await;
    drop(at_tablet);
    let before_ms = server_time_ms(&mut at_ann).await;
    drop(at_ben);
    let gone = at_ann.pushed(presence).await;
    assert!(!gone.online && gone.account == ben.id() && gone.last_seen_at_ms >= before_ms, "{gone:?}");
    let again = watch(&mut at_ann, by_peer(&ben), &[&ben]).await.expect("they have spoken");
    assert_eq!(again, [gone], "the same is answered to whoever asks now");
    let mut at_ben = Client::attach(&server, &ben).await;
    assert_eq!(at_ann.pushed(presence).await, due);

    // Whoever names nobody is told nothing more, and whoever asks again begins anew.
    assert_eq!(watch(&mut at_ann, by_peer(&ben), &[]).await, Ok(vec![]));
    let seen = watch(&mut at_ben, by_peer(&ann), &[&ann]).await.expect("they have spoken");
    assert!(seen[0].online);
    drop(at_ann);
    assert!(!at_ben.pushed(presence).await.online);
}

#[tokio::test]
async fn a_group_is_watched_by_its_members_and_for_as_long_as_they_are() {
    let server = Server::start().await;
    let people = Person::register_all(&server, ["ann", "ben", "old", "eve"]).await;
    let [ann, ben, old, eve] = &people;
    let mut at_ann = Client::attach(&server, ann).await;
    let mut at_ben = Client::attach(&server, ben).await;
    let mut at_old = Client::attach(&server, old).await;
    let mut at_eve = Client::attach(&server, eve).await;
    let group = at_ann.create_group("ours", &[ben, old], true).await;
    let seen = watch(&mut at_ben, by_cid(&group), &[ann, ben, old, eve]).await.expect("he is in it");
    let accounts: Vec<u64> = seen.iter().map(|it| it.account).collect();
    assert_eq!(accounts, [ann.id(), old.id()], "neither oneself nor a stranger");
    assert_eq!(watch(&mut at_old, by_cid(&group), &[ann]).await.expect("he is in it").len(), 1);

    let there = watch(&mut at_eve, by_cid(&group), &[ann]).await.expect_err("she never was there");
    let nothing = Bytes::from(group.iter().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>());
    let nowhere = watch(&mut at_eve, by_cid(&nothing), &[ann]).await.expect_err("there is no such thing");
    assert_eq!((there.code.as_str(), &there), ("not_found", &nowhere));

    at_ann.remove(&group, old).await.expect("the owner may");
    let refused = watch(&mut at_old, by_cid(&group), &[ann]).await.expect_err("he is there no more");
    assert_eq!(refused.code, "no_longer_member");
    // Whoever stayed is told of the owner, who went later, and not of the one who was put out.
    drop(at_old);
    drop(at_ann);
    let gone = at_ben.pushed(presence).await;
    assert_eq!((gone.account, gone.online), (ann.id(), false));
    assert!(heard_nothing(&mut at_ben).await && heard_nothing(&mut at_eve).await);
}

#[tokio::test]
async fn in_a_channel_only_admins_know_who_is_there() {
    let server = Server::start().await;
    let [owner, reader] = Person::register_all(&server, ["owner", "reader"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_reader = Client::attach(&server, &reader).await;
    let (client_id, members) = (at_owner.mint(), vec![reader.id()]);
    let title = "harbour".to_owned();
    let create = v1::CreateGroup { client_id, title, members, channel: true, ..v1::CreateGroup::default() };
    let cid = at_owner.command(Request::CreateGroup(create)).await.expect("it is made").cid;
    let refused = watch(&mut at_reader, by_cid(&cid), &[&owner]).await.expect_err("readers read");
    assert_eq!(refused.code, "not_allowed");
    assert_eq!(watch(&mut at_owner, by_cid(&cid), &[&reader]).await.expect("owners know").len(), 1);
    let nobody = Request::Watch(v1::Watch { r#in: by_cid(&cid), accounts: vec![0] });
    assert_eq!(at_owner.ask(nobody).await.expect_err("0 is nobody").code, "bad_value");
    let many = Request::Watch(v1::Watch { r#in: by_cid(&cid), accounts: (1..=201).collect() });
    let refused = at_owner.ask(many).await.expect_err("there are limits");
    assert!(refused.code == "bad_value" && refused.message.contains("200"), "{refused:?}");
}

#[tokio::test]
async fn who_shows_it_to_nobody_is_passed_over_and_a_new_profile_is_told_at_once() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    at_ann.tell(&ben, "hello").await;
    let first = at_ben.tell(&ann, "hello").await;
    assert_eq!(watch(&mut at_ann, by_peer(&ben), &[&ben]).await.expect("they have spoken").len(), 1);
    let profile = async |change: serde_json::Value| {
        let answer = http::json(server.address(), "PATCH", "/api/v1/profile", &ben.token, &change).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    assert_eq!(profile(json!({"name": "Benjamin"})).await["presence"], "everyone");
    let told = at_ann.pushed(presence).await;
    assert_eq!((told.online, told.profile_version), (true, 2));
    let own = at_ben.pushed(presence).await;
    assert_eq!((own.account, own.profile_version), (ben.id(), 2), "on all his devices");
    at_ben.tell(&ann, "I have another name").await;
    let page = at_ann.page(&first.cid, 0, 1).await.expect("a page");
    assert_eq!(page.events[0].author_profile_version, 2, "what he says bears it, on the same connection");

    assert_eq!(profile(json!({"presence": "nobody"})).await["presence"], "nobody");
    let hidden = Presence { account: ben.id(), profile_version: 3, ..Presence::default() };
    assert_eq!(at_ann.pushed(presence).await, hidden);
    assert_eq!(watch(&mut at_ann, by_peer(&ben), &[&ben]).await, Ok(vec![]));
    drop(at_ben);
    let mut at_ben = Client::attach(&server, &ben).await;
    assert_eq!(at_ben.welcome.profile_version, 3);
    assert!(heard_nothing(&mut at_ann).await, "nor that he came or went");
    let refused = json!({"presence": "friends"});
    let answer = http::json(server.address(), "PATCH", "/api/v1/profile", &ben.token, &refused).await;
    assert!(answer.status == 400 && answer.body.contains("everyone, nobody"), "{answer:?}");
    profile(json!({"presence": "everyone"})).await;
    assert!(at_ann.pushed(presence).await.online);
    at_ben.ask(Request::Ping(v1::Ping {})).await.expect("he is there");
}

#[tokio::test]
async fn it_is_asked_over_http_and_survives_a_stop() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    at_ann.tell(&ben, "hello").await;
    at_ben.tell(&ann, "hello").await;
    let path = format!("/api/v1/conversations/with-{}/presence?accounts={}", ben.id(), ben.id());
    let seen = async |server: &Server| {
        let answer = http::json(server.address(), "GET", &path, &ann.token, &json!(null)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["presences"][0].clone()
    };
    assert_eq!(seen(&server).await["online"], true);
    let before_ms = server_time_ms(&mut at_ben).await;
    server.stop().await;
    server.start_again().await;
    let after = seen(&server).await;
    let last_seen_at_ms = after["last_seen_at_ms"].as_u64().expect("a number");
    assert!(after["online"] == false && last_seen_at_ms >= before_ms, "{after}");
    let devices =
        http::json(server.address(), "GET", "/api/v1/devices", &ben.token, &json!(null)).await.json();
    assert_eq!(devices["devices"][0]["last_seen_at_ms"], last_seen_at_ms);
    let typing = format!("/api/v1/conversations/with-{}/typing", ben.id());
    let answer = http::json(server.address(), "POST", &typing, &ann.token, &json!({})).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}
