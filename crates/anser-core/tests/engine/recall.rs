//! Recalls, one rule at a time: who may, until when, and what is left.

use anser_core::engine::{Accepted, Answer, Query};
use anser_model::limits::RECALL_WINDOW_MS;
use anser_model::{
    AccountId, Actor, Change, Command, ConversationId, DeviceId, Intent, Message, N, Refusal, Role, Seq,
    Timeline,
};

use crate::scene::{ADMIN, MEMBER, OTHER, OWNER, STRANGER, Scene};
use crate::world::TIMELINE;

#[test]
fn one_s_own_message_within_the_window() {
    let mut scene = Scene::new();
    let seq = scene.says(MEMBER, "mine");
    let unread = scene.unread(OTHER);
    let client_id = scene.mint();
    let recall = || Intent::Recall { seq, timeline: TIMELINE };
    let accepted = scene.with_id(MEMBER, client_id, recall()).expect("one's own");
    assert_eq!((accepted.seq, accepted.ordinal.0), (Some(seq.next()), 1), "a fact of its own, not counted");
    assert_eq!(scene.unread(OTHER), unread, "recalled messages stay counted");
    assert_eq!((scene.text_at(OTHER, seq), scene.preview(OTHER).0), (String::new(), String::new()));
    // Again, whatever happened meanwhile: what is remembered.
    scene.wait(RECALL_WINDOW_MS);
    let again = scene.with_id(MEMBER, client_id, recall());
    assert_eq!(again, Ok(Accepted { duplicate: true, ..accepted }));
    let event = scene.world.events.last().expect("it was told");
    assert!(matches!(&event.fact.fact.change, Change::Recalled { stands } if stands.seq == Some(seq)));
    assert_eq!(event.audience[..], [OWNER, ADMIN, MEMBER, OTHER]);
}

#[test]
fn the_send_of_a_recalled_message_is_remembered_as_it_was() {
    let mut scene = Scene::new();
    let client_id = scene.mint();
    let send = || Intent::Send(Message { kind: "text".into(), text: "mine".into(), ..Message::default() });
    let sent = scene.with_id(MEMBER, client_id, send()).expect("a member speaks");
    scene.recalls(MEMBER, sent.seq.expect("sequenced")).expect("one's own");
    assert_eq!(scene.with_id(MEMBER, client_id, send()), Ok(Accepted { duplicate: true, ..sent }));
    let other = Intent::Send(Message { kind: "text".into(), text: "other".into(), ..Message::default() });
    assert_eq!(scene.with_id(MEMBER, client_id, other), Err(Refusal::ClientIdReused));
}

#[test]
fn too_late_for_the_author_but_not_for_an_admin() {
    let mut scene = Scene::new();
    let seq = scene.says(MEMBER, "old");
    scene.wait(RECALL_WINDOW_MS + 1);
    assert!(
        matches!(scene.recalls(MEMBER, seq), Err(Refusal::RecallTooLate { age_ms }) if age_ms > RECALL_WINDOW_MS)
    );
    assert_eq!(scene.text_at(MEMBER, seq), "old");
    assert!(scene.recalls(ADMIN, seq).is_ok());
    let own = scene.says(OWNER, "older");
    scene.wait(RECALL_WINDOW_MS + 1);
    assert!(scene.recalls(OWNER, own).is_ok(), "the owner's own message as well");
}

#[test]
fn somebody_else_s_message_is_for_admins_of_groups() {
    let mut scene = Scene::new();
    let seq = scene.says(OWNER, "not yours");
    assert!(matches!(scene.recalls(MEMBER, seq), Err(Refusal::NotAllowed(_))));
    assert!(scene.recalls(ADMIN, seq).is_ok(), "even the owner's");
    assert!(matches!(scene.recalls(OWNER, seq), Err(Refusal::NotAllowed(_))), "it was recalled already");
    assert!(matches!(scene.recalls(ADMIN, seq), Err(Refusal::NotAllowed(_))), "under another client id");
}

#[test]
fn in_a_direct_conversation_each_recalls_its_own() {
    let mut scene = Scene::new();
    scene.cid = ConversationId::direct(MEMBER, OTHER);
    let actor = Actor { account: MEMBER, device: DeviceId(1), profile_version: 1 };
    let client_id = Some(scene.mint());
    let message = Message { kind: "text".into(), text: "hello".into(), ..Message::default() };
    let send = Command { actor, cid: scene.cid, peer: Some(OTHER), client_id, intent: Intent::Send(message) };
    scene.world.command(send);
    scene.world.settle();
    assert!(matches!(scene.recalls(OTHER, Seq(2)), Err(Refusal::NotAllowed(_))));
    assert_eq!(scene.recalls(STRANGER, Seq(2)), Err(Refusal::NotFound));
    assert!(scene.recalls(MEMBER, Seq(2)).is_ok());
}

