//! All that the network cost over the whole recording, side by side, and which programs use sockets.

use std::fmt::Write as _;

use super::text::{escape, head, number, share};
use crate::frame::{Frame, NetworkTime, SocketUse, pct_of};

/// Fields of a program, and units that their titles leave out.
const COLUMNS: [(&str, &str); 4] =
    [("comm", ""), ("direction", ""), ("samples", ""), ("est_ns", ", % of one CPU [95 % interval]")];

/// `whole` is the recording as one frame. Empty if it does not know what sockets cost.
pub(super) fn section(whole: &Frame) -> String {
    let Some(sockets) = &whole.sockets else { return String::new() };
    let known_ns = whole.sockets_known_ns();
    let mut html = "<h2>The network side by side</h2>\n".to_owned();
    parts(&mut html, whole, known_ns);
    if !sockets.is_empty() {
        programs(&mut html, sockets, known_ns);
    }
    html
}

fn parts(html: &mut String, whole: &Frame, known_ns: u64) {
    let time = NetworkTime::of(whole);
    let rows = [
        ("polls of NICs and backlog, exact", time.polls_ns, whole.interval_ns),
        ("interrupt handlers, exact", time.irqs_ns, whole.interval_ns),
        (
            "code of drivers, estimated: a part of the polls, but for what it does to send",
            time.drivers_est_ns,
            whole.interval_ns,
        ),
        ("rest of the polls (stack), estimated", time.stack_est_ns, whole.interval_ns),
        ("tasks that receive from sockets, estimated: outside polls", time.receive_est_ns, known_ns),
        ("tasks that send through sockets, estimated: outside polls", time.send_est_ns, known_ns),
    ];
    html.push_str("<div class=\"wide\"><table>\n<tr><th>Part</th><th>% of one CPU</th></tr>\n");
    for (name, ns, of_ns) in rows {
        let pct = number(ns.map(|ns| pct_of(ns, of_ns)));
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<tr><td>{name}</td><td>{pct}</td></tr>");
    }
    html.push_str("</table></div>\n");
}

fn programs(html: &mut String, sockets: &[SocketUse], known_ns: u64) {
    html.push_str("<div class=\"wide\"><table>\n<tr>");
    for (field, unit) in COLUMNS {
        html.push_str(&head(&format!("sockets[].{field}"), unit));
    }
    html.push_str("</tr>\n");
    for SocketUse { comm, direction, samples, est_ns, est_ci_ns } in sockets {
        let bounds = est_ci_ns.map(|bounds| bounds.map(|ns| pct_of(ns, known_ns)));
        let pct = share(bounds.map(|bounds| (pct_of(*est_ns, known_ns), bounds)));
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{samples}</td><td>{pct}</td></tr>",
            escape(comm),
            direction.label()
        );
    }
    html.push_str("</table></div>\n");
    html.push_str("<p class=\"note\">Sockets are in no figure per packet or per GB.</p>\n");
}
