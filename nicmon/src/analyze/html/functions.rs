//! The drivers' functions that took the most samples, by process.

use std::fmt::Write as _;

use super::text::{escape, share};
use crate::{
    analyze::cost::known_time,
    frame::{Frame, Share},
};

/// Functions that are shown of a driver.
const SHOWN: usize = 15;

/// Nothing where there are none. `whole` is the recording as one frame.
pub(super) fn section(whole: &Frame) -> String {
    let mut html = String::new();
    for driver in whole.drivers.iter().flatten().filter(|driver| !driver.functions.is_empty()) {
        let busy = known_time(whole, driver).busy;
        // Writing to a String cannot fail.
        let _ = writeln!(
            html,
            "<h3>{}</h3>\n<div class=\"wide\"><table>\n<tr><th>function</th><th>process</th><th>in</th><th>samples</th>\
             <th>of the busy samples, % [95 %]</th></tr>",
            escape(&driver.driver)
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
    let head = "<h2>Functions of drivers</h2>\n<p>By samples, of the functions that each frame lists. Those in hard irq \
                are in no cost: handlers are timed.</p>\n";
    format!("{head}{html}")
}
