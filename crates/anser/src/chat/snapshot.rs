//! What the session knows, as the screen needs it: taken on the driver's task, shown on another.

use std::collections::BTreeMap;

use anser_client::session::{Conversation, Entry, EntryState, Status};
use anser_client::{Command, Session};
use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::v1::{self, ConversationKind, Role, event::Change};

use crate::chat::kinds::{Thing, thing};
use crate::chat::text::{one_line, tamed};

/// Facts of the open conversation that are shown at most; older ones come when somebody scrolls.
const FACTS_SHOWN: usize = 1_000;
/// People without a conversation that the switcher may offer.
const PEOPLE_SHOWN: usize = 500;

/// What is wanted of the session.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    pub open: Option<ConversationId>,
    /// Whether everybody who is known, for who looks for somebody.
    pub people: bool,
}

/// Everything that is shown.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub own: AccountId,
    pub attached: bool,
    /// The newest first.
    pub rows: Vec<Row>,
    pub open: Option<Chat>,
    pub people: Vec<Known>,
    /// Who of those watched is there.
    pub there: BTreeMap<AccountId, There>,
}

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    Now,
    /// It was last at this time.
    Until(u64),
}

/// Somebody whose profile is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    pub account: AccountId,
    pub name: String,
    pub handle: String,
}

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    pub cid: ConversationId,
    pub kind: ConversationKind,
    pub peer: Option<AccountId>,
    pub title: String,
    pub handle: String,
    pub at_ms: u64,
    pub unread: u64,
    /// Whether something unread names this person.
    pub mentioned: bool,
    pub members: u32,
    /// Marked as unread by this person.
    pub marked_unread: bool,
    /// Whether newcomers see what was before.
    pub history_visible: bool,
    /// Unspecified: no longer a member.
    pub role: Role,
    pub preview: Preview,
}

/// The last thing said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preview {
    /// Who, in a group.
    pub author: String,
    pub own: bool,
    pub said: Said,
    /// Of one's own commands that are not accepted yet.
    pub failed: bool,
    /// It says nothing any more.
    pub recalled: bool,
}

/// The conversation that is open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chat {
    pub mark: u64,
    pub unread: u64,
    /// The first seq that is held without a gap up to the newest; 0: none is.
    pub lowest: u64,
    /// Whether older facts are there to be fetched.
    pub more: bool,
    /// The seq of the newest fact that changed who is a member, or in which role.
    pub members_seq: u64,
    pub items: Vec<Item>,
}

/// One thing in a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// 0 while it waits.
    pub seq: u64,
    /// Of what waits.
    pub client_id: Option<ClientId>,
    pub author: AccountId,
    pub name: String,
    pub at_ms: u64,
    pub body: Body,
    pub delivery: Delivery,
}

/// Which item: what waits has no seq yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Seq(u64),
    Waiting(ClientId),
}

/// What it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Said(Said),
    /// A message that says nothing any more.
    Recalled,
    /// A message that was edited where one could not see it.
    Withheld,
    Created,
    Began,
    Added(Vec<String>),
    Removed(String),
    Left(String, Option<String>),
    Renamed(String),
    Role(String, Role),
    Dissolved,
    Avatar,
    Newcomers(bool),
    Other,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// What it is, unless it is its text.
    pub thing: Option<Thing>,
    pub text: String,
    pub reply: Option<Quote>,
    /// Who is named in it.
    pub names: Vec<String>,
    pub all: bool,
    /// Whether it names this person.
    pub to_me: bool,
    /// It was said elsewhere first.
    pub forwarded: bool,
    /// How often it was edited.
    pub edits: u32,
}

/// What a message replies to.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    pub seq: u64,
    /// None: it is not held here. Without what was said: it was taken back.
    pub said: Option<(Author, Option<Box<Said>>)>,
}

/// Who said it.
#[derive(Debug, Clone, PartialEq)]
pub enum Author {
    Own,
    Named(String),
}

/// How far one's own message has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Not one's own.
    Theirs,
    Sending,
    Sent,
    /// A device of the other one has it.
    Delivered,
    Read,
    Failed(ClientId, String),
}

impl Item {
    /// Which it is.
    pub fn key(&self) -> Key {
        self.client_id.map_or(Key::Seq(self.seq), Key::Waiting)
    }

    /// What it says, if it says something.
    pub fn said(&self) -> Option<&Said> {
        match &self.body {
            Body::Said(said) => Some(said),
            _ => None,
        }
    }

    /// Whether it is one's own.
    pub fn is_own(&self) -> bool {
        self.delivery != Delivery::Theirs
    }
}

impl Row {
    /// Whether one is in it.
    pub fn is_member(&self) -> bool {
        self.role != Role::Unspecified
    }

    /// Whether it has members beside the two.
    pub fn is_group(&self) -> bool {
        is_group(self.kind)
    }

