//! A group in a calm world, for tests of one rule at a time.

use std::sync::Arc;

use anser_core::engine::{Accepted, Answer, Query};
use anser_core::storage::StoredFact;
use anser_model::{
    AccountId, Actor, Change, ClientId, Command, ConversationId, DeviceId, Intent, Message, N, Refusal, Role,
    Seq,
};

use crate::world::{Roughness, TIMELINE, World};

pub const OWNER: AccountId = AccountId(1);
pub const ADMIN: AccountId = AccountId(2);
pub const MEMBER: AccountId = AccountId(3);
pub const OTHER: AccountId = AccountId(4);
pub const STRANGER: AccountId = AccountId(9);

pub fn text(text: &str) -> Message {
    Message { kind: "text".into(), text: text.into(), ..Message::default() }
}

pub fn edit(seq: Seq, says: &str) -> Intent {
    Intent::Edit { seq, timeline: TIMELINE, message: text(says) }
}

/// A group in a calm world.
pub struct Scene {
    pub world: World,
    pub cid: ConversationId,
    minted: u64,
}

impl Scene {
    /// seq 1: the group is made, 2: `ADMIN` becomes one.
    pub fn new() -> Self {
        let calm = Roughness { append_unknown: 0, append_no_space: 0, store_unavailable: 0 };
        let mut scene = Scene { world: World::new(5, calm), cid: ConversationId([0; 16]), minted: 0 };
        let client_id = scene.mint();
        scene.cid = ConversationId::created(OWNER, client_id);
        let members = vec![ADMIN, MEMBER, OTHER];
        let create = Intent::CreateGroup {
            title: "g".into(),
            members,
            history_visible: false,
            channel: false,
            avatar: String::new(),
        };
        scene.with_id(OWNER, client_id, create).expect("anybody makes a group");
        scene.done(OWNER, Intent::SetRole { member: ADMIN, role: Role::Admin });
        scene
    }

    pub fn mint(&mut self) -> ClientId {
        self.minted += 1;
        ClientId::mint(self.world.now, [self.minted as u8; 10])
    }

    pub fn with_id(
        &mut self,
        by: AccountId,
        client_id: ClientId,
        intent: Intent,
    ) -> Result<Accepted, Refusal> {
        let caller = self.begins(by, client_id, intent);
        self.world.settle();
        match self.world.answers.remove(&caller).expect("it is answered") {
            Ok(Answer::Accepted(accepted)) => Ok(accepted),
            Ok(other) => panic!("a command is accepted or refused, not {other:?}"),
            Err(refusal) => Err(refusal),
        }
    }

    /// Of what is asked nothing happens yet. Under what it is answered.
    pub fn begins(&mut self, by: AccountId, client_id: ClientId, intent: Intent) -> u64 {
        let actor = Actor { account: by, device: DeviceId(1), profile_version: 1 };
        let command = Command { actor, cid: self.cid, peer: None, client_id: Some(client_id), intent };
        self.world.command(command)
    }

    pub fn by(&mut self, account: AccountId, intent: Intent) -> Result<Accepted, Refusal> {
        let client_id = self.mint();
        self.with_id(account, client_id, intent)
    }

    pub fn done(&mut self, account: AccountId, intent: Intent) -> Accepted {
        self.by(account, intent).expect("it is allowed")
    }

    pub fn says(&mut self, account: AccountId, text: &str) -> Seq {
        let message = Message { kind: "text".into(), text: text.into(), ..Message::default() };
        self.done(account, Intent::Send(message)).seq.expect("a message is sequenced")
    }

    pub fn recalls(&mut self, account: AccountId, seq: Seq) -> Result<Accepted, Refusal> {
        self.by(account, Intent::Recall { seq, timeline: TIMELINE })
    }

    pub fn edits(&mut self, account: AccountId, seq: Seq, text: &str) -> Result<Accepted, Refusal> {
        self.by(account, edit(seq, text))
    }

    pub fn ask(&mut self, query: Query) -> Answer {
        let caller = self.world.query(self.world.key.slot(self.cid), query);
        self.world.settle();
        self.world.answers.remove(&caller).expect("it is answered").expect("it may be asked")
    }

    /// A message as somebody is shown it.
    pub fn message_at(&mut self, account: AccountId, seq: Seq) -> Arc<StoredFact> {
        let (cid, after, before) = (self.cid, Some(Seq(seq.0 - 1)), Some(seq.next()));
        let page = Query::Page { account, cid, after, before, changed_after: N(0), limit: 1 };
        let Answer::Page(page) = self.ask(page) else { panic!("a page") };
        page.facts[0].clone()
    }

    /// What a message says to somebody who may see it.
    pub fn text_at(&mut self, account: AccountId, seq: Seq) -> String {
        self.message_at(account, seq).fact.message().expect("a message").text.clone()
    }

    /// What the list shows as the newest message, and the n of the head.
    pub fn preview(&mut self, account: AccountId) -> (String, N) {
        let Answer::Heads { heads, .. } = self.ask(Query::Head { account, cid: self.cid }) else {
            panic!("a head")
        };
        let fact = &heads[0].last_message.as_ref().expect("there is a message").fact;
        let Change::MessageSent(message) = &fact.change else { panic!("a message") };
        (message.text.clone(), heads[0].n)
    }

    pub fn unread(&mut self, account: AccountId) -> u64 {
        let Answer::Heads { heads, .. } = self.ask(Query::Head { account, cid: self.cid }) else {
            panic!("a head")
        };
        heads[0].unread_count
    }

    pub fn wait(&mut self, ms: u64) {
        self.world.now = self.world.now.plus_ms(ms);
    }
}
