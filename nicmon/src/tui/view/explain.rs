//! Where the figures of a view come from: field, exact or estimated, and what each one is.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use crate::{
    frame::{Accounting, Frame, Nic, title},
    tui::{
        State, Theme, View, lists,
        paint::{lines, paragraphs},
    },
};

/// How a figure is known.
#[derive(Clone, Copy)]
enum Known {
    /// Measured, each event.
    Exact,
    /// Counted by the kernel or the driver.
    Counted,
    /// By the kernel's accounting of CPU time.
    Accounted,
}

/// A column's head, its fields, and how they are known.
type Origin = (&'static str, &'static [&'static str], Known);

const OF_NIC: &[Origin] = &[
    ("LOAD%", &["nics[].poll_ns", "nics[].hardirq_ns"], Known::Exact),
    ("WORST CPU", &["nics[].cpus[].load_pct"], Known::Exact),
    (
        "RX, TX",
        &["nics[].rx_packets", "nics[].rx_bytes", "nics[].tx_packets", "nics[].tx_bytes"],
        Known::Counted,
    ),
    (
        "DROP/s",
        &["nics[].drops.rx_dropped", "nics[].drops.rx_missed", "nics[].drops.tx_dropped"],
        Known::Counted,
    ),
];
const OF_CPU: &[Origin] = &[
    ("IRQ", &["cpus[].hardirq_ns"], Known::Exact),
    ("RX", &["cpus[].softirq.net_rx.ns"], Known::Exact),
    ("SOFT", &["cpus[].softirq"], Known::Exact),
    (
        "USER..IDLE",
        &["cpus[].stat.user_pct", "cpus[].stat.system_pct", "cpus[].stat.idle_pct"],
        Known::Accounted,
    ),
    ("K.SI", &["cpus[].stat.softirq_pct"], Known::Accounted),
];
const OF_QUEUE: &[Origin] = &[
    ("IRQ/s", &["irqs[].cpus[].count"], Known::Counted),
    ("POLL/s", &["nics[].napis[].cpus[].polls"], Known::Exact),
    ("PKT/s", &["nics[].napis[].cpus[].work"], Known::Exact),
    ("LOAD%", &["nics[].napis[].cpus[].poll_ns"], Known::Exact),
    ("MEANT FOR", &["topology.nics[].irqs[].affinity_effective"], Known::Counted),
];

/// Draws a paragraph for each figure of the view.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, buffer: &mut Buffer) {
    let origins = match state.view {
        View::Cpus => OF_CPU,
        View::Nic => OF_QUEUE,
        _ => OF_NIC,
    };
    let mut text: Vec<(String, Style)> = vec![(subject(state, frame), Theme::name())];
    for (head, fields, known) in origins {
        text.push((format!("{head}: {}", how(frame, *known)), Theme::name()));
        text.extend(fields.iter().map(|field| {
            (format!("{field}: {}", title(field).unwrap_or("see nicmon schema")), Style::new())
        }));
    }
    text.push(("nicmon schema --markdown defines all fields".to_owned(), state.theme.quiet()));
    lines(buffer, area, &paragraphs(&text, area.width));
}

/// What is chosen.
fn subject(state: &State, frame: &Frame) -> String {
    let nic = |nic: Option<&Nic>| nic.map_or_else(String::new, |nic| nic.name.clone());
    match state.view {
        View::Cpus => {
            let cpus = lists::cpus(state, frame);
            let chosen = cpus.get(lists::chosen_cpu(state, &cpus));
            chosen.map_or_else(String::new, |(cpu, _)| format!("CPU {}", cpu.cpu))
        }
        View::Nic => nic(lists::nic(state, frame)),
        _ => {
            let nics = lists::nics(state, frame);
            nic(nics.get(lists::chosen_nic(state, &nics)).copied())
        }
    }
}

fn how(frame: &Frame, known: Known) -> &'static str {
    match known {
        Known::Exact if frame.window.is_some() => {
            "estimated from windows; the field with _est_ in its name has it, and its 95 % interval"
        }
        Known::Exact => "exact: each one was measured",
        Known::Counted => "exact: counted by the kernel, the driver or the NIC",
        Known::Accounted => match frame.host.accounting {
            Some(Accounting::Tick) => "the kernel's accounting, sampled once per tick",
            _ => "the kernel's accounting",
        },
    }
}