    /// Whether one may say something in it.
    pub fn may_write(&self) -> bool {
        match self.kind {
            ConversationKind::Channel => matches!(self.role, Role::Admin | Role::Owner),
            _ => self.is_member(),
        }
    }
}

/// Takes it. `fallback` is one's own account while the session does not know it.
pub fn take(session: &Session, fallback: AccountId, wanted: Wanted) -> Snapshot {
    let own = session.account().unwrap_or(fallback);
    let looked = Looking { session, own };
    let conversations = session.conversations();
    let known = conversations.iter().filter(|it| !it.needs_head());
    Snapshot {
        own,
        attached: matches!(session.status(), Status::Attached { .. }),
        rows: known.map(|it| looked.row(it)).collect(),
        open: wanted.open.map(|cid| looked.chat(cid)),
        people: if wanted.people { looked.people() } else { Vec::new() },
        there: session.presences().all().filter_map(there).collect(),
    }
}

fn there(presence: &v1::Presence) -> Option<(AccountId, There)> {
    let there = match presence.last_seen_at_ms {
        _ if presence.online => There::Now,
        0 => return None,
        at_ms => There::Until(at_ms),
    };
    Some((AccountId(presence.account), there))
}

struct Looking<'a> {
    session: &'a Session,
    own: AccountId,
}

