//! The key table: what the code dispatches on is what the help, the last line and the man page show.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::chat::words::Keys;

/// What a key does in the chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Switch,
    NextUnread,
    Search,
    PreviousChat,
    NextChat,
    Older,
    Newer,
    Bottom,
    About,
    NewGroup,
    Retry,
    Theme,
    Redraw,
    Help,
    Quit,
    // While one writes.
    Send,
    Newline,
    Complete,
    ToMessages,
    RowDown,
    LeaveInput,
    // Among messages and conversations.
    Up,
    Down,
    First,
    Last,
    EnterInput,
    ToList,
    NextHit,
    PreviousHit,
    // With a message.
    Reply,
    Recall,
    Copy,
    Forward,
    Quoted,
    Edit,
    Details,
    Mark,
    Hide,
    ReadBy,
    // With a conversation.
    MarkUnread,
    Clear,
    // About a conversation.
    AddMembers,
    RemoveMember,
    MakeAdmin,
    MakeOwner,
    Rename,
    Newcomers,
    Leave,
    Dissolve,
    Message,
}

/// When a key counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Always,
    /// While text is typed.
    Writing,
    /// While messages or conversations are chosen: letters are free.
    Browsing,
    /// The same, while something is searched for.
    Searching,
    /// While a message is chosen.
    Message,
    /// While the members of a conversation are shown.
    About,
}

/// Where keys go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Input,
    Messages,
    List,
    About,
    /// A form or a list over the chat, which takes its own keys.
    Overlay,
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

/// One line of the table of the keys that change a text.
pub struct EditBinding {
    pub keys: &'static [(KeyModifiers, KeyCode)],
    pub edit: Edit,
    pub what: fn(&Keys) -> &'static str,
}

/// What a key does to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    RemoveBefore,
    RemoveAfter,
    RemoveWord,
    RemoveToStart,
    RemoveToEnd,
    Left,
    Right,
    WordLeft,
    WordRight,
    Start,
    End,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;

const fn bind(
    keys: &'static [(KeyModifiers, KeyCode)],
    when: When,
    action: Action,
    what: fn(&Keys) -> &'static str,
) -> Binding {
    Binding { keys, when, action, what, hinted: false }
}

const fn hint(
    keys: &'static [(KeyModifiers, KeyCode)],
    when: When,
    action: Action,
    what: fn(&Keys) -> &'static str,
) -> Binding {
    Binding { keys, when, action, what, hinted: true }
}

use KeyCode::{
    Backspace, Char, Delete, Down, End, Enter, Esc, F, Home, Left, PageDown, PageUp, Right, Tab, Up,
};
use When::{About, Always, Browsing, Message, Searching, Writing};

