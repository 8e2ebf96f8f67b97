//! What each driver cost.

use super::{
    nics,
    recording::Report,
    text::{ms, name, names, ns, pct, rows, wrapped},
};
use crate::{
    analyze::cost::{Estimate, cost, known_time},
    frame::{Driver, Frame},
    present::{
        table::{Column, Table},
        text::{about, interval, known, plain, printable, seconds},
    },
};

/// Exact time left of the bar, samples right of it.
const PARTS: [Column; 8] = [
    Column::words("DRIVER"),
    Column::words("ORIGIN"),
    Column::figures("IRQ ms"),
    Column::figures("|"),
    Column::figures("SAMPLES"),
    Column::figures("ms"),
    Column::figures("BUSY%"),
    Column::figures("95 % interval"),
];

/// Both together.
const COSTS: [Column; 7] = [
    Column::words("DRIVER"),
    Column::figures("CPU%"),
    Column::figures("95 %"),
    Column::figures("NS/PACKET"),
    Column::figures("95 %"),
    Column::figures("CPU_S/GB"),
    Column::figures("95 %"),
];

pub(super) fn section(report: &Report<'_>) -> String {
    let Report { frame, top, .. } = report;
    let Some(drivers) = &frame.drivers else {
        let reason = match &frame.host.drivers_reason {
            Some(reason) => printable(reason),
            None if frame.host.sampling.is_none() => "the CPUs were not sampled".to_owned(),
            None => "kernel symbols were not read in time".to_owned(),
        };
        return wrapped(&format!("Driver costs are unknown: {reason}."));
    };
    let (idle, at_work): (Vec<&Driver>, Vec<&Driver>) =
        drivers.iter().partition(|driver| is_idle(frame, driver));
    let idle = idle_line(&idle, *top);
    if at_work.is_empty() {
        return format!("Drivers: all were idle\n{idle}");
    }
    let (mut parts, mut costs) = (Table::new(PARTS), Table::new(COSTS));
    for driver in &at_work {
        parts.add(parts_row(frame, driver));
        costs.add(costs_row(frame, driver));
    }
    let mut notes: String = at_work.iter().take(*top).map(|driver| note(report, driver)).collect();
    if frame.host.sampling.is_some_and(|sampling| sampling.frequency_per_s.is_none()) {
        notes.push_str(&wrapped(
            "Unknown where samples were taken at different rates (-F). Report such recordings one by one.",
        ));
    }
    format!(
        "{}{}{}{}{notes}{idle}{}",
        wrapped(
            "Drivers. Left of the bar: time in interrupt handlers, exact. Right of it: their other code, \
             estimated from samples, and its share of all busy samples",
        ),
        rows(&parts, report),
        wrapped(
            "Both together, estimated, without sockets: percent of one CPU, ns per packet, CPU seconds per \
             GB (10^9 bytes)"
        ),
        rows(&costs, report),
        companions(&at_work)
    )
}

/// Whether nothing was measured because there was nothing to measure: all its NICs were idle.
fn is_idle(frame: &Frame, driver: &Driver) -> bool {
    let mut own = frame.nics.iter().filter(|nic| nic.driver.as_ref() == Some(&driver.driver)).peekable();
    driver.samples.is_none()
        && driver.hardirq_time_ns().unwrap_or(0) == 0
        && own.peek().is_some()
        && own.all(nics::is_idle)
}

fn idle_line(idle: &[&Driver], top: usize) -> String {
    if idle.is_empty() {
        return String::new();
    }
    let names = names(idle.iter().map(|driver| &*driver.driver), top);
    wrapped(&format!("Idle: {names} (not measured: their NICs had no packets and no polls)"))
}

fn costs_row(frame: &Frame, driver: &Driver) -> [String; 7] {
    let texts = |estimate: Option<Estimate>, form: fn(f64) -> String| {
        let bounds = known(estimate, |estimate| interval(estimate.bounds, form));
        [known(estimate, |estimate| form(estimate.value)), bounds]
    };
    let cost = cost(frame, driver);
    let [cpu_pct, cpu_bounds] = texts(cost.cpu_pct, pct);
    let [packet, packet_bounds] = texts(cost.ns_per_packet, ns);
    let [gb, gb_bounds] = texts(cost.cpu_s_per_gb, |value| format!("{value:.3}"));
    [name(&driver.driver), cpu_pct, cpu_bounds, packet, packet_bounds, gb, gb_bounds]
}

fn parts_row(frame: &Frame, driver: &Driver) -> [String; 8] {
    [
        name(&driver.driver),
        known(driver.origin, |origin| origin.label().to_owned()),
        about(frame, known(driver.hardirq_time_ns(), ms)),
        "|".to_owned(),
        plain(driver.samples),
        known(driver.sampled_est_ns, ms),
        known(driver.busy_share_pct, pct),
        known(driver.busy_share_ci_pct, |bounds| interval(bounds, pct)),
    ]
}

/// What is unknown about it.
fn note(report: &Report<'_>, driver: &Driver) -> String {
    let known_ns = known_time(report.frame, driver).ns;
    let all_ns = report.frame.interval_ns;
    let text = match &driver.unknown {
        Some(reason) => format!("its code is unknown: {}", printable(reason)),
        None if known_ns < all_ns => {
            format!(
                "its code was known for {} of {} s; all its figures cover that time",
                seconds(known_ns),
                seconds(all_ns)
            )
        }
        None => return String::new(),
    };
    wrapped(&format!("{}: {text}", name(&driver.driver)))
}

/// Code that serves several drivers, each named once.
fn companions(drivers: &[&Driver]) -> String {
    let mut named: Vec<(&str, String)> = Vec::new();
    for companion in drivers.iter().flat_map(|driver| &driver.companions) {
        if !named.iter().any(|(there, _)| *there == companion.name) {
            let share = known(companion.busy_share_pct, pct);
            named.push((
                &companion.name,
                format!("{} {} ({share} %)", name(&companion.name), companion.samples),
            ));
        }
    }
    if named.is_empty() {
        return String::new();
    }
    let named: Vec<String> = named.into_iter().map(|(_, text)| text).collect();
    wrapped(&format!(
        "Not in the figures above, because it also serves other drivers (samples, share of busy): {}",
        named.join(", ")
    ))
}
