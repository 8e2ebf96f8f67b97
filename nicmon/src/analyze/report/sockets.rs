//! What sockets cost the tasks that use them, beside polls and drivers.

use super::{
    recording::Report,
    text::{ms, name, pct, rows, wrapped},
};
use crate::{
    frame::{Frame, NetworkLoad, SocketUse, pct_of},
    present::{
        table::{Column, Table},
        text::{interval, known, seconds},
    },
};

const PARTS: [Column; 7] = [
    Column::figures("POLLS"),
    Column::figures("IRQS"),
    Column::figures("|"),
    Column::figures("DRIVERS"),
    Column::figures("STACK"),
    Column::figures("RECEIVE"),
    Column::figures("SEND"),
];

const PROGRAMS: [Column; 6] = [
    Column::words("PROCESS"),
    Column::words("SOCKETS"),
    Column::figures("SAMPLES"),
    Column::figures("ms"),
    Column::figures("CPU%"),
    Column::figures("95 % interval"),
];

pub(super) fn section(report: &Report<'_>) -> String {
    let frame = report.frame;
    if frame.sockets.is_none() && frame.drivers.is_none() {
        return String::new();
    }
    let mut parts = Table::new(PARTS);
    parts.add(side_by_side(frame));
    format!(
        "{}{}{}",
        wrapped(
            "The network in percent of one CPU, side by side, not to be added up. Left of the bar: polls and \
             interrupts, exact. Right of it, estimated: drivers and stack, which make up the polls (drivers \
             also send outside them), and tasks that receive from sockets or send. The figures of \
             NICs and drivers are without these"
        ),
        parts.text(),
        by_program(report, frame)
    )
}

fn by_program(report: &Report<'_>, frame: &Frame) -> String {
    let Some(sockets) = &frame.sockets else {
        return wrapped("What sockets cost is unknown.");
    };
    if sockets.is_empty() {
        return wrapped("No sampled program used an IP or packet socket.");
    }
    let ns = frame.sockets_known_ns();
    let mut programs = Table::new(PROGRAMS);
    for SocketUse { comm, direction, samples, est_ns, est_ci_ns } in sockets {
        programs.add([
            name(comm),
            direction.label().to_owned(),
            samples.to_string(),
            ms(*est_ns),
            pct(pct_of(*est_ns, ns)),
            known(*est_ci_ns, |bounds| interval(bounds.map(|bound| pct_of(bound, ns)), pct)),
        ]);
    }
    let gap = frame.host.sockets_gap.map(|_| {
        let all_ns = frame.interval_ns;
        wrapped(&format!("Sockets were known for {} of {} s.", seconds(ns), seconds(all_ns)))
    });
    format!(
        "{}{}{}",
        wrapped(
            "Sockets: time of tasks in calls that receive from IP and packet sockets, or send, estimated"
        ),
        rows(&programs, report),
        gap.unwrap_or_default()
    )
}

fn side_by_side(frame: &Frame) -> [String; 7] {
    let load = NetworkLoad::of(frame);
    [
        known(load.polls_pct, pct),
        known(load.irqs_pct, pct),
        "|".to_owned(),
        known(load.drivers_pct, pct),
        known(load.stack_pct, pct),
        known(load.receive_pct, pct),
        known(load.send_pct, pct),
    ]
}