impl Looking<'_> {
    fn name(&self, account: AccountId) -> String {
        let profile = self.session.profiles().get(account);
        profile.map(|profile| one_line(&profile.name)).unwrap_or_default()
    }

    fn names(&self, accounts: &[u64]) -> Vec<String> {
        accounts.iter().map(|&account| self.name(AccountId(account))).collect()
    }

    fn people(&self) -> Vec<Known> {
        let others = self.session.profiles().all().filter(|profile| profile.account != self.own.get());
        let people = others.map(|profile| Known {
            account: AccountId(profile.account),
            name: one_line(&profile.name),
            handle: profile.handle.clone(),
        });
        people.take(PEOPLE_SHOWN).collect()
    }

    fn row(&self, conversation: &Conversation) -> Row {
        let (cid, head) = (conversation.cid(), conversation.head());
        let peer = conversation.peer();
        let profile = peer.and_then(|peer| self.session.profiles().get(peer));
        let title = match profile {
            Some(profile) if head.kind() == ConversationKind::Direct => one_line(&profile.name),
            _ => one_line(&head.title),
        };
        let group = is_group(head.kind());
        let unread = self.session.unread(cid);
        let preview = self.preview(cid, &head);
        Row {
            cid,
            kind: head.kind(),
            peer,
            title,
            handle: profile.map(|profile| profile.handle.clone()).unwrap_or_default(),
            at_ms: head.at_ms,
            unread,
            mentioned: !head.mentions.is_empty() || head.mention_all_seq > 0,
            members: if group { head.member_count } else { 0 },
            marked_unread: head.marked_unread,
            history_visible: head.history_visible,
            role: head.role(),
            preview,
        }
    }

    fn preview(&self, cid: ConversationId, head: &v1::Head) -> Preview {
        let pending = self.session.pending(cid).filter_map(|entry| match &entry.command {
            Command::Send(send) => Some((entry, send.message.as_ref()?)),
            _ => None,
        });
        if let Some((entry, message)) = pending.last() {
            let failed = matches!(entry.state, EntryState::Failed(_));
            return Preview { own: true, failed, said: self.said(message, None), ..Preview::default() };
        }
        let Some(event) = &head.last_message else { return Preview::default() };
        let Some(Change::Message(message)) = &event.change else { return Preview::default() };
        let own = event.author == self.own.get();
        let group = is_group(head.kind()) && !own;
        let author = if group { self.name(AccountId(event.author)) } else { String::new() };
        let said = self.said(message, None);
        Preview { author, own, said, failed: false, recalled: message.recalled }
    }

    fn chat(&self, cid: ConversationId) -> Chat {
        let mut chat = Chat::default();
        let conversation = self.session.conversation(cid);
        if let Some(conversation) = conversation {
            let head = conversation.head();
            (chat.mark, chat.unread) = (head.mark, self.session.unread(cid));
            // Only what joins the newest without a gap: what lies beyond is fetched by scrolling.
            let newest = conversation.ranges().islands().last().copied();
            chat.lowest = newest.filter(|&(_, high)| high >= head.seq).map_or(0, |(low, _)| low);
            let floor = head.first_visible_seq.max(head.cleared_seq + 1);
            chat.more = head.seq >= floor && (chat.lowest == 0 || chat.lowest > floor);
            let facts =
                || conversation.facts().rev().take_while(|fact| chat.lowest > 0 && fact.seq >= chat.lowest);
            let shown = facts().filter(|fact| is_line(fact));
            chat.items = shown.take(FACTS_SHOWN).map(|fact| self.item(fact, conversation, &head)).collect();
            chat.items.reverse();
            chat.members_seq = facts().find(|fact| changes_members(fact)).map_or(0, |fact| fact.seq);
        }
        let waiting = self.session.pending(cid).filter_map(|entry| self.waiting(entry, conversation));
        chat.items.extend(waiting);
        chat
    }

    fn item(&self, fact: &v1::Event, conversation: &Conversation, head: &v1::Head) -> Item {
        let author = AccountId(fact.author);
        let delivery = match author == self.own {
            false => Delivery::Theirs,
            true if head.kind() != ConversationKind::Direct => Delivery::Sent,
            true if fact.seq <= head.peer_mark => Delivery::Read,
            true if fact.seq <= head.peer_delivered => Delivery::Delivered,
            true => Delivery::Sent,
        };
        Item {
            seq: fact.seq,
            client_id: None,
            author,
            name: self.name(author),
            at_ms: fact.at_ms,
            body: self.body(fact, conversation, head.kind()),
            delivery,
        }
    }

    fn body(&self, fact: &v1::Event, conversation: &Conversation, kind: ConversationKind) -> Body {
        let name = |account: u64| self.name(AccountId(account));
        match &fact.change {
            Some(Change::Message(message)) if message.recalled => Body::Recalled,
            Some(Change::Message(message)) if message.withheld => Body::Withheld,
            Some(Change::Message(message)) => Body::Said(self.said(message, Some(conversation))),
            Some(Change::Created(_)) if is_group(kind) => Body::Created,
            Some(Change::Created(_)) => Body::Began,
            Some(Change::MembersAdded(added)) => Body::Added(self.names(&added.members)),
            Some(Change::MemberRemoved(removed)) if removed.left => {
                let new_owner = (removed.new_owner > 0).then(|| name(removed.new_owner));
                Body::Left(name(removed.member), new_owner)
            }
            Some(Change::MemberRemoved(removed)) => Body::Removed(name(removed.member)),
            Some(Change::Renamed(renamed)) => Body::Renamed(one_line(&renamed.title)),
            Some(Change::RoleSet(set)) => Body::Role(name(set.member), set.role()),
            Some(Change::Dissolved(_)) => Body::Dissolved,
            Some(Change::AvatarSet(_)) => Body::Avatar,
            Some(Change::HistoryVisibleSet(set)) => Body::Newcomers(set.visible),
            Some(_) | None => Body::Other,
        }
    }

    fn said(&self, message: &v1::Message, conversation: Option<&Conversation>) -> Said {
        let quoted = conversation.filter(|_| message.reply_to > 0);
        Said {
            thing: thing(message),
            text: tamed(&message.text),
            reply: quoted.map(|conversation| self.quote(message.reply_to, conversation)),
            names: self.names(&message.mentions),
            all: message.mention_all,
            to_me: message.mention_all || message.mentions.contains(&self.own.get()),
            forwarded: message.forwarded,
            edits: message.edits,
        }
    }

    fn quote(&self, seq: u64, conversation: &Conversation) -> Quote {
        let said = conversation.fact(seq).and_then(|fact| match &fact.change {
            Some(Change::Message(message)) => {
                let author = match AccountId(fact.author) {
                    author if author == self.own => Author::Own,
                    author => Author::Named(self.name(author)),
                };
                let gone = message.recalled || message.withheld;
                Some((author, (!gone).then(|| Box::new(self.said(message, None)))))
            }
            _ => None,
        });
        Quote { seq, said }
    }

    fn waiting(&self, entry: &Entry, conversation: Option<&Conversation>) -> Option<Item> {
        let Command::Send(send) = &entry.command else { return None };
        let delivery = match &entry.state {
            EntryState::Failed(error) => Delivery::Failed(entry.client_id, one_line(&error.message)),
            _ => Delivery::Sending,
        };
        Some(Item {
            seq: 0,
            client_id: Some(entry.client_id),
            author: self.own,
            name: self.name(self.own),
            at_ms: entry.client_id.minted_at().0,
            body: Body::Said(self.said(send.message.as_ref()?, conversation)),
            delivery,
        })
    }
}

/// Whether it has members beside two.
fn is_group(kind: ConversationKind) -> bool {
    matches!(kind, ConversationKind::Group | ConversationKind::Channel)
}

/// Whether it has a line of its own: a recall and an edit are shown where their message stands.
fn is_line(fact: &v1::Event) -> bool {
    !matches!(fact.change, Some(Change::Recalled(_) | Change::Edited(_)))
}

fn changes_members(fact: &v1::Event) -> bool {
    matches!(
        fact.change,
        Some(Change::Created(_) | Change::MembersAdded(_) | Change::MemberRemoved(_) | Change::RoleSet(_))
    )
}
