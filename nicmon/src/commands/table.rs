//! A frame as plain text, at most 80 columns wide.

use std::fmt::Write as _;

use crate::frame::{Cpu, Driver, Frame, Nic, Origin, pct_of};

/// As long as a node name may be (`__NEW_UTS_LEN`).
const HOSTNAME: usize = 64;

/// The whole frame, ending in an empty line.
pub(super) fn render(frame: &Frame) -> String {
    let mut text = String::new();
    let own =
        frame.own.overhead_pct.map_or_else(|| "unknown".to_owned(), |pct| format!("{pct:.2}% of a CPU"));
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}  {}  {:.2} s  nicmon itself: {own}",
        printable(&frame.host.hostname, HOSTNAME),
        printable(frame.time.get(11..19).unwrap_or(&frame.time), 8),
        frame.interval_ns as f64 / 1e9
    );
    let _ = writeln!(
        text,
        "{:<16}{:<11}{:>4}{:>7}{:>7}{:>7}{:>9}{:>9}{:>9}",
        "NIC", "DRIVER", "CPU", "LOAD%", "POLL%", "IRQ%", "POLLS/s", "RXPKT/s", "TXPKT/s"
    );
    for nic in &frame.nics {
        nic_rows(&mut text, nic, frame.interval_ns);
    }
    let _ = writeln!(
        text,
        "{:<5}{:>9}{:>9}{:>9}{:>11}{:>9}{:>9}{:>9}{:>9}",
        "CPU", "NET_RX%", "NET_TX%", "HARDIRQ%", "KSOFTIRQD%", "TICKSI%", "IDLE%", "SQUEEZE", "DROPPED"
    );
    for cpu in &frame.cpus {
        cpu_row(&mut text, cpu, frame.interval_ns);
    }
    drivers(&mut text, frame);
    text.push('\n');
    text
}

/// A row a CPU where the NIC did anything; rates stand on the first.
fn nic_rows(text: &mut String, nic: &Nic, interval_ns: u64) {
    let per_s = |count: Option<u64>| {
        count.map_or_else(|| "?".to_owned(), |count| format!("{:.0}", rate(count, interval_ns)))
    };
    let pct =
        |ns: Option<u64>| ns.map_or_else(|| "?".to_owned(), |ns| format!("{:.2}", pct_of(ns, interval_ns)));
    let name = printable(&nic.name, 15);
    let driver = printable(nic.driver.as_deref().unwrap_or("-"), 10);
    let (rx, tx) = (per_s(nic.counters.rx_packets), per_s(nic.counters.tx_packets));
    if nic.cpus.is_empty() {
        let _ = writeln!(
            text,
            "{name:<16}{driver:<11}{:>4}{:>7}{:>7}{:>7}{:>9}{rx:>9}{tx:>9}",
            "-", "0.00", "0.00", "0.00", "0"
        );
    }
    for (at, cpu) in nic.cpus.iter().enumerate() {
        let (name, driver, rx, tx) = if at == 0 { (&*name, &*driver, &*rx, &*tx) } else { ("", "", "", "") };
        let load = cpu.load_pct.map_or_else(|| "?".to_owned(), |pct| format!("{pct:.2}"));
        let _ = writeln!(
            text,
            "{name:<16}{driver:<11}{:>4}{load:>7}{:>7}{:>7}{:>9}{rx:>9}{tx:>9}",
            cpu.cpu,
            pct(cpu.poll_ns),
            pct(cpu.hardirq_ns),
            per_s(cpu.polls),
        );
    }
}

fn cpu_row(text: &mut String, cpu: &Cpu, interval_ns: u64) {
    let pct =
        |ns: Option<u64>| ns.map_or_else(|| "?".to_owned(), |ns| format!("{:.2}", pct_of(ns, interval_ns)));
    let tick = |pct: Option<f64>| pct.map_or_else(|| "?".to_owned(), |pct| format!("{pct:.1}"));
    let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let _ = writeln!(
        text,
        "{:<5}{:>9}{:>9}{:>9}{:>11}{:>9}{:>9}{:>9}{:>9}",
        cpu.cpu,
        pct(cpu.softirq.and_then(|softirq| softirq.net_rx.vector.ns)),
        pct(cpu.softirq.and_then(|softirq| softirq.net_tx.ns)),
        pct(cpu.hardirq_ns),
        pct(cpu.ksoftirqd_ns),
        tick(cpu.stat.map(|stat| stat.softirq_pct)),
        tick(cpu.stat.map(|stat| stat.idle_pct)),
        count(cpu.softnet.map(|softnet| softnet.time_squeeze)),
        count(cpu.softnet.map(|softnet| softnet.dropped)),
    );
}

/// What drivers cost; what is estimated from samples bears a `~`.
fn drivers(text: &mut String, frame: &Frame) {
    let (drivers, reason) = (frame.drivers.as_deref(), frame.host.drivers_reason.as_deref());
    if let (None, Some(reason)) = (drivers, reason) {
        let _ = writeln!(text, "What drivers cost is unknown: {}", printable(reason, usize::MAX));
    }
    let Some(drivers) = drivers.filter(|drivers| !drivers.is_empty()) else { return };
    let _ = writeln!(
        text,
        "{:<13}{:<9}{:>6}{:>7}{:>7}{:>16}{:>9}{:>10}",
        "DRIVER", "ORIGIN", "IRQ%", "~CODE%", "~BUSY%", "95% INTERVAL", "SAMPLES", "~ns/PKT"
    );
    for driver in drivers {
        driver_row(text, driver, frame.interval_ns);
    }
}

fn driver_row(text: &mut String, driver: &Driver, interval_ns: u64) {
    let origin = driver.origin.map_or("?", Origin::label);
    let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
    let pct = |pct: Option<f64>| known(pct.map(|pct| format!("{pct:.2}")));
    let cpu_pct = |ns: Option<u64>| pct(ns.map(|ns| pct_of(ns, interval_ns)));
    let _ = writeln!(
        text,
        "{:<13}{origin:<9}{:>6}{:>7}{:>7}{:>16}{:>9}{:>10}",
        printable(&driver.driver, 12),
        cpu_pct(driver.hardirq_ns),
        cpu_pct(driver.sampled_est_ns),
        pct(driver.busy_share_pct),
        known(driver.busy_share_ci_pct.map(|[low, high]| format!("[{low:.2}, {high:.2}]"))),
        known(driver.samples.map(|samples| samples.to_string())),
        known(driver.ns_per_packet.map(|ns| format!("{ns:.0}"))),
    );
}

/// A name without control characters, so many characters of it.
fn printable(name: &str, most: usize) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(most).collect()
}

fn rate(count: u64, interval_ns: u64) -> f64 {
    if interval_ns == 0 { 0.0 } else { count as f64 * 1e9 / interval_ns as f64 }
}
