//! `anser group`: making groups, who is in them, what they are called.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anser_client::{Client, ClientError};
use anser_model::{AccountId, ConversationId};
use anser_proto::v1::{Accepted, ConversationKind, Profile, Role};
use anser_proto::wire;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::commands::connect::{self, OnProfile, Patience, ask_and_send, say};
use crate::profile::SignedIn;

/// Profiles that are asked for at once.
const PROFILES_AT_ONCE: usize = 200;

#[derive(Args)]
pub struct Group {
    #[command(flatten)]
    on: OnProfile,
    #[command(flatten)]
    patience: Patience,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a group; prints its cid
    Create {
        title: String,
        /// Somebody who is in it from the start, by exact handle
        #[arg(long = "member", value_name = "HANDLE")]
        members: Vec<String>,
        /// Who joins later does not see what was before
        #[arg(long)]
        hide_history: bool,
        #[command(flatten)]
        form: Form,
    },
    /// List the groups that one is in
    List(Form),
    /// List who is in a group
    Members {
        cid: ConversationId,
        #[command(flatten)]
        form: Form,
    },
    /// Bring people in
    Add {
        cid: ConversationId,
        #[arg(required = true)]
        handles: Vec<String>,
    },
    /// Put somebody out
    Remove { cid: ConversationId, handle: String },
    /// Leave
    Leave { cid: ConversationId },
    /// Give somebody a role
    Role { cid: ConversationId, handle: String, role: NewRole },
    /// Change the title
    Rename { cid: ConversationId, title: String },
}

#[derive(Args, Clone, Copy)]
struct Form {
    /// JSON as output, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum NewRole {
    Member,
    Admin,
    Owner,
}

impl Group {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        connect::run(async {
            let signed_in = self.on.signed_in()?;
            let client = ask_and_send(&signed_in).await?;
            let done = self.act(&signed_in, &client).await;
            client.stop().await;
            done?;
            Ok(ExitCode::SUCCESS)
        })
    }

    async fn act(self, signed_in: &SignedIn, client: &Client) -> anyhow::Result<()> {
        let patience = self.patience;
        let one = async |handle: &str| signed_in.person(handle).await.map(|person| person.account);
        match self.action {
            Action::Create { title, members, hide_history, form } => {
                let members = accounts(signed_in, &members).await?;
                let created = patience.wait(client.create_group(title, &members, !hide_history)).await?;
                let cid = wire::cid(&created.cid)?.to_string();
                say(&if form.json { json!({ "cid": cid }).to_string() } else { cid })?;
                Ok(())
            }
            Action::List(form) => list(client, patience, form).await,
            Action::Members { cid, form } => members(client, patience, cid, form).await,
            Action::Add { cid, handles } => {
                let people = accounts(signed_in, &handles).await?;
                done(patience, client.add_members(cid, &people)).await
            }
            Action::Remove { cid, handle } => {
                done(patience, client.remove_member(cid, one(&handle).await?)).await
            }
            Action::Leave { cid } => done(patience, client.leave(cid)).await,
            Action::Role { cid, handle, role } => {
                done(patience, client.set_role(cid, one(&handle).await?, role.into())).await
            }
            Action::Rename { cid, title } => done(patience, client.rename(cid, title)).await,
        }
    }
}

impl From<NewRole> for Role {
    fn from(role: NewRole) -> Role {
        match role {
            NewRole::Member => Role::Member,
            NewRole::Admin => Role::Admin,
            NewRole::Owner => Role::Owner,
        }
    }
}

async fn accounts(signed_in: &SignedIn, handles: &[String]) -> anyhow::Result<Vec<AccountId>> {
    Ok(signed_in.people(handles).await?.into_iter().map(|person| person.account).collect())
}

async fn done(
    patience: Patience,
    answer: impl Future<Output = Result<Accepted, ClientError>>,
) -> anyhow::Result<()> {
    patience.wait(answer).await.map(drop)
}

async fn list(client: &Client, patience: Patience, form: Form) -> anyhow::Result<()> {
    let mut heads = patience.wait(client.fetch_conversations()).await?;
    heads.retain(|head| head.kind() == ConversationKind::Group && head.role() != Role::Unspecified);
    heads.sort_by_key(|head| std::cmp::Reverse(head.at_ms));
    for head in heads {
        let cid = wire::cid(&head.cid)?.to_string();
        let (title, members, unread, role) =
            (&head.title, head.member_count, head.unread, role_name(head.role()));
        let line = if form.json {
            json!({ "cid": cid, "title": title, "members": members, "unread": unread, "role": role })
                .to_string()
        } else {
            format!("{cid}  {members:>4} members  {unread:>4} unread  {title}")
        };
        if !say(&line)? {
            break;
        }
    }
    Ok(())
}

async fn members(client: &Client, patience: Patience, cid: ConversationId, form: Form) -> anyhow::Result<()> {
    let members = patience.wait(client.members(cid)).await?;
    let mut profiles = BTreeMap::new();
    for chunk in members.chunks(PROFILES_AT_ONCE) {
        let accounts = chunk.iter().map(|member| AccountId(member.account)).collect::<Vec<_>>();
        let known = patience.wait(client.profiles(&accounts)).await?;
        profiles.extend(known.into_iter().map(|profile| (profile.account, profile)));
    }
    let nobody = Profile::default();
    for member in members {
        let profile = profiles.get(&member.account).unwrap_or(&nobody);
        let (handle, name, role) = (&profile.handle, &profile.name, role_name(member.role()));
        let line = if form.json {
            let member: Value = json!({
                "account": member.account.to_string(),
                "handle": handle,
                "name": name,
                "role": role,
                "joined_at_ms": member.joined_at_ms,
            });
            member.to_string()
        } else {
            format!("{role:<6}  @{handle}  {name}")
        };
        if !say(&line)? {
            break;
        }
    }
    Ok(())
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
        Role::Unspecified => "none",
    }
}
