//! The state of the chat: what the session says and what keys do, without I/O.

use std::collections::BTreeMap;

use anser_client::account::Person;
use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::v1::Target;
use crossterm::event::KeyEvent;
use jiff::tz::TimeZone;

use crate::chat::keys::{self, Action};
use crate::chat::line::Line;
use crate::chat::overlay::{Chosen, NewGroup, Overlay, Switcher};
use crate::chat::snapshot::{Body, Delivery, Item, Row, Snapshot};
use crate::chat::view;
use crate::chat::words::Words;

/// An interruption shorter than this is not worth a banner.
const OFFLINE_SHOWN_AFTER_MS: u64 = 2_000;

/// What the run loop is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send {
        to: Target,
        text: String,
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
    },
    Retry(ClientId),
    Recall {
        cid: ConversationId,
        seq: u64,
    },
    /// Another conversation is open: look again.
    Look,
    Quit,
}

/// How an effect ended that somebody waits for.
#[derive(Debug)]
pub enum Outcome {
    Paged(ConversationId),
    Found(String, Option<Person>),
    Created(ConversationId),
    /// With a text for the person.
    Failed(String),
    Unreachable,
    Nothing,
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
}

/// Everything that the view needs.
pub struct State {
    pub words: &'static Words,
    pub zone: TimeZone,
    pub size: (u16, u16),
    pub now_ms: u64,
    pub snapshot: Snapshot,
    pub open: Option<Open>,
    pub typing: bool,
    pub input: Line,
    pub overlay: Option<Overlay>,
    pub notice: Option<String>,
    pub fetching: bool,
    offline_since_ms: Option<u64>,
    drafts: BTreeMap<ConversationId, Line>,
    read_asked: BTreeMap<ConversationId, u64>,
}

impl State {
    /// Nothing known yet.
    pub fn new(words: &'static Words, zone: TimeZone, size: (u16, u16), now_ms: u64) -> State {
        State {
            words,
            zone,
            size,
            now_ms,
            snapshot: Snapshot::default(),
            open: None,
            typing: false,
            input: Line::default(),
            overlay: None,
            notice: None,
            fetching: false,
            offline_since_ms: Some(now_ms),
            drafts: BTreeMap::new(),
            read_asked: BTreeMap::new(),
        }
    }

