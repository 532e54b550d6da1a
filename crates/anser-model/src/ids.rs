//! Typed ids and coordinates: an account is not a device, and an `n` is not a `seq`.

use std::fmt;

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::client_id::ClientId;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The number itself, for codecs and logs.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

impl AccountId {
    /// The account in whose name application servers speak. It is there from the first start on, and nobody
    /// signs in with it.
    pub const SYSTEM: AccountId = AccountId(1);
}

number_id!(
    /// A person or a bot. Never used again after its deletion; 0 is nobody.
    AccountId
);
number_id!(
    /// One installation of an account.
    DeviceId
);
number_id!(
    /// One live connection of a device, unique within a run of an edge.
    SessionId
);
number_id!(
    /// Number of a valid fact in its slot: 1, 2, 3 … without gaps; 0 is "before the first".
    N
);
number_id!(
    /// Position of a sequenced fact in its conversation: 1..m without gaps; 0 is "before the first".
    Seq
);
number_id!(
    /// How many countable messages a conversation has had up to a seq.
    Ordinal
);
number_id!(
    /// One history of an installation. A restore from backup starts another.
    Timeline
);
number_id!(
    /// The rule of one slot owner, named by the nonce of its `Opened` record; 0 is "nobody has ruled yet".
    Reign
);

impl N {
    /// The number that follows.
    pub const fn next(self) -> N {
        N(self.0 + 1)
    }
}

impl Seq {
    /// The seq that follows.
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

/// One of the 256 hash partitions of conversations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Slot(pub u8);

impl Slot {
    /// How many slots there are, for the life of every installation.
    pub const COUNT: usize = 256;

    /// Every slot in order.
    pub fn all() -> impl Iterator<Item = Slot> {
        (0..=u8::MAX).map(Slot)
    }

    /// The slot as an index into a table of [`Slot::COUNT`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The installation's secret that spreads conversations over slots and keys every short hash, so
/// that nobody outside can aim at one slot or forge a collision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SlotKey([u8; 16]);

impl SlotKey {
    /// A key from 16 secret random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        SlotKey(bytes)
    }

    /// Which slot a conversation lives in.
    pub fn slot(&self, cid: ConversationId) -> Slot {
        Slot(self.hash128(b"slot", &[&cid.0]).to_le_bytes()[0])
    }

    /// Names the key without giving it away; stored beside what was written under it.
    pub fn fingerprint(&self) -> u64 {
        self.hash128(b"fingerprint", &[]) as u64
    }

    /// A keyed 128-bit hash of `parts`, apart for each `domain`. Parts are length-prefixed, so no two
    /// lists of parts can be mistaken for one another.
    pub fn hash128(&self, domain: &[u8], parts: &[&[u8]]) -> u128 {
        use std::hash::Hasher;
        let mut hasher = SipHasher24::new_with_key(&self.0);
        for part in std::iter::once(&domain).chain(parts) {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        hasher.finish128().as_u128()
    }
}

impl fmt::Debug for SlotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlotKey(..)")
    }
}

/// A conversation. Computed, never allocated: SHA-256 truncated to 16 bytes, over a domain word and
/// what makes the conversation unique, so that a retried creation is the same conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConversationId(pub [u8; 16]);

impl ConversationId {
    /// The direct conversation of two people, the same from both sides.
    pub fn direct(a: AccountId, b: AccountId) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self::hash(b"anser/direct", &[&low.0.to_be_bytes(), &high.0.to_be_bytes()])
    }

    /// A conversation that `creator` makes with the command `client_id`.
    pub fn created(creator: AccountId, client_id: ClientId) -> Self {
        Self::hash(b"anser/created", &[&creator.0.to_be_bytes(), client_id.as_bytes()])
    }

    /// The self conversation of an account: its settings, its slots, its home.
    pub fn of_self(account: AccountId) -> Self {
        Self::hash(b"anser/self", &[&account.0.to_be_bytes()])
    }

    fn hash(domain: &[u8], parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(domain);
        for part in parts {
            hasher.update([0]);
            hasher.update(part);
        }
        let digest = hasher.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        ConversationId(id)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConversationId({self})")
    }
}

impl std::str::FromStr for ConversationId {
    type Err = BadConversationId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; 16];
        if text.len() != 32 || !text.is_ascii() {
            return Err(BadConversationId);
        }
        for (index, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| BadConversationId)?;
        }
        Ok(ConversationId(id))
    }
}

/// The text is not a conversation id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a conversation id is 32 hexadecimal digits")]
pub struct BadConversationId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_conversation_is_the_same_from_both_sides() {
        let (a, b) = (AccountId(7), AccountId(9));
        assert_eq!(ConversationId::direct(a, b), ConversationId::direct(b, a));
        assert_ne!(ConversationId::direct(a, b), ConversationId::direct(a, a));
    }

    #[test]
    fn ids_of_the_first_release_stay_what_they_were() {
        // Clients compute these too: a change here is a change of protocol.
        assert_eq!(
            ConversationId::direct(AccountId(1), AccountId(2)).to_string(),
            "02bc2e549083fc924897924488722037"
        );
    }

    #[test]
    fn slots_spread_evenly_under_a_key() {
        let key = SlotKey::new([7; 16]);
        let mut counts = [0u32; Slot::COUNT];
        for number in 0..25_600u64 {
            counts[key.slot(ConversationId::of_self(AccountId(number))).index()] += 1;
        }
        assert!(counts.iter().all(|&count| (50..200).contains(&count)), "{counts:?}");
    }

    #[test]
    fn a_conversation_id_reads_back() {
        let cid = ConversationId::of_self(AccountId(5));
        assert_eq!(cid.to_string().parse(), Ok(cid));
        assert_eq!("zz".parse::<ConversationId>(), Err(BadConversationId));
    }
}
