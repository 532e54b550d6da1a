//! The upgrade harness: data folders of every released format, opened by the binary of today. What they
//! were made to serve must be served, and life must go on in them.
//!
//! A golden folder is made once for a format and never again: `tests/golden/folders/0001` and so on,
//! each the folder, packed, and what is served of it.

mod life;
mod look;
mod pack;

use std::path::{Path, PathBuf};

use anser_proto::v1::Target;
use anser_proto::wire;
use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use crate::report::Report;
use crate::server::{Server, ServerPlan};
use look::{differences, enter, look};

/// Where the golden folders are.
const FOLDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/folders");
const PACKED: &str = "folder.tar.gz";
const SERVED: &str = "served.json";
/// Bytes of a log segment: small, so that a folder has several and packs small.
const SEGMENT_BYTES: u64 = 16 * 1024;
/// Bytes of a packed folder at most: it stays in the repository for ever.
const PACKED_BYTES: usize = 200 * 1024;
/// Differences that are shown.
const SHOWN: usize = 10;
const NEWS: &str = "said after the upgrade";

/// What the harness is told.
#[derive(Debug, Args)]
pub struct Options {
    /// The size of the test run, which is all folders anyway
    #[arg(long)]
    quick: bool,
    /// Make the golden folder of this name, with the binary of today, which must be a released one
    #[arg(long, value_name = "NAME")]
    make: Option<String>,
    /// Where the golden folders are, if not in the repository
    #[arg(long)]
    folders: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was looked at, and what was wrong.
#[derive(Debug, Default)]
struct Tally {
    people: usize,
    conversations: usize,
    facts: usize,
    faults: Vec<String>,
}

/// Runs it. Whether everything was right.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let folders = options.folders.unwrap_or_else(|| PathBuf::from(FOLDERS));
    if let Some(name) = options.make {
        make(&folders.join(name)).await?;
        return Ok(true);
    }
    let mut goldens: Vec<PathBuf> = std::fs::read_dir(&folders)
        .with_context(|| format!("reading {}", folders.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    goldens.sort();
    anyhow::ensure!(!goldens.is_empty(), "{} holds no golden folder", folders.display());
    let mut tally = Tally::default();
    for golden in &goldens {
        let name = golden.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Err(error) = prove(golden, &mut tally).await {
            tally.faults.push(format!("{error:#}"));
        }
        for fault in tally.faults.iter().take(SHOWN) {
            eprintln!("folder {name}: {fault}");
        }
        if !tally.faults.is_empty() {
            eprintln!("  again: cargo xtask prove upgrade");
            break;
        }
    }
    let mut report = Report::default();
    report.add("folders", goldens.len());
    report.add("people", tally.people);
    report.add("conversations", tally.conversations);
    report.add("facts", tally.facts);
    report.add("faults", tally.faults.len());
    report.print("upgrade", options.json);
    Ok(tally.faults.is_empty())
}

fn plan() -> anyhow::Result<ServerPlan> {
    Ok(ServerPlan { segment_bytes: Some(SEGMENT_BYTES), ..ServerPlan::from_environment()? })
}

/// Opens one golden folder, compares, goes on living in it, and compares again over a restart.
async fn prove(golden: &Path, tally: &mut Tally) -> anyhow::Result<()> {
    let packed = std::fs::read(golden.join(PACKED))?;
    let due: Value = serde_json::from_slice(&std::fs::read(golden.join(SERVED))?)?;
    let people = due.as_object().context("served.json names people")?;
    let handles: Vec<String> = people.keys().cloned().collect();
    let mut server = Server::start_in(plan()?, |data| pack::unpack(&packed, data)).await?;
    let seen = look(&server.address(), &handles).await?;
    count(&seen, tally);
    // Whoever looks says so: delivered marks are facts, and move while people look.
    let plain = look::without_deliveries;
    tally.faults.extend(differences("", &plain(due.clone()), &plain(seen)));

    let mut news = Vec::new();
    for (handle, conversations) in people {
        let client = enter(&server.address(), handle).await?;
        for (cid, conversation) in conversations.as_object().into_iter().flatten() {
            if conversation["members"].is_null() {
                continue;
            }
            let cid: anser_model::ConversationId = cid.parse()?;
            let accepted = client.send_text(Target::cid(cid), NEWS).await;
            let accepted = accepted.with_context(|| format!("{handle} goes on in {cid}"))?;
            news.push((wire::cid(&accepted.cid)?.to_string(), accepted.seq));
        }
        client.stop().await;
    }
    let before = look(&server.address(), &handles).await?;
    for conversations in people.values() {
        check_news(conversations, &news, tally);
    }
    server.stop().await?;
    server.start_again().await?;
    let after = look(&server.address(), &handles).await?;
    tally.faults.extend(differences("after a restart: ", &plain(before), &plain(after.clone())));
    for (handle, conversations) in people {
        for (cid, conversation) in conversations.as_object().into_iter().flatten() {
            check_growth(handle, cid, conversation, &after[handle][cid], tally);
        }
    }
    server.stop().await
}

/// What was said went on where the folder ended: the first seq after its head, and so on.
fn check_news(conversations: &Value, news: &[(String, u64)], tally: &mut Tally) {
    for (cid, conversation) in conversations.as_object().into_iter().flatten() {
        if conversation["members"].is_null() {
            continue;
        }
        let head = number(&conversation["head"]["seq"]);
        let seqs: Vec<u64> = news.iter().filter(|(to, _)| to == cid).map(|&(_, seq)| seq).collect();
        let due: Vec<u64> = (1..=seqs.len() as u64).map(|more| head + more).collect();
        if seqs != due {
            tally.faults.push(format!("{cid} went on with seqs {seqs:?}, due is {due:?}"));
        }
    }
}

/// After more was said, everything from before is there unchanged; a former member sees nothing new.
fn check_growth(handle: &str, cid: &str, due: &Value, seen: &Value, tally: &mut Tally) {
    let facts = |of: &Value| of["facts"].as_array().cloned().unwrap_or_default();
    let (old, new) = (facts(due), facts(seen));
    let text = |fact: &Value| fact["message"]["text"] == json!(NEWS);
    let grown = new.len() > old.len() && new[old.len().min(new.len())..].iter().all(text);
    let kept = |some: &[Value]| differences("", &json!(old), &json!(some)).is_empty();
    let right = if due["members"].is_null() { kept(&new) } else { grown && kept(&new[..old.len()]) };
    if !right {
        tally.faults.push(format!("{handle}/{cid}: {} facts became {}", old.len(), new.len()));
    }
}

fn count(seen: &Value, tally: &mut Tally) {
    for conversations in seen.as_object().into_iter().flat_map(|people| people.values()) {
        tally.people += 1;
        for conversation in conversations.as_object().into_iter().flat_map(|all| all.values()) {
            tally.conversations += 1;
            tally.facts += conversation["facts"].as_array().map_or(0, Vec::len);
        }
    }
}

/// 64-bit numbers are strings in JSON; 0 is left out.
fn number(value: &Value) -> u64 {
    value.as_str().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Makes a golden folder: lives in a new one, kills the server, packs what is left, and writes down
/// what is served of that.
async fn make(golden: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!golden.exists(), "{} is there: a golden folder is made once", golden.display());
    let mut server = Server::start(plan()?).await?;
    let said = life::live(&mut server).await?;
    let packed = pack::pack(&server.data())?;
    anyhow::ensure!(packed.len() <= PACKED_BYTES, "{} bytes are too many to keep for ever", packed.len());

    let mut again = Server::start_in(plan()?, |data| pack::unpack(&packed, data)).await?;
    let handles = life::HANDLES.map(str::to_owned);
    let served = look(&again.address(), &handles).await?;
    again.stop().await?;
    for said in &said {
        let facts = served[said.handle][said.cid.to_string()]["facts"].as_array();
        let at = facts.into_iter().flatten().find(|fact| number(&fact["seq"]) == said.seq);
        let text = at.map(|fact| fact["message"]["text"].clone());
        anyhow::ensure!(text == Some(json!(said.text)), "{} is not served: {text:?}", said.text);
    }
    std::fs::create_dir_all(golden)?;
    std::fs::write(golden.join(PACKED), &packed)?;
    std::fs::write(golden.join(SERVED), serde_json::to_string_pretty(&served)? + "\n")?;
    println!("upgrade: made {} of {} bytes, {} messages in it", golden.display(), packed.len(), said.len());
    Ok(())
}
