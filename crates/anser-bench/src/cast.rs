//! People with their devices, and what must be true of all devices in the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anser_client::ServerAddress;
use anser_model::{AccountId, ConversationId};
use anyhow::Context as _;
use tokio::time::sleep;

use crate::audit::Audit;
use crate::book::Book;
use crate::device::Device;
use crate::people::{self, Person};
use crate::random::Random;

/// Somebody, with their devices.
pub struct Member {
    /// Who.
    pub account: AccountId,
    /// What they use.
    pub devices: Vec<Arc<Device>>,
    /// Per conversation, how far the mark was certainly moved, and how far it was asked to.
    marks: Mutex<HashMap<ConversationId, (u64, u64)>>,
}

impl Member {
    /// Somebody who has read nothing yet.
    pub fn new(account: AccountId, devices: Vec<Arc<Device>>) -> Member {
        Member { account, devices, marks: Mutex::default() }
    }

    /// The device that speaks in a conversation: always the same, since order is a device's.
    pub fn speaker(&self, cid: ConversationId) -> &Arc<Device> {
        &self.devices[usize::from(cid.0[0]) % self.devices.len()]
    }

    /// How far the mark was certainly moved, and how far it was asked to.
    pub fn mark(&self, cid: ConversationId) -> (u64, u64) {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.get(&cid).copied().unwrap_or_default()
    }

    fn note_mark(&self, cid: ConversationId, moved: u64, wanted: u64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = marks.entry(cid).or_default();
        *mark = (mark.0.max(moved), mark.1.max(wanted));
    }

    /// Reads a conversation up to a random place, from a random device.
    pub async fn read_some(&self, cid: ConversationId, mut random: Random) {
        let device = &self.devices[random.below(self.devices.len())];
        let head = device.recorder().head(cid);
        if head == 0 || !device.is_on() {
            return;
        }
        let seq = random.between(1, head as usize) as u64;
        self.note_mark(cid, 0, seq);
        if device.read_up_to(cid, seq).await {
            self.note_mark(cid, seq, seq);
        }
    }

    /// Comes back with every device.
    pub async fn come(&self) -> anyhow::Result<()> {
        for device in &self.devices {
            device.connect().await?;
        }
        Ok(())
    }

    /// Goes with every device, in an orderly way or not.
    pub async fn go(&self, orderly: bool) {
        for device in &self.devices {
            if orderly { device.stop().await } else { device.cut().await }
        }
    }
}

/// Registers people and brings all their devices online; and others, who are for something else.
///
/// # Errors
/// The server refuses, or is gone.
pub async fn gather(
    server: &ServerAddress,
    (people, others, devices): (usize, usize, usize),
    book: &Arc<Book>,
) -> anyhow::Result<(Vec<Arc<Member>>, Vec<Person>)> {
    let mut people_and_others = people::register(server, people + others, devices).await?;
    let others = people_and_others.split_off(people);
    let people = people_and_others;
    let mut cast = Vec::with_capacity(people.len());
    for (turn, person) in people.into_iter().enumerate() {
        let device = |(number, key)| {
            Arc::new(Device::new(person.account, carrier(server, turn + number), key, book.clone()))
        };
        let member = Member::new(person.account, person.keys.into_iter().enumerate().map(device).collect());
        member.come().await?;
        cast.push(Arc::new(member));
    }
    Ok((cast, others))
}

/// One device in three speaks frames without a WebSocket.
fn carrier(server: &ServerAddress, turn: usize) -> ServerAddress {
    match turn % 3 {
        0 => server.clone().as_stream(),
        _ => server.clone(),
    }
}

/// Every device of everybody.
pub fn all_devices(cast: &[Arc<Member>]) -> impl Iterator<Item = &Arc<Device>> {
    cast.iter().flat_map(|member| &member.devices)
}

/// Who waits for what, where a run stands still.
pub fn waiting(cast: &[Arc<Member>]) -> Vec<String> {
    let waiting = all_devices(cast).filter_map(|device| device.recorder().waits_for());
    waiting.take(10).collect()
}

/// Waits until every device is attached and holds every conversation it is in up to its newest seq.
///
/// # Errors
/// Some do not, and nothing has come nearer for a long time: which.
pub async fn converge(cast: &[Arc<Member>], newest: &[Vec<(ConversationId, u64)>]) -> anyhow::Result<()> {
    const LOOK_INTERVAL: Duration = Duration::from_millis(100);
    const LOOKS_WITHOUT_PROGRESS: u32 = 300;
    let (mut least, mut looks) = (usize::MAX, 0);
    loop {
        let mut behind = Vec::new();
        for (member, newest) in cast.iter().zip(newest) {
            for (number, device) in member.devices.iter().enumerate() {
                let recorder = device.recorder();
                let lacking = newest.iter().filter(|(cid, seq)| !recorder.holds(*cid, *seq)).count();
                if lacking > 0 || !recorder.is_attached() {
                    recorder.look_for_gaps();
                    behind.push((member.account, number, recorder.is_attached(), lacking));
                }
            }
        }
        let lacking = behind.iter().map(|(.., lacking)| 1 + lacking).sum::<usize>();
        if behind.is_empty() {
            return Ok(());
        }
        looks = if lacking < least { 0 } else { looks + 1 };
        least = least.min(lacking);
        anyhow::ensure!(
            looks < LOOKS_WITHOUT_PROGRESS,
            "{} devices do not converge; (account, device, attached, conversations behind): {:?}",
            behind.len(),
            &behind[..behind.len().min(10)]
        );
        sleep(LOOK_INTERVAL).await;
    }
}

/// Compares the devices of one person with the ledger, and their heads with a recount.
pub async fn check_member(
    audit: &mut Audit,
    member: &Member,
    conversations: &[ConversationId],
    book: &Book,
) -> anyhow::Result<()> {
    for (number, device) in member.devices.iter().enumerate() {
        let name = format!("device {number} of {}", member.account);
        let shown = device.heads().await;
        let fresh = device.client().await.fetch_conversations().await.context("asking for all heads")?;
        let known =
            fresh.iter().filter_map(|head| anser_proto::wire::cid(&head.cid).ok()).collect::<Vec<_>>();
        for cid in conversations.iter().filter(|cid| !known.contains(cid)) {
            audit.verdict.lost += 1;
            audit.verdict.faults.add(|| format!("{name}: {cid:?} is not among its conversations"));
        }
        audit.check_heads(&name, member.account, &shown, &fresh, |cid| member.mark(cid));
        audit.check_device(&name, &device.recorder().seen(), conversations, book);
    }
    Ok(())
}

/// Waits until the heads of every device show every mark that the server said it moved: the event may
/// be a moment behind the answer that another device got. Who does not is found by the comparison.
pub async fn settle_marks(cast: &[Arc<Member>], conversations: &[Vec<ConversationId>]) {
    const LOOK_INTERVAL: Duration = Duration::from_millis(100);
    const LOOKS: usize = 50;
    for _ in 0..LOOKS {
        let mut behind = 0;
        for (member, conversations) in cast.iter().zip(conversations) {
            for device in &member.devices {
                let heads = device.heads().await;
                let marks =
                    heads.iter().map(|head| (head.cid.as_ref(), head.mark)).collect::<HashMap<_, _>>();
                let shown = |cid: &ConversationId| marks.get(cid.0.as_slice()).copied().unwrap_or_default();
                behind += conversations.iter().filter(|cid| shown(cid) < member.mark(**cid).0).count();
            }
        }
        if behind == 0 {
            return;
        }
        sleep(LOOK_INTERVAL).await;
    }
}
