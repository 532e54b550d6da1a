//! What lies over the chat, in a box in the middle.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};

use super::{ends, members, put, tint, when};
use crate::chat::keys::{EDITING, TABLE, When, names};
use crate::chat::line::Line as Typed;
use crate::chat::overlay::{About, Candidate, Overlay, Prompt, PromptFor, Purpose, Sheet, Switcher};
use crate::chat::state::State;
use crate::chat::text::{cut, fit, width, wrap};
use crate::chat::theme::Theme;
use crate::chat::words::{Keys, Words};

/// Columns of the widest box, its borders included.
const BOX_COLUMNS: u16 = 66;
/// Columns of the keys in the help.
const KEYS_COLUMNS: usize = 22;
/// Columns of the names of fields.
const LABEL_COLUMNS: usize = 12;

/// What a box holds: lines of which some are shown, and a last one that always is.
struct Content {
    title: String,
    lines: Vec<Line<'static>>,
    /// The first line that is shown.
    top: usize,
    /// The line that keys act on.
    chosen: Option<usize>,
    hint: String,
    /// Where the cursor stands: column and line.
    cursor: Option<(usize, usize)>,
}

/// A box with these lines in the middle of the screen. Returns what is inside of its borders.
pub fn boxed(frame: &mut Frame, theme: &Theme, title: &str, lines: Vec<Line<'static>>) -> Rect {
    let area = frame.area();
    let place = place(area, lines.len());
    // A wide character that the border would cut in two goes as a whole.
    let around = Rect { x: place.x.saturating_sub(1), width: (place.width + 2).min(area.width), ..place };
    frame.render_widget(Clear, around.intersection(area));
    frame.buffer_mut().set_style(around.intersection(area), theme.text);
    let title = Span::styled(cut(&format!(" {title} "), inner_columns(area)), theme.accent);
    let block = Block::bordered().border_style(theme.line).title(title);
    let inside = block.inner(place);
    frame.render_widget(block, place);
    for (index, line) in lines.into_iter().take(usize::from(inside.height)).enumerate() {
        put(frame, inside.x, inside.y + index as u16, line);
    }
    inside
}

fn place(area: Rect, lines: usize) -> Rect {
    let columns = BOX_COLUMNS.min(area.width);
    let rows = (lines as u16).saturating_add(2).min(area.height);
    Rect::new((area.width - columns) / 2, (area.height - rows) / 2, columns, rows)
}

/// A field of a form, and where the cursor stands in it.
pub fn field(
    theme: &Theme,
    label: &str,
    typed: &Typed,
    hidden: bool,
    columns: usize,
) -> (Line<'static>, usize) {
    let room = columns.saturating_sub(LABEL_COLUMNS + 2);
    let (text, column) = typed.shown(room);
    let (text, column) = if hidden {
        let stars = typed.text().chars().count().min(room.saturating_sub(1));
        ("•".repeat(stars), stars)
    } else {
        (text, column)
    };
    let label = Span::styled(fit(label, LABEL_COLUMNS), theme.muted);
    (Line::from(vec![Span::raw(" "), label, Span::raw(text)]), 1 + LABEL_COLUMNS + column)
}

/// Columns inside of a box.
pub fn inner_columns(area: Rect) -> usize {
    usize::from(BOX_COLUMNS.min(area.width).saturating_sub(2))
}

pub fn draw(frame: &mut Frame, state: &State, area: Rect) {
    let Some(overlay) = &state.overlay else { return };
    let content = content(state, overlay, inner_columns(area));
    let shown = rows_shown(area, &content);
    let top = top(&content, shown);
    let columns = inner_columns(area);
    let mut lines: Vec<Line<'static>> = content.lines.into_iter().skip(top).take(shown).collect();
    lines.push(Line::styled(cut(&format!(" {}", content.hint), columns), state.theme.muted));
    let inside = boxed(frame, state.theme, &content.title, lines);
    if let Some(chosen) = content.chosen.and_then(|line| line.checked_sub(top)).filter(|line| *line < shown) {
        let row = inside.y + chosen as u16;
        tint(frame, Rect { height: 1, ..inside }, row, state.theme.chosen);
    }
    if let Some((column, line)) = content.cursor {
        let at = Position::new(inside.x + column as u16, inside.y + line.saturating_sub(top) as u16);
        let last = Position::new(area.width.saturating_sub(1), area.height.saturating_sub(1));
        frame.set_cursor_position(Position::new(at.x.min(last.x), at.y.min(last.y)));
    }
}

