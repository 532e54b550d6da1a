//! Edits, one rule at a time: whose, until when, who is shown what, and what is remembered.

use anser_core::engine::{Accepted, Answer, Query};
use anser_core::storage::StoredFact;
use anser_model::limits::EDIT_WINDOW_MS;
use anser_model::{AccountId, Change, Intent, Message, N, Refusal, Rewrite, Seq, Timeline};

use crate::scene::{ADMIN, MEMBER, OTHER, OWNER, STRANGER, Scene, edit, text};
use crate::world::TIMELINE;

/// What a message said before, to somebody.
fn versions(scene: &mut Scene, account: AccountId, seq: Seq) -> (u32, Vec<String>) {
    let Answer::Versions(list) = scene.ask(Query::Versions { account, cid: scene.cid, seq }) else {
        panic!("versions")
    };
    (list.edits, list.versions.into_iter().map(|version| version.text).collect())
}

fn is_withheld(fact: &StoredFact) -> bool {
    fact.fact.rewritten.as_ref().is_some_and(|rewritten| rewritten.what == Rewrite::Withheld)
}

#[test]
fn one_s_own_message_says_something_else_and_remembers() {
    let mut scene = Scene::new();
    let first = scene.says(OWNER, "hello");
    let sent = Message { reply_to: Some(first), mentions: vec![OTHER], forwarded: true, ..text("teh") };
    let seq = scene.done(MEMBER, Intent::Send(sent.clone())).seq.expect("sequenced");
    let (unread, before) = (scene.unread(OTHER), scene.preview(OTHER).1);
    let client_id = scene.mint();
    let accepted = scene.with_id(MEMBER, client_id, edit(seq, "the")).expect("one's own");
    assert_eq!((accepted.seq, accepted.ordinal.0), (Some(seq.next()), 2), "a fact of its own, not counted");
    assert_eq!(scene.unread(OTHER), unread);
    let shown = scene.message_at(OTHER, seq);
    let due = Message { text: "the".into(), mentions: Vec::new(), ..sent };
    assert_eq!((shown.n, shown.fact.message()), (accepted.n, Some(&due)), "it still is the same reply");
    let (says, n) = scene.preview(OTHER);
    assert_eq!((says.as_str(), n > before), ("the", true));
    let event = scene.world.events.last().expect("it was told");
    let Change::Edited { seq: told, to_all: true, stands: Some(stands) } = &event.fact.fact.change else {
        panic!("{event:?}")
    };
    assert_eq!((*told, &stands.fact_text()[..], event.audience.len()), (seq, "the", 4));
    let at_itself = scene.message_at(OTHER, seq.next());
    assert!(matches!(at_itself.fact.change, Change::Edited { stands: None, .. }), "the page names it alone");

    scene.edits(MEMBER, seq, "they").expect("again");
    assert_eq!(versions(&mut scene, OTHER, seq), (2, vec!["teh".to_owned(), "the".to_owned()]));
    let again = scene.with_id(MEMBER, client_id, edit(seq, "the"));
    assert_eq!(again, Ok(Accepted { duplicate: true, ..accepted }), "what is remembered");
    assert_eq!(scene.with_id(MEMBER, client_id, edit(seq, "other")), Err(Refusal::ClientIdReused));
    assert_eq!(scene.text_at(OTHER, seq), "they");

    scene.recalls(ADMIN, seq).expect("an admin");
    assert_eq!(versions(&mut scene, MEMBER, seq), (0, Vec::new()), "a recall takes them all away");
    assert!(matches!(scene.edits(MEMBER, seq, "back"), Err(Refusal::NotAllowed(_))));
    assert_eq!(scene.text_at(MEMBER, seq), "");
}

trait Text {
    fn fact_text(&self) -> String;
}

impl Text for anser_model::ConversationFact {
    fn fact_text(&self) -> String {
        self.message().expect("a message").text.clone()
    }
}

#[test]
fn only_one_s_own_only_so_long_and_of_the_same_kind() {
    let mut scene = Scene::new();
    let seq = scene.says(MEMBER, "mine");
    for other in [OWNER, ADMIN, OTHER] {
        assert!(matches!(scene.edits(other, seq, "not yours"), Err(Refusal::NotAllowed(_))));
    }
    assert_eq!(scene.edits(STRANGER, seq, "x"), Err(Refusal::NotFound));
    for no_message in [Seq(1), Seq(99), Seq(0), Seq(u64::MAX)] {
        assert_eq!(scene.edits(MEMBER, no_message, "x"), Err(Refusal::NotFound));
    }
    let with = |message| Intent::Edit { seq, timeline: TIMELINE, message };
    let voice = with(Message { kind: "voice".into(), ..text("x") });
    assert!(matches!(scene.by(MEMBER, voice), Err(Refusal::WrongKind(_))));
    let foreign = Intent::Edit { seq, timeline: Timeline(TIMELINE.0 + 1), message: text("x") };
    assert_eq!(scene.by(MEMBER, foreign), Err(Refusal::ForeignTimeline));
    scene.wait(EDIT_WINDOW_MS - 600_000);
    assert!(scene.edits(MEMBER, seq, "in time").is_ok());
    scene.wait(600_001);
    let late = scene.edits(MEMBER, seq, "too late");
    assert!(matches!(late, Err(Refusal::EditTooLate { age_ms }) if age_ms > EDIT_WINDOW_MS), "{late:?}");
    scene.done(OWNER, Intent::RemoveMember(MEMBER));
    assert_eq!(scene.edits(MEMBER, seq, "x"), Err(Refusal::NoLongerMember));
    assert_eq!(scene.text_at(OWNER, seq), "in time");
}

