//! Facts of every kind and release, written and read back.

use anser_model::{Rewrite, Rewritten, SeqRanges};

use super::*;

/// One of every kind, with every field set to something that shows.
fn one_of_each() -> Vec<Change> {
    let mut all = one_of_each_of_version_1();
    let sent = ConversationFact { seq: Some(Seq(11)), ..fact_of(all[1].clone()) };
    all.push(Change::Recalled { stands: Box::new(sent.without_body(N(30), Seq(12))) });
    let new = Message { text: "再见".into(), mention_all: true, ..Message::default() };
    let edited = sent.edited(&new, N(30), Seq(12), UnixMillis(1_800_000_000_001));
    all.push(Change::Edited { seq: Seq(11), to_all: true, stands: Some(Box::new(edited)) });
    all.push(Change::Edited { seq: Seq(11), to_all: false, stands: None });
    all.push(Change::MessageSent(Message { kind: "text".into(), forwarded: true, ..Message::default() }));
    all.extend(registers_and_settings());
    all
}

fn registers_and_settings() -> Vec<Change> {
    let member = AccountId(2);
    let ranges = SeqRanges::gather(&[(Seq(2), Seq(2)), (Seq(5), Seq(300))]);
    vec![
        Change::Dissolved,
        Change::AvatarSet { avatar: "a9-_".into() },
        Change::HistoryVisibleSet { visible: false },
        Change::DeliveredUpTo { member, seq: Seq(8) },
        Change::UnreadMarked { member, marked: true },
        Change::UnreadMarked { member, marked: false },
        Change::MessagesHidden { member, ranges },
        Change::HistoryCleared { member, seq: Seq(8), ordinal: Ordinal(5) },
        Change::Created {
            kind: ConversationKind::Channel,
            title: "公告".into(),
            members: vec![AccountId(3)],
            history_visible: false,
            avatar: "https://a.example/b.png".into(),
        },
    ]
}

fn one_of_each_of_version_1() -> Vec<Change> {
    vec![
        Change::Created {
            kind: ConversationKind::Group,
            title: "读书会 📚".into(),
            members: vec![AccountId(2), AccountId(u64::MAX)],
            history_visible: true,
            avatar: String::new(),
        },
        Change::MessageSent(Message {
            kind: "text".into(),
            text: "你好, world 👋".into(),
            body: Bytes::from_static(&[0, 255]),
            reply_to: Some(Seq(4)),
            mentions: vec![AccountId(9)],
            mention_all: true,
            uncounted: true,
            forwarded: false,
        }),
        Change::MembersAdded { members: vec![AccountId(3)], visible_from: Seq(1) },
        Change::MemberRemoved { member: AccountId(3), left: true, new_owner: Some(AccountId(2)) },
        Change::RoleSet { member: AccountId(2), role: Role::Admin },
        Change::Renamed { title: "Книга".into() },
        Change::ReadUpTo { member: AccountId(2), seq: Seq(8), ordinal: Ordinal(5) },
        Change::Entered { account: AccountId(2), slot: Slot(255) },
        Change::CredentialsRaised {
            account: AccountId(2),
            account_version: 3,
            device: Some((DeviceId(7), 4)),
            why: KickReason::Revoked,
        },
    ]
}

fn fact_of(change: Change) -> ConversationFact {
    let sequenced = change.is_sequenced();
    ConversationFact {
        cid: ConversationId([7; 16]),
        at: UnixMillis(1_800_000_000_000),
        author: AccountId(0x0102_0304_0506_0708),
        device: DeviceId(6),
        author_profile_version: 3,
        command: sequenced.then(|| CommandKey {
            client_id: ClientId::mint(UnixMillis(1_800_000_000_000), [5; 10]),
            request_hash: u64::MAX,
        }),
        seq: sequenced.then_some(Seq(12)),
        ordinal: Ordinal(10),
        rewritten: None,
        change,
    }
}

#[test]
fn every_fact_reads_back() {
    for change in one_of_each() {
        let fact = fact_of(change);
        assert_eq!(decode_fact(&encode_fact(&fact)), Ok(Fact::Conversation(fact)));
    }
    let opened = SlotFact::Opened { after: Reign(9), at: UnixMillis(5) };
    assert_eq!(decode_fact(&encode_slot_fact(&opened)), Ok(Fact::Slot(opened)));
    let closed = SlotFact::Closed { at: UnixMillis(6) };
    let recorded = encode_slot_fact(&closed);
    assert_eq!(decode_fact(&recorded), Ok(Fact::Slot(closed)));
    assert_eq!(recorded[..], [0x10, 6, 0xc8, 2, 1], "recorded so for ever");
}

