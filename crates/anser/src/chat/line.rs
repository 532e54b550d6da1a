//! One editable line: the cursor moves by what a person sees as one character.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation as _};

use crate::chat::text::width;

/// Bytes of the longest line: a message may have no more.
const LINE_BYTES: usize = anser_model::limits::MESSAGE_TEXT_BYTES;

/// Text and a cursor in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// A byte offset, between two graphemes.
    cursor: usize,
}

impl Line {
    /// A line with the cursor behind the text.
    pub fn new(text: impl Into<String>) -> Line {
        let text = text.into();
        Line { cursor: text.len(), text }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is nothing but blanks.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Puts text in at the cursor, as much as has room.
    pub fn insert(&mut self, text: &str) {
        for grapheme in text.graphemes(true) {
            let kept = grapheme == "\n" || !grapheme.chars().any(char::is_control);
            if kept && self.text.len() + grapheme.len() <= LINE_BYTES {
                self.text.insert_str(self.cursor, grapheme);
                self.cursor += grapheme.len();
            }
        }
        // What came may have joined with what was there.
        self.cursor = self.boundary_at_or_after(self.cursor);
    }

    /// Takes an editing key. Whether it was one.
    pub fn key(&mut self, key: &KeyEvent) -> bool {
        let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
        let ctrl = key.modifiers == KeyModifiers::CONTROL;
        match key.code {
            KeyCode::Char(letter) if plain => self.insert(letter.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace if plain => self.remove(self.before(), self.cursor),
            KeyCode::Delete if plain => self.remove(self.cursor, self.after()),
            KeyCode::Left if plain => self.cursor = self.before(),
            KeyCode::Right if plain => self.cursor = self.after(),
            KeyCode::Home if plain => self.cursor = 0,
            KeyCode::End if plain => self.cursor = self.text.len(),
            KeyCode::Char('a') if ctrl => self.cursor = 0,
            KeyCode::Char('e') if ctrl => self.cursor = self.text.len(),
            KeyCode::Char('w') if ctrl => self.remove(self.word_before(), self.cursor),
            KeyCode::Char('u') if ctrl => self.remove(0, self.cursor),
            KeyCode::Char('k') if ctrl => self.remove(self.cursor, self.text.len()),
            _ => return false,
        }
        true
    }

    /// What `room` columns show of it, and in which of them the cursor stands. Line breaks show as ⏎.
    pub fn shown(&self, room: usize) -> (String, usize) {
        let shown = |text: &str| text.replace('\n', "⏎");
        let (before, after) = (shown(&self.text[..self.cursor]), shown(&self.text[self.cursor..]));
        // The cursor needs a column too.
        let room_before = room.saturating_sub(1);
        let mut start = 0;
        while width(&before[start..]) > room_before {
            start += before[start..].graphemes(true).next().map_or(1, str::len);
        }
        let column = width(&before[start..]);
        let mut text = before[start..].to_owned();
        let mut used = column;
        for grapheme in after.graphemes(true) {
            used += width(grapheme);
            if used > room {
                break;
            }
            text.push_str(grapheme);
        }
        (text, column)
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = self.boundary_at_or_after(from);
    }

    fn before(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    fn after(&self) -> usize {
        let mut cursor = GraphemeCursor::new(self.cursor, self.text.len(), true);
        cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len())
    }

    fn word_before(&self) -> usize {
        let mut words = self.text[..self.cursor].split_word_bound_indices();
        words.rfind(|(_, word)| !word.trim().is_empty()).map_or(0, |(index, _)| index)
    }

    fn boundary_at_or_after(&self, offset: usize) -> usize {
        let mut ends = self.text.grapheme_indices(true).map(|(index, _)| index).chain([self.text.len()]);
        ends.find(|&end| end >= offset).unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, code: KeyCode) {
        assert!(line.key(&KeyEvent::new(code, KeyModifiers::NONE)));
    }

    #[test]
    fn the_cursor_goes_by_graphemes() {
        let mut line = Line::new("a雁👨‍👩‍👧e\u{301}");
        press(&mut line, KeyCode::Backspace);
        assert_eq!(line.text(), "a雁👨‍👩‍👧");
        press(&mut line, KeyCode::Left);
        line.insert("好");
        assert_eq!((line.text(), line.shown(20).1), ("a雁好👨‍👩‍👧", 5));
        press(&mut line, KeyCode::Delete);
        assert_eq!(line.text(), "a雁好");
    }

    #[test]
    fn a_long_line_scrolls_with_the_cursor() {
        let mut line = Line::new("一二三四五六");
        assert_eq!(line.shown(7), ("四五六".to_owned(), 6));
        press(&mut line, KeyCode::Home);
        assert_eq!(line.shown(7), ("一二三".to_owned(), 0));
    }

    #[test]
    fn words_go_at_once_and_control_characters_never_come_in() {
        let mut line = Line::new("one two ");
        assert!(line.key(&KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL)));
        assert_eq!(line.text(), "one ");
        line.insert("x\u{1b}[31my\nz");
        assert_eq!(line.text(), "one x[31my\nz");
        assert_eq!(line.shown(80).0, "one x[31my⏎z");
    }
}
