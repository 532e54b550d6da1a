//! The load of a run of kills: everybody says something in every one of their groups, all the time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anser_model::ConversationId;
use anser_proto::v1::Target;
use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::{ACCOUNTS, DEVICES, GROUPS_EACH, PATIENCE};
use crate::audit::Audit;
use crate::book::{Book, Message};
use crate::cast::{Member, all_devices, check_member, converge, gather, waiting};
use crate::clubs::{Company, Going, people_for};
use crate::corpus::Corpus;
use crate::device::Then;
use crate::random::Random;
use crate::server::Server;
use crate::watch::{Hit, Moment, kill_at};

/// Who is in group g: g + each of these.
const SPREAD: [usize; GROUPS_EACH] = [0, 1, 3, 7, 12, 20, 30, 41];
/// Of a hundred listening devices, so many are switched off or on between two kills.
const SWITCHED_PERCENT: usize = 25;

/// Of so many messages one is edited, and one taken back.
const CHANGES_ONE_IN: u64 = 24;
/// Lives of clubs beside the groups.
const LIVES: usize = 12;

/// What the speakers are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cue {
    /// One thing after another.
    Speak,
    /// While what they said is read back: it would grow faster than it is read.
    Pause,
    /// For good.
    Stop,
}

/// The load of a run: every account says something in every one of its groups, all the time.
pub struct Load {
    /// Everybody.
    pub cast: Vec<Arc<Member>>,
    groups: Vec<ConversationId>,
    /// Conversations in which everything else happens meanwhile.
    clubs: Company,
    /// What was acknowledged.
    pub book: Arc<Book>,
    cue: watch::Sender<Cue>,
    speakers: JoinSet<()>,
}

