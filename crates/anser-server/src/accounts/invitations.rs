//! Invitations: links that let people register.

use anser_core::ports::accounts::{AccountsError, InvitationRow, InvitationRule};
use anser_model::{AccountId, UnixMillis, limits::DAY_MS};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{AccessError, AccountService, Secret, Session, refresh};

/// Invitations of one author that can be used at the same time.
pub const INVITATIONS_PER_AUTHOR: usize = 20;
/// How long a member's invitation can be used.
const MEMBER_INVITATION_MS: u64 = 7 * DAY_MS;
/// How many people may use a member's invitation.
const MEMBER_INVITATION_USES: u32 = 20;
/// How long the invitation for everybody of the first start can be used.
const GENERAL_INVITATION_MS: u64 = 30 * DAY_MS;
/// How long the administrator's invitation can be used.
const ADMIN_INVITATION_MS: u64 = 7 * DAY_MS;
/// Random bytes of an invitation.
const INVITATION_BYTES: usize = 18;
/// Characters of the longest invitation that is looked at.
const INVITATION_CHARS_MAX: usize = 64;

/// An invitation as its author sees it, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// What stands in the link.
    pub secret: Secret,
    /// When it can no longer be used.
    pub expires_at: UnixMillis,
}

/// The invitations that the first start prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstInvitations {
    /// For one person, who becomes the administrator.
    pub admin: Invitation,
    /// For everybody else.
    pub general: Invitation,
}

impl AccountService {
    /// Makes the first invitations, as long as there is no account: a start that nobody followed up
    /// is replaced by the next one, links and all. `None` once somebody has registered.
    pub async fn first_invitations(&self) -> Result<Option<FirstInvitations>, AccessError> {
        let (admin, mut admin_row) = self.new_invitation(None, Some(1), ADMIN_INVITATION_MS);
        admin_row.admin = true;
        let (general, general_row) = self.new_invitation(None, None, GENERAL_INVITATION_MS);
        let rows = vec![admin_row, general_row];
        match self.parts.accounts.add_invitations(rows, InvitationRule::WhileEmpty).await {
            Ok(()) => Ok(Some(FirstInvitations { admin, general })),
            Err(AccountsError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Invites people in a member's name.
    pub async fn invite(&self, session: &Session) -> Result<Invitation, AccessError> {
        self.limits.invite_by_account.take(session.account(), self.now_ms())?;
        let (invitation, row) =
            self.new_invitation(Some(session.account()), Some(MEMBER_INVITATION_USES), MEMBER_INVITATION_MS);
        let rule = InvitationRule::WhileBelow { limit: INVITATIONS_PER_AUTHOR, now: self.parts.clock.now() };
        match self.parts.accounts.add_invitations(vec![row], rule).await {
            Ok(()) => Ok(invitation),
            Err(AccountsError::Conflict) => {
                Err(AccessError::TooManyInvitations { limit: INVITATIONS_PER_AUTHOR })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The row of an invitation that can still be used.
    pub(super) async fn live_invitation(&self, secret: &Secret) -> Result<InvitationRow, AccessError> {
        if secret.expose().len() > INVITATION_CHARS_MAX {
            return Err(AccessError::InvitationSpent);
        }
        let row = self.parts.accounts.invitation(refresh::hash(secret)).await?;
        let now = self.parts.clock.now();
        row.filter(|row| row.expires_at > now && row.uses_left != Some(0)).ok_or(AccessError::InvitationSpent)
    }

    fn new_invitation(
        &self,
        author: Option<AccountId>,
        uses_left: Option<u32>,
        lifetime_ms: u64,
    ) -> (Invitation, InvitationRow) {
        let mut bytes = [0; INVITATION_BYTES];
        self.parts.random.fill(&mut bytes);
        let secret = Secret::new(URL_SAFE_NO_PAD.encode(bytes));
        let created_at = self.parts.clock.now();
        let expires_at = created_at.plus_ms(lifetime_ms);
        let hash = refresh::hash(&secret);
        let row = InvitationRow { hash, author, admin: false, uses_left, created_at, expires_at };
        (Invitation { secret, expires_at }, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::RegistrationMode;
    use crate::accounts::testing::Bench;

    #[tokio::test]
    async fn the_first_links_are_replaced_until_somebody_registers() {
        let bench = Bench::with_mode(RegistrationMode::Invitation);
        let first = bench.service.first_invitations().await.unwrap().unwrap();
        let second = bench.service.first_invitations().await.unwrap().unwrap();
        assert_ne!(first, second);
        let refused = bench.try_register("alice", Some(&first.admin.secret)).await;
        assert_eq!(refused.unwrap_err(), AccessError::InvitationSpent);
        let alice = bench.try_register("alice", Some(&second.admin.secret)).await.unwrap();
        assert!(bench.row(alice.account).await.admin);
        assert_eq!(bench.service.first_invitations().await, Ok(None));
        let again = bench.try_register("mallory", Some(&second.admin.secret)).await;
        assert_eq!(again.unwrap_err(), AccessError::InvitationSpent, "one administrator");
        for handle in ["bob", "carol"] {
            let person = bench.try_register(handle, Some(&second.general.secret)).await.unwrap();
            assert!(!bench.row(person.account).await.admin);
        }
        bench.clock.advance_ms(GENERAL_INVITATION_MS);
        let late = bench.try_register("dave", Some(&second.general.secret)).await;
        assert_eq!(late.unwrap_err(), AccessError::InvitationSpent);
    }

    #[tokio::test]
    async fn a_closed_installation_lets_its_first_administrator_in() {
        let bench = Bench::with_mode(RegistrationMode::Closed);
        let first = bench.service.first_invitations().await.unwrap().unwrap();
        let closed = Err(AccessError::RegistrationClosed);
        assert_eq!(bench.try_register("alice", None).await.map(drop), closed);
        assert_eq!(bench.try_register("alice", Some(&first.general.secret)).await.map(drop), closed);
        assert!(bench.try_register("alice", Some(&first.admin.secret)).await.is_ok());
    }

    #[tokio::test]
    async fn a_member_has_a_limit_of_invitations() {
        let bench = Bench::open();
        let alice = bench.register("alice").await;
        let session = bench.session(&alice).await;
        for _ in 0..INVITATIONS_PER_AUTHOR {
            bench.clock.advance_ms(60_000);
            assert!(bench.service.invite(&session).await.is_ok());
        }
        bench.clock.advance_ms(60_000);
        let refused = bench.service.invite(&session).await.unwrap_err();
        assert_eq!(refused, AccessError::TooManyInvitations { limit: INVITATIONS_PER_AUTHOR });
        bench.clock.advance_ms(MEMBER_INVITATION_MS);
        assert!(bench.service.invite(&session).await.is_ok());
    }
}
