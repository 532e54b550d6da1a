//! `anser send`: a message, or one for each line of standard input; prints each acknowledged seq.

use std::process::ExitCode;

use anser_client::Client;
use anser_model::{ConversationId, limits};
use anser_proto::v1::{Accepted, Target};
use anser_proto::wire;
use clap::Args;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::commands::connect::{self, OnProfile, Patience, ask_and_send, say};

/// The text that stands for standard input.
const STANDARD_INPUT: &str = "-";

#[derive(Args)]
pub struct Send {
    #[command(flatten)]
    on: OnProfile,
    #[command(flatten)]
    patience: Patience,
    /// To this person, by exact handle
    #[arg(long, value_name = "HANDLE", required_unless_present = "group", conflicts_with = "group")]
    to: Option<String>,
    /// To this group, by the cid that `anser group list` shows
    #[arg(long, value_name = "CID")]
    group: Option<ConversationId>,
    /// The text; - reads standard input, and sends a message for each line
    text: String,
    /// One JSON object for each message as output
    #[arg(long)]
    json: bool,
}

impl Send {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        connect::run(async {
            let signed_in = self.on.signed_in()?;
            let target = match (&self.to, self.group) {
                (Some(handle), _) => Target::peer(signed_in.person(handle).await?.account),
                (None, Some(cid)) => Target::cid(cid),
                (None, None) => anyhow::bail!("say to whom: --to HANDLE or --group CID"),
            };
            let client = ask_and_send(&signed_in).await?;
            let sent = self.send_all(&client, &target).await;
            client.stop().await;
            sent?;
            Ok(ExitCode::SUCCESS)
        })
    }

    async fn send_all(&self, client: &Client, target: &Target) -> anyhow::Result<()> {
        if self.text != STANDARD_INPUT {
            return self.send(client, target, self.text.clone()).await;
        }
        let mut input = BufReader::new(tokio::io::stdin());
        while let Some(line) = next_line(&mut input).await? {
            if !line.trim().is_empty() {
                self.send(client, target, line).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, client: &Client, target: &Target, text: String) -> anyhow::Result<()> {
        let accepted = self.patience.wait(client.send_text(target.clone(), text)).await?;
        // That nobody reads the numbers is no reason to lose the message.
        say(&if self.json { described(&accepted) } else { accepted.seq.to_string() })?;
        Ok(())
    }
}

/// The next line, without its end. A line that is longer than a message may be is an error, not a
/// reason to fill the memory.
async fn next_line(input: &mut BufReader<tokio::io::Stdin>) -> anyhow::Result<Option<String>> {
    let longest = limits::MESSAGE_TEXT_BYTES as u64 + 2;
    let mut line = Vec::new();
    if input.take(longest).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    anyhow::ensure!(
        line.ends_with(b"\n") || (line.len() as u64) < longest,
        "a line has more than {} bytes, the most that a message may have",
        limits::MESSAGE_TEXT_BYTES
    );
    let text = String::from_utf8(line).map_err(|_| anyhow::anyhow!("a line is not UTF-8"))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn described(accepted: &Accepted) -> String {
    let cid = wire::cid(&accepted.cid).map(|cid| cid.to_string()).unwrap_or_default();
    json!({ "cid": cid, "seq": accepted.seq, "at_ms": accepted.at_ms }).to_string()
}
