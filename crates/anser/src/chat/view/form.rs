//! The form before there is a session.

use ratatui::Frame;
use ratatui::layout::Position;
use ratatui::text::Line;

use super::overlay::{boxed, field, inner_columns};
use crate::chat::form::{Field, Form};
use crate::chat::text::wrap;
use crate::chat::theme::Theme;

/// Draws the form.
pub fn draw(frame: &mut Frame, form: &Form, theme: &Theme) {
    let area = frame.area();
    frame.buffer_mut().set_style(area, theme.text);
    let words = &form.words.sign_in;
    let columns = inner_columns(area);
    let mut lines = Vec::new();
    let mut cursor = (0, 0);
    for (index, &name) in form.fields().iter().enumerate() {
        let (line, column) =
            field(theme, form.label(name), form.line(name), name == Field::Password, columns);
        if index == form.at {
            cursor = (column as u16, lines.len() as u16);
        }
        lines.push(line);
    }
    lines.push(Line::raw(""));
    let problem = form.problem.as_deref().unwrap_or_default();
    let (said, style) = if form.busy { (words.busy, theme.muted) } else { (problem, theme.danger) };
    for line in wrap(said, columns.saturating_sub(2)).into_iter().filter(|line| !line.is_empty()) {
        lines.push(Line::styled(format!(" {line}"), style));
    }
    let other = if form.registers { words.to_sign_in } else { words.to_register };
    lines.push(Line::styled(format!(" {other}"), theme.muted));
    lines.push(Line::styled(format!(" {}", words.hint), theme.muted));
    let title = if form.registers { words.register } else { words.sign_in };
    let inside = boxed(frame, theme, &format!("{} · {title}", form.words.product), lines);
    let (x, y) = (inside.x + cursor.0, inside.y + cursor.1);
    frame.set_cursor_position(Position::new(
        x.min(area.right().saturating_sub(1)),
        y.min(area.bottom().saturating_sub(1)),
    ));
}
