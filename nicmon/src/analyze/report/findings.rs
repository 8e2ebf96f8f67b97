//! What was found, in the order of time, and when it stood.

use std::ops::Range;

use super::{recording::Report, text::wrapped};
use crate::{
    analyze::timeline::Timeline,
    frame::pct_of,
    present::findings::{of_headroom, title},
};

/// Columns of the line that stands for the whole recording.
const COLUMNS: usize = 60;

pub(super) fn section(report: &Report<'_>) -> String {
    let frame = report.frame;
    let Some(findings) = &frame.findings else { return String::new() };
    let mut text = match &findings[..] {
        [] => wrapped("No bottleneck was found in what the kernel sees of the network."),
        _ => wrapped("Findings, in the order of time; each line from [ to ] is the whole recording"),
    };
    let timeline = Timeline::new(report.start_ns, &frame.time);
    for finding in findings {
        let stood = finding
            .stood_ns
            .map_or_else(String::new, |ns| format!(", {:.0} % of the time", pct_of(ns, frame.interval_ns)));
        text += &wrapped(&format!("{} {}{stood}: {}", finding.since, title(finding), finding.why));
        if let Some(place) = timeline.and_then(|timeline| timeline.place(finding)) {
            text += &bar(&place);
        }
    }
    for headroom in frame.headroom.iter().flatten().take(report.top.min(4)) {
        text += &wrapped(&format!("Least headroom of {}", of_headroom(headroom)));
    }
    text
}

/// The time in which a finding stood, at least one column.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to the number of columns"
)]
fn bar(place: &Range<f64>) -> String {
    let column = |at: f64| (at * COLUMNS as f64) as usize;
    let from = column(place.start).min(COLUMNS - 1);
    let length = (column(place.end) - column(place.start)).max(1);
    let (before, after) = ("-".repeat(from), "-".repeat(COLUMNS.saturating_sub(from + length)));
    format!("  [{before}{}{after}]\n", "#".repeat(length))
}
