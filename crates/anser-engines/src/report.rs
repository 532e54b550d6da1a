//! Figures as lines for people, and the table of several runs.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

/// Puts runs beside one another as a table in Markdown.
#[derive(clap::Args)]
pub struct Options {
    /// What `--json` printed, a file each
    #[arg(required = true)]
    runs: Vec<PathBuf>,
}

/// Prints every figure of every run that has it.
///
/// # Errors
/// A file cannot be read.
pub fn table(options: &Options) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for path in &options.runs {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        runs.push(flat(&serde_json::from_str(&text)?));
    }
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in runs.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for (at, name) in names.iter().enumerate() {
        let figure = |run: &Vec<(String, String)>| {
            run.iter()
                .find(|(found, _)| found == *name)
                .map_or("–".to_owned(), |(_, figure)| figure.clone())
        };
        println!("| {name} | {} |", runs.iter().map(figure).collect::<Vec<_>>().join(" | "));
        if at == 0 {
            println!("|---{}|", "|---".repeat(runs.len()));
        }
    }
    Ok(())
}

/// Prints one report, as JSON or in lines.
pub fn print(report: &Value, json: bool) {
    if json {
        println!("{report}");
        return;
    }
    flat(report).iter().for_each(|(name, figure)| println!("{name:28} {figure}"));
}

/// The figures by their path.
fn flat(report: &Value) -> Vec<(String, String)> {
    let Value::Object(fields) = report else { return vec![(String::new(), shown(report))] };
    let below = |(name, value): (&String, &Value)| {
        let join =
            |(rest, figure): (String, String)| (format!("{name} {rest}").trim_end().to_owned(), figure);
        flat(value).into_iter().map(join).collect::<Vec<_>>()
    };
    let mut figures: Vec<_> = fields.iter().flat_map(below).collect();
    // Which candidate it is heads the table.
    figures.sort_by_key(|(name, _)| name != "engine");
    figures
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".into(),
        other => other.to_string(),
    }
}

/// A percentile of sorted figures; 0 of none.
pub fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}
