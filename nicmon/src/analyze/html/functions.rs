//! The driver functions with the most samples, by process.

use std::fmt::Write as _;

use super::text::{escape, head, share};
use crate::{
    analyze::cost::known_time,
    frame::{Frame, Share},
};

/// Number of functions shown for each driver.
const SHOWN: usize = 15;
/// Fields, and units that their titles leave out.
const COLUMNS: [(&str, &str); 5] =
    [("symbol", ""), ("comm", ""), ("context", ""), ("samples", ""), ("share_pct", ", % [95 % interval]")];

/// Empty if there are none. `whole` is the recording as one frame.
pub(super) fn section(whole: &Frame) -> String {
    let mut html = String::new();
    for driver in whole.drivers.iter().flatten().filter(|driver| !driver.functions.is_empty()) {
        let busy = known_time(whole, driver).busy;
        // Writing to a String cannot fail.
        let _ = writeln!(
            html,
            "<h3>{}</h3>\n<div class=\"wide\"><table>\n<tr>{}</tr>",
            escape(&driver.driver),
            COLUMNS.map(|(field, unit)| head(&format!("drivers[].functions[].{field}"), unit)).concat()
        );
        for function in driver.functions.iter().take(SHOWN) {
            let context = function.context.label();
            let share = share(Share::of(function.samples, busy).map(|share| (share.pct, share.ci_pct)));
            let _ = writeln!(
                html,
                "<tr><td><code>{}</code></td><td>{}</td><td>{context}</td><td>{}</td><td>{share}</td></tr>",
                escape(&function.symbol),
                escape(&function.comm),
                function.samples
            );
        }
        html += "</table></div>\n";
    }
    if html.is_empty() {
        return html;
    }
    let head = "<h2>Functions of drivers</h2>\n<p>The functions with the most samples, among those that the \
                frames list. Samples in hardirq context count towards no cost, because interrupt handlers \
                are timed exactly.</p>\n";
    format!("{head}{html}")
}
