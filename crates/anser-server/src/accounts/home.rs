//! How accounts talk to the homes of accounts, which know the credentials in use.

use anser_core::ports::PortFuture;
use anser_model::{AccountId, DeviceId, KickReason};

/// Which credentials of an account are still good, as its home knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialView {
    /// Tokens with a smaller account version are void.
    pub account_version: u64,
    /// Of these devices, tokens with a smaller device version are void.
    pub revoked: Vec<(DeviceId, u64)>,
}

impl CredentialView {
    /// Whether a token with these versions is good.
    pub fn admits(&self, account_version: u64, device: DeviceId, device_version: u64) -> bool {
        account_version >= self.account_version
            && self.revoked.iter().all(|&(revoked, version)| revoked != device || device_version >= version)
    }
}

/// The homes of all accounts, wherever they are.
pub trait Home: Send + Sync {
    /// Voids the account's tokens below `account_version`, and those of one device below its version.
    /// The largest version wins, so a smaller one than is in force changes nothing. Durable, and in
    /// force for every later [`Home::credentials`], when it resolves with `Ok`; live connections with
    /// such tokens end, and are told why.
    fn raise_credentials(
        &self,
        account: AccountId,
        account_version: u64,
        device: Option<(DeviceId, u64)>,
        why: KickReason,
    ) -> PortFuture<Result<(), HomeError>>;

    /// Which credentials are in use. The default for an account that its home has heard nothing of.
    fn credentials(&self, account: AccountId) -> PortFuture<Result<CredentialView, HomeError>>;

    /// The profile has changed; whoever may see it is to fetch it again. A home that passes profile
    /// versions on with its messages alone has nothing to do.
    fn profile_changed(&self, _account: AccountId, _version: u64) -> PortFuture<Result<(), HomeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Why a home did not answer. Asking again may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// Its owner cannot be reached, or does not know what became of it.
    #[error("the home cannot be reached: {0}")]
    Unavailable(String),
    /// There is no room to note it.
    #[error("the home's disk is full")]
    StorageFull,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_unless_one_of_its_versions_is_below() {
        let view = CredentialView { account_version: 3, revoked: vec![(DeviceId(7), 2)] };
        assert!(view.admits(3, DeviceId(8), 1));
        assert!(view.admits(4, DeviceId(7), 2));
        assert!(!view.admits(2, DeviceId(8), 1));
        assert!(!view.admits(3, DeviceId(7), 1));
        assert!(CredentialView::default().admits(1, DeviceId(7), 1));
    }
}
