//! Wire types end here: frames become validated commands and queries, facts and answers become frames.

mod passing;
mod registers;
mod settings;

use anser_core::conversation::Head;
use anser_core::engine::{Accepted, Answer, Query};
use anser_core::storage::StoredFact;
use anser_model::limits::{
    MEMBERS_PER_COMMAND, MENTIONS_PER_MESSAGE, MESSAGE_BODY_BYTES, MESSAGE_KIND_BYTES, MESSAGE_TEXT_BYTES,
    PAGE_MESSAGES, TITLE_BYTES,
};
use anser_model::{
    AccountId, Actor, Change, ClientId, Command, ConversationId, ConversationKind, Intent, Message, N,
    Refusal, Rewrite, Rewritten, Role, Seq, Timeline,
};
use anser_proto::v1::{self, client_frame::Request};
use anser_proto::{ErrorCode, bodies, wire};

pub use self::passing::{presence, presences, typing};

/// How long a client waits before it repeats what was refused for now.
const RETRY_AFTER_MS: u64 = 500;
/// The same while the disk is full, which nobody mends at once.
const STORAGE_FULL_RETRY_MS: u64 = 5_000;

fn bad(field: &str, right: &str) -> v1::Error {
    v1::Error::new(ErrorCode::BadValue, format!("{field}: {right}"))
}

/// A conversation as a request names it, and the other one if it may have to be made.
fn target(
    actor: AccountId,
    field: &str,
    target: Option<v1::Target>,
) -> Result<(ConversationId, Option<AccountId>), v1::Error> {
    use v1::target::Target;
    match target.and_then(|target| target.target) {
        Some(Target::Cid(cid)) => Ok((cid_of(field, &cid)?, None)),
        Some(Target::Peer(0)) => Err(bad(field, "peer is an account id above 0")),
        Some(Target::Peer(peer)) if peer == actor.0 => Ok((ConversationId::of_self(actor), Some(actor))),
        Some(Target::Peer(peer)) => {
            Ok((ConversationId::direct(actor, AccountId(peer)), Some(AccountId(peer))))
        }
        None => Err(bad(field, "name a conversation by cid or by peer")),
    }
}

fn cid_of(field: &str, bytes: &[u8]) -> Result<ConversationId, v1::Error> {
    wire::cid(bytes).map_err(|error| bad(field, &error.to_string()))
}

fn client_id_of(bytes: &[u8]) -> Result<ClientId, v1::Error> {
    ClientId::from_bytes(bytes).map_err(|error| v1::Error::new(ErrorCode::BadClientId, error.to_string()))
}

fn accounts_of(field: &str, accounts: Vec<u64>, limit: usize) -> Result<Vec<AccountId>, v1::Error> {
    if accounts.len() > limit {
        return Err(bad(field, &format!("at most {limit} accounts, not {}", accounts.len())));
    }
    if accounts.contains(&0) {
        return Err(bad(field, "an account id is above 0"));
    }
    Ok(accounts.into_iter().map(AccountId).collect())
}

fn title_of(title: String) -> Result<String, v1::Error> {
    if title.trim().is_empty() {
        return Err(bad("title", "a title is not empty"));
    }
    if title.len() > TITLE_BYTES {
        return Err(bad("title", &format!("at most {TITLE_BYTES} bytes, not {}", title.len())));
    }
    if title.chars().any(char::is_control) {
        return Err(bad("title", "a title has no control characters"));
    }
    Ok(title)
}

fn message_of(message: Option<v1::Message>) -> Result<Message, v1::Error> {
    let message = message.ok_or_else(|| bad("message", "a message is needed"))?;
    let within = |field: &str, length: usize, limit: usize| {
        if length > limit { Err(bad(field, &format!("at most {limit} bytes, not {length}"))) } else { Ok(()) }
    };
    if message.kind.is_empty() {
        return Err(bad("message.kind", "\"text\" or the name of another kind"));
    }
    if message.recalled {
        return Err(bad("message.recalled", "one says something first; recall takes it back"));
    }
    if message.edits != 0 || message.edited_at_ms != 0 || message.withheld {
        let field = if message.withheld { "message.withheld" } else { "message.edits" };
        return Err(bad(field, "only a server says so of a message; leave it out"));
    }
    within("message.kind", message.kind.len(), MESSAGE_KIND_BYTES)?;
    within("message.text", message.text.len(), MESSAGE_TEXT_BYTES)?;
    within("message.body", message.body.len(), MESSAGE_BODY_BYTES)?;
    if message.kind == "text" && message.text.is_empty() {
        return Err(bad("message.text", "a text message is not empty"));
    }
    if let Err(error) = bodies::check(&message.kind, &message.body) {
        let dot = if error.field.is_empty() { "" } else { "." };
        return Err(bad(&format!("message.body{dot}{}", error.field), &error.right));
    }
    Ok(Message {
        kind: message.kind,
        text: message.text,
        body: message.body,
        reply_to: (message.reply_to != 0).then_some(Seq(message.reply_to)),
        mentions: accounts_of("message.mentions", message.mentions, MENTIONS_PER_MESSAGE)?,
        mention_all: message.mention_all,
        uncounted: message.uncounted,
        forwarded: message.forwarded,
    })
}

