//! Frames at 80×24, compared with files; `ANSER_WRITE_FRAMES=1` writes them anew, to be looked at.

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::Target;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::draw;
use crate::chat::snapshot::{Body, Chat, Delivery, Item, Preview, Row, Snapshot};
use crate::chat::state::{Effect, Outcome, State};
use crate::chat::text::width;
use crate::chat::words::{EN, Words, ZH};

const OWN: AccountId = AccountId(1);
const PEER: AccountId = AccountId(2);
/// 2025-03-01 14:02 UTC, in milliseconds.
const AT_MS: u64 = 1_740_837_720_000;
const MINUTE_MS: u64 = 60_000;

fn state(words: &'static Words, size: (u16, u16)) -> State {
    let mut state = State::new(words, TimeZone::UTC, size, AT_MS + 30 * MINUTE_MS);
    state.apply(snapshot(None));
    state
}

fn row(number: u64, title: &str, handle: &str, text: &str, unread: u64) -> Row {
    Row {
        cid: if number == 2 { ConversationId::direct(OWN, PEER) } else { ConversationId([number as u8; 16]) },
        peer: (!handle.is_empty()).then_some(AccountId(number)),
        title: title.to_owned(),
        handle: handle.to_owned(),
        at_ms: AT_MS - (number - 2) * 9 * 60 * MINUTE_MS,
        unread,
        members: if handle.is_empty() { 128 } else { 0 },
        is_member: true,
        preview: Preview { text: text.to_owned(), ..Preview::default() },
    }
}

fn snapshot(open: Option<Chat>) -> Snapshot {
    let rows = vec![
        row(2, "周屿", "zhou_yu", "看下最后一屏的间距，12 还是 8？", 2),
        row(3, "鸿雁 · 设计组的朋友们和同事们", "", "好的 👍 deploy is done", 1_200),
        row(4, "Maya Hernández", "maya", "Sounds good — see you Tuesday", 0),
        row(9, "家人 👨‍👩‍👧", "", "妈妈: 月底前转给您 ❤", 0),
    ];
    Snapshot { own: OWN, attached: true, rows, open }
}

fn item(seq: u64, author: AccountId, minutes: u64, text: &str, delivery: Delivery) -> Item {
    let name = if author == OWN { "林晓" } else { "周屿" }.to_owned();
    Item {
        seq,
        author,
        name,
        at_ms: AT_MS + minutes * MINUTE_MS,
        body: Body::Text(text.to_owned()),
        delivery,
    }
}

fn chat() -> Chat {
    let mut began = item(1, PEER, 0, "", Delivery::Theirs);
    began.body = Body::Began;
    began.at_ms -= 24 * 60 * MINUTE_MS;
    let long =
        "会话列表的行高我改成 64 了，紧凑模式 52。The compact one is for people who keep fifty open 🙂";
    let items = vec![
        began,
        item(2, PEER, 0, long, Delivery::Theirs),
        item(3, PEER, 1, "深色下呢？", Delivery::Theirs),
        item(4, OWN, 3, "好看 👍🎉 9.8:1", Delivery::Read),
        item(5, OWN, 4, "明天合并", Delivery::Sent),
        item(6, PEER, 18, "@林晓 看下最后一屏的间距", Delivery::Theirs),
        item(7, PEER, 18, "12 还是 8？", Delivery::Theirs),
        item(0, OWN, 19, "组间 12，组内 2", Delivery::Sending),
    ];
    Chat { mark: 5, unread: 2, lowest: 1, more: false, items }
}

fn opened(words: &'static Words, size: (u16, u16)) -> State {
    let mut state = state(words, size);
    press(&mut state, KeyCode::Char('n'));
    state.apply(snapshot(Some(chat())));
    state
}

fn press(state: &mut State, code: KeyCode) -> Vec<Effect> {
    state.key(&KeyEvent::new(code, KeyModifiers::NONE))
}

fn hold(state: &mut State, letter: char) -> Vec<Effect> {
    state.key(&KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL))
}

fn type_in(state: &mut State, text: &str) {
    for letter in text.chars() {
        press(state, KeyCode::Char(letter));
    }
}

