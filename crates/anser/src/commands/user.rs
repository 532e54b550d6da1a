//! `anser user`: registering, signing in and out, people, devices, the profile, the password; and with the
//! data folder of a server, running its accounts.

use std::path::PathBuf;
use std::process::ExitCode;

use anser_client::ServerAddress;
use anser_client::account::{AccountApi, AccountError, Grant, ProfileChange, Registration};
use anser_model::DeviceId;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::commands::administer;
use crate::commands::connect::{self, DEFAULT_SERVER, OnProfile, Trust, say};
use crate::commands::folder::OnFolder;
use crate::commands::password::{PasswordSource, asked, first_line_of};
use crate::profile::{Profile, SavedSession, trusting};

#[derive(Subcommand)]
pub enum User {
    /// Make an account, and sign this machine in
    Register(Register),
    /// Sign this machine in
    SignIn(SignIn),
    /// Sign this machine out
    SignOut(SignOut),
    /// Show somebody, found by exact handle
    Show(Show),
    /// Show or change one's own profile
    Profile(ProfileArgs),
    /// List one's own devices
    Devices(Devices),
    /// Sign one of one's own devices out
    Revoke(Revoke),
    /// Change the password; every other device is signed out
    Password(Password),
    /// Leave: deactivate one's own account, with its password
    Leave(Leave),
    /// List the accounts of a data folder
    List(administer::List),
    /// End all sessions of an account, and let nobody in on it; on a data folder
    Deactivate(administer::OnAccount),
    /// Let an account in again that was deactivated; on a data folder
    Reactivate(administer::OnAccount),
    /// Give an account another password, and end its sessions; on a data folder
    ResetPassword(administer::ResetPassword),
    /// Make an account run the installation; on a data folder
    MakeAdmin(administer::MakeAdmin),
    /// Where no administrator can come in any more: make an account one, let it in again, and give it
    /// another password; on a data folder
    ResetAdmin(administer::ResetAdmin),
}

#[derive(Args)]
pub struct Entrance {
    #[command(flatten)]
    on: OnProfile,
    /// The server; several for an installation with several addresses
    #[arg(long = "server", value_name = "URL", env = "ANSER_SERVER", default_value = DEFAULT_SERVER, value_delimiter = ',')]
    servers: Vec<ServerAddress>,
    #[command(flatten)]
    trust: Trust,
    /// The name to sign in with
    #[arg(long)]
    handle: String,
    /// What this machine is called in the list of devices
    #[arg(long, value_name = "NAME")]
    device_name: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
    /// One JSON object as output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Register {
    #[command(flatten)]
    entrance: Entrance,
    /// The name that others see; the handle when there is none
    #[arg(long)]
    name: Option<String>,
    /// The invitation, unless registration is open
    #[arg(long, value_name = "CODE")]
    invitation: Option<String>,
}

#[derive(Args)]
pub struct SignIn {
    #[command(flatten)]
    entrance: Entrance,
}

#[derive(Args)]
pub struct SignOut {
    #[command(flatten)]
    on: OnProfile,
    /// Even if messages wait that were not sent yet: they are lost
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    on: OnProfile,
    /// The exact handle; without it, oneself
    handle: Option<String>,
    /// Ask the data folder of a server, not a server: deactivated accounts are found as well
    #[arg(long, value_name = "FOLDER", requires = "handle")]
    data: Option<PathBuf>,
    /// One JSON object as output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ProfileArgs {
    #[command(flatten)]
    on: OnProfile,
    /// The name that others see from now on
    #[arg(long)]
    name: Option<String>,
    /// The picture that others see from now on: an address, at most 256 bytes; "" for none
    #[arg(long)]
    avatar: Option<String>,
    /// What you say of yourself from now on, at most 1,024 bytes; "" for nothing
    #[arg(long)]
    bio: Option<String>,
    /// Who is told from now on whether you are there, and when you were last
    #[arg(long, value_parser = ["everyone", "nobody"])]
    presence: Option<String>,
    /// One JSON object as output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Leave {
    #[command(flatten)]
    on: OnProfile,
    #[command(flatten)]
    password: PasswordSource,
}

