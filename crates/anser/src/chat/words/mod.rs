//! Every text that the terminal client shows, in both languages.

mod en;
mod zh;

pub use en::EN;
pub use zh::ZH;

/// The texts of one language.
pub struct Words {
    pub product: &'static str,
    pub search_hint: &'static str,
    pub you: &'static str,
    pub everybody: &'static str,
    pub own_space: &'static str,
    pub members: fn(u32) -> String,
    pub online: &'static str,
    pub count_online: fn(usize) -> String,
    pub last_seen: fn(&str) -> String,
    pub no_conversations: &'static str,
    pub choose: &'static str,
    pub no_messages: &'static str,
    pub loading: &'static str,
    pub new_messages: fn(u64) -> String,
    pub today: &'static str,
    pub yesterday: &'static str,
    pub offline: &'static str,
    pub not_member: &'static str,
    pub failed: fn(&str) -> String,
    pub recalled: &'static str,
    pub draft: &'static str,
    pub named_you: &'static str,
    pub find: fn(&str) -> String,
    pub finding: fn(&str) -> String,
    pub not_found: fn(&str) -> String,
    pub unreachable: &'static str,
    pub too_many: &'static str,
    pub not_saved: fn(&str) -> String,
    pub switcher: &'static str,
    pub forward_to: &'static str,
    pub forwarded: &'static str,
    pub switcher_hint: &'static str,
    pub new_group: &'static str,
    pub group_title: &'static str,
    pub group_handles: &'static str,
    pub group_or_channel: [&'static str; 2],
    pub group_kind: &'static str,
    pub form_hint: &'static str,
    pub help: &'static str,
    pub help_hint: &'static str,
    pub somebody: &'static str,
    pub more_below: fn(u64) -> String,
    pub replying: fn(&str, &str) -> String,
    pub not_loaded: &'static str,
    pub search_label: &'static str,
    pub hits: fn(usize, usize) -> String,
    pub no_hits: &'static str,
    pub copied: &'static str,
    pub roles: [&'static str; 2],
    pub about_direct: &'static str,
    pub add_members: &'static str,
    pub handles: &'static str,
    pub rename: &'static str,
    pub prompt_hint: &'static str,
    pub sure_recall: fn(&str) -> String,
    pub sure_remove: fn(&str) -> String,
    pub sure_owner: fn(&str) -> String,
    pub sure_hide: fn(usize) -> String,
    pub sure_clear: fn(&str) -> String,
    pub sure_dissolve: fn(&str) -> String,
    pub sure_leave: fn(&str) -> String,
    pub yes_no: &'static str,
    pub messages: fn(u64) -> String,
    pub edited: &'static str,
    pub from_elsewhere: &'static str,
    pub editing: fn(&str) -> String,
    pub versions: &'static str,
    pub said_since: fn(&str) -> String,
    pub said_now: &'static str,
    pub no_details: &'static str,
    pub not_forwarded: &'static str,
    pub read_by: fn(usize, usize) -> String,
    pub read: &'static str,
    pub unread_yet: &'static str,
    pub marked_unread: &'static str,
    pub newcomers: [&'static str; 2],
    pub read_only: &'static str,
    pub typing: fn(&[&str]) -> String,
    pub theme_is: fn(&str) -> String,
    pub kinds: Kinds,
    pub notices: Notices,
    pub sign_in: SignIn,
    pub keys: Keys,
}

/// What messages are that are no text.
pub struct Kinds {
    pub image: &'static str,
    pub file: &'static str,
    pub voice: &'static str,
    pub video: &'static str,
    pub location: &'static str,
    pub card: &'static str,
    pub transcript: &'static str,
}

/// What happened in a conversation beside messages.
pub struct Notices {
    pub created: fn(&str) -> String,
    pub began: &'static str,
    pub recalled: fn(&str) -> String,
    pub withheld: &'static str,
    pub newcomers: fn(&str, bool) -> String,
    pub avatar: fn(&str) -> String,
    pub dissolved: fn(&str) -> String,
    pub added: fn(&str, &str) -> String,
    pub removed: fn(&str, &str) -> String,
    pub left: fn(&str) -> String,
    pub left_to: fn(&str, &str) -> String,
    pub renamed: fn(&str, &str) -> String,
    pub role: fn(&str, &str) -> String,
    pub roles: [&'static str; 3],
    pub other: &'static str,
}

/// The form before there is a session.
pub struct SignIn {
    pub sign_in: &'static str,
    pub register: &'static str,
    pub server: &'static str,
    pub handle: &'static str,
    pub password: &'static str,
    pub name: &'static str,
    pub invitation: &'static str,
    pub to_register: &'static str,
    pub to_sign_in: &'static str,
    pub hint: &'static str,
    pub busy: &'static str,
    pub ended: fn(&str) -> String,
    pub fill: fn(&str) -> String,
}

/// What each key does: a few words for the last line and the help.
pub struct Keys {
    pub send: &'static str,
    pub newline: &'static str,
    pub complete: &'static str,
    pub to_messages: &'static str,
    pub row_down: &'static str,
    pub leave_input: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub first: &'static str,
    pub last: &'static str,
    pub enter_input: &'static str,
    pub to_list: &'static str,
    pub next_hit: &'static str,
    pub previous_hit: &'static str,
    pub reply: &'static str,
    pub recall: &'static str,
    pub forward: &'static str,
    pub copy: &'static str,
    pub quoted: &'static str,
    pub edit: &'static str,
    pub details: &'static str,
    pub mark: &'static str,
    pub switch: &'static str,
    pub next_unread: &'static str,
    pub search: &'static str,
    pub previous_chat: &'static str,
    pub next_chat: &'static str,
    pub older: &'static str,
    pub newer: &'static str,
    pub bottom: &'static str,
    pub about: &'static str,
    pub new_group: &'static str,
    pub retry: &'static str,
    pub message: &'static str,
    pub add_members: &'static str,
    pub remove_member: &'static str,
    pub make_admin: &'static str,
    pub make_owner: &'static str,
    pub rename: &'static str,
    pub leave: &'static str,
    pub theme: &'static str,
    pub redraw: &'static str,
    pub help: &'static str,
    pub quit: &'static str,
    pub left: &'static str,
    pub right: &'static str,
    pub word_left: &'static str,
    pub word_right: &'static str,
    pub start: &'static str,
    pub end: &'static str,
    pub remove_before: &'static str,
    pub remove_after: &'static str,
    pub remove_word: &'static str,
    pub remove_to_start: &'static str,
    pub remove_to_end: &'static str,
    pub mark_unread: &'static str,
    pub hide: &'static str,
    pub clear: &'static str,
    pub read_by: &'static str,
    pub dissolve: &'static str,
    pub newcomers: &'static str,
    pub when_always: &'static str,
    pub when_writing: &'static str,
    pub when_browsing: &'static str,
    pub when_message: &'static str,
    pub when_about: &'static str,
    pub when_editing: &'static str,
}

/// The language that the environment names: Chinese if it says so, else English.
pub fn from_environment() -> &'static Words {
    let named = ["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| std::env::var(name).unwrap_or_default());
    chosen(named.iter().find(|value| !value.is_empty()).map_or("", String::as_str))
}

fn chosen(locale: &str) -> &'static Words {
    if locale.to_ascii_lowercase().starts_with("zh") { &ZH } else { &EN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses() {
        assert_eq!(chosen("zh_CN.UTF-8").product, "鸿雁");
        assert_eq!(chosen("de_DE.UTF-8").product, "Anser");
        assert_eq!(chosen("").product, "Anser");
    }
}
