//! `cpus[]`: the kernel's own accounting next to exact softirq and interrupt time.

use super::{super::observation::HostFacts, Filter, Observation};
use crate::{
    counters::{CpuActivity, Runs},
    frame::{Cpu, CpuStat, Latency, NetRx, Softirqs, Softnet, Vector},
    host::{softnet::SoftnetRow, stat::CpuTicks},
};

/// All online CPUs that the filter shows.
pub(super) fn cpus(seen: &Observation, filter: &Filter) -> Vec<Cpu> {
    let Observation { facts, reading, asked, .. } = seen;
    facts
        .now
        .stat
        .iter()
        .filter(|ticks| filter.shows_cpu(ticks.cpu))
        .map(|ticks| {
            let cpu = ticks.cpu;
            let activity = reading.cpus.get(cpu as usize);
            Cpu {
                cpu,
                stat: stat(seen, ticks),
                stat_gap_ns: None,
                hardirq_ns: activity.and_then(|activity| activity.hardirq_ns),
                softirq: activity.map(|activity| softirqs(activity, asked.latency)),
                ksoftirqd_ns: ksoftirqd_ns(facts, cpu),
                softnet: softnet(facts, cpu),
            }
        })
        .collect()
}

/// How long each shown CPU was busy, in ns. Leaves out CPUs that have only just come online. Stolen time
/// is not work of the CPU.
pub(in crate::collect) fn busy_ns(seen: &Observation, filter: &Filter) -> Vec<(u32, u64)> {
    let busy_ns = |stat: &CpuStat| {
        let pct = (100.0 - stat.idle_pct - stat.iowait_pct - stat.steal_pct).clamp(0.0, 100.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the interval")]
        let ns = (seen.interval_ns as f64 * pct / 100.0) as u64;
        ns
    };
    let shown = seen.facts.now.stat.iter().filter(|ticks| filter.shows_cpu(ticks.cpu));
    shown.filter_map(|ticks| Some((ticks.cpu, busy_ns(&stat(seen, ticks)?)))).collect()
}

/// Shares of the interval, not of the counted ticks. A tick may fall just outside it, hence the limit.
fn stat(seen: &Observation, now: &CpuTicks) -> Option<CpuStat> {
    let before = &seen.facts.before.stat;
    let before = &before[before.binary_search_by_key(&now.cpu, |ticks| ticks.cpu).ok()?];
    let interval_ticks = seen.interval_ns as f64 * seen.facts.ticks_per_second as f64 / 1e9;
    // idle and iowait may go back a little (fs/proc/stat.c: get_idle_time).
    let pct = |now: u64, before: u64| {
        if interval_ticks > 0.0 {
            (now.saturating_sub(before) as f64 * 100.0 / interval_ticks).min(100.0)
        } else {
            0.0
        }
    };
    Some(CpuStat {
        user_pct: pct(now.user + now.nice, before.user + before.nice),
        system_pct: pct(now.system, before.system),
        softirq_pct: pct(now.softirq, before.softirq),
        irq_pct: pct(now.irq, before.irq),
        iowait_pct: pct(now.iowait, before.iowait),
        idle_pct: pct(now.idle, before.idle),
        steal_pct: pct(now.steal, before.steal),
    })
}

fn softirqs(activity: &CpuActivity, latency: bool) -> Softirqs {
    let vector = |at: usize| {
        let Runs { count, ns, max_ns } = activity.vectors[at];
        let delays = activity.latency[at];
        let delays =
            delays.ns.zip(delays.max_ns).map(|(ns, max_ns)| Latency { count: delays.count, ns, max_ns });
        Vector { count, ns, max_ns, latency: delays.filter(|_| latency) }
    };
    // The kernel's order: include/linux/interrupt.h.
    Softirqs {
        hi: vector(0),
        timer: vector(1),
        net_tx: vector(2),
        net_rx: NetRx { vector: vector(3), other_ns: activity.other_ns, mixed_ns: activity.mixed_ns },
        block: vector(4),
        irq_poll: vector(5),
        tasklet: vector(6),
        sched: vector(7),
        hrtimer: vector(8),
        rcu: vector(9),
    }
}

fn ksoftirqd_ns(facts: &HostFacts, cpu: u32) -> Option<u64> {
    let now = facts.now.ksoftirqd_ns.get(&cpu)?;
    now.checked_sub(*facts.before.ksoftirqd_ns.get(&cpu)?)
}

fn softnet(facts: &HostFacts, cpu: u32) -> Option<Softnet> {
    let of = |rows: &[SoftnetRow]| rows.iter().find(|row| row.cpu == Some(cpu)).copied();
    let now = of(&facts.now.softnet)?;
    let before = of(&facts.before.softnet)?;
    // The counters have 32 bits and wrap.
    let gained = |field: fn(&SoftnetRow) -> u32| u64::from(field(&now).wrapping_sub(field(&before)));
    Some(Softnet {
        processed: gained(|row| row.processed),
        dropped: gained(|row| row.dropped),
        time_squeeze: gained(|row| row.time_squeeze),
        received_rps: gained(|row| row.received_rps),
        backlog_len: now.backlog_len,
    })
}
