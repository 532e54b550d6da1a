//! The authorisation matrix: every request frame and every operation of the HTTP API, asked by everybody who
//! might, of every kind of conversation, whose past is visible to each in another part. Each answer is *allowed*,
//! *clipped* to what the asker may see, or *refused*: by a named error where the asker may know that there is
//! something, else byte for byte as if there were nothing. Whatever anybody hears meanwhile is searched for words
//! that they may not see, and for conversations that they may not know of.
//!
//! - [`actors`]: who asks, of what, and which words each may see
//! - [`players`]: who they are on a server; [`scene`]: what happened before a cell; [`stage`]: both
//! - [`frames`]: a row for each request of the protocol; [`answers`]: what each is answered; [`cells`]: asked
//! - [`routes`]: a row for each operation over HTTP, asked
//! - [`line`], [`http`]: connections that keep every byte that they heard
//! - [`planted`]: servers with a bug, which must not pass

mod actors;
mod answers;
mod cells;
mod frames;
mod http;
mod line;
pub mod planted;
mod players;
mod routes;
mod scene;
mod stage;
mod tally;

use anyhow::Context as _;
use clap::Args;
use tokio::time::Instant;

use self::stage::Stage;
use self::tally::Tally;
use crate::random::{Random, fresh_seed};
use crate::report::Report;
use crate::server::ServerPlan;

/// What the harness is told.
#[derive(Debug, Args)]
pub struct Options {
    /// The size of the test run, which is all of it
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the same ids again
    #[arg(long)]
    seed: Option<u64>,
    /// Play these rows alone: names of frames and operations
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Runs it. Whether everybody was answered as they should be.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let began = Instant::now();
    let played = play(ServerPlan::from_environment()?, &options.only, seed).await;
    let tally = played.with_context(|| format!("again: cargo xtask prove matrix --seed {seed}"))?;
    let mut report = Report::default();
    report.add("cells", tally.cells());
    report.add("allowed", tally.allowed);
    report.add("clipped", tally.clipped);
    report.add("refused", tally.refused);
    report.add("leaks", tally.leaks.len());
    report.add("wrong_answers", tally.wrong.len());
    report.add("seconds", began.elapsed().as_secs());
    report.add("seed", seed);
    report.print("matrix", options.json);
    tally.leaks.iter().chain(&tally.wrong).for_each(|fault| eprintln!("  {fault}"));
    Ok(tally.is_clean())
}

/// Plays rows, or all of them, on a server that is started for it.
async fn play(plan: ServerPlan, only: &[String], seed: u64) -> anyhow::Result<Tally> {
    let mut random = Random::new(seed);
    let (mut server, people) = players::gather(plan, &mut random).await?;
    let authority = server.address().authority().to_owned();
    let tally = tokio::task::block_in_place(|| {
        let mut stage = Stage::new(&server, people, only, random);
        routes::play(&mut stage)?;
        cells::attached(&mut stage)?;
        cells::turned_away(&mut stage, &authority)?;
        anyhow::Ok(stage.tally)
    })?;
    server.stop().await?;
    Ok(tally)
}
