//! The life of a club: one act after another by those who may do it, each written down once it is acknowledged.

use std::sync::Arc;

use anser_client::session::{Command, Failure, Intent, Query};
use anser_client::{Client, ClientError};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, ConversationKind, Role, Target};
use anser_proto::wire;
use anyhow::Context as _;
use tokio::sync::Mutex;

use super::device::Player;
use super::log::{Fact, Log, What};
use crate::random::Random;

/// Facts after which a group or channel is dissolved, and another one made.
const FACTS_OF_A_CLUB: u64 = 90;
/// How often something that needs no client id is asked again after a timeout.
const ASKED_AGAIN: usize = 4;

/// The conversations that some people have had, one after the other. The last one lives.
pub type Clubs = Arc<Mutex<Vec<Log>>>;

/// What an act was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// One came to be.
    Found,
    /// Somebody said something, or changed what they had said.
    Say,
    Edit,
    Recall,
    /// Somebody decided something for themselves.
    Read,
    MarkUnread,
    Hide,
    Clear,
    /// Who is there, and what each may do.
    Add,
    Remove,
    Leave,
    Appoint,
    /// What the conversation is.
    Rename,
    Picture,
    Open,
    Dissolve,
    /// A device went offline, or came back.
    Switch,
}

/// Acts with their weights.
const ACTS: [(Act, usize); 14] = [
    (Act::Say, 30),
    (Act::Edit, 12),
    (Act::Recall, 5),
    (Act::Read, 6),
    (Act::MarkUnread, 6),
    (Act::Hide, 7),
    (Act::Clear, 2),
    (Act::Add, 9),
    (Act::Remove, 4),
    (Act::Leave, 4),
    (Act::Appoint, 4),
    (Act::Rename, 3),
    (Act::Picture, 3),
    (Act::Switch, 9),
];

/// Some people and what they do together.
pub struct Life {
    /// Who they are.
    pub people: Vec<Arc<Player>>,
    /// What kind of conversation they have.
    pub kind: ConversationKind,
    /// What they have had.
    pub clubs: Clubs,
    /// What they do next.
    pub random: Random,
    /// What was done.
    pub done: Vec<Act>,
    /// Tells apart what is said.
    pub number: usize,
}

impl Life {
    /// Does one thing, unless nobody could.
    ///
    /// # Errors
    /// What should have been accepted was not, or not as it should have been.
    pub async fn go_on(&mut self) -> anyhow::Result<()> {
        let clubs = self.clubs.clone();
        let mut clubs = clubs.lock().await;
        self.number += 1;
        let is_over = |log: &Log| log.facts.last().is_some_and(|fact| fact.what == What::Dissolved);
        let act = match clubs.last() {
            None => Act::Found,
            Some(log) if is_over(log) => Act::Found,
            Some(log) if self.kind != ConversationKind::Direct && log.newest() >= FACTS_OF_A_CLUB => {
                Act::Dissolve
            }
            Some(_) => self.draw(),
        };
        let done = match (act, clubs.last_mut()) {
            (Act::Found, _) => {
                let founded = self.found().await.context("founding a club")?;
                clubs.push(founded);
                true
            }
            (act, Some(log)) => {
                self.act(act, log).await.with_context(|| format!("{act:?} in {:?}", log.cid))?
            }
            (_, None) => false,
        };
        if done {
            self.done.push(act);
        }
        Ok(())
    }

    fn draw(&mut self) -> Act {
        let sum = ACTS.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.below(sum);
        for (act, weight) in ACTS {
            if left < weight {
                // Seldom, and of groups alone: it changes what all later acts mean.
                return if act == Act::Picture && self.random.percent(40) { Act::Open } else { act };
            }
            left -= weight;
        }
        Act::Say
    }

    fn player(&self, account: AccountId) -> anyhow::Result<&Arc<Player>> {
        self.people.iter().find(|player| player.account == account).context("they are of these people")
    }

    async fn found(&mut self) -> anyhow::Result<Log> {
        let author = self.people[0].account;
        let registers = std::collections::BTreeMap::new();
        if self.kind == ConversationKind::Direct {
            let peer = self.people[1].account;
            let cid = ConversationId::direct(author, peer);
            let text = self.words();
            let accepted = self.people[0].client().await.send_text(Target::peer(peer), text.clone()).await?;
            anyhow::ensure!(accepted.seq == 2, "the first message is at seq {}", accepted.seq);
            let created = What::Created { title: String::new(), members: vec![peer], visible: true };
            let facts = vec![
                Fact { author, n: None, what: created },
                Fact { author, n: Some(accepted.n), what: What::Said(text) },
            ];
            return Ok(Log { cid, kind: self.kind, facts, registers });
        }
        let (title, visible) = (format!("Club {}", self.words()), self.random.percent(30));
        // One or two are left for later.
        let members = self.people[1..self.people.len() - 1].iter().map(|player| player.account);
        let members = members.collect::<Vec<_>>();
        let group = v1::CreateGroup {
            title: title.clone(),
            members: members.iter().map(|member| member.get()).collect(),
            history_visible: visible,
            channel: self.kind == ConversationKind::Channel,
            ..v1::CreateGroup::default()
        };
        let accepted = self.people[0].client().await.command(Command::CreateGroup(group)).await?;
        anyhow::ensure!(accepted.seq == 1, "a creation is at seq {}", accepted.seq);
        let created = What::Created { title, members, visible };
        let facts = vec![Fact { author, n: Some(accepted.n), what: created }];
        Ok(Log { cid: wire::cid(&accepted.cid)?, kind: self.kind, facts, registers })
    }

