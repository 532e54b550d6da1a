//! Access tokens and resume tickets: JWTs (RFC 7519) signed with EdDSA, in one form alone.
//!
//! The header is not parsed but compared: there is one for each kind, so no token can choose its
//! algorithm, and none can serve as the other kind.

use anser_edge::Grant;
use anser_model::{AccountId, DeviceId, SessionId, Timeline, UnixMillis, planted};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// How long an access token is good, in seconds, unless told otherwise.
pub const ACCESS_TOKEN_S: u64 = 15 * 60;
/// How long a resume ticket is good, in seconds.
pub const RESUME_TICKET_S: u64 = 15 * 60;
/// Bytes of the longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 1_024;
const MS_PER_S: u64 = 1_000;

const ACCESS_HEADER: &str = r#"{"alg":"EdDSA","typ":"anser-access+jwt"}"#;
const RESUME_HEADER: &str = r#"{"alg":"EdDSA","typ":"anser-resume+jwt"}"#;

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not signed by this installation, or not of this kind.
    #[error("this is not a token of this installation, or not of the kind that is needed here")]
    NotOurs,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Signed before this installation was restored from a backup.
    #[error("the token is of another history of this installation")]
    ForeignTimeline,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessClaims {
    account: u64,
    device: u64,
    account_version: u64,
    device_version: u64,
    timeline: u64,
    iat: u64,
    exp: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeClaims {
    account: u64,
    device: u64,
    account_version: u64,
    device_version: u64,
    session: u64,
    timeline: u64,
    iat: u64,
    exp: u64,
}

/// Signs and checks tokens of one installation and timeline.
pub struct Tokens {
    signing: SigningKey,
    verifying: VerifyingKey,
    timeline: Timeline,
}

impl Tokens {
    /// From the seed of the signing key.
    pub fn new(seed: &[u8; 32], timeline: Timeline) -> Self {
        let signing = SigningKey::from_bytes(seed);
        Tokens { verifying: signing.verifying_key(), signing, timeline }
    }

    /// An access token, good for so many seconds from `now`.
    pub fn access(&self, grant: &Grant, now: UnixMillis, good_for_s: u64) -> Secret {
        let iat = now.0 / MS_PER_S;
        let claims = AccessClaims {
            account: grant.account.0,
            device: grant.device.0,
            account_version: grant.account_version,
            device_version: grant.device_version,
            timeline: self.timeline.0,
            iat,
            exp: iat + good_for_s,
        };
        self.sign(ACCESS_HEADER, &claims)
    }

    /// Reads an access token back. Whether its versions are still in use is for the home to say.
    pub fn verify_access(&self, token: &str, now: UnixMillis) -> Result<Grant, TokenError> {
        let claims: AccessClaims = self.verify(ACCESS_HEADER, token)?;
        self.require_current(claims.timeline, claims.exp, now)?;
        Ok(Grant {
            account: AccountId(claims.account),
            device: DeviceId(claims.device),
            account_version: claims.account_version,
            device_version: claims.device_version,
        })
    }

    /// A resume ticket of a session, good for [`RESUME_TICKET_S`] from `now`.
    pub fn ticket(&self, grant: &Grant, session: SessionId, now: UnixMillis) -> Secret {
        let iat = now.0 / MS_PER_S;
        let claims = ResumeClaims {
            account: grant.account.0,
            device: grant.device.0,
            account_version: grant.account_version,
            device_version: grant.device_version,
            session: session.0,
            timeline: self.timeline.0,
            iat,
            exp: iat + RESUME_TICKET_S,
        };
        self.sign(RESUME_HEADER, &claims)
    }

    /// Reads a resume ticket back. Whether its versions are still in use is for the home to say.
    pub fn verify_ticket(&self, ticket: &str, now: UnixMillis) -> Result<(Grant, SessionId), TokenError> {
        let claims: ResumeClaims = self.verify(RESUME_HEADER, ticket)?;
        self.require_current(claims.timeline, claims.exp, now)?;
        let grant = Grant {
            account: AccountId(claims.account),
            device: DeviceId(claims.device),
            account_version: claims.account_version,
            device_version: claims.device_version,
        };
        Ok((grant, SessionId(claims.session)))
    }

    fn sign(&self, header: &str, claims: &impl Serialize) -> Secret {
        let claims = serde_json::to_vec(claims).expect("numbers under fixed names are always JSON");
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signing.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        Secret::new(token)
    }

    fn verify<C: DeserializeOwned>(&self, header: &str, token: &str) -> Result<C, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::NotOurs);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotOurs)?;
        let (its_header, claims) = signed.split_once('.').ok_or(TokenError::NotOurs)?;
        if its_header != URL_SAFE_NO_PAD.encode(header) {
            return Err(TokenError::NotOurs);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::NotOurs);
        let signature = Signature::from_slice(&decode(signature)?).map_err(|_| TokenError::NotOurs)?;
        self.verifying.verify_strict(signed.as_bytes(), &signature).map_err(|_| TokenError::NotOurs)?;
        serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::NotOurs)
    }

    fn require_current(&self, timeline: u64, exp: u64, now: UnixMillis) -> Result<(), TokenError> {
        if timeline != self.timeline.0 {
            return Err(TokenError::ForeignTimeline);
        }
        if now.0 / MS_PER_S >= exp && !planted!(ExpiryUnchecked) {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_999);
    const GRANT: Grant =
        Grant { account: AccountId(u64::MAX), device: DeviceId(7), account_version: 3, device_version: 4 };

    fn tokens() -> Tokens {
        Tokens::new(&[1; 32], Timeline(u64::MAX - 1))
    }

    #[test]
    fn tokens_read_back_until_they_expire() {
        let tokens = tokens();
        let access = tokens.access(&GRANT, NOW, ACCESS_TOKEN_S);
        let last = UnixMillis(1_700_000_000_000 + (ACCESS_TOKEN_S * 1_000) - 1);
        assert_eq!(tokens.verify_access(access.expose(), NOW), Ok(GRANT));
        assert_eq!(tokens.verify_access(access.expose(), last), Ok(GRANT));
        assert_eq!(tokens.verify_access(access.expose(), last.plus_ms(1)), Err(TokenError::Expired));
        let ticket = tokens.ticket(&GRANT, SessionId(9), NOW);
        assert_eq!(tokens.verify_ticket(ticket.expose(), last), Ok((GRANT, SessionId(9))));
        assert_eq!(tokens.verify_ticket(ticket.expose(), last.plus_ms(1)), Err(TokenError::Expired));
    }

    #[test]
    fn one_kind_cannot_serve_as_the_other() {
        let tokens = tokens();
        let (access, ticket) =
            (tokens.access(&GRANT, NOW, ACCESS_TOKEN_S), tokens.ticket(&GRANT, SessionId(9), NOW));
        assert_eq!(tokens.verify_ticket(access.expose(), NOW), Err(TokenError::NotOurs));
        assert_eq!(tokens.verify_access(ticket.expose(), NOW), Err(TokenError::NotOurs));
    }

    #[test]
    fn other_keys_and_timelines_are_refused() {
        let token = tokens().access(&GRANT, NOW, ACCESS_TOKEN_S);
        let other_key = Tokens::new(&[2; 32], tokens().timeline);
        assert_eq!(other_key.verify_access(token.expose(), NOW), Err(TokenError::NotOurs));
        let restored = Tokens::new(&[1; 32], Timeline(5));
        assert_eq!(restored.verify_access(token.expose(), NOW), Err(TokenError::ForeignTimeline));
    }

    #[test]
    fn no_other_bytes_are_a_token() {
        let tokens = tokens();
        let good = tokens.access(&GRANT, NOW, ACCESS_TOKEN_S);
        let good = good.expose();
        let mut parts = good.split('.');
        let (_, claims, signature) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","typ":"anser-access+jwt"}"#, ""] {
            let forged = format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(tokens.verify_access(&forged, NOW), Err(TokenError::NotOurs), "{header}");
        }
        for at in 0..good.len() {
            for flip in [1, 2, 4] {
                let mut bytes = good.as_bytes().to_vec();
                bytes[at] ^= flip;
                if let Ok(text) = String::from_utf8(bytes) {
                    assert_eq!(tokens.verify_access(&text, NOW), Err(TokenError::NotOurs), "byte {at}");
                }
            }
        }
        let padded = [format!("{good}="), format!("{good}."), format!(" {good}"), format!("{good}.x")];
        let others = ["", ".", "..", "a.b.c", &"x".repeat(5_000)].map(String::from);
        for text in padded.iter().chain(&others) {
            assert_eq!(tokens.verify_access(text, NOW), Err(TokenError::NotOurs), "{text}");
        }
    }
}
