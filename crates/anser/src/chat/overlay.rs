//! What lies over the chat: the switcher, the form for a new group, the help.

use anser_model::ConversationId;
use crossterm::event::{KeyCode, KeyEvent};

use crate::chat::line::Line;
use crate::chat::snapshot::Row;

/// Conversations that the switcher shows at once.
const SWITCHER_ROWS: usize = 10;

/// What is open over the chat.
#[derive(Debug, Clone)]
pub enum Overlay {
    Switcher(Switcher),
    NewGroup(NewGroup),
    Help,
}

/// Finds conversations and people.
#[derive(Debug, Clone, Default)]
pub struct Switcher {
    pub query: Line,
    pub selected: usize,
}

/// A title, and who is in it.
#[derive(Debug, Clone, Default)]
pub struct NewGroup {
    pub title: Line,
    pub handles: Line,
    pub on_handles: bool,
}

/// One line of the switcher.
#[derive(Debug, Clone, PartialEq)]
pub enum Candidate {
    Known(ConversationId, String, String),
    Find(String),
}

/// What a key in an overlay comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Chosen {
    Nothing,
    Close,
    Open(ConversationId),
    Find(String),
    Create { title: String, handles: Vec<String> },
}

impl Overlay {
    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        let text = text.replace('\n', " ");
        match self {
            Overlay::Switcher(switcher) => switcher.query.insert(&text),
            Overlay::NewGroup(group) => group.line().insert(&text),
            Overlay::Help => {}
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: &KeyEvent, rows: &[Row]) -> Chosen {
        match (self, key.code) {
            (_, KeyCode::Esc) => Chosen::Close,
            (Overlay::Switcher(switcher), _) => switcher.key(key, rows),
            (Overlay::NewGroup(group), _) => group.key(key),
            (Overlay::Help, _) => Chosen::Close,
        }
    }
}

impl Switcher {
    /// What fits the query: conversations, and the person with this very handle.
    pub fn candidates(&self, rows: &[Row]) -> Vec<Candidate> {
        let query = self.query.text().trim().trim_start_matches('@').to_lowercase();
        let exact = rows.iter().filter(|row| !query.is_empty() && row.handle == query);
        let alike = rows
            .iter()
            .filter(|row| query.is_empty() || row.handle != query)
            .filter(|row| row.title.to_lowercase().contains(&query) || row.handle.contains(&query));
        let known = exact.chain(alike).take(SWITCHER_ROWS);
        let known = known.map(|row| Candidate::Known(row.cid, row.title.clone(), row.handle.clone()));
        let mut candidates = known.collect::<Vec<_>>();
        let is_handle =
            !query.is_empty() && query.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if is_handle && rows.iter().all(|row| row.handle != query) {
            candidates.push(Candidate::Find(query));
        }
        candidates
    }

    fn key(&mut self, key: &KeyEvent, rows: &[Row]) -> Chosen {
        let candidates = self.candidates(rows);
        match key.code {
            KeyCode::Up => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down => self.selected = (self.selected + 1).min(candidates.len().saturating_sub(1)),
            KeyCode::Enter => {
                return match candidates.into_iter().nth(self.selected) {
                    Some(Candidate::Known(cid, ..)) => Chosen::Open(cid),
                    Some(Candidate::Find(handle)) => Chosen::Find(handle),
                    None => Chosen::Nothing,
                };
            }
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
            KeyCode::Enter if self.title.is_blank() => self.on_handles = false,
            KeyCode::Enter if !self.on_handles => self.on_handles = true,
            KeyCode::Enter => {
                let handles = self.handles.text().split([' ', ',', '，', '、']);
                let handles = handles.map(|handle| handle.trim().trim_start_matches('@'));
                let handles = handles.filter(|handle| !handle.is_empty()).map(str::to_owned).collect();
                return Chosen::Create { title: self.title.text().trim().to_owned(), handles };
            }
            _ => {
                self.line().key(key);
            }
        }
        Chosen::Nothing
    }
}
