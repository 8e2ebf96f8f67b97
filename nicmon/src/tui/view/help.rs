//! Keys, columns and thresholds, one line each.

use ratatui::{layout::Rect, style::Style};

use crate::{
    frame::title,
    tui::{
        Canvas, State, Theme, View,
        keys::KEYS,
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

const CPUS: &[Line] = &[
    ("% OF ITS TIME", Plain("A letter for each part, as long as its share")),
    ("IRQ  i", Field("cpus[].hardirq_ns", ", % of the CPU")),
    ("RX  R", Plain("NET_RX, exact, % of the CPU")),
    ("SOFT  s", Plain("All other softirqs, exact")),
    ("USER  u", Plain("Programs: the kernel's accounting of what is left")),
    ("SYS  k", Plain("The kernel for programs: likewise")),
    ("STEAL  t", Plain("Time that the hypervisor took: likewise")),
    ("IDLE  .", Plain("Nothing to do: likewise")),
    ("K.SI", Field("cpus[].stat.softirq_pct", "")),
    ("MOST OF IT", Plain("The NIC that loads the CPU most, and its load")),
];

const NIC: &[Line] = &[
    ("QUEUE", Plain("Receive queue; \"others\" has what belongs to none")),
    ("IRQ", Plain("Numbers of its interrupt lines, as in /proc/interrupts")),
    ("MEANT FOR", Plain("CPUs that its interrupts are to go to")),
    ("POLLED ON", Plain("CPUs on which it was polled in this interval")),
    ("IRQ/s", Field("irqs[].cpus[].count", "")),
    ("POLL/s", Field("nics[].napis[].cpus[].polls", "")),
    ("PKT/s", Field("nics[].napis[].cpus[].work", "")),
    ("PKT/POLL", Plain("Packets per poll")),
    ("LOAD%", Field("nics[].napis[].cpus[].poll_ns", "")),
    ("REPOLL/s", Field("nics[].napis[].cpus[].repolls", "")),
];

const FINDINGS: &[Line] = &[
    ("the list", Plain("All findings, the worst first")),
    ("below", Plain("The chosen one: why, since when, its figures with their limits")),
    ("but", Plain("What could make it wrong")),
    ("headroom", Plain("How much more each NIC could receive before a CPU is full")),
    ("not judged", Plain("Rules that lacked a figure, and which one")),
];

const OWN: &[Line] = &[
    ("all of it", Field("self.overhead_pct", "")),
    ("range", Plain("What calling a program costs is not known exactly")),
    ("events lost", Field("self.lost", "")),
    ("!", Plain("What this machine or these privileges do not allow")),
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
pub(in crate::tui) fn lines(state: &State) -> usize {
    // The colours take one more line.
    text(state).len() + 1
}

/// The keys that work here, and what the columns mean.
fn text(state: &State) -> Vec<(&'static str, String)> {
    let keys = KEYS.iter().filter(|key| !key.shown.is_empty() && key.works(state));
    let keys = keys.map(|key| (key.shown, key.does.to_owned()));
    let columns: &[Line] = match state.view {
        View::Overview => NICS,
        View::Cpus => CPUS,
        View::Nic => NIC,
        View::Drivers => DRIVERS,
        View::Findings => FINDINGS,
        View::Own => OWN,
    };
    let lines = [GAP, columns, SIGNS].into_iter().flatten().map(|(head, text)| (*head, text.text()));
    keys.chain(lines).collect()
}

/// Draws the help from its line `first` on.
pub(super) fn render(state: &State, first: usize, area: Rect, canvas: &mut Canvas) {
    let theme = state.theme;
    let (text, lines) = (text(state), lines(state));
    let first = first.min(lines.saturating_sub(area.height.into()));
    let key_width = KEY_WIDTH.min(area.width);
    for (line, y) in (first..lines).zip(area.y..area.bottom()) {
        let at = |x| (area.x.saturating_add(x), y);
        if let Some((key, text)) = text.get(line) {
            left(canvas, at(0), key_width, key, Theme::name());
            left(canvas, at(key_width), area.width - key_width, text, Style::new());
        } else {
            left(canvas, at(0), key_width, "colours", Theme::name());
            let levels = [("some", 1.0), ("busy", BUSY_PCT), ("hot", HOT_PCT)];
            let mut x = key_width;
            for (name, from) in levels {
                let text = if from < BUSY_PCT { name.to_owned() } else { format!("{name} from {from} %") };
                let width = area.width.saturating_sub(x);
                left(canvas, at(x), width, &text, theme.load(from));
                x = x.saturating_add(super::paint::text_width(&text) + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tui::Source;

    #[test]
    fn it_fits_80_columns_and_names_fields_that_exist() {
        for source in
            [Source::Live { delay: Duration::from_secs(1) }, Source::Replay { speed: Some(1.0), end: None }]
        {
            for view in View::ALL {
                let mut state = State::new(source.clone(), Theme::PLAIN);
                state.view = view;
                for (head, shown) in text(&state) {
                    assert!(head.chars().count() < KEY_WIDTH.into(), "{head}");
                    assert!(shown.chars().count() <= 80 - usize::from(KEY_WIDTH), "{head}: {shown}");
                }
            }
        }
        for (head, text) in [NICS, CPUS, NIC, DRIVERS, FINDINGS, OWN, SIGNS].into_iter().flatten() {
            if let Field(path, _) = text {
                assert!(title(path).is_some(), "{head}: there is no field {path}");
            }
        }
    }
}
