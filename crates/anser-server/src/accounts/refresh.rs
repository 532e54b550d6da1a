//! Refresh tokens: a chain that only its owner can move on, and that shows a theft.
//!
//! A token proves by itself that it is ours, so an old one is known for what it is without being
//! stored. The next token follows from the installation's key, the family, the generation and the
//! client's nonce; asking again with the same nonce therefore gives the same answer.

use anser_core::ports::accounts::{FamilyRow, NewFamily, Rotation, TokenHash};
use anser_model::{UnixMillis, limits::DAY_MS};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::secret::Secret;

/// How long a device may stay away before it has to sign in again.
pub const REFRESH_TOKEN_MS: u64 = 90 * DAY_MS;

const DOMAIN: &[u8] = b"anser/refresh/1";
const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
const SIGNED_BYTES: usize = 8 + 8 + NONCE_BYTES;
const TOKEN_BYTES: usize = SIGNED_BYTES + MAC_BYTES;
/// Characters of every token: four for each three bytes, rounded up.
const TOKEN_CHARS: usize = (TOKEN_BYTES * 4).div_ceil(3);

/// SHA-256 of something random and long.
pub fn hash(secret: &Secret) -> TokenHash {
    TokenHash(Sha256::digest(secret.expose().as_bytes()).into())
}

/// One token of a family.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Which family.
    pub family: u64,
    /// How many tokens came before it.
    pub generation: u64,
    text: Secret,
}

impl RefreshToken {
    /// The token that `nonce` makes in a generation of a family.
    fn derive(key: &[u8; 32], family: u64, generation: u64, nonce: &TokenHash) -> Self {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.extend_from_slice(&family.to_be_bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(&nonce.0[..NONCE_BYTES]);
        let mac = mac(key, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac);
        RefreshToken { family, generation, text: Secret::new(URL_SAFE_NO_PAD.encode(bytes)) }
    }

    /// Reads a token of this installation; `None` for anything else.
    pub fn read(key: &[u8; 32], text: &Secret) -> Option<Self> {
        if text.expose().len() != TOKEN_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.expose()).ok()?;
        let (signed, tag) = bytes.split_at_checked(SIGNED_BYTES)?;
        mac(key, signed).verify_slice(tag).ok()?;
        let number = |at: usize| signed[at..at + 8].try_into().ok().map(u64::from_be_bytes);
        Some(RefreshToken { family: number(0)?, generation: number(8)?, text: text.clone() })
    }

    /// The first token of a family, from fresh randomness.
    pub fn first(key: &[u8; 32], family: u64, random: [u8; 32]) -> Self {
        Self::derive(key, family, 0, &TokenHash(random))
    }

    /// What the store keeps of a new family.
    pub fn new_family(&self, now: UnixMillis) -> NewFamily {
        NewFamily { family: self.family, token: hash(&self.text), expires_at: now.plus_ms(REFRESH_TOKEN_MS) }
    }

    /// What the client gets.
    pub fn into_text(self) -> Secret {
        self.text
    }
}

/// What becomes of a token that was presented.
#[derive(PartialEq, Eq)]
pub enum Step {
    /// It is the newest: move on, then give this one.
    Rotate(Rotation, RefreshToken),
    /// It was used with the same nonce: give the same answer.
    Repeat(RefreshToken),
    /// It was used before, by somebody else or with another nonce: nobody may use the family any more.
    Stolen,
    /// It is no good.
    Refuse,
}

/// Decides what becomes of `token`, presented with the nonce hashed in `nonce`.
pub fn decide(
    key: &[u8; 32],
    token: &RefreshToken,
    nonce: TokenHash,
    row: &FamilyRow,
    now: UnixMillis,
) -> Step {
    assert_eq!(token.family, row.family, "the row was looked up by the token's family");
    if now >= row.expires_at || token.generation > row.generation {
        return Step::Refuse;
    }
    if token.generation == row.generation {
        // Of the same generation but not the same token: a branch that a restored backup knows nothing of.
        if hash(&token.text) != row.token {
            return Step::Refuse;
        }
        let next = RefreshToken::derive(key, row.family, row.generation + 1, &nonce);
        let rotation = Rotation {
            family: row.family,
            from_generation: row.generation,
            token: hash(&next.text),
            nonce,
            at: now,
            expires_at: now.plus_ms(REFRESH_TOKEN_MS),
        };
        return Step::Rotate(rotation, next);
    }
    if token.generation + 1 == row.generation && row.nonce == Some(nonce) {
        let next = RefreshToken::derive(key, row.family, row.generation, &nonce);
        return if hash(&next.text) == row.token { Step::Repeat(next) } else { Step::Refuse };
    }
    Step::Stolen
}

