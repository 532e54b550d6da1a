//! Coming in and going out: register, sign in, refresh, sign out, devices, passwords.

use std::net::IpAddr;

use anser_core::ports::accounts::{
    AccountChange, AccountKey, AccountRow, AccountsError, DeviceKind, DeviceRow, FamilyRow, NewAccount,
    NewDevice, PasswordHash, TokenHash,
};
use anser_model::{AccountId, DeviceId, KickReason, UnixMillis, planted};

use super::administration::ATTEMPTS;
use super::refresh::{self, RefreshToken, Step};
use super::{AccessError, AccountService, Grant, RegistrationMode, Secret, Session, network, rules};

/// The version that every account and device begins with.
const FIRST_VERSION: u64 = 1;

/// What somebody who registers tells.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Under which handle.
    pub handle: String,
    /// With which password.
    pub password: Secret,
    /// What people are to see.
    pub name: String,
    /// By which invitation.
    pub invitation: Option<Secret>,
    /// How the device is called.
    pub device_name: String,
    /// What it is.
    pub device_kind: DeviceKind,
}

/// What somebody who signs in tells.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Under which handle.
    pub handle: String,
    /// With which password.
    pub password: Secret,
    /// How the device is called.
    pub device_name: String,
    /// What it is.
    pub device_kind: DeviceKind,
}

/// What a device gets that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Whose device it is.
    pub account: AccountId,
    /// Which one.
    pub device: DeviceId,
    /// For requests and connections.
    pub access_token: Secret,
    /// How long that is good.
    pub access_expires_in_s: u64,
    /// For the next access token.
    pub refresh_token: Secret,
}

/// A live device as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDevice {
    /// Which one.
    pub device: DeviceId,
    /// How it is called.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// When it signed in.
    pub created_at: UnixMillis,
    /// When it last refreshed.
    pub last_seen_at: UnixMillis,
    /// Whether it is the one that asks.
    pub current: bool,
}

