//! Who asks, of which kind of conversation, and which words each may ever see.

use serde_json::Value;

/// A person who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// Owns the group and the channel, and is one of the direct conversation.
    Owner,
    /// An admin of the group and of the channel.
    Deputy,
    /// Was in both from the start, and is the other one of the direct conversation.
    Member,
    /// Came late; what was before is hidden from it.
    Newcomer,
    /// Was removed before the newcomer came.
    Former,
    /// Never was in anything.
    Stranger,
    /// Runs the installation, and never was in anything.
    Administrator,
}

impl Actor {
    /// Everybody.
    pub const ALL: [Actor; 7] = [
        Actor::Owner,
        Actor::Deputy,
        Actor::Member,
        Actor::Newcomer,
        Actor::Former,
        Actor::Stranger,
        Actor::Administrator,
    ];

    /// How its first device is called, which nobody else may learn.
    pub fn device_word(self) -> &'static str {
        match self {
            Actor::Owner => "device-word-owner",
            Actor::Deputy => "device-word-deputy",
            Actor::Member => "device-word-member",
            Actor::Newcomer => "device-word-newcomer",
            Actor::Former => "device-word-former",
            Actor::Stranger => "device-word-stranger",
            Actor::Administrator => "device-word-administrator",
        }
    }
}

/// A kind of conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Many people.
    Group,
    /// Many people, of whom few write.
    Channel,
    /// Owner and member.
    Direct,
    /// The owner's own.
    OfSelf,
}

/// What somebody is to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// Owns it; of two, or alone: is in it, and has said what was said.
    Owner,
    /// One of its admins.
    Deputy,
    /// In it from the start.
    Member,
    /// In it since late.
    Newcomer,
    /// No longer in it.
    Former,
    /// May not even know that it is there.
    Outside,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Group, Kind::Channel, Kind::Direct, Kind::OfSelf];

    /// Who asks of it: where nobody could ever join, one outsider who knows the owner, and two who do not.
    pub fn askers(self) -> &'static [Actor] {
        match self {
            Kind::Group | Kind::Channel => &Actor::ALL,
            Kind::Direct | Kind::OfSelf => {
                &[Actor::Owner, Actor::Member, Actor::Stranger, Actor::Administrator]
            }
        }
    }

    /// What somebody is to it.
    pub fn seat(self, actor: Actor) -> Seat {
        match (self, actor) {
            (_, Actor::Stranger | Actor::Administrator) => Seat::Outside,
            (_, Actor::Owner) => Seat::Owner,
            (Kind::OfSelf, _) => Seat::Outside,
            (_, Actor::Member) => Seat::Member,
            (Kind::Direct, _) => Seat::Outside,
            (_, Actor::Deputy) => Seat::Deputy,
            (_, Actor::Newcomer) => Seat::Newcomer,
            (_, Actor::Former) => Seat::Former,
        }
    }
}

/// Words that are said in a group or channel before the former member went.
pub const EARLY: &str = "early-word-";
/// Words that were said then, and edited once the former member was gone.
pub const DRAFT: &str = "draft-word-";
/// What they were edited into.
pub const REVISED: &str = "revised-word-";
/// Words that are said once the newcomer is there.
pub const LATE: &str = "late-word-";
/// The first title.
pub const TITLE: &str = "first-title-";
/// The title once the former member is gone, and the newcomer not yet there.
pub const RENAMED: &str = "second-title-";
/// Words between the two of the direct conversation.
pub const DIRECT: &str = "direct-word-";
/// Words of the owner to itself.
pub const OWN: &str = "own-word-";
/// Names of API keys.
pub const KEY: &str = "key-word-";

/// Words with those who may ever see them.
const SECRETS: [(&str, &[Actor]); 9] = {
    use Actor::{Administrator, Deputy, Former, Member, Newcomer, Owner};
    [
        (EARLY, &[Owner, Deputy, Member, Former]),
        (DRAFT, &[Owner, Deputy, Member, Former]),
        (REVISED, &[Owner, Deputy, Member]),
        (LATE, &[Owner, Deputy, Member, Newcomer]),
        (TITLE, &[Owner, Deputy, Member, Former]),
        (RENAMED, &[Owner, Deputy, Member, Newcomer]),
        (DIRECT, &[Owner, Member]),
        (OWN, &[Owner]),
        (KEY, &[Administrator]),
    ]
};

/// The words in some bytes that an actor may not see; that nobody may see, for one who is none.
pub fn leaks_in(actor: Option<Actor>, bytes: &[u8]) -> Vec<&'static str> {
    let may = |actors: &[Actor]| actor.is_some_and(|actor| actors.contains(&actor));
    let devices = Actor::ALL.map(|owner| (owner.device_word(), Some(owner) == actor));
    let words = SECRETS.iter().map(|&(word, actors)| (word, may(actors))).chain(devices);
    let there = |word: &str| holds(bytes, word.as_bytes());
    words.filter(|&(word, may)| !may && there(word)).map(|(word, _)| word).collect()
}

/// Whether some bytes hold others.
pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Somebody who asks over HTTP, by what it proves itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// A person, by a good token.
    Person(Actor),
    /// Whoever has none.
    NoToken,
    /// By a token whose time is over.
    ExpiredToken,
    /// By the token of a device that was signed out.
    RevokedDevice,
    /// By the token of an account that was deactivated.
    DeactivatedAccount,
    /// By an API key with the scope that is needed, and no other; with all scopes where keys are not let in.
    FittingKey,
    /// By an API key with all scopes but that.
    UnfittingKey,
    /// By an API key that was revoked, with all scopes.
    RevokedKey,
}

impl Asker {
    /// Everybody.
    pub fn all() -> impl Iterator<Item = Asker> {
        let others = [
            Asker::NoToken,
            Asker::ExpiredToken,
            Asker::RevokedDevice,
            Asker::DeactivatedAccount,
            Asker::FittingKey,
            Asker::UnfittingKey,
            Asker::RevokedKey,
        ];
        Actor::ALL.into_iter().map(Asker::Person).chain(others)
    }

    /// Who it is, of those whose secrets are known.
    pub fn actor(self) -> Option<Actor> {
        match self {
            Asker::Person(actor) => Some(actor),
            _ => None,
        }
    }
}

/// What an API key may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// To make and end accounts.
    Accounts,
    /// To issue tokens.
    Tokens,
    /// To say something.
    Messages,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Accounts, Scope::Tokens, Scope::Messages];

    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Accounts => "accounts",
            Scope::Tokens => "tokens",
            Scope::Messages => "messages",
        }
    }

    /// Several, as the API takes them.
    pub fn names(scopes: impl IntoIterator<Item = Scope>) -> Value {
        scopes.into_iter().map(|scope| Value::from(scope.name())).collect()
    }
}
