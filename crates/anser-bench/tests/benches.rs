//! Every bench at a size of next to nothing: what it prints, and that the verifier finds nothing. Never how fast.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The one figure of a server that nobody uses for which messages were sent before.
const FILLED: &str = "resident memory after many messages";

/// Runs a scenario, which must print these figures and no others.
fn check(scenario: &str, expected: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_anser-bench"))
        .args(["bench", scenario, "--tiny", "--json"])
        .stderr(Stdio::inherit())
        .output()
        .expect("it can be run");
    let printed = String::from_utf8(output.stdout).expect("it is text");
    assert!(output.status.success(), "{scenario}:\n{printed}");
    let figures: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect();
    let names: Vec<&str> = figures.iter().filter_map(|figure| figure["figure"].as_str()).collect();
    assert_eq!(names, expected);
    for figure in figures {
        let says_something = !matches!(scenario, "rest" | "idle") || figure["figure"] == FILLED;
        assert_eq!(figure["scenario"], scenario);
        assert_eq!(figure["verdict"], if says_something { "intact" } else { "nothing said" }, "{figure}");
        assert!(figure["value"].as_f64().is_some_and(|value| value >= 0.0), "{figure}");
        let has_limit = figure["limit"].as_f64().is_some_and(|limit| limit > 0.0);
        // A server holds more than the limit, or less; a file has no limit.
        assert!(has_limit || figure["unit"] == "MiB" || scenario == "idle", "{figure}");
    }
}

#[test]
fn rest() {
    let names = [
        "resident memory at rest",
        "ready after a start",
        "ready after the first start, on nothing",
        "binary without symbols",
        FILLED,
    ];
    check("rest", &names);
}

#[test]
fn idle() {
    check("idle", &["memory of an idle session, 30 to 60", "own memory with 60 sessions"]);
}

#[test]
fn direct() {
    let names = [
        "one pair, send to durable answer, p50",
        "one pair, send to delivery, p50",
        "first message to someone new, p50",
        "2 pairs, send to its read mark coming back",
        "4 pairs, delivered and durable",
        "4 pairs, send to delivery, p99",
        "12 connections, one in flight, durable",
        "4 pairs over bare TCP, delivered and durable",
        "4 pairs over TLS, delivered and durable",
    ];
    check("direct", &names);
}

#[test]
fn group() {
    let names = ["fan-out to 20, lock-step", "fan-out to 20, 4 in flight", "2 groups of 5, lock-step"];
    check("group", &names);
}

#[test]
fn mixed() {
    check("mixed", &["messages, half direct, half in groups of 10"]);
}

#[test]
fn storm() {
    check("storm", &["60 clients back, each with a change"]);
}

#[test]
fn sync() {
    check("sync", &["syncs of 5 changed among 30", "the same by coming back, 20 clients"]);
}

#[test]
fn history() {
    check("history", &["pages: the newest 50 of 200", "pages: 50 from anywhere in it of 200"]);
}

#[test]
fn lists() {
    check("lists", &["conversations, 20 rows", "contacts (profiles), 20 rows", "members, 20 rows"]);
}

#[test]
fn login() {
    let names = ["sign-in, without the cost of the password", "sign-in, with the cost of the password"];
    check("login", &names);
}
