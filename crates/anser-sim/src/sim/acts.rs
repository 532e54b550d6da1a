//! What people do: one entry for each command and question of the product. A new command joins the simulator
//! by an entry here, and by its rule in [`crate::plain`].

use anser_client::session::command::{Command, Intent, Query};
use anser_client::session::{Conversation, Session};
use anser_model::AccountId;
use anser_proto::{v1, wire};

use crate::chance::Chance;

/// Something that people do.
pub struct Act {
    /// Its name in a story.
    pub name: &'static str,
    /// How often it is drawn, beside the others.
    pub weight: u64,
    make: fn(&mut Scene) -> Option<Intent>,
}

/// What somebody sees who is about to act.
pub struct Scene<'a> {
    /// One's own session.
    pub session: &'a Session,
    /// Everybody.
    pub everybody: &'a [AccountId],
    /// Names this deed: no two deeds of a run have the same number.
    pub number: u64,
    /// Decides what is open.
    pub chance: Chance,
}

impl Act {
    /// What it comes to now; nothing, where there is nothing to do it to.
    pub fn make(&self, scene: &mut Scene) -> Option<Intent> {
        (self.make)(scene)
    }
}

/// Everything that people do.
pub const ACTS: &[Act] = &[
    Act { name: "writes to somebody", weight: 20, make: |scene| scene.write_to_somebody() },
    Act { name: "writes where it is", weight: 24, make: |scene| scene.write_where_it_is() },
    Act { name: "writes a long message", weight: 2, make: |scene| scene.write_at_length() },
    Act { name: "reads", weight: 14, make: |scene| scene.read() },
    Act { name: "makes a group", weight: 6, make: |scene| scene.make_group() },
    Act { name: "brings people in", weight: 7, make: |scene| scene.bring_in() },
    Act { name: "puts somebody out", weight: 6, make: |scene| scene.put_out() },
    Act { name: "leaves", weight: 3, make: |scene| scene.leave() },
    Act { name: "gives a role", weight: 5, make: |scene| scene.give_role() },
    Act { name: "renames", weight: 3, make: |scene| scene.rename() },
    Act { name: "sets something for all", weight: 6, make: |scene| scene.set_for_all() },
    Act { name: "marks as unread", weight: 4, make: |scene| scene.mark_unread() },
    Act { name: "hides messages", weight: 7, make: |scene| scene.hide() },
    Act { name: "clears a history", weight: 3, make: |scene| scene.clear() },
    Act { name: "asks who has read", weight: 4, make: |scene| scene.ask_marks() },
    Act { name: "types", weight: 6, make: |scene| scene.type_something() },
    Act { name: "watches who is there", weight: 6, make: |scene| scene.watch() },
    Act { name: "takes a message back", weight: 10, make: |scene| scene.recall() },
    Act { name: "edits a message", weight: 12, make: |scene| scene.edit() },
    Act { name: "replies or passes on", weight: 5, make: |scene| scene.reply() },
    Act { name: "asks what a message said", weight: 3, make: |scene| scene.ask_versions() },
    Act { name: "looks at a page", weight: 10, make: |scene| scene.look_at_page() },
    Act { name: "asks who is there", weight: 3, make: |scene| scene.ask_members() },
    Act { name: "asks for a head", weight: 3, make: |scene| scene.ask_head() },
    Act { name: "tries a failed message again", weight: 2, make: |scene| scene.retry() },
];

/// The text of a message that a deed sends: names the deed.
pub fn text_of(number: u64) -> String {
    format!("deed {number}")
}

/// The number of the deed that a text names.
pub fn deed_of(text: &str) -> Option<u64> {
    text.strip_prefix("deed ")?.split(' ').next()?.parse().ok()
}

