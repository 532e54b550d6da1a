//! What a command becomes: `(state, command) → changes | refusal`. Synchronous and pure.
//!
//! Idempotency, time and other slots were dealt with before; here are only the rules of conversations.

mod registers;
mod settings;

use anser_model::limits::{EDIT_WINDOW_MS, GROUP_MEMBERS, RECALL_WINDOW_MS};
use anser_model::{
    AccountId, Change, Command, ConversationKind, Intent, Message, Refusal, Role, Seq, Timeline, UnixMillis,
    planted,
};

use crate::conversation::{Conversation, Member};
use crate::storage::StoredFact;

/// What a decision may look at besides the conversation.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The history that seqs belong to.
    pub timeline: Timeline,
    /// The time of what is decided.
    pub now: UnixMillis,
    /// The fact at the seq that the command names, where [`fact_wanted`] asked for it.
    pub named: Option<&'a StoredFact>,
}

/// The changes that a command makes, in order; the last one answers it. None
/// of them: it is true already, which only a register may come to.
pub fn decide(
    conversation: &Conversation,
    command: &Command,
    context: Context<'_>,
) -> Result<Vec<Change>, Refusal> {
    let actor = command.actor.account;
    match &command.intent {
        Intent::Send(message) => {
            let mut changes = Vec::with_capacity(1);
            if conversation.shared.kind.is_none() {
                changes.push(created_by_first_message(command)?);
            } else if !speaks_for_the_installation(conversation, actor) {
                require_writer(conversation, actor)?;
            }
            check_mentions(conversation, message)?;
            if let Some(seq) = message.reply_to.filter(|&seq| !may_see(conversation, actor, seq)) {
                return Err(Refusal::NothingToReplyTo(seq));
            }
            changes.push(Change::MessageSent(message.clone()));
            Ok(changes)
        }
        Intent::Recall { seq, timeline } => recall(conversation, actor, *seq, *timeline, context),
        Intent::Edit { seq, timeline, message } => {
            edit(conversation, actor, *seq, *timeline, message, context)
        }
        Intent::ReadUpTo { seq, timeline } => read_up_to(conversation, actor, *seq, *timeline, context),
        Intent::DeliveredUpTo { seq, timeline } => {
            registers::delivered(conversation, actor, *seq, *timeline, context)
        }
        Intent::MarkUnread(marked) => registers::mark_unread(conversation, actor, *marked),
        Intent::Hide { ranges, timeline } => registers::hide(conversation, actor, ranges, *timeline, context),
        Intent::ClearHistory { seq, timeline } => {
            registers::clear(conversation, actor, *seq, *timeline, context)
        }
        Intent::CreateGroup { title, members, history_visible, channel, avatar } => {
            assert!(conversation.shared.kind.is_none(), "a retried creation is answered as a duplicate");
            let members = distinct(members, |member| member != actor);
            require_room(members.len() + 1)?;
            Ok(vec![Change::Created {
                kind: if *channel { ConversationKind::Channel } else { ConversationKind::Group },
                title: title.clone(),
                members,
                history_visible: *history_visible,
                avatar: avatar.clone(),
            }])
        }
        Intent::AddMembers(members) => {
            require_group(conversation, actor)?;
            let members = distinct(members, |member| conversation.present(member).is_none());
            if members.is_empty() {
                return Err(Refusal::AlreadyMember);
            }
            require_room(conversation.roster().len() + members.len())?;
            let visible_from =
                if conversation.shared.history_visible { Seq(1) } else { conversation.shared.head.next() };
            Ok(vec![Change::MembersAdded { members, visible_from }])
        }
        Intent::RemoveMember(subject) => remove_member(conversation, actor, *subject),
        Intent::Leave => leave(conversation, actor),
        Intent::SetRole { member, role } => set_role(conversation, actor, *member, *role),
        Intent::Rename(title) => {
            if require_group(conversation, actor)?.role < Role::Admin {
                return Err(Refusal::NotAllowed("admins and the owner rename a group"));
            }
            Ok(vec![Change::Renamed { title: title.clone() }])
        }
        Intent::SetAvatar(avatar) => settings::set_avatar(conversation, actor, avatar),
        Intent::SetHistoryVisible(visible) => settings::set_history_visible(conversation, actor, *visible),
        Intent::Dissolve => settings::dissolve(conversation, actor),
        Intent::Enter(slot) => Ok(if conversation.shared.home.has_entered(*slot) {
            Vec::new()
        } else {
            vec![Change::Entered { account: require_peer(command)?, slot: *slot }]
        }),
        Intent::RaiseCredentials { account_version, device, why } => {
            let home = &conversation.shared.home;
            let known = |device| home.devices.get(&device).copied().unwrap_or(0);
            let raises = *account_version > home.account_version
                || device.is_some_and(|(device, version)| version > known(device));
            // Accounts tell every revocation twice: once at once, once from their outbox.
            Ok(if raises {
                vec![Change::CredentialsRaised {
                    account: require_peer(command)?,
                    account_version: *account_version,
                    device: *device,
                    why: *why,
                }]
            } else {
                Vec::new()
            })
        }
    }
}

