//! Keys, columns and thresholds, one line each.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    frame::title,
    tui::{
        State, Theme, View,
        paint::left,
        theme::{BUSY_PCT, HOT_PCT},
    },
};

/// Columns for the keys and the heads of columns.
const KEY_WIDTH: u16 = 14;

/// The text of a line, beside its key or the head of a column.
enum Text {
    /// This text.
    Plain(&'static str),
    /// The title of the one field that the column shows, and what the column makes of it.
    Field(&'static str, &'static str),
}

use Text::{Field, Plain};

type Line = (&'static str, Text);

const GAP: &[Line] = &[("", Plain(""))];

/// Keys of every view.
const KEYS: &[Line] = &[
    ("q Esc Ctrl-C", Plain("Quit")),
    ("? h", Plain("Open or close this help")),
    ("Tab", Plain("Switch the view; 1: NICs and CPUs, 2: driver costs by samples")),
    ("p space", Plain("Pause: the screen stops, nicmon goes on collecting")),
    ("+ -", Plain("Longer or shorter time between frames")),
    ("n b, < >", Plain("Replay: one frame forward or back; slower or faster")),
];

const NICS_KEYS: &[Line] = &[
    ("s", Plain("Sort NICs by load, packets received, drops or name")),
    ("up down j k", Plain("Scroll the NICs; also PgUp, PgDn, Home, End")),
    ("left right", Plain("Scroll the CPUs if they do not fit")),
];

const NICS: &[Line] = &[
    ("LOAD%", Plain("Time of polls and hard irqs on all CPUs, % of one CPU")),
    ("WORST CPU", Plain("The busiest CPU for this NIC, and its load: % of that CPU")),
    ("RX.. TX..", Plain("Packets and bits per second, from the interface counters")),
    ("DROP/s", Plain("rx_dropped + rx_missed + tx_dropped of the interface")),
    ("ns/PKT", Plain("Time of polls and hard irqs per packet received or sent")),
    ("(backlog)", Plain("Per-CPU backlog: RPS, loopback, devices without NAPI")),
    ("(tasklet) ..", Plain("Network code in that softirq, not in a poll: see the drivers")),
    ("", Plain("")),
    ("all softirqs", Plain("Exact, without the hard irqs in them; includes NET_RX, NET_TX")),
    ("hard irqs", Field("cpus[].hardirq_ns", "")),
    ("ksoftirqd", Field("cpus[].ksoftirqd_ns", "")),
    ("kernel's ..", Plain("The kernel's own accounting; if 'accounting tick', only sampled")),
    ("squeezed/s", Field("cpus[].softnet.time_squeeze", "")),
    ("dropped/s", Field("cpus[].softnet.dropped", "")),
    ("packets/s", Field("cpus[].softnet.processed", "")),
    ("NET_RX runs/s", Field("cpus[].softirq.net_rx.count", "")),
    ("hard irqs/s", Field("irqs[].cpus[].count", "")),
    ("", Plain("")),
    ("lost", Field("self.lost", "")),
];

const DRIVERS_KEYS: &[Line] = &[
    ("up down j k", Plain("Choose the driver whose details are shown")),
    ("PgUp PgDn", Plain("Scroll its functions; also Home, End")),
    ("w", Plain("Cover the last 10 s, the last 30 s, or only one frame")),
];

const DRIVERS: &[Line] = &[
    ("~stack", Plain("All polls but the code of drivers, % of one CPU")),
    ("~receive", Plain("Tasks that receive from sockets, outside polls")),
    ("~send", Plain("Tasks that send through sockets, outside polls")),
    ("ORIGIN", Field("drivers[].origin", "")),
    ("IRQ%", Field("drivers[].hardirq_ns", ", % of one CPU")),
    ("~CODE%", Field("drivers[].sampled_est_ns", ", % of one CPU")),
    ("~BUSY%", Field("drivers[].busy_share_pct", "")),
    ("95% INTERVAL", Field("drivers[].busy_share_ci_pct", "")),
    ("SAMPLES", Field("drivers[].samples", "")),
    ("~ns/PKT", Field("drivers[].ns_per_packet", "")),
    ("~s/GB", Field("drivers[].cpu_s_per_gb", "")),
    ("FUNCTION", Field("drivers[].functions", "")),
    ("CONTEXT", Field("drivers[].functions[].context", "")),
    ("PROCESS", Field("drivers[].functions[].comm", "")),
    ("COMPANION", Field("drivers[].companions", "")),
    ("STAGE", Field("nics[].stages", "")),
    ("~POLL%", Field("nics[].stages[].share_pct", "")),
    ("(not listed)", Plain("Samples in functions that the frames do not list")),
    ("~", Plain("Estimated from samples, at least in part; the rest is exact")),
    ("|||::", Plain("Interval of a stage: | to its lower bound, : to its upper bound")),
    ("lost", Plain("Not counted: events (first line), samples (second line)")),
    ("cpu-clock", Plain("A timer: it cannot see code that runs with interrupts off")),
];

/// The end of both views' help.
const SIGNS: &[Line] = &[
    ("", Plain("")),
    (".", Plain("Measured: nothing happened")),
    ("?", Plain("Unknown")),
    ("definitions", Plain("nicmon schema --markdown")),
];

impl Text {
    fn text(&self) -> String {
        match self {
            Plain(text) => (*text).to_owned(),
            Field(path, remark) => format!("{}{remark}", title(path).unwrap_or_default()),
        }
    }
}

/// Number of lines of a view's help.
pub(in crate::tui) fn lines(view: View) -> usize {
    // The colours take one more line.
    text(view).count() + 1
}

fn text(view: View) -> impl Iterator<Item = &'static Line> {
    let parts = match view {
        View::Nics => [KEYS, NICS_KEYS, GAP, NICS, SIGNS],
        View::Drivers => [KEYS, DRIVERS_KEYS, GAP, DRIVERS, SIGNS],
    };
    parts.into_iter().flatten()
}

/// Draws the help from its line `first` on.
pub(super) fn render(state: &State, first: usize, area: Rect, buffer: &mut Buffer) {
    let theme = state.theme;
    let (text, lines): (Vec<_>, _) = (text(state.view).collect(), lines(state.view));
    let first = first.min(lines.saturating_sub(area.height.into()));
    let key_width = KEY_WIDTH.min(area.width);
    for (line, y) in (first..lines).zip(area.y..area.bottom()) {
        let at = |x| (area.x.saturating_add(x), y);
        if let Some((key, text)) = text.get(line) {
            left(buffer, at(0), key_width, key, Theme::name());
            left(buffer, at(key_width), area.width - key_width, &text.text(), Style::new());
        } else {
            left(buffer, at(0), key_width, "colours", Theme::name());
            let levels = [("some", 1.0), ("busy", BUSY_PCT), ("hot", HOT_PCT)];
            let mut x = key_width;
            for (name, from) in levels {
                let text = if from < BUSY_PCT { name.to_owned() } else { format!("{name} from {from} %") };
                let width = area.width.saturating_sub(x);
                left(buffer, at(x), width, &text, theme.load(from));
                x = x.saturating_add(super::paint::text_width(&text) + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_80_columns_and_names_fields_that_exist() {
        for (head, text) in [View::Nics, View::Drivers].into_iter().flat_map(text) {
            assert!(head.chars().count() < KEY_WIDTH.into(), "{head}");
            let shown = text.text();
            assert!(shown.chars().count() <= 80 - usize::from(KEY_WIDTH), "{head}: {shown}");
            if let Field(path, _) = text {
                assert!(title(path).is_some(), "{head}: there is no field {path}");
            }
        }
    }
}