fn mac(key: &[u8; 32], signed: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(DOMAIN);
    mac.update(signed);
    mac
}

#[cfg(test)]
mod tests {
    use anser_model::{AccountId, DeviceId};

    use super::*;

    const KEY: [u8; 32] = [3; 32];
    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn nonce(text: &str) -> TokenHash {
        hash(&Secret::new(text))
    }

    fn start() -> (RefreshToken, FamilyRow) {
        let token = RefreshToken::first(&KEY, 77, [9; 32]);
        let family = token.new_family(NOW);
        let row = FamilyRow {
            family: 77,
            account: AccountId(1),
            device: DeviceId(2),
            generation: 0,
            token: family.token,
            nonce: None,
            expires_at: family.expires_at,
        };
        (token, row)
    }

    fn rotate(token: &RefreshToken, with: &str, row: &mut FamilyRow) -> RefreshToken {
        match decide(&KEY, token, nonce(with), row, NOW) {
            Step::Rotate(rotation, next) => {
                assert_eq!((rotation.from_generation, next.generation), (row.generation, row.generation + 1));
                (row.generation, row.token) = (row.generation + 1, rotation.token);
                (row.nonce, row.expires_at) = (Some(rotation.nonce), rotation.expires_at);
                next
            }
            _ => panic!("the newest token moves on"),
        }
    }

    #[test]
    fn a_chain_moves_on_and_repeats_its_last_answer() {
        let (first, mut row) = start();
        let second = rotate(&first, "nonce a", &mut row);
        assert!(decide(&KEY, &first, nonce("nonce a"), &row, NOW) == Step::Repeat(second.clone()));
        let third = rotate(&second, "nonce b", &mut row);
        assert!(decide(&KEY, &second, nonce("nonce b"), &row, NOW) == Step::Repeat(third.clone()));
        assert!(third.text != second.text && second.text != first.text);
    }

    #[test]
    fn a_used_token_shows_a_theft() {
        let (first, mut row) = start();
        let second = rotate(&first, "nonce a", &mut row);
        assert!(decide(&KEY, &first, nonce("nonce b"), &row, NOW) == Step::Stolen);
        rotate(&second, "nonce b", &mut row);
        assert!(decide(&KEY, &first, nonce("nonce a"), &row, NOW) == Step::Stolen, "long used");
    }

    #[test]
    fn tokens_from_after_a_backup_and_expired_ones_are_refused() {
        let (first, mut row) = start();
        let backup = row;
        let second = rotate(&first, "nonce a", &mut row);
        assert!(decide(&KEY, &second, nonce("nonce b"), &backup, NOW) == Step::Refuse);
        let mut other_branch = backup;
        rotate(&first, "nonce c", &mut other_branch);
        assert!(decide(&KEY, &second, nonce("nonce b"), &other_branch, NOW) == Step::Refuse);
        assert!(decide(&KEY, &second, nonce("nonce b"), &row, row.expires_at) == Step::Refuse);
    }

    #[test]
    fn only_our_own_tokens_are_read() {
        let (token, _) = start();
        assert!(RefreshToken::read(&KEY, &token.text) == Some(token.clone()));
        assert!(RefreshToken::read(&[4; 32], &token.text).is_none());
        let text = token.text.expose();
        assert_eq!(text.len(), TOKEN_CHARS);
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = Secret::new(String::from_utf8(bytes).unwrap());
            assert!(RefreshToken::read(&KEY, &changed).is_none(), "character {at}");
        }
        for other in ["", "x", &format!("{text}A"), &"é".repeat(43)] {
            assert!(RefreshToken::read(&KEY, &Secret::new(other)).is_none());
        }
    }
}
