//! A polite stop under load: who was acknowledged finds it again, and everybody is told.

use std::collections::BTreeMap;

use anser_proto::v1::response::Result as Answer;
use anser_proto::v1::server_frame::Frame;
use anser_tests::conversation::{by_cid, text, text_of};
use anser_tests::{Client, Person, Server, within};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const SENDERS: usize = 4;
const UNDER_WAY: usize = 16;
const BEFORE_THE_STOP: usize = 400;

/// What one sender saw until its connection ended.
#[derive(Default)]
struct Seen {
    acknowledged: BTreeMap<u64, String>,
    draining: bool,
    close_code: Option<u16>,
}

/// Sends without end, so many requests at a time, until the server closes.
async fn send_until_closed(mut client: Client, cid: Bytes, name: usize, progress: mpsc::Sender<()>) -> Seen {
    let mut seen = Seen::default();
    let mut under_way = BTreeMap::new();
    let mut count = 0;
    loop {
        while under_way.len() < UNDER_WAY && !seen.draining {
            let words = format!("{name}: {count}");
            let id = client.begin(text(by_cid(&cid), client.mint(), &words)).await;
            under_way.insert(id, words);
            count += 1;
        }
        match client.next_frame().await {
            Some(Frame::Response(response)) => {
                let words = under_way.remove(&response.id).expect("an answer to what was asked");
                match response.result {
                    Some(Answer::Accepted(accepted)) => {
                        seen.acknowledged.insert(accepted.seq, words);
                        // The listener has heard enough at some time.
                        _ = progress.try_send(());
                    }
                    Some(Answer::Error(error)) => assert_eq!(error.code, "draining", "{}", error.message),
                    other => panic!("a send was answered {other:?}"),
                }
            }
            Some(Frame::Draining(draining)) => {
                assert!(draining.reconnect_after_ms > 0);
                seen.draining = true;
            }
            Some(_) => {}
            None => break,
        }
    }
    seen.close_code = client.close_code;
    seen
}

#[tokio::test]
async fn what_was_acknowledged_before_a_stop_is_there_after_it() {
    let mut server = Server::start().await;
    let people = Person::register_all(&server, ["one", "two", "three", "four"]).await;
    let mut creator = Client::attach(&server, &people[0]).await;
    let cid = creator.create_group("busy", &people[1..].iter().collect::<Vec<_>>(), true).await;
    let (progress, mut heard) = mpsc::channel(BEFORE_THE_STOP);
    let mut senders = JoinSet::new();
    for (name, person) in people.iter().enumerate() {
        let client = Client::attach(&server, person).await;
        senders.spawn(send_until_closed(client, cid.clone(), name, progress.clone()));
    }
    let listening = async {
        for _ in 0..BEFORE_THE_STOP {
            heard.recv().await.expect("somebody sends");
        }
    };
    within("there is load", listening).await;
    server.terminate();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), server.ended()).await;
    let status = ended.expect("it stops within 10 seconds");
    assert_eq!(status.code(), Some(0), "{}", server.stderr());
    let seen = within("every sender ends", senders.join_all()).await;
    assert_eq!(seen.len(), SENDERS);

    server.start_again().await;
    let mut client = Client::attach(&server, &people[0]).await;
    let history: BTreeMap<u64, String> = client
        .whole_history(&cid)
        .await
        .iter()
        .filter_map(|event| text_of(event).map(|words| (event.seq, words.to_owned())))
        .collect();
    for one in &seen {
        assert!(one.draining, "everybody is told to go");
        assert_eq!(one.close_code, Some(1001));
        for (seq, words) in &one.acknowledged {
            assert_eq!(history.get(seq), Some(words), "seq {seq} was acknowledged");
        }
    }
    let acknowledged: usize = seen.iter().map(|one| one.acknowledged.len()).sum();
    assert!(acknowledged >= BEFORE_THE_STOP);
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    let mut cid = Bytes::new();
    for life in 0..5 {
        let mut client = Client::attach(&server, &ann).await;
        cid = client.tell(&ben, &format!("life {life}")).await.cid;
        let mut under_way = Vec::new();
        for count in 0..60 {
            let words = format!("{life}: {count}");
            let id = client.begin(text(by_cid(&cid), client.mint(), &words)).await;
            under_way.push((id, words));
        }
        for (id, words) in under_way.into_iter().take(20 + life * 5) {
            match client.answer(id).await.expect("it is accepted") {
                Answer::Accepted(accepted) => acknowledged.insert(accepted.seq, words),
                other => panic!("a send was answered {other:?}"),
            };
        }
        server.kill().await;
        server.start_again().await;
    }
    let mut client = Client::attach(&server, &ann).await;
    let history = client.whole_history(&cid).await;
    assert!(history.iter().enumerate().all(|(index, event)| event.seq == index as u64 + 1), "1 to m");
    for (seq, words) in acknowledged {
        assert_eq!(text_of(&history[seq as usize - 1]), Some(words.as_str()));
    }
}
