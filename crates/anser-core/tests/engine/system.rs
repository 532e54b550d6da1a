//! The system account: heard in groups without being a member, and allowed nothing else there.

use anser_core::engine::{Answer, Query};
use anser_model::{AccountId, Change, Intent, N, Refusal};

use crate::scene::{MEMBER, OWNER, STRANGER, Scene, text};

#[test]
fn the_system_speaks_in_a_group_that_it_has_left_and_does_nothing_else() {
    assert_eq!(OWNER, AccountId::SYSTEM, "it founds the groups of these scenes");
    let mut scene = Scene::new();
    scene.done(OWNER, Intent::Leave);
    let before = scene.unread(MEMBER);
    let own = scene.unread(OWNER);
    let seq = scene.says(OWNER, "maintenance at noon");
    assert_eq!(scene.text_at(MEMBER, seq), "maintenance at noon");
    assert_eq!(scene.unread(MEMBER), before + 1);
    assert_eq!(scene.unread(OWNER), own, "for a former member nothing moves on");
    assert_eq!(scene.by(OWNER, Intent::Rename("x".into())), Err(Refusal::NoLongerMember));
    assert_eq!(scene.by(OWNER, Intent::AddMembers(vec![STRANGER])), Err(Refusal::NoLongerMember));
    assert_eq!(scene.by(STRANGER, Intent::Send(text("me too"))), Err(Refusal::NotFound));
    // Found by examples/python/app_server.py: where it is no member, a repetition was said twice.
    let client_id = scene.mint();
    let say = || Intent::Send(text("once"));
    let first = scene.with_id(OWNER, client_id, say()).expect("it may");
    let again = scene.with_id(OWNER, client_id, say()).expect("it may");
    assert_eq!((first.seq, first.duplicate), (again.seq, false));
    assert!(again.duplicate);
    let other = scene.with_id(OWNER, client_id, Intent::Send(text("something else")));
    assert_eq!(other, Err(Refusal::ClientIdReused));
    // It may say more than it may read.
    let (cid, account) = (scene.cid, OWNER);
    let page = Query::Page { account, cid, after: None, before: None, changed_after: N(0), limit: 10 };
    let Answer::Page(page) = scene.ask(page) else { panic!("a page") };
    assert!(page.facts.iter().all(|fact| fact.fact.seq < Some(seq)));
    assert!(page.facts.iter().all(|fact| !matches!(fact.fact.change, Change::MessageSent(_))));
}
