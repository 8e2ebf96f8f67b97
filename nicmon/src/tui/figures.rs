//! Figures of the screen, computed from a frame's counters.

use std::{cmp::Reverse, collections::HashMap};

use super::{Sort, Units, text::Figure};
use crate::frame::{Cpu, Frame, Nic, NicCpu, pct_of, per_s};

/// What stands before times of a frame: a mark if they are estimates from windows.
pub(super) fn mark(frame: &Frame) -> &'static str {
    if frame.window.is_some() { "~" } else { "" }
}

/// A time in percent of the interval; unknown if the interval has no length.
pub(super) fn share(ns: Option<u64>, interval_ns: u64) -> Option<f64> {
    ns.filter(|_| interval_ns > 0).map(|ns| pct_of(ns, interval_ns))
}

/// Polls and, if known, interrupts of a NIC on all CPUs, in percent of one CPU.
pub(super) fn load_pct(nic: &Nic, interval_ns: u64) -> Option<f64> {
    let polls = share(nic.poll_time_ns(), interval_ns)?;
    Some(polls + share(nic.hardirq_time_ns(), interval_ns).unwrap_or(0.0))
}

/// The CPU that a NIC loads most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Worst {
    /// This CPU, with its load in percent; only CPUs with a known load are considered.
    Cpu(u32, f64),
    /// It was active, but no load is known.
    Unknown,
    /// It was not active on any CPU.
    Nowhere,
}

/// Finds the busiest CPU for a NIC.
pub(super) fn worst_cpu(nic: &Nic) -> Worst {
    let known = nic.cpus.iter().filter_map(|on| Some((on.cpu, on.known_load_pct()?)));
    match known.max_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((cpu, load)) => Worst::Cpu(cpu, load),
        None if nic.cpus.is_empty() && nic.poll_time_ns().is_some() => Worst::Nowhere,
        None => Worst::Unknown,
    }
}

/// A NIC's load on one CPU.
pub(super) fn load_on(nic: &Nic, cpu: u32) -> Figure {
    match nic.cpus.iter().find(|on| on.cpu == cpu) {
        Some(on) => on.known_load_pct().into(),
        None if nic.poll_time_ns().is_none() => Figure::Unknown,
        None => Figure::Nothing,
    }
}

/// What a NIC did on these CPUs, in these units. Packets that busy polls took have no time of their own.
pub(super) fn cell(frame: &Frame, nic: &Nic, cpus: &[&Cpu], units: Units) -> Figure {
    let load = || total(cpus.iter().map(|cpu| load_on(nic, cpu.cpu)));
    if units == Units::Pct {
        return load();
    }
    let on: Vec<&NicCpu> =
        cpus.iter().filter_map(|cpu| nic.cpus.iter().find(|on| on.cpu == cpu.cpu)).collect();
    if on.is_empty() {
        return load();
    }
    let sum = |of: fn(&NicCpu) -> Option<u64>| sum(on.iter().map(|on| of(on)));
    match units {
        Units::Packets => per_s(sum(|on| on.work), frame.interval_ns).into(),
        _ => match (sum(NicCpu::poll_time_ns), sum(|on| on.work)) {
            (Some(_), Some(0)) => Figure::Nothing,
            (Some(ns), Some(work)) if nic.is_timed() => Figure::Known(ns as f64 / work as f64),
            _ => Figure::Unknown,
        },
    }
}

/// The sum of counts or times, unknown if one of them is.
pub(super) fn sum(mut parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.try_fold(0_u64, |sum, part| Some(sum.saturating_add(part?)))
}

/// The sum of figures, unknown if one of them is.
pub(super) fn total(figures: impl Iterator<Item = Figure>) -> Figure {
    figures.fold(Figure::Nothing, |sum, figure| match (sum, figure) {
        (Figure::Unknown, _) | (_, Figure::Unknown) => Figure::Unknown,
        (Figure::Known(a), Figure::Known(b)) => Figure::Known(a + b),
        (Figure::Nothing, other) | (other, Figure::Nothing) => other,
    })
}

/// Packets that were dropped for lack of room or of a receiver. This leaves out damaged packets (`rx_crc`),
/// packets on a standby link (`rx_nohandler`), and `rx_fifo`, which does not have to count packets (`struct
/// rtnl_link_stats64` in `include/uapi/linux/if_link.h`).
pub(super) fn dropped(nic: &Nic) -> Option<u64> {
    let drops = nic.counters.drops?;
    Some(drops.rx_dropped.saturating_add(drops.rx_missed).saturating_add(drops.tx_dropped))
}

/// Time of polls and interrupts per packet received or sent, in nanoseconds.
///
/// Unknown if any part is: busy polls have no time, CPUs that are not shown also handle packets, and the
/// counters may not cover all of the time.
pub(super) fn ns_per_packet(frame: &Frame, nic: &Nic) -> Figure {
    let known = || {
        let packets = nic.counters.packets()?;
        let ns = nic.poll_time_ns()?.saturating_add(nic.hardirq_time_ns()?);
        frame.can_divide_by_packets(nic).then_some((ns, packets))
    };
    match known() {
        None => Figure::Unknown,
        Some((_, 0)) => Figure::Nothing,
        Some((ns, packets)) => Figure::Known(ns as f64 / packets as f64),
    }
}

