//! What keys, the mouse and the session come to.

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{ConversationKind, MemberMark, Message, Role, Target};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{Effect, Focus, Outcome, State};
use crate::chat::sample::{
    AT_MS, GROUP, OWN, PEER, chat, direct, frame, hold, in_group, item, opened, press, snapshot, state,
    type_in,
};
use crate::chat::snapshot::{Chat, Delivery, Key, There};
use crate::chat::view::Layout;
use crate::chat::words::{EN, ZH};

const SIZE: (u16, u16) = (80, 24);

fn click(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    let kind = MouseEventKind::Down(MouseButton::Left);
    state.mouse(&MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
}

fn wheel(state: &mut State, kind: MouseEventKind, column: u16) -> Vec<Effect> {
    state.mouse(&MouseEvent { kind, column, row: 4, modifiers: KeyModifiers::NONE })
}

fn long(from: u64, to: u64) -> Chat {
    let items = (from..to).map(|seq| item(seq, PEER, 0, &format!("line {seq}"), Delivery::Theirs)).collect();
    Chat { mark: to - 1, unread: 0, lowest: from, more: from > 1, members_seq: 0, items }
}

#[test]
fn what_is_passed_by_in_the_list_is_not_read() {
    let mut state = state(&EN, SIZE);
    assert_eq!(press(&mut state, KeyCode::Down), [Effect::Look]);
    assert_eq!(state.apply(snapshot(Some(chat()))), []);
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Read { cid: direct(), seq: 7 }]);
    assert_eq!(state.apply(snapshot(Some(chat()))), [], "asked once");
}

#[test]
fn nothing_is_read_while_nobody_looks() {
    let mut state = state(&EN, SIZE);
    state.look_away(true);
    hold(&mut state, 'n');
    hold(&mut state, 'p');
    type_in(&mut state, "zhou");
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.apply(snapshot(Some(chat()))), []);
    assert_eq!(state.look_away(false), [Effect::Read { cid: direct(), seq: 7 }]);
}

#[test]
fn sending_goes_to_the_peer_once() {
    let mut state = opened(&EN, SIZE);
    type_in(&mut state, "n?");
    let message = Message::text("n?");
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Send { to: Target::peer(PEER), message }]);
    assert_eq!(press(&mut state, KeyCode::Enter), [], "nothing is sent twice");
}

#[test]
fn a_draft_stays_with_its_conversation() {
    let mut state = opened(&EN, SIZE);
    press(&mut state, KeyCode::Up);
    press(&mut state, KeyCode::Up);
    press(&mut state, KeyCode::Char('r'));
    type_in(&mut state, "later");
    let alt = |code| KeyEvent::new(code, KeyModifiers::ALT);
    state.key(&alt(KeyCode::Down));
    assert_eq!((state.input.text(), state.draft(direct())), ("", Some("later")));
    assert!(frame(&state).contains("[draft] later"));
    state.key(&alt(KeyCode::Up));
    assert_eq!(state.input.text(), "later");
    assert_eq!(state.open.as_ref().and_then(|open| open.reply), Some(7), "and what it replies to");
}

#[test]
fn a_message_is_chosen_and_replied_to() {
    let mut state = opened(&EN, SIZE);
    press(&mut state, KeyCode::Up);
    assert_eq!(state.chosen().map(|item| item.seq), Some(0), "the newest, which is under way");
    press(&mut state, KeyCode::Char('r'));
    assert_eq!(state.focus, Focus::Messages, "what is not sent cannot be replied to");
    press(&mut state, KeyCode::Up);
    assert_eq!(state.chosen().map(|item| item.seq), Some(7));
    press(&mut state, KeyCode::Char('r'));
    type_in(&mut state, "8");
    let message = Message { reply_to: 7, ..Message::text("8") };
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Send { to: Target::peer(PEER), message }]);
    assert_eq!(state.open.as_ref().and_then(|open| open.reply), None);
}

#[test]
fn escape_takes_the_reply_back_and_then_leaves() {
    let mut state = opened(&EN, SIZE);
    press(&mut state, KeyCode::Up);
    press(&mut state, KeyCode::Up);
    press(&mut state, KeyCode::Char('r'));
    assert!(frame(&state).contains("Reply to 周屿: 12 还是 8？"));
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.focus, state.open.as_ref().and_then(|open| open.reply)), (Focus::Input, None));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.focus, Focus::List);
}

