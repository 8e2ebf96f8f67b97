//! What was found, in the order of time, with how long it stood.

use std::fmt::Write as _;

use super::text::escape;
use crate::{
    analyze::findings::title,
    frame::{Finding, Frame, pct_of},
};

pub(super) fn section(whole: &Frame) -> String {
    let Some(findings) = whole.findings.as_ref().filter(|findings| !findings.is_empty()) else {
        return String::new();
    };
    let mut rows = String::new();
    for finding in findings {
        let Finding { since, why, stood_ns, .. } = finding;
        let stood = stood_ns.map_or(0.0, |ns| pct_of(ns, whole.interval_ns));
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{stood:.0} %</td><td>{}</td></tr>",
            escape(since),
            escape(&title(finding)),
            escape(why)
        );
    }
    format!(
        "<h2>Findings</h2>\n<div class=\"wide\"><table>\n<tr><th>Since</th><th>What</th>\
         <th>Part of the time</th><th>Why</th></tr>\n{rows}</table></div>\n"
    )
}
