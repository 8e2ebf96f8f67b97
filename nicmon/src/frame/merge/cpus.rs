//! `cpus[]`.

use super::sum::{add_time, add_windows, estimate, gap_of, longest, longest_known, reported_gap, sum};
use crate::frame::{Cpu, CpuStat, Latency, NetRx, Softirqs, Softnet, Vector};

/// The CPUs, ascending.
#[derive(Debug, Default)]
pub(super) struct Cpus(Vec<CpuSum>);

/// One CPU. All its sums except those of `stat` are in a `Cpu`.
#[derive(Debug)]
struct CpuSum {
    cpu: Cpu,
    /// Each share multiplied by the nanoseconds it covers.
    stat: Option<CpuStat>,
    stat_gap_ns: u64,
}

impl Cpus {
    pub(super) fn add(&mut self, cpus: &[Cpu], interval_ns: u64) {
        for cpu in cpus {
            let gap_ns = gap_of(cpu.stat_gap_ns, interval_ns, cpu.stat.is_some());
            let known_ns = interval_ns.saturating_sub(gap_ns) as f64;
            let stat = cpu.stat.map(|stat| each(stat, |pct| pct * known_ns));
            match self.0.binary_search_by_key(&cpu.cpu, |sum| sum.cpu.cpu) {
                Ok(at) => self.0[at].add(cpu, stat, gap_ns),
                Err(at) => self.0.insert(at, CpuSum { cpu: cpu.clone(), stat, stat_gap_ns: gap_ns }),
            }
        }
    }

    pub(super) fn cpus(&self, interval_ns: u64) -> Vec<Cpu> {
        self.0.iter().map(|sum| sum.cpu(interval_ns)).collect()
    }
}

impl CpuSum {
    fn add(&mut self, more: &Cpu, stat: Option<CpuStat>, gap_ns: u64) {
        let Cpu {
            cpu: _,
            stat: _,
            stat_gap_ns: _,
            hardirq_ns,
            hardirq_est_ns,
            softirq,
            ksoftirqd_ns,
            softnet,
            freq,
        } = more;
        self.stat = match (self.stat, stat) {
            (Some(one), Some(other)) => Some(both(one, other)),
            (one, other) => one.or(other),
        };
        self.stat_gap_ns = self.stat_gap_ns.saturating_add(gap_ns);
        let hardirq = (&mut self.cpu.hardirq_ns, &mut self.cpu.hardirq_est_ns);
        add_time(hardirq, (*hardirq_ns, *hardirq_est_ns));
        self.cpu.softirq =
            self.cpu.softirq.as_ref().zip(softirq.as_ref()).map(|(one, other)| softirqs(one, other));
        self.cpu.ksoftirqd_ns = sum(self.cpu.ksoftirqd_ns, *ksoftirqd_ns);
        self.cpu.softnet = self.cpu.softnet.zip(*softnet).map(|(one, other)| Softnet {
            processed: one.processed.saturating_add(other.processed),
            dropped: one.dropped.saturating_add(other.dropped),
            time_squeeze: one.time_squeeze.saturating_add(other.time_squeeze),
            received_rps: one.received_rps.saturating_add(other.received_rps),
            backlog_len: other.backlog_len,
        });
        self.cpu.freq = freq.or(self.cpu.freq);
    }

    fn cpu(&self, interval_ns: u64) -> Cpu {
        let known_ns = interval_ns.saturating_sub(self.stat_gap_ns) as f64;
        let share = |sum: f64| if known_ns > 0.0 { sum / known_ns } else { 0.0 };
        Cpu {
            stat: self.stat.map(|stat| each(stat, share)),
            stat_gap_ns: reported_gap(self.stat_gap_ns, interval_ns, self.stat.is_some()),
            ..self.cpu.clone()
        }
    }
}

fn each(stat: CpuStat, make: impl Fn(f64) -> f64) -> CpuStat {
    let CpuStat { user_pct, system_pct, softirq_pct, irq_pct, iowait_pct, idle_pct, steal_pct } = stat;
    CpuStat {
        user_pct: make(user_pct),
        system_pct: make(system_pct),
        softirq_pct: make(softirq_pct),
        irq_pct: make(irq_pct),
        iowait_pct: make(iowait_pct),
        idle_pct: make(idle_pct),
        steal_pct: make(steal_pct),
    }
}

fn both(one: CpuStat, other: CpuStat) -> CpuStat {
    CpuStat {
        user_pct: one.user_pct + other.user_pct,
        system_pct: one.system_pct + other.system_pct,
        softirq_pct: one.softirq_pct + other.softirq_pct,
        irq_pct: one.irq_pct + other.irq_pct,
        iowait_pct: one.iowait_pct + other.iowait_pct,
        idle_pct: one.idle_pct + other.idle_pct,
        steal_pct: one.steal_pct + other.steal_pct,
    }
}

fn softirqs(one: &Softirqs, other: &Softirqs) -> Softirqs {
    Softirqs {
        hi: vector(one.hi, other.hi),
        timer: vector(one.timer, other.timer),
        net_tx: vector(one.net_tx, other.net_tx),
        net_rx: net_rx(&one.net_rx, &other.net_rx),
        block: vector(one.block, other.block),
        irq_poll: vector(one.irq_poll, other.irq_poll),
        tasklet: vector(one.tasklet, other.tasklet),
        sched: vector(one.sched, other.sched),
        hrtimer: vector(one.hrtimer, other.hrtimer),
        rcu: vector(one.rcu, other.rcu),
    }
}

fn net_rx(one: &NetRx, other: &NetRx) -> NetRx {
    let (mut other_ns, mut other_est_ns) = (one.other_ns, one.other_est_ns);
    add_time((&mut other_ns, &mut other_est_ns), (other.other_ns, other.other_est_ns));
    NetRx {
        vector: vector(one.vector, other.vector),
        other_ns,
        other_est_ns,
        mixed_ns: sum(one.mixed_ns, other.mixed_ns),
    }
}

fn vector(one: Vector, other: Vector) -> Vector {
    let (ns, windowed) = add_windows((one.ns, one.windowed), (other.ns, other.windowed));
    let (est_ns, est_ci_ns) = estimate(windowed);
    Vector {
        count: one.count.saturating_add(other.count),
        ns,
        max_ns: longest(one.max_ns, other.max_ns),
        est_ns,
        est_ci_ns,
        max_seen_ns: longest_known([one.max_ns, one.max_seen_ns, other.max_ns, other.max_seen_ns])
            .filter(|_| windowed.is_some()),
        windowed,
        latency: match (one.latency, other.latency) {
            (Some(one), Some(other)) => Some(Latency {
                count: one.count.saturating_add(other.count),
                ns: one.ns.saturating_add(other.ns),
                max_ns: one.max_ns.max(other.max_ns),
            }),
            (one, other) => one.or(other),
        },
    }
}
