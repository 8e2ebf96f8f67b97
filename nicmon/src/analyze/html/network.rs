//! What the network cost over the whole recording, side by side, and which programs use sockets.

use std::fmt::Write as _;

use super::text::{escape, head, number, share};
use crate::frame::{Frame, NetworkLoad, SocketUse, pct_of};

/// Fields of a program, and units that their titles leave out.
const COLUMNS: [(&str, &str); 4] =
    [("comm", ""), ("direction", ""), ("samples", ""), ("est_ns", ", % of one CPU [95 % interval]")];

/// `whole` is the recording as one frame. Empty if its CPUs were not sampled.
pub(super) fn section(whole: &Frame) -> String {
    if whole.sockets.is_none() && whole.drivers.is_none() {
        return String::new();
    }
    let mut html = "<h2>The network side by side</h2>\n".to_owned();
    parts(&mut html, whole);
    match whole.sockets.as_deref() {
        None => html.push_str("<p class=\"note\">What sockets cost is unknown.</p>\n"),
        Some([]) => html.push_str("<p class=\"note\">No sampled program used an IP or packet socket.</p>\n"),
        Some(sockets) => programs(&mut html, sockets, whole.sockets_known_ns()),
    }
    html
}

fn parts(html: &mut String, whole: &Frame) {
    let load = NetworkLoad::of(whole);
    let rows = [
        ("polls of NICs and backlog, exact", load.polls_pct),
        ("interrupt handlers, exact", load.irqs_pct),
        ("code of drivers, estimated: a part of the polls, but for what it does to send", load.drivers_pct),
        ("rest of the polls (stack), estimated", load.stack_pct),
        ("tasks that receive from sockets, estimated: outside polls", load.receive_pct),
        ("tasks that send through sockets, estimated: outside polls", load.send_pct),
    ];
    html.push_str("<div class=\"wide\"><table>\n<tr><th>Part</th><th>% of one CPU</th></tr>\n");
    for (name, pct) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<tr><td>{name}</td><td>{}</td></tr>", number(pct));
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
    html.push_str(
        "<p class=\"note\">The parts are not to be added up. No figure per packet, per GB or of a NIC \
         includes sockets.</p>\n",
    );
}
