//! Lists of 20 as a client shows them: conversations, people, members. All of it was read before.

use anser_model::ConversationId;
use anser_proto::v1;
use anser_proto::v1::{client_frame::Request, response};
use anser_proto::wire::cid_bytes;

use super::caller::Caller;
use super::figures::{Figure, Goal};
use super::options::Options;
use super::questions::{self, Question};
use super::stage::Stage;

/// Rows of a list.
const ROWS: usize = 20;
const NAME: &str = "lists";

/// Measures.
///
/// # Errors
/// The server fails, or a list has other rows than were asked for.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    let stage = Stage::open(options, ROWS)?;
    let accounts: Vec<u64> = (0..ROWS).map(|person| stage.account(person).0).collect();
    let cids = Caller::new(&stage, 0)?.groups(ROWS, &accounts[1..])?;
    let connections = options.size.pick(4, 200, 200);
    let kinds = [
        ("conversations", Kind::Conversations, "conversations, 20 rows"),
        ("contacts", Kind::People, "contacts (profiles), 20 rows"),
        ("members", Kind::Members, "members, 20 rows"),
    ];
    for (part, kind, name) in kinds {
        if !options.wants(part) {
            continue;
        }
        options.step(name)?;
        let (ends, _) = stage.ends((0..connections).map(|at| at % ROWS), |_| 1)?;
        let lists = Lists { kind, cids: cids.clone(), accounts: accounts.clone() };
        let asked = questions::ask(&stage, ends, lists, options.brief())?;
        figures.push(questions::figure(&stage, NAME, name, &asked)?.goal(Goal::AtLeast(80_000.0)));
    }
    stage.close()
}

#[derive(Clone, Copy)]
enum Kind {
    Conversations,
    /// There is no list of contacts yet: this is what one would be drawn from.
    People,
    Members,
}

struct Lists {
    kind: Kind,
    cids: Vec<ConversationId>,
    accounts: Vec<u64>,
}

impl Question for Lists {
    fn ask(&mut self, at: usize) -> Request {
        match self.kind {
            Kind::Conversations => {
                let cids = self.cids.iter().map(|&cid| cid_bytes(cid)).collect();
                Request::GetConversations(v1::GetConversations { cids })
            }
            Kind::People => Request::GetProfiles(v1::GetProfiles { accounts: self.accounts.clone() }),
            Kind::Members => {
                Request::GetMembers(v1::GetMembers { cid: cid_bytes(self.cids[at % self.cids.len()]) })
            }
        }
    }

    fn look(&mut self, _at: usize, answer: &response::Result) -> anyhow::Result<()> {
        let is_whole = match answer {
            response::Result::ConversationList(list) => {
                let mut cids: Vec<_> = list.heads.iter().map(|head| head.cid.clone()).collect();
                let mut expected: Vec<_> = self.cids.iter().map(|&cid| cid_bytes(cid)).collect();
                cids.sort();
                expected.sort();
                cids == expected
            }
            response::Result::ProfileList(list) => {
                self.are_all(list.profiles.iter().map(|profile| profile.account))
            }
            response::Result::MemberList(list) => {
                self.are_all(list.members.iter().map(|member| member.account))
            }
            _ => false,
        };
        anyhow::ensure!(is_whole, "a list was answered with {answer:?}");
        Ok(())
    }
}

impl Lists {
    fn are_all(&self, accounts: impl Iterator<Item = u64>) -> bool {
        let (mut found, mut expected) = (accounts.collect::<Vec<_>>(), self.accounts.clone());
        found.sort_unstable();
        expected.sort_unstable();
        found == expected
    }
}
