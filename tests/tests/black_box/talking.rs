//! Two people who talk: the first message, every device, receipts, unread, and order.

use std::collections::BTreeSet;

use anser_proto::v1;
use anser_proto::v1::event::Change;
use anser_proto::v1::server_frame::Frame;
use anser_tests::conversation::{by_cid, text, text_of};
use anser_tests::{Client, Person, Server, within};
use bytes::Bytes;
use tokio::task::JoinSet;

fn mark_moved(event: &v1::Event) -> Option<v1::MarkMoved> {
    match &event.change {
        Some(Change::MarkMoved(moved)) => Some(*moved),
        _ => None,
    }
}

fn message_event(event: &v1::Event) -> Option<v1::Event> {
    text_of(event).map(|_| event.clone())
}

#[tokio::test]
async fn strangers_exchange_their_first_messages() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach_in_json(&server, &ben).await;

    let sent = at_ann.tell(&ben, "hello, you do not know me").await;
    assert!(!sent.duplicate && sent.seq > 0 && sent.ordinal == 1);
    let got = at_ben.event(message_event).await;
    assert_eq!(text_of(&got), Some("hello, you do not know me"));
    assert_eq!((got.author, got.seq, got.n, &got.cid), (ann.id(), sent.seq, sent.n, &sent.cid));

    let answered = at_ben.tell(&ann, "now I do").await;
    assert_eq!(answered.cid, sent.cid, "both name the same conversation");
    let back = at_ann.event(message_event).await;
    assert_eq!((text_of(&back), back.seq), (Some("now I do"), sent.seq + 1));

    for (client, peer) in [(&mut at_ann, &ben), (&mut at_ben, &ann)] {
        let head = client.head(&sent.cid).await;
        assert_eq!((head.kind(), head.peer, head.ordinal), (v1::ConversationKind::Direct, peer.id(), 2));
        let words: Vec<_> = client
            .whole_history(&sent.cid)
            .await
            .iter()
            .filter_map(|e| text_of(e).map(str::to_owned))
            .collect();
        assert_eq!(words, ["hello, you do not know me", "now I do"]);
    }
}

#[tokio::test]
async fn every_device_of_both_learns_of_a_message() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let ann_too = ann.on_another_device(&server).await;
    let ben_too = ben.on_another_device(&server).await;
    let mut sender = Client::attach(&server, &ann).await;
    let mut others = vec![
        Client::attach(&server, &ann_too).await,
        Client::attach_in_json(&server, &ben).await,
        Client::attach(&server, &ben_too).await,
    ];
    for round in 1..=5 {
        let sent = sender.tell(&ben, &format!("message {round}")).await;
        for other in &mut others {
            let got = other.event(message_event).await;
            assert_eq!((got.seq, got.n, got.author), (sent.seq, sent.n, ann.id()));
        }
    }
    let pushed = sender.drain().await;
    let echoed = pushed.iter().any(|frame| matches!(frame, Frame::Event(event) if text_of(event).is_some()));
    assert!(!echoed, "the sending session learns by its answer alone: {pushed:?}");
}

#[tokio::test]
async fn marks_and_unread_agree_on_all_devices() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let ben_too = ben.on_another_device(&server).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let mut at_ben_too = Client::attach(&server, &ben_too).await;

    let mut seqs = Vec::new();
    let mut cid = Bytes::new();
    for round in 0..10 {
        let sent = at_ann.tell(&ben, &format!("message {round}")).await;
        seqs.push(sent.seq);
        cid = sent.cid;
    }
    for (read, unread) in [(None, 10), (Some(3), 6), (Some(9), 0)] {
        if let Some(index) = read {
            let seq: u64 = seqs[index];
            at_ben.read_up_to(&cid, seq).await.expect("it can be read");
            let own = at_ben_too.event(mark_moved).await;
            assert_eq!((own.member, own.seq), (ben.id(), seq), "the own other device learns of it");
            let receipt = at_ann.event(mark_moved).await;
            assert_eq!((receipt.member, receipt.seq), (ben.id(), seq), "the peer gets the receipt");
            assert_eq!(at_ann.head(&cid).await.peer_mark, seq);
        }
        for device in [&mut at_ben, &mut at_ben_too] {
            assert_eq!(device.head(&cid).await.unread, unread);
        }
        assert_eq!(at_ann.head(&cid).await.unread, 0, "own messages are not unread");
    }
    // A mark does not go back, and what is new counts from it.
    at_ben.read_up_to(&cid, seqs[2]).await.expect("an older mark is no error");
    at_ann.tell(&ben, "one more").await;
    for device in [&mut at_ben, &mut at_ben_too] {
        let head = device.head(&cid).await;
        assert_eq!((head.unread, head.mark), (1, seqs[9]));
    }
}

