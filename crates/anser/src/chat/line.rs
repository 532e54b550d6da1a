//! An editable text of one or more rows: the cursor moves by what a person sees as one character.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation as _};

use crate::chat::keys::{Edit, editing};
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

    /// Takes a key that types or edits. Whether it was one.
    pub fn key(&mut self, key: &KeyEvent) -> bool {
        if let Some(edit) = editing(key) {
            self.edit(edit);
            return true;
        }
        let KeyCode::Char(letter) = key.code else { return false };
        // AltGr comes as Ctrl and Alt together, and types.
        let alone = matches!(key.modifiers - KeyModifiers::SHIFT, KeyModifiers::CONTROL | KeyModifiers::ALT);
        if !alone {
            self.insert(letter.encode_utf8(&mut [0; 4]));
        }
        !alone
    }

    fn edit(&mut self, edit: Edit) {
        let (text, cursor) = (&self.text, self.cursor);
        let start = text[..cursor].rfind('\n').map_or(0, |at| at + 1);
        let end = text[cursor..].find('\n').map_or(text.len(), |at| cursor + at);
        match edit {
            Edit::RemoveBefore => self.remove(self.before(), cursor),
            Edit::RemoveAfter => self.remove(cursor, self.after()),
            Edit::RemoveWord => self.remove(self.word_before(), cursor),
            Edit::RemoveToStart => self.remove(start, cursor),
            Edit::RemoveToEnd => self.remove(cursor, end),
            Edit::Left => self.cursor = self.before(),
            Edit::Right => self.cursor = self.after(),
            Edit::WordLeft => self.cursor = self.word_before(),
            Edit::WordRight => self.cursor = self.word_after(),
            Edit::Start => self.cursor = start,
            Edit::End => self.cursor = end,
        }
    }

    /// Puts `text` in the place of what stands between `from` and the cursor.
    pub fn replace_before(&mut self, from: usize, text: &str) {
        self.remove(from, self.cursor);
        self.insert(text);
    }

    /// What stands before the cursor.
    pub fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// The text in rows of at most `room` columns, and in which column and row the cursor stands.
    pub fn rows(&self, room: usize) -> (Vec<String>, (usize, usize)) {
        let (spans, at) = self.spans(room);
        let rows = spans.into_iter().map(|(from, to)| self.text[from..to].replace('\n', "")).collect();
        (rows, at)
    }

    /// Moves the cursor by rows. False when there is none there.
    pub fn move_row(&mut self, room: usize, by: isize) -> bool {
        let (spans, (column, row)) = self.spans(room);
        let Some(&(from, to)) = row.checked_add_signed(by).and_then(|row| spans.get(row)) else {
            return false;
        };
        let mut used = 0;
        self.cursor = from;
        for grapheme in self.text[from..to].graphemes(true) {
            used += width(grapheme);
            if used > column || grapheme == "\n" {
                break;
            }
            self.cursor += grapheme.len();
        }
        true
    }

    /// The rows as ranges of bytes. A row that is full leaves the cursor on the next one.
    fn spans(&self, room: usize) -> (Vec<(usize, usize)>, (usize, usize)) {
        let room = room.max(2);
        let mut spans = vec![(0, 0)];
        let mut used = 0;
        let mut at = (0, 0);
        for (index, grapheme) in self.text.grapheme_indices(true) {
            let wide = width(grapheme);
            if used + wide > room {
                spans.push((index, index));
                used = 0;
            }
            if index == self.cursor {
                at = (used, spans.len() - 1);
            }
            used += wide;
            if let Some(last) = spans.last_mut() {
                last.1 = index + grapheme.len();
            }
            if grapheme == "\n" {
                spans.push((index + 1, index + 1));
                used = 0;
            }
        }
        if self.cursor == self.text.len() {
            if used >= room {
                spans.push((self.cursor, self.cursor));
                used = 0;
            }
            at = (used, spans.len() - 1);
        }
        (spans, at)
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

    fn word_after(&self) -> usize {
        let mut words = self.text[self.cursor..].split_word_bound_indices();
        let word = words.find(|(_, word)| !word.trim().is_empty());
        word.map_or(self.text.len(), |(index, word)| self.cursor + index + word.len())
    }

    fn boundary_at_or_after(&self, offset: usize) -> usize {
        let mut ends = self.text.grapheme_indices(true).map(|(index, _)| index).chain([self.text.len()]);
        ends.find(|&end| end >= offset).unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_break_where_they_are_full_and_the_cursor_moves_through_them() {
        let mut line = Line::new("一二三\nab");
        assert_eq!(line.rows(4), (vec!["一二".to_owned(), "三".to_owned(), "ab".to_owned()], (2, 2)));
        assert!(line.move_row(4, -1));
        assert_eq!(line.rows(4).1, (2, 1));
        assert!(line.move_row(4, -1));
        line.insert("x");
        assert_eq!(line.text(), "一x二三\nab");
        assert!(!line.move_row(20, -1) && line.move_row(20, 1) && !line.move_row(20, 1));
        assert_eq!(Line::new("一二").rows(4), (vec!["一二".to_owned(), String::new()], (0, 1)));
        assert_eq!(Line::default().rows(4), (vec![String::new()], (0, 0)));
    }

    #[test]
    fn start_and_end_are_those_of_the_line() {
        let mut line = Line::new("one two\nthree");
        press(&mut line, KeyCode::Home);
        line.insert(">");
        assert_eq!(line.text(), "one two\n>three");
        assert!(line.key(&KeyEvent::new(KeyCode::Char('k'), KeyModifiers::CONTROL)));
        assert_eq!(line.text(), "one two\n>");
        assert!(!line.key(&KeyEvent::new(KeyCode::Char('x'), KeyModifiers::CONTROL)));
    }

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
