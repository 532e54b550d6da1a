//! What one decides for oneself alone (hide, clear, mark as unread), on all one's devices and over restarts; and
//! delivered marks, which tell the other one.

use anser_proto::v1::client_frame::Request;
use anser_proto::v1::event::Change;
use anser_proto::v1::{self, SeqRange};
use anser_tests::conversation::{by_cid, by_peer, text_of};
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

fn code<T: std::fmt::Debug>(result: Result<T, v1::Error>) -> String {
    result.expect_err("it is refused").code
}

fn range(low: u64, high: u64) -> SeqRange {
    SeqRange { low, high }
}

fn hide(cid: &Bytes, ranges: &[SeqRange], timeline: u64) -> Request {
    Request::Hide(v1::Hide { r#in: by_cid(cid), ranges: ranges.to_vec(), timeline })
}

fn clear(cid: &Bytes, seq: u64, timeline: u64) -> Request {
    Request::ClearHistory(v1::ClearHistory { r#in: by_cid(cid), seq, timeline })
}

fn delivered(cid: &Bytes, seq: u64, timeline: u64) -> Request {
    Request::DeliveredUpTo(v1::DeliveredUpTo { r#in: by_cid(cid), seq, timeline })
}

fn mark_unread(cid: &Bytes, marked: bool) -> Request {
    Request::MarkUnread(v1::MarkUnread { r#in: by_cid(cid), marked })
}

async fn seqs(client: &mut Client, cid: &Bytes) -> Vec<u64> {
    client.whole_history(cid).await.iter().map(|event| event.seq).collect()
}

/// The next event that is no message and about no members: a register.
async fn register(client: &mut Client) -> (u64, Change) {
    client
        .event(|event| (event.seq == 0).then(|| (event.n, event.change.clone().expect("a known change"))))
        .await
}

#[tokio::test]
async fn what_one_hides_and_clears_is_gone_on_one_s_own_devices_alone() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let ben_s_tablet = ben.on_another_device(&server).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let cid = at_ann.tell(&ben, "2").await.cid;
    for words in ["3", "4", "5", "6"] {
        at_ann.say(&cid, words).await.expect("it is accepted");
    }
    let (mut at_tablet, before) = Client::attach_with(&server, Client::hello(&ben_s_tablet.token)).await;
    let timeline = at_ben.welcome.timeline;

    let accepted =
        at_ben.command(hide(&cid, &[range(6, 6), range(3, 4)], timeline)).await.expect("one's own");
    assert_eq!((accepted.seq, accepted.duplicate), (0, false));
    let ranges = vec![range(3, 4), range(6, 6)];
    let due = (accepted.n, Change::MessagesHidden(v1::MessagesHidden { ranges: ranges.clone() }));
    assert_eq!(register(&mut at_ben).await, due, "the device that asked is told as well");
    assert_eq!(register(&mut at_tablet).await, due);
    assert_eq!(
        (seqs(&mut at_ben, &cid).await, seqs(&mut at_ann, &cid).await),
        (vec![1, 2, 5], vec![1, 2, 3, 4, 5, 6])
    );
    let head = at_ben.head(&cid).await;
    assert_eq!((head.last_message, head.unread, &head.hidden), (None, 5, &ranges));
    let again = at_ben.command(hide(&cid, &[range(4, 4)], timeline)).await.expect("it is so already");
    assert_eq!(at_ben.head(&cid).await.n, head.n, "which leaves no fact: {again:?}");
    // A page that starts or ends in what is hidden.
    let page = at_ben.page(&cid, 2, 1).await.expect("a page");
    assert_eq!((page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), page.more), (vec![5], false));

    let cleared = at_ben.command(clear(&cid, 4, timeline)).await.expect("one's own");
    let due = Change::HistoryCleared(v1::HistoryCleared { seq: 4, ordinal: 3 });
    assert_eq!(register(&mut at_tablet).await, (cleared.n, due));
    for life in 0..2 {
        let head = at_ben.head(&cid).await;
        assert_eq!((head.cleared_seq, &head.hidden, head.unread, head.mark), (4, &vec![range(6, 6)], 2, 0));
        assert_eq!((head.base_seq, head.base_ordinal, head.first_visible_seq), (4, 3, 1));
        assert_eq!(seqs(&mut at_ben, &cid).await, [5], "life {life}");
        assert_eq!(seqs(&mut at_ann, &cid).await, [1, 2, 3, 4, 5, 6]);
        let told = at_ann.head(&cid).await;
        assert_eq!((told.cleared_seq, told.hidden, told.peer_mark), (0, vec![], 0), "nobody else is told");
        server.kill().await;
        server.start_again().await;
        at_ben = Client::attach(&server, &ben).await;
        at_ann = Client::attach(&server, &ann).await;
    }
    let events = at_ann.drain().await;
    assert!(!format!("{events:?}").contains("Hidden"), "{events:?}");
    // A device that was away is told by its sync.
    let hello = v1::Hello { cursor: Some(before.cursor), ..Client::hello(&ben_s_tablet.token) };
    let (_, synced) = Client::attach_with(&server, hello).await;
    assert_eq!((synced.heads[0].cleared_seq, synced.heads[0].hidden.len()), (4, 1));
    at_ann.say(&cid, "7").await.expect("it is accepted");
    assert_eq!(
        at_ben.head(&cid).await.last_message.as_ref().and_then(text_of),
        Some("7"),
        "what is new shows"
    );
}

#[tokio::test]
async fn one_sees_what_came_to_the_other_one() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let cid = at_ann.tell(&ben, "2").await.cid;
    at_ann.say(&cid, "3").await.expect("it is accepted");
    let timeline = at_ben.welcome.timeline;
    let came = at_ben.command(delivered(&cid, 2, timeline)).await.expect("it is there");
    let due = Change::DeliveredMoved(v1::DeliveredMoved { member: ben.id(), seq: 2 });
    assert_eq!(register(&mut at_ann).await, (came.n, due.clone()));
    assert_eq!(register(&mut at_ben).await, (came.n, due));
    let newest = at_ann.head(&cid).await.n;
    for seq in [0, 1, 2] {
        at_ben.command(delivered(&cid, seq, timeline)).await.expect("it is so already");
    }
    assert_eq!(at_ann.head(&cid).await.n, newest, "which leaves no fact");
    assert_eq!((at_ann.head(&cid).await.peer_delivered, at_ben.head(&cid).await.peer_delivered), (2, 0));
    at_ben.read_up_to(&cid, 3).await.expect("it is there");
    for _ in 0..2 {
        let head = at_ann.head(&cid).await;
        assert_eq!((head.peer_mark, head.peer_delivered), (3, 3), "what was read has come");
        server.stop().await;
        server.start_again().await;
        at_ann = Client::attach(&server, &ann).await;
    }
}

#[tokio::test]
async fn a_conversation_that_is_marked_as_unread_stays_so_until_one_reads_on() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach_in_json(&server, &ben).await;
    let cid = at_ann.tell(&ben, "2").await.cid;
    at_ben.read_up_to(&cid, 2).await.expect("it is there");
    let marked = at_ben.command(mark_unread(&cid, true)).await.expect("one's own");
    let (n, change) = loop {
        let (n, change) = register(&mut at_ben).await;
        if !matches!(change, Change::MarkMoved(_)) {
            break (n, change);
        }
    };
    assert_eq!((n, change), (marked.n, Change::UnreadMarked(v1::UnreadMarked { marked: true })));
    let head = at_ben.head(&cid).await;
    assert_eq!((head.marked_unread, head.unread, at_ann.head(&cid).await.marked_unread), (true, 0, false));
    at_ben.read_up_to(&cid, 1).await.expect("no further than it was");
    assert!(at_ben.head(&cid).await.marked_unread, "a mark that does not move changes nothing");
    at_ann.say(&cid, "3").await.expect("it is accepted");
    at_ben.read_up_to(&cid, 3).await.expect("it is there");
    assert!(!at_ben.head(&cid).await.marked_unread);
    at_ben.command(mark_unread(&cid, true)).await.expect("one's own");
    at_ben.command(mark_unread(&cid, false)).await.expect("one's own");
    assert!(!at_ben.head(&cid).await.marked_unread);
}

#[tokio::test]
async fn registers_that_may_not_be() {
    let server = Server::start().await;
    let [ann, ben, eve] = Person::register_all(&server, ["ann", "ben", "eve"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let mut at_eve = Client::attach(&server, &eve).await;
    let cid = at_ann.tell(&ben, "between us").await.cid;
    let group = at_ann.create_group("harbour", &[&ben], true).await;
    let timeline = at_ann.welcome.timeline;
    let cases = [
        ("hide nothing", hide(&cid, &[], timeline), "bad_value"),
        ("too many ranges", hide(&cid, &vec![range(1, 1); 101], timeline), "bad_value"),
        ("hide seq 0", hide(&cid, &[range(0, 1)], timeline), "bad_value"),
        ("a range that ends before it begins", hide(&cid, &[range(2, 1)], timeline), "bad_value"),
        ("a range without end", hide(&cid, &[range(1, u64::MAX)], timeline), "bad_value"),
        ("hide past the head", hide(&cid, &[range(1, 3)], timeline), "beyond_head"),
        ("hide what is of another history", hide(&cid, &[range(1, 1)], timeline ^ 1), "foreign_timeline"),
        ("clear past the head", clear(&cid, 3, timeline), "beyond_head"),
        ("clear another history", clear(&cid, 1, timeline ^ 1), "foreign_timeline"),
        ("delivered past the head", delivered(&cid, 3, timeline), "beyond_head"),
        ("delivered in another history", delivered(&cid, 1, timeline ^ 1), "foreign_timeline"),
        ("delivered in a group", delivered(&group, 1, timeline), "bad_value"),
        ("mark nothing", Request::MarkUnread(v1::MarkUnread::default()), "bad_value"),
        (
            "a stranger's conversation",
            Request::MarkUnread(v1::MarkUnread { r#in: by_peer(&eve), marked: true }),
            "not_found",
        ),
    ];
    for (what, request, expected) in cases {
        let error = at_ann.command(request).await.expect_err(what);
        assert_eq!(error.code, expected, "{what}: {}", error.message);
        assert!(!error.message.is_empty(), "{what}");
    }
    for request in [
        hide(&cid, &[range(1, 1)], timeline),
        clear(&cid, 1, timeline),
        delivered(&cid, 1, timeline),
        mark_unread(&cid, true),
    ] {
        assert_eq!(code(at_eve.command(request).await), "not_found");
    }
    let head = at_ann.head(&cid).await;
    assert_eq!((head.hidden, head.cleared_seq, head.marked_unread), (vec![], 0, false));

    // Who has left decides on what is left to it, and no further.
    at_ann.remove(&group, &ben).await.expect("the owner may");
    at_ann.say(&group, "after").await.expect("a member");
    at_ben.command(hide(&group, &[range(2, 2)], timeline)).await.expect("its parting is at seq 2");
    assert_eq!(code(at_ben.command(hide(&group, &[range(3, 3)], timeline)).await), "beyond_head");
    at_ben.command(clear(&group, 1, timeline)).await.expect("one's own");
    assert_eq!(seqs(&mut at_ben, &group).await, [0u64; 0]);
}
