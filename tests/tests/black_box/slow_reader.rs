//! Clients that do not read: told to resync or closed, at nobody's cost.

use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::server_frame::Frame;
use anser_tests::conversation::{by_cid, text_of};
use anser_tests::{Client, Person, Server};

const TEXT_BYTES: usize = 16 * 1024;
/// More than the sockets of both ends and the server's queue hold together.
const MESSAGES: usize = 800;
/// What a server may grow by, whatever its readers do: far less than what was sent to each of them.
const GROWTH_KIB: u64 = 64 * 1024;
const SLOW: usize = 3;

#[tokio::test]
async fn a_slow_reader_is_told_to_resync_and_others_are_served() {
    let server = Server::start_with(&["--segment-bytes", "33554432"]).await;
    let [ann, ben, cem] = Person::register_all(&server, ["ann", "ben", "cem"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let cid = at_ann.create_group("river", &[&ben, &cem], true).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut client = Client::open_narrow(server.address()).await;
        client.greet(Client::hello(&cem.token)).await.expect("the token is good");
        client.sync_to_end().await;
        slow.push(client);
    }
    let before_kib = server.resident_kib();
    let words = "w".repeat(TEXT_BYTES);
    for round in 0..MESSAGES {
        let sent = at_ann.say(&cid, &words).await.expect("it is accepted");
        // The one who reads gets every one, in order, while the others do not read.
        let got = at_ben.event(|event| text_of(event).map(|_| event.seq)).await;
        assert_eq!(got, sent.seq, "message {round}");
    }
    let grown_kib = server.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < GROWTH_KIB, "{grown_kib} KiB for {MESSAGES} messages of {TEXT_BYTES} bytes");

    for client in &mut slow {
        let mut events = 0;
        let resync = loop {
            match client.next_frame().await {
                Some(Frame::Event(_)) => events += 1,
                Some(Frame::Resync(_)) => break true,
                Some(_) => {}
                None => break false,
            }
        };
        assert!(events < MESSAGES, "it was not kept for it");
        if resync {
            let synced = client.sync(v1::Cursor::default()).await;
            let head = synced.heads.iter().find(|head| head.cid == cid).expect("the group");
            assert_eq!(head.unread, MESSAGES as u64);
        }
    }
    let last = at_ann.say(&cid, "the end").await.expect("it is accepted").seq;
    assert_eq!(at_ben.event(|event| text_of(event).map(|_| event.seq)).await, last);
}

#[tokio::test]
async fn one_who_asks_and_does_not_read_is_closed() {
    let server = Server::start_with(&["--segment-bytes", "33554432"]).await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut cid = bytes::Bytes::new();
    for _ in 0..60 {
        cid = at_ann.tell(&ben, &"w".repeat(TEXT_BYTES)).await.cid;
    }
    let before_kib = server.resident_kib();
    let mut greedy = Client::open_narrow(server.address()).await;
    greedy.greet(Client::hello(&ben.token)).await.expect("the token is good");
    let page = v1::GetPage { r#in: by_cid(&cid), limit: 200, ..v1::GetPage::default() };
    for _ in 0..200 {
        // Each answer has a megabyte: 200 of them are not kept for anybody.
        greedy.begin(Request::GetPage(page.clone())).await;
    }
    at_ann.tell(&ben, "the others are served").await;
    let grown_kib = server.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < GROWTH_KIB, "{grown_kib} KiB");
    let error = greedy.closed().await.expect("it is told why");
    assert_eq!(error.code, "too_slow");
    Client::attach(&server, &ben).await.tell(&ann, "I may come back").await;
}
