//! The messages as lines: by day and by sender, with what they reply to and how far they came.

use anser_proto::v1::Role;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{centred, when};
use crate::chat::kinds;
use crate::chat::snapshot::{Author, Body, Delivery, Item, Quote, Said};
use crate::chat::state::{Search, State};
use crate::chat::text::{cut, fit, one_line, width, wrap};

/// Messages of one sender within this time stand together.
const TOGETHER_MS: u64 = 5 * 60_000;
/// Columns before a message, and those after it, where its state is shown.
const INDENT: usize = 3;
const STATE_COLUMNS: usize = 4;

/// One line of the conversation.
#[derive(Debug, Clone)]
pub struct MessageLine {
    pub line: Line<'static>,
    /// The item it is of.
    pub item: Option<usize>,
    /// Whether it is of what was said itself: not a sender, a day, a notice.
    pub of_message: bool,
}

/// Every line of the open conversation.
pub fn message_lines(state: &State, columns: usize) -> Vec<MessageLine> {
    let (Some(open), Some(chat)) = (&state.open, state.chat()) else { return Vec::new() };
    let needle = state.search.as_ref().map(Search::needle).unwrap_or_default();
    let mut to = Painter { state, columns, needle, lines: Vec::new() };
    let mut before: Option<&Item> = None;
    let mut divider = open.divider;
    for (index, item) in chat.items.iter().enumerate() {
        let day = when::day(item.at_ms, &state.zone);
        let new_day = before.is_none_or(|before| when::day(before.at_ms, &state.zone) != day);
        if new_day {
            let name = when::named_day(item.at_ms, state.now_ms, &state.zone, state.words);
            to.push(None, Line::styled(centred(&name, columns), state.theme.muted));
        }
        let is_new = |&(after, _): &(u64, u64)| item.seq > after && item.delivery == Delivery::Theirs;
        let divided = divider.take_if(|divider| is_new(divider));
        if let Some((_, count)) = divided {
            to.push(None, rule(state, &(state.words.new_messages)(count), columns));
        }
        match &item.body {
            Body::Said(said) => {
                let apart = new_day || divided.is_some() || !before.is_some_and(|it| together(it, item));
                if apart {
                    to.push(Some(index), sender(state, item, columns));
                }
                to.message(index, item, said);
            }
            body => {
                let line = Line::styled(centred(&notice(state, item, body), columns), state.theme.muted);
                let of_message = matches!(body, Body::Recalled | Body::Withheld);
                to.lines.push(MessageLine { line, item: Some(index), of_message });
            }
        }
        before = Some(item);
    }
    to.lines
}

struct Painter<'a> {
    state: &'a State,
    columns: usize,
    needle: String,
    lines: Vec<MessageLine>,
}

impl Painter<'_> {
    fn push(&mut self, item: Option<usize>, line: Line<'static>) {
        self.lines.push(MessageLine { line, item, of_message: false });
    }

    fn message(&mut self, index: usize, item: &Item, said: &Said) {
        let theme = self.state.theme;
        let room = self.columns.saturating_sub(INDENT + STATE_COLUMNS);
        let mut say = |line: Line<'static>| {
            self.lines.push(MessageLine { line, item: Some(index), of_message: true });
        };
        if let Some(quote) = &said.reply {
            let text = cut(&quoted(self.state, quote), room.saturating_sub(2));
            let begins = Span::styled(format!("{}▎ ", " ".repeat(INDENT)), theme.line);
            say(Line::from(vec![begins, Span::styled(text, theme.muted)]));
        }
        if said.forwarded {
            let text = format!("{}↪ {}", " ".repeat(INDENT), self.state.words.from_elsewhere);
            say(Line::styled(cut(&text, self.columns), theme.muted));
        }
        let (mark, mark_style) = mark(self.state, &item.delivery);
        let mut wrapped = wrap(&calm(self.state, said), room);
        let edited = if said.edits > 0 { format!(" {}", self.state.words.edited) } else { String::new() };
        if wrapped.last().is_some_and(|last| width(last) + width(&edited) > room) {
            wrapped.push(String::new());
        }
        let last = wrapped.len().saturating_sub(1);
        let edge = if said.to_me && !item.is_own() { "▎" } else { " " };
        for (row, text) in wrapped.into_iter().enumerate() {
            let mut spans = vec![Span::styled(edge, theme.danger), Span::raw(" ".repeat(INDENT - 1))];
            spans.extend(marked(self.state, said, &text, &self.needle));
            if row == last {
                let used = width(&text) + width(&edited);
                let blanks = room.saturating_sub(used) + STATE_COLUMNS.saturating_sub(1 + width(mark));
                spans.push(Span::styled(edited.clone(), theme.muted));
                spans.push(Span::raw(" ".repeat(blanks)));
                spans.push(Span::styled(mark, mark_style));
            }
            say(Line::from(spans));
        }
        if let Delivery::Failed(_, why) = &item.delivery {
            let why = cut(&(self.state.words.failed)(why), room);
            say(Line::styled(format!("{}{why}", " ".repeat(INDENT)), theme.danger));
        }
    }
}

/// How far one's own message has come.
fn mark(state: &State, delivery: &Delivery) -> (&'static str, Style) {
    let theme = state.theme;
    match delivery {
        Delivery::Theirs => ("", Style::new()),
        Delivery::Sending => ("…", theme.muted),
        Delivery::Sent => ("✓", theme.muted),
        Delivery::Delivered => ("✓✓", theme.muted),
        Delivery::Read => ("✓✓", theme.accent.patch(theme.bold)),
        Delivery::Failed(..) => ("!", theme.danger),
    }
}

