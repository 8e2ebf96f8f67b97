//! What the drivers cost over the whole recording, as bars and as a table.

use std::fmt::Write as _;

use super::text::{escape, head, number, share};
use crate::{
    analyze::cost::{Estimate, cost, known_time},
    frame::{Driver, Frame, Origin, pct_of},
};

const WIDTH: f64 = 1000.0;
const LABEL: f64 = 180.0;
/// Room for the figure beside a bar.
const VALUE: f64 = 90.0;
const HEIGHT: usize = 26;

/// Fields, and units that their titles leave out.
const COLUMNS: [(&str, &str); 8] = [
    ("driver", ""),
    ("cost_cpu_pct", ""),
    ("hardirq_ns", ", % of one CPU"),
    ("sampled_est_ns", ", % of one CPU"),
    ("busy_share_pct", ", % [95 % interval]"),
    ("ns_per_packet", ", ns"),
    ("cpu_s_per_gb", ""),
    ("origin", ""),
];

/// A driver and its cost, in percent of one CPU.
struct Row<'a> {
    driver: &'a Driver,
    exact: f64,
    sampled: f64,
    /// The sum of both parts; only the sampled one is uncertain.
    both: Estimate,
}

/// `whole` is the recording as one frame.
pub(super) fn section(whole: &Frame) -> String {
    let mut html = "<h2>Driver costs</h2>\n".to_owned();
    let Some(drivers) = &whole.drivers else {
        let why = whole.host.drivers_reason.as_deref().unwrap_or("the CPUs were not sampled");
        let _ = writeln!(html, "<p class=\"note\">Unknown: {}.</p>", escape(why));
        return html;
    };
    let rows: Vec<Row> = drivers.iter().filter_map(|driver| row(whole, driver)).collect();
    if !rows.is_empty() {
        bars(&mut html, &rows, how_sure(whole));
        table(&mut html, &rows);
    }
    let is_unknown = |driver: &&Driver| rows.iter().all(|row| row.driver.driver != driver.driver);
    let mixed = whole.host.sampling.is_some_and(|sampling| sampling.frequency_per_s.is_none());
    let otherwise =
        if mixed { "samples were taken at different rates" } else { "some of its time is unknown" };
    let unknown: Vec<String> = drivers
        .iter()
        .filter(is_unknown)
        .map(|driver| {
            let why = driver.unknown.as_deref().unwrap_or(otherwise);
            format!("{} ({})", escape(&driver.driver), escape(why))
        })
        .collect();
    if !unknown.is_empty() {
        let _ = writeln!(html, "<p class=\"note\">Unknown: {}.</p>", unknown.join("; "));
    }
    html
}

/// `None` if its cost is unknown.
fn row<'a>(whole: &Frame, driver: &'a Driver) -> Option<Row<'a>> {
    let ns = known_time(whole, driver).ns;
    let (exact, sampled) = (pct_of(driver.hardirq_time_ns()?, ns), pct_of(driver.sampled_est_ns?, ns));
    let both = cost(whole, driver).cpu_pct?;
    Some(Row { driver, exact, sampled, both })
}

/// How the time of interrupt handlers is known.
fn how_sure(whole: &Frame) -> &'static str {
    if whole.window.is_some() { "estimated from windows" } else { "exact" }
}

/// A bar of both parts for each driver, with the interval of the sampled part.
fn bars(html: &mut String, rows: &[Row<'_>], irqs: &str) {
    let end = |row: &Row| row.both.bounds[1].max(row.both.value);
    let widest = rows.iter().map(end).fold(0.0, f64::max);
    let scale = if widest > 0.0 { (WIDTH - LABEL - VALUE) / widest } else { 0.0 };
    // Writing to a String cannot fail.
    let _ = writeln!(
        html,
        "<p class=\"legend\"><span class=\"exact\"></span> interrupt handlers, {irqs} \
         <span class=\"sampled\"></span> other driver code, estimated from samples, with its 95 % interval. \
         In percent of one CPU.</p>"
    );
    let _ = writeln!(
        html,
        "<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"CPU cost of each \
         driver\">",
        rows.len() * HEIGHT
    );
    for (at, row) in rows.iter().enumerate() {
        let Row { driver, exact, sampled, both } = row;
        let (y, name) = (at * HEIGHT, escape(&driver.driver));
        let _ = writeln!(html, "<text class=\"label\" x=\"{}\" y=\"{}\">{name}</text>", LABEL - 6.0, y + 17);
        let mut bar = |class: &str, x: f64, width: f64, title: &str| {
            let _ = writeln!(
                html,
                "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{}\" width=\"{width:.2}\" height=\"16\">\
                 <title>{name}, {title}</title></rect>",
                y + 5
            );
        };
        bar(
            "exact",
            LABEL,
            exact * scale,
            &format!("interrupt handlers: {} %, {irqs}", number(Some(*exact))),
        );
        bar(
            "sampled",
            LABEL + exact * scale,
            sampled * scale,
            &format!("other code: {} %, estimated", number(Some(*sampled))),
        );
        let [from, to] = both.bounds.map(|bound| LABEL + bound * scale);
        let _ = writeln!(html, "<path class=\"interval\" d=\"M{from:.2} {}v8m0 -4H{to:.2}m0 -4v8\"/>", y + 9);
        let _ = writeln!(
            html,
            "<text x=\"{:.2}\" y=\"{}\">{} %</text>",
            LABEL + end(row) * scale + 8.0,
            y + 17,
            number(Some(both.value))
        );
    }
    html.push_str("</svg></div>\n");
}

fn table(html: &mut String, rows: &[Row<'_>]) {
    html.push_str("<div class=\"wide\"><table>\n<tr>");
    for (field, unit) in COLUMNS {
        html.push_str(&head(&format!("drivers[].{field}"), unit));
    }
    html.push_str("</tr>\n");
    for Row { driver, exact, sampled, both } in rows {
        let share = share(driver.busy_share_pct.zip(driver.busy_share_ci_pct));
        let origin = driver.origin.map_or("?", Origin::label);
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{share}</td><td>{}</td><td>{}</td>\
             <td>{origin}</td></tr>",
            escape(&driver.driver),
            number(Some(both.value)),
            number(Some(*exact)),
            number(Some(*sampled)),
            number(driver.ns_per_packet),
            number(driver.cpu_s_per_gb),
        );
    }
    html.push_str(
        "</table></div>\n<p class=\"note\">CPU time, time per packet and CPU seconds per GB cover both \
         parts. They are estimates, because the sampled part is.</p>\n",
    );
}
