//! The stage of one cell: a conversation with a past, of which each actor may see another part.

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{self, client_frame::Request, target::Target};
use bytes::Bytes;

use super::actors::{Actor, DIRECT, DRAFT, EARLY, Kind, LATE, OWN, RENAMED, REVISED, Seat, TITLE};
use super::line::Line;
use super::players::Players;

/// A stage: where things are, and what was said.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Tells its words apart from other stages'.
    pub number: usize,
    /// What kind of conversation it is.
    pub kind: Kind,
    /// The conversation.
    pub cid: Bytes,
    /// seq of the owner's message that is answered to, hidden, recalled.
    pub early: u64,
    /// seq of the owner's message that was edited; in a conversation of two or one nothing was.
    pub draft: u64,
    /// seq of the removal of the former member.
    pub parted: u64,
    /// seq by which the newcomer came.
    pub joined: u64,
    /// The newest seq.
    pub newest: u64,
    /// The history of the seqs.
    pub timeline: u64,
}

impl Scene {
    /// A stage on which nothing is.
    pub fn nowhere() -> Scene {
        let (number, kind, cid) = (0, Kind::Group, Bytes::new());
        Scene { number, kind, cid, early: 0, draft: 0, parted: 0, joined: 0, newest: 0, timeline: 0 }
    }

    /// The seqs that somebody may see, of all that there are.
    pub fn visible_to(&self, seat: Seat) -> Vec<u64> {
        match seat {
            Seat::Owner | Seat::Deputy | Seat::Member => (1..=self.newest).collect(),
            Seat::Newcomer => (self.joined..=self.newest).collect(),
            Seat::Former => (1..=self.parted).collect(),
            Seat::Outside => Vec::new(),
        }
    }
}

impl Players {
    /// Plays what happened before a cell.
    ///
    /// # Errors
    /// The server does not take part.
    pub fn set(&mut self, kind: Kind, number: usize) -> anyhow::Result<Scene> {
        let owner = self.account(Actor::Owner);
        let scene = match kind {
            Kind::Group | Kind::Channel => self.gather(kind, number)?,
            Kind::Direct => {
                let member = self.account(Actor::Member);
                let cid = ConversationId::direct(AccountId(owner), AccountId(member));
                self.write_to(member, kind, cid, format!("{DIRECT}{number}"))?
            }
            Kind::OfSelf => {
                let cid = ConversationId::of_self(AccountId(owner));
                self.write_to(owner, kind, cid, format!("{OWN}{number}"))?
            }
        };
        // What setting the stage told everybody is none of the cell's.
        for actor in Actor::ALL {
            self.line(actor).hears()?;
        }
        Ok(Scene { number, ..scene })
    }

    fn gather(&mut self, kind: Kind, number: usize) -> anyhow::Result<Scene> {
        let [deputy, member, former, newcomer] =
            [Actor::Deputy, Actor::Member, Actor::Former, Actor::Newcomer].map(|actor| self.account(actor));
        let line = self.line(Actor::Owner);
        let create = v1::CreateGroup {
            client_id: line.client_id(),
            title: format!("{TITLE}{number}"),
            members: vec![deputy, member, former],
            channel: kind == Kind::Channel,
            ..v1::CreateGroup::default()
        };
        let cid = line.accepted(Request::CreateGroup(create))?.cid;
        let (client_id, role) = (line.client_id(), v1::Role::Admin as i32);
        let set = v1::SetRole { cid: cid.clone(), client_id, member: deputy, role };
        line.accepted(Request::SetRole(set))?;
        let draft = line.say(at(&cid), format!("{DRAFT}{number}"))?;
        let early = line.say(at(&cid), format!("{EARLY}{number}"))?;
        let remove = v1::RemoveMember { cid: cid.clone(), client_id: line.client_id(), member: former };
        let parted = line.accepted(Request::RemoveMember(remove))?.seq;
        let edit = v1::Edit {
            r#in: Some(at(&cid)),
            client_id: line.client_id(),
            seq: draft,
            timeline: line.timeline(),
            message: Some(text(format!("{REVISED}{number}"))),
        };
        line.accepted(Request::Edit(edit))?;
        let (client_id, title) = (line.client_id(), format!("{RENAMED}{number}"));
        line.accepted(Request::Rename(v1::Rename { cid: cid.clone(), client_id, title }))?;
        let add = v1::AddMembers { cid: cid.clone(), client_id: line.client_id(), members: vec![newcomer] };
        let joined = line.accepted(Request::AddMembers(add))?.seq;
        let newest = line.say(at(&cid), format!("{LATE}{number}"))?;
        let timeline = line.timeline();
        Ok(Scene { number, kind, cid, early, draft, parted, joined, newest, timeline })
    }

    /// The owner says something to somebody, or to itself.
    fn write_to(
        &mut self,
        peer: u64,
        kind: Kind,
        cid: ConversationId,
        words: String,
    ) -> anyhow::Result<Scene> {
        let line = self.line(Actor::Owner);
        let seq = line.say(v1::Target { target: Some(Target::Peer(peer)) }, words)?;
        let (cid, timeline) = (Bytes::copy_from_slice(&cid.0), line.timeline());
        let (early, draft, newest) = (seq, seq, seq);
        Ok(Scene { number: 0, kind, cid, early, draft, parted: 0, joined: 0, newest, timeline })
    }
}

impl Line {
    fn say(&mut self, to: v1::Target, words: String) -> anyhow::Result<u64> {
        let client_id = self.client_id();
        let send = v1::Send { to: Some(to), client_id, message: Some(text(words)) };
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