impl Load {
    /// Brings everybody online; they say nothing yet.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub async fn start(server: &Server, corpus: &Arc<Corpus>, random: &mut Random) -> anyhow::Result<Load> {
        let book = Arc::new(Book::default());
        let (cast, others) = gather(&server.address(), (ACCOUNTS, people_for(LIVES), DEVICES), &book).await?;
        let clubs = Company::gather(&server.address(), others, random).await?;
        let mut groups = Vec::new();
        for number in 0..ACCOUNTS {
            let members = SPREAD.map(|step| cast[(number + step) % ACCOUNTS].account);
            let client = cast[number].devices[0].client().await;
            let accepted = client.create_group(format!("Group {number}"), &members[1..], true).await?;
            groups.push(anser_proto::wire::cid(&accepted.cid)?);
        }
        let cue = watch::Sender::new(Cue::Pause);
        let mut load = Load { cast, groups, clubs, book, cue, speakers: JoinSet::new() };
        let next = Arc::new(AtomicU64::new(1));
        for number in 0..ACCOUNTS {
            for step in SPREAD {
                let member = load.cast[(number + step) % ACCOUNTS].clone();
                let cue = load.cue.subscribe();
                let speaking = speak(member, load.groups[number], corpus.clone(), next.clone(), cue);
                load.speakers.spawn(speaking);
            }
        }
        Ok(load)
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        ACCOUNTS * DEVICES
    }

    /// Lets everybody go on, or not.
    pub fn give(&self, cue: Cue) {
        self.cue.send_replace(cue);
        self.clubs.going.send_replace(if cue == Cue::Speak { Going::On } else { Going::Paused });
    }

    /// How many facts the clubs have.
    pub async fn club_facts(&self) -> u64 {
        self.clubs.facts().await
    }

    fn in_flight(cast: &[Arc<Member>]) -> usize {
        cast.iter().map(|member| member.devices[0].recorder().in_flight()).sum()
    }

    /// Waits until at least so many sends wait for an answer.
    ///
    /// # Errors
    /// They do not.
    pub async fn wait_until_flying(&self, least: usize) -> anyhow::Result<()> {
        let reached = until(|| Self::in_flight(&self.cast) >= least).await;
        reached.with_context(|| format!("{} sends in flight, {least} wanted", Self::in_flight(&self.cast)))
    }

    /// Waits until nobody waits for an answer.
    ///
    /// # Errors
    /// Somebody still does: who.
    pub async fn wait_until_silent(&self) -> anyhow::Result<()> {
        let waits = || self.cast.iter().any(|member| member.devices[0].recorder().waits_for().is_some());
        until(|| !waits()).await.with_context(|| format!("the speakers wait: {:?}", waiting(&self.cast)))
    }

    /// Waits until every device has noticed that its server is gone.
    ///
    /// # Errors
    /// Some do not.
    pub async fn wait_until_cut_off(&self) -> anyhow::Result<()> {
        let attached = || all_devices(&self.cast).any(|device| device.recorder().is_attached());
        until(|| !attached()).await.context("devices think that they are attached to a server that is dead")
    }

    /// Switches some of the devices that only listen off, or on again.
    ///
    /// # Errors
    /// Never but for a broken store.
    pub async fn switch_listeners(&self, random: &mut Random) -> anyhow::Result<()> {
        for device in self.cast.iter().flat_map(|member| &member.devices[1..]) {
            match (random.percent(SWITCHED_PERCENT), device.is_on()) {
                (true, true) => device.cut().await,
                (true, false) => device.connect().await?,
                (false, _) => {}
            }
        }
        Ok(())
    }

    /// Waits until nothing is acknowledged any more.
    ///
    /// # Errors
    /// It goes on and on.
    pub async fn wait_until_stalled(&self) -> anyhow::Result<()> {
        const NOTHING_FOR: Duration = Duration::from_millis(300);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = self.book.len();
            sleep(NOTHING_FOR).await;
            if self.book.len() == before {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "messages are acknowledged on a full disk for {PATIENCE:?}"
            );
        }
    }

    /// Kills the server at a moment, with so many sends in flight at least.
    ///
    /// # Errors
    /// The moment does not come.
    pub async fn kill(&self, server: &Server, moment: (Moment, usize), least: usize) -> anyhow::Result<Hit> {
        let (pid, data): (_, PathBuf) = (server.pid().context("the server is gone")?, server.data());
        let cast = self.cast.clone();
        let flying = move || Self::in_flight(&cast);
        spawn_blocking(move || kill_at(moment, (pid, &data), (flying, least), PATIENCE)).await?
    }

    /// Reads what came since the last time, and compares it with what was acknowledged before.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn audit(&self, audit: &mut Audit) -> anyhow::Result<()> {
        let entries = self.book.drain_new();
        for (number, &cid) in self.groups.iter().enumerate() {
            let client = self.cast[number].devices[0].client().await;
            audit.read(&client, cid).await?;
        }
        audit.check_entries(&entries, &self.book);
        let read = timeout(PATIENCE, self.clubs.audit(&mut audit.verdict)).await;
        read.with_context(|| format!("the clubs are not read within {PATIENCE:?}"))?
    }

    /// Lets everybody finish, brings all devices back, and compares everything.
    ///
    /// # Errors
    /// Somebody does not finish, or does not come to have everything.
    pub async fn finish(&mut self, audit: &mut Audit) -> anyhow::Result<()> {
        self.give(Cue::Stop);
        while let Some(done) = timeout(PATIENCE, self.speakers.join_next())
            .await
            .with_context(|| format!("the speakers wait: {:?}", waiting(&self.cast)))?
        {
            done?;
        }
        for member in &self.cast {
            member.come().await?;
        }
        self.audit(audit).await?;
        let lived = self.clubs.finish(&mut audit.verdict).await?;
        eprintln!("the clubs did {lived:?}");
        // Everything once more by one who knows nothing: what was changed must not be shown as it was.
        let mut afresh = Audit::default();
        for (number, &cid) in self.groups.iter().enumerate() {
            afresh.read(&self.cast[number].devices[0].client().await, cid).await?;
        }
        afresh.check_entries(&self.book.all(), &self.book);
        afresh.check_nothing_else(&self.book);
        audit.verdict.take(afresh.verdict);
        let conversations = (0..ACCOUNTS).map(|account| {
            let is_in = |group: &usize| SPREAD.iter().any(|step| (group + step) % ACCOUNTS == account);
            (0..ACCOUNTS).filter(is_in).map(|group| self.groups[group]).collect::<Vec<_>>()
        });
        let conversations = conversations.collect::<Vec<_>>();
        let newest =
            conversations.iter().map(|cids| cids.iter().map(|&cid| (cid, audit.newest(cid))).collect());
        converge(&self.cast, &newest.collect::<Vec<_>>()).await?;
        for (member, conversations) in self.cast.iter().zip(&conversations) {
            check_member(audit, member, conversations, &self.book).await?;
        }
        audit.verdict.faults.take(self.book.faults());
        Ok(())
    }
}

/// Says one thing after another in one conversation.
async fn speak(
    member: Arc<Member>,
    cid: ConversationId,
    corpus: Arc<Corpus>,
    next: Arc<AtomicU64>,
    mut cue: watch::Receiver<Cue>,
) {
    // An error means that the load is gone.
    while let Ok(Cue::Speak) = cue.wait_for(|cue| *cue != Cue::Pause).await.map(|cue| *cue) {
        let tag = next.fetch_add(1, Ordering::Relaxed);
        let text = corpus.lines[tag as usize % corpus.lines.len()].text.clone();
        let message = Message { tag, author: member.account, cid, text };
        member.devices[0].say(Target::cid(cid), &message, Then::of(tag, CHANGES_ONE_IN)).await;
    }
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        anyhow::ensure!(Instant::now() < deadline, "not within {PATIENCE:?}");
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}
