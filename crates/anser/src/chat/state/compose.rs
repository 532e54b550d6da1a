//! Writing: replies, mentions and their completion.

use anser_model::AccountId;
use anser_proto::v1::{self, Target};
use crossterm::event::{KeyCode, KeyEvent};

use super::{Effect, Focus, MemberRow, State};
use crate::chat::fuzzy;
use crate::chat::line::Line;
use crate::chat::view::Layout;

/// Names that are offered at once.
const SUGGESTIONS: usize = 6;
/// Characters of the longest query behind an @.
const QUERY_CHARS: usize = 24;

/// Which of the offered names is meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Completion {
    pub selected: usize,
    /// Nobody is meant: not offered until something else is typed.
    dismissed: bool,
}

/// Somebody whom an @ may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    pub name: String,
    /// Empty for everybody.
    pub handle: String,
}

impl State {
    /// Who may be meant by what stands before the cursor; and where its @ is.
    pub fn suggestions(&self) -> (Vec<Suggestion>, usize) {
        let none = (Vec::new(), 0);
        let Some(members) = self.open.as_ref().and_then(|open| open.members.as_ref()) else { return none };
        let group = self.open_row().is_some_and(|row| row.is_group());
        if self.focus != Focus::Input || self.completion.dismissed || !group {
            return none;
        }
        let Some((at, query)) = asked(self.input.before_cursor()) else { return none };
        let everybody = Suggestion { name: self.words.everybody.to_owned(), handle: String::new() };
        let others = members.iter().filter(|member| member.account != self.snapshot.own);
        let others =
            others.map(|member| Suggestion { name: member.name.clone(), handle: member.handle.clone() });
        let mut fitting: Vec<(i32, Suggestion)> = others
            .chain([everybody])
            .filter_map(|it| {
                let by_name = fuzzy::score(query, &it.name);
                Some((by_name.max(fuzzy::score(query, &it.handle).filter(|_| !it.handle.is_empty()))?, it))
            })
            .collect();
        fitting.sort_by_key(|&(points, _)| std::cmp::Reverse(points));
        (fitting.into_iter().map(|(_, it)| it).take(SUGGESTIONS).collect(), at)
    }

    /// Takes the keys of the offered names. Whether it was one.
    pub(super) fn complete_key(&mut self, key: &KeyEvent) -> bool {
        let (suggestions, at) = self.suggestions();
        if suggestions.is_empty() || !key.modifiers.is_empty() {
            return false;
        }
        let last = suggestions.len() - 1;
        match key.code {
            KeyCode::Up => self.completion.selected = self.completion.selected.saturating_sub(1),
            KeyCode::Down => self.completion.selected = (self.completion.selected + 1).min(last),
            KeyCode::Esc => self.completion.dismissed = true,
            KeyCode::Tab | KeyCode::Enter => {
                let name = &suggestions[self.completion.selected.min(last)].name;
                self.input.replace_before(at, &format!("@{name} "));
                self.completion = Completion::default();
            }
            _ => return false,
        }
        true
    }

    pub(super) fn newline(&mut self) {
        self.input.insert("\n");
        self.clamp_scroll();
    }

    /// Up in the text; above its first row are the messages.
    pub(super) fn input_up(&mut self) -> Vec<Effect> {
        let room = Layout::input_columns(self);
        if self.input.move_row(room, -1) {
            return vec![];
        }
        self.choose_message(-1)
    }

    /// Down in the text.
    pub(super) fn input_down(&mut self) {
        self.input.move_row(Layout::input_columns(self), 1);
    }

    /// Puts one's own chosen text into the input, to be written anew.
    pub(super) fn begin_edit(&mut self) {
        let Some(item) = self.chosen().filter(|item| item.seq > 0 && item.is_own()) else { return };
        let Some(said) = item.said().filter(|said| said.thing.is_none()) else { return };
        let (seq, text) = (item.seq, Line::new(said.text.clone()));
        let Some(open) = &mut self.open else { return };
        let written = std::mem::replace(&mut self.input, text);
        let before = open.editing.take().map_or(written, |(_, before)| before);
        open.editing = Some((seq, before));
        open.reply = None;
        self.set_focus(Focus::Input);
    }

    /// What was written goes to the message that is edited.
    fn edit(&mut self) -> Option<Effect> {
        let open = self.open.as_mut()?;
        let (seq, before) = open.editing.take()?;
        let cid = open.cid;
        let text = std::mem::replace(&mut self.input, before).text().trim_end().to_owned();
        let same = self.items().iter().any(|it| it.seq == seq && it.said().is_some_and(|it| it.text == text));
        let message = self.message(text, 0);
        self.clamp_scroll();
        (!same).then_some(Effect::Edit { cid, seq, message })
    }

