//! What lies over the chat, in a box in the middle.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::{ACCENT, MUTED};
use crate::chat::keys::{QUIT, TABLE};
use crate::chat::line::Line as Typed;
use crate::chat::overlay::{Candidate, NewGroup, Overlay, Switcher};
use crate::chat::state::State;
use crate::chat::text::{both_ends, cut, fit};

/// Columns of the widest box, its borders included.
const BOX_COLUMNS: u16 = 62;
/// Columns of the keys in the help.
const KEYS_COLUMNS: usize = 22;
/// Columns of the names of fields.
const LABEL_COLUMNS: usize = 12;

/// A box with these lines in the middle of the screen. Returns what is inside of its borders.
pub fn boxed(frame: &mut Frame, title: &str, lines: Vec<Line<'static>>) -> Rect {
    let area = frame.area();
    let columns = BOX_COLUMNS.min(area.width);
    let rows = (lines.len() as u16 + 2).min(area.height);
    let place = Rect::new((area.width - columns) / 2, (area.height - rows) / 2, columns, rows);
    // A wide character that the border would cut in two goes as a whole.
    let around = Rect { x: place.x.saturating_sub(1), width: (columns + 2).min(area.width), ..place };
    frame.render_widget(Clear, around.intersection(area));
    let block = Block::bordered().border_style(MUTED).title(Span::styled(format!(" {title} "), ACCENT));
    let inside = block.inner(place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
    inside
}

/// A field of a form, and where the cursor stands in it.
pub fn field(label: &str, typed: &Typed, hidden: bool, columns: usize) -> (Line<'static>, u16) {
    let room = columns.saturating_sub(LABEL_COLUMNS + 2);
    let (text, column) = typed.shown(room);
    let (text, column) = if hidden {
        let stars = typed.text().chars().count().min(room.saturating_sub(1));
        ("•".repeat(stars), stars)
    } else {
        (text, column)
    };
    let line =
        Line::from(vec![Span::raw(" "), Span::styled(fit(label, LABEL_COLUMNS), MUTED), Span::raw(text)]);
    (line, (1 + LABEL_COLUMNS + column) as u16)
}

/// Columns inside of a box.
pub fn inner_columns(area: Rect) -> usize {
    usize::from(BOX_COLUMNS.min(area.width).saturating_sub(2))
}

pub fn draw(frame: &mut Frame, state: &State, area: Rect) {
    let columns = inner_columns(area);
    match &state.overlay {
        None => {}
        Some(Overlay::Help) => help(frame, state, columns),
        Some(Overlay::Switcher(switcher)) => draw_switcher(frame, state, switcher, columns),
        Some(Overlay::NewGroup(group)) => draw_new_group(frame, state, group, columns),
    }
}

fn help(frame: &mut Frame, state: &State, columns: usize) {
    let mut lines = Vec::new();
    for binding in TABLE.iter().chain([&QUIT]) {
        let what = (binding.what)(&state.words.keys);
        lines.push(Line::from(vec![
            Span::raw(" "),
            Span::styled(fit(&binding.names(), KEYS_COLUMNS), ACCENT),
            Span::raw(cut(what, columns.saturating_sub(KEYS_COLUMNS + 2))),
        ]));
    }
    lines.push(Line::styled(format!(" {}", state.words.help_hint), MUTED));
    boxed(frame, state.words.help, lines);
}

fn draw_switcher(frame: &mut Frame, state: &State, switcher: &Switcher, columns: usize) {
    let (query, cursor) = switcher.query.shown(columns.saturating_sub(4));
    let mut lines = vec![Line::from(vec![Span::styled(" › ", ACCENT), Span::raw(query)])];
    for (index, candidate) in switcher.candidates(&state.snapshot.rows).into_iter().enumerate() {
        let text = match candidate {
            Candidate::Known(_, title, handle) => {
                let aside = if handle.is_empty() { String::new() } else { format!("@{handle}") };
                both_ends(&title, &aside, columns.saturating_sub(4))
            }
            Candidate::Find(handle) => fit(&(state.words.find)(&handle), columns.saturating_sub(4)),
        };
        let chosen = Style::new().add_modifier(Modifier::REVERSED);
        let style = if index == switcher.selected { chosen } else { Style::new() };
        lines.push(Line::from(vec![Span::raw(" "), Span::styled(format!(" {text} "), style)]));
    }
    lines.push(Line::styled(cut(&format!(" {}", state.words.switcher_hint), columns), MUTED));
    let inside = boxed(frame, state.words.switcher, lines);
    frame.set_cursor_position(Position::new(inside.x + 3 + cursor as u16, inside.y));
}

fn draw_new_group(frame: &mut Frame, state: &State, group: &NewGroup, columns: usize) {
    let (title, in_title) = field(state.words.group_title, &group.title, false, columns);
    let (handles, in_handles) = field(state.words.group_handles, &group.handles, false, columns);
    let hint = Line::styled(cut(&format!(" {}", state.words.form_hint), columns), MUTED);
    let inside = boxed(frame, state.words.new_group, vec![title, handles, hint]);
    let column = if group.on_handles { in_handles } else { in_title };
    let row = inside.y + u16::from(group.on_handles);
    frame.set_cursor_position(Position::new(inside.x + column, row));
}
