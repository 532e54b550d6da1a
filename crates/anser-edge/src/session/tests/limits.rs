//! Slow readers, missed events, revocation.

use super::super::{QUEUE_BYTES_FATAL, QUEUE_BYTES_MAX};
use super::*;
use crate::deliver;

#[test]
fn a_slow_reader_is_told_once_to_resync_and_gets_no_events_until_it_has() {
    let mut rig = Rig::attached(&[]);
    for n in 1..=10 {
        rig.offer_bytes(3, n, QUEUE_BYTES_MAX / 4);
    }
    rig.offer(4, 1);
    assert_eq!(rig.told(), ["event 3.1", "event 3.2", "event 3.3", "resync []"]);
    rig.offer(3, 11);
    assert_eq!(rig.told(), [""; 0], "although it has read everything");
    rig.sync();
    rig.offer(3, 12);
    rig.give(home(&[3]));
    rig.heads(3, 2, 11);
    assert_eq!(rig.told(), ["2: sync started, owing [3]", "heads 3 through 11", "event 3.12"]);
}

#[test]
fn what_is_kept_back_counts_as_waiting() {
    let mut rig = Rig::attached(&[3]);
    for n in 1..=10 {
        rig.offer_bytes(3, n, QUEUE_BYTES_MAX / 4);
    }
    assert_eq!(rig.told(), ["resync []"]);
    rig.heads(3, 1, 2);
    assert_eq!(rig.told(), ["heads 3 through 2"], "the events are gone");
}

#[test]
fn only_the_slots_that_were_missed_are_held() {
    let mut rig = Rig::attached(&[3, 4]);
    rig.offer(3, 6);
    rig.offer(4, 6);
    rig.session.resync(&[Slot(3), Slot(5)], &rig.shell);
    rig.session.resync(&[Slot(5)], &rig.shell);
    rig.offer(5, 1);
    rig.offer(6, 1);
    rig.heads(3, 1, 5);
    rig.heads(4, 1, 5);
    rig.offer(3, 7);
    let told = ["resync [3, 5]", "event 6.1", "heads 3 through 5", "heads 4 through 5", "event 4.6"];
    assert_eq!(rig.told(), told);
    rig.sync();
    rig.give(home(&[3, 5]));
    rig.offer(5, 2);
    rig.heads(5, 2, 1);
    rig.heads(3, 2, 7);
    rig.offer(3, 8);
    let told =
        ["2: sync started, owing [3, 5]", "heads 5 through 1", "event 5.2", "heads 3 through 7", "event 3.8"];
    assert_eq!(rig.told(), told);
    assert!(rig.session.attached.as_ref().is_some_and(|attached| attached.kept.is_none()));
}

#[test]
fn what_is_missed_before_the_welcome_is_told_after_it() {
    let mut rig = Rig::new();
    rig.greet(hello());
    rig.give(Input::Verified(Ok(VERIFIED)));
    for n in 1..=10 {
        rig.offer_bytes(3, n, QUEUE_BYTES_MAX / 4);
    }
    assert_eq!(rig.told(), [""; 0], "a client that is not welcome yet would not heed it");
    let kept = rig.session.attached.as_ref().and_then(|attached| attached.kept.as_ref());
    assert_eq!(kept.map(|kept| kept.bytes()), Some(0), "what is of no use is not kept");
    rig.give(home(&[3]));
    rig.offer(4, 1);
    assert_eq!(rig.told(), ["1: welcome, owing [3]", "resync []"]);
}

#[test]
fn answers_that_nobody_reads_end_the_connection() {
    let mut rig = Rig::attached(&[]);
    let third = Bytes::from(vec![0; QUEUE_BYTES_FATAL / 3]);
    for _ in 0..4 {
        rig.session.push(third.clone(), &rig.shell);
    }
    assert!(rig.session.is_closing());
    rig.session.push(third.clone(), &rig.shell);
    rig.session.written(third.len() - 1);
    rig.session.written(1);
    assert_eq!(rig.told(), ["0: too_slow"]);
}

