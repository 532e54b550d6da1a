//! The one line that a harness prints, for people or for machines.

use serde_json::{Map, Value};

/// Figures in the order in which they are printed.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<(&'static str, Value)>,
}

impl Report {
    /// Adds a figure. Its name carries its unit, if it has one.
    pub fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.figures.push((name, value.into()));
    }

    /// Prints everything in one line on standard output.
    pub fn print(&self, harness: &str, json: bool) {
        if json {
            let named = self.figures.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            let mut object = Map::from_iter([("harness".to_owned(), Value::from(harness))]);
            object.extend(named);
            return println!("{}", Value::Object(object));
        }
        let figures = self.figures.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        });
        println!("{harness}: {}", figures.collect::<Vec<_>>().join(", "));
    }
}

/// The value below which so many of a hundred lie; 0 of none.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}