/// Who becomes a member if the command is done: their homes must know of this slot first.
pub fn joiners(conversation: &Conversation, command: &Command) -> Vec<AccountId> {
    let actor = command.actor.account;
    match &command.intent {
        Intent::Send(_) if conversation.shared.kind.is_none() => match command.peer {
            // The home knows of its own slot: asking it from here would wait for itself.
            Some(peer) if peer != actor => vec![actor, peer],
            _ => Vec::new(),
        },
        Intent::CreateGroup { members, .. } => {
            let mut all = distinct(members, |member| member != actor);
            all.push(actor);
            all
        }
        Intent::AddMembers(members) if conversation.present(actor).is_some() => {
            distinct(members, |member| conversation.present(member).is_none())
        }
        _ => Vec::new(),
    }
}

/// The seq of the fact that a command has to be decided on, if there is one that its actor may see.
pub fn fact_wanted(conversation: &Conversation, command: &Command) -> Option<Seq> {
    let member = conversation.members.get(&command.actor.account)?;
    match command.intent {
        Intent::ReadUpTo { seq, .. } => {
            let moves = seq > member.mark && seq <= member.intervals.newest(conversation.shared.head);
            (moves && seq != conversation.shared.head).then_some(seq)
        }
        Intent::ClearHistory { seq, .. } => {
            let clears = seq > member.cleared && seq <= member.intervals.newest(conversation.shared.head);
            (clears && seq != conversation.shared.head).then_some(seq)
        }
        Intent::Recall { seq, .. } | Intent::Edit { seq, .. } => {
            let there = seq > Seq(0) && seq <= conversation.shared.head;
            (there && member.intervals.is_open() && member.intervals.contains(seq)).then_some(seq)
        }
        _ => None,
    }
}

fn created_by_first_message(command: &Command) -> Result<Change, Refusal> {
    let peer = require_peer(command)?;
    let (kind, members) = if peer == command.actor.account {
        (ConversationKind::OfSelf, Vec::new())
    } else {
        (ConversationKind::Direct, vec![peer])
    };
    Ok(Change::Created { kind, title: String::new(), members, history_visible: true, avatar: String::new() })
}

fn recall(
    conversation: &Conversation,
    actor: AccountId,
    seq: Seq,
    timeline: Timeline,
    context: Context<'_>,
) -> Result<Vec<Change>, Refusal> {
    let (member, target) = message_at(conversation, actor, seq, timeline, context)?;
    let any = member.role >= Role::Admin && is_group(conversation);
    if !any && target.fact.author != actor {
        return Err(Refusal::NotAllowed("one recalls one's own messages; admins and the owner any"));
    }
    // A retry was answered before this: it is another command, which has nothing to do and leaves no fact.
    if target.fact.is_recalled() {
        return Err(Refusal::NotAllowed("the message was recalled already"));
    }
    let age_ms = context.now.0.saturating_sub(target.fact.at.0);
    if !any && age_ms > RECALL_WINDOW_MS {
        return Err(Refusal::RecallTooLate { age_ms });
    }
    let by = conversation.shared.head.next();
    Ok(vec![Change::Recalled { stands: Box::new(target.fact.without_body(target.first_n(), by)) }])
}