#[test]
fn one_goes_to_what_a_message_replies_to() {
    let mut state = opened(&EN, SIZE);
    state.choose_key(Key::Seq(4));
    press(&mut state, KeyCode::Char('o'));
    assert_eq!(state.chosen().map(|item| item.seq), Some(3));
}

#[test]
fn ones_own_message_is_recalled_at_once_and_anothers_after_a_question() {
    let mut state = opened(&EN, SIZE);
    state.choose_key(Key::Seq(5));
    assert_eq!(press(&mut state, KeyCode::Char('x')), [Effect::Recall { cid: direct(), seq: 5 }]);
    state.choose_key(Key::Seq(7));
    assert_eq!(press(&mut state, KeyCode::Char('x')), []);
    assert_eq!(press(&mut state, KeyCode::Char('n')), [], "no");
    press(&mut state, KeyCode::Char('x'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), [Effect::Recall { cid: direct(), seq: 7 }]);
}

#[test]
fn a_message_is_copied_and_forwarded() {
    let mut state = opened(&EN, SIZE);
    state.choose_key(Key::Seq(5));
    assert_eq!(press(&mut state, KeyCode::Char('y')), [Effect::Copy("明天合并".to_owned())]);
    press(&mut state, KeyCode::Char('f'));
    type_in(&mut state, "maya");
    let to = Target::cid(anser_model::ConversationId([4; 16]));
    let title = "周屿".to_owned();
    let sent = Effect::Forward { from: direct(), seqs: vec![5], to, title };
    assert_eq!(press(&mut state, KeyCode::Enter), [sent]);
    assert_eq!(state.open_cid(), Some(direct()), "one stays where one is");
}

#[test]
fn several_messages_are_marked_and_forwarded_as_one() {
    let mut state = opened(&EN, SIZE);
    for seq in [7, 4, 5] {
        state.choose_key(Key::Seq(seq));
        press(&mut state, KeyCode::Char(' '));
    }
    state.choose_key(Key::Seq(5));
    press(&mut state, KeyCode::Char(' '));
    press(&mut state, KeyCode::Char('f'));
    type_in(&mut state, "maya");
    let effects = press(&mut state, KeyCode::Enter);
    assert!(matches!(&effects[..], [Effect::Forward { seqs, .. }] if *seqs == [4, 7]), "{effects:?}");
}

#[test]
fn ones_own_text_is_edited_and_what_was_written_comes_back() {
    let mut state = opened(&EN, SIZE);
    type_in(&mut state, "meanwhile");
    state.choose_key(Key::Seq(7));
    press(&mut state, KeyCode::Char('e'));
    assert_eq!(state.focus, Focus::Messages, "it is another's");
    state.choose_key(Key::Seq(5));
    press(&mut state, KeyCode::Char('e'));
    assert_eq!(state.input.text(), "明天合并");
    assert!(frame(&state).contains("Editing: 明天合并"));
    type_in(&mut state, "!");
    let message = Message::text("明天合并!");
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Edit { cid: direct(), seq: 5, message }]);
    assert_eq!(state.input.text(), "meanwhile");
    state.choose_key(Key::Seq(5));
    press(&mut state, KeyCode::Char('e'));
    assert_eq!(press(&mut state, KeyCode::Enter), [], "nothing was changed");
    state.choose_key(Key::Seq(5));
    press(&mut state, KeyCode::Char('e'));
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.input.text(), state.focus), ("meanwhile", Focus::Input));
}

#[test]
fn what_a_message_said_before_is_shown() {
    let mut state = opened(&EN, SIZE);
    state.choose_key(Key::Seq(5));
    assert_eq!(press(&mut state, KeyCode::Char('v')), []);
    assert_eq!(state.notice.as_deref(), Some(EN.no_details));
    let mut edited = chat();
    if let Some(crate::chat::snapshot::Body::Said(said)) = edited.items.get_mut(4).map(|item| &mut item.body)
    {
        said.edits = 1;
    }
    state.apply(snapshot(Some(edited)));
    assert_eq!(press(&mut state, KeyCode::Char('v')), [Effect::Versions { cid: direct(), seq: 5 }]);
    assert!(frame(&state).contains("明天合并 edited"));
    state.finish(Outcome::Versions(vec![(AT_MS, "今天合并".to_owned())], "明天合并".to_owned()));
    let shown = frame(&state);
    assert!(
        shown.contains("from Today 14:02") && shown.contains("今天合并") && shown.contains("now"),
        "{shown}"
    );
}