/// Which line of an overlay is at a place of the screen; None: it is beside.
pub fn line_at(state: &State, overlay: &Overlay, at: Position) -> Option<usize> {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let content = content(state, overlay, inner_columns(area));
    let shown = rows_shown(area, &content);
    let place = place(area, shown + 1);
    let top = top(&content, shown);
    place.contains(at).then(|| (usize::from(at.y - place.y) + top).saturating_sub(1))
}

/// Lines of an overlay that do not fit on the screen.
pub fn lines_beyond(state: &State, overlay: &Overlay) -> usize {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let content = content(state, overlay, inner_columns(area));
    content.lines.len() - rows_shown(area, &content)
}

fn rows_shown(area: Rect, content: &Content) -> usize {
    content.lines.len().min(usize::from(area.height).saturating_sub(3))
}

fn top(content: &Content, shown: usize) -> usize {
    let for_chosen = content.chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(shown));
    content.top.max(for_chosen).min(content.lines.len().saturating_sub(shown))
}

fn content(state: &State, overlay: &Overlay, columns: usize) -> Content {
    let words = state.words;
    let plain = Content {
        title: String::new(),
        lines: Vec::new(),
        top: 0,
        chosen: None,
        hint: String::new(),
        cursor: None,
    };
    match overlay {
        Overlay::Help(of) => Content {
            title: words.help.to_owned(),
            lines: help(state),
            top: of.top,
            hint: words.help_hint.to_owned(),
            ..plain
        },
        Overlay::Sheet(sheet) => Content {
            title: sheet.title.clone(),
            lines: sheet_lines(state, sheet, columns),
            top: sheet.top,
            hint: words.help_hint.to_owned(),
            ..plain
        },
        Overlay::Switcher(switcher) => switcher_content(state, switcher, columns, plain),
        Overlay::About(about) => about_content(state, about, columns, plain),
        Overlay::NewGroup(group) => {
            let (title, in_title) = field(state.theme, words.group_title, &group.title, false, columns);
            let (handles, in_handles) =
                field(state.theme, words.group_handles, &group.handles, false, columns);
            let label = Span::styled(format!(" {}", fit(words.group_kind, LABEL_COLUMNS)), state.theme.muted);
            let kind = Line::from(vec![label, Span::raw(words.group_or_channel[usize::from(group.channel)])]);
            let cursor = if group.on_handles { (in_handles, 1) } else { (in_title, 0) };
            Content {
                title: words.new_group.to_owned(),
                lines: vec![title, handles, kind],
                hint: words.form_hint.to_owned(),
                cursor: Some(cursor),
                ..plain
            }
        }
        Overlay::Prompt(prompt) => prompt_content(state, prompt, columns, plain),
        Overlay::Ask(text, _) => Content {
            title: words.product.to_owned(),
            lines: wrap(text, columns.saturating_sub(2))
                .iter()
                .map(|it| Line::raw(format!(" {it}")))
                .collect(),
            hint: words.yes_no.to_owned(),
            ..plain
        },
    }
}

fn switcher_content(state: &State, switcher: &Switcher, columns: usize, plain: Content) -> Content {
    let (query, cursor) = switcher.query.shown(columns.saturating_sub(4));
    let mut lines = vec![Line::from(vec![Span::styled(" › ", state.theme.accent), Span::raw(query)])];
    let candidates = switcher.candidates(state);
    for candidate in &candidates {
        let (title, aside) = match candidate {
            Candidate::Conversation(_, title, handle) => (title.clone(), handle.as_str()),
            Candidate::Person(known) => (known.name.clone(), known.handle.as_str()),
            Candidate::Find(handle) => ((state.words.find)(handle), ""),
        };
        let aside = if aside.is_empty() { String::new() } else { format!("@{aside}") };
        lines.push(ends(Span::raw(title), Span::styled(aside, state.theme.muted), columns));
    }
    let chosen = switcher.selected.min(candidates.len().saturating_sub(1)) + 1;
    let title = match switcher.purpose {
        Purpose::Open => state.words.switcher,
        Purpose::Forward(_) => state.words.forward_to,
    };
    Content {
        title: title.to_owned(),
        lines,
        chosen: (!candidates.is_empty()).then_some(chosen),
        hint: state.words.switcher_hint.to_owned(),
        cursor: Some((3 + cursor, 0)),
        ..plain
    }
}

