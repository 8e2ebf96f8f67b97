//! Where the figures of a view come from: field, exact or estimated, what each one is, and its value for what
//! is chosen.

use ratatui::{layout::Rect, style::Style};
use serde_json::Value;

use crate::{
    frame::{Accounting, Frame, Nic, title},
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
    ("POLL/s", &["nics[].napis[].cpus[].polls"], Known::Exact),
    ("PKT/s", &["nics[].napis[].cpus[].work"], Known::Exact),
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
    let (subject, values) = subject(state, frame);
    let mut text: Vec<(String, Style)> = vec![(subject, Theme::name())];
    for (head, fields, known) in origins {
        text.push((format!("{head}: {}", how(frame, *known)), Theme::name()));
        text.extend(fields.iter().map(|field| {
            let title = title(field).unwrap_or("see nicmon schema");
            let value = values.of(field).map_or_else(String::new, |value| format!(" = {value}"));
            (format!("{field}{value}: {title}"), Style::new())
        }));
    }
    text.push(("nicmon schema --markdown defines all fields".to_owned(), state.theme.quiet()));
    lines(canvas, area, &paragraphs(&text, area.width));
}

/// What is chosen: its name, and the values of its fields.
fn subject(state: &State, frame: &Frame) -> (String, Values) {
    let of_nic = |nic: Option<&Nic>| match nic {
        Some(nic) => (nic.name.clone(), Values { below: "nics[].", all: serde_json::to_value(nic).ok() }),
        None => (String::new(), Values { below: "", all: None }),
    };
    match state.view {
        View::Cpus => {
            let cpus = lists::cpus(state, frame);
            let Some((cpu, _)) = cpus.get(lists::chosen_cpu(state, &cpus)) else { return of_nic(None) };
            (format!("CPU {}", cpu.cpu), Values { below: "cpus[].", all: serde_json::to_value(cpu).ok() })
        }
        View::Nic => of_nic(lists::nic(state, frame)),
        _ => {
            let nics = lists::nics(state, frame);
            of_nic(nics.get(lists::chosen_nic(state, &nics)).copied())
        }
    }
}

/// The fields of what is chosen, as they stand in its frame.
struct Values {
    /// Where it stands in the frame.
    below: &'static str,
    all: Option<Value>,
}

/// The most values of one field that are listed.
const LISTED: usize = 4;

impl Values {
    /// A field's value, or its estimate with the interval of 95 %.
    fn of(&self, field: &str) -> Option<String> {
        let path = field.strip_prefix(self.below)?;
        let all = self.all.as_ref()?;
        let values = at(all, path);
        let is_unknown = values.iter().all(|value| value.is_null());
        // `poll_ns` has the estimate `poll_est_ns`, and that has the interval `poll_est_ci_ns`.
        let other = |part: &str| path.strip_suffix("ns").map(|start| at(all, &format!("{start}{part}_ns")));
        let estimate = other("est").filter(|estimate| is_unknown && !estimate.is_empty());
        match estimate {
            None => Some(list(&values)),
            Some(estimate) => {
                let interval = other("est_ci").filter(|interval| !interval.is_empty());
                let interval = interval.map_or_else(|| "unknown".to_owned(), |interval| list(&interval));
                Some(format!("~{}, 95 % interval {interval}", list(&estimate)))
            }
        }
    }
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
    let mut texts: Vec<String> = values.iter().take(LISTED).map(ToString::to_string).collect();
    if values.len() > LISTED {
        texts.push(format!("and {} more", values.len() - LISTED));
    }
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn how(frame: &Frame, known: Known) -> &'static str {
    match known {
        Known::Exact if frame.window.is_some() => "estimated from windows (~)",
        Known::Exact => "exact: each one was measured",
        Known::Counted => "exact: counted by the kernel, the driver or the NIC",
        Known::Accounted => match frame.host.accounting {
            Some(Accounting::Tick) => "the kernel's accounting, sampled once per tick",
            _ => "the kernel's accounting",
        },
    }
}
