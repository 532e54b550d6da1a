//! What the tests of this crate share: a clock and randomness that obey, a home in memory, and a
//! service on real SQLite.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anser_core::ports::PortFuture;
use anser_core::ports::accounts::{AccountKey, AccountRow, Accounts};
use anser_core::ports::clock::Clock;
use anser_core::ports::random::Random;
use anser_embedded::accounts::SqliteAccounts;
use anser_model::{AccountId, DeviceId, KickReason, SlotKey, Timeline, UnixMillis};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{
    AccessError, AccountConfig, AccountParts, AccountService, CredentialView, DeviceKind, Home, HomeError,
    PasswordCost, Registration, RegistrationMode, SecondDevice, Secret, Secrets, Session, SignIn, SignedIn,
};

/// A cost that makes tests quick, and nothing else.
pub(crate) const CHEAP: PasswordCost = PasswordCost { memory_kib: 8, passes: 1 };
/// Where everybody comes from.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse";

/// Randomness from a counter: the same seed, the same bytes.
pub(crate) struct SeededRandom {
    seed: u64,
    drawn: AtomicU64,
}

impl SeededRandom {
    pub(crate) fn new(seed: u64) -> Self {
        SeededRandom { seed, drawn: AtomicU64::new(0) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
            let mut hasher = Sha256::new();
            hasher.update(self.seed.to_le_bytes());
            hasher.update(drawn.to_le_bytes());
            chunk.copy_from_slice(&hasher.finalize()[..chunk.len()]);
        }
    }
}

/// A clock that moves when it is told to.
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_800_000_000_000 + self.0.load(Ordering::Relaxed))
    }

    fn monotonic_ms(&self) -> u64 {
        1_000_000 + self.0.load(Ordering::Relaxed)
    }
}

/// The homes of all accounts, in memory.
#[derive(Default)]
pub(crate) struct MemoryHome {
    views: Mutex<HashMap<AccountId, CredentialView>>,
    kicks: Mutex<Vec<(AccountId, Option<DeviceId>, KickReason)>>,
    profiles: Mutex<Vec<(AccountId, u64)>>,
    down: AtomicBool,
}

impl MemoryHome {
    /// Whose credentials were raised, and why, since this was asked last.
    pub(crate) fn kicks(&self) -> Vec<(AccountId, Option<DeviceId>, KickReason)> {
        std::mem::take(&mut self.kicks.lock().unwrap())
    }

    /// Which profiles have changed, since this was asked last.
    pub(crate) fn changed_profiles(&self) -> Vec<(AccountId, u64)> {
        std::mem::take(&mut self.profiles.lock().unwrap())
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    fn answer<T: Send + 'static>(&self, value: T) -> PortFuture<Result<T, HomeError>> {
        let down = self.down.load(Ordering::Relaxed);
        let answer = if down { Err(HomeError::Unavailable("down".into())) } else { Ok(value) };
        Box::pin(std::future::ready(answer))
    }
}

impl Home for MemoryHome {
    fn raise_credentials(
        &self,
        account: AccountId,
        account_version: u64,
        device: Option<(DeviceId, u64)>,
        why: KickReason,
    ) -> PortFuture<Result<(), HomeError>> {
        if !self.down.load(Ordering::Relaxed) {
            let mut views = self.views.lock().unwrap();
            let view = views.entry(account).or_default();
            view.account_version = view.account_version.max(account_version);
            view.revoked.extend(device);
            self.kicks.lock().unwrap().push((account, device.map(|(device, _)| device), why));
        }
        self.answer(())
    }

    fn profile_changed(&self, account: AccountId, version: u64) -> PortFuture<Result<(), HomeError>> {
        self.profiles.lock().unwrap().push((account, version));
        self.answer(())
    }

    fn credentials(&self, account: AccountId) -> PortFuture<Result<CredentialView, HomeError>> {
        let view = self.views.lock().unwrap().get(&account).cloned().unwrap_or_default();
        self.answer(view)
    }
}

/// A service on SQLite in a folder of its own.
pub(crate) struct Bench {
    pub(crate) service: Arc<AccountService>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) home: Arc<MemoryHome>,
    accounts: Arc<dyn Accounts>,
    _folder: TempDir,
}

impl Bench {
    /// Where everybody may register.
    pub(crate) fn open() -> Self {
        Self::with_mode(RegistrationMode::Open)
    }

    pub(crate) fn with_mode(registration: RegistrationMode) -> Self {
        Self::with_config(AccountConfig { registration, ..AccountConfig::default() })
    }

    /// Where one device of a kind takes the place of another.
    pub(crate) fn replacing() -> Self {
        let (registration, second_device) = (RegistrationMode::Open, SecondDevice::Replace);
        Self::with_config(AccountConfig { registration, second_device, ..AccountConfig::default() })
    }

    fn with_config(config: AccountConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteAccounts::open(folder.path()).unwrap());
        let accounts: Arc<dyn Accounts> = store.clone();
        let clock = Arc::new(ManualClock(AtomicU64::new(0)));
        let home = Arc::new(MemoryHome::default());
        let parts = AccountParts {
            accounts: Arc::clone(&accounts),
            keys: store,
            home: home.clone(),
            clock: clock.clone(),
            random: Arc::new(SeededRandom::new(7)),
            timeline: Timeline(1),
        };
        let secrets = Secrets::from_parts([1; 32], SlotKey::new([2; 16]), [3; 32]);
        let config = AccountConfig { password_cost: CHEAP, ..config };
        let service = Arc::new(AccountService::new(parts, &secrets, config).unwrap());
        Bench { service, clock, home, accounts, _folder: folder }
    }

    pub(crate) async fn try_register(
        &self,
        handle: &str,
        invitation: Option<&Secret>,
    ) -> Result<SignedIn, AccessError> {
        let registration = Registration {
            handle: handle.into(),
            password: Secret::new(PASSWORD),
            name: format!("Dr {handle}"),
            invitation: invitation.cloned(),
            device_name: "laptop".into(),
            device_kind: DeviceKind::Desktop,
        };
        self.service.register(registration, ADDRESS).await
    }

    pub(crate) async fn register(&self, handle: &str) -> SignedIn {
        self.try_register(handle, None).await.unwrap()
    }

    pub(crate) async fn sign_in(&self, handle: &str, password: &str) -> Result<SignedIn, AccessError> {
        self.sign_in_on(handle, password, DeviceKind::Phone).await
    }

    pub(crate) async fn sign_in_on(
        &self,
        handle: &str,
        password: &str,
        device_kind: DeviceKind,
    ) -> Result<SignedIn, AccessError> {
        let (handle, password) = (handle.into(), Secret::new(password));
        let sign_in = SignIn { handle, password, device_name: "phone".into(), device_kind };
        self.service.sign_in(sign_in, ADDRESS).await
    }

    pub(crate) async fn session(&self, signed_in: &SignedIn) -> Session {
        self.service.authenticate(signed_in.access_token.expose()).await.unwrap()
    }

    pub(crate) async fn row(&self, account: AccountId) -> AccountRow {
        let rows = self.accounts.accounts(vec![AccountKey::Id(account)]).await.unwrap();
        rows.into_iter().next().flatten().unwrap()
    }
}
