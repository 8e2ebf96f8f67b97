//! What went through each NIC, and what its polls and interrupts took.

use super::{
    Report,
    table::Table,
    text::{counted, known, name, names, ns, rate, s, share, wrapped},
};
use crate::frame::{Frame, Nic, NicDrops, ns_per};

pub(super) fn section(report: &Report<'_>) -> String {
    let Report { frame, top, .. } = report;
    let (idle, busy): (Vec<&Nic>, Vec<&Nic>) = frame.nics.iter().partition(|nic| is_idle(nic));
    let all_ns = frame.interval_ns;
    let mut rates = Table::new(["NIC", "DRIVER", "RXPKT/s", "RXBYTE/s", "TXPKT/s", "TXBYTE/s", "DROPPED"], 2);
    let mut costs = Table::new(["NIC", "POLL%", "IRQ%", "NS/PACKET", "CPU_S/GB", "WORST CPU"], 1);
    let mut notes = String::new();
    for nic in &busy {
        let known_ns = all_ns.saturating_sub(nic.counters_gap_ns.unwrap_or(0));
        let counters = &nic.counters;
        rates.add([
            name(&nic.name),
            nic.driver.as_deref().map_or_else(|| "-".to_owned(), name),
            rate(counters.rx_packets, known_ns),
            rate(counters.rx_bytes, known_ns),
            rate(counters.tx_packets, known_ns),
            rate(counters.tx_bytes, known_ns),
            known(counters.drops, |drops| all(drops).to_string()),
        ]);
        costs.add(costs_row(frame, nic));
        if known_ns < all_ns && counters.rx_packets.is_some() {
            notes.push_str(&wrapped(&format!(
                "{}: rates are of the {} of {} s that knew its counters; what a packet cost is unknown",
                name(&nic.name),
                s(known_ns),
                s(all_ns)
            )));
        }
        if !nic.is_timed() {
            notes.push_str(&wrapped(&format!(
                "{}: some polls are of tasks (busy), which have no time; what a packet cost is unknown",
                name(&nic.name)
            )));
        }
        if nic.threaded_est_ns.is_some_and(|ns| ns > 0) {
            notes.push_str(&wrapped(&format!(
                "{}: {} % of POLL% ran in NAPI threads, which CPU time of threads estimates",
                name(&nic.name),
                share(nic.threaded_est_ns, nic.poll_ns.unwrap_or(0))
            )));
        }
    }
    let idle = if idle.is_empty() {
        String::new()
    } else {
        wrapped(&format!("Idle: {}", names(idle.iter().map(|nic| &*nic.name), *top)))
    };
    if !frame.has_all_cpus() {
        let shown = counted(frame.cpus.len() as u64, "CPU");
        notes.push_str(&wrapped(&format!(
            "Times are of {shown} of {}, packets of all: what a packet cost is unknown",
            frame.host.cpus_online
        )));
    }
    if busy.is_empty() {
        return format!("NICs: no packets and no polls\n{idle}");
    }
    format!(
        "{}{}{}{}{notes}{idle}",
        wrapped("NICs: rates, and packets dropped in all"),
        rates.text(*top),
        wrapped(
            "Their polls (driver and stack) and interrupts, exact: percent of one CPU, for each packet, for 10^9 bytes"
        ),
        costs.text(*top),
    )
}

fn costs_row(frame: &Frame, nic: &Nic) -> [String; 6] {
    let interval_ns = frame.interval_ns;
    let cost_ns = nic.poll_ns.zip(nic.hardirq_ns).map(|(poll, irq)| poll.saturating_add(irq));
    // Cost and packets must be of the same time, CPUs and polls.
    let belong = nic.counters_gap_ns.is_none() && nic.is_timed() && frame.has_all_cpus();
    let per =
        |count: Option<u64>| cost_ns.zip(count.filter(|_| belong)).and_then(|(ns, count)| ns_per(ns, count));
    let worst =
        nic.cpus.iter().max_by(|a, b| a.load_pct.unwrap_or(0.0).total_cmp(&b.load_pct.unwrap_or(0.0)));
    [
        name(&nic.name),
        share(nic.poll_ns, interval_ns),
        share(nic.hardirq_ns, interval_ns),
        known(per(nic.counters.packets()), ns),
        known(per(nic.counters.bytes()), |value| format!("{value:.3}")),
        worst.map_or_else(
            || "-".to_owned(),
            |row| format!("{}: {}", row.cpu, known(row.load_pct, |load| format!("{load:.2} %"))),
        ),
    ]
}

/// Whether it is known that nothing happened.
pub(super) fn is_idle(nic: &Nic) -> bool {
    let counters = &nic.counters;
    let has_none = |count: Option<u64>| count == Some(0);
    let is_unused = nic
        .cpus
        .iter()
        .all(|row| row.polls.is_none_or(|polls| polls == 0) && row.hardirq_ns.unwrap_or(0) == 0);
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
