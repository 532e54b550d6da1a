//! State to frame: the list and the messages side by side, or one of them in a narrow terminal.

mod form;
mod list;
mod messages;
mod overlay;
mod when;

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::chat::keys::{QUIT, TABLE};
use crate::chat::state::State;
use crate::chat::text::{both_ends, cut, fit, width};

pub use form::draw as draw_form;

/// Columns of the list.
const LIST_COLUMNS: u16 = 26;
/// Below this many columns, there is one pane.
const TWO_PANES_COLUMNS: u16 = 60;
/// Rows of the message pane that are no messages: title, rule, input, rule, keys.
const ROWS_AROUND: u16 = 5;

const ACCENT: Style = Style::new().fg(Color::Cyan);
const MUTED: Style = Style::new().fg(Color::DarkGray);
const DANGER: Style = Style::new().fg(Color::Red);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Where the panes are.
struct Panes {
    list: Option<Rect>,
    chat: Option<Rect>,
}

/// Rows that messages have.
pub fn message_rows(size: (u16, u16)) -> usize {
    usize::from(size.1.saturating_sub(ROWS_AROUND))
}

/// Lines that the open conversation takes.
pub fn message_lines(state: &State) -> usize {
    let columns = panes(state, Rect::new(0, 0, state.size.0, state.size.1)).chat.map_or(0, |pane| pane.width);
    messages::lines(state, usize::from(columns)).len()
}

/// Draws everything.
pub fn draw(frame: &mut Frame, state: &State) {
    let area = frame.area();
    let panes = panes(state, area);
    if let Some(pane) = panes.list {
        list::draw(frame, state, pane);
    }
    if let Some(pane) = panes.chat {
        messages::draw(frame, state, pane);
    }
    if let (Some(list), Some(_)) = (panes.list, panes.chat) {
        for row in 0..area.height.saturating_sub(2) {
            put(frame, list.right(), row, Span::styled("│", MUTED));
        }
    }
    last_lines(frame, state, area, panes.list.filter(|_| panes.chat.is_some()).map(Rect::right));
    overlay::draw(frame, state, area);
}

fn panes(state: &State, area: Rect) -> Panes {
    let height = area.height.saturating_sub(2);
    let whole = Rect { height, ..area };
    if area.width >= TWO_PANES_COLUMNS {
        let list = Rect { width: LIST_COLUMNS, ..whole };
        let chat = Rect { x: LIST_COLUMNS + 1, width: area.width - LIST_COLUMNS - 1, ..whole };
        return Panes { list: Some(list), chat: Some(chat) };
    }
    match state.open.is_some() && state.typing {
        true => Panes { list: None, chat: Some(whole) },
        false => Panes { list: Some(whole), chat: None },
    }
}

/// The rule, and below it the keys, or what is to be said instead.
fn last_lines(frame: &mut Frame, state: &State, area: Rect, joint: Option<u16>) {
    let columns = usize::from(area.width);
    let Some(row) = area.height.checked_sub(2) else { return };
    put(frame, 0, row, Span::styled("─".repeat(columns), MUTED));
    if let Some(column) = joint {
        put(frame, column, row, Span::styled("┴", MUTED));
    }
    let line = match (&state.notice, state.is_offline()) {
        (Some(notice), _) => Span::styled(fit(&format!(" {notice}"), columns), ACCENT),
        (None, true) => Span::styled(fit(&format!(" ⚠ {}", state.words.offline), columns), DANGER),
        (None, false) => Span::styled(fit(&hints(state, columns), columns), MUTED),
    };
    put(frame, 0, row + 1, line);
}

/// As many of the table's keys as fit.
fn hints(state: &State, columns: usize) -> String {
    let mut line = String::new();
    for binding in TABLE.iter().chain([&QUIT]).filter(|binding| binding.hinted) {
        let hint = format!(" {} {} ", binding.short_name(), (binding.what)(&state.words.keys));
        if width(&line) + width(&hint) > columns {
            break;
        }
        line.push_str(&hint);
    }
    line
}

fn put<'a>(frame: &mut Frame, x: u16, y: u16, what: impl Into<Line<'a>>) {
    let area = frame.area();
    if x < area.width && y < area.height {
        let line = what.into();
        frame.buffer_mut().set_line(x, y, &line, area.width - x);
    }
}

/// A line of two ends, in a pane with a column of margin at both sides.
fn titled(left: &str, right: &str, columns: usize) -> String {
    format!(" {} ", both_ends(left, right, columns.saturating_sub(2)))
}

/// A text in the middle.
fn centred(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let before = (columns - width(&text)) / 2;
    fit(&format!("{}{text}", " ".repeat(before)), columns)
}
