//! The list of conversations: two lines for each.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Layout, centred, ends, put, tint, when};
use crate::chat::snapshot::{Row, There};
use crate::chat::state::{Focus, State};
use crate::chat::text::{cut, fit, one_line, width};

/// Rows above the first conversation.
const HEADER_ROWS: u16 = 2;
/// Rows of one conversation.
const ROWS_EACH: u16 = 2;
/// Unread messages beyond this show as more.
const UNREAD_SHOWN: u64 = 999;

pub fn draw(frame: &mut Frame, state: &State, layout: &Layout, pane: Rect) {
    let columns = usize::from(pane.width);
    let muted = state.theme.muted;
    let (product, hint) =
        (Span::styled(state.words.product, muted), Span::styled(state.words.search_hint, muted));
    put(frame, pane.x, pane.y, ends(product, hint, columns));
    let rows = &state.snapshot.rows;
    if rows.is_empty() {
        let text = if state.snapshot.attached { state.words.no_conversations } else { state.words.loading };
        put(frame, pane.x, pane.y + HEADER_ROWS, Span::styled(centred(text, columns), muted));
    }
    let shown = rows.iter().skip(first(state, layout)).take(shown(layout));
    for (index, row) in shown.enumerate() {
        let y = pane.y + HEADER_ROWS + ROWS_EACH * index as u16;
        let [title, preview] = lines(state, row, columns);
        put(frame, pane.x, y, title);
        put(frame, pane.x, y + 1, preview);
        if Some(row.cid) == state.open_cid() && state.focus == Focus::List {
            tint(frame, pane, y, state.theme.chosen);
            tint(frame, pane, y + 1, state.theme.chosen);
        }
    }
}

/// How many conversations fit.
pub fn shown(layout: &Layout) -> usize {
    let height = layout.list.map_or(0, |pane| pane.height);
    usize::from(height.saturating_sub(HEADER_ROWS) / ROWS_EACH).max(1)
}

/// The first one that is shown: where the wheel left it, else so that the open one is seen.
pub fn first(state: &State, layout: &Layout) -> usize {
    let rows = &state.snapshot.rows;
    if let Some(top) = state.list_top {
        return top.min(rows.len().saturating_sub(shown(layout)));
    }
    let open = rows.iter().position(|row| Some(row.cid) == state.open_cid());
    open.map_or(0, |open| (open + 1).saturating_sub(shown(layout)))
}

/// Which conversation is at a row of the screen.
pub fn row_at(state: &State, layout: &Layout, y: u16) -> Option<usize> {
    let below = y.checked_sub(layout.list?.y + HEADER_ROWS)?;
    let index = usize::from(below / ROWS_EACH);
    (index < shown(layout)).then_some(first(state, layout) + index)
}

fn lines(state: &State, row: &Row, columns: usize) -> [Line<'static>; 2] {
    let theme = state.theme;
    let is_open = Some(row.cid) == state.open_cid();
    let edge = if is_open { Span::styled("▌", theme.accent) } else { Span::raw(" ") };
    let inner = columns.saturating_sub(2);
    let time = when::short(row.at_ms, state.now_ms, &state.zone, state.words);
    let style = if is_open || row.unread > 0 || row.marked_unread { theme.bold } else { Style::new() };
    let there = if state.there(row) == Some(There::Now) { " ●" } else { "" };
    let room = inner.saturating_sub(width(&time) + 1);
    let title = cut(state.title(row), room.saturating_sub(width(there)));
    let gap = " ".repeat(room.saturating_sub(width(&title) + width(there)) + 1);
    let first = Line::from(vec![
        edge.clone(),
        Span::styled(title, style),
        Span::styled(there, theme.accent),
        Span::raw(gap),
        Span::styled(time, theme.muted),
    ]);
    let unread = match row.unread {
        0 if row.marked_unread => " •".to_owned(),
        0 => String::new(),
        count if count > UNREAD_SHOWN => format!(" {UNREAD_SHOWN}+"),
        count => format!(" {count}"),
    };
    let (mark, mark_style) = mark(state, row);
    let room = inner.saturating_sub(width(&unread) + width(mark));
    let second = Line::from(vec![
        edge,
        Span::styled(mark, mark_style),
        match state.typing_in(row) {
            Some(typing) => Span::styled(fit(&typing, room), theme.accent),
            None => Span::styled(fit(&preview(state, row), room), theme.muted),
        },
        Span::styled(unread, theme.accent.patch(theme.bold)),
    ]);
    [first, second]
}

/// What stands before the preview.
fn mark(state: &State, row: &Row) -> (&'static str, Style) {
    let theme = state.theme;
    if row.preview.failed {
        ("! ", theme.danger)
    } else if row.mentioned {
        (state.words.named_you, theme.danger)
    } else if draft(state, row).is_some() {
        (state.words.draft, theme.accent)
    } else {
        ("", Style::new())
    }
}

fn draft<'a>(state: &'a State, row: &Row) -> Option<&'a str> {
    state.draft(row.cid).filter(|_| !row.mentioned && !row.preview.failed)
}

fn preview(state: &State, row: &Row) -> String {
    if let Some(draft) = draft(state, row) {
        return format!(" {}", one_line(draft));
    }
    let gap = if row.mentioned { " " } else { "" };
    let preview = &row.preview;
    let text = if preview.recalled {
        state.words.recalled.to_owned()
    } else {
        super::lines::calm(state, &preview.said)
    };
    let text = one_line(&text);
    match (preview.own && row.is_group() && !text.is_empty(), preview.author.is_empty()) {
        (true, _) => format!("{gap}{}: {text}", state.words.you),
        (false, false) => format!("{gap}{}: {text}", preview.author),
        (false, true) => format!("{gap}{text}"),
    }
}
