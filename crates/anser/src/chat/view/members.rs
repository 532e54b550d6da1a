//! The members of the open group, beside its messages.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{ends, put};
use crate::chat::state::{MemberRow, State};

/// Rows above the first member.
const HEADER_ROWS: u16 = 2;

pub fn draw(frame: &mut Frame, state: &State, pane: Rect) {
    let columns = usize::from(pane.width);
    let title = (state.words.members)(state.members().len() as u32);
    put(frame, pane.x, pane.y, ends(Span::styled(title, state.theme.muted), Span::raw(""), columns));
    let rows = usize::from(pane.height.saturating_sub(HEADER_ROWS));
    for (index, member) in state.members().iter().take(rows).enumerate() {
        put(frame, pane.x, pane.y + HEADER_ROWS + index as u16, line(state, member, columns));
    }
}

/// Somebody on one line: the name, and the role at the other end.
pub fn line(state: &State, member: &MemberRow, columns: usize) -> Line<'static> {
    let role = super::lines::role(state, member.role);
    let name = if member.name.is_empty() { state.words.somebody } else { &member.name };
    let there = if state.is_there(member.account) { " ●" } else { "" };
    ends(Span::raw(format!("{name}{there}")), Span::styled(role, state.theme.muted), columns)
}