#[test]
fn messages_go_for_oneself_after_a_question() {
    let mut state = opened(&EN, SIZE);
    state.choose_key(Key::Seq(7));
    press(&mut state, KeyCode::Char(' '));
    state.choose_key(Key::Seq(5));
    press(&mut state, KeyCode::Char(' '));
    assert_eq!(press(&mut state, KeyCode::Char('d')), []);
    let hide = Effect::Hide { cid: direct(), seqs: vec![5, 7] };
    assert_eq!(press(&mut state, KeyCode::Char('y')), [hide]);
    press(&mut state, KeyCode::Char('C'));
    assert_eq!(press(&mut state, KeyCode::Esc), [], "no");
    press(&mut state, KeyCode::Char('C'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), [Effect::Clear { cid: direct(), seq: 7 }]);
}

#[test]
fn a_conversation_is_marked_as_unread_until_one_looks_again() {
    let mut state = opened(&EN, SIZE);
    press(&mut state, KeyCode::Esc);
    let marked = |marked| Effect::MarkUnread { cid: direct(), marked };
    assert_eq!(press(&mut state, KeyCode::Char('u')), [marked(true)]);
    let mut unread = snapshot(Some(Chat { mark: 7, unread: 0, ..chat() }));
    unread.rows[0].marked_unread = true;
    unread.rows[0].unread = 0;
    assert_eq!(state.apply(unread.clone()), [], "not while it is only passed by");
    assert!(frame(&state).contains("… •"), "{}", frame(&state));
    assert_eq!(press(&mut state, KeyCode::Enter), [marked(false)]);
    assert_eq!(state.apply(unread), [], "asked once");
}

#[test]
fn who_has_read_a_message_is_told_by_name() {
    let mut state = in_group(&EN, SIZE);
    state.choose_key(Key::Seq(5));
    assert_eq!(press(&mut state, KeyCode::Char('w')), [Effect::Marks { cid: GROUP, seq: 5 }]);
    let mark = |account, seq, joined_seq| MemberMark { account, seq, joined_seq };
    // The author, one who has read, one who has not, one who came later.
    state.finish(Outcome::Marks(5, vec![mark(1, 9, 1), mark(2, 5, 1), mark(4, 4, 1), mark(5, 9, 6)]));
    let shown = frame(&state);
    assert!(shown.contains("Read by 1 of 2"), "{shown}");
    let at = |text: &str| shown.lines().position(|line| line.contains(text)).expect(text);
    assert!(at("│ read") < at("   周屿 ") && at("   周屿 ") < at("│ not yet"));
    assert!(!shown.lines().skip(at("│ not yet")).any(|line| line.contains("陈默 ")), "{shown}");
}

#[test]
fn in_a_channel_only_admins_write() {
    let mut state = in_group(&EN, SIZE);
    let mut channel = snapshot(Some(chat()));
    channel.rows[1].kind = ConversationKind::Channel;
    state.apply(channel.clone());
    assert!(frame(&state).contains(EN.read_only));
    type_in(&mut state, "hello");
    assert_eq!(press(&mut state, KeyCode::Enter), []);
    channel.rows[1].role = Role::Admin;
    state.apply(channel);
    assert!(!frame(&state).contains(EN.read_only));
    assert_eq!(press(&mut state, KeyCode::Enter).len(), 1);
}

#[test]
fn a_channel_is_made() {
    let mut state = state(&EN, SIZE);
    hold(&mut state, 'g');
    type_in(&mut state, "News");
    hold(&mut state, 't');
    press(&mut state, KeyCode::Enter);
    type_in(&mut state, "maya");
    let made =
        Effect::CreateGroup { title: "News".to_owned(), handles: vec!["maya".to_owned()], channel: true };
    assert_eq!(press(&mut state, KeyCode::Enter), [made]);
}

