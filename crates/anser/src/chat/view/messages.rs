//! The open conversation: messages by sender and day, and the line that is typed.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{ACCENT, BOLD, DANGER, MUTED, centred, message_rows, put, titled, when};
use crate::chat::snapshot::{Body, Delivery, Item};
use crate::chat::state::{Open, State};
use crate::chat::text::{both_ends, cut, fit, width, wrap};

/// Messages of one sender within this time stand together.
const TOGETHER_MS: u64 = 5 * 60_000;
/// Columns before a message, and those after it, where its state is shown.
const INDENT: usize = 3;
const STATE_COLUMNS: usize = 4;
/// What stands before the typed text.
const PROMPT: &str = " › ";

pub fn draw(frame: &mut Frame, state: &State, pane: Rect) {
    let columns = usize::from(pane.width);
    let Some(open) = &state.open else {
        let row = pane.y + pane.height / 2;
        return put(frame, pane.x, row, Span::styled(centred(state.words.choose, columns), MUTED));
    };
    header(frame, state, open, pane);
    let rows = message_rows(state.size);
    let lines = lines(state, columns);
    let end = lines.len().saturating_sub(open.scroll);
    let start = end.saturating_sub(rows);
    if lines.is_empty() {
        let text = match &state.snapshot.open {
            Some(chat) if !chat.more => state.words.no_messages,
            _ => state.words.loading,
        };
        put(frame, pane.x, pane.y + 2 + rows as u16 / 2, Span::styled(centred(text, columns), MUTED));
    }
    // The newest stand at the bottom, above the input.
    let first = pane.y + 2 + (rows - (end - start)) as u16;
    for (index, line) in lines[start..end].iter().enumerate() {
        put(frame, pane.x, first + index as u16, line.clone());
    }
    if open.scroll > 0 {
        let row = pane.y + 1;
        let text = format!(" ↓ {} ", state.words.more_below);
        put(
            frame,
            pane.x + (columns.saturating_sub(width(&text)) / 2) as u16,
            row,
            Span::styled(text, ACCENT),
        );
    }
    input(frame, state, pane);
}

fn header(frame: &mut Frame, state: &State, open: &Open, pane: Rect) {
    let columns = usize::from(pane.width);
    let row = state.open_row();
    let title = row.map(|row| row.title.as_str()).filter(|title| !title.is_empty()).unwrap_or(&open.title);
    let aside = match row {
        Some(row) if row.members > 0 => (state.words.members)(row.members),
        Some(row) if !row.handle.is_empty() => format!("@{}", row.handle),
        _ => String::new(),
    };
    put(frame, pane.x, pane.y, Span::styled(titled(title, &aside, columns), BOLD));
    put(
        frame,
        pane.x,
        pane.y + 1,
        Span::styled(format!(" {}", "─".repeat(columns.saturating_sub(1))), MUTED),
    );
}

fn input(frame: &mut Frame, state: &State, pane: Rect) {
    let row = pane.bottom().saturating_sub(1);
    let columns = usize::from(pane.width);
    if state.open_row().is_some_and(|row| !row.is_member) {
        let text = format!(" {}", state.words.not_member);
        return put(frame, pane.x, row, Span::styled(fit(&text, columns), MUTED));
    }
    let (text, column) = state.input.shown(columns.saturating_sub(width(PROMPT) + 1));
    let prompt = if state.typing { ACCENT } else { MUTED };
    put(frame, pane.x, row, Line::from(vec![Span::styled(PROMPT, prompt), Span::raw(text)]));
    if state.typing && state.overlay.is_none() {
        frame.set_cursor_position(Position::new(pane.x + (width(PROMPT) + column) as u16, row));
    }
}

