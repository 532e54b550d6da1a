//! Channels, settings of groups, who has read what, and the end of a group.

use anser_proto::v1::client_frame::Request;
use anser_proto::v1::event::Change;
use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::{self, ConversationKind, Role};
use anser_tests::conversation::{by_cid, by_peer};
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

fn code<T: std::fmt::Debug>(result: Result<T, v1::Error>) -> String {
    result.expect_err("it is refused").code
}

fn set_avatar(client: &Client, cid: &Bytes, avatar: &str) -> Request {
    let (cid, client_id, avatar) = (cid.clone(), client.mint(), avatar.to_owned());
    Request::SetAvatar(v1::SetAvatar { cid, client_id, avatar })
}

fn set_history_visible(client: &Client, cid: &Bytes, visible: bool) -> Request {
    let (cid, client_id) = (cid.clone(), client.mint());
    Request::SetHistoryVisible(v1::SetHistoryVisible { cid, client_id, visible })
}

fn dissolve(client: &Client, cid: &Bytes) -> Request {
    Request::Dissolve(v1::Dissolve { cid: cid.clone(), client_id: client.mint() })
}

async fn create(
    client: &mut Client,
    members: &[&Person],
    channel: bool,
    avatar: &str,
) -> Result<Bytes, v1::Error> {
    let members = members.iter().map(|person| person.id()).collect();
    let (title, avatar, client_id) = ("harbour".into(), avatar.into(), client.mint());
    let create = v1::CreateGroup { client_id, title, members, history_visible: false, channel, avatar };
    client.command(Request::CreateGroup(create)).await.map(|accepted| accepted.cid)
}

