//! Where the messages stand: what is at the bottom, what is chosen, what lies above.

use super::{Effect, Focus, State};
use crate::chat::snapshot::{Body, Key};
use crate::chat::view::Layout;

/// What stood at the bottom of the screen: the item, and how many of its lines were below.
pub(super) type Anchor = Option<(Key, usize)>;

impl State {
    pub(super) fn layout(&self) -> Layout {
        Layout::of(self)
    }

    /// Rows that messages have now.
    pub(super) fn message_rows(&self) -> usize {
        usize::from(self.layout().messages.height)
    }

    fn lines(&self) -> std::rc::Rc<Vec<crate::chat::view::MessageLine>> {
        self.message_lines(usize::from(self.layout().messages.width))
    }

    /// Lines of the open conversation that do not fit on the screen.
    pub(super) fn lines_above(&self) -> usize {
        self.lines().len().saturating_sub(self.message_rows())
    }

    pub(super) fn page_lines(&self) -> isize {
        (self.message_rows() as isize - 2).max(1)
    }

    pub(super) fn clamp_scroll(&mut self) {
        let most = self.lines_above();
        if let Some(open) = &mut self.open {
            open.scroll = open.scroll.min(most);
        }
    }

    /// None at the bottom, where what comes is wanted.
    pub(super) fn anchor(&self) -> Anchor {
        let scroll = self.open.as_ref()?.scroll;
        if scroll == 0 {
            return None;
        }
        let lines = self.lines();
        let last = lines.len().checked_sub(scroll + 1)?;
        let at = (0..=last).rev().find(|&at| lines[at].item.is_some())?;
        let item = lines[at].item?;
        let end = lines.iter().rposition(|line| line.item == Some(item))?;
        Some((self.items().get(item)?.key(), (end + 1).saturating_sub(last + 1)))
    }

    pub(super) fn restore(&mut self, anchor: Anchor) {
        if let Some((key, below)) = anchor
            && let Some(item) = self.items().iter().position(|item| item.key() == key)
        {
            let lines = self.lines();
            let end = lines.iter().rposition(|line| line.item == Some(item));
            if let (Some(end), Some(open)) = (end, &mut self.open) {
                open.scroll = (lines.len() - 1 - end) + below;
            }
        }
        self.clamp_scroll();
    }

    pub(super) fn scroll_by(&mut self, lines: isize) -> Vec<Effect> {
        if let Some(open) = &mut self.open {
            open.scroll = open.scroll.saturating_add_signed(lines);
        }
        let wanted = self.open.as_ref().map_or(0, |open| open.scroll);
        self.clamp_scroll();
        let reached = self.open.as_ref().map_or(0, |open| open.scroll);
        let mut effects = self.wants();
        if wanted > reached && effects.is_empty() {
            effects.extend(self.older());
        }
        effects
    }

    pub(super) fn go_to_bottom(&mut self) -> Vec<Effect> {
        if let Some(open) = &mut self.open {
            open.chosen = None;
        }
        if self.focus == Focus::Messages {
            self.focus = Focus::Input;
        }
        self.scroll_by(isize::MIN / 2)
    }

    /// What can be chosen: everything that was said, and what is left of it.
    fn can_be_chosen(&self) -> Vec<usize> {
        let items = self.items().iter().enumerate();
        let messages =
            items.filter(|(_, item)| matches!(item.body, Body::Said(_) | Body::Recalled | Body::Withheld));
        messages.map(|(index, _)| index).collect()
    }

    /// Chooses the message so far from the chosen one; at the top, asks for older ones.
    pub(super) fn choose_message(&mut self, by: isize) -> Vec<Effect> {
        let choices = self.can_be_chosen();
        let Some(last) = choices.len().checked_sub(1) else { return vec![] };
        let chosen = self.open.as_ref().and_then(|open| open.chosen);
        let at = choices.iter().position(|&index| Some(self.items()[index].key()) == chosen);
        let next = match at {
            // Below the newest is where one writes.
            Some(at) if at == last && by == 1 => {
                self.set_focus(Focus::Input);
                return self.scroll_by(isize::MIN / 2);
            }
            Some(at) => at.saturating_add_signed(by).min(last),
            None => last,
        };
        let mut effects = self.choose_key(self.items()[choices[next]].key());
        if next == 0 && at == Some(0) {
            effects.extend(self.older());
        }
        effects
    }

    /// Chooses a message, and shows it.
    pub(super) fn choose_key(&mut self, key: Key) -> Vec<Effect> {
        self.focus = Focus::Messages;
        if let Some(open) = &mut self.open {
            open.chosen = Some(key);
        }
        self.show_chosen();
        self.wants()
    }

    fn show_chosen(&mut self) {
        let Some(key) = self.open.as_ref().and_then(|open| open.chosen) else { return };
        let Some(item) = self.items().iter().position(|item| item.key() == key) else { return };
        let lines = self.lines();
        let first = lines.iter().position(|line| line.item == Some(item));
        let last = lines.iter().rposition(|line| line.item == Some(item));
        let rows = self.message_rows();
        if let (Some(first), Some(last), Some(open)) = (first, last, &mut self.open) {
            let below = lines.len() - 1 - last;
            let above = lines.len() - first;
            if open.scroll > below {
                open.scroll = below;
            } else if open.scroll + rows < above {
                open.scroll = above.saturating_sub(rows).min(below);
            }
        }
        self.clamp_scroll();
    }

    /// What waited has a seq now: what was chosen stays chosen, or nothing is.
    pub(super) fn keep_chosen(&mut self) {
        let chosen = self.open.as_ref().and_then(|open| open.chosen);
        if chosen.is_some() && self.chosen().is_none() {
            self.set_focus(Focus::Input);
        }
    }
}
