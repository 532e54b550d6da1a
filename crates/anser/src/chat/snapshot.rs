//! What the session knows, as the screen needs it: taken on the driver's task, shown on another.

use anser_client::session::{Conversation, Entry, EntryState, Status};
use anser_client::{Command, Session};
use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::v1::{self, ConversationKind, Role, event::Change};

use crate::chat::text::{one_line, tamed};

/// Facts of the open conversation that are shown at most; older ones come when somebody scrolls.
const FACTS_SHOWN: usize = 1_000;

/// Everything that is shown.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub own: AccountId,
    pub attached: bool,
    /// The newest first.
    pub rows: Vec<Row>,
    pub open: Option<Chat>,
}

/// A conversation in the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub cid: ConversationId,
    pub peer: Option<AccountId>,
    pub title: String,
    pub handle: String,
    pub at_ms: u64,
    pub unread: u64,
    pub members: u32,
    pub is_member: bool,
    pub preview: Preview,
}

/// The last thing said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preview {
    /// Who, in a group.
    pub author: String,
    pub own: bool,
    pub text: String,
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
    pub items: Vec<Item>,
}

/// One thing in a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// 0 while it waits.
    pub seq: u64,
    pub author: AccountId,
    pub name: String,
    pub at_ms: u64,
    pub body: Body,
    pub delivery: Delivery,
}

/// What it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Text(String),
    /// A message that says nothing any more.
    Recalled,
    Created,
    Began,
    Added(Vec<String>),
    Removed(String),
    Left(String),
    Renamed(String),
    Role(String, usize),
    Other,
}

/// How far one's own message has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Not one's own.
    Theirs,
    Sending,
    Sent,
    Read,
    Failed(ClientId, String),
}

/// Takes it. `fallback` is one's own account while the session does not know it.
pub fn take(session: &Session, fallback: AccountId, open: Option<ConversationId>) -> Snapshot {
    let own = session.account().unwrap_or(fallback);
    let looked = Looking { session, own };
    Snapshot {
        own,
        attached: matches!(session.status(), Status::Attached { .. }),
        rows: session
            .conversations()
            .into_iter()
            .filter(|it| !it.needs_head())
            .map(|it| looked.row(it))
            .collect(),
        open: open.map(|cid| looked.chat(cid)),
    }
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

    fn row(&self, conversation: &Conversation) -> Row {
        let (cid, head) = (conversation.cid(), conversation.head());
        let peer = conversation.peer();
        let profile = peer.and_then(|peer| self.session.profiles().get(peer));
        let title = match (head.kind(), profile) {
            (ConversationKind::Group, _) => one_line(&head.title),
            (ConversationKind::Self_, _) => self.name(self.own),
            (_, Some(profile)) => one_line(&profile.name),
            (_, None) => String::new(),
        };
        Row {
            cid,
            peer,
            title,
            handle: profile.map(|profile| profile.handle.clone()).unwrap_or_default(),
            at_ms: head.at_ms,
            unread: self.session.unread(cid),
            members: if head.kind() == ConversationKind::Group { head.member_count } else { 0 },
            is_member: conversation.is_member(),
            preview: self.preview(cid, &head),
        }
    }

    fn preview(&self, cid: ConversationId, head: &v1::Head) -> Preview {
        let pending = self.session.pending(cid).filter_map(|entry| match &entry.command {
            Command::Send(send) => Some((entry, send.message.as_ref()?)),
            _ => None,
        });
        if let Some((entry, message)) = pending.last() {
            let failed = matches!(entry.state, EntryState::Failed(_));
            return Preview { own: true, failed, text: one_line(&message.text), ..Preview::default() };
        }
        let Some(event) = &head.last_message else { return Preview::default() };
        let Some(Change::Message(message)) = &event.change else { return Preview::default() };
        let own = event.author == self.own.get();
        let group = head.kind() == ConversationKind::Group && !own;
        let author = if group { self.name(AccountId(event.author)) } else { String::new() };
        Preview { author, own, text: one_line(&message.text), failed: false, recalled: message.recalled }
    }

    fn chat(&self, cid: ConversationId) -> Chat {
        let mut chat = Chat::default();
        if let Some(conversation) = self.session.conversation(cid) {
            let head = conversation.head();
            (chat.mark, chat.unread) = (head.mark, self.session.unread(cid));
            // Only what joins the newest without a gap: what lies beyond is fetched by scrolling.
            let newest = conversation.ranges().islands().last().copied();
            chat.lowest = newest.filter(|&(_, high)| high >= head.seq).map_or(0, |(low, _)| low);
            chat.more = head.seq > 0
                && (chat.lowest == 0 || chat.lowest > head.first_visible_seq.max(head.cleared_seq + 1));
            let facts =
                conversation.facts().rev().take_while(|fact| chat.lowest > 0 && fact.seq >= chat.lowest);
            // A recall or an edit is shown where its message stands.
            let is_own_line =
                |fact: &&v1::Event| !matches!(fact.change, Some(Change::Recalled(_) | Change::Edited(_)));
            let facts = facts.filter(is_own_line);
            chat.items = facts.take(FACTS_SHOWN).map(|fact| self.item(fact, &head)).collect();
            chat.items.reverse();
        }
        chat.items.extend(self.session.pending(cid).filter_map(|entry| self.waiting(entry)));
        chat
    }

    fn item(&self, fact: &v1::Event, head: &v1::Head) -> Item {
        let author = AccountId(fact.author);
        let delivery = match author == self.own {
            false => Delivery::Theirs,
            true if head.kind() == ConversationKind::Direct && fact.seq <= head.peer_mark => Delivery::Read,
            true => Delivery::Sent,
        };
        let (seq, at_ms, name) = (fact.seq, fact.at_ms, self.name(author));
        Item { seq, author, name, at_ms, body: self.body(fact, head.kind()), delivery }
    }

    fn body(&self, fact: &v1::Event, kind: ConversationKind) -> Body {
        let names =
            |accounts: &[u64]| accounts.iter().map(|&account| self.name(AccountId(account))).collect();
        match &fact.change {
            Some(Change::Message(message)) if message.recalled => Body::Recalled,
            Some(Change::Message(message)) => Body::Text(tamed(&message.text)),
            Some(Change::Created(_)) if kind == ConversationKind::Group => Body::Created,
            Some(Change::Created(_)) => Body::Began,
            Some(Change::MembersAdded(added)) => Body::Added(names(&added.members)),
            Some(Change::MemberRemoved(removed)) if removed.left => {
                Body::Left(self.name(AccountId(removed.member)))
            }
            Some(Change::MemberRemoved(removed)) => Body::Removed(self.name(AccountId(removed.member))),
            Some(Change::Renamed(renamed)) => Body::Renamed(one_line(&renamed.title)),
            Some(Change::RoleSet(set)) => {
                let role = match set.role() {
                    Role::Owner => 2,
                    Role::Admin => 1,
                    _ => 0,
                };
                Body::Role(self.name(AccountId(set.member)), role)
            }
            Some(_) | None => Body::Other,
        }
    }

    fn waiting(&self, entry: &Entry) -> Option<Item> {
        let Command::Send(send) = &entry.command else { return None };
        let delivery = match &entry.state {
            EntryState::Failed(error) => Delivery::Failed(entry.client_id, one_line(&error.message)),
            _ => Delivery::Sending,
        };
        Some(Item {
            seq: 0,
            author: self.own,
            name: self.name(self.own),
            at_ms: entry.client_id.minted_at().0,
            body: Body::Text(tamed(&send.message.as_ref()?.text)),
            delivery,
        })
    }
}