#[test]
fn others_are_told_now_and_then_that_one_types() {
    let mut state = opened(&EN, SIZE);
    let told = [Effect::Typing(Target::peer(PEER))];
    assert_eq!(press(&mut state, KeyCode::Char('a')), told);
    assert_eq!(press(&mut state, KeyCode::Char('b')), []);
    let now_ms = state.now_ms;
    state.tick(now_ms + 4_000);
    assert_eq!(press(&mut state, KeyCode::Char('c')), told);
    press(&mut state, KeyCode::Enter);
    assert_eq!(press(&mut state, KeyCode::Char('d')), told, "another message");
    state.tick(now_ms + 60_000);
    assert_eq!(press(&mut state, KeyCode::Backspace), [], "nothing is typed");
}

#[test]
fn who_types_shows_for_a_while_and_until_what_was_typed_comes() {
    let mut state = in_group(&EN, SIZE);
    state.sees_typing(GROUP, AccountId(4));
    state.sees_typing(GROUP, AccountId(5));
    state.sees_typing(GROUP, OWN);
    state.sees_typing(direct(), PEER);
    let shown = frame(&state);
    assert!(shown.contains("Maya Hernández, 陈默 are typing…") && shown.contains(" typing…"), "{shown}");
    let now_ms = state.now_ms;
    let mut newer = snapshot(Some(chat()));
    newer.rows[1].at_ms += 5;
    state.apply(newer);
    assert!(!frame(&state).contains("are typing"));
    state.tick(now_ms + 6_000);
    assert!(!frame(&state).contains("typing"));
}

#[test]
fn names_are_completed_and_sent_as_mentions() {
    let mut state = in_group(&EN, SIZE);
    type_in(&mut state, "ask @may");
    press(&mut state, KeyCode::Tab);
    assert_eq!(state.input.text(), "ask @Maya Hernández ");
    type_in(&mut state, "or @");
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Esc);
    assert!(state.suggestions().0.is_empty(), "nobody is meant");
    press(&mut state, KeyCode::Backspace);
    type_in(&mut state, "@陈默?");
    let [Effect::Send { message, .. }] = &press(&mut state, KeyCode::Enter)[..] else { panic!("not sent") };
    assert_eq!((&message.mentions[..], message.mention_all), (&[4, 5][..], false));
    type_in(&mut state, "@al");
    press(&mut state, KeyCode::Enter);
    let [Effect::Send { message, .. }] = &press(&mut state, KeyCode::Enter)[..] else { panic!("not sent") };
    assert!(message.mention_all && message.mentions.is_empty());
}

#[test]
fn nobody_is_offered_between_two_people() {
    let mut state = opened(&EN, SIZE);
    type_in(&mut state, "@");
    assert!(state.suggestions().0.is_empty());
}

#[test]
fn what_is_loaded_is_searched() {
    let mut state = opened(&EN, SIZE);
    hold(&mut state, 'f');
    type_in(&mut state, "12");
    assert_eq!(state.hits().0.len(), 2);
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.chosen().map(|item| item.seq), Some(0), "the newest hit");
    press(&mut state, KeyCode::Char('n'));
    assert_eq!(state.chosen().map(|item| item.seq), Some(7), "upwards");
    press(&mut state, KeyCode::Char('n'));
    assert_eq!(state.chosen().map(|item| item.seq), Some(0), "round the end");
    press(&mut state, KeyCode::Char('N'));
    assert_eq!(state.chosen().map(|item| item.seq), Some(7));
    press(&mut state, KeyCode::Esc);
    assert!(state.search.is_none());
    hold(&mut state, 'f');
    type_in(&mut state, "absent");
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.notice.as_deref(), Some(EN.no_hits));
}

#[test]
fn history_is_fetched_at_the_top_and_the_view_stays() {
    let mut state = opened(&EN, SIZE);
    assert_eq!(state.apply(snapshot(Some(long(100, 200)))), []);
    let pages = (0..10).flat_map(|_| press(&mut state, KeyCode::PageUp)).collect::<Vec<_>>();
    assert_eq!(pages, [Effect::Page { cid: direct(), before_seq: 100 }]);
    let pane = |state: &State| {
        let shown = frame(state);
        let lines = shown.lines().filter_map(|line| line.split_once('│'));
        let texts = lines.map(|(_, pane)| pane.split(" ↓").next().unwrap_or_default().trim_end().to_owned());
        texts.filter(|line| line.contains("line ")).collect::<Vec<_>>()
    };
    let before = pane(&state);
    let newer = long(100, 201);
    assert_eq!(state.apply(snapshot(Some(Chat { mark: 199, ..newer }))), [], "what is not seen is not read");
    assert_eq!(pane(&state), before);
    // Older ones come above at the same time.
    state.apply(snapshot(Some(Chat { mark: 199, ..long(1, 203) })));
    assert!(pane(&state).ends_with(&before[1..]), "{:?}", pane(&state));
    state.resize((80, 20));
    assert_eq!(pane(&state).last(), before.last());
}

