//! The load of each CPU, exact and by the kernel's own accounting, and the CPU with the most network load.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    recording::Report,
    text::{name, pct, rows, share, wrapped},
};
use crate::{
    frame::{Accounting, Cpu, CpuStat, Frame, Nic, pct_of},
    present::{
        table::{Column, Table},
        text::known,
    },
};

/// Number of NICs named for the busiest CPU.
const NAMED: usize = 3;

const COLUMNS: [Column; 13] = [
    Column::words("CPU"),
    Column::figures("HARDIRQ"),
    Column::figures("SOFTIRQ"),
    Column::figures("NET_RX"),
    Column::figures("NET_TX"),
    Column::figures("|"),
    Column::figures("usr"),
    Column::figures("sys"),
    Column::figures("soft"),
    Column::figures("irq"),
    Column::figures("iowait"),
    Column::figures("steal"),
    Column::figures("idle"),
];

pub(super) fn section(report: &Report<'_>) -> String {
    let Report { frame, top, .. } = report;
    let loads = network_loads(frame);
    let mut cpus: Vec<&Cpu> = frame.cpus.iter().collect();
    if cpus.len() > *top {
        // The busiest, in the order of their numbers.
        cpus.sort_by_key(|cpu| (Reverse(loads.get(&cpu.cpu).map_or(0, Load::ns)), cpu.cpu));
        cpus[..*top].sort_by_key(|cpu| cpu.cpu);
    }
    let mut table = Table::new(COLUMNS);
    for cpu in cpus {
        table.add(row(cpu, frame.interval_ns));
    }
    let accounting = match frame.host.accounting {
        Some(Accounting::Tick) => "sampled once per tick",
        Some(Accounting::IrqTime) => "interrupts measured",
        Some(Accounting::Virt) => "measured",
        None => "method unknown",
    };
    let title = format!(
        "CPU time in percent. Left of the bar: exact. Right of it: the kernel's own accounting \
         ({accounting}), as in mpstat"
    );
    format!("{}{}{}", wrapped(&title), rows(&table, report), worst(&loads, frame))
}

fn row(cpu: &Cpu, interval_ns: u64) -> [String; 13] {
    let exact = |ns| share(ns, interval_ns);
    let stat = |of: fn(&CpuStat) -> f64| known(cpu.stat.as_ref(), |stat| format!("{:.1}", of(stat)));
    [
        cpu.cpu.to_string(),
        exact(cpu.hardirq_ns),
        exact(cpu.softirq.and_then(|softirq| softirq.all_ns())),
        exact(cpu.softirq.and_then(|softirq| softirq.net_rx.vector.ns)),
        exact(cpu.softirq.and_then(|softirq| softirq.net_tx.ns)),
        "|".to_owned(),
        stat(|stat| stat.user_pct),
        stat(|stat| stat.system_pct),
        stat(|stat| stat.softirq_pct),
        stat(|stat| stat.irq_pct),
        stat(|stat| stat.iowait_pct),
        stat(|stat| stat.steal_pct),
        stat(|stat| stat.idle_pct),
    ]
}

/// Polls and interrupts of NICs on one CPU.
#[derive(Default)]
struct Load<'a> {
    nics: Vec<(&'a Nic, u64)>,
    /// Whether the time of some polls is unknown.
    is_part: bool,
}

impl Load<'_> {
    fn ns(&self) -> u64 {
        self.nics.iter().fold(0, |sum, (_, ns)| sum.saturating_add(*ns))
    }
}

fn network_loads(frame: &Frame) -> BTreeMap<u32, Load<'_>> {
    let mut loads: BTreeMap<u32, Load<'_>> = BTreeMap::new();
    for nic in &frame.nics {
        for row in &nic.cpus {
            let load = loads.entry(row.cpu).or_default();
            load.is_part |= row.poll_ns.is_none();
            let ns = row.poll_ns.unwrap_or(0).saturating_add(row.hardirq_ns.unwrap_or(0));
            load.nics.push((nic, ns));
        }
    }
    loads
}

/// The CPU with the most network load, and the next one to compare it with.
fn worst(loads: &BTreeMap<u32, Load<'_>>, frame: &Frame) -> String {
    let interval_ns = frame.interval_ns;
    let mut by_load: Vec<_> = loads.iter().filter(|(_, load)| load.ns() > 0).collect();
    by_load.sort_by_key(|(cpu, load)| (Reverse(load.ns()), **cpu));
    let load_pct = |load: &Load<'_>| {
        let least = if load.is_part { "at least " } else { "" };
        format!("{least}{} %", pct(pct_of(load.ns(), interval_ns)))
    };
    let Some((cpu, load)) = by_load.first() else {
        let is_unknown = loads.values().any(|load| load.is_part);
        return if is_unknown {
            "It is unknown which CPU carries the most network load.\n"
        } else {
            "No CPU carried any network load.\n"
        }
        .to_owned();
    };
    let mut nics = load.nics.clone();
    nics.sort_by_key(|(_, ns)| Reverse(*ns));
    let named: Vec<String> = nics
        .iter()
        .filter(|(_, ns)| *ns > 0)
        .take(NAMED)
        .map(|(nic, ns)| format!("{} {} %", name(&nic.name), pct(pct_of(*ns, interval_ns))))
        .collect();
    let next = by_load.get(1).map_or_else(
        || {
            // Other CPUs may have load that was not timed, or may not be in the frames.
            let are_known = loads.values().all(|load| !load.is_part) && frame.has_all_cpus();
            if are_known { "no other CPU has any" } else { "that of other CPUs is unknown" }.to_owned()
        },
        |(cpu, load)| format!("next is CPU {cpu} with {}", load_pct(load)),
    );
    wrapped(&format!(
        "CPU {cpu} carries the most network load (polls and interrupts of NICs): {} ({}); {next}.",
        load_pct(load),
        named.join(", ")
    ))
}
