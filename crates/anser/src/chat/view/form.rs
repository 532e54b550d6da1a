//! The form before there is a session.

use ratatui::Frame;
use ratatui::layout::Position;
use ratatui::text::Line;

use super::overlay::{boxed, field, inner_columns};
use super::{DANGER, MUTED};
use crate::chat::form::{Field, Form};
use crate::chat::text::wrap;

/// Draws the form.
pub fn draw(frame: &mut Frame, form: &Form) {
    let words = &form.words.sign_in;
    let columns = inner_columns(frame.area());
    let mut lines = Vec::new();
    let mut cursor = (0, 0);
    for (index, &name) in form.fields().iter().enumerate() {
        let (line, column) = field(form.label(name), form.line(name), name == Field::Password, columns);
        if index == form.at {
            cursor = (column, lines.len() as u16);
        }
        lines.push(line);
    }
    lines.push(Line::raw(""));
    let problem = form.problem.as_deref().unwrap_or_default();
    let (said, style) = if form.busy { (words.busy, MUTED) } else { (problem, DANGER) };
    for line in wrap(said, columns.saturating_sub(2)).into_iter().filter(|line| !line.is_empty()) {
        lines.push(Line::styled(format!(" {line}"), style));
    }
    let other = if form.registers { words.to_sign_in } else { words.to_register };
    lines.push(Line::styled(format!(" {other}"), MUTED));
    lines.push(Line::styled(format!(" {}", words.hint), MUTED));
    let title = if form.registers { words.register } else { words.sign_in };
    let inside = boxed(frame, &format!("{} · {title}", form.words.product), lines);
    frame.set_cursor_position(Position::new(inside.x + cursor.0, inside.y + cursor.1));
}
