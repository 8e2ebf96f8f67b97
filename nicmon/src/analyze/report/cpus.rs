//! The load of each CPU, exact and by the kernel's own accounting, and the CPU with the most network load.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    recording::Report,
    text::{name, pct, rows, share, wrapped},
};
use crate::{
    frame::{Accounting, Cpu, CpuStat, Frame, Nic, Softirqs, pct_of},
    present::{
        table::{Column, Table},
        text::{about, known},
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
        table.add(row(frame, cpu));
    }
    let accounting = match frame.host.accounting {
        Some(Accounting::Tick) => "sampled once per tick",
        Some(Accounting::IrqTime) => "interrupts measured",
        Some(Accounting::Virt) => "measured",
        None => "method unknown",
    };
    let left = if frame.window.is_some() { "estimated from windows" } else { "exact" };
    let title = format!(
        "CPU time in percent. Left of the bar: {left}. Right of it: the kernel's own accounting \
         ({accounting}), as in mpstat"
    );
    let other = other_softirqs(frame) + &outside_polls(frame);
    format!("{}{}{}{other}", wrapped(&title), rows(&table, report), worst(&loads, frame))
}

/// The time of the other vectors, of all CPUs together; empty if there was none.
fn other_softirqs(frame: &Frame) -> String {
    let all = frame.cpus.iter().filter_map(|cpu| cpu.softirq);
    let mut sums: [(&str, Option<u64>); 7] =
        ["TASKLET", "HRTIMER", "TIMER", "RCU", "SCHED", "BLOCK", "HI, IRQ_POLL"].map(|name| (name, Some(0)));
    for softirq in all {
        let Softirqs { hi, timer, net_tx: _, net_rx: _, block, irq_poll, tasklet, sched, hrtimer, rcu } =
            softirq;
        let rare = hi.time_ns().zip(irq_poll.time_ns()).map(|(hi, poll)| hi.saturating_add(poll));
        let [tasklet, hrtimer, timer, rcu, sched, block] =
            [tasklet, hrtimer, timer, rcu, sched, block].map(|vector| vector.time_ns());
        let more = [tasklet, hrtimer, timer, rcu, sched, block, rare];
        for ((_, sum), more) in sums.iter_mut().zip(more) {
            *sum = sum.zip(more).map(|(sum, more)| sum.saturating_add(more));
        }
    }
    let text = |(name, ns): (&str, Option<u64>)| {
        let ns = ns.filter(|ns| *ns > 0);
        ns.map(|ns| format!("{name} {} %", about(frame, pct(pct_of(ns, frame.interval_ns)))))
    };
    let texts: Vec<String> = sums.into_iter().filter_map(text).collect();
    if texts.is_empty() {
        return String::new();
    }
    wrapped(&format!("Other softirqs, in percent of one CPU: {}.", texts.join(", ")))
}

/// Network code in softirqs that are not polls, estimated; empty if there was none.
fn outside_polls(frame: &Frame) -> String {
    let estimate = |nic: &Nic| {
        let ns = nic.stack_est_ns.filter(|_| nic.is_softirq())?;
        Some(format!("{} ~{} %", name(&nic.name), pct(pct_of(ns, frame.interval_ns))))
    };
    let texts: Vec<String> = frame.nics.iter().filter_map(estimate).collect();
    if texts.is_empty() {
        return String::new();
    }
    wrapped(&format!(
        "Network code also ran outside polls, at least: {} (of one CPU, estimated from samples).",
        texts.join(", ")
    ))
}