/// What a message says: what is no text says on one line what it is.
pub fn calm(state: &State, said: &Said) -> String {
    match &said.thing {
        None => said.text.clone(),
        Some(thing) => kinds::calm(thing, &said.text, state.words),
    }
}

fn together(before: &Item, item: &Item) -> bool {
    let near = item.at_ms.saturating_sub(before.at_ms) < TOGETHER_MS;
    before.author == item.author && before.said().is_some() && near
}

fn rule(state: &State, text: &str, columns: usize) -> Line<'static> {
    let text = cut(&format!(" {text} "), columns.saturating_sub(1));
    let left = columns.saturating_sub(1 + width(&text)) / 2;
    let right = columns.saturating_sub(1 + width(&text) + left);
    let line = format!(" {}{text}{}", "─".repeat(left), "─".repeat(right));
    Line::styled(line, state.theme.accent)
}

/// Who did it, as this person calls them.
pub fn who<'a>(state: &'a State, item: &'a Item) -> &'a str {
    match (item.is_own(), item.name.is_empty()) {
        (true, _) => state.words.you,
        (false, true) => state.words.somebody,
        (false, false) => &item.name,
    }
}

/// A role as it stands beside a name: an ordinary member has none.
pub fn role(state: &State, role: Role) -> &'static str {
    match role {
        Role::Owner => state.words.roles[1],
        Role::Admin => state.words.roles[0],
        _ => "",
    }
}

fn sender(state: &State, item: &Item, columns: usize) -> Line<'static> {
    let time = when::clock(item.at_ms, &state.zone);
    let role = role(state, state.role_of(item.author));
    let room = columns.saturating_sub(2 + width(&time) + 1);
    let name = cut(who(state, item), room);
    let style = if item.is_own() { state.theme.accent.patch(state.theme.bold) } else { state.theme.bold };
    let aside = if width(&name) + 1 + width(role) > room { String::new() } else { format!(" {role}") };
    let aside = fit(&aside, room - width(&name));
    Line::from(vec![
        Span::raw(" "),
        Span::styled(name, style),
        Span::styled(aside, state.theme.muted),
        Span::raw(" "),
        Span::styled(time, state.theme.muted),
    ])
}

fn quoted(state: &State, quote: &Quote) -> String {
    match &quote.said {
        None => state.words.not_loaded.to_owned(),
        Some((author, said)) => {
            let who = match author {
                Author::Own => state.words.you,
                Author::Named(name) if name.is_empty() => state.words.somebody,
                Author::Named(name) => name,
            };
            let text = said.as_ref().map(|said| one_line(&calm(state, said)));
            format!("{who}: {}", text.as_deref().unwrap_or(state.words.recalled))
        }
    }
}

/// A line of a message with what was searched for and the people named in it set off.
fn marked(state: &State, said: &Said, text: &str, needle: &str) -> Vec<Span<'static>> {
    let theme = state.theme;
    let mut names: Vec<String> = said.names.iter().filter(|name| !name.is_empty()).cloned().collect();
    names.extend(said.all.then(|| state.words.everybody.to_owned()));
    let mut spans = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let named = rest.strip_prefix('@').and_then(|behind| {
            names.iter().filter(|name| behind.starts_with(name.as_str())).map(|name| 1 + name.len()).max()
        });
        let found = (!needle.is_empty()).then(|| folded_prefix(rest, needle)).flatten();
        let (length, style) = match (found, named) {
            (Some(length), _) => (length, theme.found),
            (None, Some(length)) => (length, theme.accent.patch(theme.bold)),
            (None, None) => {
                plain.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        if !plain.is_empty() {
            spans.push(Span::raw(std::mem::take(&mut plain)));
        }
        spans.push(Span::styled(rest[..length].to_owned(), style));
        rest = &rest[length..];
    }
    spans.push(Span::raw(plain));
    spans
}

/// How many bytes of a text are the needle, whatever the case.
fn folded_prefix(text: &str, needle: &str) -> Option<usize> {
    let mut left = needle.chars();
    let mut next = left.next();
    for (at, c) in text.char_indices() {
        for small in c.to_lowercase() {
            match next {
                None => return Some(at),
                Some(wanted) if wanted == small => next = left.next(),
                Some(_) => return None,
            }
        }
    }
    next.is_none().then_some(text.len())
}

fn notice(state: &State, item: &Item, body: &Body) -> String {
    let (words, who) = (&state.words.notices, who(state, item));
    let named = |name: &str| if name.is_empty() { state.words.somebody.to_owned() } else { name.to_owned() };
    match body {
        Body::Said(said) => said.text.clone(),
        Body::Recalled => (words.recalled)(who),
        Body::Withheld => words.withheld.to_owned(),
        Body::Created => (words.created)(who),
        Body::Began => words.began.to_owned(),
        Body::Added(names) => {
            let names = names.iter().map(|name| named(name)).collect::<Vec<_>>().join(", ");
            (words.added)(who, &names)
        }
        Body::Removed(name) => (words.removed)(who, &named(name)),
        Body::Left(name, None) => (words.left)(&named(name)),
        Body::Left(name, Some(owner)) => (words.left_to)(&named(name), &named(owner)),
        Body::Renamed(title) => (words.renamed)(who, title),
        Body::Role(name, role) => (words.role)(&named(name), words.roles[role_index(*role)]),
        Body::Dissolved => (words.dissolved)(who),
        Body::Avatar => (words.avatar)(who),
        Body::Newcomers(see) => (words.newcomers)(who, *see),
        Body::Other => words.other.to_owned(),
    }
}

fn role_index(role: Role) -> usize {
    match role {
        Role::Owner => 2,
        Role::Admin => 1,
        _ => 0,
    }
}
