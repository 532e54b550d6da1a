//! A failing plan made as small as it can be while it still breaks the same promise, and told as a story.

use std::fmt::Write as _;

use super::audit::Breach;
use super::plan::{Plan, Roads, Shape};
use super::run;

/// Runs that shrinking may take.
const RUNS_MAX: u32 = 600;
/// Lines of a story at most.
const LINES_TOLD: usize = 60;

/// The same breach with as little as it takes.
pub fn shrink(plan: &Plan, promise: &'static str) -> Plan {
    let mut shrinker = Shrinker { best: plan.clone(), promise, runs: 0 };
    shrinker.drop_what_never_happened();
    shrinker.calm_roads();
    shrinker.drop_steps();
    shrinker.drop_people();
    shrinker.calm_roads();
    shrinker.drop_steps();
    shrinker.best
}

struct Shrinker {
    best: Plan,
    promise: &'static str,
    runs: u32,
}

impl Shrinker {
    /// Takes a plan if it breaks the same promise.
    fn take_if_it_fails(&mut self, plan: Plan) -> bool {
        if self.runs >= RUNS_MAX || plan == self.best {
            return false;
        }
        self.runs += 1;
        let fails = run(&plan, false).breach.is_some_and(|breach| breach.promise == self.promise);
        if fails {
            self.best = plan;
        }
        fails
    }

    /// Nothing of what comes after the breach is needed, nor the time until then.
    fn drop_what_never_happened(&mut self) {
        let mut plan = self.best.clone();
        let end = run(&plan, false).figures.simulated_ms;
        plan.steps.retain(|step| step.at <= end);
        self.take_if_it_fails(plan);
        let mut plan = self.best.clone();
        plan.calm_at = plan.steps.last().map_or(1_000, |step| step.at + 1_000);
        self.take_if_it_fails(plan);
    }

    fn calm_roads(&mut self) {
        if self.take_if_it_fails(Plan { roads: Roads::calm(), ..self.best.clone() }) {
            return;
        }
        // One after the other; what was calmed before stays calm.
        let calmer: [fn(&mut Roads); 9] = [
            |roads| roads.severed = 0,
            |roads| roads.append_unknown = 0,
            |roads| roads.append_full = 0,
            |roads| roads.append_twice = 0,
            |roads| roads.store_away = 0,
            |roads| (roads.ask_lost, roads.ask_twice) = (0, 0),
            |roads| roads.device_ms = Roads::calm().device_ms,
            |roads| (roads.link_ms, roads.log_ms) = (Roads::calm().link_ms, Roads::calm().log_ms),
            |roads| roads.store_ms = Roads::calm().store_ms,
        ];
        for calm in calmer {
            let mut plan = self.best.clone();
            calm(&mut plan.roads);
            self.take_if_it_fails(plan);
        }
    }

    /// Drops ever smaller parts of the steps.
    fn drop_steps(&mut self) {
        let mut size = self.best.steps.len() / 2;
        while size > 0 {
            let mut from = 0;
            while from < self.best.steps.len() {
                let mut plan = self.best.clone();
                plan.steps.drain(from..(from + size).min(plan.steps.len()));
                if !self.take_if_it_fails(plan) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn drop_people(&mut self) {
        while self.best.devices.len() > 2 {
            let mut plan = self.best.clone();
            plan.devices.pop();
            let left = plan.all_devices();
            plan.steps.retain(|step| step.what.device().is_none_or(|device| device < left));
            if !self.take_if_it_fails(plan) {
                break;
            }
        }
        if let Shape::Cluster { nodes, edges } = self.best.shape {
            let shape = Shape::Cluster { nodes, edges: 1 };
            if edges > 1 && self.best.steps.iter().all(|step| step.what.edge().is_none_or(|edge| edge == 0)) {
                self.take_if_it_fails(Plan { shape, ..self.best.clone() });
            }
        }
    }
}

/// What happens in a plan, for people: who is there, what is tried, and what of the trace leads to the breach.
pub fn story(plan: &Plan) -> String {
    let outcome = run(plan, true);
    let mut told = String::new();
    let write = |told: &mut String, line: std::fmt::Arguments<'_>| {
        writeln!(told, "{line}").expect("a string takes it");
    };
    let Some(Breach { promise, how }) = &outcome.breach else {
        write(&mut told, format_args!("seed {}: every promise was kept", plan.seed));
        return told;
    };
    write(&mut told, format_args!("seed {}: {promise}", plan.seed));
    write(&mut told, format_args!("  {how}"));
    let shape = match plan.shape {
        Shape::OneMachine => "one machine".to_owned(),
        Shape::Cluster { nodes, edges } => format!("{nodes} cores, {edges} edges"),
    };
    write(&mut told, format_args!("on {shape}, with accounts that have {:?} devices", plan.devices));
    if plan.roads != Roads::calm() {
        write(&mut told, format_args!("{:?}", plan.roads));
    }
    write(&mut told, format_args!("what was tried:"));
    for step in &plan.steps {
        write(&mut told, format_args!("{:>7}.{:03} {}", step.at / 1_000, step.at % 1_000, step.what));
    }
    write(&mut told, format_args!("what came of it, as far as it concerns the breach:"));
    let named = named_in(how);
    let concerns = |line: &&String| {
        line.contains("BROKEN") || named.iter().any(|name| mentions(line, name)) || is_about_processes(line)
    };
    let mut lines: Vec<&String> = outcome.lines.iter().filter(concerns).collect();
    // What is said again and again is said once.
    lines.dedup_by_key(|line| line.trim_start().split_once(' ').map(|(_, what)| what));
    for line in &lines[lines.len().saturating_sub(LINES_TOLD)..] {
        let line: String = line.chars().take(300).collect();
        write(&mut told, format_args!("{line}"));
    }
    told
}

/// The slots and devices that a breach names.
fn named_in(how: &str) -> Vec<String> {
    let words: Vec<&str> = how.split([' ', ':', ',']).filter(|word| !word.is_empty()).collect();
    words
        .windows(2)
        .filter(|pair| matches!(pair[0], "slot" | "device") && pair[1].parse::<u32>().is_ok())
        .map(|pair| format!("{} {}", pair[0], pair[1]))
        .collect()
}

/// Whether a line names it, and not something that only begins so.
fn mentions(line: &str, name: &str) -> bool {
    line.match_indices(name)
        .any(|(at, _)| !line[at + name.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

fn is_about_processes(line: &str) -> bool {
    let what = line.trim_start().split_once(' ').map_or("", |(_, what)| what);
    (what.starts_with("core ") || what.starts_with("edge ")) && !what.contains("slot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_breach_names_is_found_and_nothing_like_it() {
        let named = named_in("device 4 of 105 has nothing of slot 23 n 12: seq 3");
        assert_eq!(named, ["device 4", "slot 23"]);
        assert!(mentions("device 4 gets event 23.4", &named[0]));
        assert!(!mentions("device 41 is off", &named[0]));
    }
}
