//! Clubs: small conversations in which everything happens that can, one thing after the other, while a harness
//! does what it does. Whatever was acknowledged is written down; so it is known of each of them, fact by fact,
//! what everybody must be told of it, and what must be kept from whom.
//!
//! - [`life`]: what is done, by those who may; [`device`]: what it is done with, and what that was told
//! - [`log`]: what must follow from it; [`check`]: whether it did

mod check;
mod device;
mod life;
mod log;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anser_client::session::{Intent, Query};
use anser_client::{Answer, Client, ServerAddress};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, ConversationKind, Target};
use anser_proto::wire;
use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use self::device::{Device, Player};
use self::life::{Act, Clubs, Life};
use self::log::{HeadShown, Log};
use crate::audit::Verdict;
use crate::people::Person;
use crate::random::Random;

/// People in a club, or around it.
const PEOPLE: usize = 5;
/// Each club does one thing in so many milliseconds: it is there beside a load, not as one.
const PACE: Duration = Duration::from_millis(40);
/// Rows of a page.
const PAGE_FACTS: u32 = 200;

/// How many people so many lives take.
pub fn people_for(lives: usize) -> usize {
    lives * PEOPLE
}

/// Whether lives go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Going {
    /// They do.
    On,
    /// They do not, until they do again.
    Paused,
    /// Never again.
    Over,
}

/// Some people, and the clubs that they have had.
type People = (Vec<Arc<Player>>, Clubs);

/// Some lives, each among people of its own.
pub struct Company {
    lives: Vec<People>,
    /// Whether they go on.
    pub going: watch::Sender<Going>,
    running: JoinSet<anyhow::Result<Vec<Act>>>,
}

impl Company {
    /// Brings people online, in lives of each kind in turn; they do nothing yet.
    ///
    /// # Errors
    /// Never but for a broken store.
    pub async fn gather(
        server: &ServerAddress,
        people: Vec<Person>,
        random: &mut Random,
    ) -> anyhow::Result<Company> {
        let kinds = [ConversationKind::Group, ConversationKind::Channel, ConversationKind::Direct];
        let mut company =
            Company { lives: Vec::new(), going: watch::Sender::new(Going::Paused), running: JoinSet::new() };
        let mut people = people.into_iter();
        loop {
            let some = people.by_ref().take(PEOPLE).collect::<Vec<_>>();
            if some.len() < PEOPLE {
                break;
            }
            let kind = kinds[company.lives.len() % kinds.len()];
            let mut players = Vec::new();
            for person in some {
                let device = |key| Device::new(server.clone(), key);
                let devices = person.keys.into_iter().map(device).collect::<Vec<_>>();
                for device in &devices {
                    device.connect().await?;
                }
                players.push(Arc::new(Player { account: person.account, devices }));
            }
            let (clubs, random) = (Clubs::default(), Random::new(random.bits()));
            let life = Life {
                people: players.clone(),
                kind,
                clubs: clubs.clone(),
                random,
                done: Vec::new(),
                number: 0,
            };
            company.lives.push((players, clubs));
            company.running.spawn(live(life, company.going.subscribe()));
        }
        Ok(company)
    }

    /// How many facts there are.
    pub async fn facts(&self) -> u64 {
        let mut facts = 0;
        for (_, clubs) in &self.lives {
            facts += clubs.lock().await.iter().map(Log::newest).sum::<u64>();
        }
        facts
    }

    /// Compares what a fresh reader of each living club is told with what was acknowledged in it.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn audit(&self, verdict: &mut Verdict) -> anyhow::Result<()> {
        let mut reading = JoinSet::new();
        for (people, clubs) in &self.lives {
            let (people, clubs) = (people.clone(), clubs.clone());
            reading.spawn(async move {
                // Nothing is under way while its club is looked at.
                let (clubs, mut verdict) = (clubs.lock().await, Verdict::default());
                if let Some(log) = clubs.last() {
                    read_all(&people, log, &mut verdict).await?;
                }
                anyhow::Ok(verdict)
            });
        }
        gather_up(reading, verdict).await
    }

    /// Ends all lives, brings all devices back, and compares everything with what was acknowledged. What was
    /// done how often.
    ///
    /// # Errors
    /// Something that should have been accepted was not, or the server does not answer.
    pub async fn finish(&mut self, verdict: &mut Verdict) -> anyhow::Result<BTreeMap<Act, usize>> {
        self.going.send_replace(Going::Over);
        let mut done = BTreeMap::new();
        while let Some(acts) = self.running.join_next().await {
            acts??.into_iter().for_each(|act| *done.entry(act).or_default() += 1);
        }
        let mut checking = JoinSet::new();
        for (people, clubs) in &self.lives {
            let (people, clubs) = (people.clone(), clubs.clone());
            checking.spawn(async move {
                let mut verdict = Verdict::default();
                check_life(&people, &clubs.lock().await, &mut verdict).await?;
                anyhow::Ok(verdict)
            });
        }
        gather_up(checking, verdict).await?;
        Ok(done)
    }
}

/// Takes what several found.
async fn gather_up(
    mut finding: JoinSet<anyhow::Result<Verdict>>,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    while let Some(found) = finding.join_next().await {
        verdict.take(found??);
    }
    Ok(())
}

