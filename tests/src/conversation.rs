//! What clients ask about conversations, each as one call.

use anser_proto::v1;
use anser_proto::v1::client_frame::Request;
use anser_proto::v1::response::Result as Answer;
use bytes::Bytes;

use crate::{Client, Failure, Person};

/// A conversation by its id.
pub fn by_cid(cid: &Bytes) -> Option<v1::Target> {
    Some(v1::Target { target: Some(v1::target::Target::Cid(cid.clone())) })
}

/// The direct conversation with somebody.
pub fn by_peer(person: &Person) -> Option<v1::Target> {
    Some(v1::Target::peer(person.account))
}

/// A send of a text.
pub fn text(to: Option<v1::Target>, client_id: Bytes, text: &str) -> Request {
    Request::Send(v1::Send { to, client_id, message: Some(v1::Message::text(text)) })
}

/// A recall of a message.
pub fn recall(cid: &Bytes, client_id: Bytes, seq: u64, timeline: u64) -> Request {
    Request::Recall(v1::Recall { r#in: by_cid(cid), client_id, seq, timeline })
}

/// An edit of a message.
pub fn edit(cid: &Bytes, client_id: Bytes, seq: u64, timeline: u64, message: v1::Message) -> Request {
    Request::Edit(v1::Edit { r#in: by_cid(cid), client_id, seq, timeline, message: Some(message) })
}

/// The text of a message.
pub fn text_of(event: &v1::Event) -> Option<&str> {
    match &event.change {
        Some(v1::event::Change::Message(message)) => Some(&message.text),
        _ => None,
    }
}

impl Client {
    /// Sends a command.
    pub async fn command(&mut self, request: Request) -> Result<v1::Accepted, Failure> {
        match self.ask(request).await? {
            Answer::Accepted(accepted) => Ok(accepted),
            other => panic!("a command was answered {other:?}"),
        }
    }

    /// Says something to somebody.
    pub async fn tell(&mut self, person: &Person, words: &str) -> v1::Accepted {
        let request = text(by_peer(person), self.mint(), words);
        self.command(request).await.expect("it is accepted")
    }

    /// Says something in a conversation.
    pub async fn say(&mut self, cid: &Bytes, words: &str) -> Result<v1::Accepted, Failure> {
        let request = text(by_cid(cid), self.mint(), words);
        self.command(request).await
    }

    /// Makes a group. Returns its id.
    pub async fn create_group(&mut self, title: &str, members: &[&Person], history_visible: bool) -> Bytes {
        let members = members.iter().map(|person| person.id()).collect();
        let client_id = self.mint();
        let title = title.to_owned();
        let create =
            v1::CreateGroup { client_id, title, members, history_visible, ..v1::CreateGroup::default() };
        self.command(Request::CreateGroup(create)).await.expect("it is accepted").cid
    }

    /// Brings people into a group.
    pub async fn add(&mut self, cid: &Bytes, people: &[&Person]) -> Result<v1::Accepted, Failure> {
        let members = people.iter().map(|person| person.id()).collect();
        let (cid, client_id) = (cid.clone(), self.mint());
        self.command(Request::AddMembers(v1::AddMembers { cid, client_id, members })).await
    }

    /// Puts somebody out of a group.
    pub async fn remove(&mut self, cid: &Bytes, person: &Person) -> Result<v1::Accepted, Failure> {
        let (cid, client_id, member) = (cid.clone(), self.mint(), person.id());
        self.command(Request::RemoveMember(v1::RemoveMember { cid, client_id, member })).await
    }

    /// Leaves a group.
    pub async fn leave(&mut self, cid: &Bytes) -> Result<v1::Accepted, Failure> {
        let (cid, client_id) = (cid.clone(), self.mint());
        self.command(Request::Leave(v1::Leave { cid, client_id })).await
    }

    /// Gives somebody a role.
    pub async fn set_role(
        &mut self,
        cid: &Bytes,
        person: &Person,
        role: v1::Role,
    ) -> Result<v1::Accepted, Failure> {
        let (cid, client_id, member) = (cid.clone(), self.mint(), person.id());
        self.command(Request::SetRole(v1::SetRole { cid, client_id, member, role: role as i32 })).await
    }

    /// Changes a title.
    pub async fn rename(&mut self, cid: &Bytes, title: &str) -> Result<v1::Accepted, Failure> {
        let (cid, client_id, title) = (cid.clone(), self.mint(), title.to_owned());
        self.command(Request::Rename(v1::Rename { cid, client_id, title })).await
    }

    /// Moves the own read mark.
    pub async fn read_up_to(&mut self, cid: &Bytes, seq: u64) -> Result<v1::Accepted, Failure> {
        let timeline = self.welcome.timeline;
        self.command(Request::ReadUpTo(v1::ReadUpTo { r#in: by_cid(cid), seq, timeline })).await
    }

    /// Takes a message back.
    pub async fn recall(&mut self, cid: &Bytes, seq: u64) -> Result<v1::Accepted, Failure> {
        let request = recall(cid, self.mint(), seq, self.welcome.timeline);
        self.command(request).await
    }

    /// Says something else in a message.
    pub async fn edit(&mut self, cid: &Bytes, seq: u64, words: &str) -> Result<v1::Accepted, Failure> {
        let request = edit(cid, self.mint(), seq, self.welcome.timeline, v1::Message::text(words));
        self.command(request).await
    }

    /// What a message said before, and how often it was edited.
    pub async fn versions(&mut self, cid: &Bytes, seq: u64) -> Result<(u32, Vec<String>), Failure> {
        let get = v1::GetVersions { r#in: by_cid(cid), seq };
        match self.ask(Request::GetVersions(get)).await? {
            Answer::VersionList(list) => {
                assert_eq!((&list.cid, list.seq), (cid, seq));
                Ok((list.edits, list.versions.into_iter().map(|version| version.text).collect()))
            }
            other => panic!("versions were answered {other:?}"),
        }
    }

    /// The message at a seq, as one is told it.
    pub async fn message(&mut self, cid: &Bytes, seq: u64) -> v1::Message {
        let page = self.page(cid, seq - 1, 1).await.expect("it may be seen");
        match page.events.into_iter().next().and_then(|event| event.change) {
            Some(v1::event::Change::Message(message)) => message,
            other => panic!("seq {seq} is {other:?}"),
        }
    }

    /// The facts after a seq, the oldest first.
    pub async fn page(&mut self, cid: &Bytes, after_seq: u64, limit: u32) -> Result<v1::Page, Failure> {
        let page = v1::GetPage { r#in: by_cid(cid), after_seq, limit, ..v1::GetPage::default() };
        match self.ask(Request::GetPage(page)).await? {
            Answer::Page(page) => Ok(page),
            other => panic!("a page was answered {other:?}"),
        }
    }

    /// Every fact that may be seen, the oldest first.
    pub async fn whole_history(&mut self, cid: &Bytes) -> Vec<v1::Event> {
        let mut pages: Vec<Vec<v1::Event>> = Vec::new();
        let mut before_seq = 0;
        loop {
            let page = v1::GetPage { r#in: by_cid(cid), before_seq, limit: 200, ..v1::GetPage::default() };
            let page = match self.ask(Request::GetPage(page)).await.expect("a page") {
                Answer::Page(page) => page,
                other => panic!("a page was answered {other:?}"),
            };
            before_seq = page.events.first().map_or(0, |event| event.seq);
            pages.push(page.events);
            if !page.more {
                return pages.into_iter().rev().flatten().collect();
            }
        }
    }

    /// Who is in a conversation, with their roles.
    pub async fn members(&mut self, cid: &Bytes) -> Result<Vec<(u64, v1::Role)>, Failure> {
        match self.ask(Request::GetMembers(v1::GetMembers { cid: cid.clone() })).await? {
            Answer::MemberList(list) => {
                Ok(list.members.iter().map(|member| (member.account, member.role())).collect())
            }
            other => panic!("members were answered {other:?}"),
        }
    }

    /// All conversations, as a fresh client is told.
    pub async fn conversations(&mut self) -> Vec<v1::Head> {
        match self.ask(Request::GetConversations(v1::GetConversations::default())).await.expect("heads") {
            Answer::ConversationList(list) => list.heads,
            other => panic!("conversations were answered {other:?}"),
        }
    }

    /// The head of one conversation.
    pub async fn head(&mut self, cid: &Bytes) -> v1::Head {
        let asked = v1::GetConversations { cids: vec![cid.clone()] };
        match self.ask(Request::GetConversations(asked)).await.expect("heads") {
            Answer::ConversationList(list) => list.heads.into_iter().next().expect("it is one of theirs"),
            other => panic!("conversations were answered {other:?}"),
        }
    }
}