#[test]
fn what_is_no_message_and_what_is_not_seen_are_told_alike() {
    let mut scene = Scene::new();
    let seq = scene.says(OWNER, "before");
    scene.done(OWNER, Intent::AddMembers(vec![STRANGER]));
    scene.done(OWNER, Intent::SetRole { member: STRANGER, role: Role::Admin });
    for hidden in [seq, Seq(1), Seq(99), Seq(0), Seq(u64::MAX)] {
        assert_eq!(
            scene.recalls(STRANGER, hidden),
            Err(Refusal::NotFound),
            "{hidden}: no history for newcomers"
        );
    }
    assert_eq!(scene.recalls(OWNER, Seq(2)), Err(Refusal::NotFound), "no message");
    assert_eq!(scene.recalls(AccountId(8), seq), Err(Refusal::NotFound), "no member");
    scene.done(OWNER, Intent::RemoveMember(OTHER));
    assert_eq!(scene.recalls(OTHER, seq), Err(Refusal::NoLongerMember));
    let foreign = Intent::Recall { seq, timeline: Timeline(TIMELINE.0 + 1) };
    assert_eq!(scene.by(OWNER, foreign), Err(Refusal::ForeignTimeline));
    assert_eq!(scene.text_at(OWNER, seq), "before");
}

#[test]
fn a_former_member_loses_the_body_and_is_told_so() {
    let mut scene = Scene::new();
    let early = scene.says(OWNER, "early");
    scene.done(OWNER, Intent::AddMembers(vec![STRANGER]));
    let seq = scene.says(OWNER, "late");
    scene.done(OWNER, Intent::RemoveMember(OTHER));
    scene.done(OWNER, Intent::RemoveMember(STRANGER));
    scene.says(OWNER, "after");
    let (text, before) = scene.preview(OTHER);
    assert_eq!(text, "late");
    scene.recalls(ADMIN, seq).expect("an admin");
    for former in [OTHER, STRANGER] {
        let (text, n) = scene.preview(former);
        assert!(text.is_empty() && n > before, "the tombstone of {former} changed: {text} {n}");
        assert_eq!(scene.text_at(former, seq), "");
    }
    let untouched = scene.preview(STRANGER).1;
    scene.recalls(ADMIN, early).expect("an admin");
    assert_eq!(scene.preview(STRANGER).1, untouched, "who never saw it learns nothing");
    assert!(scene.preview(OTHER).1 > untouched, "who did is told");
    assert_eq!(scene.text_at(OTHER, early), "");
    let told = scene.world.events.iter().rev().take(2);
    assert!(told.into_iter().all(|event| !event.audience.contains(&OTHER)), "but not of who did it and when");
}

#[test]
fn an_old_message_is_recalled_before_the_stores_hear_of_it_and_after_a_crash() {
    let mut scene = Scene::new();
    let seq = scene.says(ADMIN, "old");
    (0..60).for_each(|_| {
        scene.says(MEMBER, "more");
    });
    let slot = scene.world.key.slot(scene.cid);
    let actor = Actor { account: ADMIN, device: DeviceId(1), profile_version: 1 };
    let client_id = Some(scene.mint());
    let intent = Intent::Recall { seq, timeline: TIMELINE };
    let caller = scene.world.command(Command { actor, cid: scene.cid, peer: None, client_id, intent });
    // No tick, so no flush: the recall lives in the log and in memory alone.
    while !scene.world.answers.contains_key(&caller) {
        assert!(scene.world.step(), "it comes to an answer");
    }
    assert!(scene.world.answers[&caller].is_ok());
    let (account, cid) = (MEMBER, scene.cid);
    let (after, before) = (Some(Seq(seq.0 - 1)), Some(seq.next()));
    let page = Query::Page { account, cid, after, before, changed_after: N(0), limit: 1 };
    let caller = scene.world.query(slot, page);
    while !scene.world.answers.contains_key(&caller) {
        assert!(scene.world.step(), "it comes to an answer");
    }
    let Some(Ok(Answer::Page(page))) = scene.world.answers.remove(&caller) else { panic!("a page") };
    assert!(page.facts[0].fact.is_recalled(), "memory goes before the stores");
    assert!(scene.world.durable[&slot].stored().any(contains_old), "which have not heard of it");
    scene.world.crash(slot);
    assert_eq!(scene.text_at(MEMBER, seq), "", "the tail is read back");
    assert!(!scene.world.durable[&slot].stored().any(contains_old), "and folded");
    scene.world.crash(slot);
    assert_eq!(scene.text_at(MEMBER, seq), "");
}

fn contains_old(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|window| window == b"old")
}
