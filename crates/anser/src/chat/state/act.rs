//! What each action of the key table comes to.

use anser_model::ConversationId;
use anser_proto::v1::{Role, Target};
use crossterm::event::KeyEvent;

use super::{Effect, Focus, State};
use crate::chat::keys::Action;
use crate::chat::overlay::{Chosen, Help, NewGroup, Overlay, Purpose, Question, Switcher};
use crate::chat::snapshot::{Delivery, Key};
use crate::chat::view;

impl State {
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Quit => return vec![Effect::Quit],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Switch => return self.begin_switch(Purpose::Open),
            Action::NewGroup => self.overlay = Some(Overlay::NewGroup(NewGroup::default())),
            Action::Help => self.overlay = Some(Overlay::Help(Help::default())),
            Action::Theme => self.next_theme(),
            Action::NextUnread => return self.next_unread(),
            Action::PreviousChat => return self.step(-1),
            Action::NextChat => return self.step(1),
            Action::Older => return self.scroll_by(self.page_lines()),
            Action::Newer => return self.scroll_by(-self.page_lines()),
            Action::Bottom => return self.go_to_bottom(),
            Action::Retry => return self.retry(),
            Action::Search => self.begin_search(),
            Action::NextHit => return self.next_hit(-1),
            Action::PreviousHit => return self.next_hit(1),
            Action::Send => return self.send(),
            Action::Newline => self.newline(),
            Action::Complete => {}
            Action::ToMessages => return self.input_up(),
            Action::RowDown => self.input_down(),
            Action::LeaveInput => return self.leave_input(),
            Action::Up => return self.choose_or_step(-1),
            Action::Down => return self.choose_or_step(1),
            Action::First => return self.choose_or_step(isize::MIN / 2),
            Action::Last => return self.choose_or_step(isize::MAX / 2),
            Action::EnterInput => return self.enter_input(),
            Action::ToList => return self.leave_for_list(),
            Action::Reply => self.begin_reply(),
            Action::Recall => return self.begin_recall(),
            Action::Copy => return self.copy(),
            Action::Forward => return self.begin_forward(),
            Action::Quoted => return self.go_to_quoted(),
            Action::Edit => self.begin_edit(),
            Action::Details => return self.details(),
            Action::Mark => self.mark(),
            Action::Hide => self.begin_hide(),
            Action::Clear => self.begin_clear(),
            Action::MarkUnread => return self.mark_unread(),
            Action::ReadBy => return self.read_by(),
            Action::About => return self.begin_about(),
            Action::Message
            | Action::AddMembers
            | Action::RemoveMember
            | Action::MakeAdmin
            | Action::MakeOwner
            | Action::Rename
            | Action::Newcomers
            | Action::Dissolve
            | Action::Leave => return self.act_on_members(action),
        }
        vec![]
    }

    pub(super) fn overlay_key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        let Some(mut overlay) = self.overlay.take() else { return vec![] };
        let chosen = overlay.key(key, self);
        overlay.clamp(self);
        self.overlay = Some(overlay);
        self.choose(chosen)
    }

    /// What was chosen in what lies over the chat.
    pub(super) fn choose(&mut self, chosen: Chosen) -> Vec<Effect> {
        if chosen == Chosen::Nothing {
            return vec![];
        }
        let overlay = self.overlay.take();
        match chosen {
            Chosen::Nothing | Chosen::Close => vec![],
            Chosen::Open(cid) => match overlay {
                Some(Overlay::Switcher(Switcher { purpose: Purpose::Forward(what), .. })) => {
                    self.forward(Target::cid(cid), what)
                }
                _ => self.open_known(cid, Focus::Input),
            },
            Chosen::Person(person) => {
                let to = ConversationId::direct(self.snapshot.own, person.account);
                match overlay {
                    Some(Overlay::Switcher(Switcher { purpose: Purpose::Forward(what), .. })) => {
                        self.forward(Target::peer(person.account), what)
                    }
                    _ => self.open(to, person.name, Some(person.account)),
                }
            }
            Chosen::Find(handle) => {
                self.notice = Some((self.words.finding)(&handle));
                vec![Effect::Find(handle)]
            }
            Chosen::Create { title, handles, channel } => {
                vec![Effect::CreateGroup { title, handles, channel }]
            }
            Chosen::Given(prompt, text) => self.given(prompt, &text),
            Chosen::Agreed(question) => self.agreed(question),
        }
    }

    fn agreed(&mut self, question: Question) -> Vec<Effect> {
        match question {
            Question::Recall { cid, seq } => vec![Effect::Recall { cid, seq }],
            Question::RemoveMember { cid, member } => vec![Effect::RemoveMember { cid, member }],
            Question::MakeOwner { cid, member } => {
                vec![Effect::SetRole { cid, member, role: Role::Owner }]
            }
            Question::Leave(cid) => vec![Effect::Leave(cid)],
            Question::Dissolve(cid) => vec![Effect::Dissolve(cid)],
            Question::Hide { cid, seqs } => {
                if let Some(open) = &mut self.open {
                    open.marked.clear();
                }
                vec![Effect::Hide { cid, seqs }]
            }
            Question::Clear { cid, seq } => vec![Effect::Clear { cid, seq }],
        }
    }

    pub(super) fn begin_switch(&mut self, purpose: Purpose) -> Vec<Effect> {
        self.overlay = Some(Overlay::Switcher(Switcher { purpose, ..Switcher::default() }));
        vec![Effect::Look]
    }

    fn next_theme(&mut self) {
        self.theme = self.theme.next();
        self.version += 1;
        let name = format!("{:?}", self.theme.name).to_lowercase();
        self.notice = Some((self.words.theme_is)(&name));
    }

    fn next_unread(&mut self) -> Vec<Effect> {
        let open = self.open_cid();
        let rows = || {
            self.snapshot
                .rows
                .iter()
                .filter(|row| (row.unread > 0 || row.marked_unread) && Some(row.cid) != open)
        };
        let unread = rows().find(|row| row.mentioned).or_else(|| rows().next());
        unread.map(|row| row.cid).map_or_else(Vec::new, |cid| self.open_known(cid, Focus::Input))
    }

    /// Another conversation of the list; keys go on where they went.
    fn step(&mut self, by: isize) -> Vec<Effect> {
        let rows = &self.snapshot.rows;
        let open = self.open_cid();
        let next = match rows.iter().position(|row| Some(row.cid) == open) {
            Some(at) => at.saturating_add_signed(by).min(rows.len().saturating_sub(1)),
            None => 0,
        };
        let focus = if self.focus == Focus::Messages { Focus::Input } else { self.focus };
        rows.get(next).map(|row| row.cid).map_or_else(Vec::new, |cid| self.open_known(cid, focus))
    }

    fn choose_or_step(&mut self, by: isize) -> Vec<Effect> {
        match self.focus {
            Focus::Messages => self.choose_message(by),
            _ => self.step(by),
        }
    }

    fn enter_input(&mut self) -> Vec<Effect> {
        if self.open.is_some() {
            self.set_focus(Focus::Input);
        }
        self.wants()
    }

    fn leave_for_list(&mut self) -> Vec<Effect> {
        let had_search = self.search.take().is_some();
        self.version += u64::from(had_search);
        if !had_search {
            self.set_focus(Focus::List);
        }
        vec![]
    }

    pub(super) fn set_focus(&mut self, focus: Focus) {
        self.focus = focus;
        if focus != Focus::Messages
            && let Some(open) = &mut self.open
        {
            open.chosen = None;
        }
        self.clamp_scroll();
    }

    fn retry(&self) -> Vec<Effect> {
        let failed = self.items().iter().filter_map(|item| match item.delivery {
            Delivery::Failed(id, _) => Some(Effect::Retry(id)),
            _ => None,
        });
        failed.collect()
    }

    /// Takes the chosen message back; somebody else's only after a question.
    fn begin_recall(&mut self) -> Vec<Effect> {
        let Some((item, cid)) = self.chosen().zip(self.open_cid()) else { return vec![] };
        let seq = item.seq;
        if seq == 0 || item.said().is_none() {
            return vec![];
        }
        if item.is_own() {
            return vec![Effect::Recall { cid, seq }];
        }
        let text = (self.words.sure_recall)(&item.name);
        self.overlay = Some(Overlay::Ask(text, Question::Recall { cid, seq }));
        vec![]
    }

    fn copy(&mut self) -> Vec<Effect> {
        let said = self.chosen().and_then(|item| item.said());
        let Some(text) = said.map(|said| view::calm(self, said)) else { return vec![] };
        self.notice = Some(self.words.copied.to_owned());
        vec![Effect::Copy(text)]
    }

    /// Goes to what the chosen message replies to, if it is held.
    fn go_to_quoted(&mut self) -> Vec<Effect> {
        let quote = self.chosen().and_then(|item| item.said()).and_then(|said| said.reply.clone());
        let Some(quote) = quote else { return vec![] };
        if self.items().iter().any(|item| item.seq == quote.seq) {
            return self.choose_key(Key::Seq(quote.seq));
        }
        self.older().into_iter().collect()
    }
}
