//! The state of the chat: what the session says and what keys and the mouse do, without I/O.

mod act;
mod compose;
mod details;
mod groups;
mod mouse;
mod presence;
mod scroll;
mod search;
mod typing;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use anser_client::account::Person;
use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::v1::{self, Role, Target};
use crossterm::event::KeyEvent;
use jiff::tz::TimeZone;

use crate::chat::keys::{self, Action, Place};
use crate::chat::line::Line;
use crate::chat::overlay::Overlay;
use crate::chat::snapshot::{Chat, Delivery, Item, Key, Row, Snapshot, Wanted};
use crate::chat::theme::Theme;
use crate::chat::view::{self, MessageLine};
use crate::chat::words::Words;

pub use compose::Completion;
pub use groups::MemberRow;
pub use search::Search;

/// An interruption shorter than this is not worth a banner.
const OFFLINE_SHOWN_AFTER_MS: u64 = 2_000;

/// What the run loop is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send {
        to: Target,
        message: v1::Message,
    },
    Read {
        cid: ConversationId,
        seq: u64,
    },
    /// Fetch the page below this seq; 0: the newest.
    Page {
        cid: ConversationId,
        before_seq: u64,
    },
    Find(String),
    CreateGroup {
        title: String,
        handles: Vec<String>,
        channel: bool,
    },
    Retry(ClientId),
    Recall {
        cid: ConversationId,
        seq: u64,
    },
    Edit {
        cid: ConversationId,
        seq: u64,
        message: v1::Message,
    },
    /// Say these again elsewhere: one as it is, several as one transcript with this title.
    Forward {
        from: ConversationId,
        seqs: Vec<u64>,
        to: Target,
        title: String,
    },
    /// Ask what a message said before.
    Versions {
        cid: ConversationId,
        seq: u64,
    },
    /// Take these away for oneself alone.
    Hide {
        cid: ConversationId,
        seqs: Vec<u64>,
    },
    /// Take everything up to a seq away for oneself alone.
    Clear {
        cid: ConversationId,
        seq: u64,
    },
    MarkUnread {
        cid: ConversationId,
        marked: bool,
    },
    /// Ask how far everybody has read.
    Marks {
        cid: ConversationId,
        seq: u64,
    },
    SetHistoryVisible {
        cid: ConversationId,
        visible: bool,
    },
    Dissolve(ConversationId),
    /// Ask who is in it.
    Members(ConversationId),
    AddMembers {
        cid: ConversationId,
        handles: Vec<String>,
    },
    RemoveMember {
        cid: ConversationId,
        member: AccountId,
    },
    SetRole {
        cid: ConversationId,
        member: AccountId,
        role: Role,
    },
    Rename {
        cid: ConversationId,
        title: String,
    },
    Leave(ConversationId),
    /// Tell the others that one types.
    Typing(Target),
    /// Be told whether these of a conversation are there.
    Watch {
        cid: ConversationId,
        accounts: Vec<AccountId>,
    },
    /// Put a text where the terminal keeps what was copied.
    Copy(String),
    /// Paint everything anew.
    Redraw,
    /// Something else is wanted of the session: look again.
    Look,
    Quit,
}

/// How an effect ended that somebody waits for.
#[derive(Debug)]
pub enum Outcome {
    Paged(ConversationId),
    Found(String, Option<Person>),
    Created(ConversationId),
    Members(ConversationId, Vec<MemberRow>),
    /// What a message said before: since when, and what.
    Versions(Vec<(u64, String)>, String),
    /// How far everybody has read, for who asked of this seq.
    Marks(u64, Vec<v1::MemberMark>),
    /// With a text for the person.
    Failed(String),
    Unreachable,
    Nothing,
}

/// Where keys go while nothing lies over the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    List,
    Messages,
    Input,
}

/// The conversation that is open.
#[derive(Debug, Clone)]
pub struct Open {
    pub cid: ConversationId,
    /// What to show while the list does not know it.
    pub title: String,
    pub peer: Option<AccountId>,
    /// What was unread when it was opened begins after this seq, so many.
    pub divider: Option<(u64, u64)>,
    /// Lines between the last one and the bottom of the screen.
    pub scroll: usize,
    /// Not looked at since it was opened.
    pub fresh: bool,
    /// That it is marked as unread ends when one looks.
    pub unmark: bool,
    /// The message that keys act on.
    pub chosen: Option<Key>,
    /// The seq that the next message replies to.
    pub reply: Option<u64>,
    /// The message that is being edited, and what was being written before.
    pub editing: Option<(u64, Line)>,
    /// Messages that go together into what is forwarded.
    pub marked: Vec<u64>,
    /// Who is in it, once asked; and as of which change of that.
    pub members: Option<Vec<MemberRow>>,
    pub members_asked_at: Option<u64>,
}