#[test]
fn an_exact_handle_is_looked_up_and_opened() {
    let mut state = state(&EN, SIZE);
    assert_eq!(hold(&mut state, 'p'), [Effect::Look]);
    assert!(state.wanted().people);
    type_in(&mut state, "@bob");
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Find("bob".to_owned())]);
    assert_eq!(state.finish(Outcome::Found("bob".to_owned(), None)), []);
    assert!(state.notice.as_ref().is_some_and(|notice| notice.contains("bob")));
    hold(&mut state, 'p');
    type_in(&mut state, "zhou_yu");
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Look]);
    assert_eq!(state.open_cid(), Some(direct()));
}

#[test]
fn the_switcher_finds_conversations_and_people_by_a_few_letters() {
    for (query, title) in
        [("mhz", "Maya Hernández"), ("设友", "鸿雁 · 设计组的朋友们和同事们"), ("cmo", "陈默")]
    {
        let mut state = state(&ZH, SIZE);
        hold(&mut state, 'p');
        type_in(&mut state, query);
        assert_eq!(press(&mut state, KeyCode::Enter), [Effect::Look], "{query}");
        state.apply(snapshot(Some(chat())));
        let open = state.open.as_ref().map(|open| open.title.clone());
        assert_eq!(open.as_deref(), Some(title));
    }
}

#[test]
fn the_next_unread_is_first_where_one_is_named() {
    let mut state = state(&EN, SIZE);
    hold(&mut state, 'n');
    assert_eq!(state.open_cid(), Some(GROUP));
    hold(&mut state, 'n');
    assert_eq!(state.open_cid(), Some(direct()));
}

#[test]
fn members_are_asked_for_once_for_each_change() {
    let mut state = state(&EN, SIZE);
    hold(&mut state, 'n');
    let asked = |effects: &[Effect]| effects.contains(&Effect::Members(GROUP));
    assert!(asked(&state.apply(snapshot(Some(chat())))));
    assert!(!asked(&state.apply(snapshot(Some(chat())))));
    assert!(asked(&state.apply(snapshot(Some(Chat { members_seq: 5, ..chat() })))));
}

#[test]
fn a_group_is_managed() {
    let mut state = in_group(&EN, SIZE);
    let to_maya = |state: &mut State| {
        hold(state, 'o');
        assert_eq!(state.members().first().map(|it| it.role), Some(Role::Owner), "the owner comes first");
        let at = state.members().iter().position(|it| it.handle == "maya").expect("a member");
        (0..at).for_each(|_| drop(press(state, KeyCode::Down)));
    };
    let (cid, member) = (GROUP, AccountId(4));
    to_maya(&mut state);
    assert_eq!(press(&mut state, KeyCode::Char('d')), [Effect::SetRole { cid, member, role: Role::Admin }]);
    assert_eq!(press(&mut state, KeyCode::Char('x')), []);
    assert_eq!(press(&mut state, KeyCode::Char('y')), [Effect::RemoveMember { cid, member }]);
    to_maya(&mut state);
    press(&mut state, KeyCode::Char('o'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), [Effect::SetRole { cid, member, role: Role::Owner }]);
    to_maya(&mut state);
    press(&mut state, KeyCode::Char('a'));
    type_in(&mut state, "@bob, eve");
    let handles = vec!["bob".to_owned(), "eve".to_owned()];
    assert_eq!(press(&mut state, KeyCode::Enter), [Effect::AddMembers { cid, handles }]);
    to_maya(&mut state);
    press(&mut state, KeyCode::Char('t'));
    type_in(&mut state, "!");
    let [Effect::Rename { title, .. }] = &press(&mut state, KeyCode::Enter)[..] else {
        panic!("not renamed")
    };
    assert!(title.ends_with("同事们!"));
    to_maya(&mut state);
    press(&mut state, KeyCode::Char('L'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), [Effect::Leave(cid)]);
    to_maya(&mut state);
    press(&mut state, KeyCode::Char('D'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), [Effect::Dissolve(cid)]);
    to_maya(&mut state);
    let visible = false;
    assert_eq!(press(&mut state, KeyCode::Char('h')), [Effect::SetHistoryVisible { cid, visible }]);
    press(&mut state, KeyCode::Esc);
    to_maya(&mut state);
    assert_eq!(press(&mut state, KeyCode::Char('m')), [Effect::Look], "a direct conversation opens");
}

