//! Latency against load as an SVG: a picture of a few lines of text, which every browser shows.

use std::fmt::Write as _;

use super::figures::time_shown;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 480.0;
/// Around the field: left, right, above, below.
const MARGIN: (f64, f64, f64, f64) = (76.0, 200.0, 44.0, 56.0);
/// Told apart by brightness too.
const COLOURS: [&str; 6] = ["#0b6e4f", "#6bbf59", "#8a1c7c", "#da7fcb", "#1f4e9c", "#7fb0f0"];
/// Marks on the axis of load at most.
const MARKS: f64 = 6.0;

/// Points joined by a line.
#[derive(Debug, Clone)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Load each second, and a time in microseconds.
    pub points: Vec<(f64, u64)>,
}

/// Draws. The load runs linearly from 0, times run by powers of ten.
pub fn draw(title: &str, load: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let most_load = points().map(|point| point.0).fold(1.0, f64::max);
    let decade = |us: u64| (us.max(1) as f64).log10();
    let low = points().map(|point| decade(point.1)).fold(f64::INFINITY, f64::min).floor().min(6.0);
    let high = points().map(|point| decade(point.1)).fold(0.0, f64::max).ceil().max(low + 1.0);
    let (left, right, above, below) = MARGIN;
    let x = |load: f64| left + load / most_load * (WIDTH - left - right);
    let y = |decade: f64| above + (high - decade) / (high - low) * (HEIGHT - above - below);
    let mut svg = String::new();
    // Writing to a string cannot fail.
    _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="#333"><rect width="100%" height="100%" fill="#fff"/><text x="{left}" y="26" font-size="16">{}</text>"##,
        escaped(title)
    );
    for power in low as i32..=high as i32 {
        let at = y(f64::from(power));
        let label = time_shown(10f64.powi(power) as u64);
        _ = writeln!(
            svg,
            r##"<path d="M{left} {at:.1}H{:.1}" stroke="#ddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"##,
            WIDTH - right,
            left - 8.0,
            at + 4.0
        );
    }
    let step = round_step(most_load);
    for value in (0..).map(|mark| f64::from(mark) * step).take_while(|&value| value <= most_load) {
        let (at, under) = (x(value), HEIGHT - below + 20.0);
        _ = writeln!(svg, r#"<text x="{at:.1}" y="{under:.1}" text-anchor="middle">{value}</text>"#);
    }
    let (middle, bottom) = (x(most_load / 2.0), HEIGHT - 14.0);
    _ = writeln!(svg, r#"<text x="{middle:.1}" y="{bottom}" text-anchor="middle">{}</text>"#, escaped(load));
    for (number, series) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let at = |&(load, us): &(f64, u64)| format!("{:.1},{:.1}", x(load), y(decade(us)));
        let line: Vec<String> = series.points.iter().map(at).collect();
        _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            line.join(" ")
        );
        for (cx, cy) in series.points.iter().map(|&(load, us)| (x(load), y(decade(us)))) {
            _ = writeln!(svg, r#"<circle cx="{cx:.1}" cy="{cy:.1}" r="3" fill="{colour}"/>"#);
        }
        let (beside, height) = (WIDTH - right + 14.0, above + 20.0 * number as f64 + 10.0);
        _ = writeln!(
            svg,
            r#"<text x="{beside:.1}" y="{height:.1}" fill="{colour}">{}</text>"#,
            escaped(&series.name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// 1, 2 or 5 with zeros, so that a few of them reach from 0 to the most.
fn round_step(most: f64) -> f64 {
    let power = 10f64.powf((most / MARKS).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    steps.into_iter().find(|step| most / step <= MARKS).unwrap_or(most)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stand_where_their_load_and_time_say() {
        let series =
            [Series { name: "p50 & <more>".into(), points: vec![(0.0, 10), (500.0, 100), (1_000.0, 1_000)] }];
        let svg = draw("direct", "sends each second", &series);
        assert!(svg.contains(r#"points="76.0,424.0 368.0,234.0 660.0,44.0""#), "{svg}");
        assert!(
            svg.contains("p50 &amp; &lt;more>") && svg.contains(">1.0 ms<") && svg.contains(">10 us<"),
            "{svg}"
        );
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!([1.0, 16.0, 12_078.0, 381_052.0].map(round_step), [0.2, 5.0, 5_000.0, 100_000.0]);
    }

    #[test]
    fn nothing_to_draw_is_still_a_picture() {
        let svg = draw("direct", "load", &[]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
