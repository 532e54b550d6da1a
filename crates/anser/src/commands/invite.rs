//! `anser invite`: a code with which somebody can register.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::commands::connect::{self, OnProfile, say};

#[derive(Args)]
pub struct Invite {
    #[command(flatten)]
    on: OnProfile,
    /// One JSON object as output
    #[arg(long)]
    json: bool,
}

impl Invite {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        connect::run(async {
            let invitation = self.on.signed_in()?.invite().await?;
            let line = if self.json {
                json!({ "invitation": invitation.invitation, "expires_at_ms": invitation.expires_at_ms })
                    .to_string()
            } else {
                invitation.invitation
            };
            say(&line)?;
            Ok(ExitCode::SUCCESS)
        })
    }
}
