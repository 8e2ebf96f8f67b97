//! What was found, in the order of time.

use super::{recording::Report, text::wrapped};
use crate::{
    analyze::findings::{of_headroom, title},
    frame::pct_of,
};

pub(super) fn section(report: &Report<'_>) -> String {
    let frame = report.frame;
    let Some(findings) = &frame.findings else { return String::new() };
    let mut text = match &findings[..] {
        [] => wrapped("No bottleneck was found in what the kernel sees of the network."),
        _ => wrapped("Findings, in the order of time"),
    };
    for finding in findings {
        let stood = finding
            .stood_ns
            .map_or_else(String::new, |ns| format!(", {:.0} % of the time", pct_of(ns, frame.interval_ns)));
        text += &wrapped(&format!("{} {}{stood}: {}", finding.since, title(finding), finding.why));
    }
    for headroom in frame.headroom.iter().flatten().take(report.top.min(4)) {
        text += &wrapped(&format!("Least headroom of {}", of_headroom(headroom)));
    }
    text
}