impl AccountService {
    /// Registers somebody, on a first device.
    pub async fn register(&self, asked: Registration, from: IpAddr) -> Result<SignedIn, AccessError> {
        self.limits.sign_in_by_network.take(network(from), self.now_ms())?;
        let handle = rules::handle(&asked.handle)?;
        let name = rules::name("name", &asked.name)?;
        let device_name = rules::name("device_name", &asked.device_name)?;
        rules::password("password", &asked.password)?;
        let (admin, invitation) = self.require_invitation(asked.invitation.as_ref()).await?;
        // Before the costly hash; the claim itself decides.
        if self.account(AccountKey::Handle(handle.clone())).await?.is_some() {
            return Err(AccessError::HandleTaken);
        }
        let password_hash = self.passwords.hash(asked.password).await?;
        for _ in 0..ATTEMPTS {
            let (device, token) = self.new_device(device_name.clone(), asked.device_kind);
            let new = NewAccount {
                account: AccountId(self.random_id()),
                handle: handle.clone(),
                name: name.clone(),
                password_hash: password_hash.clone(),
                admin,
                device,
                invitation,
            };
            let grant = Grant {
                account: new.account,
                device: new.device.device,
                account_version: FIRST_VERSION,
                device_version: FIRST_VERSION,
            };
            match self.parts.accounts.register(new).await {
                Ok(()) => return Ok(self.signed_in(&grant, token)),
                Err(AccountsError::IdTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountsError::IdTaken.into())
    }

    /// Signs a device in. An unknown handle and a wrong password get the same error after the same time.
    pub async fn sign_in(&self, asked: SignIn, from: IpAddr) -> Result<SignedIn, AccessError> {
        self.limits.sign_in_by_network.take(network(from), self.now_ms())?;
        let device_name = rules::name("device_name", &asked.device_name)?;
        let handle = rules::handle(&asked.handle)?;
        for _ in 0..ATTEMPTS {
            let row = self.account(AccountKey::Handle(handle.clone())).await?;
            if planted!(HandlesTold) && row.is_none() {
                return Err(AccessError::NotFound("account"));
            }
            let stored = row.as_ref().and_then(|row| row.password_hash.clone());
            self.check_password(&handle, asked.password.clone(), stored).await?;
            let row = row.ok_or(AccessError::WrongCredentials)?;
            if row.deactivated {
                return Err(AccessError::Deactivated);
            }
            let (device, token) = self.new_device(device_name.clone(), asked.device_kind);
            let grant = Grant {
                account: row.account,
                device: device.device,
                account_version: row.credential_version,
                device_version: FIRST_VERSION,
            };
            let accounts = &self.parts.accounts;
            match accounts.add_device(row.account, row.credential_version, device, self.second_device).await {
                Ok(added) => {
                    self.end_replaced(&row, &added.ended).await;
                    return Ok(self.signed_in(&grant, token));
                }
                // The password has just been changed, or the id is in use: look again.
                Err(AccountsError::Conflict | AccountsError::IdTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountsError::Conflict.into())
    }

    /// Gives a device its next tokens. The same nonce asked again gets the same refresh token.
    pub async fn refresh(
        &self,
        refresh_token: &Secret,
        nonce: &Secret,
        from: IpAddr,
    ) -> Result<SignedIn, AccessError> {
        self.limits.refresh_by_network.take(network(from), self.now_ms())?;
        rules::nonce(nonce)?;
        let token =
            RefreshToken::read(&self.refresh_key, refresh_token).ok_or(AccessError::Unauthenticated)?;
        let nonce = refresh::hash(nonce);
        for _ in 0..ATTEMPTS {
            let family =
                self.parts.accounts.family(token.family).await?.ok_or(AccessError::Unauthenticated)?;
            if let Some(signed_in) = self.refresh_once(&token, nonce, &family).await? {
                return Ok(signed_in);
            }
        }
        Err(AccountsError::Conflict.into())
    }

    /// Signs out the device that asks.
    pub async fn sign_out(&self, session: &Session) -> Result<(), AccessError> {
        self.end_device(session.account(), session.device()).await
    }

    /// The live devices of the account, oldest first.
    pub async fn devices(&self, session: &Session) -> Result<Vec<ListedDevice>, AccessError> {
        let rows = self.parts.accounts.devices(session.account()).await?;
        let live = rows.into_iter().filter(|row| !row.revoked);
        Ok(live
            .map(|row| ListedDevice {
                current: row.device == session.device(),
                device: row.device,
                name: row.name,
                kind: row.kind,
                created_at: row.created_at,
                last_seen_at: row.last_seen_at,
            })
            .collect())
    }

    /// Signs out one of the account's devices. May be repeated.
    pub async fn revoke_device(&self, session: &Session, device: DeviceId) -> Result<(), AccessError> {
        self.end_device(session.account(), device).await
    }

    /// Changes the password, and signs out every other device.
    pub async fn change_password(
        &self,
        session: &Session,
        old: Secret,
        new: Secret,
    ) -> Result<SignedIn, AccessError> {
        rules::password("new_password", &new)?;
        let row = self.own_account(session).await?;
        self.check_password(&row.handle, old, row.password_hash.clone()).await?;
        let password_hash = self.passwords.hash(new).await?;
        let token = self.new_family();
        let at = self.parts.clock.now();
        let change = AccountChange::Password {
            from_version: row.credential_version,
            password_hash,
            keep: session.device(),
            family: token.new_family(at),
            at,
        };
        self.parts.accounts.change(row.account, change).await.map_err(|error| match error {
            // The device was signed out while it asked.
            AccountsError::NotFound => AccessError::Revoked,
            error => error.into(),
        })?;
        let account_version = row.credential_version + 1;
        // The change stands, and the outbox will tell the home; but until it is told, others are not out.
        self.parts
            .home
            .raise_credentials(row.account, account_version, None, KickReason::Revoked)
            .await
            .map_err(|_| AccessError::UnknownOutcome)?;
        Ok(self.signed_in(&Grant { account_version, ..session.grant }, token))
    }

    /// Whether an invitation is needed, is good, and makes an administrator.
    async fn require_invitation(
        &self,
        invitation: Option<&Secret>,
    ) -> Result<(bool, Option<TokenHash>), AccessError> {
        let row = match invitation {
            Some(invitation) => Some(self.live_invitation(invitation).await?),
            None => None,
        };
        match (self.registration(), row) {
            (_, Some(row)) if row.admin => Ok((true, Some(row.hash))),
            (RegistrationMode::Closed, _) => Err(AccessError::RegistrationClosed),
            (_, Some(row)) => Ok((false, Some(row.hash))),
            (RegistrationMode::Open, None) => Ok((false, None)),
            (RegistrationMode::Invitation, None) => Err(AccessError::InvitationRequired),
        }
    }

    /// Checks a password for a handle, whether or not somebody has it; every try counts.
    pub(super) async fn check_password(
        &self,
        handle: &str,
        password: Secret,
        stored: Option<PasswordHash>,
    ) -> Result<(), AccessError> {
        self.limits.password_by_handle.take(handle.to_owned(), self.now_ms())?;
        if password.expose().len() > rules::PASSWORD_BYTES_MAX {
            return Err(AccessError::WrongCredentials);
        }
        match self.passwords.verify(password, stored).await? {
            true => Ok(()),
            false => Err(AccessError::WrongCredentials),
        }
    }

    /// One try at a refresh; `None` if the family moved on in the meantime.
    async fn refresh_once(
        &self,
        token: &RefreshToken,
        nonce: TokenHash,
        family: &FamilyRow,
    ) -> Result<Option<SignedIn>, AccessError> {
        let now = self.parts.clock.now();
        match refresh::decide(&self.refresh_key, token, nonce, family, now) {
            Step::Refuse => Err(AccessError::Unauthenticated),
            Step::Stolen => {
                let (account, device) = (family.account, family.device);
                tracing::warn!(%account, %device, "a used refresh token came back: the device is signed out");
                self.end_device(account, device).await?;
                Err(AccessError::Revoked)
            }
            Step::Repeat(next) => {
                let grant = self.current_grant(family).await?;
                Ok(Some(self.signed_in(&grant, next)))
            }
            Step::Rotate(rotation, next) => {
                let grant = self.current_grant(family).await?;
                match self.parts.accounts.rotate(rotation).await {
                    Ok(()) => Ok(Some(self.signed_in(&grant, next))),
                    Err(AccountsError::Conflict) => Ok(None),
                    Err(AccountsError::NotFound) => Err(AccessError::Revoked),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// What a device may be granted now. Its versions are read before the family is moved on: if they
    /// rise in between, the token is born void.
    async fn current_grant(&self, family: &FamilyRow) -> Result<Grant, AccessError> {
        let account =
            self.account(AccountKey::Id(family.account)).await?.ok_or(AccessError::Unauthenticated)?;
        let devices = self.parts.accounts.devices(family.account).await?;
        let device = devices.into_iter().find(|row| row.device == family.device && !row.revoked);
        let device = device.ok_or(AccessError::Revoked)?;
        if account.deactivated {
            return Err(AccessError::Deactivated);
        }
        Ok(Grant {
            account: account.account,
            device: device.device,
            account_version: account.credential_version,
            device_version: device.version,
        })
    }

    /// Revokes a device and answers once its home has made that durable.
    async fn end_device(&self, account: AccountId, device: DeviceId) -> Result<(), AccessError> {
        let at = self.parts.clock.now();
        let version =
            self.parts.accounts.revoke_device(account, device, at).await.map_err(|error| match error {
                AccountsError::NotFound => AccessError::NotFound("device"),
                error => error.into(),
            })?;
        let row = self.account(AccountKey::Id(account)).await?;
        let account_version = row.map_or(0, |row| row.credential_version);
        let device = Some((device, version));
        self.parts.home.raise_credentials(account, account_version, device, KickReason::Revoked).await?;
        Ok(())
    }

    /// Ends the devices that made room for another one. If their home does not answer now, the outbox
    /// tells it later.
    pub(super) async fn end_replaced(&self, row: &AccountRow, ended: &[DeviceRow]) {
        let home = &self.parts.home;
        for ended in ended {
            let (version, device) = (row.credential_version, Some((ended.device, ended.version)));
            let told = home.raise_credentials(row.account, version, device, KickReason::Replaced).await;
            if let Err(error) = told {
                tracing::warn!(%error, account = %row.account, "a device that was replaced is ended later");
            }
        }
    }

    fn new_device(&self, name: String, kind: DeviceKind) -> (NewDevice, RefreshToken) {
        let (at, token) = (self.parts.clock.now(), self.new_family());
        let family = token.new_family(at);
        let device = NewDevice { device: DeviceId(self.random_id()), name, kind, key: None, at, family };
        (device, token)
    }

    pub(super) fn new_family(&self) -> RefreshToken {
        let mut random = [0; 32];
        self.parts.random.fill(&mut random);
        RefreshToken::first(&self.refresh_key, self.random_id(), random)
    }

    pub(super) fn signed_in(&self, grant: &Grant, token: RefreshToken) -> SignedIn {
        SignedIn {
            account: grant.account,
            device: grant.device,
            access_token: self.tokens.access(grant, self.parts.clock.now(), self.access_token_s),
            access_expires_in_s: self.access_token_s,
            refresh_token: token.into_text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use anser_model::SessionId;

    use super::*;
    use crate::accounts::testing::{ADDRESS, Bench, PASSWORD};
    use crate::accounts::{ACCESS_TOKEN_S, REFRESH_TOKEN_MS};

    fn nonce(number: u64) -> Secret {
        Secret::new(format!("nonce number {number:08}"))
    }

    async fn refresh(bench: &Bench, token: &Secret, number: u64) -> Result<SignedIn, AccessError> {
        bench.service.refresh(token, &nonce(number), ADDRESS).await
    }

    async fn authenticate(bench: &Bench, token: &Secret) -> Result<Session, AccessError> {
        bench.service.authenticate(token.expose()).await
    }

    #[tokio::test]
    async fn unknown_handles_and_wrong_passwords_look_the_same() {
        let bench = Bench::open();
        bench.register("alice").await;
        let unknown = bench.sign_in("nobody", PASSWORD).await.unwrap_err();
        let wrong = bench.sign_in("alice", "another password").await.unwrap_err();
        assert_eq!((unknown.clone(), unknown), (wrong, AccessError::WrongCredentials));
        assert!(bench.sign_in("ALICE", PASSWORD).await.is_ok(), "handles are folded");
    }

    #[tokio::test]
    async fn passwords_of_one_handle_are_not_tried_without_end() {
        let bench = Bench::open();
        bench.register("alice").await;
        let mut tries = 0;
        let retry_after_ms = loop {
            match bench.sign_in("alice", "a wrong password").await.unwrap_err() {
                AccessError::WrongCredentials => tries += 1,
                AccessError::RateLimited { retry_after_ms } => break retry_after_ms,
                other => panic!("{other}"),
            }
        };
        assert_eq!(tries, 10);
        bench.clock.advance_ms(retry_after_ms);
        assert!(bench.sign_in("alice", PASSWORD).await.is_ok());
    }

    #[tokio::test]
    async fn a_lost_answer_is_given_again_and_a_theft_ends_the_device() {
        let bench = Bench::open();
        let first = bench.register("alice").await;
        let second = refresh(&bench, &first.refresh_token, 1).await.unwrap();
        let again = refresh(&bench, &first.refresh_token, 1).await.unwrap();
        assert_eq!(again.refresh_token, second.refresh_token);
        assert_ne!(first.refresh_token, second.refresh_token);
        let third = refresh(&bench, &second.refresh_token, 2).await.unwrap();
        assert!(authenticate(&bench, &third.access_token).await.is_ok());

        let thief = refresh(&bench, &second.refresh_token, 3).await;
        assert_eq!(thief, Err(AccessError::Revoked));
        let owner = refresh(&bench, &third.refresh_token, 4).await;
        assert_eq!(owner, Err(AccessError::Unauthenticated), "the family is gone");
        assert_eq!(authenticate(&bench, &third.access_token).await, Err(AccessError::Revoked));
    }

    #[tokio::test]
    async fn refreshes_at_once_agree() {
        let bench = Bench::open();
        let first = bench.register("alice").await;
        let one = refresh(&bench, &first.refresh_token, 1);
        let two = refresh(&bench, &first.refresh_token, 1);
        let (one, two) = tokio::join!(one, two);
        assert_eq!(one.unwrap().refresh_token, two.unwrap().refresh_token);
    }

    #[tokio::test]
    async fn tokens_expire() {
        let bench = Bench::open();
        let alice = bench.register("alice").await;
        bench.clock.advance_ms(ACCESS_TOKEN_S * 1_000);
        assert_eq!(authenticate(&bench, &alice.access_token).await, Err(AccessError::Unauthenticated));
        let next = refresh(&bench, &alice.refresh_token, 1).await.unwrap();
        assert!(authenticate(&bench, &next.access_token).await.is_ok());
        bench.clock.advance_ms(REFRESH_TOKEN_MS);
        let late = refresh(&bench, &next.refresh_token, 2).await;
        assert_eq!(late, Err(AccessError::Unauthenticated));
    }

    #[tokio::test]
    async fn a_revocation_is_answered_after_the_home_and_fails_closed() {
        let bench = Bench::open();
        let alice = bench.register("alice").await;
        let phone = bench.sign_in("alice", PASSWORD).await.unwrap();
        let session = bench.session(&alice).await;
        let stranger = bench.session(&bench.register("bob").await).await;
        let foreign = bench.service.revoke_device(&stranger, phone.device).await;
        assert_eq!(foreign, Err(AccessError::NotFound("device")));
        assert!(authenticate(&bench, &phone.access_token).await.is_ok());

        assert_eq!(bench.service.revoke_device(&session, phone.device).await, Ok(()));
        assert_eq!(bench.service.revoke_device(&session, phone.device).await, Ok(()), "again");
        assert_eq!(authenticate(&bench, &phone.access_token).await, Err(AccessError::Revoked));
        assert_eq!(refresh(&bench, &phone.refresh_token, 1).await, Err(AccessError::Unauthenticated));
        assert!(authenticate(&bench, &alice.access_token).await.is_ok());
        bench.home.set_down(true);
        assert_eq!(authenticate(&bench, &alice.access_token).await, Err(AccessError::Unavailable));
    }

    #[tokio::test]
    async fn another_password_ends_every_other_device() {
        let bench = Bench::open();
        let alice = bench.register("alice").await;
        let phone = bench.sign_in("alice", PASSWORD).await.unwrap();
        let session = bench.session(&phone).await;
        let ticket = bench.service.ticket(&bench.session(&alice).await, SessionId(5));
        assert!(bench.service.resume(ticket.expose()).await.is_ok());
        let change = |old: &str, new: &str| {
            bench.service.change_password(&session, Secret::new(old), Secret::new(new))
        };
        assert_eq!(change("not the old one", "another one").await, Err(AccessError::WrongCredentials));
        assert!(matches!(change(PASSWORD, "short").await, Err(AccessError::BadValue { .. })));
        let renewed = change(PASSWORD, "another one").await.unwrap();
        assert_eq!((renewed.account, renewed.device), (phone.account, phone.device));
        for dead in [&alice.access_token, &phone.access_token] {
            assert_eq!(authenticate(&bench, dead).await, Err(AccessError::Revoked));
        }
        assert_eq!(bench.service.resume(ticket.expose()).await, Err(AccessError::Revoked));
        for dead in [&alice.refresh_token, &phone.refresh_token] {
            assert_eq!(refresh(&bench, dead, 1).await, Err(AccessError::Unauthenticated));
        }
        let session = authenticate(&bench, &renewed.access_token).await.unwrap();
        assert_eq!(bench.service.devices(&session).await.unwrap().len(), 1);
        assert!(refresh(&bench, &renewed.refresh_token, 2).await.is_ok());
        bench.clock.advance_ms(600_000);
        assert_eq!(bench.sign_in("alice", PASSWORD).await, Err(AccessError::WrongCredentials));
        assert!(bench.sign_in("alice", "another one").await.is_ok());
    }

    #[tokio::test]
    async fn a_resumed_session_is_the_same_session() {
        let bench = Bench::open();
        let session = bench.session(&bench.register("alice").await).await;
        let ticket = bench.service.ticket(&session, SessionId(5));
        assert_eq!(bench.service.resume(ticket.expose()).await, Ok((session, SessionId(5))));
        assert_eq!(
            bench.service.authenticate(ticket.expose()).await,
            Err(AccessError::Unauthenticated),
            "a ticket is no token"
        );
    }
}