fn edit(
    conversation: &Conversation,
    actor: AccountId,
    seq: Seq,
    timeline: Timeline,
    message: &Message,
    context: Context<'_>,
) -> Result<Vec<Change>, Refusal> {
    let (_, target) = message_at(conversation, actor, seq, timeline, context)?;
    if target.fact.author != actor {
        return Err(Refusal::NotAllowed("one edits one's own messages"));
    }
    if target.fact.is_recalled() {
        return Err(Refusal::NotAllowed("the message was recalled: nothing is left to edit"));
    }
    let age_ms = context.now.0.saturating_sub(target.fact.at.0);
    if age_ms > EDIT_WINDOW_MS {
        return Err(Refusal::EditTooLate { age_ms });
    }
    if target.fact.message().is_some_and(|sent| sent.kind != message.kind) {
        return Err(Refusal::WrongKind("message.kind: an edited message keeps its kind"));
    }
    check_mentions(conversation, message)?;
    let by = conversation.shared.head.next();
    let stands = target.fact.edited(message, target.first_n(), by, context.now);
    let to_all = conversation.roster().iter().all(|&account| may_see(conversation, account, seq));
    Ok(vec![Change::Edited { seq, to_all, stands: Some(Box::new(stands)) }])
}

/// The message that a present member names.
fn message_at<'a>(
    conversation: &'a Conversation,
    actor: AccountId,
    seq: Seq,
    timeline: Timeline,
    context: Context<'a>,
) -> Result<(&'a Member, &'a StoredFact), Refusal> {
    if timeline != context.timeline {
        return Err(Refusal::ForeignTimeline);
    }
    let member = require_member(conversation, actor)?;
    // What is not there, what may not be seen and what is no message are told alike.
    let target = context.named.ok_or(Refusal::NotFound)?;
    assert_eq!(target.fact.seq, Some(seq), "the fact that was asked for is prefetched");
    if target.fact.message().is_none() {
        return Err(Refusal::NotFound);
    }
    Ok((member, target))
}

fn check_mentions(conversation: &Conversation, message: &Message) -> Result<(), Refusal> {
    if message.mention_all && !is_group(conversation) {
        return Err(Refusal::WrongKind("only groups can be mentioned as a whole"));
    }
    Ok(())
}

/// Whether there is a sequenced fact that an account may see.
fn may_see(conversation: &Conversation, account: AccountId, seq: Seq) -> bool {
    let member = conversation.members.get(&account);
    seq <= conversation.shared.head && member.is_some_and(|member| member.intervals.contains(seq))
}

fn read_up_to(
    conversation: &Conversation,
    actor: AccountId,
    seq: Seq,
    timeline: Timeline,
    context: Context<'_>,
) -> Result<Vec<Change>, Refusal> {
    if timeline != context.timeline {
        return Err(Refusal::ForeignTimeline);
    }
    let member = conversation.members.get(&actor).ok_or(Refusal::NotFound)?;
    let newest = member.intervals.newest(conversation.shared.head);
    if seq > newest {
        return Err(Refusal::BeyondHead { asked: seq.0, head: newest.0 });
    }
    if seq <= member.mark && !planted!(MarkMovesBack) {
        return Ok(Vec::new());
    }
    let ordinal = if seq == conversation.shared.head {
        conversation.shared.ordinal
    } else {
        context.named.expect("the fact at a mark inside is prefetched").fact.ordinal
    };
    Ok(vec![Change::ReadUpTo { member: actor, seq, ordinal }])
}

fn remove_member(
    conversation: &Conversation,
    actor: AccountId,
    subject: AccountId,
) -> Result<Vec<Change>, Refusal> {
    let remover = require_group(conversation, actor)?;
    if remover.role < Role::Admin {
        return Err(Refusal::NotAllowed("admins and the owner remove members"));
    }
    if subject == actor {
        return Err(Refusal::NotAllowed("one leaves; one does not remove oneself"));
    }
    let removed = conversation.present(subject).ok_or(Refusal::NoSuchMember(subject))?;
    if removed.role >= remover.role {
        return Err(Refusal::NotAllowed("one removes only those of a lower role"));
    }
    Ok(vec![Change::MemberRemoved { member: subject, left: false, new_owner: None }])
}

fn leave(conversation: &Conversation, actor: AccountId) -> Result<Vec<Change>, Refusal> {
    let leaver = require_group(conversation, actor)?;
    let new_owner = if leaver.role == Role::Owner { heir(conversation, actor) } else { None };
    Ok(vec![Change::MemberRemoved { member: actor, left: true, new_owner }])
}

/// Who owns the group after `owner` left: the longest-serving admin, else the longest-serving member.
fn heir(conversation: &Conversation, owner: AccountId) -> Option<AccountId> {
    conversation
        .roster()
        .iter()
        .filter(|&&account| account != owner)
        .min_by_key(|account| {
            let member = &conversation.members[account];
            (std::cmp::Reverse(member.role), member.joined_seq, **account)
        })
        .copied()
}