/// The NICs in this order, those with unknown figures last.
pub(super) fn in_order(frame: &Frame, sort: Sort) -> Vec<&Nic> {
    let mut nics: Vec<&Nic> = frame.nics.iter().collect();
    let descending = |a: Option<f64>, b: Option<f64>| b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0));
    match sort {
        Sort::Load => nics.sort_by(|a, b| {
            let load = |nic| load_pct(nic, frame.interval_ns);
            descending(load(a), load(b)).then_with(|| b.counters.packets().cmp(&a.counters.packets()))
        }),
        Sort::Received => nics.sort_by_key(|nic| Reverse(nic.counters.rx_packets)),
        Sort::Drops => nics.sort_by_key(|nic| Reverse(dropped(nic))),
        Sort::Name => nics.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    nics
}

/// The network load of each CPU in percent, for sorting: the larger of its softirqs plus interrupts and of
/// its NICs (whose threads are not softirqs). Of softirqs other than `NET_RX` and `NET_TX`, those count in
/// which network code ran. If no time is known, the kernel's own accounting is used.
pub(super) fn network_pcts(frame: &Frame) -> Vec<(&Cpu, f64)> {
    let mut nics: HashMap<u32, f64> = HashMap::new();
    for on in frame.nics.iter().flat_map(|nic| &nic.cpus) {
        *nics.entry(on.cpu).or_default() += on.known_load_pct().unwrap_or(0.0);
    }
    let load = |cpu: &Cpu| network_pct(frame, cpu, nics.get(&cpu.cpu).copied().unwrap_or(0.0));
    frame.cpus.iter().map(|cpu| (cpu, load(cpu))).collect()
}

fn network_pct(frame: &Frame, cpu: &Cpu, nics_pct: f64) -> f64 {
    let of = |ns: u64| pct_of(ns, frame.interval_ns);
    let exact = cpu.softirq.and_then(|softirq| {
        let net = of(softirq.net_rx.vector.time_ns()?) + of(softirq.net_tx.time_ns()?);
        let others = frame.network_softirqs(cpu).filter(|(name, _)| *name != "NET_TX");
        let others: f64 = others.filter_map(|(_, ns)| ns).map(of).sum();
        Some(net + others + of(cpu.hardirq_time_ns().unwrap_or(0)))
    });
    match exact {
        Some(exact) => exact.max(nics_pct),
        None => nics_pct.max(cpu.stat.map_or(0.0, |stat| stat.softirq_pct + stat.irq_pct)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::NapiMode;

    fn frame() -> Frame {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/demo-rps.ndjson");
        let line = RECORDING.lines().last().expect("the recording has frames");
        serde_json::from_str(line).expect("the recording's lines are frames")
    }

    #[test]
    fn unknown_parts_make_the_whole_unknown() {
        let mut frame = frame();
        let mut nic = frame.nics.swap_remove(0);
        assert!(matches!(ns_per_packet(&frame, &nic), Figure::Known(ns) if ns > 100.0));
        let hidden = frame.cpus.pop();
        assert_eq!(ns_per_packet(&frame, &nic), Figure::Unknown, "a CPU is not shown");
        frame.cpus.extend(hidden);
        nic.napis.as_mut().expect("polls are counted")[0].mode = NapiMode::Busy;
        assert_eq!(ns_per_packet(&frame, &nic), Figure::Unknown, "busy polls have no time");
        nic.cpus[0].load_pct = None;
        assert_eq!(worst_cpu(&nic), Worst::Unknown);
        assert_eq!(load_on(&nic, nic.cpus[0].cpu), Figure::Unknown);
        nic.cpus.clear();
        assert_eq!((worst_cpu(&nic), load_on(&nic, 0)), (Worst::Nowhere, Figure::Nothing));
        nic.poll_ns = None;
        assert_eq!((worst_cpu(&nic), load_on(&nic, 0)), (Worst::Unknown, Figure::Unknown));
        assert_eq!(load_pct(&nic, 1), None);
        assert_eq!(share(Some(5), 0), None, "an interval of nothing");
    }

    #[test]
    fn network_code_in_a_tasklet_is_load_of_its_cpu() {
        let mut frame = frame();
        frame.cpus[0].softirq.as_mut().expect("softirqs are timed").tasklet.ns = Some(frame.interval_ns);
        let pct = |frame: &Frame| network_pcts(frame)[0].1;
        let before = pct(&frame);
        let mut row = frame.nics[0].clone();
        (row.name, row.netns, row.napis) = ("(tasklet)".to_owned(), None, None);
        row.cpus = vec![NicCpu { cpu: frame.cpus[0].cpu, load_pct: None, ..frame.nics[0].cpus[0].clone() }];
        frame.nics.push(row);
        assert!(pct(&frame) >= before.max(100.0), "{before} {}", pct(&frame));
    }

    #[test]
    fn orders() {
        let mut frame = frame();
        frame.nics[0].poll_ns = None;
        let names = |sort| in_order(&frame, sort).iter().map(|nic| nic.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(Sort::Load), ["(backlog)", "eth0", "ifb0", "ifb1", "lo", "demo-rx"]);
        assert_eq!(names(Sort::Received)[0], "demo-rx");
        assert_eq!(names(Sort::Name), ["(backlog)", "demo-rx", "eth0", "ifb0", "ifb1", "lo"]);
    }
}
