//! The list of conversations: two lines for each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{ACCENT, BOLD, DANGER, MUTED, centred, put, titled, when};
use crate::chat::snapshot::Row;
use crate::chat::state::State;
use crate::chat::text::{cut, fit, width};

/// Rows above the first conversation.
const HEADER_ROWS: u16 = 2;
/// Unread messages beyond this show as more.
const UNREAD_SHOWN: u64 = 999;

pub fn draw(frame: &mut Frame, state: &State, pane: Rect) {
    let columns = usize::from(pane.width);
    put(
        frame,
        pane.x,
        pane.y,
        Span::styled(titled(state.words.product, state.words.search_hint, columns), MUTED),
    );
    let rows = &state.snapshot.rows;
    if rows.is_empty() {
        let text = if state.snapshot.attached { state.words.no_conversations } else { state.words.loading };
        put(frame, pane.x, pane.y + HEADER_ROWS, Span::styled(centred(text, columns), MUTED));
    }
    let open = rows.iter().position(|row| Some(row.cid) == state.open_cid());
    let shown = usize::from(pane.height.saturating_sub(HEADER_ROWS) / 2).max(1);
    let first = open.map_or(0, |open| (open + 1).saturating_sub(shown));
    for (index, row) in rows.iter().skip(first).take(shown).enumerate() {
        let y = pane.y + HEADER_ROWS + 2 * index as u16;
        let [title, preview] = lines(state, row, columns);
        put(frame, pane.x, y, title);
        put(frame, pane.x, y + 1, preview);
    }
}

fn lines(state: &State, row: &Row, columns: usize) -> [Line<'static>; 2] {
    let is_open = Some(row.cid) == state.open_cid();
    let edge = if is_open { Span::styled("▌", ACCENT) } else { Span::raw(" ") };
    let inner = columns.saturating_sub(2);
    let time = when::short(row.at_ms, state.now_ms, &state.zone, state.words);
    let title = if row.title.is_empty() { state.words.somebody } else { &row.title };
    let style = if is_open || row.unread > 0 { BOLD } else { ratatui::style::Style::new() };
    let time_columns = width(&time);
    let title_room = inner.saturating_sub(time_columns + 1);
    let first = Line::from(vec![
        edge.clone(),
        Span::styled(fit(title, title_room), style),
        Span::raw(" "),
        Span::styled(time, MUTED),
    ]);
    let unread = match row.unread {
        0 => String::new(),
        count if count > UNREAD_SHOWN => format!(" {UNREAD_SHOWN}+"),
        count => format!(" {count}"),
    };
    let (mark, mark_style) = if row.preview.failed { ("! ", DANGER) } else { ("", MUTED) };
    let room = inner.saturating_sub(width(&unread) + width(mark));
    let second = Line::from(vec![
        edge,
        Span::styled(mark, mark_style),
        Span::styled(fit(&cut(&preview(state, row), room), room), MUTED),
        Span::styled(unread, ACCENT.patch(BOLD)),
    ]);
    [first, second]
}

fn preview(state: &State, row: &Row) -> String {
    let preview = &row.preview;
    let text = if preview.recalled { state.words.recalled } else { &preview.text };
    match (preview.own && row.members > 0, preview.author.is_empty()) {
        (true, _) => format!("{}: {text}", state.words.you),
        (false, false) => format!("{}: {text}", preview.author),
        (false, true) => text.to_owned(),
    }
}
