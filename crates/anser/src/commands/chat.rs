//! `anser chat`: the terminal client.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anser_client::ServerAddress;
use anser_client::account::{AccountApi, Grant, Registration};
use clap::Args;

use crate::chat::{Start, ThemeName, chat};
use crate::commands::connect::{DEFAULT_SERVER, OnProfile, Trust};
use crate::commands::password::PasswordSource;
use crate::commands::user::{machine_name, must_be_free};
use crate::profile::{Profile, SavedSession, trusting};

#[derive(Args)]
pub struct Chat {
    #[command(flatten)]
    on: OnProfile,
    /// The server, when nobody is signed in on the profile yet
    #[arg(long, value_name = "URL", env = "ANSER_SERVER")]
    server: Option<ServerAddress>,
    #[command(flatten)]
    trust: Trust,
    /// The invitation to register with
    #[arg(long, value_name = "CODE")]
    invitation: Option<String>,
    /// Make this account first, instead of filling in the form
    #[arg(long, value_name = "HANDLE", conflicts_with = "sign_in")]
    register: Option<String>,
    /// The name that others see, with --register
    #[arg(long, requires = "register")]
    name: Option<String>,
    /// Sign in first, instead of filling in the form
    #[arg(long, value_name = "HANDLE")]
    sign_in: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
    /// The colours; F2 tries the others. NO_COLOR is heeded
    #[arg(long, value_name = "NAME", default_value = "auto", env = "ANSER_THEME")]
    theme: ThemeName,
    /// Leave the mouse to the terminal, for marking text with it
    #[arg(long)]
    no_mouse: bool,
}

impl Chat {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            std::io::stdout().is_terminal(),
            "standard output is no terminal: use `anser send` and `anser tail` in scripts"
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(async {
            let profile = self.on.profile()?;
            self.enter(&profile).await?;
            let invitation = self.invitation.unwrap_or_default();
            let (server, ca) = (self.server, self.trust.ca);
            let (theme, mouse) = (self.theme, !self.no_mouse);
            chat(Start { profile, server, ca, invitation, theme, mouse }).await
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the options say about signing in, before the screen is taken.
    async fn enter(&self, profile: &Profile) -> anyhow::Result<()> {
        let Some(handle) = self.register.as_ref().or(self.sign_in.as_ref()) else { return Ok(()) };
        must_be_free(profile, handle)?;
        if profile.session()?.is_some() {
            return Ok(());
        }
        let _lock = profile.lock_store()?;
        let server = match &self.server {
            Some(server) => server.clone(),
            None => DEFAULT_SERVER.parse()?,
        };
        let servers = trusting(vec![server], self.trust.ca.as_deref())?;
        let grant = self.granted(handle, &AccountApi::new(servers.clone())).await?;
        profile.begin(&SavedSession::new(&servers, handle, &grant))
    }

    async fn granted(&self, handle: &str, api: &AccountApi) -> anyhow::Result<Grant> {
        if self.register.is_none() {
            return Ok(api.sign_in(handle, &self.password.read("Password")?, &machine_name()).await?);
        }
        let registration = Registration {
            handle: handle.to_owned(),
            password: self.password.read("New password")?,
            name: self.name.clone().unwrap_or_else(|| handle.to_owned()),
            invitation: self.invitation.clone(),
            device_name: machine_name(),
        };
        Ok(api.register(&registration).await?)
    }
}
