//! The traffic of each NIC, and what its polls and interrupts cost.

use super::{
    recording::Report,
    text::{name, names, ns, pct, rate, rows, share, wrapped},
};
use crate::{
    frame::{Frame, Nic, NicCpu, NicDrops, ns_per},
    present::{
        table::{Column, Table},
        text::{about, known, plain, plural, seconds},
    },
};

const RATES: [Column; 7] = [
    Column::words("NIC"),
    Column::words("DRIVER"),
    Column::figures("RXPKT/s"),
    Column::figures("RXBYTE/s"),
    Column::figures("TXPKT/s"),
    Column::figures("TXBYTE/s"),
    Column::figures("DROPPED"),
];

const COSTS: [Column; 6] = [
    Column::words("NIC"),
    Column::figures("POLL%"),
    Column::figures("IRQ%"),
    Column::figures("NS/PACKET"),
    Column::figures("CPU_S/GB"),
    Column::figures("WORST CPU"),
];

pub(super) fn section(report: &Report<'_>) -> String {
    let Report { frame, top, .. } = report;
    let (idle, busy): (Vec<&Nic>, Vec<&Nic>) = frame.nics.iter().partition(|nic| is_idle(nic));
    let idle = if idle.is_empty() {
        String::new()
    } else {
        wrapped(&format!("Idle: {}", names(idle.iter().map(|nic| &*nic.name), *top)))
    };
    if busy.is_empty() {
        return format!("NICs: no packets and no polls\n{idle}");
    }
    let (mut rates, mut costs) = (Table::new(RATES), Table::new(COSTS));
    let mut notes = String::new();
    for nic in &busy {
        rates.add(rates_row(frame, nic));
        costs.add(costs_row(frame, nic));
        notes.extend(caveats(frame, nic).iter().map(|text| wrapped(&format!("{}: {text}", name(&nic.name)))));
    }
    if !frame.has_all_cpus() {
        let shown = plural(frame.cpus.len() as u64, "CPU");
        notes.push_str(&wrapped(&format!(
            "Times cover {shown} of {}, but packets cover all: the cost per packet is unknown",
            frame.host.cpus_online
        )));
    }
    [
        wrapped("NICs: rates, and the number of packets dropped"),
        rows(&rates, report),
        wrapped(
            "Polls (driver and stack) and interrupts, exact, without sockets: percent of one CPU, ns per \
             packet, CPU seconds per GB (10^9 bytes)",
        ),
        rows(&costs, report),
        notes,
        idle,
    ]
    .concat()
}

fn rates_row(frame: &Frame, nic: &Nic) -> [String; 7] {
    let (counters, known_ns) = (&nic.counters, frame.counters_known_ns(nic));
    [
        name(&nic.name),
        nic.driver.as_deref().map_or_else(|| "-".to_owned(), name),
        rate(counters.rx_packets, known_ns),
        rate(counters.rx_bytes, known_ns),
        rate(counters.tx_packets, known_ns),
        rate(counters.tx_bytes, known_ns),
        plain(counters.drops.map(all)),
    ]
}

/// What a reader of a NIC's figures must know.
fn caveats(frame: &Frame, nic: &Nic) -> Vec<String> {
    let (known_ns, all_ns) = (frame.counters_known_ns(nic), frame.interval_ns);
    let mut caveats = Vec::new();
    if known_ns < all_ns && nic.counters.rx_packets.is_some() {
        caveats.push(format!(
            "its counters were known for {} of {} s; the rates cover that time, and the cost per packet \
             is unknown",
            seconds(known_ns),
            seconds(all_ns)
        ));
    }
    if !nic.is_timed() {
        caveats.push("some polls are busy polls (not timed); the cost per packet is unknown".to_owned());
    }
    if nic.threaded_est_ns.is_some_and(|ns| ns > 0) {
        caveats.push(format!(
            "{} % of POLL% ran in NAPI threads and is estimated from their CPU time",
            share(nic.threaded_est_ns, nic.poll_time_ns().unwrap_or(0))
        ));
    }
    caveats
}

fn costs_row(frame: &Frame, nic: &Nic) -> [String; 6] {
    let interval_ns = frame.interval_ns;
    let cost_ns = nic.poll_time_ns().zip(nic.hardirq_time_ns()).map(|(poll, irq)| poll.saturating_add(irq));
    let belong = frame.can_divide_by_packets(nic);
    let per =
        |count: Option<u64>| cost_ns.zip(count.filter(|_| belong)).and_then(|(ns, count)| ns_per(ns, count));
    let worst = nic.cpus.iter().max_by(|a, b| load_of(a).total_cmp(&load_of(b)));
    [
        name(&nic.name),
        about(frame, share(nic.poll_time_ns(), interval_ns)),
        about(frame, share(nic.hardirq_time_ns(), interval_ns)),
        about(frame, known(per(nic.counters.packets()), ns)),
        about(frame, known(per(nic.counters.bytes()), |value| format!("{value:.3}"))),
        worst.map_or_else(
            || "-".to_owned(),
            |row| {
                format!(
                    "{}: {}",
                    row.cpu,
                    about(frame, known(row.known_load_pct(), |load| format!("{} %", pct(load))))
                )
            },
        ),
    ]
}

fn load_of(row: &NicCpu) -> f64 {
    row.known_load_pct().unwrap_or(0.0)
}

/// Whether it is known that nothing happened.
pub(super) fn is_idle(nic: &Nic) -> bool {
    let counters = &nic.counters;
    let has_none = |count: Option<u64>| count == Some(0);
    let is_unused = nic.cpus.iter().all(|row| {
        row.polls.or(row.poll_est_ns).unwrap_or(0) == 0 && row.hardirq_time_ns().unwrap_or(0) == 0
    });
    is_unused
        && has_none(counters.rx_packets)
        && has_none(counters.tx_packets)
        && counters.drops.is_some_and(|drops| all(drops) == 0)
}

fn all(drops: NicDrops) -> u64 {
    let NicDrops { rx_dropped, rx_missed, rx_fifo, rx_crc, rx_nohandler, tx_dropped } = drops;
    [rx_dropped, rx_missed, rx_fifo, rx_crc, rx_nohandler, tx_dropped]
        .iter()
        .fold(0, |sum, one| sum.saturating_add(*one))
}
