//! Figures beside the machine's own limit: one line each, for people or for machines.

use serde_json::{Map, Value};

/// One measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured, with its unit at the end.
    pub name: String,
    /// What came out.
    pub value: f64,
    /// What the machine does at most for the same work, measured in the same run.
    pub raw: Option<f64>,
}

impl Figure {
    /// A figure beside its limit.
    pub fn beside(name: impl Into<String>, value: f64, raw: f64) -> Figure {
        Figure { name: name.into(), value, raw: Some(raw) }
    }

    /// A figure that has no limit to stand beside.
    pub fn alone(name: impl Into<String>, value: f64) -> Figure {
        Figure { name: name.into(), value, raw: None }
    }

    /// Ours as a share of the limit: for a rate 1 is perfect and less is usual, for a time or a size
    /// more than 1 is usual.
    pub fn ratio(&self) -> Option<f64> {
        self.raw.filter(|&raw| raw > 0.0).map(|raw| self.value / raw)
    }

    fn line(&self, bench: &str, json: bool) -> String {
        if json {
            let mut object = Map::new();
            object.insert("bench".into(), bench.into());
            object.insert("figure".into(), self.name.as_str().into());
            object.insert("value".into(), rounded(self.value));
            if let (Some(raw), Some(ratio)) = (self.raw, self.ratio()) {
                object.insert("raw".into(), rounded(raw));
                object.insert("ratio".into(), rounded(ratio));
            }
            return Value::Object(object).to_string();
        }
        let value = shown(self.value);
        match (self.raw, self.ratio()) {
            (Some(raw), Some(ratio)) => {
                format!("{bench} {:<38} {value:>10}   raw {:>10}   ratio {ratio:.2}", self.name, shown(raw))
            }
            _ => format!("{bench} {:<38} {value:>10}", self.name),
        }
    }
}

/// Prints figures on standard output.
pub fn print(bench: &str, figures: &[Figure], json: bool) {
    for figure in figures {
        println!("{}", figure.line(bench, json));
    }
}

/// The middle one; 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn shown(value: f64) -> String {
    if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn rounded(value: f64) -> Value {
    ((value * 100.0).round() / 100.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people_and_one_for_machines() {
        let figure = Figure::beside("ack_p50_us", 250.0, 125.0);
        assert!(figure.line("direct", false).ends_with("raw        125   ratio 2.00"));
        let json = figure.line("direct", true);
        assert_eq!(json, r#"{"bench":"direct","figure":"ack_p50_us","ratio":2.0,"raw":125.0,"value":250.0}"#);
    }

    #[test]
    fn the_middle_of_an_odd_number_of_runs() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