/// What was written and not sent.
#[derive(Debug, Clone, Default)]
struct Draft {
    input: Line,
    reply: Option<u64>,
}

/// Lines that were made: of which version, for which width.
type KeptLines = (u64, usize, Rc<Vec<MessageLine>>);

/// Everything that the view needs.
pub struct State {
    pub words: &'static Words,
    pub theme: &'static Theme,
    pub zone: TimeZone,
    pub size: (u16, u16),
    pub now_ms: u64,
    pub snapshot: Snapshot,
    pub open: Option<Open>,
    pub focus: Focus,
    pub input: Line,
    pub completion: Completion,
    pub search: Option<Search>,
    pub overlay: Option<Overlay>,
    pub notice: Option<String>,
    pub fetching: bool,
    /// The first conversation that the list shows, where the wheel moved it.
    pub list_top: Option<usize>,
    /// Who is typing, and when one said last that one is oneself, and where.
    typists: Vec<typing::Typist>,
    typing_told: Option<(ConversationId, u64)>,
    /// Of whom it was asked whether they are there.
    watched: BTreeMap<ConversationId, Vec<AccountId>>,
    /// The terminal says that nobody looks at it.
    away: bool,
    offline_since_ms: Option<u64>,
    drafts: BTreeMap<ConversationId, Draft>,
    read_asked: BTreeMap<ConversationId, u64>,
    /// Grows with everything that the lines of messages depend on.
    version: u64,
    lines: RefCell<Option<KeptLines>>,
}

impl State {
    /// Nothing known yet.
    pub fn new(
        words: &'static Words,
        theme: &'static Theme,
        zone: TimeZone,
        size: (u16, u16),
        now_ms: u64,
    ) -> State {
        State {
            words,
            theme,
            zone,
            size,
            now_ms,
            snapshot: Snapshot::default(),
            open: None,
            focus: Focus::List,
            input: Line::default(),
            completion: Completion::default(),
            search: None,
            overlay: None,
            notice: None,
            fetching: false,
            list_top: None,
            typists: Vec::new(),
            typing_told: None,
            watched: BTreeMap::new(),
            away: false,
            offline_since_ms: Some(now_ms),
            drafts: BTreeMap::new(),
            read_asked: BTreeMap::new(),
            version: 0,
            lines: RefCell::new(None),
        }
    }

    /// Which conversation is open.
    pub fn open_cid(&self) -> Option<ConversationId> {
        self.open.as_ref().map(|open| open.cid)
    }

    /// What the session is to be asked for.
    pub fn wanted(&self) -> Wanted {
        let people = matches!(self.overlay, Some(Overlay::Switcher(_)));
        Wanted { open: self.open_cid(), people }
    }

    /// Whether the connection has been away long enough to say so.
    pub fn is_offline(&self) -> bool {
        self.offline_since_ms.is_some_and(|since| self.now_ms.saturating_sub(since) >= OFFLINE_SHOWN_AFTER_MS)
    }

    /// The open conversation's row, once the list knows it.
    pub fn open_row(&self) -> Option<&Row> {
        let cid = self.open_cid()?;
        self.snapshot.rows.iter().find(|row| row.cid == cid)
    }

    /// What is held of the open conversation.
    pub fn chat(&self) -> Option<&Chat> {
        self.snapshot.open.as_ref()
    }

    /// The title of a conversation, for people.
    pub fn title<'a>(&'a self, row: &'a Row) -> &'a str {
        match row.title.as_str() {
            "" if row.kind == v1::ConversationKind::Self_ => self.words.own_space,
            "" => self.words.somebody,
            title => title,
        }
    }

    /// What was written in a conversation that is not open, and not sent.
    pub fn draft(&self, cid: ConversationId) -> Option<&str> {
        self.drafts.get(&cid).map(|draft| draft.input.text()).filter(|text| !text.trim().is_empty())
    }