async fn marks(client: &mut Client, target: Option<v1::Target>) -> Result<Vec<(u64, u64, u64)>, v1::Error> {
    match client.ask(Request::GetMarks(v1::GetMarks { r#in: target })).await? {
        Answer::MarkList(list) => {
            let mut marks: Vec<_> =
                list.marks.iter().map(|mark| (mark.account, mark.seq, mark.joined_seq)).collect();
            marks.sort();
            Ok(marks)
        }
        other => panic!("marks were answered {other:?}"),
    }
}

#[tokio::test]
async fn only_those_with_a_role_write_in_a_channel_and_know_who_has_read() {
    let mut server = Server::start().await;
    let [owner, admin, reader, eve] =
        Person::register_all(&server, ["owner", "admin", "reader", "eve"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_admin = Client::attach(&server, &admin).await;
    let mut at_reader = Client::attach(&server, &reader).await;
    let mut at_eve = Client::attach(&server, &eve).await;
    let cid = create(&mut at_owner, &[&admin, &reader], true, "face").await.expect("anybody may");
    let created = at_reader.event(|event| match &event.change {
        Some(Change::Created(created)) => Some(created.clone()),
        _ => None,
    });
    let created = created.await;
    assert_eq!(
        (created.kind(), created.avatar.as_str(), created.history_visible),
        (ConversationKind::Channel, "face", false)
    );
    assert_eq!(code(at_reader.say(&cid, "me too").await), "not_allowed");
    assert_eq!(code(at_admin.say(&cid, "not yet").await), "not_allowed");
    at_owner.set_role(&cid, &admin, Role::Admin).await.expect("the owner may");
    let said = at_admin.say(&cid, "news").await.expect("an admin may").seq;
    at_owner.say(&cid, "more news").await.expect("the owner may");
    at_reader.read_up_to(&cid, said).await.expect("it is there");
    let due: Vec<_> = {
        let mut due = vec![(owner.id(), 0, 1), (admin.id(), 0, 1), (reader.id(), said, 1)];
        due.sort();
        due
    };
    for life in 0..2 {
        assert_eq!(marks(&mut at_owner, by_cid(&cid)).await.as_ref(), Ok(&due), "life {life}");
        assert_eq!(code(marks(&mut at_reader, by_cid(&cid)).await), "not_allowed");
        let (theirs, nothing) = (
            marks(&mut at_eve, by_cid(&cid)).await,
            marks(&mut at_eve, by_cid(&Bytes::from_static(&[9; 16]))).await,
        );
        assert_eq!((code(theirs.clone()), theirs), ("not_found".into(), nothing));
        let head = at_reader.head(&cid).await;
        assert_eq!((head.kind(), head.unread, head.member_count), (ConversationKind::Channel, 1, 3));
        server.kill().await;
        server.start_again().await;
        at_owner = Client::attach(&server, &owner).await;
        at_reader = Client::attach(&server, &reader).await;
        at_eve = Client::attach(&server, &eve).await;
    }
    at_owner.remove(&cid, &reader).await.expect("the owner may");
    assert_eq!(code(marks(&mut at_reader, by_cid(&cid)).await), "no_longer_member");
}

#[tokio::test]
async fn members_of_a_group_may_ask_who_has_read_what() {
    let server = Server::start().await;
    let [ann, ben, cal] = Person::register_all(&server, ["ann", "ben", "cal"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let cid = create(&mut at_ann, &[&ben], false, "").await.expect("anybody may");
    let said = at_ann.say(&cid, "who reads this?").await.expect("a member").seq;
    at_ben.read_up_to(&cid, said).await.expect("it is there");
    let joined = at_ann.add(&cid, &[&cal]).await.expect("a member may").seq;
    let mut due = vec![(ann.id(), 0, 1), (ben.id(), said, 1), (cal.id(), 0, joined)];
    due.sort();
    assert_eq!(marks(&mut at_ben, by_cid(&cid)).await, Ok(due));
    at_ann.tell(&ben, "between us").await;
    let direct = marks(&mut at_ben, by_peer(&ann)).await.expect("one of the two");
    assert_eq!(direct.len(), 2);
    assert_eq!(code(marks(&mut at_ann, None).await), "bad_value");
}

#[tokio::test]
async fn settings_are_for_those_with_a_role() {
    let server = Server::start().await;
    let [owner, member, early, late] =
        Person::register_all(&server, ["owner", "member", "early", "late"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_member = Client::attach(&server, &member).await;
    let cid = create(&mut at_owner, &[&member], false, "").await.expect("anybody may");
    at_owner.say(&cid, "the past").await.expect("a member");
    for request in [
        set_avatar(&at_member, &cid, "mine"),
        set_history_visible(&at_member, &cid, true),
        dissolve(&at_member, &cid),
    ] {
        assert_eq!(code(at_member.command(request).await), "not_allowed");
    }
    let long = "a".repeat(257);
    for (what, avatar) in [("too long", long.as_str()), ("a line feed", "two\nlines"), ("a nul", "\0")] {
        let error = at_owner.command(set_avatar(&at_owner, &cid, avatar)).await.expect_err(what);
        assert!(error.code == "bad_value" && error.message.starts_with("avatar"), "{what}: {error:?}");
        assert_eq!(code(create(&mut at_owner, &[], false, avatar).await), "bad_value", "{what}");
    }
    let picture = "https://a.example/鸿雁.png";
    let set = at_owner.command(set_avatar(&at_owner, &cid, picture)).await.expect("the owner may");
    let told = at_member.event(|event| match &event.change {
        Some(Change::AvatarSet(it)) => Some((event.seq, it.avatar.clone())),
        _ => None,
    });
    assert_eq!(told.await, (set.seq, picture.to_owned()));
    assert_eq!(at_member.head(&cid).await.avatar, picture);

    at_owner.add(&cid, &[&early]).await.expect("a member may");
    at_owner.command(set_history_visible(&at_owner, &cid, true)).await.expect("the owner may");
    at_owner.add(&cid, &[&late]).await.expect("a member may");
    let mut at_early = Client::attach(&server, &early).await;
    let mut at_late = Client::attach(&server, &late).await;
    assert!(at_early.head(&cid).await.first_visible_seq > 1, "of the past, what was so when it joined");
    let head = at_late.head(&cid).await;
    assert_eq!((head.first_visible_seq, head.history_visible), (1, true));
    let direct = at_owner.tell(&member, "between us").await.cid;
    for request in [
        set_avatar(&at_owner, &direct, "x"),
        set_history_visible(&at_owner, &direct, false),
        dissolve(&at_owner, &direct),
    ] {
        assert_eq!(code(at_owner.command(request).await), "bad_value");
    }
}

#[tokio::test]
async fn a_dissolved_group_leaves_a_tombstone_and_takes_nothing_more() {
    let mut server = Server::start().await;
    let [owner, member] = Person::register_all(&server, ["owner", "member"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let (mut at_member, before) = Client::attach_with(&server, Client::hello(&member.token)).await;
    let cid = create(&mut at_owner, &[&member], false, "face").await.expect("anybody may");
    at_member.say(&cid, "the last words").await.expect("a member");
    let request = dissolve(&at_owner, &cid);
    let end = at_owner.command(request.clone()).await.expect("the owner may");
    for client in [&mut at_owner, &mut at_member] {
        let told = client
            .event(|event| matches!(event.change, Some(Change::Dissolved(_))).then_some(event.seq))
            .await;
        assert_eq!(told, end.seq);
    }
    for life in 0..2 {
        assert_eq!(
            at_owner.command(request.clone()).await,
            Ok(v1::Accepted { duplicate: true, ..end.clone() })
        );
        for (client, person) in [(&mut at_owner, &member), (&mut at_member, &owner)] {
            let head = client.head(&cid).await;
            assert_eq!(
                (head.role(), head.seq, head.member_count, head.avatar.as_str()),
                (Role::Unspecified, end.seq, 0, "face"),
                "life {life}"
            );
            assert_eq!(client.whole_history(&cid).await.last().map(|event| event.seq), Some(end.seq));
            assert_eq!(code(client.say(&cid, "hello?").await), "no_longer_member");
            assert_eq!(code(client.add(&cid, &[person]).await), "no_longer_member");
            assert_eq!(code(client.leave(&cid).await), "no_longer_member");
            assert_eq!(code(client.members(&cid).await), "no_longer_member");
            assert_eq!(code(client.command(dissolve(client, &cid)).await), "no_longer_member");
        }
        server.kill().await;
        server.start_again().await;
        at_owner = Client::attach(&server, &owner).await;
        at_member = Client::attach(&server, &member).await;
    }
    let hello = v1::Hello { cursor: Some(before.cursor), ..Client::hello(&member.token) };
    let (_, synced) = Client::attach_with(&server, hello).await;
    assert_eq!(synced.heads.len(), 1, "who was away is told by its sync");
}
