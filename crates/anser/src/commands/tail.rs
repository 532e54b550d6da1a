//! `anser tail`: every message that arrives, from the unread ones on, until it is interrupted or nobody
//! reads it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anser_client::session::{Failure, Intent};
use anser_client::{Client, ClientError, Update, Updates};
use anser_model::{AccountId, ConversationId, limits};
use anser_proto::v1::{self, ConversationKind, Head, Target, event::Change};
use anser_proto::wire;
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::connect::{self, OnProfile, explained, say};
use crate::profile::SignedIn;

#[derive(Args)]
pub struct Tail {
    #[command(flatten)]
    on: OnProfile,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Only what comes from now on, not what is unread
    #[arg(long)]
    from_now: bool,
    /// Mark as read what was written out, so that the next run goes on from there
    #[arg(long)]
    mark_read: bool,
}

/// The reader of the output is gone, which is an end and no error.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
struct NobodyReads;

struct Following {
    asked: Tail,
    client: Client,
    own: AccountId,
    /// Up to which seq each conversation was written out.
    written: BTreeMap<ConversationId, u64>,
    /// Whether every head has been seen once: conversations that come later are new.
    synced: bool,
}

impl Tail {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        connect::run(async {
            let signed_in = self.on.signed_in()?;
            let (mut interrupted, mut terminated) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            let (mut following, mut updates) = Following::start(self, &signed_in).await?;
            let ended = tokio::select! {
                _ = interrupted.recv() => Ok(()),
                _ = terminated.recv() => Ok(()),
                ended = following.run(&mut updates) => ended,
            };
            following.client.stop().await;
            ended?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Following {
    async fn start(asked: Tail, signed_in: &SignedIn) -> anyhow::Result<(Following, Updates)> {
        let mut options = signed_in.options().await;
        options.session.keep = anser_client::Keep::Heads;
        let (client, updates) = Client::connect(options)?;
        let own = signed_in.account();
        Ok((Following { asked, client, own, written: BTreeMap::new(), synced: false }, updates))
    }

    async fn run(&mut self, updates: &mut Updates) -> anyhow::Result<()> {
        while let Some(update) = updates.next().await {
            match self.take(update).await {
                Err(error) if error.is::<NobodyReads>() => return Ok(()),
                taken => taken?,
            }
        }
        self.client.attached().await.map(drop).map_err(explained)
    }

    async fn take(&mut self, update: Update) -> anyhow::Result<()> {
        match update {
            Update::Event(event) if self.synced => self.take_event(&event).await,
            // After a reconnect, what was missed is in the heads.
            Update::Synced | Update::Missed(_) => self.catch_up().await,
            Update::Restarted(_) => {
                self.written.clear();
                self.synced = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Brings every conversation to its head.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let mut conversations = self.client.conversations().await?;
        conversations.reverse();
        for conversation in conversations {
            self.begin(conversation.cid, &conversation.head);
            self.write_up_to(conversation.cid, conversation.head.seq).await?;
        }
        self.synced = true;
        Ok(())
    }

    /// Where a conversation that is seen for the first time begins.
    fn begin(&mut self, cid: ConversationId, head: &Head) {
        let unseen = head.first_visible_seq.saturating_sub(1);
        let from = match (self.synced, self.asked.from_now) {
            (false, true) => head.seq,
            (false, false) if head.unread == 0 => head.seq,
            (false, false) => head.mark.max(unseen),
            (true, _) => unseen,
        };
        self.written.entry(cid).or_insert(from);
    }

    async fn take_event(&mut self, event: &v1::Event) -> anyhow::Result<()> {
        let cid = wire::cid(&event.cid)?;
        let written = *self.written.entry(cid).or_insert(0);
        if event.seq == written + 1 {
            self.write(event).await?;
            self.written.insert(cid, event.seq);
            self.mark(cid, event.seq).await?;
        } else if event.seq > written {
            self.write_up_to(cid, event.seq).await?;
        }
        Ok(())
    }

    /// Fetches and writes out what lies between.
    async fn write_up_to(&mut self, cid: ConversationId, seq: u64) -> anyhow::Result<()> {
        let from = *self.written.entry(cid).or_insert(0);
        let mut written = from;
        while written < seq {
            let asked = v1::GetPage {
                r#in: Some(Target::cid(cid)),
                after_seq: written,
                before_seq: seq + 1,
                limit: limits::PAGE_MESSAGES as u32,
                ..v1::GetPage::default()
            };
            let page = match self.client.page(asked).await {
                Ok(page) => page,
                // No connection for long: the next sync asks again.
                Err(ClientError::Session(Failure::TimedOut)) => return Ok(()),
                Err(error) => return Err(explained(error)),
            };
            for event in &page.events {
                self.write(event).await?;
            }
            let last = page.events.last().map(|event| event.seq);
            written = if page.more { last.unwrap_or(seq) } else { seq };
            self.written.insert(cid, written);
        }
        if written > from {
            self.mark(cid, written).await?;
        }
        Ok(())
    }

    /// Moves the mark, without waiting: the session sends the furthest one in time.
    async fn mark(&self, cid: ConversationId, seq: u64) -> anyhow::Result<()> {
        if self.asked.mark_read {
            let _answered_later =
                self.client.post(Intent::ReadUpTo { target: Target::cid(cid), seq }).await?;
        }
        Ok(())
    }

    /// Somebody who is seen for the first time. That the name is not known is no reason to hold back.
    async fn asked_profile(&self, account: AccountId) -> (String, String) {
        let profiles = self.client.profiles(&[account]).await.unwrap_or_default();
        profiles.into_iter().next().map(|profile| (profile.name, profile.handle)).unwrap_or_default()
    }

    async fn write(&self, event: &v1::Event) -> anyhow::Result<()> {
        let Some(Change::Message(message)) = &event.change else { return Ok(()) };
        // It says nothing any more.
        if message.recalled || message.withheld {
            return Ok(());
        }
        let cid = wire::cid(&event.cid)?;
        let author = AccountId(event.author);
        let (head, profile) = self
            .client
            .look(move |session| {
                let head = session.conversation(cid).map(|conversation| conversation.head());
                (head.unwrap_or_default(), session.profiles().get(author).cloned())
            })
            .await?;
        let (name, handle) = match profile {
            Some(profile) => (profile.name, profile.handle),
            None => self.asked_profile(author).await,
        };
        let own = author == self.own;
        let line = if self.asked.json {
            json!({
                "cid": cid.to_string(),
                "kind": if head.kind() == ConversationKind::Group { "group" } else { "direct" },
                "title": head.title,
                "seq": event.seq,
                "at_ms": event.at_ms,
                "author": author.to_string(),
                "handle": handle,
                "name": name,
                "own": own,
                "message_kind": message.kind,
                "text": message.text,
            })
            .to_string()
        } else {
            let who = if name.is_empty() { format!("account {author}") } else { name };
            let place = if head.title.is_empty() { String::new() } else { format!("[{}] ", head.title) };
            format!("{place}{who}: {}", shown(&message.text))
        };
        if say(&line)? { Ok(()) } else { Err(NobodyReads.into()) }
    }
}

/// A message on one line of a terminal that obeys control characters: it shows none.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
