//! What is being written: what it replies to, the text with the cursor in it, the names that are offered.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Clear;

use super::{Layout, put};
use crate::chat::state::{Focus, Search, State};
use crate::chat::text::{both_ends, cut, fit, one_line, width};

/// What stands before the typed text.
pub const PROMPT: &str = " › ";
/// Columns of the names that are offered.
const SUGGESTION_COLUMNS: usize = 34;

pub fn draw(frame: &mut Frame, state: &State, layout: &Layout) {
    let theme = state.theme;
    let pane = layout.input;
    let columns = usize::from(pane.width);
    if layout.above_input.height > 0 {
        let text = cut(&replying(state), columns.saturating_sub(4));
        let line = Line::from(vec![Span::styled(" ▎ ", theme.accent), Span::styled(text, theme.muted)]);
        put(frame, pane.x, layout.above_input.y, line);
    }
    if pane.height == 0 {
        return;
    }
    if let Some(search) = state.search.as_ref().filter(|search| search.typing) {
        return draw_search(frame, state, search, pane);
    }
    if let Some(row) = state.open_row().filter(|row| !row.may_write()) {
        let why = if row.is_member() { state.words.read_only } else { state.words.not_member };
        let text = format!(" {why}");
        return put(frame, pane.x, pane.y, Span::styled(fit(&text, columns), theme.muted));
    }
    let (rows, (column, row)) = state.input.rows(columns.saturating_sub(width(PROMPT) + 1));
    let shown = usize::from(pane.height);
    let top = (row + 1).saturating_sub(shown).min(rows.len().saturating_sub(shown));
    let writing = state.focus == Focus::Input;
    for (index, text) in rows.iter().skip(top).take(shown).enumerate() {
        let begins = if top + index == 0 { PROMPT } else { "   " };
        let prompt = if writing { theme.accent } else { theme.muted };
        let line = Line::from(vec![Span::styled(begins, prompt), Span::raw(text.clone())]);
        put(frame, pane.x, pane.y + index as u16, line);
    }
    if writing && state.overlay.is_none() {
        let at = Position::new(pane.x + (width(PROMPT) + column) as u16, pane.y + (row - top) as u16);
        set_cursor(frame, at);
        suggestions(frame, state, at);
    }
}

/// The cursor is where an input method composes: never outside.
fn set_cursor(frame: &mut Frame, at: Position) {
    let area = frame.area();
    let inside =
        Position::new(at.x.min(area.width.saturating_sub(1)), at.y.min(area.height.saturating_sub(1)));
    frame.set_cursor_position(inside);
}

/// What one is about to do with what is written, if it is not just said.
fn replying(state: &State) -> String {
    let Some(open) = &state.open else { return String::new() };
    let edited = open.editing.as_ref().map(|&(seq, _)| seq);
    let seq = edited.or(open.reply).unwrap_or_default();
    let item = state.chat().and_then(|chat| chat.items.iter().find(|item| item.seq == seq));
    match item.and_then(|item| Some((item, item.said()?))) {
        Some((item, said)) => {
            let text = one_line(&super::lines::calm(state, said));
            if edited.is_some() {
                return (state.words.editing)(&text);
            }
            (state.words.replying)(super::lines::who(state, item), &text)
        }
        None => state.words.not_loaded.to_owned(),
    }
}

fn draw_search(frame: &mut Frame, state: &State, search: &Search, pane: Rect) {
    let theme = state.theme;
    let columns = usize::from(pane.width);
    let (hits, at) = state.hits();
    let count = match (search.needle().is_empty(), hits.len()) {
        (true, _) => String::new(),
        (false, 0) => state.words.no_hits.to_owned(),
        (false, of) => (state.words.hits)(at.map_or(0, |at| at + 1), of),
    };
    let label = format!(" {} ", state.words.search_label);
    let count = cut(&count, columns.saturating_sub(width(&label) + 12));
    let room = columns.saturating_sub(width(&label) + width(&count) + 3);
    let (text, column) = search.query.shown(room);
    let line = Line::from(vec![
        Span::styled(label.clone(), theme.accent),
        Span::raw(fit(&text, room)),
        Span::raw("  "),
        Span::styled(count, theme.muted),
    ]);
    put(frame, pane.x, pane.y, line);
    set_cursor(frame, Position::new(pane.x + (width(&label) + column) as u16, pane.y));
}

/// The names behind an @, above the cursor.
fn suggestions(frame: &mut Frame, state: &State, cursor: Position) {
    let (names, _) = state.suggestions();
    let area = frame.area();
    let rows = (names.len() as u16).min(cursor.y);
    let columns = SUGGESTION_COLUMNS.min(usize::from(area.width));
    let x = cursor.x.saturating_sub(2).min(area.width.saturating_sub(columns as u16));
    let place = Rect::new(x, cursor.y - rows, columns as u16, rows);
    if rows == 0 {
        return;
    }
    let around = Rect { x: x.saturating_sub(1), width: columns as u16 + 2, ..place };
    frame.render_widget(Clear, around.intersection(area));
    frame.buffer_mut().set_style(around.intersection(area), state.theme.text);
    for (index, name) in names.iter().take(usize::from(rows)).enumerate() {
        let handle = if name.handle.is_empty() { String::new() } else { format!("@{}", name.handle) };
        let text = format!(" {} ", both_ends(&name.name, &handle, columns.saturating_sub(2)));
        let chosen = index == state.completion.selected.min(names.len() - 1);
        let style = if chosen { state.theme.badge } else { state.theme.chosen };
        put(frame, place.x, place.y + index as u16, Span::styled(text, style));
    }
}