/// Every key of the chat, in the order of the help.
pub static TABLE: &[Binding] = &[
    hint(&[(NONE, Enter)], Writing, Action::Send, |k| k.send),
    hint(&[(ALT, Enter), (CTRL, Char('j'))], Writing, Action::Newline, |k| k.newline),
    bind(&[(NONE, Tab)], Writing, Action::Complete, |k| k.complete),
    hint(&[(NONE, Up)], Writing, Action::ToMessages, |k| k.to_messages),
    bind(&[(NONE, Down)], Writing, Action::RowDown, |k| k.row_down),
    bind(&[(NONE, Esc)], Writing, Action::LeaveInput, |k| k.leave_input),
    bind(&[(NONE, Up), (NONE, Char('k'))], Browsing, Action::Up, |k| k.up),
    bind(&[(NONE, Down), (NONE, Char('j'))], Browsing, Action::Down, |k| k.down),
    bind(&[(NONE, Home), (NONE, Char('g'))], Browsing, Action::First, |k| k.first),
    bind(&[(NONE, End), (NONE, Char('G'))], Browsing, Action::Last, |k| k.last),
    bind(&[(NONE, Enter), (NONE, Right), (NONE, Char('i'))], Browsing, Action::EnterInput, |k| k.enter_input),
    bind(&[(NONE, Esc), (NONE, Left)], Browsing, Action::ToList, |k| k.to_list),
    bind(&[(NONE, Char('u'))], Browsing, Action::MarkUnread, |k| k.mark_unread),
    bind(&[(NONE, Char('C'))], Browsing, Action::Clear, |k| k.clear),
    bind(&[(NONE, Char('n'))], Searching, Action::NextHit, |k| k.next_hit),
    bind(&[(NONE, Char('N'))], Searching, Action::PreviousHit, |k| k.previous_hit),
    hint(&[(NONE, Char('r'))], Message, Action::Reply, |k| k.reply),
    hint(&[(NONE, Char('e'))], Message, Action::Edit, |k| k.edit),
    hint(&[(NONE, Char('x'))], Message, Action::Recall, |k| k.recall),
    hint(&[(NONE, Char('f'))], Message, Action::Forward, |k| k.forward),
    hint(&[(NONE, Char('y'))], Message, Action::Copy, |k| k.copy),
    bind(&[(NONE, Char(' '))], Message, Action::Mark, |k| k.mark),
    bind(&[(NONE, Char('o'))], Message, Action::Quoted, |k| k.quoted),
    bind(&[(NONE, Char('v'))], Message, Action::Details, |k| k.details),
    bind(&[(NONE, Char('w'))], Message, Action::ReadBy, |k| k.read_by),
    bind(&[(NONE, Char('d')), (NONE, Delete)], Message, Action::Hide, |k| k.hide),
    hint(&[(CTRL, Char('p'))], Always, Action::Switch, |k| k.switch),
    hint(&[(CTRL, Char('n'))], Always, Action::NextUnread, |k| k.next_unread),
    bind(&[(NONE, Char('n'))], Browsing, Action::NextUnread, |k| k.next_unread),
    bind(&[(CTRL, Char('f'))], Always, Action::Search, |k| k.search),
    bind(&[(NONE, Char('/'))], Browsing, Action::Search, |k| k.search),
    bind(&[(ALT, Up)], Always, Action::PreviousChat, |k| k.previous_chat),
    bind(&[(ALT, Down)], Always, Action::NextChat, |k| k.next_chat),
    hint(&[(NONE, PageUp)], Always, Action::Older, |k| k.older),
    bind(&[(NONE, PageDown)], Always, Action::Newer, |k| k.newer),
    bind(&[(CTRL, End), (ALT, End)], Always, Action::Bottom, |k| k.bottom),
    bind(&[(CTRL, Char('o'))], Always, Action::About, |k| k.about),
    bind(&[(CTRL, Char('g'))], Always, Action::NewGroup, |k| k.new_group),
    bind(&[(CTRL, Char('r'))], Always, Action::Retry, |k| k.retry),
    hint(&[(NONE, Char('m'))], About, Action::Message, |k| k.message),
    hint(&[(NONE, Char('a'))], About, Action::AddMembers, |k| k.add_members),
    hint(&[(NONE, Char('x'))], About, Action::RemoveMember, |k| k.remove_member),
    hint(&[(NONE, Char('d'))], About, Action::MakeAdmin, |k| k.make_admin),
    bind(&[(NONE, Char('o'))], About, Action::MakeOwner, |k| k.make_owner),
    hint(&[(NONE, Char('t'))], About, Action::Rename, |k| k.rename),
    bind(&[(NONE, Char('h'))], About, Action::Newcomers, |k| k.newcomers),
    hint(&[(NONE, Char('L'))], About, Action::Leave, |k| k.leave),
    bind(&[(NONE, Char('D'))], About, Action::Dissolve, |k| k.dissolve),
    bind(&[(NONE, F(2))], Always, Action::Theme, |k| k.theme),
    bind(&[(CTRL, Char('l'))], Always, Action::Redraw, |k| k.redraw),
    hint(&[(NONE, F(1))], Always, Action::Help, |k| k.help),
    bind(&[(NONE, Char('?'))], Browsing, Action::Help, |k| k.help),
    hint(&[(CTRL, Char('q')), (CTRL, Char('c'))], Always, Action::Quit, |k| k.quit),
];

const fn edit(
    keys: &'static [(KeyModifiers, KeyCode)],
    edit: Edit,
    what: fn(&Keys) -> &'static str,
) -> EditBinding {
    EditBinding { keys, edit, what }
}

/// Every key that changes what is typed, here and in forms.
pub static EDITING: &[EditBinding] = &[
    edit(&[(NONE, Left)], Edit::Left, |k| k.left),
    edit(&[(NONE, Right)], Edit::Right, |k| k.right),
    edit(&[(CTRL, Left), (ALT, Char('b'))], Edit::WordLeft, |k| k.word_left),
    edit(&[(CTRL, Right), (ALT, Char('f'))], Edit::WordRight, |k| k.word_right),
    edit(&[(NONE, Home), (CTRL, Char('a'))], Edit::Start, |k| k.start),
    edit(&[(NONE, End), (CTRL, Char('e'))], Edit::End, |k| k.end),
    edit(&[(NONE, Backspace), (CTRL, Char('h'))], Edit::RemoveBefore, |k| k.remove_before),
    edit(&[(NONE, Delete), (CTRL, Char('d'))], Edit::RemoveAfter, |k| k.remove_after),
    edit(&[(CTRL, Char('w')), (ALT, Backspace)], Edit::RemoveWord, |k| k.remove_word),
    edit(&[(CTRL, Char('u'))], Edit::RemoveToStart, |k| k.remove_to_start),
    edit(&[(CTRL, Char('k'))], Edit::RemoveToEnd, |k| k.remove_to_end),
];

