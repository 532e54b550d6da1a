//! Questions that wait to be asked: the application's, and the session's own.

use std::collections::VecDeque;

use anser_model::ConversationId;

use crate::session::command::{Query, Ticket};
use crate::session::exchange::Failure;

/// Questions of the application that may wait at once.
const QUERIES_WAITING: usize = 256;
/// How long a question is tried, connection or not.
const QUERY_PATIENCE_MS: u64 = 30_000;
/// The same for what is of use only now.
const PASSING_PATIENCE_MS: u64 = 3_000;

/// Who wants to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Asker {
    /// The application.
    Application(Ticket),
    /// The session, for profiles that events named.
    Profiles,
    /// The session, for conversations that events told of.
    Heads,
    /// The session, for facts that it missed.
    Gap(ConversationId),
    /// The session, for what has become of facts that it holds.
    Recheck(ConversationId),
    /// The session, for who of a conversation is there.
    Presence(ConversationId),
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// Who wants to know.
    pub asker: Asker,
    /// What.
    pub query: Query,
    /// After this it is given up; what the session itself asks never is.
    pub deadline_ms: u64,
    /// Not to be asked before this.
    pub not_before_ms: u64,
    /// How often the server put it off.
    pub refusals: u32,
}

/// Questions that wait to be asked.
#[derive(Debug, Default)]
pub struct Queries {
    waiting: VecDeque<Asking>,
}

impl Queries {
    /// Takes a question of the application.
    pub fn ask_for_application(&mut self, ticket: Ticket, query: Query, now_ms: u64) -> Result<(), Failure> {
        if self.waiting.len() >= QUERIES_WAITING {
            return Err(Failure::Full);
        }
        self.ask(Asker::Application(ticket), query, now_ms);
        Ok(())
    }

    /// Takes a question of the session itself, which asks few at once.
    pub fn ask(&mut self, asker: Asker, query: Query, now_ms: u64) {
        // Nobody would ask again for what the session itself must know.
        let deadline_ms = match asker {
            Asker::Application(_) if matches!(query, Query::Typing(_)) => {
                now_ms.saturating_add(PASSING_PATIENCE_MS)
            }
            Asker::Application(_) => now_ms.saturating_add(QUERY_PATIENCE_MS),
            _ => u64::MAX,
        };
        self.waiting.push_back(Asking { asker, query, deadline_ms, not_before_ms: now_ms, refusals: 0 });
    }

    /// Puts a question back whose answer was lost or put off.
    pub fn put_back(&mut self, asking: Asking) {
        self.waiting.push_front(asking);
    }

    /// The next question that may be asked now.
    pub fn next(&mut self, now_ms: u64) -> Option<Asking> {
        let index = self.waiting.iter().position(|asking| asking.not_before_ms <= now_ms)?;
        self.waiting.remove(index)
    }

    /// Questions of the application whose time is over.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Ticket> {
        let mut expired = Vec::new();
        self.waiting.retain(|asking| match asking.asker {
            Asker::Application(ticket) if asking.deadline_ms <= now_ms => {
                expired.push(ticket);
                false
            }
            _ => true,
        });
        expired
    }

    /// When the next question may be asked.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|asking| asking.not_before_ms).min()
    }

    /// When the next question is given up.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|asking| asking.deadline_ms).filter(|&at| at < u64::MAX).min()
    }

    /// Whether a question of such an asker is waiting.
    pub fn has(&self, is_such: impl Fn(&Asker) -> bool) -> bool {
        self.waiting.iter().any(|asking| is_such(&asking.asker))
    }

    /// Forgets everything: tickets of the application.
    pub fn clear(&mut self) -> Vec<Ticket> {
        let waiting = std::mem::take(&mut self.waiting);
        let tickets = waiting.into_iter().filter_map(|asking| match asking.asker {
            Asker::Application(ticket) => Some(ticket),
            _ => None,
        });
        tickets.collect()
    }
}

#[cfg(test)]
mod tests {
    use anser_proto::v1;

    use super::*;

    #[test]
    fn questions_wait_are_put_off_and_expire() {
        let mut queries = Queries::default();
        let query = || Query::Members(v1::GetMembers::default());
        queries.ask_for_application(1, query(), 0).unwrap();
        queries.ask(Asker::Profiles, query(), 10);
        let mut first = queries.next(10).unwrap();
        first.not_before_ms = 100;
        queries.put_back(first);
        assert_eq!(queries.next(10).unwrap().asker, Asker::Profiles);
        assert_eq!((queries.next(10), queries.next_due_ms()), (None, Some(100)));
        queries.ask(Asker::Heads, query(), 0);
        assert_eq!(queries.expire(QUERY_PATIENCE_MS), [1]);
        assert_eq!(queries.next(QUERY_PATIENCE_MS).unwrap().asker, Asker::Heads);
        (0..QUERIES_WAITING as u64)
            .for_each(|ticket| queries.ask_for_application(ticket, query(), 0).unwrap());
        assert_eq!(queries.ask_for_application(9, query(), 0), Err(Failure::Full));
        assert_eq!(queries.clear().len(), QUERIES_WAITING);
    }
}