/// The session that acts learns by its answer of its own message alone; of all else it did it gets the
/// event, which says what the answer does not: where a mark leaves the unread, who was there already.
#[tokio::test]
async fn a_session_is_told_of_its_own_marks_and_changes_but_not_of_its_own_messages() {
    let server = Server::start().await;
    let [ann, ben, cat] = Person::register_all(&server, ["ann", "ben", "cat"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let cid = at_ann.create_group("a group", &[&ben], true).await;
    let first = at_ann.say(&cid, "one").await.expect("a member says something");
    at_ann.say(&cid, "two").await.expect("a member says something");
    at_ben.event(|event| (text_of(event) == Some("two")).then_some(())).await;

    at_ben.read_up_to(&cid, first.seq).await.expect("a mark inside");
    let moved = at_ben.event(mark_moved).await;
    assert_eq!((moved.member, moved.seq, moved.ordinal), (ben.id(), first.seq, 1));
    at_ann.rename(&cid, "a better name").await.expect("the owner renames");
    let renamed =
        at_ann.event(|event| matches!(event.change, Some(Change::Renamed(_))).then_some(event.n)).await;
    at_ann.add(&cid, &[&cat]).await.expect("a member adds somebody");
    let added =
        at_ann.event(|event| matches!(event.change, Some(Change::MembersAdded(_))).then_some(event.n)).await;
    assert!(added > renamed);
    let own = |frame: &Frame| matches!(frame, Frame::Event(event) if text_of(event).is_some()).then_some(());
    assert!(at_ann.kept(&own).is_none(), "its own messages it knows already");
}

#[tokio::test]
async fn concurrent_senders_share_one_order_without_gaps() {
    const SENDERS: usize = 6;
    const EACH: usize = 40;
    let server = Server::start().await;
    let people =
        Person::register_all(&server, ["zero", "one", "two", "three", "four", "five", "reader"]).await;
    let reader = &people[SENDERS];
    let mut creator = Client::attach(&server, &people[0]).await;
    let others: Vec<_> = people[1..].iter().collect();
    let cid = creator.create_group("crowd", &others, true).await;
    let mut at_reader = Client::attach(&server, reader).await;

    let mut tasks = JoinSet::new();
    for person in &people[..SENDERS] {
        let (mut client, cid) = (Client::attach(&server, person).await, cid.clone());
        tasks.spawn(async move {
            let mut seqs = Vec::new();
            for count in 0..EACH {
                seqs.push(client.say(&cid, &format!("{count}")).await.expect("it is accepted").seq);
            }
            seqs
        });
    }
    let mut acknowledged = BTreeSet::new();
    for seqs in within("everybody has sent", tasks.join_all()).await {
        assert!(seqs.is_sorted(), "one's own messages keep their order");
        acknowledged.extend(seqs);
    }
    assert_eq!(acknowledged.len(), SENDERS * EACH, "no seq was given twice");

    let mut live = Vec::new();
    while live.len() < SENDERS * EACH {
        live.push(at_reader.event(message_event).await);
    }
    assert!(live.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "live: every seq, in order");
    assert!(live.windows(2).all(|pair| pair[1].ordinal == pair[0].ordinal + 1));
    assert!(live.iter().all(|event| acknowledged.contains(&event.seq)));
    let stored = at_reader.whole_history(&cid).await;
    assert!(stored.iter().enumerate().all(|(index, event)| event.seq == index as u64 + 1), "stored: 1 to m");
    assert_eq!(at_reader.head(&cid).await.unread, (SENDERS * EACH) as u64);
}

#[tokio::test]
async fn requests_written_at_once_keep_their_order() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    let cid = client.tell(&ben, "first").await.cid;
    let mut ids = Vec::new();
    for round in 0..100 {
        let request = text(by_cid(&cid), client.mint(), &format!("{round}"));
        ids.push(client.begin(request).await);
    }
    for id in ids {
        client.answer(id).await.expect("it is accepted");
    }
    let words: Vec<_> =
        client.whole_history(&cid).await.iter().filter_map(|e| text_of(e).map(str::to_owned)).collect();
    let expected: Vec<_> =
        std::iter::once("first".to_owned()).chain((0..100).map(|round| round.to_string())).collect();
    assert_eq!(words, expected);
}

#[tokio::test]
async fn ones_own_conversation_reaches_ones_devices() {
    let server = Server::start().await;
    let ann = Person::register(&server, "ann").await;
    let ann_too = ann.on_another_device(&server).await;
    let mut first = Client::attach(&server, &ann).await;
    let mut second = Client::attach(&server, &ann_too).await;
    let sent = first.tell(&ann, "milk, bread").await;
    assert_eq!(second.event(message_event).await.cid, sent.cid);
    let head = second.head(&sent.cid).await;
    assert_eq!((head.kind(), head.unread), (v1::ConversationKind::Self_, 0));
}
