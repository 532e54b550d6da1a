//! Groups: roles, members who come and go, and what each of them may see.

use anser_proto::v1;
use anser_proto::v1::Role;
use anser_proto::v1::event::Change;
use anser_proto::v1::server_frame::Frame;
use anser_tests::conversation::text_of;
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

async fn words(client: &mut Client, cid: &Bytes) -> Vec<String> {
    client.whole_history(cid).await.iter().filter_map(|event| text_of(event).map(str::to_owned)).collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, v1::Error>) -> String {
    result.expect_err("it is refused").code
}

#[tokio::test]
async fn roles_decide_who_may_do_what() {
    let server = Server::start().await;
    let [owner, admin, member, guest] =
        Person::register_all(&server, ["owner", "admin", "member", "guest"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_admin = Client::attach(&server, &admin).await;
    let mut at_member = Client::attach(&server, &member).await;
    let cid = at_owner.create_group("harbour", &[&admin, &member], true).await;
    let title = at_member.event(|event| match &event.change {
        Some(Change::Created(created)) => Some(created.title.clone()),
        _ => None,
    });
    assert_eq!(title.await, "harbour");

    assert_eq!(code(at_member.rename(&cid, "mine").await), "not_allowed");
    assert_eq!(code(at_member.remove(&cid, &admin).await), "not_allowed");
    assert_eq!(code(at_member.set_role(&cid, &member, Role::Admin).await), "not_allowed");
    at_owner.set_role(&cid, &admin, Role::Admin).await.expect("the owner may");
    at_admin.rename(&cid, "the harbour").await.expect("an admin may");
    let renamed = at_member.event(|event| match &event.change {
        Some(Change::Renamed(renamed)) => Some(renamed.title.clone()),
        _ => None,
    });
    assert_eq!(renamed.await, "the harbour");
    assert_eq!(at_member.head(&cid).await.title, "the harbour");

    at_admin.add(&cid, &[&guest]).await.expect("an admin may");
    assert_eq!(code(at_admin.add(&cid, &[&guest, &member]).await), "already_member");
    assert_eq!(code(at_admin.remove(&cid, &owner).await), "not_allowed");
    at_admin.remove(&cid, &guest).await.expect("an admin may");
    assert_eq!(code(at_admin.remove(&cid, &guest).await), "not_found");

    let mut members = at_member.members(&cid).await.expect("a member may ask");
    members.sort();
    let mut expected =
        vec![(owner.id(), Role::Owner), (admin.id(), Role::Admin), (member.id(), Role::Member)];
    expected.sort();
    assert_eq!(members, expected);
}

#[tokio::test]
async fn an_owner_who_leaves_hands_over() {
    let server = Server::start().await;
    let [owner, member, admin] = Person::register_all(&server, ["owner", "member", "admin"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_admin = Client::attach(&server, &admin).await;
    let mut at_member = Client::attach(&server, &member).await;
    let cid = at_owner.create_group("relay", &[&member, &admin], true).await;
    at_owner.set_role(&cid, &admin, Role::Admin).await.expect("the owner may");
    at_owner.leave(&cid).await.expect("anybody may leave");
    let left = at_member.event(|event| match &event.change {
        Some(Change::MemberRemoved(removed)) => Some(*removed),
        _ => None,
    });
    assert_eq!(left.await, v1::MemberRemoved { member: owner.id(), left: true, new_owner: admin.id() });
    assert_eq!(at_admin.head(&cid).await.role(), Role::Owner);
    assert_eq!(code(at_owner.say(&cid, "one more thing").await), "no_longer_member");

    at_admin.leave(&cid).await.expect("anybody may leave");
    assert_eq!(at_member.head(&cid).await.role(), Role::Owner, "then a member becomes owner");
    at_member.leave(&cid).await.expect("the last one may leave too");
}

#[tokio::test]
async fn a_newcomer_sees_the_past_only_where_the_group_shows_it() {
    let server = Server::start().await;
    let [owner, newcomer] = Person::register_all(&server, ["owner", "newcomer"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_newcomer = Client::attach(&server, &newcomer).await;
    for history_visible in [true, false] {
        let cid = at_owner.create_group("past", &[], history_visible).await;
        let before = at_owner.say(&cid, "before").await.expect("it is accepted");
        let joined = at_owner.add(&cid, &[&newcomer]).await.expect("the owner may");
        at_owner.say(&cid, "after").await.expect("it is accepted");
        let head = at_newcomer.head(&cid).await;
        let seen = words(&mut at_newcomer, &cid).await;
        if history_visible {
            assert_eq!(seen, ["before", "after"]);
            assert!(head.first_visible_seq <= before.seq);
        } else {
            assert_eq!(seen, ["after"]);
            assert!((before.seq + 1..=joined.seq).contains(&head.first_visible_seq));
        }
        assert_eq!(head.unread, 1, "only what came after the join is unread");
        // What cannot be seen is not shown to whoever asks for it by its seq either.
        let page = at_newcomer.page(&cid, before.seq - 1, 200).await.expect("a page");
        assert_eq!(page.events.iter().any(|event| text_of(event) == Some("before")), history_visible);
    }
}

#[tokio::test]
async fn a_removed_member_keeps_what_it_saw_and_gets_nothing_more() {
    let mut server = Server::start().await;
    let [owner, member] = Person::register_all(&server, ["owner", "member"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let cid = at_owner.create_group("club", &[&member], true).await;
    at_owner.say(&cid, "for both").await.expect("it is accepted");
    let (mut at_member, first_sync) = Client::attach_with(&server, Client::hello(&member.token)).await;

    let removal = at_owner.remove(&cid, &member).await.expect("the owner may");
    at_owner.say(&cid, "for the owner alone").await.expect("it is accepted");
    at_owner.rename(&cid, "secret club").await.expect("the owner may");
    let removed = at_member.event(|event| match &event.change {
        Some(Change::MemberRemoved(removed)) => Some((*removed, event.seq)),
        _ => None,
    });
    assert_eq!(
        removed.await,
        (v1::MemberRemoved { member: member.id(), left: false, new_owner: 0 }, removal.seq)
    );

    // The answer travels behind the events of its slot, so this looks at all that could have come.
    assert_eq!(code(at_member.say(&cid, "let me in").await), "no_longer_member");
    assert_eq!(code(at_member.rename(&cid, "mine").await), "no_longer_member");
    let later = at_member.drain().await;
    assert!(
        !later.iter().any(|frame| matches!(frame, Frame::Event(event) if event.seq > removal.seq)),
        "{later:?}"
    );

    for restarts in [false, true] {
        if restarts {
            server.kill().await;
            server.start_again().await;
        }
        let hello = v1::Hello { cursor: Some(first_sync.cursor.clone()), ..Client::hello(&member.token) };
        let (mut again, synced) = Client::attach_with(&server, hello).await;
        let tombstone = synced.heads.iter().find(|head| head.cid == cid).expect("the removal is told");
        assert_eq!((tombstone.role(), tombstone.seq), (Role::Unspecified, removal.seq));
        assert_eq!(tombstone.title, "club", "as of the removal");
        assert_eq!(tombstone.last_message.as_ref().and_then(|event| text_of(event)), Some("for both"));
        assert_eq!(words(&mut again, &cid).await, ["for both"]);
        let beyond = again.page(&cid, removal.seq, 200).await.expect("an empty page");
        assert!(beyond.events.is_empty() && !beyond.more);
        assert_eq!(code(again.members(&cid).await), "no_longer_member");
        // Nothing that happens later wakes somebody who is out.
        let hello = v1::Hello { cursor: Some(synced.cursor), ..Client::hello(&member.token) };
        let (_, nothing) = Client::attach_with(&server, hello).await;
        assert!(!nothing.heads.iter().any(|head| head.cid == cid), "{:?}", nothing.heads);
    }
}

#[tokio::test]
async fn who_comes_back_sees_both_stays_and_not_the_time_between() {
    let server = Server::start().await;
    let [owner, member] = Person::register_all(&server, ["owner", "member"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_member = Client::attach(&server, &member).await;
    let cid = at_owner.create_group("club", &[&member], false).await;
    at_owner.say(&cid, "first stay").await.expect("it is accepted");
    at_owner.remove(&cid, &member).await.expect("the owner may");
    at_owner.say(&cid, "between").await.expect("it is accepted");
    at_owner.add(&cid, &[&member]).await.expect("the owner may");
    at_owner.say(&cid, "second stay").await.expect("it is accepted");
    assert_eq!(words(&mut at_member, &cid).await, ["first stay", "second stay"]);
    assert_eq!(at_member.head(&cid).await.unread, 1);
    at_member.say(&cid, "I am back").await.expect("a member may send");
}