fn row(frame: &Frame, cpu: &Cpu) -> [String; 13] {
    let time = |ns| about(frame, share(ns, frame.interval_ns));
    let stat = |of: fn(&CpuStat) -> f64| known(cpu.stat.as_ref(), |stat| format!("{:.1}", of(stat)));
    [
        cpu.cpu.to_string(),
        time(cpu.hardirq_time_ns()),
        time(cpu.softirq.and_then(|softirq| softirq.all_ns())),
        time(cpu.softirq.and_then(|softirq| softirq.net_rx.vector.time_ns())),
        time(cpu.softirq.and_then(|softirq| softirq.net_tx.time_ns())),
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

/// Polls and interrupts of NICs on one CPU, and softirqs outside polls in which network code ran.
#[derive(Default)]
struct Load<'a> {
    nics: Vec<(&'a str, u64)>,
    /// All of their time, although network code is only a part of it.
    softirqs: Vec<(&'static str, u64)>,
    /// Whether the time of some polls, or of such a softirq, is unknown.
    is_part: bool,
}

impl<'a> Load<'a> {
    fn parts(&self) -> impl Iterator<Item = (&'a str, u64)> {
        self.nics.iter().chain(&self.softirqs).copied()
    }

    fn ns(&self) -> u64 {
        self.parts().fold(0, |sum, (_, ns)| sum.saturating_add(ns))
    }

    /// Each part with its load, the largest first.
    fn named(&self, frame: &Frame) -> String {
        let mut parts: Vec<_> = self.parts().filter(|(_, ns)| *ns > 0).collect();
        parts.sort_by_key(|(_, ns)| Reverse(*ns));
        let text = |(of, ns): &(&str, u64)| {
            let load = about(frame, pct(pct_of(*ns, frame.interval_ns)));
            format!("{} {load} %", name(of))
        };
        parts.iter().take(NAMED).map(text).collect::<Vec<_>>().join(", ")
    }
}

fn network_loads(frame: &Frame) -> BTreeMap<u32, Load<'_>> {
    let mut loads: BTreeMap<u32, Load<'_>> = BTreeMap::new();
    for nic in frame.nics.iter().filter(|nic| !nic.is_softirq()) {
        for row in &nic.cpus {
            let load = loads.entry(row.cpu).or_default();
            load.is_part |= row.poll_time_ns().is_none();
            let ns = row.poll_time_ns().unwrap_or(0).saturating_add(row.hardirq_time_ns().unwrap_or(0));
            load.nics.push((&nic.name, ns));
        }
    }
    for cpu in &frame.cpus {
        for (softirq, ns) in frame.network_softirqs(cpu) {
            let load = loads.entry(cpu.cpu).or_default();
            load.is_part |= ns.is_none();
            load.softirqs.push((softirq, ns.unwrap_or(0)));
        }
    }
    loads
}

/// What counts as network load: softirqs are named if there is such work. All of `NET_TX` is network code.
fn what_counts(loads: &BTreeMap<u32, Load<'_>>) -> String {
    let all: BTreeSet<&str> =
        loads.values().flat_map(|load| &load.softirqs).map(|(softirq, _)| *softirq).collect();
    let mixed: Vec<&str> = all.iter().copied().filter(|softirq| *softirq != "NET_TX").collect();
    let net_tx = if all.contains("NET_TX") { ", NET_TX" } else { "" };
    if mixed.is_empty() {
        return format!("polls and interrupts of NICs{net_tx}");
    }
    format!("polls and interrupts of NICs{net_tx}, and all of {}, partly network code", mixed.join(" and "))
}

/// The CPU with the most network load, and the next one to compare it with.
fn worst(loads: &BTreeMap<u32, Load<'_>>, frame: &Frame) -> String {
    let mut by_load: Vec<_> = loads.iter().filter(|(_, load)| load.ns() > 0).collect();
    by_load.sort_by_key(|(cpu, load)| (Reverse(load.ns()), **cpu));
    let load_pct = |load: &Load<'_>| {
        let least = if load.is_part { "at least " } else { "" };
        format!("{least}{} %", about(frame, pct(pct_of(load.ns(), frame.interval_ns))))
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
    let next = by_load.get(1).map_or_else(
        || {
            // Other CPUs may have load that was not timed, or may not be in the frames.
            let are_known = loads.values().all(|load| !load.is_part) && frame.has_all_cpus();
            if are_known { "no other CPU has any" } else { "that of other CPUs is unknown" }.to_owned()
        },
        |(cpu, load)| format!("next is CPU {cpu} with {}", load_pct(load)),
    );
    // Another may carry more than is known of it.
    let may_be_another = loads.iter().any(|(other, load)| other != *cpu && load.is_part);
    let as_known = if may_be_another { "As far as is known, " } else { "" };
    wrapped(&format!(
        "{as_known}CPU {cpu} carries the most network load ({}): {} ({}); {next}.",
        what_counts(loads),
        load_pct(load),
        load.named(frame)
    ))
}
