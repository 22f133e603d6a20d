//! An SVG chart: per scenario a bar for each contender, its CPU time within.

use std::fmt::Write as _;

use super::report::{self, Report};

const WIDTH: f64 = 860.0;
const LABEL: f64 = 190.0;
const BAR: f64 = 13.0;
const GAP: f64 = 12.0;
const COLOURS: [(&str, &str); 5] = [
    ("krun", "#d9480f"),
    ("floor", "#868e96"),
    ("crun", "#1c7ed6"),
    ("runc", "#2f9e44"),
    ("youki", "#9c36b5"),
];

/// The chart. Bars are drawn to the scale of their scenario, so that a list of
/// a thousand containers does not dwarf the rest.
pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 48.0;
    for row in &report.rows {
        let bars: Vec<_> = report
            .contenders
            .iter()
            .filter_map(|(name, _)| {
                let wall = row.spread(name, |s| s.wall)?.median / 1e6;
                let cpu = row.spread(name, |s| s.cpu)?.median / 1e6;
                Some((name.as_str(), wall, cpu))
            })
            .collect();
        let longest = bars.iter().map(|(_, wall, cpu)| wall.max(*cpu)).fold(f64::MIN_POSITIVE, f64::max);
        let scale = (WIDTH - LABEL - 190.0) / longest;
        text(&mut body, 8.0, y + 11.0, "bold", row.name);
        for (name, wall, cpu) in bars {
            let colour = COLOURS.iter().find(|(n, _)| *n == name).map_or("#495057", |(_, c)| c);
            text(&mut body, LABEL - 42.0, y + 11.0, "normal", name);
            rect(&mut body, y, wall * scale, colour, 0.55);
            rect(&mut body, y + 4.0, cpu * scale, colour, 1.0);
            let label = format!("{wall:.1} ms ({cpu:.1} ms CPU)");
            text(&mut body, LABEL + wall.max(cpu) * scale + 6.0, y + 11.0, "normal", &label);
            y += BAR + 3.0;
        }
        y += GAP;
    }
    let head = format!(
        "Wall time, and CPU time within: medians, {} processors, {}",
        report::processors(),
        report::processor()
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"8\" y=\"26\" font-size=\"15\" font-weight=\"bold\" fill=\"#212529\">{}</text>\n{body}</svg>\n",
        escape(&head)
    )
}

fn rect(out: &mut String, y: f64, width: f64, colour: &str, opacity: f64) {
    let height = if opacity < 1.0 { BAR } else { BAR - 8.0 };
    let _ = writeln!(
        out,
        "<rect x=\"{LABEL}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>",
        width.max(1.0)
    );
}

fn text(out: &mut String, x: f64, y: f64, weight: &str, text: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"{weight}\" fill=\"#212529\">{}</text>",
        escape(text)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
