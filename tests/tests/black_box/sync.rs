//! Sync: what a device that was away is told, whatever happened to it and to the server meanwhile.

use std::collections::BTreeMap;

use anser_proto::v1;
use anser_tests::client::Synced;
use anser_tests::conversation::text_of;
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

fn since(person: &Person, cursor: &v1::Cursor) -> v1::Hello {
    v1::Hello { cursor: Some(cursor.clone()), ..Client::hello(&person.token) }
}

fn cids(synced: &Synced) -> Vec<Bytes> {
    let mut cids: Vec<_> = synced.heads.iter().map(|head| head.cid.clone()).collect();
    cids.sort();
    cids
}

#[tokio::test]
async fn a_cursor_brings_only_what_changed() {
    let server = Server::start().await;
    let [ann, ben, cem] = Person::register_all(&server, ["ann", "ben", "cem"]).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let mut at_cem = Client::attach(&server, &cem).await;
    let with_ben = at_ben.tell(&ann, "one").await.cid;
    let with_cem = at_cem.tell(&ann, "two").await.cid;

    let (_, all) = Client::attach_with(&server, Client::hello(&ann.token)).await;
    let mut both = vec![with_ben.clone(), with_cem];
    both.sort();
    assert_eq!(cids(&all), both);
    let (_, nothing) = Client::attach_with(&server, since(&ann, &all.cursor)).await;
    assert_eq!(nothing.heads, []);

    at_ben.tell(&ann, "three").await;
    let (mut client, changed) = Client::attach_with(&server, since(&ann, &all.cursor)).await;
    assert_eq!(cids(&changed), std::slice::from_ref(&with_ben));
    assert_eq!(changed.heads[0].last_message.as_ref().and_then(text_of), Some("three"));
    assert_eq!(changed.heads[0].unread, 2);
    // The same on the connection, as after a resync.
    assert_eq!(cids(&client.sync(all.cursor).await), std::slice::from_ref(&with_ben));
    assert_eq!(client.sync(changed.cursor).await.heads, []);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_counts_as_nothing() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    at_ben.tell(&ann, "one").await;
    let (_, all) = Client::attach_with(&server, Client::hello(&ann.token)).await;
    let foreign = v1::Cursor { timeline: all.cursor.timeline ^ 1, ..all.cursor.clone() };
    let mut ahead = all.cursor.clone();
    ahead.slots.values_mut().for_each(|n| *n += 1_000_000);
    for cursor in [foreign, ahead] {
        let (_, synced) = Client::attach_with(&server, since(&ann, &cursor)).await;
        assert_eq!(synced.heads, all.heads);
        assert_eq!(synced.cursor, all.cursor, "and the true place is told");
    }
}

#[tokio::test]
async fn an_absence_outlasts_kills_of_the_server() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let (_, mut before) = Client::attach_with(&server, Client::hello(&ann.token)).await;
    let mut cid = Bytes::new();
    for life in 1..=3_u64 {
        let mut at_ben = Client::attach(&server, &ben).await;
        for round in 1..=20 {
            cid = at_ben.tell(&ann, &format!("life {life}, message {round}")).await.cid;
        }
        server.kill().await;
        server.start_again().await;
        let (mut client, synced) = Client::attach_with(&server, since(&ann, &before.cursor)).await;
        assert_eq!(synced.heads.len(), 1);
        let head = &synced.heads[0];
        assert_eq!((&head.cid, head.unread, head.ordinal), (&cid, 20 * life, 20 * life));
        assert_eq!(*head, client.head(&cid).await, "sync equals a fresh load");
        let history = client.whole_history(&cid).await;
        assert_eq!(history.iter().filter(|event| text_of(event).is_some()).count() as u64, 20 * life);
        assert!(history.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
        assert_eq!(before.cursor.timeline, synced.cursor.timeline);
        before = synced;
    }
}

#[tokio::test]
async fn events_go_on_where_the_heads_end() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let cid = at_ben.tell(&ann, "0").await.cid;
    // Attach again and again while messages come in: each is in the head or comes as an event.
    let mut sent = 1;
    for _ in 0..10 {
        let mut asked = Vec::new();
        for _ in 0..5 {
            let request = anser_tests::conversation::text(
                anser_tests::conversation::by_cid(&cid),
                at_ben.mint(),
                &sent.to_string(),
            );
            asked.push(at_ben.begin(request).await);
            sent += 1;
        }
        let (mut client, synced) = Client::attach_with(&server, Client::hello(&ann.token)).await;
        let mut last = 0;
        for id in asked {
            match at_ben.answer(id).await.expect("it is accepted") {
                v1::response::Result::Accepted(accepted) => last = accepted.seq,
                other => panic!("a send was answered {other:?}"),
            }
        }
        let mut seq = synced.heads[0].seq;
        while seq < last {
            let next = client.event(|event| Some(event.seq)).await;
            assert_eq!(next, seq + 1, "nothing is missing, and nothing comes twice");
            seq = next;
        }
    }
}

