//! Frames, compared with files; `ANSER_WRITE_FRAMES=1` writes them anew, to be looked at. And what holds
//! of every frame, at every size.

use crossterm::event::KeyCode;

use crate::chat::kinds::Thing;
use crate::chat::sample::{
    AT_MS, OWN, PEER, chat, frame, hold, in_group, item, opened, painted, press, said, snapshot, state,
    type_in,
};
use crate::chat::snapshot::{Body, Chat, Delivery, Snapshot};
use crate::chat::state::State;
use crate::chat::text::{tamed, width};
use crate::chat::view::{Layout, key_table};
use crate::chat::words::{EN, ZH};

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
fn the_chat_at_80_by_24() {
    let mut state = opened(&ZH, (80, 24));
    type_in(&mut state, "组间 12，组内 2 🙂");
    check("chat_zh", &state);
    check("chat_en", &opened(&EN, (80, 24)));
    check("nothing_open", &self::state(&EN, (80, 24)));
}

#[test]
fn a_group_in_a_large_terminal_has_its_members_beside() {
    check("large_zh", &in_group(&ZH, (160, 48)));
    check("large_en", &in_group(&EN, (160, 48)));
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
    type_in(&mut state, "m");
    check("switcher", &state);
    press(&mut state, KeyCode::Esc);
    press(&mut state, KeyCode::F(1));
    check("help", &state);
    press(&mut state, KeyCode::Esc);
    hold(&mut state, 'g');
    type_in(&mut state, "读书会");
    check("new_group", &state);
    let mut group = in_group(&EN, (80, 24));
    hold(&mut group, 'o');
    press(&mut group, KeyCode::Down);
    press(&mut group, KeyCode::Down);
    check("about", &group);
    press(&mut group, KeyCode::Char('x'));
    check("question", &group);
}

#[test]
fn a_chosen_message_a_reply_and_names() {
    let mut state = in_group(&ZH, (80, 24));
    press(&mut state, KeyCode::Up);
    press(&mut state, KeyCode::Up);
    check("chosen", &state);
    press(&mut state, KeyCode::Char('r'));
    type_in(&mut state, "@ma");
    check("reply_and_names", &state);
    press(&mut state, KeyCode::Esc);
    press(&mut state, KeyCode::Esc);
    hold(&mut state, 'f');
    type_in(&mut state, "12");
    check("search", &state);
}

#[test]
fn what_is_written_has_several_rows() {
    let mut state = opened(&EN, (80, 24));
    state.paste("一、会话列表\n二、消息面板\nthree: what is typed, which goes on and on until it wraps 🙂");
    check("several_rows", &state);
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
fn every_size_is_painted_and_the_cursor_is_where_one_writes() {
    let strange = "👨‍👩‍👧🇨🇳❤️ e\u{301} ｱｲｳ 한글 العربية \u{202e}x\u{1b}[31m\u{200b} 👍🏽👩‍🚀 — “x”…";
    for columns in (1..40).chain([59, 60, 61, 80, 99, 119, 120, 121, 160, 240]) {
        for rows in [1, 2, 3, 4, 5, 6, 7, 9, 12, 24, 48] {
            let mut state = in_group(&ZH, (columns, rows));
            let mut held = chat();
            held.items.push(item(9, PEER, 20, &tamed(strange), Delivery::Theirs));
            state.apply(snapshot(Some(held)));
            state.paste(strange);
            frame(&state);
            let layout = Layout::of(&state);
            let (_, cursor) = painted(&state);
            assert_eq!(cursor.is_some(), layout.input.height > 0, "{columns}×{rows}");
            if let Some((x, y)) = cursor {
                assert!(x < columns && (layout.input.y..layout.input.bottom()).contains(&y), "{x}, {y}");
            }
            for key in
                [KeyCode::F(1), KeyCode::Esc, KeyCode::Up, KeyCode::Up, KeyCode::Char('r'), KeyCode::PageUp]
            {
                press(&mut state, key);
                frame(&state);
            }
            for letter in ['p', 'o', 'g', 'f'] {
                hold(&mut state, letter);
                frame(&state);
                press(&mut state, KeyCode::Esc);
            }
        }
    }
}

#[test]
fn no_line_is_wider_than_its_pane() {
    let held = |text: &str| {
        let mut held = chat();
        held.items.push(item(9, OWN, 20, text, Delivery::Read));
        held
    };
    for text in ["👨‍👩‍👧🇨🇳❤️".repeat(30), "混排 mixed 文字 text，。！".repeat(9), "x".repeat(400)]
    {
        let mut state = opened(&EN, (80, 24));
        state.apply(snapshot(Some(held(&text))));
        for columns in 8..120 {
            for line in state.message_lines(columns).iter() {
                let wide: usize = line.line.spans.iter().map(|span| width(&span.content)).sum();
                assert!(wide <= columns, "{wide} > {columns}: {:?}", line.line);
            }
        }
    }
}

#[test]
fn the_mark_stands_at_the_end_of_the_message() {
    let mut long = chat();
    long.items =
        vec![item(2, OWN, 0, "👨‍👩‍👧 家人 and 🇨🇳", Delivery::Read), item(3, OWN, 1, "plain", Delivery::Read)];
    let mut state = opened(&EN, (80, 24));
    state.apply(snapshot(Some(long)));
    let ends: Vec<usize> = frame(&state).lines().filter(|line| line.ends_with("✓✓")).map(width).collect();
    assert_eq!(ends.len(), 2);
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn old_and_odd_things_are_said_calmly() {
    let mut odd = said("review-3.png");
    odd.thing = Some(Thing::Other("hologram".to_owned()));
    (odd.forwarded, odd.edits) = (true, 2);
    let mut old = chat();
    for (index, body) in [
        Body::Recalled,
        Body::Said(odd),
        Body::Left("陈默".to_owned(), Some("周屿".to_owned())),
        Body::Renamed("新名字".to_owned()),
        Body::Other,
    ]
    .into_iter()
    .enumerate()
    {
        let mut it = item(20 + index as u64, PEER, 0, "", Delivery::Theirs);
        it.at_ms = AT_MS - 500 * 24 * 3_600_000;
        it.body = body;
        old.items.insert(index, it);
    }
    old.items.truncate(6);
    let mut state = opened(&ZH, (80, 24));
    state.apply(snapshot(Some(Chat { unread: 0, mark: 99, ..old })));
    check("odd_things", &state);
}

#[test]
fn the_docs_have_the_key_table() {
    const BEGINS: &str = "docs writes them -->\n";
    const ENDS: &str = "<!-- end of keys -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/chat.md");
    let text = std::fs::read_to_string(path).unwrap();
    let from = text.find(BEGINS).expect("where the keys begin") + BEGINS.len();
    let to = text.find(ENDS).expect("where the keys end");
    let (english, chinese) = (key_table(&EN), key_table(&ZH));
    let mut table = String::new();
    for ((heading, lines), (heading_zh, lines_zh)) in english.iter().zip(&chinese) {
        table += &format!("\n**{heading}** · {heading_zh}\n\n| keys | what | 说明 |\n|---|---|---|\n");
        for ((keys, what), (_, what_zh)) in lines.iter().zip(lines_zh) {
            let keys: Vec<String> = keys.split("  ").map(|key| format!("`{key}`")).collect();
            table += &format!("| {} | {what} | {what_zh} |\n", keys.join(" "));
        }
    }
    table.push('\n');
    if std::env::var_os("ANSER_WRITE").is_some() {
        std::fs::write(path, format!("{}{table}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    assert!(text[from..to] == table, "docs/chat.md has other keys: ANSER_WRITE=1 writes them");
}
