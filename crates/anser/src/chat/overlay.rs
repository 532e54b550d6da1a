//! What lies over the chat: the switcher, forms, questions, members, the help.

use anser_model::{AccountId, ConversationId};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::chat::fuzzy;
use crate::chat::line::Line;
use crate::chat::snapshot::Known;
use crate::chat::state::State;
use crate::chat::view;

/// Conversations and people that the switcher shows at once.
const SWITCHER_ROWS: usize = 12;
/// Conversations come before people who fit as well.
const CONVERSATION_POINTS: i32 = 4;

/// What is open over the chat.
#[derive(Debug, Clone)]
pub enum Overlay {
    Switcher(Switcher),
    NewGroup(NewGroup),
    Help(Help),
    Sheet(Sheet),
    About(About),
    Prompt(Prompt),
    Ask(String, Question),
}

/// Finds conversations and people.
#[derive(Debug, Clone, Default)]
pub struct Switcher {
    pub query: Line,
    pub selected: usize,
    pub purpose: Purpose,
}

/// What becomes of the one that is chosen.
#[derive(Debug, Clone, Default)]
pub enum Purpose {
    #[default]
    Open,
    Forward(Forwarded),
}

/// What is to be said elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    pub from: ConversationId,
    pub seqs: Vec<u64>,
    /// Where they were said.
    pub title: String,
}

/// Things that were said, to be read: by whom or in which state, since when (0: no time), and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    pub title: String,
    pub lines: Vec<(String, u64, String)>,
    pub top: usize,
}

/// A title, and who is in it.
#[derive(Debug, Clone, Default)]
pub struct NewGroup {
    pub title: Line,
    pub handles: Line,
    pub on_handles: bool,
    pub channel: bool,
}

/// The key table.
#[derive(Debug, Clone, Default)]
pub struct Help {
    pub top: usize,
}

/// The members of the open conversation.
#[derive(Debug, Clone, Default)]
pub struct About {
    pub selected: usize,
}

/// One line that is asked for.
#[derive(Debug, Clone)]
pub struct Prompt {
    pub purpose: PromptFor,
    pub line: Line,
}

/// What a line is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptFor {
    Members,
    Title,
}

/// What is done only after a yes.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    Recall { cid: ConversationId, seq: u64 },
    RemoveMember { cid: ConversationId, member: AccountId },
    MakeOwner { cid: ConversationId, member: AccountId },
    Leave(ConversationId),
    Dissolve(ConversationId),
    Hide { cid: ConversationId, seqs: Vec<u64> },
    Clear { cid: ConversationId, seq: u64 },
}

/// One line of the switcher.
#[derive(Debug, Clone, PartialEq)]
pub enum Candidate {
    /// A conversation: its title, and the handle of a direct one.
    Conversation(ConversationId, String, String),
    Person(Known),
    Find(String),
}

/// What a key in an overlay comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Chosen {
    Nothing,
    Close,
    Open(ConversationId),
    Person(Known),
    Find(String),
    Create { title: String, handles: Vec<String>, channel: bool },
    Given(PromptFor, String),
    Agreed(Question),
}

impl Overlay {
    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        let text = text.replace('\n', " ");
        match self {
            Overlay::Switcher(switcher) => switcher.query.insert(&text),
            Overlay::NewGroup(group) => group.line().insert(&text),
            Overlay::Prompt(prompt) => prompt.line.insert(&text),
            Overlay::Help(_) | Overlay::Sheet(_) | Overlay::About(_) | Overlay::Ask(..) => {}
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: &KeyEvent, state: &State) -> Chosen {
        match (&mut *self, key.code) {
            (_, KeyCode::Esc) => Chosen::Close,
            (Overlay::Switcher(switcher), _) => switcher.key(key, state),
            (Overlay::NewGroup(group), _) => group.key(key),
            (Overlay::Prompt(prompt), _) => prompt.key(key),
            (Overlay::Ask(_, question), KeyCode::Char('y' | 'Y')) => Chosen::Agreed(question.clone()),
            (Overlay::Ask(..), _) => Chosen::Close,
            (_, KeyCode::Up | KeyCode::Char('k')) => self.scroll(-1),
            (_, KeyCode::Down | KeyCode::Char('j')) => self.scroll(1),
            (_, KeyCode::PageUp) => self.scroll(-10),
            (_, KeyCode::PageDown) => self.scroll(10),
            (Overlay::Help(_), KeyCode::Char('?' | 'q') | KeyCode::F(1) | KeyCode::Enter) => Chosen::Close,
            (Overlay::Sheet(_), KeyCode::Char('v' | 'q') | KeyCode::Enter) => Chosen::Close,
            (Overlay::Help(_) | Overlay::Sheet(_) | Overlay::About(_), _) => Chosen::Nothing,
        }
    }

    /// Moves what is chosen or shown; the view keeps it inside.
    pub fn scroll(&mut self, by: isize) -> Chosen {
        match self {
            Overlay::Switcher(switcher) => {
                switcher.selected = switcher.selected.saturating_add_signed(by).min(SWITCHER_ROWS);
            }
            Overlay::Help(help) => help.top = help.top.saturating_add_signed(by),
            Overlay::Sheet(sheet) => sheet.top = sheet.top.saturating_add_signed(by),
            Overlay::About(about) => about.selected = about.selected.saturating_add_signed(by),
            Overlay::NewGroup(_) | Overlay::Prompt(_) | Overlay::Ask(..) => {}
        }
        Chosen::Nothing
    }

