//! Who may come in: handles, passwords, devices, refresh families, invitations, and the outbox that
//! tells an account's home what changed. Rows of their own, not a fold of the log.
//!
//! Every write is one transaction with a compare-and-set in it. Whatever voids credentials writes its
//! outbox row in the same transaction, so that the home learns of it at least once. The port sees
//! hashes alone: no password, no token and no invitation passes through it in the clear.

use std::fmt;

use anser_model::{AccountId, DeviceId, KickReason, UnixMillis};

use super::{PortFuture, StoreError};

/// Live devices that one account may have; the one seen least recently makes room for another.
pub const DEVICES_PER_ACCOUNT: usize = 32;
/// How long the row of a revoked device is kept.
pub const REVOKED_DEVICE_KEPT_MS: u64 = 30 * anser_model::limits::DAY_MS;

/// A password as stored: an argon2id hash in the PHC string format, opaque to the port.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// SHA-256 of a refresh token, a nonce or an invitation. What it hashes is random and long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Random, below 2⁶³, not 0; never used again.
    pub account: AccountId,
    /// Case-folded, unique for ever.
    pub handle: String,
    /// What people see.
    pub name: String,
    /// What clients show as its picture; empty: nothing.
    pub avatar: String,
    /// What it says of itself; empty: nothing.
    pub bio: String,
    /// Grows with every change of what others see.
    pub profile_version: u64,
    /// Grows with every change that voids all tokens.
    pub credential_version: u64,
    /// What a password is checked against; without it none is right.
    pub password_hash: Option<PasswordHash>,
    /// Whether it runs the installation.
    pub admin: bool,
    /// Whether it may no longer sign in.
    pub deactivated: bool,
    /// When it registered.
    pub created_at: UnixMillis,
    /// When a session of it last ended; 0: never.
    pub last_seen_at: UnixMillis,
    /// Who is told whether it is there.
    pub presence: PresenceShown,
}

/// Who is told whether somebody is there, and since when not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PresenceShown {
    /// Whoever is acquainted with it.
    #[default]
    Everyone,
    /// Nobody.
    Nobody,
}

impl PresenceShown {
    /// All of them.
    pub const ALL: [PresenceShown; 2] = [PresenceShown::Everyone, PresenceShown::Nobody];

    /// Its name in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            PresenceShown::Everyone => "everyone",
            PresenceShown::Nobody => "nobody",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shown| shown.as_str() == name)
    }
}

/// A session that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whose.
    pub account: AccountId,
    /// On which device.
    pub device: DeviceId,
    /// When.
    pub at: UnixMillis,
}

/// An account that registers, with its first device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its random id.
    pub account: AccountId,
    /// Its handle, case-folded.
    pub handle: String,
    /// What people see.
    pub name: String,
    /// Its password.
    pub password_hash: PasswordHash,
    /// Whether it runs the installation.
    pub admin: bool,
    /// Where it registers.
    pub device: NewDevice,
    /// The invitation that it spends, if it needs one.
    pub invitation: Option<TokenHash>,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceKind {
    /// A phone.
    Phone,
    /// A tablet.
    Tablet,
    /// A program on a computer.
    Desktop,
    /// A browser.
    Web,
    /// A terminal, and whatever does not say what it is.
    #[default]
    Terminal,
    /// A program that speaks by itself.
    Bot,
}

impl DeviceKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [DeviceKind; 6] = [
        DeviceKind::Phone,
        DeviceKind::Tablet,
        DeviceKind::Desktop,
        DeviceKind::Web,
        DeviceKind::Terminal,
        DeviceKind::Bot,
    ];

    /// Its name in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceKind::Phone => "phone",
            DeviceKind::Tablet => "tablet",
            DeviceKind::Desktop => "desktop",
            DeviceKind::Web => "web",
            DeviceKind::Terminal => "terminal",
            DeviceKind::Bot => "bot",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What becomes of a live device when another one of the same kind signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondDevice {
    /// Both stay.
    #[default]
    Allow,
    /// The older one is revoked.
    Replace,
}

/// One installation of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Random, below 2⁶³, not 0.
    pub device: DeviceId,
    /// Whose.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Grows with its revocation: tokens with a smaller one are void.
    pub version: u64,
    /// When it signed in.
    pub created_at: UnixMillis,
    /// When it last refreshed, or a session of it last ended.
    pub last_seen_at: UnixMillis,
    /// Whether it was signed out.
    pub revoked: bool,
}

/// A device that signs in, with its refresh family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Its random id.
    pub device: DeviceId,
    /// What its owner calls it.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// By what an application server knows it: it is the live device of the account that has this key, if
    /// there is one.
    pub key: Option<String>,
    /// When.
    pub at: UnixMillis,
    /// Its refresh tokens.
    pub family: NewFamily,
}

