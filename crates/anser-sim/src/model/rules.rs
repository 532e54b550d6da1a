//! What may be done in conversations, said a second time: each rule on its own, in the order in which
//! they are looked at, read off the plain maps.

use std::collections::BTreeSet;

use anser_model::limits::{EDIT_WINDOW_MS, GROUP_MEMBERS, RECALL_WINDOW_MS};
use anser_model::{
    AccountId, Change, Command, ConversationFact, ConversationKind, Intent, Message, Refusal, Rewrite,
    Rewritten, Role, Seq, Timeline, UnixMillis,
};

use super::own;
use crate::plain::{Plain, PlainConversation};

/// What must become of a command.
#[derive(Debug, PartialEq)]
pub(super) enum Ruling {
    /// It is refused; of the words of a refusal nothing is said.
    Refused(Refusal),
    /// It is true already.
    Nothing,
    /// It makes these changes.
    Made(Vec<Change>),
}

/// How the one who acts stands to a conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Standing {
    Stranger,
    Former,
    Present(Role),
}

const WHY: &str = "";

/// Rules on one command.
pub(super) fn rule(plain: &Plain, command: &Command, timeline: Timeline, at: UnixMillis) -> Ruling {
    let refusal = refusals(plain, command, timeline, at)
        .into_iter()
        .find_map(|(applies, refusal)| applies.then_some(refusal));
    match refusal {
        Some(refusal) => Ruling::Refused(refusal),
        None => {
            let changes = changes(plain, command, at);
            if changes.is_empty() { Ruling::Nothing } else { Ruling::Made(changes) }
        }
    }
}

