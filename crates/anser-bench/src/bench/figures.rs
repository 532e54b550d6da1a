//! Figures beside the machine's own limit, with the goal and the verifier's verdict: for people or for machines.

use serde_json::{Map, Value, json};

use super::stage::{Lag, Stage};
use crate::load::Outcome;
use crate::report::Percentiles;

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things done each second.
    PerSecond,
    /// A time.
    Microseconds,
    /// A time.
    Milliseconds,
    /// A size.
    Bytes,
    /// A size.
    Mebibytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::PerSecond => "/s",
            Unit::Microseconds => "us",
            Unit::Milliseconds => "ms",
            Unit::Bytes => "B",
            Unit::Mebibytes => "MiB",
        }
    }
}

/// What a figure is meant to reach. Nothing fails where it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At least this share of the limit.
    OfLimitAtLeast(f64),
    /// At most so many times the limit.
    OfLimitAtMost(f64),
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
}

impl Goal {
    fn is_reached(self, value: f64, ratio: Option<f64>) -> bool {
        match self {
            Goal::OfLimitAtLeast(least) => ratio.is_some_and(|ratio| ratio >= least),
            Goal::OfLimitAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
            Goal::AtLeast(least) => value >= least,
            Goal::AtMost(most) => value <= most,
        }
    }

    fn shown(self) -> String {
        match self {
            Goal::OfLimitAtLeast(least) => format!("at least {least} of the limit"),
            Goal::OfLimitAtMost(most) => format!("at most {most} of the limit"),
            Goal::AtLeast(least) => format!("at least {}", shown(least)),
            Goal::AtMost(most) => format!("at most {}", shown(most)),
        }
    }
}

/// What the verifier says of the run that a figure comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing acknowledged was lost, doubled or reordered; every answer was what was asked for.
    Intact,
    /// Nothing was said that could be lost.
    #[default]
    NothingSaid,
    /// The figure means nothing.
    Void(String),
}

/// One measured figure, with what it was measured beside.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The scenario.
    pub scenario: &'static str,
    /// What was measured.
    pub name: String,
    /// What came out.
    pub value: f64,
    /// Counted in this.
    pub unit: Unit,
    /// What the machine does at most for the same work, measured in the same run.
    pub limit: Option<f64>,
    /// What it is meant to reach.
    pub goal: Option<Goal>,
    /// How long each took.
    pub latency: Option<Percentiles>,
    /// The same of the limit.
    pub limit_latency: Option<Percentiles>,
    /// Processor time that the server used for each, in microseconds.
    pub processor_us: Option<f64>,
    /// The server's resident memory afterwards, in MiB.
    pub resident_mib: Option<f64>,
    /// How far the stores were behind the log.
    pub lag: Option<Lag>,
    /// Requests that were put off or refused.
    pub errors: u64,
    /// Whether it counts.
    pub verdict: Verdict,
    /// What else a reader has to know.
    pub note: String,
}

impl Figure {
    /// A figure with nothing beside it yet.
    pub fn new(scenario: &'static str, name: impl Into<String>, value: f64, unit: Unit) -> Figure {
        Figure {
            scenario,
            name: name.into(),
            value,
            unit,
            limit: None,
            goal: None,
            latency: None,
            limit_latency: None,
            processor_us: None,
            resident_mib: None,
            lag: None,
            errors: 0,
            verdict: Verdict::default(),
            note: String::new(),
        }
    }

    /// A scenario that came to no figure.
    pub fn void(scenario: &'static str, why: &anyhow::Error) -> Figure {
        let verdict = Verdict::Void(format!("{why:#}"));
        Figure { verdict, ..Figure::new(scenario, "what would follow", 0.0, Unit::PerSecond) }
    }

    /// Beside its limit.
    pub fn beside(self, limit: f64) -> Figure {
        Figure { limit: Some(limit), ..self }
    }

    /// With what it is meant to reach.
    pub fn goal(self, goal: Goal) -> Figure {
        Figure { goal: Some(goal), ..self }
    }

