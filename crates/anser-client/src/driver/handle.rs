//! What an application calls.

use std::sync::{Arc, Mutex};

use anser_model::{AccountId, ClientId, ConversationId};
use anser_proto::v1::{self, Target};
use anser_proto::wire;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::driver::run::Call;
use crate::driver::{Options, Updates, prepare};
use crate::session::{Answer, Command, Ended, Entry, Failure, Query, Session, Status, command::Intent};
use crate::store::StoreError;

/// Facts in a page when the caller names no number.
pub const PAGE_FACTS: u32 = 50;

/// A client. Cheap to clone; the connection lasts until `stop`, or until the last clone is gone.
#[derive(Clone)]
pub struct Client {
    calls: mpsc::Sender<Call>,
    status: watch::Receiver<Status>,
    /// The driver, when this client runs it.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The session says why.
    #[error(transparent)]
    Session(#[from] Failure),
    /// The driver is not running any more.
    #[error("the client has stopped")]
    Stopped,
    /// The server answered with something else than was asked for.
    #[error("the answer is not one to this request")]
    WrongAnswer,
}

/// A conversation as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationView {
    /// Which.
    pub cid: ConversationId,
    /// Its head; `unread` counts marks on their way as read.
    pub head: v1::Head,
}

/// What a conversation holds, as a chat shows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatView {
    /// Its head, if it is known.
    pub head: Option<v1::Head>,
    /// Facts that are held, ascending by seq.
    pub facts: Vec<v1::Event>,
    /// Which seqs are held, as islands, both ends included.
    pub islands: Vec<(u64, u64)>,
    /// Own commands that are not accepted yet, failed ones included; they belong below.
    pub pending: Vec<Entry>,
}

/// What was handed over, and has no answer yet.
#[derive(Debug)]
pub struct Posted {
    answered: oneshot::Receiver<Result<Answer, Failure>>,
}

impl Client {
    pub(super) fn new(calls: mpsc::Sender<Call>, status: watch::Receiver<Status>) -> Self {
        Client { calls, status, tasks: Arc::new(Mutex::new(JoinSet::new())) }
    }

    /// Makes a client and runs it on the current tokio runtime. Returns at once: calls wait until the
    /// connection is there.
    pub fn connect(options: Options) -> Result<(Client, Updates), StoreError> {
        let (client, updates, driver) = prepare(options)?;
        client.lock_tasks().spawn(driver.run());
        Ok((client, updates))
    }

    /// How the connection stands.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until the session is attached. An error when it ended instead.
    pub async fn attached(&self) -> Result<AccountId, ClientError> {
        let mut status = self.status.clone();
        let reached =
            status.wait_for(|status| matches!(status, Status::Attached { .. } | Status::Ended(_))).await;
        match reached.map_err(|_| ClientError::Stopped)?.clone() {
            Status::Attached { account, .. } => Ok(account),
            Status::Ended(ended) => Err(Failure::Ended(ended).into()),
            Status::Idle | Status::Connecting | Status::Waiting { .. } => Err(ClientError::Stopped),
        }
    }

    /// Closes the connection, saves, and ends. Commands without an answer stay in the store.
    pub async fn stop(&self) {
        // A driver that is gone has stopped.
        let _ = self.calls.send(Call::Stop).await;
        let mut tasks = std::mem::take(&mut *self.lock_tasks());
        while tasks.join_next().await.is_some() {}
    }

    /// Sends a text.
    pub async fn send_text(&self, to: Target, text: impl Into<String>) -> Result<v1::Accepted, ClientError> {
        self.send(to, v1::Message::text(text)).await
    }

    /// Sends a message. Answers when it is durable, however many connections that takes.
    pub async fn send(&self, to: Target, message: v1::Message) -> Result<v1::Accepted, ClientError> {
        let send = v1::Send { to: Some(to), message: Some(message), ..v1::Send::default() };
        self.command(Command::Send(send)).await
    }

    /// Moves one's own read mark.
    pub async fn read_up_to(&self, target: Target, seq: u64) -> Result<v1::Accepted, ClientError> {
        accepted(self.ask(Intent::ReadUpTo { target, seq }).await?)
    }