    /// One of its lines was clicked; None: something beside it.
    pub fn click(&mut self, line: Option<usize>, state: &State) -> Chosen {
        let Some(line) = line else { return Chosen::Close };
        match self {
            Overlay::Switcher(switcher) if line > 0 => switcher.choose(line - 1, state),
            Overlay::About(about) => {
                about.selected = line;
                Chosen::Nothing
            }
            Overlay::NewGroup(group) => {
                group.on_handles = line > 0;
                Chosen::Nothing
            }
            _ => Chosen::Nothing,
        }
    }

    /// Keeps what is chosen among what there is.
    pub fn clamp(&mut self, state: &State) {
        match self {
            Overlay::About(about) => {
                about.selected = about.selected.min(state.members().len().saturating_sub(1));
            }
            Overlay::Switcher(switcher) => {
                let last = switcher.candidates(state).len().saturating_sub(1);
                switcher.selected = switcher.selected.min(last);
            }
            Overlay::Help(_) | Overlay::Sheet(_) => {
                let most = view::lines_beyond(state, self);
                if let Overlay::Help(Help { top }) | Overlay::Sheet(Sheet { top, .. }) = self {
                    *top = (*top).min(most);
                }
            }
            Overlay::NewGroup(_) | Overlay::Prompt(_) | Overlay::Ask(..) => {}
        }
    }
}

impl Switcher {
    /// What fits the query, the nearest first: conversations, people, and whoever has this very handle.
    pub fn candidates(&self, state: &State) -> Vec<Candidate> {
        let query = self.query.text().trim().trim_start_matches('@').to_lowercase();
        let rows = &state.snapshot.rows;
        let points = |title: &str, handle: &str| {
            let exact = i32::from(!query.is_empty() && handle == query) * 100;
            let by_handle = fuzzy::score(&query, handle).filter(|_| !handle.is_empty());
            Some(fuzzy::score(&query, title).max(by_handle)? + exact)
        };
        let conversations = rows.iter().filter_map(|row| {
            let title = state.title(row).to_owned();
            let points = points(&title, &row.handle)? + CONVERSATION_POINTS;
            Some((points, Candidate::Conversation(row.cid, title, row.handle.clone())))
        });
        let stranger =
            |known: &&Known| !query.is_empty() && rows.iter().all(|row| row.peer != Some(known.account));
        let people = state.snapshot.people.iter().filter(stranger).filter_map(|known| {
            Some((points(&known.name, &known.handle)?, Candidate::Person(known.clone())))
        });
        let mut fitting = conversations.chain(people).collect::<Vec<_>>();
        // Conversations come the newest first already.
        fitting.sort_by_key(|&(points, _)| std::cmp::Reverse(if query.is_empty() { 0 } else { points }));
        let mut candidates: Vec<_> = fitting.into_iter().map(|(_, it)| it).take(SWITCHER_ROWS).collect();
        let is_handle =
            !query.is_empty() && query.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let is_known = rows.iter().any(|row| row.handle == query)
            || state.snapshot.people.iter().any(|known| known.handle == query);
        if is_handle && !is_known {
            candidates.push(Candidate::Find(query));
        }
        candidates
    }

    fn choose(&self, index: usize, state: &State) -> Chosen {
        match self.candidates(state).into_iter().nth(index) {
            Some(Candidate::Conversation(cid, ..)) => Chosen::Open(cid),
            Some(Candidate::Person(known)) => Chosen::Person(known),
            Some(Candidate::Find(handle)) => Chosen::Find(handle),
            None => Chosen::Nothing,
        }
    }

    fn key(&mut self, key: &KeyEvent, state: &State) -> Chosen {
        let last = self.candidates(state).len().saturating_sub(1);
        match key.code {
            KeyCode::Up => self.selected = self.selected.min(last).saturating_sub(1),
            KeyCode::Down => self.selected = (self.selected + 1).min(last),
            KeyCode::Enter => return self.choose(self.selected.min(last), state),
            _ => {
                if self.query.key(key) {
                    self.selected = 0;
                }
            }
        }
        Chosen::Nothing
    }
}

impl NewGroup {
    fn line(&mut self) -> &mut Line {
        if self.on_handles { &mut self.handles } else { &mut self.title }
    }

    fn key(&mut self, key: &KeyEvent) -> Chosen {
        match key.code {
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => {
                self.on_handles = !self.on_handles
            }
            KeyCode::Char('t') if key.modifiers == KeyModifiers::CONTROL => self.channel = !self.channel,
            KeyCode::Enter if self.title.is_blank() => self.on_handles = false,
            KeyCode::Enter if !self.on_handles => self.on_handles = true,
            KeyCode::Enter => {
                let title = self.title.text().trim().to_owned();
                return Chosen::Create { title, handles: handles(&self.handles), channel: self.channel };
            }
            _ => {
                self.line().key(key);
            }
        }
        Chosen::Nothing
    }
}

impl Prompt {
    /// Asks for a line, with what stands there already.
    pub fn new(purpose: PromptFor, text: &str) -> Prompt {
        Prompt { purpose, line: Line::new(text) }
    }

    fn key(&mut self, key: &KeyEvent) -> Chosen {
        match key.code {
            KeyCode::Enter if self.line.is_blank() => Chosen::Nothing,
            KeyCode::Enter => Chosen::Given(self.purpose, self.line.text().to_owned()),
            _ => {
                self.line.key(key);
                Chosen::Nothing
            }
        }
    }
}

/// The handles in a line: between blanks or commas, with or without an @.
pub fn handles(line: &Line) -> Vec<String> {
    let handles = line.text().split([' ', ',', '，', '、']);
    let handles = handles.map(|handle| handle.trim().trim_start_matches('@'));
    handles.filter(|handle| !handle.is_empty()).map(str::to_owned).collect()
}