#[test]
fn a_click_opens_and_chooses_and_the_wheel_scrolls() {
    let mut state = state(&EN, SIZE);
    assert_eq!(click(&mut state, 5, 5), [Effect::Look]);
    assert_eq!(state.open_cid(), Some(GROUP), "the second one");
    click(&mut state, 5, 2);
    assert_eq!(state.open_cid(), Some(direct()));
    state.apply(snapshot(Some(chat())));
    let layout = Layout::of(&state);
    click(&mut state, 40, layout.messages.bottom() - 1);
    assert_eq!(state.chosen().map(|item| item.seq), Some(0));
    click(&mut state, 40, layout.input.y);
    assert_eq!(state.focus, Focus::Input);
    state.apply(snapshot(Some(long(1, 200))));
    wheel(&mut state, MouseEventKind::ScrollUp, 40);
    assert_eq!(state.open.as_ref().map(|open| open.scroll), Some(3));
    wheel(&mut state, MouseEventKind::ScrollDown, 40);
    assert_eq!(state.open.as_ref().map(|open| open.scroll), Some(0));
    state.resize((80, 10));
    wheel(&mut state, MouseEventKind::ScrollDown, 5);
    click(&mut state, 5, 2);
    assert_eq!(state.open_cid(), Some(GROUP), "the list had moved by one");
    state.resize(SIZE);
    hold(&mut state, 'p');
    click(&mut state, 40, 0);
    assert!(state.overlay.is_none(), "a click beside it closes it");
}

#[test]
fn what_one_writes_has_rows_and_the_messages_lie_above() {
    let mut state = opened(&EN, SIZE);
    type_in(&mut state, "one");
    state.key(&KeyEvent::new(KeyCode::Enter, KeyModifiers::ALT));
    type_in(&mut state, "two");
    press(&mut state, KeyCode::Up);
    assert_eq!(state.focus, Focus::Input);
    type_in(&mut state, "!");
    assert_eq!(state.input.text(), "one!\ntwo");
    press(&mut state, KeyCode::Up);
    assert_eq!(state.focus, Focus::Messages);
    press(&mut state, KeyCode::Down);
    assert_eq!(state.focus, Focus::Input, "below the newest one writes");
}

#[test]
fn themes_go_round_and_the_own_account_is_not_named() {
    let mut state = opened(&EN, SIZE);
    let before = state.theme.name;
    press(&mut state, KeyCode::F(2));
    assert_ne!(state.theme.name, before);
    assert_eq!(state.role_of(OWN), Role::Unspecified, "no members are known between two people");
}

#[test]
fn the_people_of_the_list_and_of_the_open_group_are_watched() {
    let watched = |effects: Vec<Effect>| -> Vec<(ConversationId, Vec<u64>)> {
        let watched = effects.into_iter().filter_map(|effect| match effect {
            Effect::Watch { cid, accounts } => Some((cid, accounts.iter().map(|it| it.get()).collect())),
            _ => None,
        });
        watched.collect()
    };
    let mut listed = state(&EN, SIZE);
    assert_eq!(listed.there(&listed.snapshot.rows[0]), Some(There::Now));
    assert!(watched(listed.apply(snapshot(None))).is_empty(), "nothing is different");
    let mut group = in_group(&EN, SIZE);
    assert_eq!(watched(group.apply(snapshot(Some(chat())))).len(), 0, "asked once");
    assert!(group.is_there(PEER) && !group.is_there(AccountId(4)));
    let others: Vec<AccountId> =
        group.members().iter().map(|it| it.account).filter(|&it| it != OWN).collect();
    assert_eq!(group.count_there(), 1 + usize::from(others.contains(&PEER)));
    assert!(group.watched.get(&GROUP) == Some(&others) && !others.is_empty(), "but not oneself");
    group.open(direct(), String::new(), Some(PEER));
    assert_eq!(watched(group.apply(snapshot(Some(chat())))), [(GROUP, vec![])]);
}