/// The frame as text. Every row takes as many columns as the terminal has.
fn frame(state: &State) -> String {
    let (columns, rows) = state.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    let buffer = terminal.backend().buffer();
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

fn check(name: &str, state: &State) {
    let path = format!("{}/src/chat/view/frames/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let shown = frame(state);
    if std::env::var_os("ANSER_WRITE_FRAMES").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(shown == expected, "{name} is not as in {path}; it is\n{shown}");
}

#[test]
fn two_panes_in_both_languages() {
    let mut state = opened(&ZH, (80, 24));
    type_in(&mut state, "组间 12，组内 2 🙂");
    check("chat_zh", &state);
    check("chat_en", &opened(&EN, (80, 24)));
    check("nothing_open", &self::state(&EN, (80, 24)));
}

#[test]
fn a_narrow_terminal_has_one_pane() {
    let mut state = opened(&ZH, (40, 16));
    check("narrow_chat", &state);
    press(&mut state, KeyCode::Esc);
    check("narrow_list", &state);
}

#[test]
fn what_lies_over_the_chat() {
    let mut state = opened(&ZH, (80, 24));
    hold(&mut state, 'p');
    type_in(&mut state, "ma");
    check("switcher", &state);
    press(&mut state, KeyCode::Esc);
    press(&mut state, KeyCode::F(1));
    check("help", &state);
    press(&mut state, KeyCode::Esc);
    hold(&mut state, 'g');
    type_in(&mut state, "读书会");
    check("new_group", &state);
}

#[test]
fn an_interruption_shows_after_two_seconds() {
    let mut state = opened(&ZH, (80, 24));
    let offline = Snapshot { attached: false, ..snapshot(Some(chat())) };
    state.apply(offline);
    assert!(!state.is_offline());
    let now_ms = state.now_ms;
    state.tick(now_ms + 2_000);
    assert!(state.is_offline());
    check("offline", &state);
    state.apply(snapshot(Some(chat())));
    assert!(!state.is_offline());
}

#[test]
fn opening_moves_the_mark_once_and_sending_goes_to_the_peer() {
    let mut state = state(&EN, (80, 24));
    assert_eq!(press(&mut state, KeyCode::Down), [Effect::Look]);
    let cid = ConversationId::direct(OWN, PEER);
    assert_eq!(state.apply(snapshot(Some(chat()))), [Effect::Read { cid, seq: 7 }]);
    assert_eq!(state.apply(snapshot(Some(chat()))), []);
    type_in(&mut state, "n?");
    let text = "n?".to_owned();
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Send { to: Target::peer(PEER), text }]);
    assert_eq!(press(&mut state, KeyCode::Enter), [], "nothing is sent twice");
}

#[test]
fn a_draft_stays_with_its_conversation() {
    let mut state = opened(&EN, (80, 24));
    type_in(&mut state, "later");
    press(&mut state, KeyCode::Down);
    assert_eq!(state.input.text(), "");
    press(&mut state, KeyCode::Up);
    assert_eq!(state.input.text(), "later");
}

#[test]
fn history_is_fetched_at_the_top_and_the_view_stays() {
    let mut state = opened(&EN, (80, 24));
    let items = (100..200).map(|seq| item(seq, PEER, 0, &format!("line {seq}"), Delivery::Theirs)).collect();
    let long = Chat { mark: 199, unread: 0, lowest: 100, more: true, items };
    assert_eq!(state.apply(snapshot(Some(long.clone()))), []);
    let pages = (0..10).flat_map(|_| press(&mut state, KeyCode::PageUp)).collect::<Vec<_>>();
    let cid = ConversationId::direct(OWN, PEER);
    assert_eq!(pages, [Effect::Page { cid, before_seq: 100 }]);
    let before = frame(&state);
    let mut longer = long;
    longer.items.push(item(200, PEER, 0, "line 200", Delivery::Theirs));
    assert_eq!(state.apply(snapshot(Some(longer))), [], "what is not seen is not read");
    assert_eq!(frame(&state), before);
}

#[test]
fn an_exact_handle_is_looked_up_and_opened() {
    let mut state = state(&EN, (80, 24));
    hold(&mut state, 'p');
    type_in(&mut state, "@bob");
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Find("bob".to_owned())]);
    assert_eq!(state.finish(Outcome::Found("bob".to_owned(), None)), []);
    assert!(state.notice.as_ref().is_some_and(|notice| notice.contains("bob")));
    hold(&mut state, 'p');
    type_in(&mut state, "zhou_yu");
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Look]);
    assert_eq!(state.open_cid(), Some(ConversationId::direct(OWN, PEER)));
}
