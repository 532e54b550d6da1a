//! What the people of a run do: they speak, read, go offline and come back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anser_model::AccountId;
use anser_proto::v1::Target;
use tokio::task::JoinSet;

use crate::book::{Book, Message};
use crate::cast::Member;
use crate::device::Then;
use crate::ledger::plan::{Circle, Line, Plan};
use crate::random::Random;

/// Sends that one person has under way at once, each in another conversation.
const SENDS_AT_ONCE: usize = 4;
/// Of a hundred sends, so many are followed by reading.
const READS_PERCENT: usize = 10;
/// Of so many messages one is edited, and one taken back.
const CHANGES_ONE_IN: u64 = 25;
/// People offline at any time, of a hundred.
pub const OFFLINE_PERCENT: usize = 30;
/// Somebody changes places this often, at the latest.
const CHANGE_INTERVAL: Duration = Duration::from_millis(50);

/// Says everything that one person has to say, in order within each conversation.
pub async fn speak(
    member: Arc<Member>,
    (plan, accounts): (Arc<Plan>, Arc<Vec<AccountId>>),
    lines: Vec<(u64, Line)>,
    mine: Vec<usize>,
    mut random: Random,
) {
    let mut sending = JoinSet::new();
    let mut reading = JoinSet::new();
    let mut busy = HashSet::new();
    for (tag, line) in lines {
        let circle = &plan.circles[line.circle];
        while busy.contains(&circle.cid) || sending.len() >= SENDS_AT_ONCE {
            if let Some(Ok(free)) = sending.join_next().await {
                busy.remove(&free);
            }
        }
        let message = Message { tag, author: member.account, cid: circle.cid, text: line.text };
        let device = member.speaker(circle.cid).clone();
        let to = target(circle, &accounts, message.author);
        busy.insert(circle.cid);
        let then = Then::of(random.below(100) as u64, CHANGES_ONE_IN);
        sending.spawn(async move {
            device.say(to, &message, then).await;
            message.cid
        });
        if random.percent(READS_PERCENT) && !mine.is_empty() {
            let cid = plan.circles[mine[random.below(mine.len())]].cid;
            let (reader, random) = (member.clone(), Random::new(random.bits()));
            reading.spawn(async move { reader.read_some(cid, random).await });
        }
        while reading.try_join_next().is_some() {}
    }
    while sending.join_next().await.is_some() {}
    while reading.join_next().await.is_some() {}
}

/// A direct conversation is named by the other one, since it comes to be with its first message.
fn target(circle: &Circle, accounts: &[AccountId], own: AccountId) -> Target {
    let other = circle.members.iter().map(|&member| accounts[member]).find(|&member| member != own);
    match other.filter(|_| circle.is_direct) {
        Some(peer) => Target::peer(peer),
        None => Target::cid(circle.cid),
    }
}

/// Lets people change places until `last` messages are acknowledged: so many of a hundred are away.
pub async fn come_and_go(
    cast: &[Arc<Member>],
    book: &Book,
    (last, changes): (usize, usize),
    mut random: Random,
) -> anyhow::Result<usize> {
    let away = random.choose(cast.len() * OFFLINE_PERCENT / 100, cast.len());
    let mut is_away = vec![false; cast.len()];
    let mut going = JoinSet::new();
    for &number in &away {
        is_away[number] = true;
        let (member, orderly) = (cast[number].clone(), random.percent(50));
        going.spawn(async move { member.go(orderly).await });
    }
    while going.join_next().await.is_some() {}
    let mut away = std::collections::VecDeque::from(away);
    let mut changed = 0;
    let step = (last / changes.max(1)).max(1);
    while book.len() < last {
        // The next change comes after some messages, or after a moment if the speakers are away.
        let _ = tokio::time::timeout(CHANGE_INTERVAL, book.wait_for_count(book.len() + step, PATIENCE)).await;
        let Some(comes) = away.pop_front() else { break };
        let goes = loop {
            let number = random.below(cast.len());
            if !is_away[number] {
                break number;
            }
        };
        cast[comes].come().await?;
        cast[goes].go(random.percent(50)).await;
        (is_away[comes], is_away[goes]) = (false, true);
        away.push_back(goes);
        changed += 1;
    }
    for number in away {
        cast[number].come().await?;
    }
    Ok(changed)
}

/// How long one wait of [`come_and_go`] could last, were it not cut short.
const PATIENCE: Duration = Duration::from_secs(60);
