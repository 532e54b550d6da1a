//! Where everything is: computed from the state alone, for painting and for the mouse.

use ratatui::layout::Rect;

use super::composer::PROMPT;
use crate::chat::state::{Focus, State};
use crate::chat::text::width;

/// Columns of the list, in terminals of at least so many columns.
const LIST_COLUMNS: [(u16, u16); 3] = [(150, 38), (100, 32), (0, 26)];
/// Below this many columns, there is one pane.
const TWO_PANES_COLUMNS: u16 = 60;
/// From this many columns on, the members of a group are beside its messages.
const MEMBERS_FROM_COLUMNS: u16 = 120;
const MEMBERS_COLUMNS: u16 = 26;
/// The widest that messages are, so that a line can be read.
const MESSAGE_COLUMNS: u16 = 110;
/// Rows of the input at most, and as a part of the height.
const INPUT_ROWS: usize = 6;
const INPUT_PART: usize = 4;
/// Rows below the panes: the rule and the last line.
const FOOT_ROWS: u16 = 2;
/// Rows above the messages: the title and its rule.
const HEAD_ROWS: u16 = 2;

/// Where everything is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    pub list: Option<Rect>,
    pub chat: Option<Rect>,
    pub members: Option<Rect>,
    /// The row of the title of the open conversation.
    pub header: u16,
    pub messages: Rect,
    /// The line above the input: what is replied to. No rows: there is none.
    pub above_input: Rect,
    pub input: Rect,
    /// The row of the rule; below it is the last line.
    pub foot: u16,
}

impl Layout {
    /// Of this state.
    pub fn of(state: &State) -> Layout {
        let (columns, rows) = state.size;
        let height = rows.saturating_sub(FOOT_ROWS);
        let mut layout = panes(state, columns, height);
        layout.foot = height;
        if let Some(chat) = layout.chat {
            layout.fill(state, chat);
        }
        layout
    }

    fn fill(&mut self, state: &State, chat: Rect) {
        let typed = state.input.rows(input_columns(chat)).0.len();
        let most = INPUT_ROWS.min(usize::from(chat.height) / INPUT_PART).max(1);
        let searching = state.search.as_ref().is_some_and(|search| search.typing);
        let input = if searching { 1 } else { typed.clamp(1, most) } as u16;
        let input = input.min(chat.height);
        let acts_on = state.open.as_ref().is_some_and(|open| open.reply.is_some() || open.editing.is_some());
        let above = u16::from(acts_on);
        let above = above.min(chat.height - input);
        let head = HEAD_ROWS.min(chat.height - input - above);
        self.header = chat.y;
        let messages = chat.height - input - above - head;
        let width = chat.width.min(MESSAGE_COLUMNS);
        self.messages = Rect { y: chat.y + head, height: messages, width, ..chat };
        self.above_input = Rect { y: self.messages.bottom(), height: above, ..chat };
        self.input = Rect { y: self.above_input.bottom(), height: input, ..chat };
    }

    /// Columns of what is typed.
    pub fn input_columns(state: &State) -> usize {
        let (columns, rows) = state.size;
        panes(state, columns, rows).chat.map_or(0, input_columns)
    }
}

fn input_columns(chat: Rect) -> usize {
    usize::from(chat.width).saturating_sub(width(PROMPT) + 1)
}

fn panes(state: &State, columns: u16, height: u16) -> Layout {
    let whole = Rect::new(0, 0, columns, height);
    if columns < TWO_PANES_COLUMNS {
        let chat = state.open.is_some() && state.focus != Focus::List;
        let (list, chat) = if chat { (None, Some(whole)) } else { (Some(whole), None) };
        return Layout { list, chat, ..Layout::default() };
    }
    let list_columns = LIST_COLUMNS.iter().find(|(from, _)| columns >= *from).map_or(0, |it| it.1);
    let list = Rect { width: list_columns, ..whole };
    let mut chat = Rect { x: list_columns + 1, width: columns - list_columns - 1, ..whole };
    let mut members = None;
    if columns >= MEMBERS_FROM_COLUMNS && !state.members().is_empty() {
        chat.width -= MEMBERS_COLUMNS + 1;
        members = Some(Rect { x: chat.right() + 1, width: MEMBERS_COLUMNS, ..whole });
    }
    Layout { list: Some(list), chat: Some(chat), members, ..Layout::default() }
}