    fn words(&mut self) -> String {
        format!("words {} of {:?}, {}", self.number, self.kind, self.random.bits())
    }

    /// Does something, if somebody could.
    async fn act(&mut self, act: Act, log: &mut Log) -> anyhow::Result<bool> {
        match act {
            Act::Switch => self.switch().await.map(|()| true),
            Act::Read | Act::MarkUnread | Act::Hide | Act::Clear => self.for_oneself(act, log).await,
            _ => match self.choose(act, log) {
                None => Ok(false),
                Some((author, what)) => {
                    let takes_back = act == Act::Recall && matches!(what, What::Said(_));
                    self.happens(author, what, log).await?;
                    if takes_back {
                        self.happens(author, What::Recalled(log.newest()), log).await?;
                    }
                    Ok(true)
                }
            },
        }
    }

    /// Does it, and writes it down.
    async fn happens(&self, author: AccountId, what: What, log: &mut Log) -> anyhow::Result<()> {
        let client = self.player(author)?.client().await;
        let accepted = client.command(command(log.cid, &what)).await?;
        let expected = log.newest() + 1;
        anyhow::ensure!(
            accepted.seq == expected,
            "{what:?} was acknowledged at seq {}, and is fact {expected}",
            accepted.seq
        );
        log.facts.push(Fact { author, n: Some(accepted.n), what });
        Ok(())
    }