#[test]
fn an_edit_is_shown_to_those_who_see_it_and_its_message() {
    let mut scene = Scene::new();
    let seq = scene.says(MEMBER, "first");
    scene.edits(MEMBER, seq, "second").expect("one's own");
    let told_before = scene.preview(OTHER).1;
    scene.done(OWNER, Intent::RemoveMember(OTHER));
    scene.done(OWNER, Intent::AddMembers(vec![STRANGER]));
    let by = scene.edits(MEMBER, seq, "third").expect("one's own").seq.expect("sequenced");

    // Who joined later is told that there was an edit, and not of what.
    let event = scene.world.events.last().expect("it was told");
    assert!(event.audience.contains(&STRANGER) && !event.audience.contains(&OTHER));
    assert!(
        matches!(event.fact.fact.change, Change::Edited { to_all: false, .. }),
        "so nobody is told the text"
    );
    let caller = Query::Versions { account: STRANGER, cid: scene.cid, seq };
    let slot = scene.world.key.slot(scene.cid);
    let caller = scene.world.query(slot, caller);
    scene.world.settle();
    assert_eq!(scene.world.answers.remove(&caller), Some(Err(Refusal::NotFound)));
    assert!(matches!(scene.message_at(STRANGER, by).fact.change, Change::Edited { stands: None, .. }));

    // Who left before holds what is void, learns that, and nothing else.
    let withheld = scene.message_at(OTHER, seq);
    assert!(is_withheld(&withheld) && withheld.fact.message() == Some(&text("")), "{withheld:?}");
    let (preview, n) = scene.preview(OTHER);
    assert!(preview.is_empty() && n > told_before, "{preview:?} {n}");
    assert_eq!(versions(&mut scene, OTHER, seq), (0, Vec::new()));

    // Who came back sees no more of it, until it is edited before its eyes.
    scene.done(OWNER, Intent::AddMembers(vec![OTHER]));
    assert!(is_withheld(&scene.message_at(OTHER, seq)));
    scene.edits(MEMBER, seq, "fourth").expect("one's own");
    assert_eq!(scene.text_at(OTHER, seq), "fourth");
    let seen = versions(&mut scene, OTHER, seq);
    assert_eq!(seen, (3, vec!["first".to_owned(), "second".to_owned()]), "without what it said meanwhile");
    let all = ["first", "second", "third"].map(str::to_owned).to_vec();
    assert_eq!(versions(&mut scene, OWNER, seq), (3, all));
}

#[test]
fn an_edit_of_an_old_message_goes_before_the_stores_and_survives_a_crash() {
    let mut scene = Scene::new();
    let seq = scene.says(ADMIN, "old words");
    (0..60).for_each(|_| {
        scene.says(MEMBER, "more");
    });
    scene.edits(ADMIN, seq, "new words").expect("one's own");
    let slot = scene.world.key.slot(scene.cid);
    for _ in 0..2 {
        assert_eq!(scene.text_at(MEMBER, seq), "new words");
        assert_eq!(versions(&mut scene, MEMBER, seq), (1, vec!["old words".to_owned()]));
        let page = Query::Page {
            account: MEMBER,
            cid: scene.cid,
            after: Some(Seq(seq.0 - 1)),
            before: Some(seq.next()),
            changed_after: N(seq.0 + 2),
            limit: 1,
        };
        let Answer::Page(page) = scene.ask(page) else { panic!("a page") };
        assert_eq!(page.facts.len(), 1, "it changed since it was sent");
        scene.world.crash(slot);
    }
    scene.recalls(ADMIN, seq).expect("an admin");
    for said in ["old words", "new words"] {
        let left = scene.world.durable[&slot].stored().any(|bytes| contains(bytes, said.as_bytes()));
        assert!(!left, "{said} is in no store any more");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_reply_names_what_its_author_sees() {
    let mut scene = Scene::new();
    let seq = scene.says(OWNER, "before");
    let to = |seq| Intent::Send(Message { reply_to: Some(seq), ..text("re") });
    scene.done(OWNER, Intent::AddMembers(vec![STRANGER]));
    let after = scene.says(OWNER, "after");
    for unseen in [seq, Seq(1), Seq(0), after.next(), Seq(u64::MAX)] {
        assert_eq!(scene.by(STRANGER, to(unseen)), Err(Refusal::NothingToReplyTo(unseen)));
    }
    assert!(scene.by(STRANGER, to(after)).is_ok());
    assert!(scene.by(MEMBER, to(seq)).is_ok());
}
