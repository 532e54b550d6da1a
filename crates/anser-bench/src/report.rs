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

/// How long things took, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half took less.
    pub p50: u64,
    /// 90 of 100.
    pub p90: u64,
    /// 99 of 100.
    pub p99: u64,
    /// The longest.
    pub most: u64,
}

impl Percentiles {
    /// Of these, which are sorted by it.
    pub fn of(times_us: &mut [u64]) -> Percentiles {
        times_us.sort_unstable();
        let at = |percent| percentile(times_us, percent);
        Percentiles { p50: at(50), p90: at(90), p99: at(99), most: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut times: Vec<u64> = (1..=200).rev().collect();
        let expected = Percentiles { p50: 100, p90: 180, p99: 198, most: 200 };
        assert_eq!(Percentiles::of(&mut times), expected);
        assert_eq!(Percentiles::of(&mut [7]), Percentiles { p50: 7, p90: 7, p99: 7, most: 7 });
        assert_eq!(Percentiles::of(&mut []), Percentiles::default());
    }
}
