//! The key table: what the code dispatches on is what the help and the last line show.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::chat::words::Keys;

/// What a key does in the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Send,
    Newline,
    Switch,
    NewGroup,
    NextUnread,
    Previous,
    Next,
    Older,
    Newer,
    Bottom,
    LeaveInput,
    EnterInput,
    Retry,
    Recall,
    Help,
    Quit,
}

/// When a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// While text is typed.
    Typing,
    /// While no text is typed: letters are free.
    Browsing,
}

/// One line of the table.
pub struct Binding {
    pub keys: &'static [(KeyModifiers, KeyCode)],
    pub when: When,
    pub action: Action,
    pub what: fn(&Keys) -> &'static str,
    /// Whether the last line shows it.
    pub hinted: bool,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;

const fn bind(
    keys: &'static [(KeyModifiers, KeyCode)],
    when: When,
    action: Action,
    what: fn(&Keys) -> &'static str,
    hinted: bool,
) -> Binding {
    Binding { keys, when, action, what, hinted }
}

use KeyCode::{Char, Down, End, Enter, Esc, F, PageDown, PageUp, Up};

/// Every key of the chat, in the order of the help.
pub static TABLE: [Binding; 16] = [
    bind(&[(NONE, Enter)], When::Typing, Action::Send, |k| k.send, false),
    bind(&[(ALT, Enter), (CTRL, Char('j'))], When::Typing, Action::Newline, |k| k.newline, false),
    bind(&[(NONE, Up), (ALT, Up)], When::Always, Action::Previous, |k| k.previous, false),
    bind(&[(NONE, Down), (ALT, Down)], When::Always, Action::Next, |k| k.next, false),
    bind(&[(NONE, PageUp)], When::Always, Action::Older, |k| k.older, true),
    bind(&[(NONE, PageDown)], When::Always, Action::Newer, |k| k.newer, false),
    bind(&[(CTRL, End), (ALT, End)], When::Always, Action::Bottom, |k| k.bottom, false),
    bind(&[(CTRL, Char('p'))], When::Always, Action::Switch, |k| k.switch, true),
    bind(&[(CTRL, Char('n'))], When::Always, Action::NextUnread, |k| k.next_unread, true),
    bind(&[(NONE, Char('n'))], When::Browsing, Action::NextUnread, |k| k.next_unread, false),
    bind(&[(CTRL, Char('g'))], When::Always, Action::NewGroup, |k| k.new_group, false),
    bind(&[(CTRL, Char('r'))], When::Always, Action::Retry, |k| k.retry, false),
    bind(&[(CTRL, Char('z'))], When::Always, Action::Recall, |k| k.recall, false),
    bind(&[(NONE, Esc)], When::Typing, Action::LeaveInput, |k| k.leave_input, false),
    bind(&[(NONE, Enter), (NONE, Char('i'))], When::Browsing, Action::EnterInput, |k| k.enter_input, false),
    bind(&[(NONE, F(1)), (NONE, Char('?'))], When::Always, Action::Help, |k| k.help, true),
];

/// Beside the table, since they work in every overlay and form too.
pub static QUIT: Binding =
    bind(&[(CTRL, Char('q')), (CTRL, Char('c'))], When::Always, Action::Quit, |k| k.quit, true);

/// What a key does, if it does something.
pub fn action(key: &KeyEvent, typing: bool) -> Option<Action> {
    let binding = TABLE.iter().chain([&QUIT]).find(|binding| binding.takes(key, typing))?;
    Some(binding.action)
}

impl Binding {
    fn takes(&self, key: &KeyEvent, typing: bool) -> bool {
        let now = match self.when {
            When::Always => true,
            When::Typing => typing,
            When::Browsing => !typing,
        };
        // A letter without Ctrl or Alt is text while text is typed.
        let pressed = (key.modifiers - KeyModifiers::SHIFT, key.code);
        let is_text = typing && pressed.0 == NONE && matches!(pressed.1, Char(_));
        now && !is_text && self.keys.contains(&pressed)
    }

    /// Its keys as the help shows them.
    pub fn names(&self) -> String {
        let names = self.keys.iter().map(|&(modifiers, code)| name(modifiers, code));
        names.collect::<Vec<_>>().join("  ")
    }

    /// Its first key, for the last line.
    pub fn short_name(&self) -> String {
        self.keys.first().map(|&(modifiers, code)| name(modifiers, code)).unwrap_or_default()
    }
}

fn name(modifiers: KeyModifiers, code: KeyCode) -> String {
    let key = match code {
        Char(letter) if modifiers == NONE => letter.to_string(),
        Char(letter) => letter.to_uppercase().to_string(),
        F(number) => format!("F{number}"),
        Up => "↑".to_owned(),
        Down => "↓".to_owned(),
        PageUp => "PgUp".to_owned(),
        PageDown => "PgDn".to_owned(),
        other => format!("{other:?}"),
    };
    match modifiers {
        CTRL => format!("Ctrl+{key}"),
        ALT => format!("Alt+{key}"),
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_text_while_one_types() {
        let n = KeyEvent::new(Char('n'), NONE);
        assert_eq!((action(&n, true), action(&n, false)), (None, Some(Action::NextUnread)));
        assert_eq!(action(&KeyEvent::new(Char('?'), NONE), true), None);
        assert_eq!(action(&KeyEvent::new(Char('n'), CTRL), true), Some(Action::NextUnread));
        assert_eq!(action(&KeyEvent::new(Char('c'), CTRL), true), Some(Action::Quit));
    }

    #[test]
    fn no_key_means_two_things() {
        for typing in [true, false] {
            for binding in TABLE.iter().chain([&QUIT]) {
                for &(modifiers, code) in binding.keys {
                    let key = KeyEvent::new(code, modifiers);
                    let taken = TABLE.iter().chain([&QUIT]).filter(|it| it.takes(&key, typing)).count();
                    assert!(taken <= 1, "{}", binding.names());
                }
            }
        }
    }
}