    /// Which conversation is open.
    pub fn open_cid(&self) -> Option<ConversationId> {
        self.open.as_ref().map(|open| open.cid)
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

    /// Time passes.
    pub fn tick(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// The session is not what it was.
    pub fn apply(&mut self, snapshot: Snapshot) -> Vec<Effect> {
        let reaching_back = self.lines_above();
        let older_came = self.lowest() != snapshot.open.as_ref().map_or(0, |chat| chat.lowest);
        self.offline_since_ms = match (snapshot.attached, self.offline_since_ms) {
            (true, _) => None,
            (false, since) => since.or(Some(self.now_ms)),
        };
        self.snapshot = snapshot;
        self.fetching &= !older_came;
        // What is being read stays where it is while new lines come below.
        let now = self.lines_above();
        if let Some(open) = self.open.as_mut().filter(|open| open.scroll > 0 && !older_came) {
            open.scroll += now.saturating_sub(reaching_back);
        }
        self.clamp_scroll();
        self.wants()
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
        self.size = size;
        self.clamp_scroll();
        self.wants()
    }

    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        match &mut self.overlay {
            Some(overlay) => overlay.paste(&text),
            None if self.typing => self.input.insert(&text),
            None => {}
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        self.notice = None;
        let action = keys::action(key, self.typing || self.overlay.is_some());
        if action == Some(Action::Quit) {
            return vec![Effect::Quit];
        }
        if let Some(mut overlay) = self.overlay.take() {
            let chosen = overlay.key(key, &self.snapshot.rows);
            if chosen != Chosen::Close {
                self.overlay = Some(overlay);
            }
            return self.chosen(chosen);
        }
        match action {
            Some(action) => self.act(action),
            None => {
                if self.typing {
                    self.input.key(key);
                }
                vec![]
            }
        }
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Quit => return vec![Effect::Quit],
            Action::Send => return self.send(),
            Action::Newline => self.input.insert("\n"),
            Action::Switch => self.overlay = Some(Overlay::Switcher(Switcher::default())),
            Action::NewGroup => self.overlay = Some(Overlay::NewGroup(NewGroup::default())),
            Action::Help => self.overlay = Some(Overlay::Help),
            Action::NextUnread => return self.next_unread(),
            Action::Previous => return self.step(-1),
            Action::Next => return self.step(1),
            Action::Older => return self.scroll_by(self.page_lines()),
            Action::Newer => return self.scroll_by(-self.page_lines()),
            Action::Bottom => return self.scroll_by(isize::MIN / 2),
            Action::LeaveInput => self.typing = false,
            Action::EnterInput => self.typing = self.open.is_some(),
            Action::Retry => return self.retry(),
            Action::Recall => return self.recall(),
        }
        vec![]
    }

    fn chosen(&mut self, chosen: Chosen) -> Vec<Effect> {
        match chosen {
            Chosen::Nothing | Chosen::Close => vec![],
            Chosen::Open(cid) => {
                self.overlay = None;
                self.open_known(cid)
            }
            Chosen::Find(handle) => {
                self.overlay = None;
                self.notice = Some((self.words.finding)(&handle));
                vec![Effect::Find(handle)]
            }
            Chosen::Create { title, handles } => {
                self.overlay = None;
                vec![Effect::CreateGroup { title, handles }]
            }
        }
    }

    fn open_known(&mut self, cid: ConversationId) -> Vec<Effect> {
        let row = self.snapshot.rows.iter().find(|row| row.cid == cid);
        let (title, peer) = row.map(|row| (row.title.clone(), row.peer)).unwrap_or_default();
        self.open(cid, title, peer)
    }

    fn open(&mut self, cid: ConversationId, title: String, peer: Option<AccountId>) -> Vec<Effect> {
        self.typing = true;
        if self.open_cid() == Some(cid) {
            return vec![];
        }
        if let Some(left) = self.open.take() {
            self.drafts.insert(left.cid, std::mem::take(&mut self.input));
        }
        self.input = self.drafts.remove(&cid).unwrap_or_default();
        self.snapshot.open = None;
        self.fetching = false;
        self.open = Some(Open { cid, title, peer, divider: None, scroll: 0, fresh: true });
        vec![Effect::Look]
    }

    fn next_unread(&mut self) -> Vec<Effect> {
        let open = self.open_cid();
        let unread = self.snapshot.rows.iter().find(|row| row.unread > 0 && Some(row.cid) != open);
        unread.map(|row| row.cid).map_or_else(Vec::new, |cid| self.open_known(cid))
    }

    fn step(&mut self, by: isize) -> Vec<Effect> {
        let rows = &self.snapshot.rows;
        let open = self.open_cid();
        let at = rows.iter().position(|row| Some(row.cid) == open);
        let next = match at {
            Some(at) => at.saturating_add_signed(by).min(rows.len().saturating_sub(1)),
            None => 0,
        };
        rows.get(next).map(|row| row.cid).map_or_else(Vec::new, |cid| self.open_known(cid))
    }

    fn send(&mut self) -> Vec<Effect> {
        let Some(open) = &mut self.open else { return vec![] };
        if self.input.is_blank() {
            return vec![];
        }
        open.scroll = 0;
        open.divider = None;
        let to = open.peer.map_or_else(|| Target::cid(open.cid), Target::peer);
        let text = std::mem::take(&mut self.input).text().trim_end().to_owned();
        vec![Effect::Send { to, text }]
    }

    fn retry(&self) -> Vec<Effect> {
        let items = self.snapshot.open.iter().flat_map(|chat| &chat.items);
        let failed = items.filter_map(|item| match item.delivery {
            Delivery::Failed(id, _) => Some(Effect::Retry(id)),
            _ => None,
        });
        failed.collect()
    }

    /// Takes back one's own newest message that can still be seen.
    fn recall(&self) -> Vec<Effect> {
        let own = |item: &&Item| {
            matches!(item.delivery, Delivery::Sent | Delivery::Read) && matches!(item.body, Body::Text(_))
        };
        let newest = self.snapshot.open.as_ref().and_then(|chat| chat.items.iter().rev().find(own));
        let recalled = newest.zip(self.open_cid()).map(|(item, cid)| Effect::Recall { cid, seq: item.seq });
        recalled.into_iter().collect()
    }

    fn scroll_by(&mut self, lines: isize) -> Vec<Effect> {
        if let Some(open) = &mut self.open {
            open.scroll = open.scroll.saturating_add_signed(lines);
        }
        let wanted = self.open.as_ref().map_or(0, |open| open.scroll);
        self.clamp_scroll();
        let reached = self.open.as_ref().map_or(0, |open| open.scroll);
        let mut effects = self.wants();
        if wanted > reached && effects.is_empty() {
            effects.extend(self.older());
        }
        effects
    }

    /// What follows from what is seen: a mark, a page, a divider.
    fn wants(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let (Some(open), Some(chat)) = (&mut self.open, &self.snapshot.open) else { return effects };
        if std::mem::take(&mut open.fresh) && chat.unread > 0 {
            open.divider = Some((chat.mark, chat.unread));
        }
        let (cid, at_bottom) = (open.cid, open.scroll == 0);
        let theirs = chat.items.iter().filter(|item| item.delivery == Delivery::Theirs);
        let newest = theirs.map(|item| item.seq).max().unwrap_or_default();
        let asked = self.read_asked.get(&cid).copied().unwrap_or_default();
        if at_bottom && newest > chat.mark.max(asked) {
            self.read_asked.insert(cid, newest);
            effects.push(Effect::Read { cid, seq: newest });
        }
        if self.lines_above() == 0 {
            effects.extend(self.older());
        }
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

    fn lowest(&self) -> u64 {
        self.snapshot.open.as_ref().map_or(0, |chat| chat.lowest)
    }

    fn page_lines(&self) -> isize {
        (view::message_rows(self.size) as isize - 2).max(1)
    }

    /// Lines of the open conversation that do not fit on the screen.
    fn lines_above(&self) -> usize {
        view::message_lines(self).saturating_sub(view::message_rows(self.size))
    }

    fn clamp_scroll(&mut self) {
        let most = self.lines_above();
        if let Some(open) = &mut self.open {
            open.scroll = open.scroll.min(most);
        }
    }
}