/// What a key does, if it does something. What is said of fewer moments counts before what counts always.
pub fn action(key: &KeyEvent, place: Place, searching: bool) -> Option<Action> {
    let fits = |binding: &&Binding| binding.keys.contains(&pressed(key)) && holds(binding, place, searching);
    TABLE.iter().filter(fits).max_by_key(|binding| binding.when).map(|binding| binding.action)
}

/// How a key changes a text, if it does.
pub fn editing(key: &KeyEvent) -> Option<Edit> {
    EDITING.iter().find(|binding| binding.keys.contains(&pressed(key))).map(|binding| binding.edit)
}

/// Shift is in the letter already.
fn pressed(key: &KeyEvent) -> (KeyModifiers, KeyCode) {
    (key.modifiers - KeyModifiers::SHIFT, key.code)
}

fn holds(binding: &Binding, place: Place, searching: bool) -> bool {
    let browsing = matches!(place, Place::Messages | Place::List);
    match binding.when {
        Always => place != Place::Overlay || binding.action == Action::Quit,
        Writing => place == Place::Input,
        Browsing => browsing,
        Searching => browsing && searching,
        Message => place == Place::Messages,
        About => place == Place::About,
    }
}

/// The keys that the last line shows where somebody is now: the nearest first.
pub fn hints(place: Place) -> impl Iterator<Item = &'static Binding> {
    let near = TABLE.iter().filter(move |it| it.hinted && it.when != Always && holds(it, place, false));
    let far = TABLE.iter().filter(move |it| it.hinted && it.when == Always && place != Place::About);
    near.chain(far)
}

/// The keys as they are called.
pub fn names(keys: &[(KeyModifiers, KeyCode)]) -> String {
    keys.iter().map(|&(modifiers, code)| name(modifiers, code)).collect::<Vec<_>>().join("  ")
}

impl Binding {
    /// Its first key, for the last line.
    pub fn short_name(&self) -> String {
        self.keys.first().map(|&(modifiers, code)| name(modifiers, code)).unwrap_or_default()
    }
}

fn name(modifiers: KeyModifiers, code: KeyCode) -> String {
    let key = match code {
        Char(' ') => "Space".to_owned(),
        Char(letter) if modifiers == NONE => letter.to_string(),
        Char(letter) => letter.to_uppercase().to_string(),
        F(number) => format!("F{number}"),
        Up => "↑".to_owned(),
        Down => "↓".to_owned(),
        Left => "←".to_owned(),
        Right => "→".to_owned(),
        PageUp => "PgUp".to_owned(),
        PageDown => "PgDn".to_owned(),
        Delete => "Del".to_owned(),
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

    const PLACES: [Place; 5] = [Place::Input, Place::Messages, Place::List, Place::About, Place::Overlay];

    fn does(letter: char, modifiers: KeyModifiers, place: Place) -> Option<Action> {
        action(&KeyEvent::new(Char(letter), modifiers), place, false)
    }

    #[test]
    fn letters_are_text_while_one_types() {
        assert_eq!(does('n', NONE, Place::Input), None);
        assert_eq!(does('n', NONE, Place::List), Some(Action::NextUnread));
        assert_eq!(does('?', NONE, Place::Input), None);
        assert_eq!(does('n', CTRL, Place::Input), Some(Action::NextUnread));
        assert_eq!(does('c', CTRL, Place::Overlay), Some(Action::Quit));
        assert_eq!(does('p', CTRL, Place::Overlay), None);
        let text = TABLE.iter().filter(|it| matches!(it.when, Always | Writing));
        let letters = text.flat_map(|it| it.keys).filter(|key| key.0 == NONE && matches!(key.1, Char(_)));
        assert_eq!(letters.count(), 0);
    }

    #[test]
    fn n_means_what_is_searched_for_while_something_is() {
        let n = KeyEvent::new(Char('n'), NONE);
        assert_eq!(action(&n, Place::Messages, true), Some(Action::NextHit));
        assert_eq!(action(&n, Place::Messages, false), Some(Action::NextUnread));
        let shifted = KeyEvent::new(Char('N'), KeyModifiers::SHIFT);
        assert_eq!(action(&shifted, Place::Messages, true), Some(Action::PreviousHit));
    }

    #[test]
    fn no_key_means_two_things_at_one_moment() {
        for place in PLACES {
            for binding in TABLE {
                for key in binding.keys {
                    let also = TABLE.iter().filter(|it| {
                        it.keys.contains(key) && it.when == binding.when && holds(it, place, true)
                    });
                    assert!(also.count() <= 1, "{}", names(binding.keys));
                }
            }
        }
        for binding in EDITING {
            for key in binding.keys {
                let also = EDITING.iter().filter(|it| it.keys.contains(key)).count();
                let taken =
                    TABLE.iter().any(|it| it.keys.contains(key) && matches!(it.when, Always | Writing));
                assert!(also == 1 && !taken, "{}", names(binding.keys));
            }
        }
    }
}