/// What became of a device that signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedDevice {
    /// Its id: that of the live device with its key, if there is one.
    pub device: DeviceId,
    /// Its version.
    pub version: u64,
    /// Those that made room for it, revoked.
    pub ended: Vec<DeviceRow>,
}

/// An account that is brought from elsewhere, without a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroughtAccount {
    /// Its random id, if it is new.
    pub account: AccountId,
    /// Its handle, case-folded.
    pub handle: String,
    /// What people see.
    pub name: String,
    /// What clients show as its picture.
    pub avatar: String,
    /// What it says of itself.
    pub bio: String,
    /// Its password, if it is to sign in with one.
    pub password_hash: Option<PasswordHash>,
    /// Hash of all that was asked: by it a repetition is known.
    pub request: TokenHash,
    /// When.
    pub at: UnixMillis,
}

/// What became of an account that was brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// It was made.
    Made(AccountId),
    /// The same was asked before, and made this one.
    Known(AccountId),
    /// Somebody has, or had, the handle, and it was not the same that was asked for.
    Taken,
}

/// The first token of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewFamily {
    /// Random, below 2⁶³, not 0.
    pub family: u64,
    /// Hash of its first token.
    pub token: TokenHash,
    /// When it can no longer be used, unless it is rotated before.
    pub expires_at: UnixMillis,
}

/// The refresh tokens of one device: a chain of which only the newest may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyRow {
    /// Which family.
    pub family: u64,
    /// Whose.
    pub account: AccountId,
    /// Of which device.
    pub device: DeviceId,
    /// How many tokens came before the newest.
    pub generation: u64,
    /// Hash of the newest token.
    pub token: TokenHash,
    /// Hash of the client's nonce that made it; none made the first.
    pub nonce: Option<TokenHash>,
    /// When it can no longer be used.
    pub expires_at: UnixMillis,
}

/// The step from one token of a family to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Which family.
    pub family: u64,
    /// The generation that is being used up; refused if it is not the newest any more.
    pub from_generation: u64,
    /// Hash of the next token.
    pub token: TokenHash,
    /// Hash of the nonce that makes it.
    pub nonce: TokenHash,
    /// When: the device was seen.
    pub at: UnixMillis,
    /// When the next token can no longer be used.
    pub expires_at: UnixMillis,
}

/// A link that lets people register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvitationRow {
    /// Hash of what stands in the link.
    pub hash: TokenHash,
    /// Who made it; nobody for those of the first start.
    pub author: Option<AccountId>,
    /// Whether who uses it runs the installation.
    pub admin: bool,
    /// How often it can still be used; `None`: until it expires.
    pub uses_left: Option<u32>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it can no longer be used.
    pub expires_at: UnixMillis,
}

/// On which condition invitations are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationRule {
    /// While there is no account: they take the place of all invitations that there were.
    WhileEmpty,
    /// While the author has fewer than so many that can still be used; those that cannot are removed.
    WhileBelow {
        /// How many are too many.
        limit: usize,
        /// When.
        now: UnixMillis,
    },
}

/// By what accounts are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountKey {
    /// By id.
    Id(AccountId),
    /// By case-folded handle.
    Handle(String),
}

/// A change of one account, with the version that it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// Another profile. The profile version grows.
    Profile {
        /// The profile version that was read.
        from_version: u64,
        /// What people see from now on.
        name: String,
        /// What clients show as its picture.
        avatar: String,
        /// What it says of itself.
        bio: String,
        /// Who is told whether it is there.
        presence: PresenceShown,
    },
    /// Another password. The credential version grows, every device but one is revoked, and that one
    /// starts another family.
    Password {
        /// The credential version that was read.
        from_version: u64,
        /// The new password.
        password_hash: PasswordHash,
        /// The device that stays.
        keep: DeviceId,
        /// Its refresh tokens from now on.
        family: NewFamily,
        /// When.
        at: UnixMillis,
    },
    /// Another password, given by somebody else. The credential version grows, every device is revoked.
    PasswordReset {
        /// The credential version that was read.
        from_version: u64,
        /// The new password.
        password_hash: PasswordHash,
        /// When.
        at: UnixMillis,
    },
    /// Runs the installation from now on, or no longer. [`AccountsError::LastAdmin`] where nobody else
    /// would. Nothing changes where it is so already.
    Admin {
        /// Whether it does.
        admin: bool,
    },
    /// May sign in no longer, or again. Both versions grow, and every device is revoked.
    /// [`AccountsError::LastAdmin`] where nobody would be left who runs the installation.
    Deactivated {
        /// The credential version that was read.
        from_version: u64,
        /// Whether it may no longer sign in.
        deactivated: bool,
        /// When.
        at: UnixMillis,
    },
}

