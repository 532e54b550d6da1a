//! What people try in one case: commands that fit, and commands that do not.

use std::fmt;

use anser_model::limits::{DAY_MS, GROUP_MEMBERS};
use anser_model::{
    AccountId, Actor, ClientId, Command, ConversationId, ConversationKind, DeviceId, Intent, KickReason,
    Message, Role, Seq, SeqRanges, Slot, Timeline, UnixMillis,
};

use crate::chance::Chance;
use crate::plain::{Plain, PlainConversation, PlainMember};

/// The history that seqs belong to.
pub(super) const TIMELINE: Timeline = Timeline(7);
/// People of a case; the last is a stranger to everybody.
pub(super) const PEOPLE: u64 = 7;
/// Accounts from here on fill large groups.
pub(super) const CROWD_FROM: u64 = 1_000;
const STEPS: u64 = 70;
const TALKATIVE_STEPS: u64 = 170;
const CROWDED_STEPS: u64 = 24;
const DAWN: UnixMillis = UnixMillis(1_800_000_000_000);

/// Whether groups and channels are meant.
fn has_title(kind: ConversationKind) -> bool {
    matches!(kind, ConversationKind::Group | ConversationKind::Channel)
}

/// A command at its time, and what the people call the place.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub at: UnixMillis,
    pub place: String,
    pub command: Command,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (actor, place) = (self.command.actor.account, &self.place);
        match &self.command.intent {
            Intent::Send(message) => {
                let all = if message.mention_all { ", to everybody" } else { "" };
                let quiet = if message.uncounted { ", uncounted" } else { "" };
                write!(f, "{actor} sends to {place}{all}{quiet}")
            }
            Intent::ReadUpTo { seq, timeline } => {
                let foreign = if *timeline == TIMELINE { "" } else { " of another timeline" };
                write!(f, "{actor} has read {place} up to seq {seq}{foreign}")
            }
            Intent::Recall { seq, timeline } => {
                write!(f, "{actor} recalls {seq} of timeline {timeline} in {place}")
            }
            Intent::Edit { seq, timeline, message } => {
                let all = if message.mention_all { ", to everybody" } else { "" };
                write!(f, "{actor} edits {seq} of timeline {timeline} in {place}, {}{all}", message.kind)
            }
            Intent::CreateGroup { members, history_visible, channel, .. } => {
                let past = if *history_visible { "visible" } else { "hidden" };
                let channel = if *channel { ", a channel" } else { "" };
                write!(f, "{actor} makes {place} with {}, history {past}{channel}", Names(members))
            }
            Intent::DeliveredUpTo { seq, .. } => write!(f, "to {actor} {place} has come up to seq {seq}"),
            Intent::MarkUnread(marked) => write!(f, "{actor} marks {place} as unread: {marked}"),
            Intent::Hide { ranges, .. } => write!(f, "{actor} hides {:?} of {place}", ranges.parts()),
            Intent::ClearHistory { seq, .. } => write!(f, "{actor} clears {place} up to seq {seq}"),
            Intent::SetAvatar(avatar) => write!(f, "{actor} gives {place} the picture {avatar:?}"),
            Intent::SetHistoryVisible(visible) => write!(f, "{actor} shows the past of {place}: {visible}"),
            Intent::Dissolve => write!(f, "{actor} dissolves {place}"),
            Intent::AddMembers(members) => write!(f, "{actor} adds {} to {place}", Names(members)),
            Intent::RemoveMember(member) => write!(f, "{actor} removes {member} from {place}"),
            Intent::Leave => write!(f, "{actor} leaves {place}"),
            Intent::SetRole { member, role } => write!(f, "{actor} makes {member} {role:?} of {place}"),
            Intent::Rename(title) => write!(f, "{actor} calls {place} {title:?}"),
            Intent::Enter(slot) => write!(f, "{place} is told of slot {slot}"),
            Intent::RaiseCredentials { account_version, device, why } => {
                write!(f, "{place} is told of version {account_version}, of devices {device:?}, {why:?}")
            }
        }
    }
}

