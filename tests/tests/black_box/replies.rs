//! Replies and what is passed on: a reply names what its author sees, and the mark of a forward is kept.

use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use anser_tests::conversation::by_cid;
use anser_tests::{Client, Person, Server};
use bytes::Bytes;

fn reply(client: &mut Client, cid: &Bytes, reply_to: u64) -> Request {
    let message = Some(v1::Message { reply_to, ..v1::Message::text("re") });
    Request::Send(v1::Send { to: by_cid(cid), client_id: client.mint(), message })
}

#[tokio::test]
async fn a_reply_names_what_its_author_sees() {
    let server = Server::start().await;
    let [owner, new] = Person::register_all(&server, ["owner", "newcomer"]).await;
    let mut at_owner = Client::attach(&server, &owner).await;
    let mut at_new = Client::attach(&server, &new).await;
    let cid = at_owner.create_group("harbour", &[], false).await;
    let early = at_owner.say(&cid, "early").await.expect("a member").seq;
    at_owner.add(&cid, &[&new]).await.expect("a member may");
    let late = at_owner.say(&cid, "late").await.expect("a member").seq;
    for unseen in [early, late + 1, u64::MAX] {
        let request = reply(&mut at_new, &cid, unseen);
        let error = at_new.command(request).await.expect_err("it cannot see that");
        assert_eq!(error.code, "not_found");
        assert!(error.message.starts_with(&format!("reply_to: there is no seq {unseen}")), "{error:?}");
    }
    let request = reply(&mut at_new, &cid, late);
    let seq = at_new.command(request).await.expect("it sees that").seq;
    assert_eq!(at_owner.message(&cid, seq).await.reply_to, late);
    let request = reply(&mut at_owner, &cid, early);
    assert!(at_owner.command(request).await.is_ok());
    let nothing_yet = v1::Message { reply_to: 1, ..v1::Message::text("re") };
    let to = Some(v1::Target::peer(new.account));
    let request = Request::Send(v1::Send { to, client_id: at_owner.mint(), message: Some(nothing_yet) });
    assert_eq!(at_owner.command(request).await.expect_err("nothing is there").code, "not_found");
}

#[tokio::test]
async fn what_is_passed_on_says_so() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut at_ann = Client::attach(&server, &ann).await;
    let mut at_ben = Client::attach_in_json(&server, &ben).await;
    let passed_on = v1::Message { forwarded: true, ..v1::Message::text("heard it elsewhere") };
    let to = Some(v1::Target::peer(ben.account));
    let send = v1::Send { to, client_id: at_ann.mint(), message: Some(passed_on.clone()) };
    let sent = at_ann.command(Request::Send(send.clone())).await.expect("it is accepted");
    assert_eq!(at_ben.message(&sent.cid, sent.seq).await, passed_on);
    let not_so = Some(v1::Message { forwarded: false, ..passed_on });
    let error = at_ann.command(Request::Send(v1::Send { message: not_so, ..send })).await;
    assert_eq!(error.expect_err("another request").code, "client_id_reused");
}
