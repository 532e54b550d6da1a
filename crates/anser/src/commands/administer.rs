//! `anser user`, on the data folder of a server: who is there, who may come in, who runs it.

use anser_model::AccountId;
use anser_server::accounts::{ACCOUNTS_PER_PAGE, AccountView, Administration, Authority, Secret};
use clap::Args;
use serde_json::json;

use crate::commands::connect::say;
use crate::commands::folder::OnFolder;
use crate::commands::key::day;
use crate::commands::password::PasswordSource;

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    on: OnFolder,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct OnAccount {
    #[command(flatten)]
    on: OnFolder,
    /// The exact handle
    handle: String,
}

#[derive(Args)]
pub struct MakeAdmin {
    #[command(flatten)]
    account: OnAccount,
    /// Take it away again
    #[arg(long)]
    no_longer: bool,
}

#[derive(Args)]
pub struct ResetPassword {
    #[command(flatten)]
    account: OnAccount,
    #[command(flatten)]
    password: PasswordSource,
}

#[derive(Args)]
pub struct ResetAdmin {
    #[command(flatten)]
    account: OnAccount,
    #[command(flatten)]
    password: PasswordSource,
    /// Leave the password as it is
    #[arg(long, conflicts_with = "password_file")]
    keep_password: bool,
}

impl List {
    pub async fn run(self) -> anyhow::Result<()> {
        let administration = self.on.administration()?;
        let mut after: Option<String> = None;
        loop {
            let page =
                administration.list(Authority::operator(), after.as_deref(), ACCOUNTS_PER_PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.profile.handle.clone());
            for view in page {
                if !say(&shown(&view, self.json))? {
                    return Ok(());
                }
            }
        }
    }
}

/// Shows one account of a folder.
pub async fn show(on: &OnFolder, handle: &str, json: bool) -> anyhow::Result<()> {
    let view = on.administration()?.find(Authority::operator(), bare(handle)).await?;
    say(&shown(&view, json))?;
    Ok(())
}

impl OnAccount {
    async fn found(&self) -> anyhow::Result<(Administration, AccountId)> {
        let administration = self.on.administration()?;
        let view = administration.find(Authority::operator(), bare(&self.handle)).await?;
        Ok((administration, view.profile.account))
    }

    pub async fn deactivate(self) -> anyhow::Result<()> {
        let (administration, account) = self.found().await?;
        Ok(administration.deactivate(Authority::operator(), account).await?)
    }

    pub async fn reactivate(self) -> anyhow::Result<()> {
        let (administration, account) = self.found().await?;
        Ok(administration.reactivate(Authority::operator(), account).await?)
    }
}

impl MakeAdmin {
    pub async fn run(self) -> anyhow::Result<()> {
        let (administration, account) = self.account.found().await?;
        Ok(administration.set_admin(Authority::operator(), account, !self.no_longer).await?)
    }
}

impl ResetPassword {
    pub async fn run(self) -> anyhow::Result<()> {
        let (administration, account) = self.account.found().await?;
        let password = Secret::new(self.password.read("New password")?);
        Ok(administration.reset_password(Authority::operator(), account, password).await?)
    }
}

impl ResetAdmin {
    pub async fn run(self) -> anyhow::Result<()> {
        let (administration, _) = self.account.found().await?;
        let password = match self.keep_password {
            true => None,
            false => Some(Secret::new(self.password.read("New password")?)),
        };
        let handle = bare(&self.account.handle);
        let view = administration.reset_admin(Authority::operator(), handle, password).await?;
        say(&format!("{} runs this installation and can sign in", view.profile.handle))?;
        Ok(())
    }
}

/// A handle as it is stored: people write it with an @ before it.
fn bare(handle: &str) -> &str {
    handle.strip_prefix('@').unwrap_or(handle)
}

fn shown(view: &AccountView, json: bool) -> String {
    let profile = &view.profile;
    if json {
        return json!({
            "account": profile.account.to_string(),
            "handle": profile.handle,
            "name": profile.name,
            "avatar": profile.avatar,
            "bio": profile.bio,
            "version": profile.version,
            "admin": view.admin,
            "deactivated": profile.deactivated,
            "has_password": view.has_password,
            "created_at_ms": view.created_at.0,
        })
        .to_string();
    }
    let notes = [
        (profile.account == AccountId::SYSTEM, "system"),
        (view.admin, "administrator"),
        (profile.deactivated, "deactivated"),
        (!view.has_password && profile.account != AccountId::SYSTEM, "no password"),
    ];
    let notes: Vec<_> = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
    let notes = if notes.is_empty() { String::new() } else { format!("  ({})", notes.join(", ")) };
    let since = if view.created_at.0 == 0 { "-".to_owned() } else { day(view.created_at.0) };
    format!(
        "{:>19}  {since:<10}  @{:<20}  {}{notes}",
        profile.account.to_string(),
        profile.handle,
        profile.name
    )
}