/// Accounts in words: the first few by number.
struct Names<'a>(&'a [AccountId]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().take(8).map(AccountId::to_string).collect();
        let more = self.0.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(f, "[{}]{more}", shown.join(" "))
    }
}

/// Somewhere that commands go to.
#[derive(Debug, Clone)]
struct Place {
    cid: ConversationId,
    name: String,
    peers: Option<(AccountId, AccountId)>,
}

/// What a case is like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flavour {
    /// A bit of everything.
    Mixed,
    /// Few people say much: the cap moves.
    Talkative,
    /// Groups at the limit of members.
    Crowded,
}

/// Makes up the steps of one case, one after another.
pub(super) struct Script {
    chance: Chance,
    flavour: Flavour,
    places: Vec<Place>,
    groups: usize,
    minted: u64,
    now: UnixMillis,
    left: u64,
}

impl Script {
    pub fn new(seed: u64, case: u64) -> Self {
        let mut chance = Chance::of(&[seed, case]);
        let (flavour, steps) = match chance.below(48) {
            0..4 => (Flavour::Talkative, TALKATIVE_STEPS),
            4 => (Flavour::Crowded, CROWDED_STEPS),
            _ => (Flavour::Mixed, STEPS),
        };
        Script { chance, flavour, places: Vec::new(), groups: 0, minted: 0, now: DAWN, left: steps }
    }

    /// The next step after what happened so far, or the end.
    pub fn next(&mut self, plain: &Plain) -> Option<Step> {
        self.left = self.left.checked_sub(1)?;
        self.now = self.now.plus_ms(self.chance.below(1_000));
        if self.chance.happens(1, 50) {
            // What was said before is too old for its authors, or nearly.
            self.now = self.now.plus_ms(DAY_MS - 10_000 + self.chance.below(20_000));
        }
        let actor = self.person();
        let talkative = self.flavour == Flavour::Talkative;
        let step = match self.chance.below(100) {
            0..4 => self.create(actor),
            4..7 => self.home(),
            _ if self.places.is_empty() => self.create(actor),
            7..42 if talkative => self.send(actor, plain),
            7..30 => self.send(actor, plain),
            _ => {
                let place = self.pick().clone();
                let known = plain.conversation(place.cid);
                let seek = known.filter(|known| known.kind().is_some_and(has_title));
                let actor = self.one_who_is_in(known, actor);
                match self.chance.below(100) {
                    _ if talkative && self.chance.happens(4, 5) => self.say(actor, place),
                    _ if self.chance.happens(1, 5) => self.decide_for_oneself(actor, place, known),
                    0..20 => self.read(actor, place, known),
                    20..30 => self.recall(actor, place, known),
                    30..42 => self.edit(actor, place, known),
                    _ if seek.is_none() && self.chance.happens(3, 4) => self.say(actor, place),
                    42..57 => self.add(actor, place),
                    57..68 => self.remove(actor, place, known),
                    68..75 => self.step(actor, place, None, Intent::Leave),
                    75..92 => self.role(actor, place, known),
                    _ => self.set(actor, place),
                }
            }
        };
        Some(step)
    }

    fn person(&mut self) -> AccountId {
        let people = if self.flavour == Flavour::Talkative { 3 } else { PEOPLE };
        AccountId(1 + self.chance.below(people))
    }

    /// Anybody but the stranger.
    fn friend(&mut self) -> AccountId {
        AccountId(1 + self.chance.below(PEOPLE - 1))
    }