    /// Makes a group; the answer names its cid.
    pub async fn create_group(
        &self,
        title: impl Into<String>,
        members: &[AccountId],
        history_visible: bool,
    ) -> Result<v1::Accepted, ClientError> {
        let (title, members) = (title.into(), numbers(members));
        let group = v1::CreateGroup { title, members, history_visible, ..v1::CreateGroup::default() };
        self.command(Command::CreateGroup(group)).await
    }

    /// Brings people into a group.
    pub async fn add_members(
        &self,
        cid: ConversationId,
        members: &[AccountId],
    ) -> Result<v1::Accepted, ClientError> {
        let (cid, members) = (wire::cid_bytes(cid), numbers(members));
        self.command(Command::AddMembers(v1::AddMembers { cid, members, ..v1::AddMembers::default() })).await
    }

    /// Puts somebody out of a group.
    pub async fn remove_member(
        &self,
        cid: ConversationId,
        member: AccountId,
    ) -> Result<v1::Accepted, ClientError> {
        let (cid, member) = (wire::cid_bytes(cid), member.get());
        self.command(Command::RemoveMember(v1::RemoveMember { cid, member, ..v1::RemoveMember::default() }))
            .await
    }

    /// Leaves a group.
    pub async fn leave(&self, cid: ConversationId) -> Result<v1::Accepted, ClientError> {
        self.command(Command::Leave(v1::Leave { cid: wire::cid_bytes(cid), ..v1::Leave::default() })).await
    }

    /// Gives a role.
    pub async fn set_role(
        &self,
        cid: ConversationId,
        member: AccountId,
        role: v1::Role,
    ) -> Result<v1::Accepted, ClientError> {
        let (cid, member, role) = (wire::cid_bytes(cid), member.get(), role.into());
        self.command(Command::SetRole(v1::SetRole { cid, member, role, ..v1::SetRole::default() })).await
    }

    /// Changes a group's title.
    pub async fn rename(
        &self,
        cid: ConversationId,
        title: impl Into<String>,
    ) -> Result<v1::Accepted, ClientError> {
        let (cid, title) = (wire::cid_bytes(cid), title.into());
        self.command(Command::Rename(v1::Rename { cid, title, ..v1::Rename::default() })).await
    }