/// Every line of the open conversation.
pub fn lines(state: &State, columns: usize) -> Vec<Line<'static>> {
    let (Some(open), Some(chat)) = (&state.open, &state.snapshot.open) else { return Vec::new() };
    let mut lines = Vec::new();
    let mut before: Option<&Item> = None;
    let mut divider = open.divider;
    for item in &chat.items {
        let day = when::day(item.at_ms, &state.zone);
        let new_day = before.is_none_or(|before| when::day(before.at_ms, &state.zone) != day);
        if new_day {
            let name = when::named_day(item.at_ms, state.now_ms, &state.zone, state.words);
            lines.push(Line::styled(centred(&name, columns), MUTED));
        }
        let is_new = |&(after, _): &(u64, u64)| item.seq > after && item.delivery == Delivery::Theirs;
        let divided = divider.take_if(|divider| is_new(divider));
        if let Some((_, count)) = divided {
            lines.push(rule(&(state.words.new_messages)(count), columns));
        }
        match &item.body {
            Body::Text(text) => {
                let apart =
                    new_day || divided.is_some() || !before.is_some_and(|before| together(before, item));
                if apart {
                    lines.push(sender(state, item, columns));
                }
                message(state, item, text, columns, &mut lines);
            }
            body => lines.push(Line::styled(centred(&notice(state, item, body), columns), MUTED)),
        }
        before = Some(item);
    }
    lines
}

fn together(before: &Item, item: &Item) -> bool {
    let near = item.at_ms.saturating_sub(before.at_ms) < TOGETHER_MS;
    before.author == item.author && matches!(before.body, Body::Text(_)) && near
}

fn rule(text: &str, columns: usize) -> Line<'static> {
    let text = format!(" {text} ");
    let left = columns.saturating_sub(1 + width(&text)) / 2;
    let right = columns.saturating_sub(1 + width(&text) + left);
    Line::styled(format!(" {}{text}{}", "─".repeat(left), "─".repeat(right)), ACCENT)
}

fn who<'a>(state: &'a State, item: &'a Item) -> &'a str {
    match (&item.delivery, item.name.is_empty()) {
        (Delivery::Theirs, true) => state.words.somebody,
        (Delivery::Theirs, false) => &item.name,
        _ => state.words.you,
    }
}

fn sender(state: &State, item: &Item, columns: usize) -> Line<'static> {
    let time = when::clock(item.at_ms, &state.zone);
    let room = columns.saturating_sub(2);
    let name = both_ends(who(state, item), "", room.saturating_sub(width(&time) + 1));
    let style = if item.delivery == Delivery::Theirs { BOLD } else { ACCENT.patch(BOLD) };
    Line::from(vec![Span::raw(" "), Span::styled(name, style), Span::raw(" "), Span::styled(time, MUTED)])
}

fn message(state: &State, item: &Item, text: &str, columns: usize, lines: &mut Vec<Line<'static>>) {
    let room = columns.saturating_sub(INDENT + STATE_COLUMNS);
    let (mark, style) = match &item.delivery {
        Delivery::Theirs => ("", Style::new()),
        Delivery::Sending => ("…", MUTED),
        Delivery::Sent => ("✓", MUTED),
        Delivery::Read => ("✓✓", ACCENT),
        Delivery::Failed(..) => ("!", DANGER),
    };
    let wrapped = wrap(text, room);
    let last = wrapped.len().saturating_sub(1);
    for (index, text) in wrapped.into_iter().enumerate() {
        let mut spans = vec![Span::raw(" ".repeat(INDENT)), Span::raw(fit(&text, room))];
        if index == last {
            let blanks = STATE_COLUMNS.saturating_sub(1 + width(mark));
            spans.push(Span::styled(format!("{}{mark} ", " ".repeat(blanks)), style));
        }
        lines.push(Line::from(spans));
    }
    if let Delivery::Failed(_, why) = &item.delivery {
        let why = cut(&(state.words.failed)(why), room);
        lines.push(Line::styled(format!("{}{why}", " ".repeat(INDENT)), DANGER));
    }
}

fn notice(state: &State, item: &Item, body: &Body) -> String {
    let (words, who) = (&state.words.notices, who(state, item));
    let named = |name: &str| if name.is_empty() { state.words.somebody.to_owned() } else { name.to_owned() };
    match body {
        Body::Text(text) => text.clone(),
        Body::Recalled => (words.recalled)(who),
        Body::Created => (words.created)(who),
        Body::Began => words.began.to_owned(),
        Body::Added(names) => {
            let names = names.iter().map(|name| named(name)).collect::<Vec<_>>().join(", ");
            (words.added)(who, &names)
        }
        Body::Removed(name) => (words.removed)(who, &named(name)),
        Body::Left(name) => (words.left)(&named(name)),
        Body::Renamed(title) => (words.renamed)(who, title),
        Body::Role(name, role) => (words.role)(&named(name), words.roles[(*role).min(2)]),
        Body::Other => words.other.to_owned(),
    }
}