#[test]
fn facts_of_every_release_stay_readable() {
    let hex = |fact: &ConversationFact| -> String {
        encode_fact(fact).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let check = |written: Vec<String>, golden: &str| {
        let written = written.join("\n");
        assert_eq!(written, golden.trim_end(), "the storage schema changed: readers of old logs break");
    };
    let first = one_of_each_of_version_1().into_iter().map(|change| hex(&fact_of(change)));
    check(first.collect(), include_str!("../../tests/golden/facts_v1.hex"));
    let later = &one_of_each()[one_of_each_of_version_1().len()..];
    let Change::Recalled { stands } = &later[0] else { panic!("the first of the later kinds") };
    let recall = vec![hex(&fact_of(later[0].clone())), hex(stands)];
    check(recall, include_str!("../../tests/golden/facts_recall.hex"));
    let Change::Edited { stands: Some(stands), .. } = &later[1] else { panic!("the second of them") };
    let edits = later[1..4].iter().map(|change| hex(&fact_of(change.clone()))).chain([hex(stands)]);
    check(edits.collect(), include_str!("../../tests/golden/facts_edit.hex"));
    let later = registers_and_settings().into_iter().map(|change| hex(&fact_of(change)));
    check(later.collect(), include_str!("../../tests/golden/facts_registers.hex"));
}

#[test]
fn a_recall_of_anything_but_a_message_is_impossible() {
    let sent = fact_of(one_of_each_of_version_1()[1].clone());
    let recalled = |stands: ConversationFact| {
        decode_fact(&encode_fact(&fact_of(Change::Recalled { stands: Box::new(stands) })))
    };
    assert!(recalled(sent.without_body(N(1), Seq(12))).is_ok());
    let renamed = fact_of(Change::Renamed { title: "a".into() });
    let note = || Some(Box::new(Rewritten { by: Seq(12), n: N(1), what: Rewrite::Recalled }));
    let marked = ConversationFact { rewritten: note(), ..renamed.clone() };
    let twice = fact_of(Change::Recalled { stands: Box::new(sent.without_body(N(1), Seq(12))) });
    let twice = ConversationFact { rewritten: note(), ..twice };
    let edited = sent.edited(&Message::default(), N(1), Seq(12), UnixMillis(1));
    for impossible in [sent, edited, renamed, marked.clone(), twice] {
        assert_eq!(recalled(impossible), Err(StorageError::Impossible("recall")));
    }
    assert_eq!(decode_fact(&encode_fact(&marked)), Err(StorageError::Impossible("rewrite")));
}

#[test]
fn an_edit_names_the_message_that_it_carries() {
    let sent = ConversationFact { seq: Some(Seq(11)), ..fact_of(one_of_each_of_version_1()[1].clone()) };
    let edited = sent.edited(&Message::default(), N(1), Seq(12), UnixMillis(1));
    let read = |seq, stands: &ConversationFact| {
        let stands = Some(Box::new(stands.clone()));
        decode_fact(&encode_fact(&fact_of(Change::Edited { seq: Seq(seq), to_all: true, stands })))
    };
    assert!(read(11, &edited).is_ok());
    let recalled = sent.without_body(N(1), Seq(12));
    for (seq, stands) in [(10, &edited), (0, &edited), (11, &sent), (11, &recalled)] {
        assert_eq!(read(seq, stands), Err(StorageError::Impossible("edit")), "{seq} {stands:?}");
    }
}

#[test]
fn an_edited_message_remembers_the_newest_of_what_it_said() {
    let said = |text: String| Message { kind: "text".into(), text, ..Message::default() };
    let edit =
        |fact: &ConversationFact, text: String, by| fact.edited(&said(text), N(1), Seq(by), UnixMillis(by));
    let mut fact = ConversationFact { seq: Some(Seq(1)), ..fact_of(Change::MessageSent(said("1".into()))) };
    for by in 2..=20u64 {
        fact = edit(&fact, by.to_string(), by);
    }
    let edits = fact.edits().expect("it was edited");
    let remembered: Vec<_> = edits.versions.iter().map(|it| (it.by.0, it.at.0, it.text.as_str())).collect();
    assert_eq!((edits.times, remembered.len(), fact.message().expect("one").text.as_str()), (19, 16, "20"));
    assert_eq!((remembered[0], remembered[15]), ((4, 4, "4"), (19, 19, "19")));
    for by in 21..=23 {
        fact = edit(&fact, "x".repeat(16 * 1024), by);
    }
    let bytes = |fact: &ConversationFact| -> Vec<usize> {
        fact.edits().expect("it was edited").versions.iter().map(|it| it.text.len()).collect()
    };
    fact = edit(&fact, "y".repeat(16 * 1024), 24);
    fact = edit(&fact, String::new(), 25);
    assert_eq!(bytes(&fact), [16 * 1024; 4], "64 KiB, and no byte of what is older");
    assert_eq!(fact.edits().expect("it was edited").times, 24);
    let gone = fact.without_body(N(1), Seq(26));
    assert!(gone.edits().is_none() && gone.is_recalled());
    assert!(encode_fact(&gone).len() < 200, "a recall takes all of it away");
}

#[test]
fn an_unknown_kind_is_named_and_unknown_fields_pass() {
    let mut bytes = encode_fact(&fact_of(Change::Renamed { title: "a".into() })).to_vec();
    bytes.extend_from_slice(&[0xf8, 0x3f, 1]); // field 1023, a later version's
    assert!(decode_fact(&bytes.into()).is_ok());
    assert_eq!(decode_fact(&Bytes::from_static(&[0xf8, 0x3f, 1])), Err(StorageError::UnknownKind));
}

#[test]
fn a_payload_splits_into_what_was_pushed() {
    let facts: Vec<Bytes> = one_of_each().into_iter().map(|c| encode_fact(&fact_of(c))).collect();
    let mut payload = Vec::new();
    facts.iter().for_each(|fact| push_fact(&mut payload, fact));
    assert_eq!(split_facts(&payload.clone().into()), Ok(facts));
    payload.pop();
    assert!(split_facts(&payload.into()).is_err());
}

#[test]
fn hidden_runs_that_no_writer_makes_are_impossible() {
    for flat in [&[][..], &[1], &[0, 1], &[3, 2], &[1, 2, 3, 4], &[5, 6, 1, 2], &[1, u64::MAX]] {
        let hidden = registers::MessagesHiddenSchema::of(2, flat);
        let schema = FactSchema {
            cid: Bytes::from_static(&[7; 16]),
            change: Some(ChangeSchema::MessagesHidden(hidden)),
            ..FactSchema::default()
        };
        let read = decode_fact(&schema.encode_to_vec().into());
        assert_eq!(read, Err(StorageError::Impossible("list of hidden runs")), "{flat:?}");
    }
}
