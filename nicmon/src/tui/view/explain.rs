//! Where the figures of a view come from: field, exact or estimated, what each one is, and its value for what
//! is chosen.

use ratatui::{layout::Rect, style::Style};
use serde_json::{Value, json};

use crate::{
    frame::{Accounting, Frame, Irq, Napi, Nic, title, topology},
    tui::{
        Canvas, State, Theme, View, lists,
        paint::{lines, paragraphs},
    },
};

/// How a figure is known.
#[derive(Clone, Copy)]
enum Known {
    /// Measured, each event.
    Exact,
    /// Counted by nicmon, each event; unknown in windows.
    Polls,
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
    ("SOFT", &["cpus[].softirq.net_tx.ns", "cpus[].softirq.timer.ns"], Known::Exact),
    (
        "USER..IDLE",
        &["cpus[].stat.user_pct", "cpus[].stat.system_pct", "cpus[].stat.idle_pct"],
        Known::Accounted,
    ),
    ("K.SI", &["cpus[].stat.softirq_pct"], Known::Accounted),
];
const OF_QUEUE: &[Origin] = &[
    ("IRQ/s", &["irqs[].cpus[].count"], Known::Counted),
    ("POLL/s", &["nics[].napis[].cpus[].polls"], Known::Polls),
    ("PKT/s", &["nics[].napis[].cpus[].work"], Known::Polls),
    ("LOAD%", &["nics[].napis[].cpus[].poll_ns"], Known::Exact),
    ("MEANT FOR", &["topology.nics[].irqs[].affinity_effective"], Known::Counted),
];

/// Draws a paragraph for each figure of the view.
pub(super) fn render(state: &State, frame: &Frame, area: Rect, canvas: &mut Canvas) {
    let origins = match state.view {
        View::Cpus => OF_CPU,
        View::Nic => OF_QUEUE,
        _ => OF_NIC,
    };
    let (subject, chosen) = subject(state, frame);
    let mut text: Vec<(String, Style)> = vec![(subject, Theme::name())];
    for (head, fields, known) in origins {
        text.push((format!("{head}: {}", how(frame, *known)), Theme::name()));
        text.extend(fields.iter().map(|field| {
            let title = title(field).unwrap_or("see nicmon schema");
            (format!("{field} = {}: {title}", value(&chosen, field)), Style::new())
        }));
    }
    text.push(("nicmon schema --markdown defines all fields".to_owned(), state.theme.quiet()));
    lines(canvas, area, &paragraphs(&text, area.width));
}

/// What is chosen: its name, and the part of a frame that is about it.
fn subject(state: &State, frame: &Frame) -> (String, Value) {
    let of_nic = |nic: Option<&Nic>| match nic {
        Some(nic) => (nic.name.clone(), json!({ "nics": [nic] })),
        None => (String::new(), Value::Null),
    };
    match state.view {
        View::Cpus => match lists::cpu(state, frame) {
            Some(cpu) => (format!("CPU {}", cpu.cpu), json!({ "cpus": [cpu] })),
            None => of_nic(None),
        },
        View::Nic => match lists::nic(state, frame) {
            Some(nic) => of_queue(state, frame, nic),
            None => of_nic(None),
        },
        _ => of_nic(lists::listed_nic(state, frame)),
    }
}

/// The chosen queue of a NIC.
fn of_queue(state: &State, frame: &Frame, nic: &Nic) -> (String, Value) {
    let Some(queue) = lists::queue(state, frame, nic) else {
        return (nic.name.clone(), json!({ "nics": [nic] }));
    };
    let number = queue.number();
    let napis: Vec<&Napi> = lists::napis_of_queue(nic, number).collect();
    let irqs: Vec<&Irq> = lists::irqs_of_queue(frame, nic, number).collect();
    let setup = lists::setup(state, nic);
    let set_up = setup.iter().flat_map(|setup| setup.irqs.iter().flatten());
    let set_up: Vec<&topology::Irq> = set_up.filter(|irq| irq.queue == number).collect();
    let name = number.map_or_else(|| "others".to_owned(), |number| format!("queue {number}"));
    let all = json!({
        "nics": [{ "napis": napis }],
        "irqs": irqs,
        "topology": { "nics": [{ "irqs": set_up }] },
    });
    (format!("{}, {name}", nic.name), all)
}

/// The most values of one field that are listed.
const LISTED: usize = 4;

/// The values of a field as they stand in the frame or, if they are estimates, these with their intervals.
fn value(chosen: &Value, field: &str) -> String {
    let values = at(chosen, field);
    let is_unknown = values.iter().all(|value| value.is_null());
    let estimate =
        estimates(field).map(|(estimate, interval)| (at(chosen, &estimate), at(chosen, &interval)));
    match estimate.filter(|(estimate, _)| is_unknown && !estimate.is_empty()) {
        None => list(&values),
        Some((estimate, interval)) => format!("~{}, 95 % interval {}", list(&estimate), list(&interval)),
    }
}

/// The fields that have an estimate of this one, and its interval: `poll_est_ns` and `poll_est_ci_ns` belong
/// to `poll_ns`.
fn estimates(field: &str) -> Option<(String, String)> {
    let unit = ["ns", "pct"].into_iter().find(|unit| field.ends_with(unit))?;
    let start = field.strip_suffix(unit)?;
    Some((format!("{start}est_{unit}"), format!("{start}est_ci_{unit}")))
}

/// All values at a path in which `[]` stands for each element.
fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    path.split('.').fold(vec![value], |values, part| {
        let name = part.trim_end_matches("[]");
        let children = values.into_iter().filter_map(|value| value.get(name));
        if part.ends_with("[]") {
            children.filter_map(Value::as_array).flatten().collect()
        } else {
            children.collect()
        }
    })
}

fn list(values: &[&Value]) -> String {
    let text = |value: &&Value| if value.is_null() { "?".to_owned() } else { value.to_string() };
    let mut texts: Vec<String> = values.iter().take(LISTED).map(text).collect();
    if values.len() > LISTED {
        texts.push(format!("and {} more", values.len() - LISTED));
    }
    if texts.is_empty() { "?".to_owned() } else { texts.join(", ") }
}

fn how(frame: &Frame, known: Known) -> &'static str {
    match known {
        Known::Exact if frame.window.is_some() => "estimated from windows (~)",
        Known::Polls if frame.window.is_some() => "unknown: windows do not see all polls",
        Known::Exact | Known::Polls => "exact: each one was measured",
        Known::Counted => "exact: counted by the kernel, the driver or the NIC",
        Known::Accounted => match frame.host.accounting {
            Some(Accounting::Tick) => "the kernel's accounting, sampled once per tick",
            _ => "the kernel's accounting",
        },
    }
}
