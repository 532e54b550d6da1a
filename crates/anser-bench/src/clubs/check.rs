//! Compares what somebody was told of a conversation with what follows from its log.

use anser_model::AccountId;
use anser_proto::v1::{self, ConversationKind, event::Change};

use super::log::{HeadShown, Log, Shown};
use crate::audit::Verdict;

/// The rows that somebody was given who asked for all of them now.
pub fn page(name: &str, log: &Log, account: AccountId, events: &[v1::Event], verdict: &mut Verdict) {
    let expected = log.page(account);
    rows(name, log, account, events, verdict);
    for (seq, ..) in &expected {
        if !events.iter().any(|event| event.seq == *seq) {
            verdict.lose(|| format!("{name} is not given {:?} seq {seq}", log.cid));
        }
    }
    let ordered = events.windows(2).all(|pair| pair[0].seq < pair[1].seq);
    if !ordered {
        verdict.reorder(|| format!("{name} is given {:?} out of order", log.cid));
    }
}

/// Rows that somebody holds, or is given, some of all that there are: each must stand as it stands now.
pub fn rows(name: &str, log: &Log, account: AccountId, events: &[v1::Event], verdict: &mut Verdict) {
    let expected = log.page(account);
    for event in events {
        let place = || format!("{:?} seq {}", log.cid, event.seq);
        let Some((_, n, shown)) = expected.iter().find(|(seq, ..)| *seq == event.seq) else {
            verdict.leak(|| format!("{name} is shown {}, which is not for it: {:?}", place(), event.change));
            continue;
        };
        let found = Shown::of(event);
        let is_right = found.as_ref() == Some(shown)
            && n.is_none_or(|n| n == event.n)
            && log.author(event.seq).is_some_and(|author| author.get() == event.author);
        if !is_right {
            verdict.alter(|| {
                format!(
                    "{name} is shown {} as {found:?} of n {}; it is {shown:?} of n {n:?}",
                    place(),
                    event.n
                )
            });
        }
    }
}

/// Events that came while they happened, to somebody who was there.
pub fn live(name: &str, log: &Log, account: AccountId, events: &[v1::Event], verdict: &mut Verdict) {
    for event in events {
        if event.seq == 0 {
            register(name, log, account, event, verdict);
        } else if !log.was_there(account, event.seq) {
            let (cid, seq) = (log.cid, event.seq);
            verdict.leak(|| {
                format!("{name} was told of {cid:?} seq {seq} and was not there: {:?}", event.change)
            });
        } else {
            form(name, log, account, event, verdict);
        }
    }
}

/// The newest messages of heads that came: each as it stood at that time, and never one that it may not see.
pub fn heads(name: &str, log: &Log, account: AccountId, events: &[v1::Event], verdict: &mut Verdict) {
    for event in events {
        if log.may_see(account, event.seq) {
            form(name, log, account, event, verdict);
        } else {
            let (cid, seq) = (log.cid, event.seq);
            verdict.leak(|| format!("{name} was told of {cid:?} seq {seq}, which is not for it"));
        }
    }
}

/// A row must be one that it was at some time, under the n of that time.
fn form(name: &str, log: &Log, account: AccountId, event: &v1::Event, verdict: &mut Verdict) {
    let (forms, found) = (log.forms(account, event.seq), Shown::of(event));
    let is_form =
        |(n, shown): &(Option<u64>, Shown)| found.as_ref() == Some(shown) && n.is_none_or(|n| n == event.n);
    let was_withheld = found == Some(Shown::Withheld) && log.was_withheld(account, event.seq, event.n);
    if !was_withheld && !forms.iter().any(is_form) {
        let (cid, seq, n) = (log.cid, event.seq, event.n);
        verdict
            .alter(|| format!("{name} was told {cid:?} seq {seq} as {found:?} of n {n}; it was {forms:?}"));
    }
    // An edit with its words is one with the right words.
    if let Some(Change::Edited(v1::Edited { seq, message: Some(message) })) = &event.change {
        let says = Shown::Says(message.text.clone(), message.edits);
        let is_form = |(n, shown): &(Option<u64>, Shown)| *shown == says && n.is_none_or(|n| n == event.n);
        if !log.forms(account, *seq).iter().any(is_form) {
            let cid = log.cid;
            verdict.alter(|| format!("{name} was told that {cid:?} seq {seq} says {says:?}"));
        }
    }
}

