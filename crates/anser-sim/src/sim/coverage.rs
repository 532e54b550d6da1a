//! Which states a run has reached: inputs and effects of the slot engine, and what deeds came to.

use std::collections::{BTreeMap, BTreeSet};

use anser_core::engine::{Effect, Fetch, Input, Query, Released};

/// How often each state was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    states: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<String, u64>,
}

/// Every state of the slot engine's interface. A variant that is missing here does not compile below.
const STATES: &[&str] = &[
    "Input::Start",
    "Input::Command",
    "Input::Query(Page)",
    "Input::Query(Members)",
    "Input::Query(Versions)",
    "Input::Query(Marks)",
    "Input::Query(Typing)",
    "Input::Query(Acquainted)",
    "Input::Query(Changes)",
    "Input::Query(Head)",
    "Input::Query(Home)",
    "Input::Replied(ok)",
    "Input::Replied(refused)",
    "Input::Appended(ok)",
    "Input::Appended(Fenced)",
    "Input::Appended(NoSpace)",
    "Input::Appended(Unknown)",
    "Input::Appended(Broken)",
    "Input::LogRead(ok)",
    "Input::LogRead(failed)",
    "Input::Fetched(ok)",
    "Input::Fetched(failed)",
    "Input::Flushed(ok)",
    "Input::Flushed(failed)",
    "Input::Tick",
    "Input::FlushNow",
    "Input::Verified",
    "Input::Close",
    "Effect::Append",
    "Effect::ReadLog",
    "Effect::Fetch(Conversations)",
    "Effect::Fetch(Key)",
    "Effect::Fetch(Facts)",
    "Effect::Fetch(Changes)",
    "Effect::Ask",
    "Effect::FlushIndex",
    "Effect::FlushHistory",
    "Effect::Release(answer)",
    "Effect::Release(refusal)",
    "Effect::Release(event)",
    "Effect::Release(void)",
    "Effect::Release(typing)",
    "Effect::Halt",
    "Effect::Deposed",
    "Effect::Closed",
    "Effect::Outdated",
];

fn name_of_input(input: &Input) -> &'static str {
    use anser_core::ports::log::AppendError;
    match input {
        Input::Start(_) => "Input::Start",
        Input::Command { .. } => "Input::Command",
        Input::Query { query: Query::Page { .. }, .. } => "Input::Query(Page)",
        Input::Query { query: Query::Members { .. }, .. } => "Input::Query(Members)",
        Input::Query { query: Query::Versions { .. }, .. } => "Input::Query(Versions)",
        Input::Query { query: Query::Marks { .. }, .. } => "Input::Query(Marks)",
        Input::Query { query: Query::Typing { .. }, .. } => "Input::Query(Typing)",
        Input::Query { query: Query::Acquainted { .. }, .. } => "Input::Query(Acquainted)",
        Input::Query { query: Query::Changes { .. }, .. } => "Input::Query(Changes)",
        Input::Query { query: Query::Head { .. }, .. } => "Input::Query(Head)",
        Input::Query { query: Query::Home { .. }, .. } => "Input::Query(Home)",
        Input::Replied { answer: Ok(()), .. } => "Input::Replied(ok)",
        Input::Replied { .. } => "Input::Replied(refused)",
        Input::Appended { result: Ok(()), .. } => "Input::Appended(ok)",
        Input::Appended { result: Err(AppendError::Fenced { .. }), .. } => "Input::Appended(Fenced)",
        Input::Appended { result: Err(AppendError::NoSpace(_)), .. } => "Input::Appended(NoSpace)",
        Input::Appended { result: Err(AppendError::Unknown(_)), .. } => "Input::Appended(Unknown)",
        Input::Appended { result: Err(AppendError::Broken(_)), .. } => "Input::Appended(Broken)",
        Input::LogRead(Ok(_)) => "Input::LogRead(ok)",
        Input::LogRead(Err(_)) => "Input::LogRead(failed)",
        Input::Fetched { result: Ok(_), .. } => "Input::Fetched(ok)",
        Input::Fetched { .. } => "Input::Fetched(failed)",
        Input::Flushed { result: Ok(()), .. } => "Input::Flushed(ok)",
        Input::Flushed { .. } => "Input::Flushed(failed)",
        Input::Tick => "Input::Tick",
        Input::FlushNow => "Input::FlushNow",
        Input::Verified { .. } => "Input::Verified",
        Input::Close => "Input::Close",
    }
}

impl Coverage {
    pub(super) fn input(&mut self, input: &Input) {
        *self.states.entry(name_of_input(input)).or_default() += 1;
    }

    pub(super) fn effect(&mut self, effect: &Effect) {
        let name = match effect {
            Effect::Append(_) => "Effect::Append",
            Effect::ReadLog { .. } => "Effect::ReadLog",
            Effect::Fetch { fetch: Fetch::Conversations(_), .. } => "Effect::Fetch(Conversations)",
            Effect::Fetch { fetch: Fetch::Key { .. }, .. } => "Effect::Fetch(Key)",
            Effect::Fetch { fetch: Fetch::Facts(_), .. } => "Effect::Fetch(Facts)",
            Effect::Fetch { fetch: Fetch::Changes { .. }, .. } => "Effect::Fetch(Changes)",
            Effect::Ask { .. } => "Effect::Ask",
            Effect::FlushIndex(_) => "Effect::FlushIndex",
            Effect::FlushHistory(_) => "Effect::FlushHistory",
            Effect::Release(released) => {
                for released in released {
                    let name = match released {
                        Released::Answer { answer: Ok(_), .. } => "Effect::Release(answer)",
                        Released::Answer { .. } => "Effect::Release(refusal)",
                        Released::Event(_) => "Effect::Release(event)",
                        Released::Void(_) => "Effect::Release(void)",
                        Released::Typing(_) => "Effect::Release(typing)",
                    };
                    *self.states.entry(name).or_default() += 1;
                }
                return;
            }
            Effect::Halt(_) => "Effect::Halt",
            Effect::Deposed => "Effect::Deposed",
            Effect::Closed => "Effect::Closed",
            Effect::Outdated => "Effect::Outdated",
        };
        *self.states.entry(name).or_default() += 1;
    }

    /// What a deed came to: "ok", or the code of an error.
    pub(super) fn outcome(&mut self, name: &str) {
        *self.outcomes.entry(name.to_owned()).or_default() += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Coverage) {
        for (&state, count) in &other.states {
            *self.states.entry(state).or_default() += count;
        }
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
    }

    /// How many states were reached, of how many.
    pub fn reached(&self) -> (usize, usize) {
        (self.states.len(), STATES.len())
    }

    /// States that were never reached.
    pub fn missing(&self) -> BTreeSet<&'static str> {
        STATES.iter().copied().filter(|state| !self.states.contains_key(state)).collect()
    }

    /// How often each state was reached.
    pub fn states(&self) -> &BTreeMap<&'static str, u64> {
        &self.states
    }

    /// What deeds came to.
    pub fn outcomes(&self) -> &BTreeMap<String, u64> {
        &self.outcomes
    }
}