    /// Unread messages of all conversations.
    pub fn unread(&self) -> u64 {
        self.snapshot.rows.iter().map(|row| row.unread).sum()
    }

    /// Where keys go now.
    pub fn place(&self) -> Place {
        match (&self.overlay, &self.search) {
            (Some(Overlay::About(_)), _) => Place::About,
            (Some(_), _) => Place::Overlay,
            (None, Some(search)) if search.typing => Place::Overlay,
            _ => match self.focus {
                Focus::Input => Place::Input,
                Focus::Messages => Place::Messages,
                Focus::List => Place::List,
            },
        }
    }

    /// Every line of the open conversation in a pane so wide.
    pub fn message_lines(&self, columns: usize) -> Rc<Vec<MessageLine>> {
        let mut kept = self.lines.borrow_mut();
        match &*kept {
            Some((version, width, lines)) if (*version, *width) == (self.version, columns) => lines.clone(),
            _ => {
                let lines = Rc::new(view::message_lines(self, columns));
                *kept = Some((self.version, columns, lines.clone()));
                lines
            }
        }
    }

    /// Time passes.
    pub fn tick(&mut self, now_ms: u64) {
        if view::is_another_day(self.now_ms, now_ms, &self.zone) {
            self.version += 1;
        }
        self.now_ms = now_ms;
        self.forget_typists();
    }

    /// The terminal is looked at, or not.
    pub fn look_away(&mut self, away: bool) -> Vec<Effect> {
        self.away = away;
        self.wants()
    }

    /// The session is not what it was.
    pub fn apply(&mut self, snapshot: Snapshot) -> Vec<Effect> {
        let anchor = self.anchor();
        let lowest = |open: &Option<Chat>| open.as_ref().map_or(0, |chat| chat.lowest);
        self.fetching &= lowest(&self.snapshot.open) == lowest(&snapshot.open);
        self.offline_since_ms = match (snapshot.attached, self.offline_since_ms) {
            (true, _) => None,
            (false, since) => since.or(Some(self.now_ms)),
        };
        self.forget_typists_of_newer(&snapshot.rows);
        self.snapshot = snapshot;
        self.version += 1;
        // What is being read stays where it is while lines come above and below.
        self.restore(anchor);
        self.keep_chosen();
        let mut effects = self.wants();
        effects.extend(self.watch());
        effects
    }

    /// Something that was waited for has come.
    pub fn finish(&mut self, outcome: Outcome) -> Vec<Effect> {
        match outcome {
            Outcome::Paged(cid) => {
                self.fetching &= self.open_cid() != Some(cid);
                vec![]
            }
            Outcome::Found(_, Some(person)) => {
                self.notice = None;
                let own = self.snapshot.own;
                let (cid, peer) = match person.account == own {
                    true => (ConversationId::of_self(own), own),
                    false => (ConversationId::direct(own, person.account), person.account),
                };
                self.open(cid, person.name, Some(peer))
            }
            Outcome::Found(handle, None) => self.say((self.words.not_found)(&handle)),
            Outcome::Created(cid) => self.open(cid, String::new(), None),
            Outcome::Members(cid, members) => self.learn_members(cid, members),
            Outcome::Versions(versions, now) => self.show_versions(versions, now),
            Outcome::Marks(seq, marks) => self.show_marks(seq, &marks),
            Outcome::Failed(why) => self.say(why),
            Outcome::Unreachable => self.say(self.words.unreachable.to_owned()),
            Outcome::Nothing => vec![],
        }
    }

    /// Something to tell the person, until the next key.
    pub fn say(&mut self, notice: String) -> Vec<Effect> {
        self.notice = Some(notice);
        vec![]
    }

    /// The terminal has another size.
    pub fn resize(&mut self, size: (u16, u16)) -> Vec<Effect> {
        let anchor = self.anchor();
        self.size = size;
        self.list_top = None;
        self.restore(anchor);
        self.wants()
    }

    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    ");
        match (&mut self.overlay, self.focus) {
            (Some(overlay), _) => overlay.paste(&text),
            (None, Focus::Input) => {
                self.input.insert(&text);
                self.clamp_scroll();
            }
            (None, _) => {}
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        self.notice = None;
        let place = self.place();
        let action = keys::action(key, place, self.search.is_some());
        if action == Some(Action::Quit) {
            return vec![Effect::Quit];
        }
        if self.search.as_ref().is_some_and(|search| search.typing) && self.overlay.is_none() {
            return self.search_key(key);
        }
        if place == Place::Input && self.complete_key(key) {
            return vec![];
        }
        match (action, place) {
            (Some(action), _) => self.act(action),
            (None, Place::Overlay | Place::About) => self.overlay_key(key),
            (None, Place::Input) => {
                self.input.key(key);
                self.completion = Completion::default();
                self.clamp_scroll();
                self.tell_typing()
            }
            (None, Place::Messages | Place::List) => vec![],
        }
    }