    /// With what each took here, and by the limit.
    pub fn latency(self, ours: Percentiles, limit: Option<Percentiles>) -> Figure {
        Figure { latency: Some(ours), limit_latency: limit, ..self }
    }

    /// With what the server used for each of so many, and what it holds.
    ///
    /// # Errors
    /// It is gone.
    pub fn used(self, outcome: &Outcome, units: u64, stage: &Stage<'_>) -> anyhow::Result<Figure> {
        let processor_us = outcome.used.processor.as_secs_f64() * 1e6 / units.max(1) as f64;
        let resident_mib = Some(stage.resident_mib()?);
        Ok(Figure { processor_us: Some(processor_us), resident_mib, errors: outcome.put_off, ..self })
    }

    /// Verified.
    pub fn intact(self) -> Figure {
        Figure { verdict: Verdict::Intact, ..self }
    }

    /// With what else there is to know.
    pub fn note(self, note: impl Into<String>) -> Figure {
        Figure { note: note.into(), ..self }
    }

    /// Whether it counts.
    pub fn is_void(&self) -> bool {
        matches!(self.verdict, Verdict::Void(_))
    }

    /// Ours as a share of the limit: for a rate 1 is perfect and less is usual, for a time or a size
    /// more than 1 is usual.
    pub fn ratio(&self) -> Option<f64> {
        self.limit.filter(|&limit| limit > 0.0).map(|limit| self.value / limit)
    }

    /// Whether it reaches its goal.
    pub fn is_reached(&self) -> Option<bool> {
        self.goal.map(|goal| !self.is_void() && goal.is_reached(self.value, self.ratio()))
    }

    /// Two lines for people, or an object for machines. A void figure shows no value.
    pub fn shown(&self, is_json: bool) -> String {
        if is_json { Value::Object(self.object()).to_string() } else { self.lines() }
    }

    fn lines(&self) -> String {
        let head = format!("{:<8} {}", self.scenario, self.name);
        if let Verdict::Void(why) = &self.verdict {
            return format!("{head}: VOID, {why}");
        }
        let mut first = format!("{head:<58} {:>9} {:<3}", shown(self.value), self.unit.name());
        if let (Some(limit), Some(ratio)) = (self.limit, self.ratio()) {
            first += &format!("  limit {:>9}  ratio {ratio:>5.2}", shown(limit));
        }
        if let (Some(goal), Some(is_reached)) = (self.goal, self.is_reached()) {
            let word = if is_reached { "reached" } else { "missed" };
            first += &format!("  goal {}: {word}", goal.shown());
        }
        let mut parts = Vec::new();
        parts.extend(self.latency.map(|times| times_shown("", times)));
        parts.extend(self.limit_latency.map(|times| times_shown("limit ", times)));
        parts.extend(self.processor_us.map(|us| format!("server CPU {us:.1} us each")));
        parts.extend(self.resident_mib.map(|mib| format!("resident {mib:.0} MiB")));
        parts.extend(self.lag.map(lag_shown));
        parts.push(format!("errors {}", self.errors));
        parts.push(if self.verdict == Verdict::Intact { "intact" } else { "nothing said" }.to_owned());
        if !self.note.is_empty() {
            parts.push(self.note.clone());
        }
        format!("{first}\n{:9}{}", "", parts.join("; "))
    }

