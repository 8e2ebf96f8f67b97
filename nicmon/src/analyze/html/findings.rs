//! What was found, in the order of time, and when it stood.

use std::{fmt::Write as _, ops::Range};

use super::text::escape;
use crate::{
    analyze::timeline::Timeline,
    frame::{Finding, Frame, Severity, pct_of},
    present::findings::title,
};

/// The start is in nanoseconds since 1970.
pub(super) fn section(whole: &Frame, start_ns: Option<u64>) -> String {
    let Some(findings) = whole.findings.as_ref().filter(|findings| !findings.is_empty()) else {
        return String::new();
    };
    let timeline = Timeline::new(start_ns, &whole.time);
    let mut rows = String::new();
    for finding in findings {
        let Finding { since, why, stood_ns, .. } = finding;
        let stood = stood_ns.map_or(0.0, |ns| pct_of(ns, whole.interval_ns));
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{stood:.0} %</td><td>{}</td><td>{}</td></tr>",
            escape(since),
            timeline
                .and_then(|timeline| timeline.place(finding))
                .map_or_else(String::new, |place| bar(finding.severity, &place)),
            escape(&title(finding)),
            escape(why)
        );
    }
    format!(
        "<h2>Findings</h2>\n<div class=\"wide\"><table>\n<tr><th>Since</th>\
         <th>When</th><th>Part of the time</th><th>What</th><th>Why</th></tr>\n{rows}</table></div>\n"
    )
}

/// A bar as wide as the recording is long.
fn bar(severity: Severity, place: &Range<f64>) -> String {
    let class = match severity {
        Severity::Info => "h3",
        Severity::Warning => "h5",
        Severity::Critical => "h6",
    };
    let (from, length) = (place.start * 100.0, (place.end - place.start) * 100.0);
    let style = format!("margin-left:{from:.1}%;width:{length:.1}%");
    format!("<div class=\"when\"><div class=\"{class}\" style=\"{style}\"/></div>")
}
