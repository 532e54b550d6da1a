//! One's own profile: what others see, and what only oneself does.

use anser_core::ports::accounts::{AccountChange, AccountsError, PresenceShown};

use super::administration::ATTEMPTS;
use super::{AccessError, AccountService, AccountView, Profile, Secret, Session, rules};

/// What to change in a profile; what is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// What people are to see.
    pub name: Option<String>,
    /// What clients are to show as its picture; empty: nothing.
    pub avatar: Option<String>,
    /// What it says of itself; empty: nothing.
    pub bio: Option<String>,
    /// Who is to be told whether it is there.
    pub presence: Option<PresenceShown>,
}

impl AccountService {
    /// One's own account.
    pub async fn own_profile(&self, session: &Session) -> Result<AccountView, AccessError> {
        self.own_account(session).await.map(AccountView::from)
    }

    /// Changes one's own profile. The version grows if anything is different.
    pub async fn change_profile(
        &self,
        session: &Session,
        change: ProfileChange,
    ) -> Result<AccountView, AccessError> {
        let name = change.name.map(|name| rules::name("name", &name)).transpose()?;
        let avatar = change.avatar.map(|avatar| rules::avatar(&avatar)).transpose()?;
        let bio = change.bio.map(|bio| rules::bio(&bio)).transpose()?;
        for _ in 0..ATTEMPTS {
            let row = self.own_account(session).await?;
            let mut next = row.clone();
            let asked = [(&name, &mut next.name), (&avatar, &mut next.avatar), (&bio, &mut next.bio)];
            for (asked, field) in asked {
                if let Some(asked) = asked {
                    field.clone_from(asked);
                }
            }
            next.presence = change.presence.unwrap_or(row.presence);
            if next == row {
                return Ok(row.into());
            }
            let changed = AccountChange::Profile {
                from_version: row.profile_version,
                name: next.name.clone(),
                avatar: next.avatar.clone(),
                bio: next.bio.clone(),
                presence: next.presence,
            };
            match self.parts.accounts.change(row.account, changed).await {
                Ok(()) => {
                    next.profile_version += 1;
                    // The outbox tells it too, so whoever misses it now hears of it later.
                    let told = self.parts.home.profile_changed(next.account, next.profile_version).await;
                    if let Err(error) = told {
                        tracing::warn!(%error, account = %next.account, "a changed profile is told later");
                    }
                    return Ok(next.into());
                }
                Err(AccountsError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccountsError::Conflict.into())
    }

    /// Deactivates the account of whoever asks, who knows its password: all its sessions end.
    pub async fn deactivate_self(&self, session: &Session, password: Secret) -> Result<Profile, AccessError> {
        let row = self.own_account(session).await?;
        self.check_password(&row.handle, password, row.password_hash.clone()).await?;
        self.administration.deactivate_own(&row).await?;
        Ok(Profile { deactivated: true, version: row.profile_version + 1, ..row.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::testing::Bench;

    #[tokio::test]
    async fn what_is_not_named_stays_and_the_version_grows_with_a_difference() {
        let bench = Bench::open();
        let alice = bench.register("alice").await;
        let session = bench.session(&alice).await;
        let change = |name: Option<&str>, avatar: Option<&str>, bio: Option<&str>| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let (name, avatar, bio) = (own(name), own(avatar), own(bio));
            let change = ProfileChange { name, avatar, bio, presence: None };
            bench.service.change_profile(&session, change)
        };
        let first = change(None, Some("a.png"), Some("hello")).await.unwrap().profile;
        assert_eq!((first.name.as_str(), first.version), ("Dr alice", 2));
        let second = change(Some(" Alice "), None, Some("")).await.unwrap().profile;
        assert_eq!(
            (second.name.as_str(), second.avatar.as_str(), second.bio.as_str()),
            ("Alice", "a.png", "")
        );
        assert_eq!(bench.home.changed_profiles(), [(alice.account, 2), (alice.account, 3)]);
        let same = change(Some("Alice"), None, None).await.unwrap().profile;
        assert_eq!((same.version, bench.home.changed_profiles()), (3, vec![]), "nothing is different");
        assert_eq!(change(None, None, None).await.unwrap().profile.version, 3);
        for (bad, field) in [
            (change(Some(""), None, None).await, "name"),
            (change(None, Some("a b"), None).await, "avatar"),
            (change(Some("Good"), None, Some("\u{7}")).await, "bio"),
        ] {
            assert!(
                matches!(bad, Err(AccessError::BadValue { field: found, .. }) if found == field),
                "{field}"
            );
        }
        assert_eq!(
            bench.service.own_profile(&session).await.unwrap().profile,
            same,
            "a refusal changes nothing"
        );
        let seen = bench.service.profiles(vec![alice.account]).await.unwrap().remove(0).unwrap();
        assert_eq!(seen, same);
        let hidden = ProfileChange { presence: Some(PresenceShown::Nobody), ..ProfileChange::default() };
        let hidden = bench.service.change_profile(&session, hidden).await.unwrap();
        assert_eq!((hidden.presence, hidden.profile.version), (PresenceShown::Nobody, 4));
        assert_eq!(bench.home.changed_profiles(), [(alice.account, 4)], "who watches is told");
        let same = hidden.profile;
        let bob = bench.session(&bench.register("bob").await).await;
        assert_eq!(bench.service.look_up(&bob, "alice").await, Ok(same));
    }

    #[tokio::test]
    async fn changes_at_once_both_land() {
        let bench = Bench::open();
        let session = bench.session(&bench.register("alice").await).await;
        let name = ProfileChange { name: Some("Alice".into()), ..ProfileChange::default() };
        let bio = ProfileChange { bio: Some("hello".into()), ..ProfileChange::default() };
        let service = &bench.service;
        let both =
            tokio::join!(service.change_profile(&session, name), service.change_profile(&session, bio));
        assert!(both.0.is_ok() && both.1.is_ok());
        let profile = bench.service.own_profile(&session).await.unwrap().profile;
        assert_eq!((profile.name.as_str(), profile.bio.as_str(), profile.version), ("Alice", "hello", 3));
    }
}