    /// Opens a conversation of the list. `focus`: where keys go then.
    fn open_known(&mut self, cid: ConversationId, focus: Focus) -> Vec<Effect> {
        let row = self.snapshot.rows.iter().find(|row| row.cid == cid);
        let (title, peer) = row.map(|row| (row.title.clone(), row.peer)).unwrap_or_default();
        let effects = self.open(cid, title, peer);
        self.focus = focus;
        effects
    }

    fn open(&mut self, cid: ConversationId, title: String, peer: Option<AccountId>) -> Vec<Effect> {
        self.focus = Focus::Input;
        self.list_top = None;
        if self.open_cid() == Some(cid) {
            self.set_focus(Focus::Input);
            return self.wants();
        }
        self.put_draft_away();
        let draft = self.drafts.remove(&cid).unwrap_or_default();
        self.input = draft.input;
        self.completion = Completion::default();
        self.search = None;
        self.snapshot.open = None;
        self.version += 1;
        self.fetching = false;
        self.open = Some(Open {
            cid,
            title,
            peer,
            divider: None,
            scroll: 0,
            fresh: true,
            unmark: true,
            chosen: None,
            reply: draft.reply,
            editing: None,
            marked: Vec::new(),
            members: None,
            members_asked_at: None,
        });
        vec![Effect::Look]
    }

    fn put_draft_away(&mut self) {
        let Some(left) = self.open.take() else { return };
        let written = std::mem::take(&mut self.input);
        // What was being edited stays as it is.
        let input = left.editing.map_or(written, |(_, before)| before);
        let draft = Draft { input, reply: left.reply };
        if !draft.input.is_blank() {
            self.drafts.insert(left.cid, draft);
        }
    }

    /// What follows from what is seen: a mark, a page, a divider, the members.
    fn wants(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(chat) = &self.snapshot.open else { return effects };
        let Some(open) = &mut self.open else { return effects };
        if std::mem::take(&mut open.fresh) && chat.unread > 0 {
            open.divider = Some((chat.mark, chat.unread));
            self.version += 1;
        }
        let cid = open.cid;
        // What is only passed by in the list, or shown to nobody, was not read.
        let is_read = open.scroll == 0 && self.focus != Focus::List && !self.away;
        let theirs = chat.items.iter().filter(|item| item.delivery == Delivery::Theirs);
        let newest = theirs.map(|item| item.seq).max().unwrap_or_default();
        let asked = self.read_asked.get(&cid).copied().unwrap_or_default();
        let is_marked = self.snapshot.rows.iter().any(|row| row.cid == cid && row.marked_unread);
        if is_read && is_marked && std::mem::take(&mut open.unmark) {
            effects.push(Effect::MarkUnread { cid, marked: false });
        }
        if is_read && newest > chat.mark.max(asked) {
            self.read_asked.insert(cid, newest);
            effects.push(Effect::Read { cid, seq: newest });
        }
        if self.lines_above() == 0 {
            effects.extend(self.older());
        }
        effects.extend(self.wants_members());
        effects
    }

    fn older(&mut self) -> Option<Effect> {
        let (cid, chat) = (self.open_cid()?, self.snapshot.open.as_ref()?);
        if !chat.more || self.fetching || !self.snapshot.attached {
            return None;
        }
        self.fetching = true;
        Some(Effect::Page { cid, before_seq: chat.lowest })
    }

    /// The items of the open conversation.
    fn items(&self) -> &[Item] {
        self.chat().map_or(&[], |chat| &chat.items)
    }

    /// The message that keys act on.
    pub fn chosen(&self) -> Option<&Item> {
        let key = self.open.as_ref()?.chosen?;
        self.items().iter().find(|item| item.key() == key)
    }
}