/// What somebody decides for itself is told to its own devices; marks of two also to the other one.
fn register(name: &str, log: &Log, account: AccountId, event: &v1::Event, verdict: &mut Verdict) {
    let is_direct = log.kind == ConversationKind::Direct;
    let is_told = match &event.change {
        Some(Change::MarkMoved(moved)) => moved.member == account.get() || is_direct,
        Some(Change::DeliveredMoved(_)) => is_direct,
        _ => event.author == account.get(),
    };
    if !is_told || !log.everybody().contains(&account) {
        verdict.leak(|| format!("{name} was told what is another's own: {event:?}"));
    }
}

/// A head that was told, or that a device shows.
pub fn head(name: &str, log: &Log, account: AccountId, found: Option<&v1::Head>, verdict: &mut Verdict) {
    let expected = log.head(account);
    let Some(found) = found.map(HeadShown::of) else {
        return verdict.lose(|| format!("{name}: {:?} is not among its conversations", log.cid));
    };
    if found == expected {
        return;
    }
    let counts = |head: &HeadShown| (head.seq, head.mark, head.unread);
    if counts(&found) != counts(&expected) {
        verdict.unread_mismatches += 1;
    } else {
        verdict.altered += 1;
    }
    let cid = log.cid;
    verdict.faults.add(|| format!("{name} {cid:?}: the head is {found:?}, and should be {expected:?}"));
}

/// How far messages have come to the other one of a direct conversation: not less than it has read, not more than
/// there is, and at the end not less than must have come.
pub fn delivered(
    name: &str,
    log: &Log,
    account: AccountId,
    head: &v1::Head,
    due: u64,
    verdict: &mut Verdict,
) {
    let is_direct = log.kind == ConversationKind::Direct;
    let least = head.peer_mark.max(due);
    let is_right = (least..=log.newest()).contains(&head.peer_delivered);
    if is_direct && !is_right {
        let (cid, delivered) = (log.cid, head.peer_delivered);
        verdict.alter(|| {
            format!("{name} {cid:?}: delivered up to {delivered}, it is between {least} and {}", log.newest())
        });
    }
    if account.get() == head.peer {
        let cid = log.cid;
        verdict.alter(|| format!("{name} {cid:?}: it is its own peer"));
    }
}

/// Who is there, as one who is there is told.
pub fn members(name: &str, log: &Log, found: &[v1::Member], verdict: &mut Verdict) {
    let newest = log.newest();
    let roles = |account: AccountId| (account.get(), i32::from(log.role_at(account, newest)));
    let mut expected = log.present_at(newest).into_iter().map(roles).collect::<Vec<_>>();
    let mut found = found.iter().map(|member| (member.account, member.role)).collect::<Vec<_>>();
    expected.sort_unstable();
    found.sort_unstable();
    if found != expected {
        let cid = log.cid;
        verdict.alter(|| format!("{name} {cid:?}: members (account, role) {found:?}, it is {expected:?}"));
    }
}

/// What a message said before.
pub fn versions(
    name: &str,
    log: &Log,
    (account, seq): (AccountId, u64),
    found: &[v1::Version],
    verdict: &mut Verdict,
) {
    let (expected, cid) = (log.versions(account, seq), log.cid);
    let found = found.iter().map(|version| version.text.clone()).collect::<Vec<_>>();
    if found != expected {
        verdict.alter(|| {
            format!("{name} {cid:?} seq {seq}: it is told that it said {found:?}, and it said {expected:?}")
        });
    }
}
