//! State to frame: the list, the messages and the members side by side, or one of them in a narrow terminal.

mod composer;
mod form;
mod layout;
mod lines;
mod list;
mod members;
mod messages;
mod overlay;
mod when;

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::chat::keys::{self, Action};
use crate::chat::state::State;
use crate::chat::text::{cut, fit, width};

pub use form::draw as draw_form;
pub use layout::Layout;
pub use lines::{MessageLine, calm, message_lines};
pub use list::{first as list_first, row_at as list_row, shown as list_shown};
pub use messages::item_at as message_at;
pub use overlay::{key_table, line_at as overlay_line, lines_beyond};
pub use when::is_another_day;

/// Draws everything.
pub fn draw(frame: &mut Frame, state: &State) {
    let area = frame.area();
    frame.buffer_mut().set_style(area, state.theme.text);
    let layout = Layout::of(state);
    if let Some(pane) = layout.list {
        list::draw(frame, state, &layout, pane);
    }
    if let Some(pane) = layout.chat {
        messages::draw(frame, state, &layout, pane);
    }
    if let Some(pane) = layout.members {
        members::draw(frame, state, pane);
    }
    let joints = borders(&layout);
    for &column in &joints {
        for row in 0..layout.foot {
            put(frame, column, row, Span::styled("│", state.theme.line));
        }
    }
    last_lines(frame, state, &layout, &joints);
    overlay::draw(frame, state, area);
}

/// The columns between the panes.
fn borders(layout: &Layout) -> Vec<u16> {
    let list = layout.list.filter(|_| layout.chat.is_some()).map(Rect::right);
    let members = layout.members.map(|pane| pane.x - 1);
    list.into_iter().chain(members).collect()
}

/// The rule, and below it the keys, or what is to be said instead.
fn last_lines(frame: &mut Frame, state: &State, layout: &Layout, joints: &[u16]) {
    let theme = state.theme;
    let columns = usize::from(frame.area().width);
    put(frame, 0, layout.foot, Span::styled("─".repeat(columns), theme.line));
    for &column in joints {
        put(frame, column, layout.foot, Span::styled("┴", theme.line));
    }
    let line = match (&state.notice, state.is_offline()) {
        (Some(notice), _) => Line::styled(fit(&format!(" {notice}"), columns), theme.accent),
        (None, true) => Line::styled(fit(&format!(" ⚠ {}", state.words.offline), columns), theme.danger),
        (None, false) => hints(state, columns),
    };
    put(frame, 0, layout.foot + 1, line);
}

/// As many of the table's keys as fit, the help among them.
fn hints(state: &State, columns: usize) -> Line<'static> {
    let hints: Vec<(String, &str, bool)> = keys::hints(state.place())
        .map(|it| (it.short_name(), (it.what)(&state.words.keys), it.action == Action::Help))
        .collect();
    let wide = |name: &str, what: &str| width(name) + width(what) + 3;
    let mut room = columns;
    for (name, what, _) in hints.iter().filter(|(_, _, is_help)| *is_help) {
        room = room.saturating_sub(wide(name, what));
    }
    let mut spans = Vec::new();
    for (name, what, is_help) in hints {
        let wide = wide(&name, what);
        if !is_help && wide > room {
            continue;
        }
        room = room.saturating_sub(if is_help { 0 } else { wide });
        spans.push(Span::styled(format!(" {name} "), state.theme.text));
        spans.push(Span::styled(format!("{what} "), state.theme.muted));
    }
    Line::from(spans)
}

fn put<'a>(frame: &mut Frame, x: u16, y: u16, what: impl Into<Line<'a>>) {
    let area = frame.area();
    if x < area.width && y < area.height {
        let line = what.into();
        frame.buffer_mut().set_line(x, y, &line, area.width - x);
    }
}

/// Gives a row of a pane another look, without its text.
fn tint(frame: &mut Frame, pane: Rect, row: u16, style: Style) {
    let area = frame.area();
    frame.buffer_mut().set_style(Rect { y: row, height: 1, ..pane }.intersection(area), style);
}

/// A line of two ends, in a pane with a column of margin at both sides; the left one gives way.
fn ends(left: Span<'_>, right: Span<'_>, columns: usize) -> Line<'static> {
    let room = columns.saturating_sub(2);
    let aside = cut(&right.content, room);
    let left_room = room.saturating_sub(width(&aside) + usize::from(!aside.is_empty()));
    let name = cut(&left.content, left_room);
    let blanks = room.saturating_sub(width(&name) + width(&aside));
    Line::from(vec![
        Span::raw(" "),
        Span::styled(name, left.style),
        Span::raw(" ".repeat(blanks)),
        Span::styled(aside, right.style),
        Span::raw(" "),
    ])
}

/// A text in the middle.
fn centred(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let before = (columns - width(&text)) / 2;
    fit(&format!("{}{text}", " ".repeat(before)), columns)
}
