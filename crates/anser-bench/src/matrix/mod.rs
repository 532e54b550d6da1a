//! The authorisation matrix: every request frame and every route, asked by everybody who might, of a group
//! whose past is visible to each in another part. Each answer is *allowed*, *clipped* to what the asker may
//! see, or *refused*: by a named error where the asker may know that there is something, else byte for byte as
//! if there were nothing. Whatever anybody hears meanwhile is searched for words that they may not see.
//!
//! - [`scene`]: who there is, and what happened before
//! - [`frames`]: a row for each request of the protocol
//! - [`line`]: a connection that keeps what it heard

mod frames;
mod line;
mod scene;

use std::collections::BTreeSet;
use std::time::Duration;

use anser_client::ServerAddress;
use anser_client::account::AccountApi;
use anser_proto::v1::{self, client_frame::Request, response, server_frame};
use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use tokio::time::{Instant, sleep_until};

use self::frames::Expected;
use self::line::{Answer, heard_until_closed};
use self::scene::{Actor, Players, Scene};
use crate::people::{self, Person};
use crate::random::{Random, fresh_seed};
use crate::report::Report;
use crate::server::{Server, ServerPlan};

/// How long the token is good that is to be an expired one.
const SHORT_LIFE_S: u64 = 1;

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
}

/// What the cells came to.
#[derive(Debug, Default)]
struct Tally {
    allowed: u64,
    clipped: u64,
    refused: u64,
    leaks: Vec<String>,
    wrong: Vec<String>,
}

impl Tally {
    fn cells(&self) -> u64 {
        self.allowed + self.clipped + self.refused
    }
}

/// Runs it. Whether everybody was answered as they should be.
///
/// # Errors
/// The run could not be finished, which is a failure too.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    let plan = ServerPlan { access_token_s: Some(SHORT_LIFE_S), ..ServerPlan::from_environment()? };
    let mut server = Server::start(plan).await?;
    let expired = people::register(&server.address(), 1, 1).await?[0].keys[0].access_token.clone();
    let expires = Instant::now() + Duration::from_secs(SHORT_LIFE_S + 1);
    server.stop().await?;
    server.plan_mut().access_token_s = None;
    server.start_again().await?;
    let people = people::register(&server.address(), Actor::ALL.len(), 2).await?;
    let revoked = people[Actor::Owner as usize].keys[1].access_token.clone();
    revoke_second_device(&server.address(), &people[Actor::Owner as usize]).await?;
    let address = server.address();
    let mut random = Random::new(seed);
    let again = || format!("again: cargo xtask prove matrix --seed {seed}");
    let mut players = Players::attach(address.authority(), &people, &mut random)?;
    let mut tally = Tally::default();
    tokio::task::block_in_place(|| frame_cells(&mut players, &mut random, &mut tally)).with_context(again)?;
    sleep_until(expires).await;
    let nobodies = [
        ("no token", None, "hello_required"),
        ("an expired token", Some(expired), "unauthenticated"),
        ("a revoked device", Some(revoked), "revoked"),
    ];
    tokio::task::block_in_place(|| nobody(address.authority(), &mut players, &nobodies, &mut tally))
        .with_context(again)?;
    let mut report = Report::default();
    report.add("cells", tally.cells());
    report.add("allowed", tally.allowed);
    report.add("clipped", tally.clipped);
    report.add("refused", tally.refused);
    report.add("leaks", tally.leaks.len());
    report.add("wrong_answers", tally.wrong.len());
    report.add("seed", seed);
    report.print("matrix", options.json);
    tally.leaks.iter().chain(&tally.wrong).for_each(|fault| eprintln!("  {fault}"));
    server.stop().await?;
    Ok(tally.leaks.is_empty() && tally.wrong.is_empty())
}

/// Every request, by everybody who is attached.
fn frame_cells(players: &mut Players, random: &mut Random, tally: &mut Tally) -> anyhow::Result<()> {
    let mut number = 0;
    for row in 0.. {
        let mut rows = 0;
        for actor in Actor::ALL {
            number += 1;
            let scene = players.set(number)?;
            rows = cell(players, &scene, actor, row, random, tally)?;
        }
        if row + 1 == rows {
            break;
        }
    }
    Ok(())
}

