//! A frame as plain text, at most 80 columns wide.

use crate::{
    frame::{Cpu, Driver, Frame, Nic, Origin, per_s},
    present::{
        table::{Column, Table},
        text::{about, interval, known, pct, plain, printable, share, shortened},
    },
};

/// The longest node name (`__NEW_UTS_LEN`).
const HOSTNAME: usize = 64;
/// Most characters of a percentage.
const PCT: usize = 6;

const NICS: [Column; 9] = [
    Column::words("NIC").wide(15),
    Column::words("DRIVER").wide(10),
    Column::figures("CPU").wide(4),
    Column::figures("LOAD%").wide(6),
    Column::figures("POLL%").wide(6),
    Column::figures("IRQ%").wide(6),
    Column::figures("POLLS/s").wide(8),
    Column::figures("RXPKT/s").wide(8),
    Column::figures("TXPKT/s").wide(8),
];

const CPUS: [Column; 11] = [
    Column::words("CPU").wide(4),
    Column::figures("NET_RX%").wide(7),
    Column::figures("NET_TX%").wide(7),
    Column::figures("TASKLET%").wide(8),
    Column::figures("HRTIMER%").wide(8),
    Column::figures("IRQ%").wide(6),
    Column::figures("KSOFT%").wide(6),
    Column::figures("TICKSI%").wide(7),
    Column::figures("IDLE%").wide(5),
    Column::figures("SQUEEZE").wide(7),
    Column::figures("DROP").wide(5),
];

/// `~` marks estimates from samples.
const DRIVERS: [Column; 8] = [
    Column::words("DRIVER").wide(12),
    Column::words("ORIGIN").wide(8),
    Column::figures("IRQ%").wide(6),
    Column::figures("~CODE%").wide(6),
    Column::figures("~BUSY%").wide(6),
    Column::figures("95% INTERVAL").wide(15),
    Column::figures("SAMPLES").wide(8),
    Column::figures("~ns/PKT").wide(9),
];

/// The whole frame, followed by an empty line.
pub(super) fn render(frame: &Frame) -> String {
    [head(frame), nics(frame), cpus(frame), drivers(frame)].concat() + "\n"
}

fn head(frame: &Frame) -> String {
    let own = frame
        .own
        .overhead_pct
        .map_or_else(|| "unknown".to_owned(), |own| format!("{} % of a CPU", pct(own, PCT)));
    format!(
        "{}  {}  {:.2} s  nicmon itself: {own}\n",
        shortened(&printable(&frame.host.hostname), HOSTNAME),
        shortened(&printable(frame.time.get(11..19).unwrap_or(&frame.time)), 8),
        frame.interval_ns as f64 / 1e9
    )
}

/// A time in percent of the interval, with a mark if it is an estimate.
fn time(frame: &Frame, ns: Option<u64>) -> String {
    about(frame, share(ns, frame.interval_ns, width(frame)))
}

/// Most characters of a time in percent, without the mark.
fn width(frame: &Frame) -> usize {
    if frame.window.is_some() { PCT - 1 } else { PCT }
}

/// One row per CPU on which the NIC did anything. The first row also has the rates of the NIC.
fn nics(frame: &Frame) -> String {
    let interval_ns = frame.interval_ns;
    let rate = |count| known(per_s(count, interval_ns), |rate| format!("{rate:.0}"));
    let mut table = Table::new(NICS);
    for nic in &frame.nics {
        let Nic { name, driver, counters, cpus, .. } = nic;
        let names = [name.clone(), driver.clone().unwrap_or_else(|| "-".to_owned())];
        let rates = [rate(counters.rx_packets), rate(counters.tx_packets)];
        let mut add = |[name, driver]: [String; 2], on: [String; 5], [rx, tx]: [String; 2]| {
            let [cpu, load, poll, irq, polls] = on;
            table.add([name, driver, cpu, load, poll, irq, polls, rx, tx]);
        };
        if cpus.is_empty() {
            add(names, ["-", "0", "0", "0", "0"].map(str::to_owned), rates);
            continue;
        }
        let mut first = Some((names, rates));
        for on in cpus {
            let (names, rates) = first.take().unwrap_or_default();
            let figures = [
                on.cpu.to_string(),
                about(frame, known(on.known_load_pct(), |load| pct(load, width(frame)))),
                time(frame, on.poll_time_ns()),
                time(frame, on.hardirq_time_ns()),
                rate(on.polls),
            ];
            add(names, figures, rates);
        }
    }
    table.text()
}

fn cpus(frame: &Frame) -> String {
    let mut table = Table::new(CPUS);
    for cpu in &frame.cpus {
        table.add(cpu_row(frame, cpu));
    }
    table.text()
}

fn cpu_row(frame: &Frame, cpu: &Cpu) -> [String; 11] {
    let pct = |ns| share(ns, frame.interval_ns, PCT);
    let time = |ns| time(frame, ns);
    let tick = |pct: Option<f64>| known(pct, |pct| format!("{pct:.1}"));
    [
        cpu.cpu.to_string(),
        time(cpu.softirq.and_then(|softirq| softirq.net_rx.vector.time_ns())),
        time(cpu.softirq.and_then(|softirq| softirq.net_tx.time_ns())),
        time(cpu.softirq.and_then(|softirq| softirq.tasklet.time_ns())),
        time(cpu.softirq.and_then(|softirq| softirq.hrtimer.time_ns())),
        time(cpu.hardirq_time_ns()),
        pct(cpu.ksoftirqd_ns),
        tick(cpu.stat.map(|stat| stat.softirq_pct)),
        tick(cpu.stat.map(|stat| stat.idle_pct)),
        plain(cpu.softnet.map(|softnet| softnet.time_squeeze)),
        plain(cpu.softnet.map(|softnet| softnet.dropped)),
    ]
}

/// What drivers cost.
fn drivers(frame: &Frame) -> String {
    let (drivers, reason) = (frame.drivers.as_deref(), frame.host.drivers_reason.as_deref());
    if let (None, Some(reason)) = (drivers, reason) {
        return format!("Driver costs are unknown: {}\n", printable(reason));
    }
    let Some(drivers) = drivers.filter(|drivers| !drivers.is_empty()) else { return String::new() };
    let mut table = Table::new(DRIVERS);
    for driver in drivers {
        table.add(driver_row(frame, driver));
    }
    table.text()
}

fn driver_row(frame: &Frame, driver: &Driver) -> [String; 8] {
    [
        driver.driver.clone(),
        driver.origin.map_or("?", Origin::label).to_owned(),
        time(frame, driver.hardirq_time_ns()),
        share(driver.sampled_est_ns, frame.interval_ns, PCT),
        known(driver.busy_share_pct, |share| pct(share, PCT)),
        known(driver.busy_share_ci_pct, |bounds| interval(bounds, |bound| pct(bound, PCT))),
        plain(driver.samples),
        known(driver.ns_per_packet, |ns| format!("{ns:.0}")),
    ]
}
