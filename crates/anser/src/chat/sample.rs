//! A small world for the tests of state and view, and what its keys and frames are.

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{ConversationKind, Role};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use crate::chat::snapshot::{
    Author, Body, Chat, Delivery, Item, Known, Preview, Quote, Row, Said, Snapshot, There,
};
use crate::chat::state::{Effect, MemberRow, Outcome, State};
use crate::chat::text::width;
use crate::chat::theme::{Theme, ThemeName};
use crate::chat::view::draw;
use crate::chat::words::Words;

pub const OWN: AccountId = AccountId(1);
pub const PEER: AccountId = AccountId(2);
pub const GROUP: ConversationId = ConversationId([3; 16]);
/// 2025-03-01 14:02 UTC, in milliseconds.
pub const AT_MS: u64 = 1_740_837_720_000;
pub const MINUTE_MS: u64 = 60_000;

/// The direct conversation.
pub fn direct() -> ConversationId {
    ConversationId::direct(OWN, PEER)
}

pub fn state(words: &'static Words, size: (u16, u16)) -> State {
    let theme = Theme::named(ThemeName::Dark, |_| None);
    let mut state = State::new(words, theme, TimeZone::UTC, size, AT_MS + 30 * MINUTE_MS);
    state.apply(snapshot(None));
    state
}

pub fn said(text: &str) -> Said {
    Said { text: text.to_owned(), ..Said::default() }
}

fn row(number: u64, title: &str, handle: &str, text: &str, unread: u64) -> Row {
    let group = handle.is_empty();
    Row {
        cid: if number == 2 { direct() } else { ConversationId([number as u8; 16]) },
        kind: if group { ConversationKind::Group } else { ConversationKind::Direct },
        peer: (!group).then_some(AccountId(number)),
        title: title.to_owned(),
        handle: handle.to_owned(),
        at_ms: AT_MS - (number - 2) * 9 * 60 * MINUTE_MS,
        unread,
        mentioned: group && unread > 0,
        members: if group { 5 } else { 0 },
        marked_unread: false,
        history_visible: true,
        role: Role::Member,
        preview: Preview { said: said(text), ..Preview::default() },
    }
}

pub fn snapshot(open: Option<Chat>) -> Snapshot {
    let mut own_space = row(11, "", "lin", "清单：牛奶、鸡蛋", 0);
    own_space.kind = ConversationKind::Self_;
    own_space.at_ms = AT_MS - 400 * 24 * 60 * MINUTE_MS;
    let rows = vec![
        row(2, "周屿", "zhou_yu", "看下最后一屏的间距，12 还是 8？", 2),
        row(3, "鸿雁 · 设计组的朋友们和同事们", "", "好的 👍 deploy is done", 1_200),
        row(4, "Maya Hernández", "maya", "Sounds good — see you Tuesday", 0),
        row(9, "家人 👨‍👩‍👧 ❤️", "", "妈妈: 月底前转给您 🇨🇳", 0),
        own_space,
    ];
    let known = |account: u64, name: &str, handle: &str| Known {
        account: AccountId(account),
        name: name.to_owned(),
        handle: handle.to_owned(),
    };
    let people = vec![known(2, "周屿", "zhou_yu"), known(21, "陈默", "chen_mo")];
    let there = [(PEER, There::Now), (AccountId(4), There::Until(AT_MS - 40 * MINUTE_MS))].into();
    Snapshot { own: OWN, attached: true, rows, open, people, there }
}

pub fn item(seq: u64, author: AccountId, minutes: u64, text: &str, delivery: Delivery) -> Item {
    let name = if author == OWN { "林晓" } else { "周屿" }.to_owned();
    Item {
        seq,
        client_id: None,
        author,
        name,
        at_ms: AT_MS + minutes * MINUTE_MS,
        body: Body::Said(said(text)),
        delivery,
    }
}

