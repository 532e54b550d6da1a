//! That somebody types: told to those who are there now, and to nobody else, ever.

use anser_proto::v1::client_frame::Request;
use anser_proto::v1::ephemeral::What;
use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::server_frame::Frame;
use anser_proto::v1::{self, IsTyping};
use anser_tests::conversation::{by_cid, by_peer};
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

async fn type_in(client: &mut Client, target: Option<v1::Target>) -> Result<(), v1::Error> {
    match client.ask(Request::Typing(v1::Typing { r#in: target })).await? {
        Answer::Done(v1::Done {}) => Ok(()),
        other => panic!("typing was answered {other:?}"),
    }
}

fn typing(frame: &Frame) -> Option<IsTyping> {
    match frame {
        Frame::Ephemeral(v1::Ephemeral { what: Some(What::Typing(it)) }) => Some(it.clone()),
        _ => None,
    }
}

/// Whatever was told before this is there afterwards: whoever says something is answered behind it.
async fn heard_nothing(client: &mut Client) -> bool {
    client.ask(Request::Ping(v1::Ping {})).await.expect("it is answered");
    client.kept(&typing).is_none()
}

#[tokio::test]
async fn the_others_of_a_conversation_are_told_and_nobody_else() {
    let server = Server::start().await;
    let [ann, ben, old, eve] = Person::register_all(&server, ["ann", "ben", "old", "eve"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let ann_s_tablet = ann.on_another_device(&server).await;
    let (mut at_tablet, _) = Client::attach_with(&server, Client::hello(&ann_s_tablet.token)).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let mut in_json = Client::attach_in_json(&server, &ben).await;
    let mut at_old = Client::attach(&server, &old).await;
    let mut at_eve = Client::attach(&server, &eve).await;
    let sender = v1::Hello { send_only: true, ..Client::hello(&ben.token) };
    let (mut only_sends, _) = Client::attach_with(&server, sender).await;
    let group = at_ann.create_group("ours", &[&ben, &old], true).await;
    at_ann.remove(&group, &old).await.expect("the owner may");
    let direct = at_ann.tell(&ben, "between us").await.cid;

    for (target, cid) in [(by_cid(&group), &group), (by_cid(&direct), &direct), (by_peer(&ben), &direct)] {
        type_in(&mut at_ann, target).await.expect("she is there");
        let due = IsTyping { cid: cid.clone(), account: ann.id() };
        assert_eq!(at_ben.pushed(typing).await, due);
        assert_eq!(in_json.pushed(typing).await, due);
    }
    type_in(&mut at_ben, by_cid(&group)).await.expect("he is there");
    let due = IsTyping { cid: group.clone(), account: ben.id() };
    assert_eq!((at_ann.pushed(typing).await, at_tablet.pushed(typing).await), (due.clone(), due));

    let refused = type_in(&mut at_old, by_cid(&group)).await.expect_err("he is there no more");
    assert_eq!(refused.code, "no_longer_member");
    let nothing = Bytes::from(group.iter().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>());
    let there = type_in(&mut at_eve, by_cid(&group)).await.expect_err("she never was there");
    let nowhere = type_in(&mut at_eve, by_cid(&nothing)).await.expect_err("there is no such thing");
    assert_eq!((there.code.as_str(), &there), ("not_found", &nowhere));
    let strangers = type_in(&mut at_eve, by_peer(&ben)).await.expect_err("they have not spoken");
    assert_eq!(strangers, nowhere, "of a direct conversation that is not there yet");
    // In one's own conversation there is nobody to tell.
    let own = at_ann.tell(&ann, "mine").await.cid;
    type_in(&mut at_ann, by_cid(&own)).await.expect("it is her own");

    for client in [&mut at_ann, &mut at_tablet, &mut at_ben, &mut at_old, &mut at_eve, &mut only_sends] {
        assert!(heard_nothing(client).await);
    }
    let page = at_ben.page(&group, 0, 10).await.expect("a page");
    assert_eq!(page.events.len(), 2, "it was made, and one was put out of it: nothing was kept of typing");
    let (mut later, _) = Client::attach_with(&server, Client::hello(&ben.token)).await;
    assert!(heard_nothing(&mut later).await, "whoever comes later is not told");
}

#[tokio::test]
async fn who_may_not_write_in_a_channel_does_not_type_there() {
    let server = Server::start().await;
    let [owner, reader] = Person::register_all(&server, ["owner", "reader"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_reader = Client::attach(&server, &reader).await;
    let client_id = at_owner.mint();
    let (title, members) = ("harbour".to_owned(), vec![reader.id()]);
    let create = v1::CreateGroup { client_id, title, members, channel: true, ..v1::CreateGroup::default() };
    let cid = at_owner.command(Request::CreateGroup(create)).await.expect("it is made").cid;
    let refused = type_in(&mut at_reader, by_cid(&cid)).await.expect_err("readers read");
    assert_eq!(refused.code, "not_allowed");
    assert!(heard_nothing(&mut at_owner).await);
    type_in(&mut at_owner, by_cid(&cid)).await.expect("owners write");
    assert_eq!(at_reader.pushed(typing).await, IsTyping { cid, account: owner.id() });
    let unnamed = type_in(&mut at_reader, None).await.expect_err("it names no conversation");
    assert_eq!((unnamed.code.as_str(), unnamed.message.contains("in:")), ("bad_value", true));
}
