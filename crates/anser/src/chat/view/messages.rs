//! The pane of the open conversation: its title, its messages, what is written.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{Layout, centred, composer, ends, put, tint, when};
use crate::chat::snapshot::{Key, Row, There};
use crate::chat::state::{Open, State};
use crate::chat::text::width;

pub fn draw(frame: &mut Frame, state: &State, layout: &Layout, pane: Rect) {
    let columns = usize::from(pane.width);
    let Some(open) = &state.open else {
        let row = pane.y + pane.height / 2;
        return put(
            frame,
            pane.x,
            row,
            Span::styled(centred(state.words.choose, columns), state.theme.muted),
        );
    };
    if layout.messages.y > layout.header {
        header(frame, state, open, pane, layout);
    }
    let area = layout.messages;
    let lines = state.message_lines(usize::from(area.width));
    if lines.is_empty() {
        let text = match state.chat() {
            Some(chat) if !chat.more => state.words.no_messages,
            _ => state.words.loading,
        };
        let text = Span::styled(centred(text, columns), state.theme.muted);
        put(frame, pane.x, area.y + area.height / 2, text);
    }
    let (start, first) = window(state, layout, lines.len());
    let chosen = open.chosen;
    let end = lines.len().saturating_sub(open.scroll);
    for (index, line) in lines[start..end].iter().enumerate() {
        let row = first + index as u16;
        put(frame, area.x, row, line.line.clone());
        let key = line.item.and_then(|item| state.chat()?.items.get(item)).map(|item| item.key());
        if line.of_message && matches!(key, Some(Key::Seq(seq)) if open.marked.contains(&seq)) {
            put(frame, area.x + 1, row, Span::styled("•", state.theme.accent));
        }
        if chosen.is_some() && key == chosen && line.of_message {
            tint(frame, area, row, state.theme.chosen);
            put(frame, area.x, row, Span::styled("▌", state.theme.accent));
        }
    }
    if open.scroll > 0 && area.height > 0 {
        let text = format!(" ↓ {} ", (state.words.more_below)(below(state, open, &lines, end)));
        let column = area.x + (usize::from(area.width).saturating_sub(width(&text)) / 2) as u16;
        put(frame, column, area.bottom() - 1, Span::styled(text, state.theme.badge));
    }
    composer::draw(frame, state, layout);
}

/// The first line that is shown, and its row: the newest stand at the bottom, above the input.
fn window(state: &State, layout: &Layout, lines: usize) -> (usize, u16) {
    let rows = usize::from(layout.messages.height);
    let scroll = state.open.as_ref().map_or(0, |open| open.scroll);
    let end = lines.saturating_sub(scroll);
    let start = end.saturating_sub(rows);
    (start, layout.messages.y + (rows - (end - start)) as u16)
}

/// Which message is at a row of the screen.
pub fn item_at(state: &State, layout: &Layout, y: u16) -> Option<usize> {
    let lines = state.message_lines(usize::from(layout.messages.width));
    let (start, first) = window(state, layout, lines.len());
    let line = lines.get(start + usize::from(y.checked_sub(first)?))?;
    line.item.filter(|_| line.of_message)
}

/// How many messages of others that were not read stand below what is shown.
fn below(state: &State, open: &Open, lines: &[super::MessageLine], end: usize) -> u64 {
    let Some(chat) = state.chat() else { return 0 };
    let mut items: Vec<usize> = lines[end..].iter().filter_map(|line| line.item).collect();
    items.dedup();
    let read = open.divider.map_or(chat.mark, |(after, _)| after.max(chat.mark));
    let unread = items.into_iter().filter_map(|item| chat.items.get(item)).filter(|item| {
        !item.is_own() && item.said().is_some() && matches!(item.key(), Key::Seq(seq) if seq > read)
    });
    unread.count() as u64
}

/// How many there are, and how many of them are there now.
fn members(state: &State, row: &Row) -> String {
    let members = (state.words.members)(row.members);
    match state.count_there() {
        0 => members,
        count => format!("{members} · {}", (state.words.count_online)(count)),
    }
}

fn header(frame: &mut Frame, state: &State, open: &Open, pane: Rect, layout: &Layout) {
    let columns = usize::from(pane.width);
    let row = state.open_row();
    let title = match row {
        Some(row) if !row.title.is_empty() || open.title.is_empty() => state.title(row),
        _ => &open.title,
    };
    let typing = row.and_then(|row| state.typing_in(row));
    let aside_style = if typing.is_some() { state.theme.accent } else { state.theme.muted };
    let aside = match row {
        _ if typing.is_some() => typing.unwrap_or_default(),
        Some(row) if row.is_group() => members(state, row),
        Some(row) if !row.handle.is_empty() => match state.there(row) {
            Some(There::Now) => format!("@{} · {}", row.handle, state.words.online),
            Some(There::Until(at_ms)) => {
                let when = when::short(at_ms, state.now_ms, &state.zone, state.words);
                format!("@{} · {}", row.handle, (state.words.last_seen)(&when))
            }
            None => format!("@{}", row.handle),
        },
        _ => String::new(),
    };
    let (title, aside) = (Span::styled(title, state.theme.bold), Span::styled(aside, aside_style));
    put(frame, pane.x, pane.y, ends(title, aside, columns));
    if layout.messages.y > layout.header + 1 {
        let rule = format!(" {}", "─".repeat(columns.saturating_sub(1)));
        put(frame, pane.x, pane.y + 1, Span::styled(rule, state.theme.line));
    }
}