impl Scene<'_> {
    fn somebody(&mut self) -> AccountId {
        self.everybody[self.chance.below(self.everybody.len() as u64) as usize]
    }

    fn pick<'s>(&mut self, from: &[&'s Conversation]) -> Option<&'s Conversation> {
        (!from.is_empty()).then(|| from[self.chance.below(from.len() as u64) as usize])
    }

    /// A conversation that one knows of; now and then one that one is out of.
    fn known(&mut self) -> Option<v1::Head> {
        let all = self.session.conversations();
        let present: Vec<&Conversation> = all.iter().copied().filter(|known| known.is_member()).collect();
        let from = if self.chance.happens(1, 12) { all } else { present };
        self.pick(&from).map(|conversation| conversation.head())
    }

    fn group(&mut self) -> Option<v1::Head> {
        let all = self.session.conversations();
        let has_title = |kind| matches!(kind, v1::ConversationKind::Group | v1::ConversationKind::Channel);
        let groups = all.into_iter().filter(|known| has_title(known.head().kind()));
        let groups: Vec<&Conversation> = groups.collect();
        self.pick(&groups).map(|conversation| conversation.head())
    }

    fn target(head: &v1::Head) -> Option<v1::Target> {
        wire::cid(&head.cid).ok().map(v1::Target::cid)
    }

    fn send(&self, to: v1::Target, text: String, mention_all: bool) -> Intent {
        let uncounted = self.number % 11 == 7;
        let kind = "text".into();
        let message = v1::Message { kind, text, mention_all, uncounted, ..v1::Message::default() };
        Intent::Command(Command::Send(v1::Send {
            to: Some(to),
            message: Some(message),
            ..v1::Send::default()
        }))
    }

    fn write_to_somebody(&mut self) -> Option<Intent> {
        let to = self.somebody();
        Some(self.send(v1::Target::peer(to), text_of(self.number), false))
    }

    fn write_where_it_is(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let everybody = self.chance.happens(1, 10);
        let named = self.chance.below(3).saturating_sub(1);
        let mentions = (0..named).map(|_| self.somebody().get()).collect();
        let mut intent = self.send(Self::target(&head)?, text_of(self.number), everybody);
        if let Intent::Command(Command::Send(v1::Send { message: Some(message), .. })) = &mut intent {
            message.mentions = mentions;
        }
        Some(intent)
    }

    fn write_at_length(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let text = format!("{} {}", text_of(self.number), "x".repeat(12_000));
        Some(self.send(Self::target(&head)?, text, false))
    }

    fn read(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let back = if self.chance.happens(1, 2) { self.chance.below(4) } else { 0 };
        let ahead = u64::from(self.chance.happens(1, 20));
        let seq = (head.seq + ahead).saturating_sub(back).max(1);
        Some(Intent::ReadUpTo { target: Self::target(&head)?, seq })
    }

    fn make_group(&mut self) -> Option<Intent> {
        let members = (0..1 + self.chance.below(4)).map(|_| self.somebody().get()).collect();
        let history_visible = self.chance.happens(1, 2);
        let title = format!("group {}", self.number);
        let channel = self.chance.happens(1, 4);
        let avatar = if self.chance.happens(1, 4) { "picture".into() } else { String::new() };
        let client_id = Default::default();
        let group = v1::CreateGroup { client_id, title, members, history_visible, channel, avatar };
        Some(Intent::Command(Command::CreateGroup(group)))
    }

    fn bring_in(&mut self) -> Option<Intent> {
        let cid = self.group()?.cid;
        let members = (0..1 + self.chance.below(3)).map(|_| self.somebody().get()).collect();
        let add = v1::AddMembers { cid, members, ..v1::AddMembers::default() };
        Some(Intent::Command(Command::AddMembers(add)))
    }

    fn put_out(&mut self) -> Option<Intent> {
        let (cid, member) = (self.group()?.cid, self.somebody().get());
        let remove = v1::RemoveMember { cid, member, ..v1::RemoveMember::default() };
        Some(Intent::Command(Command::RemoveMember(remove)))
    }

    fn leave(&mut self) -> Option<Intent> {
        let cid = self.group()?.cid;
        Some(Intent::Command(Command::Leave(v1::Leave { cid, ..v1::Leave::default() })))
    }

    fn give_role(&mut self) -> Option<Intent> {
        let (cid, member) = (self.group()?.cid, self.somebody().get());
        let roles = [v1::Role::Member, v1::Role::Admin, v1::Role::Admin, v1::Role::Owner];
        let role = roles[self.chance.below(4) as usize] as i32;
        let set = v1::SetRole { cid, member, role, ..v1::SetRole::default() };
        Some(Intent::Command(Command::SetRole(set)))
    }

    fn rename(&mut self) -> Option<Intent> {
        let cid = self.group()?.cid;
        let title = format!("title {}", self.number);
        Some(Intent::Command(Command::Rename(v1::Rename { cid, title, ..v1::Rename::default() })))
    }

    fn set_for_all(&mut self) -> Option<Intent> {
        let cid = self.group()?.cid;
        Some(Intent::Command(match self.chance.below(10) {
            0..4 => {
                let avatar = format!("picture {}", self.number);
                Command::SetAvatar(v1::SetAvatar { cid, avatar, ..v1::SetAvatar::default() })
            }
            4..8 => {
                let (visible, client_id) = (self.chance.happens(1, 2), Default::default());
                Command::SetHistoryVisible(v1::SetHistoryVisible { cid, client_id, visible })
            }
            _ => Command::Dissolve(v1::Dissolve { cid, ..v1::Dissolve::default() }),
        }))
    }

    fn mark_unread(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let mark = v1::MarkUnread { r#in: Self::target(&head), marked: self.chance.happens(3, 4) };
        Some(Intent::Query(Query::MarkUnread(mark)))
    }

    /// Mostly something new; now and then what is not there.
    fn hide(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let ranges = (0..1 + self.chance.below(2)).map(|_| {
            let ahead = u64::from(self.chance.happens(1, 20));
            let high = (head.seq + ahead).saturating_sub(self.chance.below(6)).max(1);
            v1::SeqRange { low: high.saturating_sub(self.chance.below(3)).max(1), high }
        });
        let hide = v1::Hide { ranges: ranges.collect(), r#in: Self::target(&head), timeline: 0 };
        Some(Intent::Query(Query::Hide(hide)))
    }

    fn clear(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let ahead = u64::from(self.chance.happens(1, 20));
        let seq = (head.seq + ahead).saturating_sub(self.chance.below(5)).max(1);
        let clear = v1::ClearHistory { r#in: Self::target(&head), seq, timeline: 0 };
        Some(Intent::Query(Query::ClearHistory(clear)))
    }

    fn ask_marks(&mut self) -> Option<Intent> {
        let r#in = Self::target(&self.known()?);
        Some(Intent::Query(Query::Marks(v1::GetMarks { r#in })))
    }

    fn type_something(&mut self) -> Option<Intent> {
        let r#in = Self::target(&self.known()?);
        Some(Intent::Query(Query::Typing(v1::Typing { r#in })))
    }

    /// Some of everybody, whoever they are to one.
    fn watch(&mut self) -> Option<Intent> {
        let cid = wire::cid(&self.known()?.cid).ok()?;
        let (everybody, chance) = (self.everybody, &mut self.chance);
        let accounts = everybody.iter().copied().filter(|_| chance.happens(2, 3)).collect();
        Some(Intent::Watch { cid, accounts })
    }

    /// A message of a conversation, of those that fit: mostly a new one; now and then any seq at all.
    fn message_of(&mut self, head: &v1::Head, fits: impl Fn(&v1::Event) -> bool) -> Option<u64> {
        let seen = self.session.conversation(wire::cid(&head.cid).ok()?)?;
        let is_message = |fact: &&v1::Event| matches!(fact.change, Some(v1::event::Change::Message(_)));
        let messages = seen.facts().filter(is_message).filter(|fact| fits(fact));
        let messages: Vec<u64> = messages.map(|fact| fact.seq).collect();
        match self.chance.below(8) {
            0 => Some(1 + self.chance.below(head.seq + 1)),
            _ => messages.iter().rev().nth(self.chance.below(3) as usize).copied(),
        }
    }

    fn edit(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let own = self.session.account()?.get();
        let seq = self.message_of(&head, |fact| fact.author == own)?;
        let mention_all = self.chance.happens(1, 10);
        let message = v1::Message { mention_all, ..v1::Message::text(format!("edit {}", self.number)) };
        let (r#in, message) = (Self::target(&head), Some(message));
        Some(Intent::Command(Command::Edit(v1::Edit { r#in, seq, message, ..v1::Edit::default() })))
    }

    fn reply(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let forwarded = self.chance.happens(1, 3);
        let reply_to = if forwarded { 0 } else { self.message_of(&head, |_| true)? };
        let message = v1::Message { reply_to, forwarded, ..v1::Message::text(text_of(self.number)) };
        let (to, message) = (Self::target(&head), Some(message));
        Some(Intent::Command(Command::Send(v1::Send { to, message, ..v1::Send::default() })))
    }

    fn ask_versions(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let edited = |fact: &v1::Event| match &fact.change {
            Some(v1::event::Change::Message(message)) => message.edits > 0,
            _ => false,
        };
        let seq = self.message_of(&head, edited)?;
        Some(Intent::Query(Query::Versions(v1::GetVersions { r#in: Self::target(&head), seq })))
    }

    fn recall(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let seq = self.message_of(&head, |_| true)?;
        let recall = v1::Recall { r#in: Self::target(&head), seq, ..v1::Recall::default() };
        Some(Intent::Command(Command::Recall(recall)))
    }

    fn look_at_page(&mut self) -> Option<Intent> {
        let head = self.known()?;
        let from_oldest = self.chance.happens(1, 2);
        let before_seq = if from_oldest { 0 } else { 1 + self.chance.below(head.seq + 2) };
        let limit = 1 + self.chance.below(20) as u32;
        let r#in = Self::target(&head);
        let page = v1::GetPage { r#in, before_seq, limit, from_oldest, ..v1::GetPage::default() };
        Some(Intent::Query(Query::Page(page)))
    }

    fn ask_members(&mut self) -> Option<Intent> {
        let cid = self.known()?.cid;
        Some(Intent::Query(Query::Members(v1::GetMembers { cid })))
    }

    fn ask_head(&mut self) -> Option<Intent> {
        let cids = vec![self.known()?.cid];
        Some(Intent::Query(Query::Conversations(v1::GetConversations { cids })))
    }

    fn retry(&mut self) -> Option<Intent> {
        use anser_client::session::EntryState;
        let mut failed =
            self.session.outbox().entries().filter(|entry| matches!(entry.state, EntryState::Failed(_)));
        let id = failed.next()?.client_id;
        Some(if self.chance.happens(1, 2) { Intent::Retry(id) } else { Intent::Discard(id) })
    }
}
