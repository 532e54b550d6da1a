//! Pages of 50 of a long conversation: the newest ones, and ones from long ago.

use anser_model::ConversationId;
use anser_proto::v1;
use anser_proto::v1::{client_frame::Request, event, response};

use anyhow::Context as _;

use super::caller::{Caller, accepted};
use super::figures::Figure;
use super::options::Options;
use super::pen::padded;
use super::questions::{self, Question};
use super::stage::Stage;
use crate::random::Random;

/// Rows of a page.
const ROWS: u64 = 50;
/// Of the first message: the group begins with a fact of its own.
const FIRST_SEQ: u64 = 2;
const NAME: &str = "history";

/// Measures.
///
/// # Errors
/// The server fails, or a page has other rows than were asked for.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let people = 20;
    let stage = Stage::open(options, people)?;
    let messages: u64 = options.size.pick(200, 20_000, 200_000);
    options.step(&format!("{messages} messages"))?;
    let (cid, numbers) = conversation(&stage, people, messages)?;
    stage.settle_stores()?;
    let connections = options.size.pick(4, 100, 100);
    for (part, name) in [("near", "the newest 50"), ("far", "50 from anywhere in it")] {
        if !options.wants(part) {
            continue;
        }
        options.step(name)?;
        let (ends, _) = stage.ends((0..connections).map(|at| at % people), |_| 1)?;
        let pages = Pages {
            cid,
            numbers: &numbers,
            befores: vec![0; connections],
            random: (part == "far").then(|| Random::new(7)),
        };
        let asked = questions::ask(&stage, ends, pages, options.brief())?;
        let name = format!("pages: {name} of {messages}");
        figures.push(questions::figure(&stage, NAME, &name, &asked)?);
    }
    stage.close()
}

/// A group in which so many messages were said. Its id, and which message stands at each seq from [`FIRST_SEQ`] on.
fn conversation(
    stage: &Stage<'_>,
    people: usize,
    messages: u64,
) -> anyhow::Result<(ConversationId, Vec<u64>)> {
    let members: Vec<u64> = (1..people).map(|person| stage.account(person).0).collect();
    let mut owner = Caller::new(stage, 0)?;
    let cid = owner.groups(1, &members)?[0];
    let pen = &mut owner.pen.clone();
    let sends = (0..messages).map(|number| pen.send(v1::Target::cid(cid), padded(format_args!("{number}"))));
    let answers = owner.ask_all(sends)?;
    let mut numbers = vec![0; answers.len()];
    for (number, answer) in answers.iter().enumerate() {
        let (_, seq) = accepted(answer)?;
        *numbers.get_mut((seq - FIRST_SEQ) as usize).context("seqs follow each other")? = number as u64;
    }
    Ok((cid, numbers))
}

struct Pages<'a> {
    cid: ConversationId,
    numbers: &'a [u64],
    /// Of the page that each connection asked for.
    befores: Vec<u64>,
    /// For pages from anywhere.
    random: Option<Random>,
}

impl Question for Pages<'_> {
    fn ask(&mut self, at: usize) -> Request {
        let newest = self.numbers.len() as u64 + FIRST_SEQ - 1;
        let anywhere = |random: &mut Random| random.between(ROWS as usize + 2, newest as usize) as u64;
        self.befores[at] = self.random.as_mut().map_or(newest + 1, anywhere);
        let target = Some(v1::Target::cid(self.cid));
        let (before_seq, limit) = (self.befores[at], ROWS as u32);
        Request::GetPage(v1::GetPage { r#in: target, before_seq, limit, ..v1::GetPage::default() })
    }

    fn look(&mut self, at: usize, answer: &response::Result) -> anyhow::Result<()> {
        let response::Result::Page(page) = answer else {
            anyhow::bail!("a page was answered with {answer:?}");
        };
        let before = self.befores[at];
        let is_row = |(event, seq): (&v1::Event, u64)| {
            let text = padded(format_args!("{}", self.numbers[(seq - FIRST_SEQ) as usize]));
            event.seq == seq && matches!(&event.change, Some(event::Change::Message(it)) if it.text == text)
        };
        let is_whole =
            page.events.len() as u64 == ROWS && page.events.iter().zip(before - ROWS..before).all(is_row);
        anyhow::ensure!(is_whole, "the page before {before} has other rows than were said there");
        Ok(())
    }
}