    /// A device goes offline, or comes back; never the first one.
    async fn switch(&mut self) -> anyhow::Result<()> {
        let person = self.random.below(self.people.len());
        let devices = &self.people[person].devices;
        let device = &devices[1 + self.random.below(devices.len() - 1)];
        if device.is_on() {
            device.go(self.random.percent(50)).await;
            Ok(())
        } else {
            device.connect().await
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.random.below(all.len())])
    }

    /// Who does what, if anybody may.
    fn choose(&mut self, act: Act, log: &Log) -> Option<(AccountId, What)> {
        let newest = log.newest();
        let role = |account: AccountId| log.role_at(account, newest);
        let present = log.present_at(newest);
        let leaders = present.iter().copied().filter(|&one| role(one) as i32 >= Role::Admin as i32);
        let leaders = leaders.collect::<Vec<_>>();
        let plain = present.iter().copied().filter(|&one| role(one) == Role::Member).collect::<Vec<_>>();
        let owner = present.iter().copied().find(|&one| role(one) == Role::Owner);
        if self.kind == ConversationKind::Direct && !matches!(act, Act::Say | Act::Edit | Act::Recall) {
            return None;
        }
        let writers = if self.kind == ConversationKind::Channel { &leaders } else { &present };
        Some(match act {
            Act::Say => (self.one_of(writers)?, What::Said(self.words())),
            Act::Edit => {
                let author = self.one_of(writers)?;
                let is_own = |seq: &u64| log.author(*seq) == Some(author) && log.may_change(author, *seq);
                let seq = self.one_of(&(1..=newest).filter(is_own).collect::<Vec<_>>())?;
                (author, What::Edited(seq, self.words()))
            }
            Act::Recall => {
                let author = self.one_of(writers)?;
                let is_there = |seq: &u64| log.may_change(author, *seq);
                match leaders.contains(&author) {
                    true => {
                        let seq = self.one_of(&(1..=newest).filter(is_there).collect::<Vec<_>>())?;
                        (author, What::Recalled(seq))
                    }
                    // One's own only for two minutes: what one says now, at once.
                    false => (author, What::Said(self.words())),
                }
            }
            Act::Add => {
                let absent = self.people.iter().map(|player| player.account);
                let absent = absent.filter(|one| !present.contains(one)).collect::<Vec<_>>();
                (self.one_of(&present)?, What::Added(self.one_of(&absent)?))
            }
            Act::Remove => (self.one_of(&leaders)?, What::Removed(self.one_of(&plain)?)),
            Act::Leave => (self.one_of(&plain)?, What::Left),
            Act::Appoint => {
                let others = present.iter().copied().filter(|&one| Some(one) != owner).collect::<Vec<_>>();
                (owner?, What::Appointed(self.one_of(&others)?, self.random.percent(60)))
            }
            Act::Rename => (self.one_of(&leaders)?, What::Renamed(self.words())),
            Act::Picture => (self.one_of(&leaders)?, What::Pictured(format!("picture-{}", self.number))),
            Act::Open => (self.one_of(&leaders)?, What::Opened(self.random.percent(50))),
            Act::Dissolve => (owner?, What::Dissolved),
            Act::Found | Act::Read | Act::MarkUnread | Act::Hide | Act::Clear | Act::Switch => return None,
        })
    }

    /// Somebody who is or was there decides something for itself.
    async fn for_oneself(&mut self, act: Act, log: &mut Log) -> anyhow::Result<bool> {
        let everybody = log.everybody().into_iter().collect::<Vec<_>>();
        let Some(account) = self.one_of(&everybody) else { return Ok(false) };
        let newest = log.newest_for(account);
        let seq = self.random.between(1, newest as usize) as u64;
        let client = self.player(account)?.client().await;
        let registers = log.registers.entry(account).or_default();
        match act {
            Act::Read => {
                client.read_up_to(Target::cid(log.cid), seq).await?;
                if seq > registers.mark {
                    (registers.mark, registers.marked_unread) = (seq, false);
                }
            }
            Act::MarkUnread => {
                let marked = self.random.percent(60);
                let mark = v1::MarkUnread { r#in: Some(Target::cid(log.cid)), marked };
                settled(&client, Query::MarkUnread(mark)).await?;
                registers.marked_unread = marked;
            }
            Act::Hide => {
                let high = (seq + self.random.below(3) as u64).min(newest);
                let ranges = vec![v1::SeqRange { low: seq, high }];
                let hide = v1::Hide { r#in: Some(Target::cid(log.cid)), ranges, timeline: 0 };
                settled(&client, Query::Hide(hide)).await?;
                registers.hidden.extend(seq..=high);
            }
            _ => {
                let clear = v1::ClearHistory { r#in: Some(Target::cid(log.cid)), seq, timeline: 0 };
                settled(&client, Query::ClearHistory(clear)).await?;
                registers.cleared = registers.cleared.max(seq);
            }
        }
        Ok(true)
    }
}

/// Asks for a register to be set until it is: where it times out, whether it was is not known, and it is the same
/// to ask again.
async fn settled(client: &Client, query: Query) -> anyhow::Result<()> {
    for _ in 0..ASKED_AGAIN {
        match client.ask(Intent::Query(query.clone())).await {
            Ok(_) => return Ok(()),
            Err(ClientError::Session(Failure::TimedOut)) => {}
            Err(other) => return Err(other.into()),
        }
    }
    anyhow::bail!("{query:?} is not answered")
}

/// The command by which something is to happen.
fn command(cid: ConversationId, what: &What) -> Command {
    let (at, cid) = (Some(Target::cid(cid)), wire::cid_bytes(cid));
    match what.clone() {
        What::Said(text) => {
            Command::Send(v1::Send { to: at, message: Some(v1::Message::text(text)), ..v1::Send::default() })
        }
        What::Edited(seq, text) => Command::Edit(v1::Edit {
            r#in: at,
            seq,
            message: Some(v1::Message::text(text)),
            ..v1::Edit::default()
        }),
        What::Recalled(seq) => Command::Recall(v1::Recall { r#in: at, seq, ..v1::Recall::default() }),
        What::Added(member) => Command::AddMembers(v1::AddMembers {
            cid,
            members: vec![member.get()],
            ..v1::AddMembers::default()
        }),
        What::Removed(member) => Command::RemoveMember(v1::RemoveMember {
            cid,
            member: member.get(),
            ..v1::RemoveMember::default()
        }),
        What::Left => Command::Leave(v1::Leave { cid, ..v1::Leave::default() }),
        What::Appointed(member, is_admin) => {
            let role = if is_admin { Role::Admin } else { Role::Member }.into();
            Command::SetRole(v1::SetRole { cid, member: member.get(), role, ..v1::SetRole::default() })
        }
        What::Renamed(title) => Command::Rename(v1::Rename { cid, title, ..v1::Rename::default() }),
        What::Pictured(avatar) => {
            Command::SetAvatar(v1::SetAvatar { cid, avatar, ..v1::SetAvatar::default() })
        }
        What::Opened(visible) => Command::SetHistoryVisible(v1::SetHistoryVisible {
            cid,
            visible,
            ..v1::SetHistoryVisible::default()
        }),
        What::Created { .. } => unreachable!("a club is founded apart from what happens in it"),
        What::Dissolved => Command::Dissolve(v1::Dissolve { cid, ..v1::Dissolve::default() }),
    }
}
