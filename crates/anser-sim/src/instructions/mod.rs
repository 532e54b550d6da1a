//! Pieces of the message path that do the same at every run, so that the instructions of each can be counted: a machine's pace
//! changes by the hour, and what a message costs does not. `cargo xtask instructions` counts them, as the difference
//! between a longer and a shorter run, so that what is made to begin with does not count.

mod core;
mod edge;

/// One piece of work.
pub struct Work {
    /// Its name.
    pub name: &'static str,
    /// What is done each time.
    pub what: &'static str,
    /// Does it so often.
    pub run: fn(u64),
}

/// All of them.
pub const WORKS: &[Work] = &[
    Work {
        name: "send",
        what: "a message: decided, encoded into a record of 16, applied, released, folded into rows",
        run: core::send,
    },
    Work {
        name: "send_again",
        what: "a message that was sent before: answered from memory",
        run: core::send_again,
    },
    Work { name: "page", what: "20 messages of a conversation in memory", run: core::page },
    Work { name: "sync", what: "what changed in a slot of 64 conversations: one", run: core::sync },
    Work {
        name: "request",
        what: "a frame that says something: decoded, admitted, given to the core; its answer encoded",
        run: edge::request,
    },
    Work {
        name: "deliver",
        what: "a message to 10 sessions: encoded once, queued and taken",
        run: edge::deliver,
    },
];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static Work> {
    WORKS.iter().find(|work| work.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_can_be_done() {
        for work in WORKS {
            (work.run)(40);
        }
    }
}
