//! What sockets cost the tasks that use them, beside polls and drivers.

use super::{
    recording::Report,
    text::{ms, name, pct, rows, share, wrapped},
};
use crate::{
    frame::{Frame, NetworkTime, SocketUse, pct_of},
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
    let Some(sockets) = frame.sockets.as_ref().filter(|sockets| !sockets.is_empty()) else {
        return String::new();
    };
    let ns = frame.sockets_known_ns();
    let mut parts = Table::new(PARTS);
    parts.add(side_by_side(frame, ns));
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
    let gap = frame.host.sockets_gap_ns.map(|_| {
        let all_ns = frame.interval_ns;
        wrapped(&format!("Sockets were known for {} of {} s.", seconds(ns), seconds(all_ns)))
    });
    format!(
        "{}{}{}{}{}",
        wrapped(
            "The network in percent of one CPU. Left of the bar: polls and interrupts, exact. Right of it, \
             estimated: drivers and stack, which make up the polls (drivers also send outside them), and \
             tasks that receive from sockets or send. These are in no figure per packet or GB"
        ),
        parts.text(),
        wrapped(
            "Sockets: time of tasks in calls that receive from IP and packet sockets, or send, estimated"
        ),
        rows(&programs, report),
        gap.unwrap_or_default()
    )
}

fn side_by_side(frame: &Frame, known_ns: u64) -> [String; 7] {
    let all_ns = frame.interval_ns;
    let time = NetworkTime::of(frame);
    [
        share(time.polls_ns, all_ns),
        share(time.irqs_ns, all_ns),
        "|".to_owned(),
        share(time.drivers_est_ns, all_ns),
        share(time.stack_est_ns, all_ns),
        share(time.receive_est_ns, known_ns),
        share(time.send_est_ns, known_ns),
    ]
}