    fn object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            object.extend(value.map(|value| (name.to_owned(), value)));
        };
        let times = |times: Percentiles| json!({"p50_us": times.p50, "p90_us": times.p90, "p99_us": times.p99, "max_us": times.most});
        set("scenario", Some(self.scenario.into()));
        set("figure", Some(self.name.as_str().into()));
        set("unit", Some(self.unit.name().into()));
        if let Verdict::Void(why) = &self.verdict {
            set("verdict", Some("void".into()));
            set("why", Some(why.as_str().into()));
            return object;
        }
        set("verdict", Some(if self.verdict == Verdict::Intact { "intact" } else { "nothing said" }.into()));
        set("value", Some(rounded(self.value)));
        set("limit", self.limit.map(rounded));
        set("ratio", self.ratio().map(rounded));
        set("goal", self.goal.map(|goal| goal.shown().into()));
        set("goal_reached", self.is_reached().map(Value::from));
        set("latency", self.latency.map(times));
        set("limit_latency", self.limit_latency.map(times));
        set("processor_us_each", self.processor_us.map(rounded));
        set("resident_mib", self.resident_mib.map(rounded));
        set("log_lag_most_facts", self.lag.map(|lag| lag.most.into()));
        set("log_lag_last_facts", self.lag.map(|lag| lag.last.into()));
        set("log_lag_grows", self.lag.and_then(|lag| lag.grows).map(Value::from));
        set("errors", Some(self.errors.into()));
        set("note", (!self.note.is_empty()).then(|| self.note.as_str().into()));
        object
    }
}

/// The middle one; 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn times_shown(of: &str, times: Percentiles) -> String {
    let [p50, p90, p99, most] = [times.p50, times.p90, times.p99, times.most].map(time_shown);
    format!("{of}p50 {p50}, p90 {p90}, p99 {p99}, max {most}")
}

fn lag_shown(lag: Lag) -> String {
    let grows = match lag.grows {
        Some(true) => ", AND IT GROWS",
        Some(false) => ", bounded",
        None => "",
    };
    format!("log lag {} facts at most, {} in the end{grows}", lag.most, lag.last)
}

/// A time in the unit in which it is easily read.
pub fn time_shown(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn shown(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn rounded(value: f64) -> Value {
    ((value * 100.0).round() / 100.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        let times = Percentiles { p50: 250, p90: 1_500, p99: 20_000, most: 2_000_000 };
        Figure::new("direct", "pair", 250.0, Unit::Microseconds)
            .beside(125.0)
            .goal(Goal::OfLimitAtMost(2.0))
            .latency(times, None)
            .intact()
    }

    #[test]
    fn a_line_for_people_says_limit_ratio_goal_percentiles_and_verdict() {
        let line = figure().shown(false);
        assert!(line.contains("250 us   limit       125  ratio  2.00"), "{line}");
        assert!(line.contains("goal at most 2 of the limit: reached"), "{line}");
        assert!(line.ends_with("p50 250 us, p90 1.5 ms, p99 20 ms, max 2.0 s; errors 0; intact"), "{line}");
    }

    #[test]
    fn a_line_for_machines_is_an_object() {
        let object: Value = serde_json::from_str(&figure().shown(true)).expect("it is JSON");
        assert_eq!(object["ratio"], 2.0);
        assert_eq!(object["goal_reached"], true);
        assert_eq!(object["latency"]["p99_us"], 20_000);
        assert_eq!(object["verdict"], "intact");
        assert!(object.get("lag").is_none());
    }

    #[test]
    fn a_void_figure_has_no_value_and_reaches_nothing() {
        let void = Figure { verdict: Verdict::Void("1 lost".into()), ..figure() };
        assert_eq!(void.shown(false), "direct   pair: VOID, 1 lost");
        let object: Value = serde_json::from_str(&void.shown(true)).expect("it is JSON");
        assert_eq!((object.get("value"), &object["verdict"]), (None, &Value::from("void")));
        assert_eq!(void.is_reached(), Some(false));
    }

    #[test]
    fn goals_are_of_the_limit_or_of_the_value() {
        let reached = |goal, value, ratio| Goal::is_reached(goal, value, ratio);
        assert!(reached(Goal::OfLimitAtLeast(0.5), 1.0, Some(0.5)));
        assert!(!reached(Goal::OfLimitAtLeast(0.5), 1.0, Some(0.49)));
        assert!(!reached(Goal::OfLimitAtMost(2.0), 1.0, None));
        assert!(reached(Goal::AtLeast(65_000.0), 65_000.0, None));
        assert!(!reached(Goal::AtMost(5.0), 5.1, Some(0.1)));
    }

    #[test]
    fn the_middle_of_an_odd_number_of_runs() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
