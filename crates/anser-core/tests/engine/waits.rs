//! What a command waits for before it is decided, and how long others wait behind it.

use anser_core::engine::{Answer, PARKED_MS, RECENT_FACTS_KEPT};
use anser_model::{Intent, Refusal};

use crate::scene::{MEMBER, OTHER, Scene, text};

fn say(what: &str) -> Intent {
    Intent::Send(text(what))
}

#[test]
fn what_is_minted_in_one_millisecond_costs_no_look_into_the_history() {
    let mut scene = Scene::new();
    let old = scene.mint();
    scene.with_id(MEMBER, old, say("first")).expect("a member speaks");
    // As many as fit into memory are of others, and their clocks say what they like.
    for at in 0..=RECENT_FACTS_KEPT {
        scene.says(OTHER, &at.to_string());
    }
    let (one, two, three) = (scene.mint(), scene.mint(), scene.mint());
    assert_eq!(one.minted_at(), three.minted_at());
    for id in [one, two] {
        assert!(!scene.with_id(MEMBER, id, say("at once")).expect("a member speaks").duplicate);
    }
    assert!(scene.with_id(MEMBER, one, say("at once")).expect("it was done").duplicate);
    assert_eq!(scene.world.keys_asked, 0);
    assert!(scene.with_id(MEMBER, old, say("first")).expect("it was done").duplicate);
    assert_eq!(scene.world.keys_asked, 1, "only the history knows");
    let slot = scene.world.key.slot(scene.cid);
    scene.world.crash(slot);
    assert!(!scene.with_id(MEMBER, three, say("at once")).expect("a member speaks").duplicate);
    assert_eq!(
        scene.world.keys_asked, 2,
        "an owner that has just come holds nothing of what was done before"
    );
    assert!(scene.with_id(MEMBER, two, say("at once")).expect("it was done").duplicate);
    assert_eq!(scene.world.keys_asked, 3);
}

#[test]
fn nobody_waits_behind_a_first_that_waits_for_long() {
    let mut scene = Scene::new();
    let old = scene.mint();
    scene.with_id(MEMBER, old, say("first")).expect("a member speaks");
    for at in 0..=RECENT_FACTS_KEPT {
        scene.says(MEMBER, &at.to_string());
    }
    let first = scene.begins(MEMBER, old, say("first"));
    scene.world.feed_all();
    let new = scene.mint();
    scene.wait(PARKED_MS);
    let second = scene.begins(OTHER, new, say("behind it"));
    scene.world.feed_all();
    assert!(scene.world.answers.is_empty(), "both wait for the history");
    scene.wait(1);
    let new = scene.mint();
    let third = scene.begins(OTHER, new, say("too late"));
    scene.world.feed_all();
    assert_eq!(scene.world.answers.remove(&third), Some(Err(Refusal::Overloaded)));
    scene.world.settle();
    for (caller, is_duplicate) in [(first, true), (second, false)] {
        let answer = scene.world.answers.remove(&caller);
        let Some(Ok(Answer::Accepted(accepted))) = answer else { panic!("not accepted: {answer:?}") };
        assert_eq!(accepted.duplicate, is_duplicate);
    }
}
