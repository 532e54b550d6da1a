//! `anser doctor`: whether this machine and this data folder are fit to serve, and what to do where they are not.

mod folder;
mod machine;
mod network;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anser_embedded::system::SystemClock;
use clap::Args;
use serde_json::json;

use self::network::Listening;
use self::report::Report;
use crate::commands::connect::say;
use crate::config::{Given, Settings, Sources};

#[derive(Args)]
pub struct Doctor {
    /// The data folder
    #[arg(long, default_value = "data", env = "ANSER_DATA")]
    data: PathBuf,
    /// The configuration file [default: anser.toml in the data folder, if there is one]
    #[arg(long, value_name = "FILE", env = "ANSER_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    /// One JSON object as output
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let Doctor { data, config, given, json } = self;
        let mut report = Report::default();
        let sources = Sources { data, config, given, rates: Vec::new() };
        let settings = configuration(&mut report, &sources);
        let running = folder::check(&mut report, &sources.data, &SystemClock);
        certificate(&mut report, &settings, &sources);
        for listening in listeners(&settings, &sources) {
            network::check(&mut report, &listening, running);
        }
        machine::descriptors(&mut report, settings.connections_max.0);
        machine::memory(&mut report, settings.connections_max.0);
        machine::clocks(&mut report, &SystemClock, std::thread::sleep);
        write(&report, json)?;
        Ok(if report.is_fit() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The settings that count; where the file is wrong, those that count without it.
fn configuration(report: &mut Report, sources: &Sources) -> Settings {
    const NAME: &str = "configuration";
    match sources.read() {
        Ok(configured) => {
            let found = match configured.file {
                Some(file) => format!("{} is right", file.display()),
                None => format!("there is no {}: the defaults count", sources.file().display()),
            };
            report.ok(NAME, found);
            configured.settings
        }
        Err(error) => {
            let fix =
                "correct it: `anser config check FILE` tries it, `anser config example` shows every key";
            report.fail(NAME, error.to_string(), fix);
            sources.given.clone().settled()
        }
    }
}

fn certificate(report: &mut Report, settings: &Settings, sources: &Sources) {
    const NAME: &str = "certificate";
    let Some(files) = settings.tls_files(&sources.data) else { return };
    if settings.makes_certificate() && !files.cert.exists() {
        return report.ok(NAME, "there is none yet: the first start makes it");
    }
    if let Err(error) = files.load() {
        return report.fail(
            NAME,
            format!("{error:#}"),
            "give tls_cert and tls_key files in PEM that belong together",
        );
    }
    match folder::private(&files.key, 0o600) {
        Ok(()) => report.ok(NAME, format!("{} and its key belong together", files.cert.display())),
        Err((found, fix)) => report.warn(NAME, found, fix),
    }
}

fn listeners(settings: &Settings, sources: &Sources) -> Vec<Listening> {
    let public = Listening {
        name: "listener",
        key: "listen",
        address: settings.listen,
        tls: settings.tls_files(&sources.data).is_some(),
        optional: false,
    };
    let admin = settings.admin().map(|admin| Listening {
        name: "admin listener",
        key: "admin_listen",
        address: admin.address,
        tls: false,
        optional: admin.optional,
    });
    [Some(public), admin].into_iter().flatten().collect()
}

fn write(report: &Report, as_json: bool) -> std::io::Result<()> {
    if as_json {
        say(&json!({ "fit": report.is_fit(), "checks": report.checks }).to_string())?;
        return Ok(());
    }
    for check in &report.checks {
        let level = check.level.as_str();
        // Of several lines, as a configuration may have, the others stand below the first.
        let found = check.found.replace('\n', "\n                      ");
        say(&format!("{level:<5} {:<15} {found}", check.name))?;
        if let Some(fix) = &check.fix {
            say(&format!("      {:<15} → {fix}", ""))?;
        }
    }
    Ok(())
}
