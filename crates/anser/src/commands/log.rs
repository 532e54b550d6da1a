//! `anser log`: what is in the log of a data folder, for a puzzled operator. The server must not run.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anser_core::ports::log::Log as _;
use anser_core::storage::{decode_fact, split_facts};
use anser_embedded::disk::FolderDisk;
use anser_embedded::log::{LocalLog, LogOptions};
use anser_embedded::system::{SystemClock, SystemRandom};
use anser_model::{Change, Fact, N, Slot, SlotFact};
use anser_server::accounts::Secrets;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Bytes of records read at once.
const READ_BYTES: usize = 1024 * 1024;

#[derive(Subcommand)]
pub enum Log {
    /// Show the facts of one slot, or the heads of all
    Show(Show),
}

#[derive(Args)]
pub struct Show {
    /// The data folder
    #[arg(long, default_value = "data", env = "ANSER_DATA")]
    data: PathBuf,
    /// Which slot; without it, where every slot stands
    #[arg(long)]
    slot: Option<u8>,
    /// From this n on
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// At most so many facts
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Show the text of messages too
    #[arg(long)]
    bodies: bool,
}

impl Log {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Log::Show(show) = self;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(show.run())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    async fn run(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.data.join("log").is_dir(),
            "{} is no data folder: there is no log in it",
            self.data.display()
        );
        let disk = FolderDisk::open(&self.data.join("log"))?;
        let secrets = Secrets::open(&self.data, &SystemRandom)?;
        let options = LogOptions::new(secrets.slot_key().fingerprint());
        let log = LocalLog::open(Arc::new(disk), options, Arc::new(SystemRandom), Arc::new(SystemClock))?;
        match self.slot {
            None => self.heads(&log).await,
            Some(slot) => self.facts(&log, Slot(slot)).await,
        }
    }

    async fn heads(&self, log: &LocalLog) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        for head in log.heads().await? {
            let (slot, first, last, reign) = (head.slot.0, head.first.0, head.last.0, head.reign.0);
            if self.json {
                writeln!(
                    out,
                    "{}",
                    json!({ "slot": slot, "first": first, "last": last, "reign": format!("{reign:016x}") })
                )?;
            } else {
                writeln!(out, "slot {slot:>3}  n {first}..{last}  reign {reign:016x}")?;
            }
        }
        Ok(())
    }

    async fn facts(&self, log: &LocalLog, slot: Slot) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let head = log.heads().await?[slot.index()];
        let mut next = N(self.from).max(head.first);
        let mut left = self.limit;
        while next <= head.last && left > 0 {
            for record in log.read(slot, next, READ_BYTES).await? {
                for (index, encoded) in split_facts(&record.payload)?.iter().enumerate() {
                    let n = N(record.header.first_n.0 + index as u64);
                    if n < next || left == 0 {
                        continue;
                    }
                    left -= 1;
                    let fact = described(&decode_fact(encoded)?, n, self.bodies);
                    if self.json {
                        writeln!(out, "{fact}")?;
                    } else {
                        writeln!(out, "{}", line(&fact))?;
                    }
                }
                next = record.header.last_n().next();
            }
        }
        Ok(())
    }
}

fn described(fact: &Fact, n: N, bodies: bool) -> Value {
    match fact {
        Fact::Slot(SlotFact::Opened { after, at }) => {
            json!({ "n": n.0, "at_ms": at.0, "fact": "opened", "after": format!("{:016x}", after.0) })
        }
        Fact::Slot(SlotFact::Closed { at }) => json!({ "n": n.0, "at_ms": at.0, "fact": "closed" }),
        Fact::Conversation(fact) => {
            let (name, detail) = change(&fact.change, bodies);
            json!({
                "n": n.0,
                "at_ms": fact.at.0,
                "fact": name,
                "cid": fact.cid.to_string(),
                "seq": fact.seq.map(|seq| seq.0),
                "ordinal": fact.ordinal.0,
                "author": fact.author.to_string(),
                "client_id": fact.command.map(|key| key.client_id.to_string()),
                "detail": detail,
            })
        }
    }
}

fn change(change: &Change, bodies: bool) -> (&'static str, Value) {
    let names = |accounts: &[anser_model::AccountId]| -> Vec<String> {
        accounts.iter().map(ToString::to_string).collect()
    };
    match change {
        Change::Created { kind, title, members, .. } => {
            ("created", json!({ "kind": format!("{kind:?}"), "title": title, "members": names(members) }))
        }
        Change::MessageSent(message) => {
            let text =
                if bodies { json!(message.text) } else { json!(format!("{} bytes", message.text.len())) };
            ("message_sent", json!({ "kind": message.kind, "text": text }))
        }
        Change::MembersAdded { members, visible_from } => {
            ("members_added", json!({ "members": names(members), "visible_from": visible_from.0 }))
        }
        Change::MemberRemoved { member, left, .. } => {
            ("member_removed", json!({ "member": member.to_string(), "left": left }))
        }
        Change::RoleSet { member, role } => {
            ("role_set", json!({ "member": member.to_string(), "role": format!("{role:?}") }))
        }
        Change::Renamed { title } => ("renamed", json!({ "title": title })),
        Change::Recalled { stands } => (
            "recalled",
            json!({ "message": stands.seq.map(|seq| seq.0), "author": stands.author.to_string() }),
        ),
        Change::Edited { seq, .. } => ("edited", json!({ "message": seq.0 })),
        Change::AvatarSet { avatar } => ("avatar_set", json!({ "avatar": avatar })),
        Change::HistoryVisibleSet { visible } => ("history_visible_set", json!({ "visible": visible })),
        Change::Dissolved => ("dissolved", json!({})),
        Change::ReadUpTo { member, seq, .. } => {
            ("read_up_to", json!({ "member": member.to_string(), "seq": seq.0 }))
        }
        Change::DeliveredUpTo { member, seq } => {
            ("delivered_up_to", json!({ "member": member.to_string(), "seq": seq.0 }))
        }
        Change::UnreadMarked { member, marked } => {
            ("unread_marked", json!({ "member": member.to_string(), "marked": marked }))
        }
        Change::MessagesHidden { member, ranges } => {
            let ranges: Vec<_> = ranges.parts().iter().map(|(low, high)| [low.0, high.0]).collect();
            ("messages_hidden", json!({ "member": member.to_string(), "ranges": ranges }))
        }
        Change::HistoryCleared { member, seq, .. } => {
            ("history_cleared", json!({ "member": member.to_string(), "seq": seq.0 }))
        }
        Change::Entered { account, slot } => {
            ("entered", json!({ "account": account.to_string(), "slot": slot.0 }))
        }
        Change::CredentialsRaised { account, account_version, why, .. } => (
            "credentials_raised",
            json!({ "account": account.to_string(), "account_version": account_version, "why": format!("{why:?}").to_lowercase() }),
        ),
    }
}

fn line(fact: &Value) -> String {
    let text = |name: &str| match &fact[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!(
        "n {:>6}  {:<18} cid {}  seq {:>5}  by {}  {}",
        text("n"),
        text("fact"),
        text("cid"),
        text("seq"),
        text("author"),
        text("detail")
    )
}