pub fn chat() -> Chat {
    let mut began = item(1, PEER, 0, "", Delivery::Theirs);
    began.body = Body::Began;
    began.at_ms -= 24 * 60 * MINUTE_MS;
    let long =
        "会话列表的行高我改成 64 了，紧凑模式 52。The compact one is for people who keep fifty open 🙂";
    let mut reply = item(4, OWN, 3, "好看 👍🎉 9.8:1", Delivery::Read);
    if let Body::Said(said) = &mut reply.body {
        said.reply = Some(Quote {
            seq: 3,
            said: Some((Author::Named("周屿".to_owned()), Some(Box::new(self::said("深色下呢？"))))),
        });
    }
    let mut to_me = item(6, PEER, 18, "@林晓 看下最后一屏的间距", Delivery::Theirs);
    if let Body::Said(said) = &mut to_me.body {
        (said.names, said.to_me) = (vec!["林晓".to_owned()], true);
    }
    let items = vec![
        began,
        item(2, PEER, 0, long, Delivery::Theirs),
        item(3, PEER, 1, "深色下呢？", Delivery::Theirs),
        reply,
        item(5, OWN, 4, "明天合并", Delivery::Sent),
        to_me,
        item(7, PEER, 18, "12 还是 8？", Delivery::Theirs),
        item(0, OWN, 19, "组间 12，组内 2", Delivery::Sending),
    ];
    Chat { mark: 5, unread: 2, lowest: 1, more: false, members_seq: 1, items }
}

/// The direct conversation is open, and one writes.
pub fn opened(words: &'static Words, size: (u16, u16)) -> State {
    let mut state = state(words, size);
    hold(&mut state, 'p');
    type_in(&mut state, "zhou");
    press(&mut state, KeyCode::Enter);
    state.apply(snapshot(Some(chat())));
    state
}

/// The group is open, its members are known, and one writes.
pub fn in_group(words: &'static Words, size: (u16, u16)) -> State {
    let mut state = state(words, size);
    hold(&mut state, 'p');
    type_in(&mut state, "设计组");
    press(&mut state, KeyCode::Enter);
    state.apply(snapshot(Some(chat())));
    let member = |account: u64, name: &str, handle: &str, role| MemberRow {
        account: AccountId(account),
        name: name.to_owned(),
        handle: handle.to_owned(),
        role,
    };
    let members = vec![
        member(1, "林晓", "lin", Role::Admin),
        member(2, "周屿", "zhou_yu", Role::Owner),
        member(4, "Maya Hernández", "maya", Role::Member),
        member(5, "陈默", "chen_mo", Role::Member),
        member(6, "Max 👨‍👩‍👧", "max", Role::Member),
    ];
    state.finish(Outcome::Members(GROUP, members));
    state
}

pub fn press(state: &mut State, code: KeyCode) -> Vec<Effect> {
    state.key(&KeyEvent::new(code, KeyModifiers::NONE))
}

pub fn hold(state: &mut State, letter: char) -> Vec<Effect> {
    state.key(&KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
}

pub fn type_in(state: &mut State, text: &str) {
    for letter in text.chars() {
        press(state, KeyCode::Char(letter));
    }
}

/// What is painted, and where the cursor stands if it is shown.
pub fn painted(state: &State) -> (Buffer, Option<(u16, u16)>) {
    let (columns, rows) = state.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let mut shown = false;
    terminal
        .draw(|frame| {
            draw(frame, state);
            shown = true;
        })
        .unwrap();
    let backend = terminal.backend();
    let cursor = backend.cursor_visible().then(|| {
        let at = backend.cursor_position();
        (at.x, at.y)
    });
    (backend.buffer().clone(), cursor)
}

/// The frame as text. Every row takes as many columns as the terminal has.
pub fn frame(state: &State) -> String {
    let (columns, rows) = state.size;
    let (buffer, _) = painted(state);
    let mut text = String::new();
    for y in 0..rows {
        let mut x = 0;
        let mut row = String::new();
        while x < columns {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += width(symbol).max(1) as u16;
        }
        assert_eq!(x, columns, "row {y} is {x} columns wide: {row}");
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
