//! The stage of one cell: a group with a past, of which each actor may see another part.

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, client_frame::Request, target::Target};
use bytes::Bytes;

use super::line::Line;
use crate::people::Person;
use crate::random::Random;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// Owns the group.
    Owner,
    /// Was in the group from the start, and is the other one of the direct conversation.
    Member,
    /// Came late; what was before is hidden from it.
    Newcomer,
    /// Was removed before the newcomer came.
    Former,
    /// Never was in it.
    Stranger,
    /// Runs the installation, and never was in it.
    Administrator,
}

impl Actor {
    /// Everybody.
    pub const ALL: [Actor; 6] =
        [Actor::Owner, Actor::Member, Actor::Newcomer, Actor::Former, Actor::Stranger, Actor::Administrator];

    /// Whether it may not even know that there is something.
    pub fn is_outside(self) -> bool {
        matches!(self, Actor::Stranger | Actor::Administrator)
    }

    /// Whether it is a member of the group.
    pub fn is_present(self) -> bool {
        !self.is_outside() && self != Actor::Former
    }
}

/// Words that are said in the group before the former member went.
pub const EARLY: &str = "early-word-";
/// Words that are said once the newcomer is there.
pub const LATE: &str = "late-word-";
/// Words between the two of the direct conversation.
pub const DIRECT: &str = "direct-word-";
/// The group's first title.
pub const TITLE: &str = "first-title-";
/// The group's title once the former member is gone, and the newcomer not yet there.
pub const RENAMED: &str = "second-title-";

/// All words that somebody may not see.
const SECRETS: [&str; 5] = [EARLY, LATE, DIRECT, TITLE, RENAMED];

impl Actor {
    /// Whether it may ever see a word.
    pub fn may_see(self, word: &str) -> bool {
        match self {
            Actor::Owner | Actor::Member => true,
            Actor::Newcomer => word == LATE || word == RENAMED,
            Actor::Former => word == EARLY || word == TITLE,
            Actor::Stranger | Actor::Administrator => false,
        }
    }

    /// The words in some bytes that it may not see.
    pub fn leaks_in(self, bytes: &[u8]) -> Vec<&'static str> {
        let there = |word: &&str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        SECRETS.into_iter().filter(|word| !self.may_see(word)).filter(there).collect()
    }
}

/// A stage: where things are, and what was said.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Tells its words apart from other stages'.
    pub number: usize,
    /// The group.
    pub group: Bytes,
    /// The direct conversation of owner and member.
    pub direct: Bytes,
    /// seq of the owner's message that the newcomer may not see.
    pub early: u64,
    /// seq of the owner's message that the former member may not see.
    pub late: u64,
    /// The history of the seqs.
    pub timeline: u64,
}

/// Everybody who takes part, with their connections.
pub struct Players {
    /// In the order of [`Actor::ALL`].
    pub accounts: Vec<AccountId>,
    /// In the same order.
    pub lines: Vec<Line>,
}

impl Players {
    /// Attaches everybody on their first device.
    ///
    /// # Errors
    /// The server refuses.
    pub fn attach(authority: &str, people: &[Person], random: &mut Random) -> anyhow::Result<Players> {
        let open =
            |person: &Person| Line::open(authority, &person.keys[0].access_token, Random::new(random.bits()));
        let lines = people.iter().map(open).collect::<anyhow::Result<_>>()?;
        Ok(Players { accounts: people.iter().map(|person| person.account).collect(), lines })
    }

    /// An actor's account.
    pub fn account(&self, actor: Actor) -> u64 {
        self.accounts[actor as usize].0
    }

    /// An actor's connection.
    pub fn line(&mut self, actor: Actor) -> &mut Line {
        &mut self.lines[actor as usize]
    }

    /// Plays what happened before a cell.
    ///
    /// # Errors
    /// The server does not take part.
    pub fn set(&mut self, number: usize) -> anyhow::Result<Scene> {
        let (owner, member) = (AccountId(self.account(Actor::Owner)), AccountId(self.account(Actor::Member)));
        let (former, newcomer) = (self.account(Actor::Former), self.account(Actor::Newcomer));
        let line = self.line(Actor::Owner);
        let create = v1::CreateGroup {
            client_id: line.client_id(),
            title: format!("{TITLE}{number}"),
            members: vec![member.0, former],
            ..v1::CreateGroup::default()
        };
        let group = line.accepted(Request::CreateGroup(create))?.cid;
        let early = line.say(&group, format!("{EARLY}{number}"))?;
        let remove = v1::RemoveMember { cid: group.clone(), client_id: line.client_id(), member: former };
        line.accepted(Request::RemoveMember(remove))?;
        let (client_id, title) = (line.client_id(), format!("{RENAMED}{number}"));
        line.accepted(Request::Rename(v1::Rename { cid: group.clone(), client_id, title }))?;
        let (client_id, members) = (line.client_id(), vec![newcomer]);
        line.accepted(Request::AddMembers(v1::AddMembers { cid: group.clone(), client_id, members }))?;
        let late = line.say(&group, format!("{LATE}{number}"))?;
        let direct = Bytes::copy_from_slice(&ConversationId::direct(owner, member).0);
        let send = v1::Send {
            to: Some(v1::Target { target: Some(Target::Peer(member.0)) }),
            client_id: line.client_id(),
            message: Some(text(format!("{DIRECT}{number}"))),
        };
        line.accepted(Request::Send(send))?;
        let timeline = line.timeline();
        // What setting the stage told everybody is none of the cell's.
        for actor in Actor::ALL {
            self.line(actor).hears()?;
        }
        Ok(Scene { number, group, direct, early, late, timeline })
    }
}

impl Line {
    fn say(&mut self, cid: &Bytes, words: String) -> anyhow::Result<u64> {
        let client_id = self.client_id();
        let send = v1::Send { to: Some(at(cid)), client_id, message: Some(text(words)) };
        Ok(self.accepted(Request::Send(send))?.seq)
    }
}

/// A conversation by its cid.
pub fn at(cid: &Bytes) -> v1::Target {
    v1::Target { target: Some(Target::Cid(cid.clone())) }
}

/// A text message.
pub fn text(words: String) -> v1::Message {
    v1::Message { kind: "text".to_owned(), text: words, ..v1::Message::default() }
}