#[derive(Args)]
pub struct Devices {
    #[command(flatten)]
    on: OnProfile,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    on: OnProfile,
    /// The number that `anser user devices` shows
    device: u64,
}

#[derive(Args)]
pub struct Password {
    #[command(flatten)]
    on: OnProfile,
    #[command(flatten)]
    old: PasswordSource,
    /// Read the new password from the first line of this file (otherwise: a prompt)
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

impl User {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        connect::run(async {
            match self {
                User::Register(it) => it.run().await,
                User::SignIn(it) => it.run().await,
                User::SignOut(it) => it.run().await,
                User::Show(it) => it.run().await,
                User::Devices(it) => it.run().await,
                User::Revoke(it) => it.run().await,
                User::Password(it) => it.run().await,
                User::Profile(it) => it.run().await,
                User::Leave(it) => it.run().await,
                User::List(it) => it.run().await,
                User::Deactivate(it) => it.deactivate().await,
                User::Reactivate(it) => it.reactivate().await,
                User::ResetPassword(it) => it.run().await,
                User::MakeAdmin(it) => it.run().await,
                User::ResetAdmin(it) => it.run().await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What this machine is called when nobody says.
pub fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "terminal".to_owned() } else { name }
}

/// A profile on which somebody else is signed in is not taken over by accident.
pub fn must_be_free(profile: &Profile, handle: &str) -> anyhow::Result<()> {
    match profile.session()? {
        Some(session) if session.handle != handle.to_ascii_lowercase() => anyhow::bail!(
            "profile {:?} is signed in as {}: run `anser user sign-out --profile {}` first, or choose another --profile",
            profile.name(),
            session.handle,
            profile.name()
        ),
        _ => Ok(()),
    }
}

impl Entrance {
    fn servers(&self) -> anyhow::Result<Vec<ServerAddress>> {
        trusting(self.servers.clone(), self.trust.ca.as_deref())
    }

    fn keep(&self, profile: &Profile, grant: &Grant) -> anyhow::Result<()> {
        profile.begin(&SavedSession::new(&self.servers()?, &self.handle, grant))?;
        let (account, device) = (grant.account, grant.device);
        if self.json {
            let session = json!({ "profile": profile.name(), "handle": self.handle, "account": account.to_string(), "device": device.to_string() });
            say(&session.to_string())?;
        } else {
            say(&format!(
                "{} is signed in on profile {:?} (account {account})",
                self.handle,
                profile.name()
            ))?;
        }
        Ok(())
    }

    fn device_name(&self) -> String {
        self.device_name.clone().unwrap_or_else(machine_name)
    }
}

impl Register {
    async fn run(self) -> anyhow::Result<()> {
        let it = self.entrance;
        let profile = it.on.profile()?;
        must_be_free(&profile, &it.handle)?;
        let _lock = profile.lock_store()?;
        let registration = Registration {
            handle: it.handle.clone(),
            password: it.password.read("New password")?,
            name: self.name.unwrap_or_else(|| it.handle.clone()),
            invitation: self.invitation,
            device_name: it.device_name(),
        };
        let grant = AccountApi::new(it.servers()?).register(&registration).await?;
        it.keep(&profile, &grant)
    }
}

impl SignIn {
    async fn run(self) -> anyhow::Result<()> {
        let it = self.entrance;
        let profile = it.on.profile()?;
        must_be_free(&profile, &it.handle)?;
        let _lock = profile.lock_store()?;
        let password = it.password.read("Password")?;
        let api = AccountApi::new(it.servers()?);
        let grant = api.sign_in(&it.handle, &password, &it.device_name()).await?;
        it.keep(&profile, &grant)
    }
}

impl SignOut {
    async fn run(self) -> anyhow::Result<()> {
        let signed_in = self.on.signed_in()?;
        let profile = signed_in.profile();
        let lock = profile.lock_store()?;
        anyhow::ensure!(
            self.yes || !profile.has_unsent(&lock)?,
            "messages wait in the outbox of profile {:?} that were not sent yet: open `anser chat` to send them, or give --yes to lose them",
            profile.name()
        );
        match signed_in.sign_out().await {
            // The server has signed it out already.
            Ok(()) | Err(AccountError::Refused { status: 401, .. }) => profile.forget(),
            Err(error) => Err(error.into()),
        }
    }
}

impl Show {
    async fn run(self) -> anyhow::Result<()> {
        if let (Some(data), Some(handle)) = (self.data, &self.handle) {
            return administer::show(&OnFolder { data }, handle, self.json).await;
        }
        let signed_in = self.on.signed_in()?;
        let handle = self.handle.as_deref().unwrap_or(signed_in.handle());
        let person = signed_in.person(handle).await?;
        if self.json {
            let (account, version) = (person.account.to_string(), person.version);
            let shown = json!({ "account": account, "handle": person.handle, "name": person.name, "avatar": person.avatar, "bio": person.bio, "version": version });
            say(&shown.to_string())?;
        } else {
            say(&format!("{}  @{}  account {}", person.name, person.handle, person.account))?;
        }
        Ok(())
    }
}

impl ProfileArgs {
    async fn run(self) -> anyhow::Result<()> {
        let signed_in = self.on.signed_in()?;
        let change =
            ProfileChange { name: self.name, avatar: self.avatar, bio: self.bio, presence: self.presence };
        let own = signed_in.profile_with(change).await?;
        if self.json {
            let (account, version) = (own.account.to_string(), own.version);
            let shown = json!({ "account": account, "handle": own.handle, "name": own.name, "avatar": own.avatar, "bio": own.bio, "version": version, "presence": own.presence });
            say(&shown.to_string())?;
        } else {
            say(&format!("{}  @{}  account {}", own.name, own.handle, own.account))?;
            for (what, text) in
                [("avatar", own.avatar), ("bio", own.bio), ("presence shown to", own.presence)]
            {
                if !text.is_empty() {
                    say(&format!("{what}: {text}"))?;
                }
            }
        }
        Ok(())
    }
}

impl Leave {
    async fn run(self) -> anyhow::Result<()> {
        let signed_in = self.on.signed_in()?;
        let _lock = signed_in.profile().lock_store()?;
        let password = self.password.read("Password")?;
        signed_in.deactivate(&password).await?;
        signed_in.profile().forget()
    }
}

impl Devices {
    async fn run(self) -> anyhow::Result<()> {
        for device in self.on.signed_in()?.devices().await? {
            let here = if device.current { "  (this one)" } else { "" };
            let line = if self.json {
                json!({
                    "device": device.device.to_string(),
                    "name": device.name,
                    "kind": device.kind,
                    "created_at_ms": device.created_at_ms,
                    "last_seen_at_ms": device.last_seen_at_ms,
                    "current": device.current,
                })
                .to_string()
            } else {
                format!("{:>6}  {:<8}  {}{here}", device.device.to_string(), device.kind, device.name)
            };
            if !say(&line)? {
                break;
            }
        }
        Ok(())
    }
}

impl Revoke {
    async fn run(self) -> anyhow::Result<()> {
        Ok(self.on.signed_in()?.revoke(DeviceId(self.device)).await?)
    }
}

impl Password {
    async fn run(self) -> anyhow::Result<()> {
        let signed_in = self.on.signed_in()?;
        let old = self.old.read("Old password")?;
        let new = match &self.new_password_file {
            Some(path) => first_line_of(path)?,
            None => asked("New password")?,
        };
        anyhow::ensure!(
            !new.is_empty(),
            "the new password is empty: give it by --new-password-file or standard input"
        );
        signed_in.change_password(&old, &new).await
    }
}