    /// Takes a message back.
    pub async fn recall(&self, cid: ConversationId, seq: u64) -> Result<v1::Accepted, ClientError> {
        let recall = v1::Recall { r#in: Some(Target::cid(cid)), seq, ..v1::Recall::default() };
        self.command(Command::Recall(recall)).await
    }

    /// Says something else in one's own message: its kind stays, and what it replies to.
    pub async fn edit(
        &self,
        cid: ConversationId,
        seq: u64,
        message: v1::Message,
    ) -> Result<v1::Accepted, ClientError> {
        let (r#in, message) = (Some(Target::cid(cid)), Some(message));
        self.command(Command::Edit(v1::Edit { r#in, seq, message, ..v1::Edit::default() })).await
    }

    /// Makes a channel, in which only admins and the owner write; the answer names its cid.
    pub async fn create_channel(
        &self,
        title: impl Into<String>,
        members: &[AccountId],
        history_visible: bool,
    ) -> Result<v1::Accepted, ClientError> {
        let (title, members) = (title.into(), numbers(members));
        let channel =
            v1::CreateGroup { title, members, history_visible, channel: true, ..v1::CreateGroup::default() };
        self.command(Command::CreateGroup(channel)).await
    }

    /// Changes the picture of a group or a channel; empty for none.
    pub async fn set_avatar(
        &self,
        cid: ConversationId,
        avatar: impl Into<String>,
    ) -> Result<v1::Accepted, ClientError> {
        let (cid, avatar) = (wire::cid_bytes(cid), avatar.into());
        self.command(Command::SetAvatar(v1::SetAvatar { cid, avatar, ..v1::SetAvatar::default() })).await
    }

    /// Decides what those who join a group or a channel from now on see of the past.
    pub async fn set_history_visible(
        &self,
        cid: ConversationId,
        visible: bool,
    ) -> Result<v1::Accepted, ClientError> {
        let cid = wire::cid_bytes(cid);
        let set = v1::SetHistoryVisible { cid, visible, ..v1::SetHistoryVisible::default() };
        self.command(Command::SetHistoryVisible(set)).await
    }

    /// Ends a group or a channel for everybody.
    pub async fn dissolve(&self, cid: ConversationId) -> Result<v1::Accepted, ClientError> {
        let cid = wire::cid_bytes(cid);
        self.command(Command::Dissolve(v1::Dissolve { cid, ..v1::Dissolve::default() })).await
    }

    /// Marks a conversation as unread for oneself, or takes that away.
    pub async fn mark_unread(&self, cid: ConversationId, marked: bool) -> Result<v1::Accepted, ClientError> {
        let mark = v1::MarkUnread { r#in: Some(Target::cid(cid)), marked };
        accepted(self.ask(Intent::Query(Query::MarkUnread(mark))).await?)
    }

    /// Hides facts from oneself, on all one's devices.
    pub async fn hide(&self, cid: ConversationId, seqs: &[u64]) -> Result<v1::Accepted, ClientError> {
        let ranges = seqs.iter().map(|&seq| v1::SeqRange { low: seq, high: seq }).collect();
        let hide = v1::Hide { r#in: Some(Target::cid(cid)), ranges, timeline: 0 };
        accepted(self.ask(Intent::Query(Query::Hide(hide))).await?)
    }

    /// Hides everything up to `seq` from oneself, and counts it as read.
    pub async fn clear_history(&self, cid: ConversationId, seq: u64) -> Result<v1::Accepted, ClientError> {
        let clear = v1::ClearHistory { r#in: Some(Target::cid(cid)), seq, timeline: 0 };
        accepted(self.ask(Intent::Query(Query::ClearHistory(clear))).await?)
    }

    /// How far the members of a conversation have read.
    pub async fn marks(&self, cid: ConversationId) -> Result<Vec<v1::MemberMark>, ClientError> {
        let asked = v1::GetMarks { r#in: Some(Target::cid(cid)) };
        match self.ask(Intent::Query(Query::Marks(asked))).await? {
            Answer::Marks(list) => Ok(list.marks),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Tells the others of a conversation that one is typing. They are told again when it is said again: every 4
    /// seconds, while it goes on. An error where there is no time for it, or no connection for a while, is of no
    /// consequence.
    pub async fn typing(&self, target: Target) -> Result<(), ClientError> {
        let typing = v1::Typing { r#in: Some(target) };
        match self.ask(Intent::Query(Query::Typing(typing))).await? {
            Answer::Done => Ok(()),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Watches whether these people of a conversation are there, in place of those watched in it before; none: nobody
    /// any more. What is known comes as updates, and is in [`Client::look`] under `presences`.
    pub async fn watch(&self, cid: ConversationId, accounts: Vec<AccountId>) -> Result<(), ClientError> {
        self.ask(Intent::Watch { cid, accounts }).await.map(drop)
    }

    /// Any command.
    pub async fn command(&self, command: Command) -> Result<v1::Accepted, ClientError> {
        accepted(self.ask(Intent::Command(command)).await?)
    }

    /// Any command or mark, handed over: what is posted one after another is sent in that order. The
    /// answer is awaited apart from that, or not at all.
    pub async fn post(&self, intent: Intent) -> Result<Posted, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call::Do(intent, answer)).await.map_err(|_| self.stopped())?;
        Ok(Posted { answered })
    }

    /// Tries a failed send again, as a new one.
    pub async fn retry(&self, failed: ClientId) -> Result<v1::Accepted, ClientError> {
        accepted(self.ask(Intent::Retry(failed)).await?)
    }

    /// Forgets a failed send.
    pub async fn discard(&self, failed: ClientId) -> Result<(), ClientError> {
        self.ask(Intent::Discard(failed)).await.map(drop)
    }

    /// Facts of a conversation: the newest; those below `before_seq`; or those above `after_seq`.
    pub async fn page(&self, asked: v1::GetPage) -> Result<v1::Page, ClientError> {
        match self.ask(Intent::Query(Query::Page(asked))).await? {
            Answer::Page(page) => Ok(page),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// The page of facts right below `before_seq`; the newest for 0.
    pub async fn page_before(&self, target: Target, before_seq: u64) -> Result<v1::Page, ClientError> {
        let asked =
            v1::GetPage { r#in: Some(target), before_seq, limit: PAGE_FACTS, ..v1::GetPage::default() };
        self.page(asked).await
    }

    /// Members of a conversation.
    pub async fn members(&self, cid: ConversationId) -> Result<Vec<v1::Member>, ClientError> {
        let asked = v1::GetMembers { cid: wire::cid_bytes(cid) };
        match self.ask(Intent::Query(Query::Members(asked))).await? {
            Answer::Members(list) => Ok(list.members),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// What a message said before it was edited, oldest first.
    pub async fn versions(&self, target: Target, seq: u64) -> Result<Vec<v1::Version>, ClientError> {
        let asked = v1::GetVersions { r#in: Some(target), seq };
        match self.ask(Intent::Query(Query::Versions(asked))).await? {
            Answer::Versions(list) => Ok(list.versions),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Profiles of people, at most 200.
    pub async fn profiles(&self, accounts: &[AccountId]) -> Result<Vec<v1::Profile>, ClientError> {
        let asked = v1::GetProfiles { accounts: numbers(accounts) };
        match self.ask(Intent::Query(Query::Profiles(asked))).await? {
            Answer::Profiles(list) => Ok(list.profiles),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Every conversation, asked of the server.
    pub async fn fetch_conversations(&self) -> Result<Vec<v1::Head>, ClientError> {
        let asked = v1::GetConversations::default();
        match self.ask(Intent::Query(Query::Conversations(asked))).await? {
            Answer::Conversations(list) => Ok(list.heads),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Every conversation that the session knows, the newest first.
    pub async fn conversations(&self) -> Result<Vec<ConversationView>, ClientError> {
        self.look(|session| {
            let view = |conversation: &crate::session::Conversation| {
                let cid = conversation.cid();
                let head = v1::Head { unread: session.unread(cid), ..conversation.head() };
                ConversationView { cid, head }
            };
            session.conversations().into_iter().map(view).collect()
        })
        .await
    }

    /// What the session knows of one conversation.
    pub async fn chat(&self, cid: ConversationId) -> Result<ChatView, ClientError> {
        self.look(move |session| {
            let pending = session.pending(cid).cloned().collect();
            let Some(conversation) = session.conversation(cid) else {
                return ChatView { pending, ..ChatView::default() };
            };
            ChatView {
                head: Some(v1::Head { unread: session.unread(cid), ..conversation.head() }),
                facts: conversation.facts().cloned().collect(),
                islands: conversation.ranges().islands().to_vec(),
                pending,
            }
        })
        .await
    }

    /// Looks at the session, on the driver's task: must be quick.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Session) -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let (seen, answer) = oneshot::channel();
        // Nobody may be waiting any more.
        let call = Call::Look(Box::new(move |session| drop(seen.send(look(session)))));
        self.calls.send(call).await.map_err(|_| ClientError::Stopped)?;
        answer.await.map_err(|_| ClientError::Stopped)
    }

    /// Anything that a session can be asked.
    pub async fn ask(&self, intent: Intent) -> Result<Answer, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call::Do(intent, answer)).await.map_err(|_| self.stopped())?;
        Ok(answered.await.map_err(|_| self.stopped())??)
    }

    fn stopped(&self) -> ClientError {
        match self.status() {
            Status::Ended(ended) if ended != Ended::Stopped => Failure::Ended(ended).into(),
            _ => ClientError::Stopped,
        }
    }

    fn lock_tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Posted {
    /// The answer, when the command is durable or refused.
    pub async fn accepted(self) -> Result<v1::Accepted, ClientError> {
        accepted(self.answered.await.map_err(|_| ClientError::Stopped)??)
    }
}

fn accepted(answer: Answer) -> Result<v1::Accepted, ClientError> {
    match answer {
        Answer::Accepted(accepted) => Ok(accepted),
        _ => Err(ClientError::WrongAnswer),
    }
}

fn numbers(accounts: &[AccountId]) -> Vec<u64> {
    accounts.iter().map(|account| account.get()).collect()
}
