//! `intrusion`: network or device work runs on a CPU that is reserved for something else.
//! docs/findings/intrusion.md

use super::{
    case::{Case, Cases, Hold, Key, Level, Rule, Standing, compared},
    single_cpu_receive::queue_of,
    view::{BACKLOG, CpuView, View},
};
use crate::frame::{FindingId, Severity, Subject, Unit};

pub(super) const RULE: Rule = Rule { id: FindingId::Intrusion, hold: Hold::LASTING, cases };

/// Network and device work per second.
const MUCH_NS_PER_S: f64 = 100_000.0;
/// Below this, it is of no account.
const LITTLE_NS_PER_S: f64 = 50_000.0;
/// A NIC with at least this part of the work is named.
const NAMED_PART: f64 = 0.5;

fn cases(view: &View<'_>, standing: &Standing) -> Result<Cases, String> {
    let Some(topology) = view.topology() else {
        return Err("which CPUs are isolated is unknown: no frame had the topology yet".to_owned());
    };
    if topology.cpus.iter().all(|cpu| cpu.isolated.is_none() && cpu.nohz_full.is_none()) {
        return Err("the kernel does not say which CPUs are isolated".to_owned());
    }
    let net_rx_ns = |cpu: &CpuView<'_>| cpu.cpu.softirq.and_then(|all| all.net_rx.vector.time_ns());
    if view.cpus.iter().all(|cpu| net_rx_ns(cpu).is_none()) {
        return Err("times are unknown, because the eBPF programs are not in use".to_owned());
    }
    let of_cpu = |cpu: &CpuView<'_>| {
        if !view.is_reserved(cpu.cpu.cpu) {
            return None;
        }
        let outside_ns = cpu.cpu.hardirq_time_ns().unwrap_or(0).saturating_add(cpu.threaded_ns);
        let ns = net_rx_ns(cpu)?.saturating_add(outside_ns);
        let rate = view.per_s(ns);
        let level = if rate >= MUCH_NS_PER_S {
            Level::Bad
        } else if rate < LITTLE_NS_PER_S {
            Level::Good
        } else {
            Level::Between
        };
        let stands = standing.contains(&Key::Cpu(cpu.cpu.cpu));
        (level != Level::Good || stands).then(|| case(view, cpu, level, ns))
    };
    Ok(view.cpus.iter().filter_map(of_cpu).collect::<Vec<Case>>().into())
}

fn case(view: &View<'_>, cpu: &CpuView<'_>, level: Level, ns: u64) -> Case {
    let number = cpu.cpu.cpu;
    let rate = view.per_s(ns);
    let does_most = |row_ns: u64| row_ns as f64 >= ns as f64 * NAMED_PART;
    let top = cpu.rows.first().filter(|row| {
        does_most(row.on.poll_time_ns().unwrap_or(0).saturating_add(row.on.hardirq_time_ns().unwrap_or(0)))
    });
    let nic = top.filter(|row| row.nic.netns.is_some());
    let queue = nic.and_then(|row| queue_of(view, row));
    let kind = match view.place(number).and_then(|place| place.isolated) {
        Some(true) => "isolated",
        _ => "reserved (nohz_full)",
    };
    let who = match (nic, top) {
        (Some(row), _) => format!("{} takes", row.nic.name),
        (None, Some(row)) if row.nic.name == BACKLOG => "RPS or a virtual NIC takes".to_owned(),
        _ => "network code and devices take".to_owned(),
    };
    let why = format!("CPU {number} is {kind}, but {who} {:.1} ms of it per second", rate / 1e6);
    let subject = Subject {
        nic: nic.map(|row| row.nic.name.clone()),
        netns: nic.and_then(|row| row.nic.netns),
        cpu: Some(number),
        queue: queue.and_then(|queue| queue.queue),
        irq: queue.and_then(|queue| queue.irq),
        comm: None,
    };
    let mut case = Case::new(Key::Cpu(number), level, Severity::Warning, subject, why);
    let what = format!("NET_RX, device interrupts and NAPI threads on CPU {number}");
    let hardirq_ns = cpu.cpu.hardirq_time_ns().unwrap_or(0);
    let is_hardirq = does_most(hardirq_ns);
    let field = cpu.field(if is_hardirq { "hardirq_ns" } else { "softirq/net_rx/ns" });
    case.evidence.push(compared(what, field, rate, Unit::NsPerS, MUCH_NS_PER_S));
    case.caveats.push("a program that runs on this CPU may cause the work itself, by sending".to_owned());
    case
}