    /// Mostly one who is or was a member, so that not everybody is refused as a stranger.
    fn one_who_is_in(&mut self, known: Option<&PlainConversation>, otherwise: AccountId) -> AccountId {
        let Some(known) = known.filter(|_| self.chance.happens(4, 5)) else { return otherwise };
        let high = |member: &PlainMember| member.is_present() && member.role > Role::Member;
        // Half of the time one with a role: most of what is left is refused for the want of it.
        let with_role: Vec<AccountId> = match self.chance.below(2) {
            0 => known
                .members()
                .iter()
                .filter(|(_, member)| high(member))
                .map(|(&account, _)| account)
                .collect(),
            _ => Vec::new(),
        };
        let fits = if with_role.is_empty() { known.members().keys().copied().collect() } else { with_role };
        if fits.is_empty() { otherwise } else { fits[self.chance.below(fits.len() as u64) as usize] }
    }

    fn pick(&mut self) -> &Place {
        let index = self.chance.below(self.places.len() as u64) as usize;
        &self.places[index]
    }

    fn client_id(&mut self) -> ClientId {
        self.minted += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.minted.to_be_bytes());
        // Devices disagree on the time by up to four minutes either way.
        ClientId::mint(self.now.minus_ms(240_000).plus_ms(self.chance.below(480_000)), random)
    }

    fn step(&mut self, account: AccountId, place: Place, peer: Option<AccountId>, intent: Intent) -> Step {
        let is_register = matches!(
            intent,
            Intent::ReadUpTo { .. }
                | Intent::DeliveredUpTo { .. }
                | Intent::MarkUnread(_)
                | Intent::Hide { .. }
                | Intent::ClearHistory { .. }
                | Intent::Enter(_)
                | Intent::RaiseCredentials { .. }
        );
        let client_id = if is_register { None } else { Some(self.client_id()) };
        let actor = Actor { account, device: DeviceId(account.0), profile_version: 1 };
        let command = Command { actor, cid: place.cid, peer, client_id, intent };
        Step { at: self.now, place: place.name, command }
    }

    fn create(&mut self, actor: AccountId) -> Step {
        let client_id = self.client_id();
        let mut members: Vec<AccountId> = (0..self.chance.below(4)).map(|_| self.friend()).collect();
        if self.flavour == Flavour::Crowded {
            let crowd = GROUP_MEMBERS as u64 - 8 + self.chance.below(12);
            members.extend((0..crowd).map(|index| AccountId(CROWD_FROM + index)));
        }
        self.groups += 1;
        let cid = ConversationId::created(actor, client_id);
        let place = Place { cid, name: format!("group {}", self.groups), peers: None };
        self.places.push(place.clone());
        let history_visible = self.chance.happens(1, 2);
        let channel = self.chance.happens(1, 5);
        let avatar = if self.chance.happens(1, 4) { "picture".into() } else { String::new() };
        let title = place.name.clone();
        let intent = Intent::CreateGroup { title, members, history_visible, channel, avatar };
        let mut step = self.step(actor, place, None, intent);
        step.command.client_id = Some(client_id);
        step
    }

    /// Something that the server itself tells a home.
    fn home(&mut self) -> Step {
        let account = self.person();
        let place = self.own(account);
        let peer = if self.chance.happens(9, 10) { Some(account) } else { None };
        let intent = if self.chance.happens(1, 2) {
            Intent::Enter(Slot(self.chance.below(4) as u8 * 85))
        } else {
            let device = self.chance.happens(2, 3);
            let device = device.then(|| (DeviceId(1 + self.chance.below(3)), self.chance.below(4)));
            let why = KickReason::from_number(self.chance.below(3)).expect("there are three");
            Intent::RaiseCredentials { account_version: self.chance.below(4), device, why }
        };
        self.step(AccountId(0), place, peer, intent)
    }

    fn own(&mut self, account: AccountId) -> Place {
        let own = ConversationId::of_self(account);
        Place { cid: own, name: format!("the home of {account}"), peers: Some((account, account)) }
    }

    /// A message to somewhere, known or not.
    fn send(&mut self, actor: AccountId, plain: &Plain) -> Step {
        let mut actor = actor;
        let place = match self.chance.below(20) {
            0..4 => {
                let other = self.friend();
                let cid = ConversationId::direct(actor, other);
                Place { cid, name: format!("{actor} with {other}"), peers: Some((actor, other)) }
            }
            4 => self.own(actor),
            5 => {
                let mut cid = [0; 16];
                self.chance.fill(&mut cid);
                let cid = ConversationId(cid);
                Place { cid, name: format!("nowhere ({cid})"), peers: None }
            }
            _ => {
                let place = self.pick().clone();
                actor = self.one_who_is_in(plain.conversation(place.cid), actor);
                place
            }
        };
        let place = match place.peers {
            Some((one, other)) if one == other && place.cid != ConversationId::of_self(one) => self.own(one),
            _ => place,
        };
        if place.peers.is_some() && !self.places.iter().any(|known| known.cid == place.cid) {
            self.places.push(place.clone());
        }
        self.say(actor, place)
    }

    fn say(&mut self, actor: AccountId, place: Place) -> Step {
        let message = Message {
            kind: "text".into(),
            text: format!("message {}", self.minted),
            mentions: if self.chance.happens(1, 8) { vec![self.friend()] } else { Vec::new() },
            mention_all: self.chance.happens(1, 12),
            uncounted: self.chance.happens(1, 10),
            forwarded: self.chance.happens(1, 10),
            reply_to: self.chance.happens(1, 8).then(|| Seq(1 + self.chance.below(12))),
            ..Message::default()
        };
        // A peer is named by those of whom one is: what the edge makes of a conversation's address.
        let peer = match place.peers {
            Some((one, other)) if actor == one => Some(other),
            Some((one, other)) if actor == other => Some(one),
            _ => None,
        };
        let peer = peer.filter(|_| self.chance.happens(9, 10));
        self.step(actor, place, peer, Intent::Send(message))
    }

    fn read(&mut self, actor: AccountId, place: Place, known: Option<&PlainConversation>) -> Step {
        let head = known.map_or(0, |known| known.head().0);
        let member = known.and_then(|known| known.members().get(&actor));
        let mark = member.map_or(0, |member| member.mark.0);
        let ended = member.and_then(|member| member.stays.last()?.ended).map_or(head, |ended| ended.0);
        let seq = match self.chance.below(20) {
            0..5 => head,
            5..8 => head + 1,
            8..10 => ended,
            10 => ended + 1,
            11 => mark,
            12..14 => mark + 1,
            14 => u64::MAX,
            15 => 0,
            _ => 1 + self.chance.below(head + 2),
        };
        let timeline = if self.chance.happens(1, 20) { Timeline(8) } else { TIMELINE };
        self.step(actor, place, None, Intent::ReadUpTo { seq: Seq(seq), timeline })
    }

    /// A register of one's own. Mostly about seqs that are there.
    fn decide_for_oneself(
        &mut self,
        actor: AccountId,
        place: Place,
        known: Option<&PlainConversation>,
    ) -> Step {
        let head = known.map_or(0, |known| known.head().0);
        let timeline = if self.chance.happens(1, 20) { Timeline(8) } else { TIMELINE };
        let seq = Seq(1 + self.chance.below(head + 1));
        let intent = match self.chance.below(8) {
            0 | 1 => Intent::DeliveredUpTo { seq: Seq(seq.0.saturating_sub(self.chance.below(2))), timeline },
            2 | 3 => Intent::MarkUnread(self.chance.happens(2, 3)),
            4..7 => {
                let ranges: Vec<(Seq, Seq)> = (0..1 + self.chance.below(3))
                    .map(|_| {
                        let low = 1 + self.chance.below(head.max(1));
                        (Seq(low), Seq(low + self.chance.below(3)))
                    })
                    .collect();
                Intent::Hide { ranges: SeqRanges::gather(&ranges), timeline }
            }
            _ => {
                let back = self.chance.below(6);
                Intent::ClearHistory { seq: Seq(seq.0.saturating_sub(back)), timeline }
            }
        };
        self.step(actor, place, None, intent)
    }

    /// Something that holds for a whole group.
    fn set(&mut self, actor: AccountId, place: Place) -> Step {
        let intent = match self.chance.below(12) {
            0..4 => Intent::Rename(format!("title {}", self.minted)),
            4..7 => Intent::SetAvatar(format!("picture {}", self.minted)),
            7..11 => Intent::SetHistoryVisible(self.chance.happens(1, 2)),
            _ => Intent::Dissolve,
        };
        self.step(actor, place, None, intent)
    }

    fn recall(&mut self, actor: AccountId, place: Place, known: Option<&PlainConversation>) -> Step {
        let head = known.map_or(0, |known| known.head().0);
        // Mostly what is young enough for its author.
        let back = if self.chance.happens(2, 3) { self.chance.below(8) } else { self.chance.below(head + 2) };
        let seq = Seq((head + 1).saturating_sub(back));
        let timeline = if self.chance.happens(1, 20) { Timeline(8) } else { TIMELINE };
        self.step(actor, place, None, Intent::Recall { seq, timeline })
    }

    fn edit(&mut self, actor: AccountId, place: Place, known: Option<&PlainConversation>) -> Step {
        let head = known.map_or(0, |known| known.head().0);
        let said_by =
            |seq: &Seq| known.and_then(|known| known.fact(*seq)).filter(|(_, fact)| fact.message().is_some());
        let back = self.chance.below(head.max(1));
        let any = Seq(head.saturating_sub(back));
        // Mostly a message, and by the one who said it.
        let messages = (1..=any.0).rev().map(Seq).find(|seq| said_by(seq).is_some());
        let seq = messages.filter(|_| self.chance.happens(7, 8)).unwrap_or(Seq(any.0 + 1));
        let author = said_by(&seq).map(|(_, fact)| fact.author);
        let actor = author.filter(|_| self.chance.happens(4, 5)).unwrap_or(actor);
        let timeline = if self.chance.happens(1, 20) { Timeline(8) } else { TIMELINE };
        let long = if self.chance.happens(1, 6) { 14_000 } else { 0 };
        let message = Message {
            kind: if self.chance.happens(1, 20) { "voice" } else { "text" }.into(),
            text: format!("edit {}{}", self.minted, "x".repeat(long)),
            mentions: if self.chance.happens(1, 8) { vec![self.friend()] } else { Vec::new() },
            mention_all: self.chance.happens(1, 12),
            ..Message::default()
        };
        self.step(actor, place, None, Intent::Edit { seq, timeline, message })
    }

    fn add(&mut self, actor: AccountId, place: Place) -> Step {
        let mut members: Vec<AccountId> = (0..self.chance.below(4)).map(|_| self.friend()).collect();
        if self.chance.happens(1, 6) {
            members.push(actor);
        }
        if self.flavour == Flavour::Crowded {
            let from = CROWD_FROM + self.chance.below(GROUP_MEMBERS as u64);
            members.extend((0..self.chance.below(6)).map(|index| AccountId(from + index)));
        }
        self.step(actor, place, None, Intent::AddMembers(members))
    }

    /// Mostly somebody who is there.
    fn subject(&mut self, known: Option<&PlainConversation>) -> AccountId {
        let there: Vec<AccountId> = known.map(|known| known.present().collect()).unwrap_or_default();
        if there.is_empty() || self.chance.happens(1, 5) {
            return AccountId(1 + self.chance.below(PEOPLE));
        }
        there[self.chance.below(there.len() as u64) as usize]
    }

    fn remove(&mut self, actor: AccountId, place: Place, known: Option<&PlainConversation>) -> Step {
        let subject = self.subject(known);
        self.step(actor, place, None, Intent::RemoveMember(subject))
    }

    fn role(&mut self, actor: AccountId, place: Place, known: Option<&PlainConversation>) -> Step {
        let member = self.subject(known);
        let role = match self.chance.below(5) {
            0 => Role::Owner,
            1 => Role::Member,
            _ => Role::Admin,
        };
        self.step(actor, place, None, Intent::SetRole { member, role })
    }
}