/// What stands against a command; the first that applies is what it is refused with.
fn refusals(plain: &Plain, command: &Command, timeline: Timeline, at: UnixMillis) -> Vec<(bool, Refusal)> {
    let actor = command.actor.account;
    let conversation = plain.conversation(command.cid).filter(|known| known.kind().is_some());
    let standing = standing(conversation, actor);
    let is = |kind| conversation.is_some_and(|known| known.kind() == Some(kind));
    let is_group = is(ConversationKind::Group) || is(ConversationKind::Channel);
    let stranger = (standing == Standing::Stranger, Refusal::NotFound);
    let former = (standing == Standing::Former, Refusal::NoLongerMember);
    let no_group = (!is_group, Refusal::WrongKind(WHY));
    let below = |role| (!matches!(standing, Standing::Present(has) if has >= role), Refusal::NotAllowed(WHY));
    let absent = |who| (role_of(conversation, who).is_none(), Refusal::NoSuchMember(who));
    let crowd = |would_have| {
        let limit = GROUP_MEMBERS;
        (would_have > limit, Refusal::TooManyMembers { would_have, limit })
    };
    match &command.intent {
        Intent::Send(message) => {
            let to_all = (message.mention_all && !is_group, Refusal::WrongKind(WHY));
            let replied = message.reply_to.unwrap_or_default();
            let unseen = message.reply_to.is_some() && !plain.may_see(command.cid, actor, replied);
            let no_reply = (unseen, Refusal::NothingToReplyTo(replied));
            match conversation {
                // The system speaks in every group.
                Some(known) if is_group && actor == AccountId(1) && known.present().next().is_some() => {
                    vec![to_all, no_reply]
                }
                Some(_) if is(ConversationKind::Channel) => {
                    vec![stranger, former, below(Role::Admin), no_reply]
                }
                Some(_) => vec![stranger, former, to_all, no_reply],
                None => vec![(command.peer.is_none(), Refusal::NotFound), to_all, no_reply],
            }
        }
        Intent::Edit { seq, timeline: theirs, message } => {
            let sent = message_seen(plain, command, *seq);
            let age_ms = sent.as_ref().map_or(0, |fact| at.0 - fact.at.0);
            let is = |rule: &dyn Fn(&ConversationFact) -> bool| sent.as_ref().is_some_and(rule);
            let kind_of = |fact: &ConversationFact| fact.message().map(|said| said.kind.clone());
            vec![
                (*theirs != timeline, Refusal::ForeignTimeline),
                stranger,
                former,
                (sent.is_none(), Refusal::NotFound),
                (is(&|fact| fact.author != actor), Refusal::NotAllowed(WHY)),
                (is(&ConversationFact::is_recalled), Refusal::NotAllowed(WHY)),
                (age_ms > EDIT_WINDOW_MS, Refusal::EditTooLate { age_ms }),
                (is(&|fact| kind_of(fact).as_ref() != Some(&message.kind)), Refusal::WrongKind(WHY)),
                (message.mention_all && !is_group, Refusal::WrongKind(WHY)),
            ]
        }
        Intent::Recall { seq, timeline: theirs } => {
            let sent = message_seen(plain, command, *seq);
            let any = is_group && matches!(standing, Standing::Present(has) if has >= Role::Admin);
            let age_ms = sent.as_ref().map_or(0, |fact| at.0 - fact.at.0);
            let holds = |rule: fn(&ConversationFact, AccountId) -> bool| {
                sent.as_ref().is_some_and(|fact| rule(fact, actor))
            };
            vec![
                (*theirs != timeline, Refusal::ForeignTimeline),
                stranger,
                former,
                (sent.is_none(), Refusal::NotFound),
                (!any && holds(|fact, actor| fact.author != actor), Refusal::NotAllowed(WHY)),
                (holds(|fact, _| fact.is_recalled()), Refusal::NotAllowed(WHY)),
                (!any && age_ms > RECALL_WINDOW_MS, Refusal::RecallTooLate { age_ms }),
            ]
        }
        Intent::DeliveredUpTo { .. }
        | Intent::MarkUnread(_)
        | Intent::Hide { .. }
        | Intent::ClearHistory { .. } => {
            own::refusals(conversation, command, timeline, newest_seen(conversation, actor))
        }
        Intent::SetAvatar(_) | Intent::SetHistoryVisible(_) => {
            vec![stranger, former, no_group, below(Role::Admin)]
        }
        Intent::Dissolve => vec![stranger, former, no_group, below(Role::Owner)],
        Intent::ReadUpTo { seq, timeline: theirs } => {
            let newest = newest_seen(conversation, actor);
            let beyond = Refusal::BeyondHead { asked: seq.0, head: newest.0 };
            vec![(*theirs != timeline, Refusal::ForeignTimeline), stranger, (*seq > newest, beyond)]
        }
        Intent::CreateGroup { members, .. } => {
            let others: BTreeSet<_> = members.iter().filter(|&&member| member != actor).collect();
            vec![crowd(others.len() + 1)]
        }
        Intent::AddMembers(_) => {
            let new = newcomers(conversation, command).len();
            let there = conversation.map_or(0, |known| known.present().count());
            vec![stranger, former, no_group, (new == 0, Refusal::AlreadyMember), crowd(there + new)]
        }
        Intent::RemoveMember(subject) => {
            let own = (*subject == actor, Refusal::NotAllowed(WHY));
            let outranked = match (standing, role_of(conversation, *subject)) {
                (Standing::Present(mine), Some(theirs)) => theirs < mine,
                _ => true,
            };
            let too_high = (!outranked, Refusal::NotAllowed(WHY));
            vec![stranger, former, no_group, below(Role::Admin), own, absent(*subject), too_high]
        }
        Intent::Leave => vec![stranger, former, no_group],
        Intent::SetRole { member, .. } => {
            let own = (*member == actor, Refusal::NotAllowed(WHY));
            vec![stranger, former, no_group, below(Role::Owner), own, absent(*member)]
        }
        Intent::Rename(_) => vec![stranger, former, no_group, below(Role::Admin)],
        Intent::Enter(_) | Intent::RaiseCredentials { .. } => {
            let news = command.peer.is_none() && !changes(plain, command, at).is_empty();
            vec![(news, Refusal::NotFound)]
        }
    }
}

