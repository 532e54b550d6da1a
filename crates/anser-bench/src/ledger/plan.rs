//! Who says what where: drawn from the corpus and a seed, before anything runs.

use anser_model::{AccountId, ConversationId};

use crate::corpus::Corpus;
use crate::random::Random;

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Messages, each said once.
    pub messages: usize,
    /// Accounts, with two devices each.
    pub accounts: usize,
    /// Groups.
    pub groups: usize,
    /// Members of the largest group; the smallest has 2.
    pub members_max: usize,
    /// Direct conversations.
    pub direct: usize,
}

impl Size {
    /// Every message of the corpus.
    pub const FULL: Size =
        Size { messages: 65_000, accounts: 500, groups: 300, members_max: 200, direct: 300 };
    /// A tenth of it.
    pub const QUICK: Size = Size { messages: 6_500, accounts: 160, groups: 30, members_max: 100, direct: 30 };
}

/// A conversation, its members as numbers of people. The first one of a group creates it.
#[derive(Debug, Clone)]
pub struct Circle {
    /// Who is in it.
    pub members: Vec<usize>,
    /// Two people, without a creation.
    pub is_direct: bool,
    /// Which one; of a group known once it is created.
    pub cid: ConversationId,
}

/// Something to be said.
#[derive(Debug, Clone)]
pub struct Line {
    /// Number of the conversation.
    pub circle: usize,
    /// The text.
    pub text: String,
}

/// A whole run.
#[derive(Debug)]
pub struct Plan {
    /// Conversations.
    pub circles: Vec<Circle>,
    /// What each person says, in order.
    pub script: Vec<Vec<Line>>,
    /// The conversations that each person is in.
    pub circles_of: Vec<Vec<usize>>,
}

impl Plan {
    /// Draws one. Messages go to conversations that their sender is in.
    pub fn draw(size: Size, corpus: &Corpus, random: &mut Random) -> Plan {
        let nowhere = ConversationId([0; 16]);
        let mut circles = Vec::new();
        for number in 0..size.groups {
            // One of each extreme, the rest between.
            let members = match number {
                0 => size.members_max,
                1 => 2,
                _ => random.between(2, size.members_max),
            };
            let members = random.choose(members, size.accounts);
            circles.push(Circle { members, is_direct: false, cid: nowhere });
        }
        let mut pairs = std::collections::BTreeSet::new();
        while pairs.len() < size.direct {
            let pair = random.choose(2, size.accounts);
            let ordered = (pair[0].min(pair[1]), pair[0].max(pair[1]));
            if pairs.insert(ordered) {
                circles.push(Circle { members: pair, is_direct: true, cid: nowhere });
            }
        }
        let mut circles_of = vec![Vec::new(); size.accounts];
        for (number, circle) in circles.iter().enumerate() {
            circle.members.iter().for_each(|&member| circles_of[member].push(number));
        }
        let mut script = vec![Vec::new(); size.accounts];
        for line in corpus.lines.iter().cycle().take(size.messages) {
            let own = line.sender % size.accounts;
            let (sender, circle) = match circles_of[own].len() {
                0 => {
                    let circle = random.below(circles.len());
                    let members = &circles[circle].members;
                    (members[random.below(members.len())], circle)
                }
                count => (own, circles_of[own][random.below(count)]),
            };
            script[sender].push(Line { circle, text: line.text.clone() });
        }
        Plan { circles, script, circles_of }
    }

    /// Names the direct conversations, once the accounts are known.
    pub fn name_direct(&mut self, accounts: &[AccountId]) {
        for circle in self.circles.iter_mut().filter(|circle| circle.is_direct) {
            circle.cid = ConversationId::direct(accounts[circle.members[0]], accounts[circle.members[1]]);
        }
    }

    /// Conversations that come to be: all groups, and the direct ones in which something is said.
    pub fn live_circles(&self) -> Vec<bool> {
        let mut live = self.circles.iter().map(|circle| !circle.is_direct).collect::<Vec<_>>();
        self.script.iter().flatten().for_each(|line| live[line.circle] = true);
        live
    }
}