/// What an account's home has to learn. The largest version wins, so it may be told twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxChange {
    /// Others are to fetch the profile again.
    ProfileChanged {
        /// Of which version on.
        version: u64,
    },
    /// Tokens of this device below the version are void.
    DeviceRevoked {
        /// Which device.
        device: DeviceId,
        /// Its version from now on.
        version: u64,
        /// Why.
        why: KickReason,
    },
    /// Tokens of the account below the version are void.
    CredentialChanged {
        /// Its version from now on.
        version: u64,
        /// Why.
        why: KickReason,
    },
}

/// One entry of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxRow {
    /// Grows by the order in which entries were written.
    pub id: u64,
    /// Whose home is to learn it.
    pub account: AccountId,
    /// What.
    pub change: OutboxChange,
}

/// The accounts of an installation. [`AccountId::SYSTEM`] is there from the beginning, without a password,
/// under the handle "system" where nobody had taken that before.
pub trait Accounts: Send + Sync {
    /// Accounts in the order asked for.
    fn accounts(&self, keys: Vec<AccountKey>) -> PortFuture<Result<Vec<Option<AccountRow>>, AccountsError>>;

    /// Accounts by handle, those after `after` in the order of handles.
    fn accounts_after(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> PortFuture<Result<Vec<AccountRow>, AccountsError>>;

    /// The devices of an account, revoked ones included, oldest first.
    fn devices(&self, account: AccountId) -> PortFuture<Result<Vec<DeviceRow>, AccountsError>>;

    /// A refresh family; those of revoked devices are gone.
    fn family(&self, family: u64) -> PortFuture<Result<Option<FamilyRow>, AccountsError>>;

    /// An invitation, spent or not.
    fn invitation(&self, hash: TokenHash) -> PortFuture<Result<Option<InvitationRow>, AccountsError>>;

    /// Registers an account: claims the handle first, then spends the invitation. Both versions of the
    /// account, and its device's, begin at 1.
    fn register(&self, account: NewAccount) -> PortFuture<Result<(), AccountsError>>;

    /// Makes accounts without a device, one outcome for each, all in one transaction. `IdTaken`: nothing
    /// was done.
    fn bring(&self, accounts: Vec<BroughtAccount>) -> PortFuture<Result<Vec<Brought>, AccountsError>>;

    /// Adds a device, if the credential version is still the one that the password was checked against.
    /// Above [`DEVICES_PER_ACCOUNT`] the one seen least recently is revoked, and by `second` live ones of
    /// the same kind are. A live device with its key takes the name, the kind and the family instead.
    fn add_device(
        &self,
        account: AccountId,
        from_credential_version: u64,
        device: NewDevice,
        second: SecondDevice,
    ) -> PortFuture<Result<AddedDevice, AccountsError>>;

    /// Revokes a device with its family and returns its version from now on. May be repeated.
    fn revoke_device(
        &self,
        account: AccountId,
        device: DeviceId,
        at: UnixMillis,
    ) -> PortFuture<Result<u64, AccountsError>>;

    /// Moves a family on, if it still is where the rotation was decided.
    fn rotate(&self, rotation: Rotation) -> PortFuture<Result<(), AccountsError>>;

    /// Changes one account, if it still has the version that the change was decided on.
    fn change(&self, account: AccountId, change: AccountChange) -> PortFuture<Result<(), AccountsError>>;

    /// Notes when devices, and their accounts, were seen last, all or none. An earlier time than is known
    /// changes nothing; devices that are gone are passed over.
    fn note_seen(&self, seen: Vec<Seen>) -> PortFuture<Result<(), AccountsError>>;

    /// Adds invitations, all or none. `Conflict` where the rule does not hold.
    fn add_invitations(
        &self,
        invitations: Vec<InvitationRow>,
        rule: InvitationRule,
    ) -> PortFuture<Result<(), AccountsError>>;

    /// The oldest entries of the outbox. They stay until they are acknowledged.
    fn take_outbox(&self, limit: usize) -> PortFuture<Result<Vec<OutboxRow>, AccountsError>>;

    /// Removes entries whose effect is durable. May be repeated.
    fn acknowledge_outbox(&self, ids: Vec<u64>) -> PortFuture<Result<(), AccountsError>>;
}

/// Why the accounts did not do what they were asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountsError {
    /// Somebody has, or had, this handle.
    #[error("the handle is taken")]
    HandleTaken,
    /// The random id of an account, device or family is in use; another one will do.
    #[error("the id is in use")]
    IdTaken,
    /// The invitation does not exist, is used up or has expired.
    #[error("the invitation is not valid any more")]
    InvitationSpent,
    /// There is no such account, device or family.
    #[error("there is no such row")]
    NotFound,
    /// Nobody else runs the installation.
    #[error("nobody else runs the installation")]
    LastAdmin,
    /// Something changed since it was read, or a rule does not hold: read again and decide afresh.
    #[error("the row has changed in the meantime")]
    Conflict,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountsError {
    /// Whether asking the very same again may help.
    pub fn retry_helps(&self) -> bool {
        matches!(self, AccountsError::Store(error) if error.retry_helps())
    }
}