/// What a command that nothing stands against changes.
fn changes(plain: &Plain, command: &Command, at: UnixMillis) -> Vec<Change> {
    let actor = command.actor.account;
    let conversation = plain.conversation(command.cid).filter(|known| known.kind().is_some());
    let peer = command.peer.unwrap_or_default();
    match &command.intent {
        Intent::Send(message) if conversation.is_none() => first_message(actor, peer, message),
        Intent::Send(message) => vec![Change::MessageSent(message.clone())],
        Intent::Recall { seq, .. } => {
            let (known, (n, sent)) = conversation
                .and_then(|known| Some((known, known.fact(*seq)?)))
                .expect("nothing stands against it");
            let Change::MessageSent(message) = &sent.change else { return Vec::new() };
            let left =
                Message { kind: message.kind.clone(), uncounted: message.uncounted, ..Message::default() };
            let by = Seq(known.head().0 + 1);
            let rewritten = Some(Box::new(Rewritten { by, n: *n, what: Rewrite::Recalled }));
            let stands = ConversationFact { rewritten, change: Change::MessageSent(left), ..sent.clone() };
            vec![Change::Recalled { stands: Box::new(stands) }]
        }
        Intent::Edit { seq, message, .. } => {
            let known = conversation.expect("a stranger is refused");
            let mut edited = known.clone();
            let to_all = known.present().all(|account| known.may_see(account, *seq));
            let stands = edited.as_if_edited(*seq, at, message).expect("nothing stands against it");
            vec![Change::Edited { seq: *seq, to_all, stands: Some(Box::new(stands)) }]
        }
        Intent::ReadUpTo { seq, .. } => {
            let known = conversation.expect("a stranger is refused");
            let passes = *seq > known.members()[&actor].mark;
            let mark = Change::ReadUpTo { member: actor, seq: *seq, ordinal: known.ordinal_at(*seq) };
            if passes { vec![mark] } else { Vec::new() }
        }
        Intent::DeliveredUpTo { .. }
        | Intent::MarkUnread(_)
        | Intent::Hide { .. }
        | Intent::ClearHistory { .. } => own::changes(conversation.expect("a stranger is refused"), command),
        Intent::SetAvatar(avatar) => vec![Change::AvatarSet { avatar: avatar.clone() }],
        Intent::SetHistoryVisible(visible) => vec![Change::HistoryVisibleSet { visible: *visible }],
        Intent::Dissolve => vec![Change::Dissolved],
        Intent::CreateGroup { title, members, history_visible, channel, avatar } => vec![Change::Created {
            kind: if *channel { ConversationKind::Channel } else { ConversationKind::Group },
            avatar: avatar.clone(),
            title: title.clone(),
            members: once_each(members.iter().copied().filter(|&member| member != actor)),
            history_visible: *history_visible,
        }],
        Intent::AddMembers(_) => {
            let known = conversation.expect("a stranger is refused");
            let visible_from = if known.history_visible() { Seq(1) } else { Seq(known.head().0 + 1) };
            vec![Change::MembersAdded { members: newcomers(conversation, command), visible_from }]
        }
        Intent::RemoveMember(member) => {
            vec![Change::MemberRemoved { member: *member, left: false, new_owner: None }]
        }
        Intent::Leave => {
            let new_owner = match role_of(conversation, actor) {
                Some(Role::Owner) => heir(conversation, actor),
                _ => None,
            };
            vec![Change::MemberRemoved { member: actor, left: true, new_owner }]
        }
        Intent::SetRole { member, role: Role::Owner } => vec![
            Change::RoleSet { member: actor, role: Role::Admin },
            Change::RoleSet { member: *member, role: Role::Owner },
        ],
        Intent::SetRole { member, role } => vec![Change::RoleSet { member: *member, role: *role }],
        Intent::Rename(title) => vec![Change::Renamed { title: title.clone() }],
        Intent::Enter(slot) => {
            let noted = plain.home_at(command.cid).entered.contains(slot);
            if noted { Vec::new() } else { vec![Change::Entered { account: peer, slot: *slot }] }
        }
        Intent::RaiseCredentials { account_version, device, why } => {
            let home = plain.home_at(command.cid);
            let device_raised = device.is_some_and(|(device, version)| {
                home.devices.get(&device).is_none_or(|&known| known < version) && version > 0
            });
            let raised = Change::CredentialsRaised {
                account: peer,
                account_version: *account_version,
                device: *device,
                why: *why,
            };
            if device_raised || *account_version > home.account_version { vec![raised] } else { Vec::new() }
        }
    }
}

/// The message at a seq as it stands, where the one who acts may see one there.
fn message_seen(plain: &Plain, command: &Command, seq: Seq) -> Option<ConversationFact> {
    let (_, fact) = plain.standing(command.cid, seq)?;
    let seen = plain.may_see(command.cid, command.actor.account, seq);
    Some(fact).filter(|fact| seen && matches!(fact.change, Change::MessageSent(_)))
}