/// What an edit makes of a message: what stays as it was is not said again.
fn edit_of(message: Option<v1::Message>) -> Result<Message, v1::Error> {
    let message = message_of(message)?;
    let stays = [
        ("message.reply_to", message.reply_to.is_some()),
        ("message.uncounted", message.uncounted),
        ("message.forwarded", message.forwarded),
    ];
    match stays.into_iter().find(|(_, said)| *said) {
        Some((field, _)) => Err(bad(field, "an edit leaves this as it was; leave it out")),
        None => Ok(message),
    }
}

fn role_of(role: i32) -> Result<Role, v1::Error> {
    match v1::Role::try_from(role) {
        Ok(v1::Role::Member) => Ok(Role::Member),
        Ok(v1::Role::Admin) => Ok(Role::Admin),
        Ok(v1::Role::Owner) => Ok(Role::Owner),
        _ => Err(bad("role", "MEMBER, ADMIN or OWNER")),
    }
}

/// What a request asks of the core.
pub enum Wanted {
    /// To be decided.
    Command(Command),
    /// To be looked up in one conversation.
    Query(ConversationId, Query),
    /// Not for the core.
    Other(Request),
}

/// A request as the core understands it.
pub fn wanted(actor: Actor, request: Request) -> Result<Wanted, v1::Error> {
    let account = actor.account;
    let in_group = |cid: &[u8], client_id: &[u8], intent: Intent| {
        let (cid, client_id) = (cid_of("cid", cid)?, client_id_of(client_id)?);
        Ok(Wanted::Command(Command { actor, cid, peer: None, client_id: Some(client_id), intent }))
    };
    match request {
        Request::Send(send) => {
            let (cid, peer) = target(account, "to", send.to)?;
            let client_id = Some(client_id_of(&send.client_id)?);
            let intent = Intent::Send(message_of(send.message)?);
            Ok(Wanted::Command(Command { actor, cid, peer, client_id, intent }))
        }
        Request::Recall(recall) => {
            let (cid, _) = target(account, "in", recall.r#in)?;
            let client_id = Some(client_id_of(&recall.client_id)?);
            let intent = Intent::Recall { seq: Seq(recall.seq), timeline: Timeline(recall.timeline) };
            Ok(Wanted::Command(Command { actor, cid, peer: None, client_id, intent }))
        }
        Request::Edit(edit) => {
            let (cid, _) = target(account, "in", edit.r#in)?;
            let client_id = Some(client_id_of(&edit.client_id)?);
            let (seq, timeline) = (Seq(edit.seq), Timeline(edit.timeline));
            let intent = Intent::Edit { seq, timeline, message: edit_of(edit.message)? };
            Ok(Wanted::Command(Command { actor, cid, peer: None, client_id, intent }))
        }
        Request::GetVersions(get) => {
            let (cid, _) = target(account, "in", get.r#in)?;
            Ok(Wanted::Query(cid, Query::Versions { account, cid, seq: Seq(get.seq) }))
        }
        Request::ReadUpTo(read) => {
            let (cid, peer) = target(account, "in", read.r#in)?;
            let intent = Intent::ReadUpTo { seq: Seq(read.seq), timeline: Timeline(read.timeline) };
            Ok(Wanted::Command(Command { actor, cid, peer, client_id: None, intent }))
        }
        Request::DeliveredUpTo(_) | Request::MarkUnread(_) | Request::Hide(_) | Request::ClearHistory(_) => {
            registers::wanted(actor, request)
        }
        Request::CreateGroup(create) => {
            let client_id = client_id_of(&create.client_id)?;
            let intent = Intent::CreateGroup {
                title: title_of(create.title)?,
                members: accounts_of("members", create.members, MEMBERS_PER_COMMAND)?,
                history_visible: create.history_visible,
                channel: create.channel,
                avatar: settings::avatar_of(create.avatar)?,
            };
            let cid = ConversationId::created(account, client_id);
            Ok(Wanted::Command(Command { actor, cid, peer: None, client_id: Some(client_id), intent }))
        }
        Request::AddMembers(add) => {
            if add.members.is_empty() {
                return Err(bad("members", "name at least one account"));
            }
            let members = accounts_of("members", add.members, MEMBERS_PER_COMMAND)?;
            in_group(&add.cid, &add.client_id, Intent::AddMembers(members))
        }
        Request::RemoveMember(remove) => {
            in_group(&remove.cid, &remove.client_id, Intent::RemoveMember(AccountId(remove.member)))
        }
        Request::Leave(leave) => in_group(&leave.cid, &leave.client_id, Intent::Leave),
        Request::SetRole(set) => {
            let intent = Intent::SetRole { member: AccountId(set.member), role: role_of(set.role)? };
            in_group(&set.cid, &set.client_id, intent)
        }
        Request::Rename(rename) => {
            in_group(&rename.cid, &rename.client_id, Intent::Rename(title_of(rename.title)?))
        }
        Request::SetAvatar(set) => {
            in_group(&set.cid, &set.client_id, Intent::SetAvatar(settings::avatar_of(set.avatar)?))
        }
        Request::SetHistoryVisible(set) => {
            in_group(&set.cid, &set.client_id, Intent::SetHistoryVisible(set.visible))
        }
        Request::Dissolve(it) => in_group(&it.cid, &it.client_id, Intent::Dissolve),
        Request::GetMarks(marks) => {
            let (cid, _) = target(account, "in", marks.r#in)?;
            Ok(Wanted::Query(cid, Query::Marks { account, cid }))
        }
        Request::Typing(_) | Request::Watch(_) => passing::wanted(account, request),
        Request::GetPage(page) => page_of(account, page),
        Request::GetMembers(members) => {
            let cid = cid_of("cid", &members.cid)?;
            Ok(Wanted::Query(cid, Query::Members { account, cid }))
        }
        other => Ok(Wanted::Other(other)),
    }
}

fn page_of(account: AccountId, page: v1::GetPage) -> Result<Wanted, v1::Error> {
    let (cid, _) = target(account, "in", page.r#in)?;
    if page.limit == 0 || page.limit as usize > PAGE_MESSAGES {
        return Err(bad("limit", &format!("1 to {PAGE_MESSAGES}, not {}", page.limit)));
    }
    let span = page.before_seq.saturating_sub(page.after_seq.saturating_add(1));
    if page.changed_after_n != 0 && (page.before_seq == 0 || span > u64::from(page.limit)) {
        let right = format!("before_seq is given, and no more than {} seqs lie between", page.limit);
        return Err(bad("changed_after_n", &right));
    }
    // What changed is told from the oldest on.
    let from_oldest = page.after_seq != 0 || page.from_oldest || page.changed_after_n != 0;
    let after = from_oldest.then_some(Seq(page.after_seq));
    let before = (page.before_seq != 0).then_some(Seq(page.before_seq));
    let (changed_after, limit) = (N(page.changed_after_n), page.limit as usize);
    Ok(Wanted::Query(cid, Query::Page { account, cid, after, before, changed_after, limit }))
}

/// The accounts that a command names and that must exist for it to make sense.
pub fn named_accounts(command: &Command) -> Vec<AccountId> {
    match &command.intent {
        Intent::Send(_) => command.peer.filter(|&peer| peer != command.actor.account).into_iter().collect(),
        Intent::CreateGroup { members, .. } | Intent::AddMembers(members) => members.clone(),
        _ => Vec::new(),
    }
}

/// A refusal as the catalogue names it.
pub fn error(refusal: &Refusal) -> v1::Error {
    let (code, retry_after_ms) = match refusal {
        Refusal::NotFound => (ErrorCode::NotFound, 0),
        Refusal::NotAllowed(_) => (ErrorCode::NotAllowed, 0),
        Refusal::RecallTooLate { .. } => (ErrorCode::RecallTooLate, 0),
        Refusal::EditTooLate { .. } => (ErrorCode::EditTooLate, 0),
        Refusal::NothingToReplyTo(_) => (ErrorCode::NotFound, 0),
        Refusal::NoLongerMember => (ErrorCode::NoLongerMember, 0),
        Refusal::AlreadyMember => (ErrorCode::AlreadyMember, 0),
        Refusal::NoSuchMember(_) => (ErrorCode::NotFound, 0),
        Refusal::TooManyMembers { .. } => (ErrorCode::TooManyMembers, 0),
        Refusal::TooManyHidden { .. } => (ErrorCode::TooManyHidden, 0),
        Refusal::BeyondHead { .. } => (ErrorCode::BeyondHead, 0),
        Refusal::ForeignTimeline => (ErrorCode::ForeignTimeline, 0),
        Refusal::ClientIdTooOld => (ErrorCode::ClientIdTooOld, 0),
        Refusal::ClientIdInFuture { .. } => (ErrorCode::ClientIdInFuture, 0),
        Refusal::ClientIdReused => (ErrorCode::ClientIdReused, 0),
        Refusal::ClientIdMissing => (ErrorCode::BadClientId, 0),
        Refusal::WrongKind(_) => (ErrorCode::BadValue, 0),
        Refusal::Overloaded => (ErrorCode::Overloaded, RETRY_AFTER_MS),
        Refusal::StorageFull => (ErrorCode::StorageFull, STORAGE_FULL_RETRY_MS),
        Refusal::Unavailable => (ErrorCode::Unavailable, RETRY_AFTER_MS),
        Refusal::UnknownOutcome => (ErrorCode::UnknownOutcome, RETRY_AFTER_MS),
    };
    v1::Error::new(code, refusal.to_string()).after_ms(retry_after_ms)
}

/// A fact as the members of its conversation see it. Facts of the server's own have no such form.
pub fn event(stored: &StoredFact) -> Option<v1::Event> {
    use v1::event::Change as Wire;
    let fact = &stored.fact;
    let numbers = |accounts: &[AccountId]| accounts.iter().map(|account| account.0).collect();
    let change = match &fact.change {
        Change::Created { kind, title, members, history_visible, avatar } => Wire::Created(v1::Created {
            kind: kind_number(*kind) as i32,
            title: title.clone(),
            members: numbers(members),
            avatar: avatar.clone(),
            history_visible: *history_visible,
        }),
        Change::MessageSent(message) => Wire::Message(shown(message, fact.rewritten.as_deref())),
        Change::MembersAdded { members, visible_from: _ } => {
            Wire::MembersAdded(v1::MembersAdded { members: numbers(members) })
        }
        Change::MemberRemoved { member, left, new_owner } => Wire::MemberRemoved(v1::MemberRemoved {
            member: member.0,
            left: *left,
            new_owner: new_owner.map_or(0, |owner| owner.0),
        }),
        Change::RoleSet { member, role } => {
            Wire::RoleSet(v1::RoleSet { member: member.0, role: role_number(*role) as i32 })
        }
        Change::Renamed { title } => Wire::Renamed(v1::Renamed { title: title.clone() }),
        Change::Recalled { stands } => {
            Wire::Recalled(v1::Recalled { seq: stands.seq.map_or(0, |seq| seq.0) })
        }
        Change::Edited { seq, to_all, stands } => {
            let stands = stands.as_deref().filter(|_| *to_all);
            let message =
                stands.and_then(|stands| Some(shown(stands.message()?, stands.rewritten.as_deref())));
            Wire::Edited(v1::Edited { seq: seq.0, message })
        }
        Change::ReadUpTo { member, seq, ordinal } => {
            Wire::MarkMoved(v1::MarkMoved { member: member.0, seq: seq.0, ordinal: ordinal.0 })
        }
        Change::AvatarSet { .. } | Change::HistoryVisibleSet { .. } | Change::Dissolved => {
            settings::event(&fact.change)
        }
        Change::DeliveredUpTo { .. }
        | Change::UnreadMarked { .. }
        | Change::MessagesHidden { .. }
        | Change::HistoryCleared { .. } => registers::event(&fact.change),
        Change::Entered { .. } | Change::CredentialsRaised { .. } => return None,
    };
    Some(v1::Event {
        slot: u32::from(stored.slot.0),
        n: stored.n.0,
        cid: wire::cid_bytes(fact.cid),
        at_ms: fact.at.0,
        author: fact.author.0,
        client_id: fact.command.map(|key| wire::client_id_bytes(key.client_id)).unwrap_or_default(),
        seq: fact.seq.map_or(0, |seq| seq.0),
        ordinal: fact.ordinal.0,
        author_profile_version: fact.author_profile_version,
        change: Some(change),
    })
}

/// A message with what became of it since it was sent.
fn shown(message: &Message, rewritten: Option<&Rewritten>) -> v1::Message {
    let what = rewritten.map(|rewritten| &rewritten.what);
    let edits = match what {
        Some(Rewrite::Edited(edits)) => Some(edits),
        _ => None,
    };
    v1::Message {
        kind: message.kind.clone(),
        text: message.text.clone(),
        body: message.body.clone(),
        reply_to: message.reply_to.map_or(0, |seq| seq.0),
        mentions: message.mentions.iter().map(|account| account.0).collect(),
        mention_all: message.mention_all,
        uncounted: message.uncounted,
        recalled: matches!(what, Some(Rewrite::Recalled)),
        forwarded: message.forwarded,
        edits: edits.map_or(0, |edits| edits.times),
        edited_at_ms: edits.map_or(0, |edits| edits.at.0),
        withheld: matches!(what, Some(Rewrite::Withheld)),
    }
}

fn kind_number(kind: ConversationKind) -> v1::ConversationKind {
    match kind {
        ConversationKind::Direct => v1::ConversationKind::Direct,
        ConversationKind::Group => v1::ConversationKind::Group,
        ConversationKind::OfSelf => v1::ConversationKind::Self_,
        ConversationKind::Channel => v1::ConversationKind::Channel,
    }
}

fn role_number(role: Role) -> v1::Role {
    match role {
        Role::Member => v1::Role::Member,
        Role::Admin => v1::Role::Admin,
        Role::Owner => v1::Role::Owner,
    }
}

/// A head as its asker sees it.
pub fn head(head: &Head) -> v1::Head {
    v1::Head {
        cid: wire::cid_bytes(head.cid),
        kind: kind_number(head.kind) as i32,
        n: head.n.0,
        title: head.title.clone(),
        peer: head.peer.map_or(0, |peer| peer.0),
        seq: head.seq.0,
        ordinal: head.ordinal.0,
        last_message: head.last_message.as_deref().and_then(event),
        role: head.role.map_or(v1::Role::Unspecified, role_number) as i32,
        mark: head.mark.0,
        base_seq: head.unread.base().0,
        base_ordinal: head.unread.base_ordinal().0,
        own_sends: head.unread.own_sends().iter().map(|(seq, _)| seq.0).collect(),
        own_send_ordinals: head.unread.own_sends().iter().map(|(_, ordinal)| ordinal.0).collect(),
        unread: head.unread_count,
        peer_mark: head.peer_mark.map_or(0, |mark| mark.0),
        member_count: head.member_count,
        at_ms: head.at.0,
        first_visible_seq: head.first_visible.0,
        mentions: head.unread.mentions().iter().map(|seq| seq.0).collect(),
        mention_all_seq: head.mention_all.0,
        peer_delivered: head.peer_delivered.map_or(0, |seq| seq.0),
        marked_unread: head.marked_unread,
        cleared_seq: head.cleared.0,
        hidden: registers::ranges(&head.hidden),
        avatar: head.avatar.clone(),
        history_visible: head.history_visible,
    }
}

fn accepted(accepted: &Accepted) -> v1::Accepted {
    v1::Accepted {
        cid: wire::cid_bytes(accepted.cid),
        slot: u32::from(accepted.slot.0),
        n: accepted.n.0,
        seq: accepted.seq.map_or(0, |seq| seq.0),
        at_ms: accepted.at.0,
        duplicate: accepted.duplicate,
        ordinal: accepted.ordinal.0,
    }
}

/// The answer to a request of a client.
pub fn result(answer: &Answer) -> v1::response::Result {
    use v1::response::Result as Wire;
    match answer {
        Answer::Accepted(done) => Wire::Accepted(accepted(done)),
        Answer::Page(page) => Wire::Page(v1::Page {
            cid: wire::cid_bytes(page.cid),
            events: page.facts.iter().filter_map(|fact| event(fact)).collect(),
            more: page.more,
            slot: u32::from(page.slot.0),
            n: page.n.0,
        }),
        Answer::Members(members) => Wire::MemberList(v1::MemberList {
            cid: wire::cid_bytes(members.cid),
            members: members
                .members
                .iter()
                .map(|&(account, role, joined_at)| v1::Member {
                    account: account.0,
                    role: role_number(role) as i32,
                    joined_at_ms: joined_at.0,
                })
                .collect(),
        }),
        Answer::Versions(list) => Wire::VersionList(v1::VersionList {
            cid: wire::cid_bytes(list.cid),
            seq: list.seq.0,
            edits: list.edits,
            versions: list
                .versions
                .iter()
                .map(|it| v1::Version { at_ms: it.at.0, text: it.text.clone(), body: it.body.clone() })
                .collect(),
            slot: u32::from(list.slot.0),
            n: list.n.0,
        }),
        Answer::Marks(marks) => Wire::MarkList(registers::marks(marks)),
        Answer::Heads { heads, .. } => {
            Wire::ConversationList(v1::ConversationList { heads: heads.iter().map(head).collect() })
        }
        Answer::Done => Wire::Done(v1::Done {}),
        Answer::Home(_) | Answer::Acquainted(_) => {
            Wire::Error(v1::Error::new(ErrorCode::Internal, "what the server asks is not for clients"))
        }
    }
}
