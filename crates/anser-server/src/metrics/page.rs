//! Prometheus' text format, version 0.0.4: what is declared, and its samples.

use std::fmt::Write as _;

use super::{Counter, Histogram};

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets, their sum, and how many.
    Histogram,
}

impl Kind {
    /// Its word in the format.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric as it is declared.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name, with the unit in it.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// What tells its samples apart.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// All metrics at one moment.
#[derive(Debug, Default)]
pub struct Page {
    /// What was declared, in order.
    pub families: Vec<Family>,
    /// The page in the text format.
    pub text: String,
}

impl Page {
    /// Declares a metric; its samples follow.
    pub(super) fn begin(
        &mut self,
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) {
        assert!(self.families.iter().all(|family| family.name != name), "{name} is declared twice");
        self.families.push(Family { name, kind, labels, help });
        let kind = kind.as_str();
        writeln!(self.text, "# HELP {name} {help}.\n# TYPE {name} {kind}")
            .expect("a string takes everything");
    }

    /// A sample of the metric declared last.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let family = self.families.last().expect("a sample follows a declaration");
        assert!(labels.iter().map(|(label, _)| label).eq(family.labels), "{}: other labels", family.name);
        self.line(family.name, "", labels, value);
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, counter: &Counter) {
        self.begin(name, Kind::Counter, &[], help);
        self.sample(&[], counter.get() as f64);
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.begin(name, Kind::Gauge, &[], help);
        self.sample(&[], value);
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str, histogram: &Histogram) {
        self.begin(name, Kind::Histogram, &[], help);
        let (buckets, total) = histogram.cumulative();
        for (bound, count) in buckets {
            self.line(name, "_bucket", &[("le", &bound.to_string())], count as f64);
        }
        self.line(name, "_bucket", &[("le", "+Inf")], total as f64);
        self.line(name, "_sum", &[], histogram.sum_seconds());
        self.line(name, "_count", &[], total as f64);
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let text = &mut self.text;
        text.push_str(name);
        text.push_str(suffix);
        for (index, (label, shown)) in labels.iter().enumerate() {
            let opening = if index == 0 { '{' } else { ',' };
            let shown = shown.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(text, "{opening}{label}=\"{shown}\"").expect("a string takes everything");
        }
        if !labels.is_empty() {
            text.push('}');
        }
        writeln!(text, " {value}").expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_says_is_escaped() {
        let mut page = Page::default();
        page.begin("a_total", Kind::Counter, &["what"], "Counts");
        page.sample(&[("what", "a\"b\\c\nd")], 2.5);
        assert_eq!(
            page.text,
            "# HELP a_total Counts.\n# TYPE a_total counter\na_total{what=\"a\\\"b\\\\c\\nd\"} 2.5\n"
        );
    }
}
