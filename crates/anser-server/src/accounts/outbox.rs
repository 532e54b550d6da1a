//! The outbox: what an account's home has to learn, told until it is durable there.

use anser_core::ports::accounts::{AccountKey, OutboxChange, OutboxRow};

use super::{AccessError, AccountService};

/// Entries that one round tells.
const OUTBOX_ROUND: usize = 64;

impl AccountService {
    /// Tells homes what waits in the outbox, and forgets what they have made durable. Returns how many
    /// entries that were; call it at the start and then every second, by one task. An entry whose home
    /// does not answer stays and does not hold up the others of the round.
    pub async fn deliver_outbox(&self) -> Result<usize, AccessError> {
        let mut told = Vec::new();
        let mut failed = None;
        for row in self.parts.accounts.take_outbox(OUTBOX_ROUND).await? {
            match self.tell_home(&row).await {
                Ok(()) => told.push(row.id),
                Err(error) => failed = Some(error),
            }
        }
        let count = told.len();
        if count > 0 {
            self.parts.accounts.acknowledge_outbox(told).await?;
        }
        match failed {
            Some(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }

    async fn tell_home(&self, row: &OutboxRow) -> Result<(), AccessError> {
        let home = &self.parts.home;
        match row.change {
            OutboxChange::ProfileChanged { version } => home.profile_changed(row.account, version).await?,
            OutboxChange::CredentialChanged { version, why } => {
                home.raise_credentials(row.account, version, None, why).await?;
            }
            OutboxChange::DeviceRevoked { device, version, why } => {
                let account = self.account(AccountKey::Id(row.account)).await?;
                let account_version = account.map_or(0, |account| account.credential_version);
                home.raise_credentials(row.account, account_version, Some((device, version)), why).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::accounts::AccessError;
    use crate::accounts::testing::Bench;

    #[tokio::test]
    async fn a_revocation_that_the_home_missed_reaches_it_later() {
        let bench = Bench::open();
        let alice = bench.register("alice").await;
        let session = bench.session(&alice).await;
        bench.home.set_down(true);
        assert_eq!(bench.service.sign_out(&session).await, Err(AccessError::Unavailable));
        assert_eq!(bench.service.deliver_outbox().await, Err(AccessError::Unavailable));
        bench.home.set_down(false);
        assert!(bench.service.authenticate(alice.access_token.expose()).await.is_ok(), "not answered yet");
        assert_eq!(bench.service.deliver_outbox().await, Ok(1));
        assert_eq!(bench.service.deliver_outbox().await, Ok(0));
        let refused = bench.service.authenticate(alice.access_token.expose()).await;
        assert_eq!(refused, Err(AccessError::Revoked));
    }
}