fn first_message(actor: AccountId, peer: AccountId, message: &Message) -> Vec<Change> {
    let (kind, members) = if peer == actor {
        (ConversationKind::OfSelf, vec![])
    } else {
        (ConversationKind::Direct, vec![peer])
    };
    let (title, avatar) = (String::new(), String::new());
    let created = Change::Created { kind, title, members, history_visible: true, avatar };
    vec![created, Change::MessageSent(message.clone())]
}

fn standing(conversation: Option<&PlainConversation>, account: AccountId) -> Standing {
    match conversation.and_then(|known| known.members().get(&account)) {
        None => Standing::Stranger,
        Some(member) if member.is_present() => Standing::Present(member.role),
        Some(_) => Standing::Former,
    }
}

fn role_of(conversation: Option<&PlainConversation>, account: AccountId) -> Option<Role> {
    match standing(conversation, account) {
        Standing::Present(role) => Some(role),
        Standing::Stranger | Standing::Former => None,
    }
}

/// The newest seq that one who is or was a member sees.
fn newest_seen(conversation: Option<&PlainConversation>, account: AccountId) -> Seq {
    let Some(known) = conversation else { return Seq(0) };
    let seen = (1..=known.head().0).rev().map(Seq).find(|&seq| known.may_see(account, seq));
    seen.unwrap_or_default()
}

/// Whom a command adds: those named who are not there, once each.
fn newcomers(conversation: Option<&PlainConversation>, command: &Command) -> Vec<AccountId> {
    let Intent::AddMembers(named) = &command.intent else { return Vec::new() };
    once_each(named.iter().copied().filter(|&account| role_of(conversation, account).is_none()))
}

fn once_each(accounts: impl Iterator<Item = AccountId>) -> Vec<AccountId> {
    let mut once = Vec::new();
    let mut seen = BTreeSet::new();
    for account in accounts {
        if seen.insert(account) {
            once.push(account);
        }
    }
    once
}

/// Who owns a group after its owner: of the admins, else of all, who has been there longest.
fn heir(conversation: Option<&PlainConversation>, owner: AccountId) -> Option<AccountId> {
    let known = conversation?;
    let longest = |role: Option<Role>| {
        let mut first: Option<(Seq, AccountId)> = None;
        for (&account, member) in known.members() {
            let joined = member.stays.last()?.joined;
            let fits = member.is_present() && account != owner && role.is_none_or(|role| member.role == role);
            if fits && first.is_none_or(|(earliest, _)| joined < earliest) {
                first = Some((joined, account));
            }
        }
        first.map(|(_, account)| account)
    };
    longest(Some(Role::Admin)).or_else(|| longest(None))
}

/// Whose homes must know of the slot before the changes are recorded.
pub(super) fn joiners(changes: &[Change], actor: AccountId) -> BTreeSet<AccountId> {
    changes
        .iter()
        .flat_map(|change| match change {
            // The home knows of its own slot.
            Change::Created { kind: ConversationKind::OfSelf, .. } => Vec::new(),
            Change::Created { members, .. } => members.iter().copied().chain([actor]).collect(),
            Change::MembersAdded { members, .. } => members.clone(),
            _ => Vec::new(),
        })
        .collect()
}

/// The name of a refusal, without what it says besides.
pub(super) fn name_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound => "not found",
        Refusal::NotAllowed(_) => "not allowed",
        Refusal::RecallTooLate { .. } => "recall too late",
        Refusal::EditTooLate { .. } => "edit too late",
        Refusal::NothingToReplyTo(_) => "nothing to reply to",
        Refusal::NoLongerMember => "no longer member",
        Refusal::AlreadyMember => "already member",
        Refusal::NoSuchMember(_) => "no such member",
        Refusal::TooManyMembers { .. } => "too many members",
        Refusal::TooManyHidden { .. } => "too many hidden",
        Refusal::BeyondHead { .. } => "beyond head",
        Refusal::ForeignTimeline => "foreign timeline",
        Refusal::WrongKind(_) => "wrong kind",
        // The rest is decided before and after the rules of conversations.
        _ => "other",
    }
}

/// Whether two refusals are the same, whatever their words are.
pub(super) fn same(one: &Refusal, other: &Refusal) -> bool {
    match (one, other) {
        (Refusal::NotAllowed(_), Refusal::NotAllowed(_)) => true,
        (Refusal::WrongKind(_), Refusal::WrongKind(_)) => true,
        _ => one == other,
    }
}
