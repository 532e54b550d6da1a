//! `anser key`: API keys of application servers, on the data folder of a server.

use std::process::ExitCode;

use anser_server::accounts::{ApiKeyRow, Authority, Scope};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::commands::connect::{self, say};
use crate::commands::folder::OnFolder;

#[derive(Subcommand)]
pub enum Key {
    /// Make a key; it is shown this once
    Create(Create),
    /// List the keys, without what lets in
    List(List),
    /// Let nobody in with a key any more, at once
    Revoke(Revoke),
}

#[derive(Args)]
pub struct Create {
    #[command(flatten)]
    on: OnFolder,
    /// What it is for, in your words
    #[arg(long)]
    name: String,
    /// What it allows; may be given more than once
    #[arg(long = "scope", value_enum, required = true, value_delimiter = ',')]
    scopes: Vec<ScopeName>,
    /// One JSON object as output
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    on: OnFolder,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    on: OnFolder,
    /// The number that `anser key list` shows
    key: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScopeName {
    /// Make, import and deactivate accounts
    Accounts,
    /// Issue tokens for accounts
    Tokens,
    /// Send as the system
    Messages,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Accounts => Scope::Accounts,
            ScopeName::Tokens => Scope::Tokens,
            ScopeName::Messages => Scope::Messages,
        }
    }
}

impl Key {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        connect::run(async {
            match self {
                Key::Create(it) => it.run().await,
                Key::List(it) => it.run().await,
                Key::Revoke(it) => it.run().await,
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<()> {
        let scopes = self.scopes.into_iter().map(Scope::from).collect();
        let made = self.on.administration()?.create_key(Authority::operator(), &self.name, scopes).await?;
        let text = made.secret.expose();
        if self.json {
            let mut shown = as_json(&made.row);
            shown["secret"] = text.into();
            say(&shown.to_string())?;
        } else {
            say(&format!("{text}\n\nkey {} of {:?}, shown this once", made.row.key, made.row.name))?;
        }
        Ok(())
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        for row in self.on.administration()?.keys(Authority::operator()).await? {
            let line = if self.json { as_json(&row).to_string() } else { line(&row) };
            if !say(&line)? {
                break;
            }
        }
        Ok(())
    }
}

impl Revoke {
    async fn run(self) -> anyhow::Result<()> {
        Ok(self.on.administration()?.revoke_key(Authority::operator(), self.key).await?)
    }
}

fn as_json(row: &ApiKeyRow) -> Value {
    json!({
        "key": row.key.to_string(),
        "name": row.name,
        "scopes": row.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
        "author": row.author.map(|author| author.to_string()),
        "created_at_ms": row.created_at.0,
        "revoked_at_ms": row.revoked_at.map(|at| at.0),
    })
}

fn line(row: &ApiKeyRow) -> String {
    let scopes: Vec<_> = row.scopes.iter().map(Scope::as_str).collect();
    let state = row.revoked_at.map(|at| format!("  revoked {}", day(at.0))).unwrap_or_default();
    format!("{:>19}  {}  {:<24}  {}{state}", row.key, day(row.created_at.0), scopes.join(","), row.name)
}

/// A day in words, in UTC.
pub fn day(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}