    pub(super) fn leave_input(&mut self) -> Vec<Effect> {
        if let Some((_, before)) = self.open.as_mut().and_then(|open| open.editing.take()) {
            self.input = before;
            self.clamp_scroll();
            return vec![];
        }
        let had_reply = self.open.as_mut().and_then(|open| open.reply.take()).is_some();
        if had_reply {
            self.clamp_scroll();
        } else {
            self.set_focus(Focus::List);
        }
        vec![]
    }

    pub(super) fn begin_reply(&mut self) {
        let Some(item) = self.chosen() else { return };
        let seq = item.seq;
        if seq == 0 || item.said().is_none() {
            return;
        }
        if let Some(open) = &mut self.open {
            open.reply = Some(seq);
        }
        self.set_focus(Focus::Input);
    }

    pub(super) fn send(&mut self) -> Vec<Effect> {
        if self.input.is_blank() || self.open_row().is_some_and(|row| !row.may_write()) {
            return vec![];
        }
        if self.open.as_ref().is_some_and(|open| open.editing.is_some()) {
            return self.edit().into_iter().collect();
        }
        let Some(open) = &mut self.open else { return vec![] };
        open.scroll = 0;
        open.divider = None;
        let reply_to = open.reply.take().unwrap_or_default();
        let to = open.peer.map_or_else(|| Target::cid(open.cid), Target::peer);
        let text = std::mem::take(&mut self.input).text().trim_end().to_owned();
        self.completion = Completion::default();
        self.typing_told = None;
        self.version += 1;
        vec![Effect::Send { to, message: self.message(text, reply_to) }]
    }

    /// A text as it is sent: in a group with whom it names.
    fn message(&self, text: String, reply_to: u64) -> v1::Message {
        let (mentions, mention_all) = match self.open_row().is_some_and(|row| row.is_group()) {
            true => mentions(&text, self.members(), self.snapshot.own, self.words.everybody),
            false => (Vec::new(), false),
        };
        v1::Message { reply_to, mentions, mention_all, ..v1::Message::text(text) }
    }
}

/// The @ that is being typed: where it is, and what stands behind it.
fn asked(before: &str) -> Option<(usize, &str)> {
    let at = before.rfind('@')?;
    let query = &before[at + 1..];
    let begins = begins_word(&before[..at]);
    let short = query.chars().count() <= QUERY_CHARS && !query.contains(char::is_whitespace);
    (begins && short).then_some((at, query))
}

/// Whether an @ behind this names somebody: in the middle of a word it is an address.
fn begins_word(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Whom a text names: for each @ the member with the longest name or handle that follows it.
fn mentions(text: &str, members: &[MemberRow], own: AccountId, everybody: &str) -> (Vec<u64>, bool) {
    let mut named = Vec::new();
    let mut all = false;
    for (at, _) in text.match_indices('@') {
        if !begins_word(&text[..at]) {
            continue;
        }
        let rest = &text[at + 1..];
        let follows = |name: &str| {
            let end = rest.strip_prefix(name).filter(|_| !name.is_empty());
            end.is_some_and(|end| !goes_on(name, end)).then_some(name.len())
        };
        let fitting = members.iter().filter_map(|member| {
            let length = follows(&member.name).max(follows(&member.handle))?;
            Some((length, member.account))
        });
        match fitting.max_by_key(|&(length, _)| length) {
            Some((_, account)) if account != own && !named.contains(&account.get()) => {
                named.push(account.get());
            }
            Some(_) => {}
            None => all |= follows(everybody).is_some(),
        }
    }
    (named, all)
}

/// Whether a name goes on behind its end, as Ann does in Anna. Chinese has no blanks between words.
fn goes_on(name: &str, end: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.ends_with(letter) && end.starts_with(letter)
}

#[cfg(test)]
mod tests {
    use anser_proto::v1::Role;

    use super::*;

    fn member(account: u64, name: &str, handle: &str) -> MemberRow {
        let (name, handle) = (name.to_owned(), handle.to_owned());
        MemberRow { account: AccountId(account), name, handle, role: Role::Member }
    }

    #[test]
    fn who_is_named_is_found_in_the_text() {
        let members = [member(1, "林晓", "lin"), member(2, "Ann", "ann"), member(3, "Anna Li", "anna")];
        let named = |text: &str| mentions(text, &members, AccountId(1), "all");
        assert_eq!(named("@Ann look"), (vec![2], false));
        assert_eq!(named("@Anna Li and @ann, @Anna"), (vec![3, 2], false));
        assert_eq!(named("@林晓你好"), (vec![], false), "nobody names oneself");
        assert_eq!(named("@all, mail me: x@anna"), (vec![], true));
        assert_eq!(named("nothing"), (vec![], false));
    }

    #[test]
    fn an_at_sign_asks_where_a_word_begins() {
        assert_eq!(asked("hello @an"), Some((6, "an")));
        assert_eq!(asked("你好@周"), Some((6, "周")));
        assert_eq!(asked("mail a@b"), None);
        assert_eq!(asked("@Anna says"), None);
    }
}