/// One cell. How many rows there are.
fn cell(
    players: &mut Players,
    scene: &Scene,
    actor: Actor,
    row: usize,
    random: &mut Random,
    tally: &mut Tally,
) -> anyhow::Result<usize> {
    let third = players.account(if actor == Actor::Newcomer { Actor::Member } else { Actor::Newcomer });
    let line = players.line(actor);
    let mut requests = frames::requests(&scene.group, scene, third, line);
    if row == 0 {
        every_request_has_a_row(&requests)?;
    }
    let rows = requests.len();
    let request = requests.swap_remove(row);
    let what = format!("{actor:?} asks {}", frames::name(&request));
    let expected = frames::in_group(&request, actor);
    let is_typing = matches!(request, Request::Typing(_));
    let answer = line.ask(request).with_context(|| what.clone())?;
    judge(&what, scene, &expected, &answer, tally);
    if actor.is_outside() {
        let nowhere: Vec<u8> = (0..2).flat_map(|_| random.bits().to_be_bytes()).collect();
        for (cid, is_there) in [(scene.direct.clone(), true), (Bytes::from(nowhere), false)] {
            let other = frames::requests(&cid, scene, third, line).swap_remove(row);
            let other = line.ask(other)?;
            if expected == Expected::AsIfNothing && other.bytes != answer.bytes {
                let named = if is_there { "the direct conversation" } else { "one that does not exist" };
                tally.leaks.push(format!(
                    "{what}: of the group it hears {:?}, of {named} {:?}",
                    answer.result, other.result
                ));
            }
        }
    }
    // Whatever the request told anybody is out once the owner has been answered after it.
    players.line(Actor::Owner).ask(Request::Ping(v1::Ping {}))?;
    for listener in Actor::ALL {
        let heard = players.line(listener).hears()?;
        for word in listener.leaks_in(&heard) {
            tally.leaks.push(format!("{what}: {listener:?} hears {word:?}"));
        }
        let is_told = is_typing && heard.windows(scene.group.len()).any(|bytes| bytes == &scene.group[..]);
        if is_told && !listener.is_present() {
            tally.leaks.push(format!("{what}: {listener:?} hears of it"));
        }
    }
    Ok(rows)
}

fn judge(what: &str, scene: &Scene, expected: &Expected, answer: &Answer, tally: &mut Tally) {
    let code = match &answer.result {
        response::Result::Error(error) => Some(error.code.as_str()),
        _ => None,
    };
    let holds = |word: &str| {
        let word = format!("{word}{}", scene.number);
        answer.bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    let is_right = match expected {
        Expected::Accepted => {
            tally.allowed += 1;
            matches!(answer.result, response::Result::Accepted(_))
        }
        Expected::Own => {
            tally.allowed += 1;
            code.is_none()
        }
        Expected::Shows(words) => {
            *(if words.len() == 4 || words.is_empty() { &mut tally.allowed } else { &mut tally.clipped }) +=
                1;
            code.is_none() && words.iter().all(|word| holds(word))
        }
        Expected::Refused(expected) => {
            tally.refused += 1;
            code == Some(expected.as_str())
        }
        Expected::AsIfNothing => {
            tally.refused += 1;
            // An empty list, or that there is no such thing.
            code == Some("not_found")
                || matches!(&answer.result, response::Result::ConversationList(list) if list.heads.is_empty())
        }
    };
    if !is_right {
        tally.wrong.push(format!("{what}: {expected:?} was expected, and the answer is {:?}", answer.result));
    }
}

/// Whoever has no token, or one that is good no more, is answered nothing but that.
fn nobody(
    authority: &str,
    players: &mut Players,
    nobodies: &[(&str, Option<String>, &str)],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let scene = players.set(0)?;
    let third = players.account(Actor::Newcomer);
    for &(who, ref token, code) in nobodies {
        let line = players.line(Actor::Owner);
        for request in frames::requests(&scene.group, &scene, third, line) {
            if matches!(request, Request::Hello(_)) {
                continue;
            }
            let what = format!("{who} asks {}", frames::name(&request));
            let hello = token.clone().map(|token| {
                let (version_min, version_max) = (anser_proto::VERSION_MIN, anser_proto::VERSION_MAX);
                Request::Hello(v1::Hello { version_min, version_max, token, ..v1::Hello::default() })
            });
            let frames = heard_until_closed(authority, hello.into_iter().chain([request]).collect())
                .with_context(|| what.clone())?;
            tally.refused += 1;
            let is_error = |frame: &v1::ServerFrame| {
                matches!(&frame.frame, Some(server_frame::Frame::Response(v1::Response {
                    result: Some(response::Result::Error(error)), ..
                })) if error.code == code)
            };
            if frames.len() != 1 || !frames.iter().all(is_error) {
                tally.leaks.push(format!("{what}: hears {frames:?}"));
            }
        }
    }
    Ok(())
}

/// Fails unless each request of the schema has exactly one row.
fn every_request_has_a_row(requests: &[Request]) -> anyhow::Result<()> {
    let schema = include_str!("../../../anser-proto/schema/anser/v1/client.proto");
    let (_, list) = schema.split_once("oneof request {").context("the schema lists requests")?;
    let (list, _) = list.split_once('}').context("the list ends")?;
    let mut missing: BTreeSet<&str> =
        list.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    for request in requests {
        let name = frames::name(request);
        anyhow::ensure!(missing.remove(name), "{name} has two rows, or is not in the schema");
    }
    anyhow::ensure!(missing.is_empty(), "no row in the matrix: {missing:?}");
    Ok(())
}

/// Signs the second device of somebody out.
async fn revoke_second_device(server: &ServerAddress, person: &Person) -> anyhow::Result<()> {
    let api = AccountApi::new(vec![server.clone()]);
    let token = &person.keys[0].access_token;
    let devices = api.devices(token).await?;
    let other =
        devices.iter().rfind(|device| device.name == "device 1").context("there is a second device")?;
    Ok(api.revoke_device(token, other.device).await?)
}