/// Brings all devices of some people back, and compares everything with what was acknowledged among them.
async fn check_life(people: &[Arc<Player>], clubs: &[Log], verdict: &mut Verdict) -> anyhow::Result<()> {
    for player in people {
        for device in &player.devices {
            device.connect().await?;
        }
    }
    for log in clubs {
        read_all(people, log, verdict).await?;
    }
    for player in people {
        for (number, device) in player.devices.iter().enumerate() {
            let name = format!("device {number} of {}", player.account);
            check_device(&name, player.account, device, clubs, verdict).await?;
        }
    }
    Ok(())
}

/// Lives until it is over.
async fn live(mut life: Life, mut going: watch::Receiver<Going>) -> anyhow::Result<Vec<Act>> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // An error means that the company is gone.
    while let Ok(Going::On) = going.wait_for(|going| *going != Going::Paused).await.map(|going| *going) {
        pace.tick().await;
        life.go_on().await?;
    }
    Ok(life.done)
}

/// Reads a club afresh as everybody who is or was in it.
async fn read_all(people: &[Arc<Player>], log: &Log, verdict: &mut Verdict) -> anyhow::Result<()> {
    for player in people {
        let (name, client) = (format!("{}", player.account), player.client().await);
        if log.everybody().contains(&player.account) {
            let read = read(&name, player.account, &client, log, verdict).await;
            read.with_context(|| format!("{name} reads {:?}", log.cid))?;
        } else if head_of(&client, log.cid).await?.is_some() {
            verdict.leak(|| format!("{name} is told of {:?}, in which it never was", log.cid));
        }
    }
    Ok(())
}

async fn read(
    name: &str,
    account: AccountId,
    client: &Client,
    log: &Log,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    check::page(name, log, account, &whole(client, log.cid).await?, verdict);
    let head = head_of(client, log.cid).await?;
    check::head(name, log, account, head.as_ref(), verdict);
    if let Some(head) = &head {
        check::delivered(name, log, account, head, 0, verdict);
    }
    if log.is_present(account) {
        check::members(name, log, &client.members(log.cid).await?, verdict);
    }
    for seq in log.edited_for(account) {
        let versions = client.versions(Target::cid(log.cid), seq).await?;
        check::versions(name, log, (account, seq), &versions, verdict);
    }
    Ok(())
}

/// All rows that somebody is given.
async fn whole(client: &Client, cid: ConversationId) -> anyhow::Result<Vec<v1::Event>> {
    let mut events: Vec<v1::Event> = Vec::new();
    loop {
        let asked = v1::GetPage {
            r#in: Some(Target::cid(cid)),
            after_seq: events.last().map_or(0, |event| event.seq),
            from_oldest: true,
            limit: PAGE_FACTS,
            ..v1::GetPage::default()
        };
        let page = client.page(asked).await?;
        let is_last = !page.more || page.events.is_empty();
        events.extend(page.events);
        if is_last {
            return Ok(events);
        }
    }
}

async fn head_of(client: &Client, cid: ConversationId) -> anyhow::Result<Option<v1::Head>> {
    let asked = v1::GetConversations { cids: vec![wire::cid_bytes(cid)] };
    match client.ask(Intent::Query(Query::Conversations(asked))).await? {
        Answer::Conversations(list) => Ok(list.heads.into_iter().next()),
        other => anyhow::bail!("a list of conversations was asked for, and answered with {other:?}"),
    }
}

/// Compares what one device was told, holds and shows.
async fn check_device(
    name: &str,
    account: AccountId,
    device: &Device,
    clubs: &[Log],
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    for log in clubs.iter().filter(|log| log.everybody().contains(&account)) {
        let chat = settle(account, device, log).await?;
        check::head(name, log, account, chat.head.as_ref(), verdict);
        check::rows(name, log, account, &chat.facts, verdict);
        if let Some(head) = &chat.head {
            check::delivered(name, log, account, head, log.delivered_due(account), verdict);
        }
    }
    let told = device.told();
    for (rows, is_live) in [(&told.live, true), (&told.heads, false)] {
        for (cid, events) in rows {
            match clubs.iter().find(|log| log.cid == *cid && log.everybody().contains(&account)) {
                Some(log) if is_live => check::live(name, log, account, events, verdict),
                Some(log) => check::heads(name, log, account, events, verdict),
                None if events.iter().all(|event| event.seq == 0) => {}
                None => verdict.leak(|| format!("{name} was told of {cid:?}, in which it never was")),
            }
        }
    }
    verdict.faults.take(told.faults.clone());
    Ok(())
}

/// Waits until a device shows what it must, since what it is told comes a moment after what others were answered;
/// what it shows then. Who does not come to it is found by the comparison.
async fn settle(
    account: AccountId,
    device: &Device,
    log: &Log,
) -> anyhow::Result<anser_client::driver::ChatView> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(20);
    const LOOKS: usize = 250;
    let (client, cid) = (device.client().await, log.cid);
    let expected = log.head(account);
    for _ in 0..LOOKS {
        let chat = client.chat(cid).await?;
        let mut scrap = Verdict::default();
        check::rows("", log, account, &chat.facts, &mut scrap);
        if let Some(head) = &chat.head {
            check::delivered("", log, account, head, log.delivered_due(account), &mut scrap);
        }
        if scrap.is_clean() && chat.head.as_ref().map(HeadShown::of).as_ref() == Some(&expected) {
            return Ok(chat);
        }
        sleep(LOOK_INTERVAL).await;
    }
    Ok(client.chat(cid).await?)
}
