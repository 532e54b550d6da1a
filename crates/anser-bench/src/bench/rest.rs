//! A server that nobody uses: its memory, how soon it is ready, and how large it is. Beside the raw program that
//! holds connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::figures::{Figure, Goal, Unit, median};
use super::filled;
use super::options::Options;
use crate::process::resident_bytes;
use crate::raw::process::RawProcess;
use crate::server::{Server, ServerPlan};

/// Starts, of which the median counts.
const STARTS: usize = 5;
/// After so long at rest its memory is looked at.
const SETTLED: Duration = Duration::from_secs(2);
const MIB: f64 = (1 << 20) as f64;
const NAME: &str = "rest";

/// Measures.
///
/// # Errors
/// The server does not start.
pub fn run(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    if options.wants("start") {
        starts(options, figures)?;
    }
    if options.wants("filled") {
        figures.push(filled::measure(NAME, options)?);
    }
    Ok(())
}

fn starts(options: &Options, figures: &mut Vec<Figure>) -> anyhow::Result<()> {
    options.step("the limit")?;
    let command = [options.raw_command.clone(), vec!["raw-held".into()]].concat();
    let began = Instant::now();
    let raw = RawProcess::start(&command, &[])?;
    let raw_ready_ms = began.elapsed().as_secs_f64() * 1e3;
    let raw_mib = resident_bytes(raw.pid())?.0 as f64 / MIB;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    options.step("the first start")?;
    let began = Instant::now();
    let mut server = runtime.block_on(Server::start(ServerPlan::from_environment()?))?;
    wait_until_ready(server.address().authority())?;
    let first_ms = began.elapsed().as_secs_f64() * 1e3;
    let mut ready_ms = Vec::new();
    for start in 0..options.size.pick(1, STARTS, STARTS) {
        options.step(&format!("start {}", start + 2))?;
        runtime.block_on(server.stop())?;
        let started = runtime.block_on(server.start_again())?;
        wait_until_ready(server.address().authority())?;
        ready_ms.push(started.elapsed().as_secs_f64() * 1e3);
    }
    sleep(options.size.pick(Duration::ZERO, SETTLED, SETTLED));
    let pid = server.pid().context("the server runs")?;
    let resident_mib = resident_bytes(pid)?.0 as f64 / MIB;
    let binary = std::fs::read(server.binary())?;
    let loaded = loaded_bytes(&binary).context("the binary is an ELF file of 64 bits")?;
    runtime.block_on(server.stop())?;
    figures.extend([
        Figure::new(NAME, "resident memory at rest", resident_mib, Unit::Mebibytes)
            .beside(raw_mib)
            .goal(Goal::AtMost(40e6 / MIB)),
        Figure::new(NAME, "ready after a start", median(ready_ms), Unit::Milliseconds)
            .beside(raw_ready_ms)
            .goal(Goal::AtMost(200.0)),
        Figure::new(NAME, "ready after the first start, on nothing", first_ms, Unit::Milliseconds)
            .beside(raw_ready_ms),
        Figure::new(NAME, "binary without symbols", loaded as f64 / MIB, Unit::Mebibytes)
            .goal(Goal::AtMost(60e6 / MIB))
            .note(format!("{:.0} MiB as it lies there", binary.len() as f64 / MIB)),
    ]);
    Ok(())
}

fn wait_until_ready(authority: &str) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if is_ready(authority).unwrap_or(false) {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
    anyhow::bail!("the server does not become ready")
}

fn is_ready(authority: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET /ready HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// Bytes of the parts of an ELF file that are loaded: what is left of it without symbols and lines for debuggers.
fn loaded_bytes(file: &[u8]) -> Option<u64> {
    const LOAD: u32 = 1;
    let number = |at: usize, bytes: usize| {
        let mut whole = [0; 8];
        whole[..bytes].copy_from_slice(file.get(at..at + bytes)?);
        Some(u64::from_le_bytes(whole))
    };
    // 64 bits, little-endian.
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, each, count) = (number(32, 8)? as usize, number(54, 2)? as usize, number(56, 2)? as usize);
    let headers = (0..count).map(|entry| table + entry * each);
    let loaded = headers.filter(|&at| number(at, 4) == Some(u64::from(LOAD)));
    loaded.map(|at| number(at + 32, 8)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_of_a_program_is_less_than_all_of_it() {
        let file = std::fs::read(std::env::current_exe().expect("it runs")).expect("it can be read");
        let loaded = loaded_bytes(&file).expect("it is an ELF file");
        assert!(loaded > 100_000 && loaded < file.len() as u64, "{loaded} of {}", file.len());
        assert_eq!(loaded_bytes(b"#!/bin/sh"), None);
    }
}
