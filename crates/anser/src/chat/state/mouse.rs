//! The mouse: a click chooses, the wheel scrolls.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{Effect, Focus, State};
use crate::chat::view::{self, Layout};

/// Lines that one step of the wheel scrolls.
const WHEEL_LINES: isize = 3;

impl State {
    /// The mouse was used.
    pub fn mouse(&mut self, mouse: &MouseEvent) -> Vec<Effect> {
        let at = Position::new(mouse.column, mouse.row);
        match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => self.click(at),
            MouseEventKind::ScrollUp => self.wheel(at, 1),
            MouseEventKind::ScrollDown => self.wheel(at, -1),
            _ => vec![],
        }
    }

    fn click(&mut self, at: Position) -> Vec<Effect> {
        self.notice = None;
        if let Some(mut overlay) = self.overlay.take() {
            let line = view::overlay_line(self, &overlay, at);
            let chosen = overlay.click(line, self);
            self.overlay = Some(overlay);
            return self.choose(chosen);
        }
        let layout = Layout::of(self);
        let holds = |pane: Option<Rect>| pane.is_some_and(|pane| pane.contains(at));
        if holds(layout.list) {
            let row = view::list_row(self, &layout, at.y);
            let cid = row.and_then(|row| self.snapshot.rows.get(row)).map(|row| row.cid);
            let top = self.list_top.or(Some(view::list_first(self, &layout)));
            let effects = cid.map_or_else(Vec::new, |cid| self.open_known(cid, Focus::Input));
            self.list_top = top;
            return effects;
        }
        if layout.messages.contains(at) {
            return match view::message_at(self, &layout, at.y).map(|item| self.items()[item].key()) {
                Some(key) if self.chosen().is_none_or(|chosen| chosen.key() != key) => self.choose_key(key),
                _ => vec![],
            };
        }
        if holds(layout.members) {
            return self.begin_about();
        }
        if holds(layout.chat) && at.y == layout.header {
            return self.begin_about();
        }
        if layout.input.contains(at) {
            self.set_focus(Focus::Input);
        }
        vec![]
    }

    fn wheel(&mut self, at: Position, up: isize) -> Vec<Effect> {
        if let Some(mut overlay) = self.overlay.take() {
            overlay.scroll(-up);
            overlay.clamp(self);
            self.overlay = Some(overlay);
            return vec![];
        }
        let layout = Layout::of(self);
        if layout.list.is_some_and(|pane| pane.contains(at)) {
            let first = view::list_first(self, &layout);
            let most = self.snapshot.rows.len().saturating_sub(view::list_shown(&layout));
            self.list_top = Some(first.saturating_add_signed(-up).min(most));
            return vec![];
        }
        self.scroll_by(up * WHEEL_LINES)
    }
}