fn set_role(
    conversation: &Conversation,
    actor: AccountId,
    subject: AccountId,
    role: Role,
) -> Result<Vec<Change>, Refusal> {
    if require_group(conversation, actor)?.role != Role::Owner {
        return Err(Refusal::NotAllowed("the owner gives roles"));
    }
    if subject == actor {
        return Err(Refusal::NotAllowed("the owner hands over by making somebody else the owner"));
    }
    let member = conversation.present(subject).ok_or(Refusal::NoSuchMember(subject))?;
    // A role that is held already is given again: a command under a client id leaves a fact, or a retry
    // that comes late would have an effect that the first did not have.
    assert!(member.role != Role::Owner, "a group has one owner, and it is the actor");
    let given = Change::RoleSet { member: subject, role };
    Ok(match role {
        Role::Owner => vec![Change::RoleSet { member: actor, role: Role::Admin }, given],
        Role::Admin | Role::Member => vec![given],
    })
}

/// A present member; else what one who is not may be told.
pub fn require_member(conversation: &Conversation, account: AccountId) -> Result<&Member, Refusal> {
    let is_told_apart = planted!(StrangersToldApart) && conversation.shared.kind.is_some();
    let unknown = if is_told_apart { Refusal::NoLongerMember } else { Refusal::NotFound };
    let member = conversation.members.get(&account).ok_or(unknown)?;
    if member.intervals.is_open() { Ok(member) } else { Err(Refusal::NoLongerMember) }
}

/// Application servers speak as the system account, to people by direct messages, in groups and
/// channels whoever is there. Where it has been a member and is none any more, nothing of its own moves on by it.
fn speaks_for_the_installation(conversation: &Conversation, account: AccountId) -> bool {
    account == AccountId::SYSTEM && is_group(conversation) && !conversation.roster().is_empty()
}

/// A present member who may say something.
pub fn require_writer(conversation: &Conversation, account: AccountId) -> Result<&Member, Refusal> {
    let member = require_member(conversation, account)?;
    let is_channel = conversation.shared.kind == Some(ConversationKind::Channel);
    if is_channel && member.role < Role::Admin && !planted!(ChannelsOpen) {
        return Err(Refusal::NotAllowed("admins and the owner write in a channel"));
    }
    Ok(member)
}

fn require_group(conversation: &Conversation, account: AccountId) -> Result<&Member, Refusal> {
    let member = require_member(conversation, account)?;
    if !is_group(conversation) {
        return Err(Refusal::WrongKind("it is neither a group nor a channel"));
    }
    Ok(member)
}

fn is_group(conversation: &Conversation) -> bool {
    conversation.shared.kind.is_some_and(ConversationKind::is_group)
}

fn require_room(members: usize) -> Result<(), Refusal> {
    if members > GROUP_MEMBERS {
        return Err(Refusal::TooManyMembers { would_have: members, limit: GROUP_MEMBERS });
    }
    Ok(())
}

fn require_peer(command: &Command) -> Result<AccountId, Refusal> {
    command.peer.ok_or(Refusal::NotFound)
}

fn distinct(accounts: &[AccountId], keep: impl Fn(AccountId) -> bool) -> Vec<AccountId> {
    let mut seen = std::collections::BTreeSet::new();
    accounts.iter().copied().filter(|&account| keep(account) && seen.insert(account)).collect()
}

#[cfg(test)]
mod tests {
    use anser_model::{Actor, ConversationId, DeviceId, Message};

    use super::*;

    /// Found by `prove model`: what every later message was refused, the first one was not.
    #[test]
    fn a_first_message_cannot_mention_everybody_of_a_direct_conversation() {
        for peer in [AccountId(1), AccountId(2)] {
            let actor = Actor { account: AccountId(1), device: DeviceId(1), profile_version: 1 };
            let cid = ConversationId::direct(actor.account, peer);
            let send = |mention_all| {
                let intent = Intent::Send(Message { mention_all, ..Message::default() });
                let command = Command { actor, cid, peer: Some(peer), client_id: None, intent };
                let context = Context { timeline: Timeline(1), now: UnixMillis(0), named: None };
                decide(&Conversation::vacant(cid), &command, context)
            };
            assert!(matches!(send(true), Err(Refusal::WrongKind(_))));
            assert_eq!(send(false).map(|changes| changes.len()), Ok(2));
        }
    }
}
