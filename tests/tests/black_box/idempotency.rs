//! One client id, one effect: whatever is lost, repeated, restarted or raced.

use anser_proto::v1::client_frame::Request;
use anser_proto::v1::{self, Role};
use anser_tests::conversation::{by_cid, by_peer, text, text_of};
use anser_tests::{Client, Person, Server, within};
use bytes::Bytes;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

fn as_duplicate(accepted: &v1::Accepted) -> v1::Accepted {
    v1::Accepted { duplicate: true, ..accepted.clone() }
}

async fn count_of(client: &mut Client, cid: &Bytes, words: &str) -> usize {
    client.whole_history(cid).await.iter().filter(|event| text_of(event) == Some(words)).count()
}

#[tokio::test]
async fn the_same_id_again_has_the_same_answer_across_restarts() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let send = text(by_peer(&ben), client.mint(), "once");
    let first = client.command(send.clone()).await.expect("it is accepted");
    assert!(!first.duplicate);
    let create = Request::CreateGroup(v1::CreateGroup {
        client_id: client.mint(),
        title: "once".into(),
        members: vec![ben.id()],
        history_visible: true,
        ..v1::CreateGroup::default()
    });
    let made = client.command(create.clone()).await.expect("it is accepted");
    for life in 0..4 {
        assert_eq!(client.command(send.clone()).await, Ok(as_duplicate(&first)), "life {life}");
        assert_eq!(client.command(create.clone()).await, Ok(as_duplicate(&made)), "life {life}");
        assert_eq!(count_of(&mut client, &first.cid, "once").await, 1);
        match life {
            0 | 1 => server.kill().await,
            _ => server.stop().await,
        }
        server.start_again().await;
        client = Client::attach(&server, &ann).await;
    }
}

#[tokio::test]
async fn a_removed_sender_still_learns_the_fate_of_a_send() {
    let server = Server::start().await;
    let [owner, member] = Person::register_all(&server, ["owner", "member"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_member = Client::attach(&server, &member).await;
    let cid = at_owner.create_group("club", &[&member], true).await;
    let send = text(by_cid(&cid), at_member.mint(), "my last words");
    let first = at_member.command(send.clone()).await.expect("it is accepted");
    let leave = Request::Leave(v1::Leave { cid: cid.clone(), client_id: at_member.mint() });
    let left = at_member.command(leave.clone()).await.expect("it is accepted");
    assert_eq!(at_member.command(send).await, Ok(as_duplicate(&first)));
    assert_eq!(at_member.command(leave).await, Ok(as_duplicate(&left)));
    assert_eq!(at_member.say(&cid, "new words").await.expect_err("out").code, "no_longer_member");
    assert_eq!(at_owner.head(&cid).await.role(), Role::Owner);
}

#[tokio::test]
async fn another_request_under_a_used_id_is_refused() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let id = client.mint();
    let first = client.command(text(by_peer(&ben), id.clone(), "mine")).await.expect("it is accepted");
    for _ in 0..2 {
        let other = client.command(text(by_peer(&ben), id.clone(), "other")).await;
        assert_eq!(other.expect_err("another text").code, "client_id_reused");
        server.kill().await;
        server.start_again().await;
        client = Client::attach(&server, &ann).await;
    }
    // An id belongs to its author: another person may use the same one.
    let mut at_ben = Client::attach(&server, &ben).await;
    let his = at_ben.command(text(by_cid(&first.cid), id, "mine")).await.expect("it is accepted");
    assert!(!his.duplicate && his.seq == first.seq + 1);
}

#[tokio::test]
async fn ids_of_the_wrong_time_or_kind_are_refused() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let (too_old, too_new) = (client.mint_ahead(-31 * DAY_MS), client.mint_ahead(6 * MINUTE_MS));
    let mut version_4 = client.mint().to_vec();
    version_4[6] = 0x40 | (version_4[6] & 0x0f);
    let mut other_variant = client.mint().to_vec();
    other_variant[8] &= 0x3f;
    let cases: [(Bytes, &str); 7] = [
        (too_old, "client_id_too_old"),
        (too_new, "client_id_in_future"),
        (version_4.into(), "bad_client_id"),
        (other_variant.into(), "bad_client_id"),
        (Bytes::new(), "bad_client_id"),
        (Bytes::from_static(&[0x70; 15]), "bad_client_id"),
        (Bytes::from_static(&[0; 16]), "bad_client_id"),
    ];
    for (id, code) in cases {
        let refused =
            client.command(text(by_peer(&ben), id.clone(), "late")).await.expect_err("it is refused");
        assert_eq!(refused.code, code, "{id:?}: {}", refused.message);
    }
    for ahead_ms in [-29 * DAY_MS, 4 * MINUTE_MS] {
        let send = text(by_peer(&ben), client.mint_ahead(ahead_ms), "in time");
        let first = client.command(send.clone()).await.expect("it is accepted");
        assert_eq!(client.command(send).await, Ok(as_duplicate(&first)));
    }
    assert!(client.conversations().await.iter().all(|head| head.ordinal == 2), "the refused had no effect");
}

#[tokio::test]
async fn the_same_command_on_two_sockets_has_one_effect() {
    const ROUNDS: usize = 30;
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut first = Client::attach(&server, &ann).await;
    let mut second = Client::attach(&server, &ann.on_another_device(&server).await).await;
    let mut cid = Bytes::new();
    for round in 0..ROUNDS {
        let send = text(by_peer(&ben), first.mint(), &format!("round {round}"));
        let answers = async { tokio::join!(first.command(send.clone()), second.command(send)) };
        let (one, two) = within("both are answered", answers).await;
        let (one, two) = (one.expect("it is accepted"), two.expect("it is accepted"));
        assert_eq!((one.seq, one.n, &one.cid), (two.seq, two.n, &two.cid));
        assert!(one.duplicate != two.duplicate, "one of them was the first");
        cid = one.cid;
    }
    assert_eq!(first.head(&cid).await.ordinal, ROUNDS as u64);
}
