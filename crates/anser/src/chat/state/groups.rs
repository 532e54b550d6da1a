//! Who is in the open conversation, and what may be done about it.

use anser_model::{AccountId, ConversationId};
use anser_proto::v1::Role;

use super::{Effect, State};
use crate::chat::keys::Action;
use crate::chat::line::Line;
use crate::chat::overlay::{About, Overlay, Prompt, PromptFor, Question, handles};

/// Somebody in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    pub account: AccountId,
    pub name: String,
    pub handle: String,
    pub role: Role,
}

impl State {
    /// Asks who is in the open group, once for each change of that.
    pub(super) fn wants_members(&mut self) -> Option<Effect> {
        let row = self.open_row()?;
        if !row.is_group() || !row.is_member() || !self.snapshot.attached {
            return None;
        }
        let changed_at = self.chat()?.members_seq;
        let open = self.open.as_mut()?;
        if open.members_asked_at.is_some_and(|asked| asked >= changed_at) {
            return None;
        }
        open.members_asked_at = Some(changed_at);
        Some(Effect::Members(open.cid))
    }

    pub(super) fn learn_members(&mut self, cid: ConversationId, mut members: Vec<MemberRow>) -> Vec<Effect> {
        members.sort_by(|one, other| {
            let rank = |member: &MemberRow| std::cmp::Reverse(i32::from(member.role));
            (rank(one), &one.name, one.account).cmp(&(rank(other), &other.name, other.account))
        });
        let anchor = self.anchor();
        if let Some(open) = self.open.as_mut().filter(|open| open.cid == cid) {
            open.members = Some(members);
            self.version += 1;
        }
        self.restore(anchor);
        self.watch()
    }

    /// Who is in the open conversation, as far as that was asked.
    pub fn members(&self) -> &[MemberRow] {
        self.open.as_ref().and_then(|open| open.members.as_deref()).unwrap_or_default()
    }

    /// The role of somebody in the open conversation.
    pub fn role_of(&self, account: AccountId) -> Role {
        let member = self.members().iter().find(|member| member.account == account);
        member.map_or(Role::Unspecified, |member| member.role)
    }

    pub(super) fn begin_about(&mut self) -> Vec<Effect> {
        if self.open_row().is_some_and(|row| row.is_group() && row.is_member()) {
            self.overlay = Some(Overlay::About(About::default()));
            return vec![];
        }
        match self.open {
            Some(_) => self.say(self.words.about_direct.to_owned()),
            None => vec![],
        }
    }

    /// The member that keys act on while members are shown.
    fn chosen_member(&self) -> Option<MemberRow> {
        let Some(Overlay::About(about)) = &self.overlay else { return None };
        self.members().get(about.selected).cloned()
    }

    pub(super) fn act_on_members(&mut self, action: Action) -> Vec<Effect> {
        let (Some(cid), Some(member)) = (self.open_cid(), self.chosen_member()) else { return vec![] };
        let who = member.account;
        let ask = |text: String, question: Question| Some(Overlay::Ask(text, question));
        match action {
            Action::Message if who != self.snapshot.own => {
                self.overlay = None;
                let direct = ConversationId::direct(self.snapshot.own, who);
                return self.open(direct, member.name, Some(who));
            }
            Action::AddMembers => self.overlay = Some(Overlay::Prompt(Prompt::new(PromptFor::Members, ""))),
            Action::Rename => {
                let title = self.open_row().map(|row| row.title.clone()).unwrap_or_default();
                self.overlay = Some(Overlay::Prompt(Prompt::new(PromptFor::Title, &title)));
            }
            Action::RemoveMember if who != self.snapshot.own => {
                let text = (self.words.sure_remove)(&member.name);
                self.overlay = ask(text, Question::RemoveMember { cid, member: who });
            }
            Action::MakeOwner if who != self.snapshot.own => {
                let text = (self.words.sure_owner)(&member.name);
                self.overlay = ask(text, Question::MakeOwner { cid, member: who });
            }
            Action::MakeAdmin if member.role != Role::Owner => {
                let role = if member.role == Role::Admin { Role::Member } else { Role::Admin };
                return vec![Effect::SetRole { cid, member: who, role }];
            }
            Action::Leave => {
                let title = self.open_row().map(|row| self.title(row).to_owned()).unwrap_or_default();
                self.overlay = ask((self.words.sure_leave)(&title), Question::Leave(cid));
            }
            Action::Newcomers => {
                let visible = !self.open_row().is_some_and(|row| row.history_visible);
                self.notice = Some(self.words.newcomers[usize::from(visible)].to_owned());
                return vec![Effect::SetHistoryVisible { cid, visible }];
            }
            Action::Dissolve => {
                let title = self.open_row().map(|row| self.title(row).to_owned()).unwrap_or_default();
                self.overlay = ask((self.words.sure_dissolve)(&title), Question::Dissolve(cid));
            }
            _ => {}
        }
        vec![]
    }

    /// What was written where something was asked for.
    pub(super) fn given(&mut self, purpose: PromptFor, text: &str) -> Vec<Effect> {
        let Some(cid) = self.open_cid() else { return vec![] };
        match purpose {
            PromptFor::Members => vec![Effect::AddMembers { cid, handles: handles(&Line::new(text)) }],
            PromptFor::Title => vec![Effect::Rename { cid, title: text.trim().to_owned() }],
        }
    }
}