#[tokio::test]
async fn a_resume_ticket_attaches_without_a_token() {
    let mut server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let (first, synced) = Client::attach_with(&server, Client::hello(&ann.token)).await;
    let ticket = first.welcome.resume_ticket.clone();
    drop(first);
    let mut at_ben = Client::attach(&server, &ben).await;
    at_ben.tell(&ann, "while you were away").await;
    for _ in 0..2 {
        let hello = v1::Hello { cursor: Some(synced.cursor.clone()), ..Client::hello(&ticket) };
        let (again, changed) = Client::attach_with(&server, hello).await;
        assert_eq!((again.welcome.account, again.welcome.device), (ann.id(), ann.device));
        assert_eq!(changed.heads.len(), 1);
        server.kill().await;
        server.start_again().await;
    }
}

#[tokio::test]
async fn send_only_gets_answers_and_nothing_else() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ben = Client::attach(&server, &ben).await;
    let hello = v1::Hello { send_only: true, ..Client::hello(&ann.token) };
    let (mut tool, synced) = Client::attach_with(&server, hello).await;
    assert!(synced.heads.is_empty() && tool.welcome.owing.is_empty());
    let cid = tool.tell(&ben, "from a tool").await.cid;
    at_ben.tell(&ann, "thank you").await;
    tool.page(&cid, 0, 10).await.expect("requests work");
    let pushed = tool.drain().await;
    assert!(pushed.is_empty(), "{pushed:?}");
}

/// A small generator, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // Steele and Vigna, SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// A device that is away most of the time and keeps the newest head of each conversation.
#[derive(Default)]
struct Cache {
    heads: BTreeMap<Bytes, v1::Head>,
    cursor: v1::Cursor,
}

impl Cache {
    fn take(&mut self, synced: Synced) {
        for head in synced.heads {
            let is_newer = self.heads.get(&head.cid).is_none_or(|known| known.n <= head.n);
            if is_newer {
                self.heads.insert(head.cid.clone(), head);
            }
        }
        self.cursor.timeline = synced.cursor.timeline;
        self.cursor.slots.extend(synced.cursor.slots);
    }
}

#[tokio::test]
async fn sync_equals_a_fresh_load_after_random_activity() {
    const ROUNDS: usize = 12;
    const STEPS: usize = 40;
    let mut server = Server::start().await;
    let people = Person::register_all(&server, ["ann", "ben", "cem", "dia", "eve"]).await;
    let mut caches: Vec<Cache> = people.iter().map(|_| Cache::default()).collect();
    let mut dice = Dice(7);
    let mut groups: Vec<Bytes> = Vec::new();
    for round in 0..ROUNDS {
        let mut clients = Vec::new();
        for person in &people {
            clients.push(Client::attach(&server, person).await);
        }
        for step in 0..STEPS {
            act(&mut dice, &people, &mut clients, &mut groups, &format!("{round}.{step}")).await;
        }
        drop(clients);
        match round % 4 {
            1 => server.kill().await,
            3 => server.stop().await,
            _ => {}
        }
        if round % 2 == 1 {
            server.start_again().await;
        }
        for (person, cache) in people.iter().zip(&mut caches) {
            if dice.below(3) == 0 && round + 1 < ROUNDS {
                continue; // Away a little longer.
            }
            let (mut client, synced) = Client::attach_with(&server, since(person, &cache.cursor)).await;
            cache.take(synced);
            let fresh =
                client.conversations().await.into_iter().map(|head| (head.cid.clone(), head)).collect();
            assert_eq!(cache.heads, fresh, "{} after round {round}", person.handle);
        }
    }
}

async fn act(
    dice: &mut Dice,
    people: &[Person],
    clients: &mut [Client],
    groups: &mut Vec<Bytes>,
    words: &str,
) {
    let who = dice.below(people.len());
    let other = &people[dice.below(people.len())];
    let client = &mut clients[who];
    if groups.is_empty() || dice.below(20) == 0 {
        groups.push(client.create_group(words, &[other], dice.below(2) == 0).await);
        return;
    }
    let cid = groups[dice.below(groups.len())].clone();
    // Whether a group allows it depends on what happened before: a refusal is as good a step.
    match dice.below(9) {
        0 | 1 => _ = client.tell(other, words).await,
        2 | 3 => _ = client.say(&cid, words).await,
        4 => _ = client.add(&cid, &[other]).await,
        5 => _ = client.remove(&cid, other).await,
        6 => _ = client.leave(&cid).await,
        7 => _ = client.rename(&cid, words).await,
        _ => {
            let heads = client.conversations().await;
            if let Some(head) = heads.get(dice.below(heads.len().max(1))) {
                _ = client.read_up_to(&head.cid, head.seq).await;
            }
        }
    }
}
