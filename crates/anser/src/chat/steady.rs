//! The screen, painted so that no terminal's idea of a width moves anything.
//!
//! Terminals disagree about families, flags and variation selectors: one shows 👨‍👩‍👧 in two columns,
//! another in six. A row that holds such a character is painted as a whole, and the cursor is placed
//! anew after each of them, so what follows stands where it belongs whatever the terminal thought.

use std::io::{self, Write};

use crossterm::queue;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

use crate::chat::text::width;

/// From here on are the characters that terminals learn one after another.
const FIRST_PICTOGRAPH: char = '\u{1f000}';

/// A terminal that is told where everything stands.
pub struct Steady<W: Write> {
    inner: CrosstermBackend<W>,
    rows: Vec<Vec<Cell>>,
    /// Rows that held something doubtful when they were painted last.
    doubtful: Vec<bool>,
}

impl<W: Write> Steady<W> {
    /// On this output.
    pub fn new(out: W) -> Self {
        Steady { inner: CrosstermBackend::new(out), rows: Vec::new(), doubtful: Vec::new() }
    }

    fn keep(&mut self, x: u16, y: u16, cell: &Cell) {
        let (x, y) = (usize::from(x), usize::from(y));
        if self.rows.len() <= y {
            self.rows.resize_with(y + 1, Vec::new);
            self.doubtful.resize(y + 1, false);
        }
        let row = &mut self.rows[y];
        let end = x + width(cell.symbol()).max(1);
        if row.len() < end {
            row.resize(end, Cell::EMPTY);
        }
        row[x] = cell.clone();
        // What a wide character covers is not there any more.
        row[x + 1..end].iter_mut().for_each(Cell::reset);
    }

    fn paint(&mut self, y: usize) -> io::Result<()> {
        let row = std::mem::take(&mut self.rows[y]);
        let mut run: Vec<(u16, &Cell)> = Vec::new();
        let blank = Cell::EMPTY;
        let mut x = 0;
        while x < row.len() {
            let cell = &row[x];
            let columns = width(cell.symbol()).max(1);
            if is_doubtful(cell.symbol()) {
                self.put(y, &run)?;
                run.clear();
                let blanks = (x..x + columns).map(|x| (x as u16, &blank)).collect::<Vec<_>>();
                self.put(y, &blanks)?;
                self.put(y, &[(x as u16, cell)])?;
            } else {
                run.push((x as u16, cell));
            }
            x += columns;
        }
        self.put(y, &run)?;
        self.rows[y] = row;
        Ok(())
    }

    /// Paints a run from where it begins; every call places the cursor first.
    fn put(&mut self, y: usize, run: &[(u16, &Cell)]) -> io::Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        self.inner.draw(run.iter().map(|&(x, cell)| (x, y as u16, cell)))
    }

    fn forget(&mut self) {
        self.rows.clear();
        self.doubtful.clear();
    }
}

/// Whether terminals may disagree about its width.
fn is_doubtful(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let first = chars.next().unwrap_or(' ');
    !symbol.is_ascii() && (chars.next().is_some() || first >= FIRST_PICTOGRAPH)
}

impl<W: Write> Backend for Steady<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut changed: Vec<(u16, u16, &Cell)> = content.collect();
        changed.sort_by_key(|&(x, y, _)| (y, x));
        queue!(self.inner, BeginSynchronizedUpdate)?;
        for of_row in changed.chunk_by(|one, next| one.1 == next.1) {
            of_row.iter().for_each(|&(x, y, cell)| self.keep(x, y, cell));
            let y = usize::from(of_row[0].1);
            let was = self.doubtful[y];
            self.doubtful[y] = self.rows[y].iter().any(|cell| is_doubtful(cell.symbol()));
            if was || self.doubtful[y] {
                self.paint(y)?;
            } else {
                self.inner.draw(of_row.iter().copied())?;
            }
        }
        queue!(self.inner, EndSynchronizedUpdate)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.forget();
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        if clear_type == ClearType::All {
            self.forget();
        }
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    /// What is written to a terminal that shows `before` and shall show `after`.
    fn written(before: &str, after: &str) -> String {
        let mut out = Vec::new();
        let mut backend = Steady::new(&mut out);
        let mut old = Buffer::empty(Rect::new(0, 0, 20, 1));
        for text in [before, after] {
            let mut new = Buffer::empty(old.area);
            new.set_string(0, 0, text, Style::new());
            backend.draw(old.diff(&new).into_iter()).unwrap();
            old = new;
        }
        drop(backend);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_cursor_is_placed_after_what_terminals_measure_otherwise() {
        let text = written("", "a👨‍👩‍👧b🇨🇳c");
        assert!(text.contains("\u{1b}[1;2H👨‍👩‍👧"), "{text:?}");
        assert!(text.contains("\u{1b}[1;4Hb"), "{text:?}");
        assert!(text.contains("\u{1b}[1;7Hc"), "{text:?}");
    }

    #[test]
    fn a_row_that_held_one_is_painted_as_a_whole() {
        let text = written("a👨‍👩‍👧b", "a  xb");
        assert!(text.contains("a  xb"), "{text:?}");
        let plain = written("same text", "same next");
        assert!(!plain.contains("same next") && plain.contains('n'), "{plain:?}");
    }
}