fn about_content(state: &State, about: &About, columns: usize, plain: Content) -> Content {
    let line = |member| {
        let mut line: Line<'static> = members::line(state, member, columns.saturating_sub(18));
        line.spans.push(Span::styled(cut(&format!("@{}", member.handle), 17), state.theme.muted));
        line
    };
    let row = state.open_row();
    let title = row.map(|row| state.title(row).to_owned()).unwrap_or_default();
    let count = (state.words.members)(state.members().len() as u32);
    let keys = TABLE.iter().filter(|it| it.when == When::About);
    let hint = keys.map(|it| format!("{} {}", it.short_name(), (it.what)(&state.words.keys)));
    Content {
        title: format!("{title} · {count}"),
        lines: state.members().iter().map(line).collect(),
        chosen: Some(about.selected),
        hint: hint.collect::<Vec<_>>().join(" · "),
        ..plain
    }
}

fn sheet_lines(state: &State, sheet: &Sheet, columns: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (who, at_ms, text) in &sheet.lines {
        let time = match at_ms {
            0 => String::new(),
            at_ms => when::full(*at_ms, state.now_ms, &state.zone, state.words),
        };
        let (who, time) = match (who.is_empty(), time.is_empty()) {
            (true, false) => ((state.words.said_since)(&time), String::new()),
            _ => (who.clone(), time),
        };
        let (who, time) = (Span::styled(who, state.theme.bold), Span::styled(time, state.theme.muted));
        lines.push(ends(who, time, columns));
        let wrapped = wrap(text, columns.saturating_sub(4));
        lines.extend(wrapped.into_iter().map(|line| Line::raw(format!("   {line}"))));
    }
    lines
}

fn prompt_content(state: &State, prompt: &Prompt, columns: usize, plain: Content) -> Content {
    let words = state.words;
    let (title, label) = match prompt.purpose {
        PromptFor::Members => (words.add_members, words.handles),
        PromptFor::Title => (words.rename, words.group_title),
    };
    let (line, column) = field(state.theme, label, &prompt.line, false, columns);
    Content {
        title: title.to_owned(),
        lines: vec![line],
        hint: words.prompt_hint.to_owned(),
        cursor: Some((column, 0)),
        ..plain
    }
}

/// What a part of the key table is about, for people.
pub fn heading(words: &Keys, when: When) -> &'static str {
    match when {
        When::Always => words.when_always,
        When::Writing => words.when_writing,
        When::Browsing | When::Searching => words.when_browsing,
        When::Message => words.when_message,
        When::About => words.when_about,
    }
}

/// The parts of the key table in their order, each with its lines: keys and what they do.
pub fn key_table(words: &Words) -> Vec<(&'static str, Vec<(String, &'static str)>)> {
    let keys = &words.keys;
    let mut parts: Vec<(&'static str, Vec<(String, &'static str)>)> = Vec::new();
    for binding in TABLE {
        let heading = heading(keys, binding.when);
        let line = (names(binding.keys), (binding.what)(keys));
        match parts.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, lines)) => lines.push(line),
            None => parts.push((heading, vec![line])),
        }
    }
    let editing = EDITING.iter().map(|binding| (names(binding.keys), (binding.what)(keys)));
    parts.push((keys.when_editing, editing.collect()));
    parts
}

fn help(state: &State) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (heading, part) in key_table(state.words) {
        if !lines.is_empty() {
            lines.push(Line::raw(""));
        }
        lines.push(Line::styled(format!(" {heading}"), state.theme.bold));
        for (keys, what) in part {
            let keys = fit(&keys, KEYS_COLUMNS.max(width(&keys)));
            lines.push(Line::from(vec![
                Span::raw("   "),
                Span::styled(keys, state.theme.accent),
                Span::raw(format!(" {what}")),
            ]));
        }
    }
    lines
}
