//! How long polls and softirqs took over the whole recording: percentiles.

use std::fmt::Write as _;

use super::text::{escape, number};
use crate::{
    frame::{Frame, Histogram, percentiles},
    present::text::known,
};

/// `whole` is the recording as one frame. Empty if nothing was timed.
pub(super) fn section(whole: &Frame) -> String {
    let rows = percentiles(whole);
    if rows.is_empty() {
        return String::new();
    }
    let mut html =
        "<h2>How long polls and softirqs took</h2>\n<div class=\"wide\"><table>\n<tr><th>What</th>\
                    <th>Count</th><th>50 %, \u{b5}s</th><th>99 %, \u{b5}s</th><th>99.9 %, \u{b5}s</th>\
                    <th>Longest, \u{b5}s</th><th>Work of a poll, 50 % and 99 %</th></tr>\n"
            .to_owned();
    for row in rows {
        let what = escape(&row.what.label());
        let work = row.what.work().map(work_of).unwrap_or_default();
        let us = |ns: Option<u64>| number(ns.map(|ns| ns as f64 / 1e3));
        let Histogram { p50, p99, p999, .. } = row.times;
        let [p50, p99, p999, longest] = [*p50, *p99, *p999, row.longest_ns].map(us);
        // Writing to a String cannot fail.
        let _ = writeln!(
            html,
            "<tr><td>{what}</td><td>{}</td><td>{p50}</td><td>{p99}</td><td>{p999}</td><td>{longest}</td>\
             <td>{work}</td></tr>",
            row.times.values()
        );
    }
    html.push_str(
        "</table></div>\n<p class=\"note\">The time within which this part of them ended, at most 6.25 % \
         off; ? if there were too few to say. The work of a poll is usually packets.</p>\n",
    );
    html
}

fn work_of(work: &Histogram) -> String {
    let count = |work: Option<u64>| known(work, |work| work.to_string());
    format!("{}, {}", count(work.p50), count(work.p99))
}