#[test]
fn one_long_frame_may_be_sent_to_whoever_reads() {
    let mut rig = Rig::attached(&[]);
    rig.session.push(Bytes::from(vec![0; 2 * QUEUE_BYTES_FATAL]), &rig.shell);
    assert!(!rig.session.is_closing());
    rig.session.written(2 * QUEUE_BYTES_FATAL);
    rig.session.rest();
    assert_eq!(rig.session.outgoing().len(), 0);
    assert_eq!((rig.session.queue.bytes(), rig.session.queue.capacity()), (0, 0));
}

#[test]
fn a_message_goes_to_all_sessions_but_the_one_that_sent_it_and_is_encoded_once_for_each_form() {
    let mut rigs = [Rig::attached(&[]), Rig::attached(&[]), Rig::attached(&[])];
    rigs[1].session.id = 41;
    rigs[2].session.id = 42;
    let session = |session| ReplyTo::Session { edge: HERE.0, session, request: 1 };
    let shell = Bare::default();
    deliver(&message(3, 1, session(41), text()), &[ME], &shell, &mut OnlyMe(&mut rigs));
    let [first, _, third] = &rigs;
    let shared = |rig: &Rig| rig.session.outgoing().next().map(|bytes| bytes.as_ptr());
    assert_eq!(shared(first), shared(third));
    assert_eq!(rigs.each_mut().map(Rig::told), [vec!["event 3.1"], vec![], vec!["event 3.1"]]);

    let read = Change::ReadUpTo { member: ME, seq: Seq(1), ordinal: Ordinal(1) };
    deliver(&message(3, 2, session(41), read), &[ME], &shell, &mut OnlyMe(&mut rigs));
    assert_eq!(rigs[1].told(), ["event 3.2"], "its answer does not tell all of it");

    let elsewhere = ReplyTo::Session { edge: HERE.0 + 1, session: 41, request: 1 };
    deliver(&message(3, 3, elsewhere, text()), &[ME], &shell, &mut OnlyMe(&mut rigs));
    assert_eq!(rigs[1].told(), ["event 3.3"], "the same number at another edge");

    let entered = Change::Entered { account: ME, slot: Slot(4) };
    deliver(&message(3, 4, elsewhere, entered), &[ME], &shell, &mut OnlyMe(&mut rigs));
    assert_eq!(rigs[1].told(), [""; 0], "a fact of the server's own");
}

#[test]
fn credentials_that_were_raised_end_those_below_them_and_nobody_else() {
    let raised = |account_version, device| Change::CredentialsRaised {
        account: ME,
        account_version,
        device,
        why: KickReason::Revoked,
    };
    let told = |change| {
        let mut rigs = [Rig::attached(&[])];
        let origin = ReplyTo::Session { edge: HERE.0, session: SESSION, request: 1 };
        deliver(&message(3, 1, origin, change), &[ME], &Bare::default(), &mut OnlyMe(&mut rigs));
        let [mut rig] = rigs;
        (rig.told(), rig.session.is_closing())
    };
    let kicked = (vec!["kicked: revoked".to_owned()], true);
    assert_eq!(told(raised(GRANT.account_version + 1, None)), kicked);
    assert_eq!(told(raised(0, Some((GRANT.device, GRANT.device_version + 1)))), kicked);
    for (why, code) in [(KickReason::Replaced, "replaced"), (KickReason::Deactivated, "deactivated")] {
        let account_version = GRANT.account_version + 1;
        let change = Change::CredentialsRaised { account: ME, account_version, device: None, why };
        assert_eq!(told(change), (vec![format!("kicked: {code}")], true));
    }
    assert_eq!(told(raised(GRANT.account_version, None)), (vec![], false));
    assert_eq!(told(raised(0, Some((DeviceId(2), 99)))), (vec![], false));
    assert_eq!(told(raised(0, Some((GRANT.device, GRANT.device_version)))), (vec![], false));
}
