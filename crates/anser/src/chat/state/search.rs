//! Searching in the messages that are loaded.

use crossterm::event::{KeyCode, KeyEvent};

use super::{Effect, Focus, State};
use crate::chat::line::Line;

/// What is searched for in the open conversation.
#[derive(Debug, Clone, Default)]
pub struct Search {
    pub query: Line,
    /// It is still being typed.
    pub typing: bool,
}

impl Search {
    /// As it is compared: in small letters.
    pub fn needle(&self) -> String {
        self.query.text().trim().to_lowercase()
    }
}

impl State {
    pub(super) fn begin_search(&mut self) {
        if self.open.is_some() {
            let query = self.search.take().map(|search| search.query).unwrap_or_default();
            self.search = Some(Search { query, typing: true });
            self.clamp_scroll();
        }
    }

    /// Which items hold what is searched for, and which of them is chosen.
    pub fn hits(&self) -> (Vec<usize>, Option<usize>) {
        let needle = self.search.as_ref().map(Search::needle).unwrap_or_default();
        let holds = |text: &str| !needle.is_empty() && text.to_lowercase().contains(&needle);
        let items = self.items().iter().enumerate();
        let found = items.filter(|(_, item)| item.said().is_some_and(|said| holds(&said.text)));
        let hits: Vec<usize> = found.map(|(index, _)| index).collect();
        let chosen = self.open.as_ref().and_then(|open| open.chosen);
        let at = hits.iter().position(|&index| Some(self.items()[index].key()) == chosen);
        (hits, at)
    }

    /// To the next hit upwards (-1) or downwards (1), round the ends.
    pub(super) fn next_hit(&mut self, by: isize) -> Vec<Effect> {
        let (hits, at) = self.hits();
        if hits.is_empty() {
            return self.say(self.words.no_hits.to_owned());
        }
        let next = match at {
            Some(at) => (at + hits.len()).saturating_add_signed(by) % hits.len(),
            None => hits.len() - 1,
        };
        self.choose_key(self.items()[hits[next]].key())
    }

    pub(super) fn search_key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        let Some(search) = &mut self.search else { return vec![] };
        match key.code {
            KeyCode::Esc => {
                self.search = None;
                self.version += 1;
                self.set_focus(Focus::Input);
                vec![]
            }
            KeyCode::Enter => {
                search.typing = false;
                let (hits, at) = self.hits();
                match at {
                    Some(_) => {
                        self.focus = Focus::Messages;
                        vec![]
                    }
                    None if hits.is_empty() => {
                        self.search = None;
                        self.set_focus(Focus::Input);
                        self.say(self.words.no_hits.to_owned())
                    }
                    None => self.next_hit(-1),
                }
            }
            KeyCode::Up => self.next_hit(-1),
            KeyCode::Down => self.next_hit(1),
            _ => {
                if search.query.key(key) {
                    self.version += 1;
                    self.newest_hit();
                }
                vec![]
            }
        }
    }

    /// Shows the newest hit while one types; the keys go on into the query.
    fn newest_hit(&mut self) {
        if let Some(open) = &mut self.open {
            open.chosen = None;
        }
        if let Some(&newest) = self.hits().0.last() {
            self.choose_key(self.items()[newest].key());
        }
    }
}
