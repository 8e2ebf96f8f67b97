//! `cpus[]`: the kernel's own accounting next to exact softirq and interrupt time.

use super::{
    super::observation::{HostFacts, Moment},
    Filter, Observation,
};
use crate::{
    counters::{CpuActivity, Runs},
    frame::{Cpu, CpuStat, Latency, NetRx, Softirqs, Softnet, Vector, gained},
    host::{softnet::SoftnetRow, stat::CpuTicks},
};

/// All online CPUs that the filter shows.
pub(super) fn cpus(seen: &Observation, filter: &Filter) -> Vec<Cpu> {
    let Observation { facts, reading, asked, .. } = seen;
    let between = Between::of(seen);
    shown(seen, filter)
        .map(|cpu| {
            let activity = reading.cpus.get(cpu as usize).filter(|_| !reading.unknown_cpus.contains(&cpu));
            Cpu {
                cpu,
                stat: between.stat(cpu).unwrap_or_default(),
                stat_gap_ns: None,
                hardirq_ns: activity.and_then(|activity| activity.hardirq_ns),
                hardirq_est_ns: None,
                softirq: activity.map(|activity| softirqs(activity, asked.latency)),
                ksoftirqd_ns: ksoftirqd_ns(facts, cpu),
                softnet: softnet(facts, cpu),
                freq: seen.cpu_freq.get(&cpu).copied(),
            }
        })
        .collect()
}

fn shown(seen: &Observation, filter: &Filter) -> impl Iterator<Item = u32> {
    seen.facts.now.cpus().into_iter().filter(|cpu| filter.shows_cpu(*cpu))
}

/// How long each shown CPU was busy, in ns. Leaves out CPUs of which that is unknown, such as those that
/// have only just come online. Stolen time is not work of the CPU.
pub(in crate::collect) fn busy_ns(seen: &Observation, filter: &Filter) -> Vec<(u32, u64)> {
    let busy_ns = |stat: &CpuStat| {
        let pct = (100.0 - stat.idle_pct - stat.iowait_pct - stat.steal_pct).clamp(0.0, 100.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the interval")]
        let ns = (seen.interval_ns as f64 * pct / 100.0) as u64;
        ns
    };
    let between = Between::of(seen);
    shown(seen, filter).filter_map(|cpu| Some((cpu, busy_ns(&between.stat(cpu).ok()??)))).collect()
}

/// Two readings of the kernel's accounting, and the time between them.
#[derive(Debug)]
pub(in crate::collect) struct Between<'a> {
    now: &'a [CpuTicks],
    before: &'a [CpuTicks],
    /// Why the second reading cannot be believed at all.
    contradiction: Option<String>,
    interval_ns: u64,
    ticks_per_second: u64,
}

/// The kernel's accounting cannot be believed.
struct Implausible;

impl<'a> Between<'a> {
    pub(super) fn of(seen: &'a Observation) -> Self {
        let HostFacts { now, before, ticks_per_second, .. } = &seen.facts;
        Self::new(now, before, seen.interval_ns, *ticks_per_second)
    }

    pub(in crate::collect) fn new(
        now: &'a Moment,
        before: &'a Moment,
        interval_ns: u64,
        ticks_per_second: u64,
    ) -> Self {
        let contradiction = now.stat_contradiction();
        let (now, before) = (now.believed_stat(), before.believed_stat());
        Self { now, before, contradiction, interval_ns, ticks_per_second }
    }

    /// Why the kernel's accounting is unknown on some CPU that was there before.
    pub(in crate::collect) fn stat_problem(&self) -> Option<String> {
        let implausible = || {
            let is_implausible = self.now.iter().any(|ticks| self.stat(ticks.cpu).is_err());
            is_implausible.then(|| {
                "the CPU times in /proc/stat went backwards or do not match the interval (lxcfs does this in \
                 containers), so they are unknown; run nicmon outside the container"
                    .to_owned()
            })
        };
        self.contradiction.clone().or_else(implausible)
    }

    /// Shares of the interval, not of the counted ticks. A tick may fall just outside it, hence the limit.
    /// `None` if the CPU was not accounted at both ends of the interval, or hardly at all.
    fn stat(&self, cpu: u32) -> Result<Option<CpuStat>, Implausible> {
        let of = |stat: &'a [CpuTicks]| stat.get(stat.binary_search_by_key(&cpu, |ticks| ticks.cpu).ok()?);
        let Some((now, before)) = of(self.now).zip(of(self.before)) else { return Ok(None) };
        let interval_ticks = self.interval_ns as f64 * self.ticks_per_second as f64 / 1e9;
        let ticks = ticks_between(now, before).ok_or(Implausible)?;
        if !is_accounted(&ticks, interval_ticks)? {
            return Ok(None);
        }
        let pct = |ticks: u64| {
            if interval_ticks > 0.0 { (ticks as f64 * 100.0 / interval_ticks).min(100.0) } else { 0.0 }
        };
        Ok(Some(CpuStat {
            user_pct: pct(ticks.user + ticks.nice),
            system_pct: pct(ticks.system),
            softirq_pct: pct(ticks.softirq),
            irq_pct: pct(ticks.irq),
            iowait_pct: pct(ticks.iowait),
            idle_pct: pct(ticks.idle),
            steal_pct: pct(ticks.steal),
        }))
    }
}

/// By how many ticks idle and iowait may go back (`get_idle_time`, `fs/proc/stat.c`).
const BACK_TICKS: u64 = 20;
/// By how many ticks the times of a CPU may miss the interval: the kernel adds whole ticks, late on a CPU
/// that has stopped its tick.
const SLACK_TICKS: f64 = 20.0;

/// With less than this part of its ticks, a CPU's accounting stands still.
const STILL: f64 = 0.1;
/// In an interval of this many ticks, some must come.
const SURE_TICKS: f64 = 10.0;

/// The ticks of each kind; `None` if one went back.
fn ticks_between(now: &CpuTicks, before: &CpuTicks) -> Option<CpuTicks> {
    let CpuTicks { cpu, user, nice, system, idle, iowait, irq, softirq, steal } = *now;
    let idle_since = |now: u64, before: u64| {
        (now.saturating_add(BACK_TICKS) >= before).then(|| now.saturating_sub(before))
    };
    Some(CpuTicks {
        cpu,
        user: user.checked_sub(before.user)?,
        nice: nice.checked_sub(before.nice)?,
        system: system.checked_sub(before.system)?,
        idle: idle_since(idle, before.idle)?,
        iowait: idle_since(iowait, before.iowait)?,
        irq: irq.checked_sub(before.irq)?,
        softirq: softirq.checked_sub(before.softirq)?,
        steal: steal.checked_sub(before.steal)?,
    })
}

/// Whether the times are those of this interval. A CPU cannot spend more time than has passed. Less is no
/// contradiction, since a virtual machine that waits for its host misses ticks; but with next to none, what
/// is not idle is not busy either. A CPU without its tick is no exception: the kernel adds what it has spent
/// since (`get_idle_time` in `fs/proc/stat.c`, `kcpustat_cpu_fetch_vtime` in `kernel/sched/cputime.c`).
fn is_accounted(ticks: &CpuTicks, interval_ticks: f64) -> Result<bool, Implausible> {
    let CpuTicks { cpu: _, user, nice, system, idle, iowait, irq, softirq, steal } = ticks;
    let kinds = [user, nice, system, idle, iowait, irq, softirq, steal];
    let sum = kinds.into_iter().fold(0_u64, |sum, ticks| sum.saturating_add(*ticks)) as f64;
    if sum > 1.5 * interval_ticks + SLACK_TICKS {
        return Err(Implausible);
    }
    let is_still = sum < STILL * interval_ticks;
    // In a shorter interval, there may have been no tick by chance.
    if is_still && interval_ticks >= SURE_TICKS { Err(Implausible) } else { Ok(!is_still) }
}

fn softirqs(activity: &CpuActivity, latency: bool) -> Softirqs {
    let vector = |at: usize| {
        let Runs { count, ns, max_ns } = activity.vectors[at];
        let delays = activity.latency[at];
        let delays =
            delays.ns.zip(delays.max_ns).map(|(ns, max_ns)| Latency { count: delays.count, ns, max_ns });
        Vector { count, ns, max_ns, latency: delays.filter(|_| latency), ..Vector::default() }
    };
    // The kernel's order: include/linux/interrupt.h.
    Softirqs {
        hi: vector(0),
        timer: vector(1),
        net_tx: vector(2),
        net_rx: NetRx {
            vector: vector(3),
            other_ns: activity.other_ns,
            other_est_ns: None,
            mixed_ns: activity.mixed_ns,
        },
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
    let gained = |field: fn(&SoftnetRow) -> u32| gained(u64::from(field(&now)), u64::from(field(&before)));
    Some(Softnet {
        processed: gained(|row| row.processed)?,
        dropped: gained(|row| row.dropped)?,
        time_squeeze: gained(|row| row.time_squeeze)?,
        received_rps: gained(|row| row.received_rps)?,
        backlog_len: now.backlog_len,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// What was observed in one second of a machine with two CPUs.
    fn observed() -> Observation {
        let lines = include_str!("../../../tests/scenarios/counts-only.ndjson");
        Observation::load(lines.lines().next().unwrap()).unwrap()
    }

    /// The shares of the CPUs, and the problem, if the counters at the end were changed like this.
    fn stat_of(change: impl Fn(&mut Vec<CpuTicks>)) -> (Vec<Option<CpuStat>>, Option<String>) {
        let mut seen = observed();
        change(&mut Arc::make_mut(&mut seen.facts.now).stat);
        let stat = cpus(&seen, &Filter::default()).iter().map(|cpu| cpu.stat).collect();
        (stat, Between::of(&seen).stat_problem())
    }

    #[test]
    fn a_stat_that_does_not_add_up_is_unknown() {
        let (stat, problem) = stat_of(|_| ());
        assert!(stat.iter().all(Option::is_some) && problem.is_none(), "{problem:?}");

        // User time alone and idle time alone each fill the interval, as in a container.
        let (stat, problem) = stat_of(|cpus| cpus[0].user += 100);
        assert!(stat[0].is_none() && stat[1].is_some());
        assert!(problem.unwrap().starts_with("the CPU times in /proc/stat went backwards or do not match"));

        let before = observed().facts.before.stat.clone();
        let (stat, problem) = stat_of(|cpus| cpus[1].system = before[1].system - 1);
        assert!(stat[1].is_none() && problem.is_some(), "it goes back");
        let (stat, problem) = stat_of(|cpus| cpus[0].iowait = before[0].iowait.saturating_sub(2));
        assert!(stat[0].is_some() && problem.is_none(), "iowait may");
    }

    #[test]
    fn a_stat_that_stands_still_is_unknown() {
        let mut seen = observed();
        seen.interval_ns *= 2;
        assert_eq!(Between::of(&seen).stat_problem(), None, "half of the ticks are missing");
        let before = seen.facts.before.stat[1];
        let busy_cpus = |seen: &Observation| {
            busy_ns(seen, &Filter::default()).into_iter().map(|(cpu, _)| cpu).collect::<Vec<_>>()
        };
        // In a second with a few ticks or none, in a short frame, and where a tick might just not have come.
        for (interval_ns, idle, is_problem) in [
            (1_000_000_000, 0, true),
            (1_000_000_000, 9, true),
            (100_000_000, 0, true),
            (90_000_000, 0, false),
        ] {
            seen.interval_ns = interval_ns;
            for moment in [&mut seen.facts.now, &mut seen.facts.before] {
                Arc::make_mut(moment).stat[0] = CpuTicks { cpu: 0, ..before };
            }
            let now = Arc::make_mut(&mut seen.facts.now);
            now.stat[0].user += interval_ns / 10_000_000;
            now.stat[1] = CpuTicks { idle: before.idle + idle, ..before };
            let frame = cpus(&seen, &Filter::default());
            assert!(frame[0].stat.is_some() && frame[1].stat.is_none(), "{interval_ns} {idle}");
            assert_eq!(busy_cpus(&seen), [0], "unknown is not busy");
            assert_eq!(Between::of(&seen).stat_problem().is_some(), is_problem, "{interval_ns} {idle}");
        }
    }

    #[test]
    fn a_cpu_that_came_online_is_unknown_and_no_problem() {
        let mut seen = observed();
        Arc::make_mut(&mut seen.facts.before).stat.pop();
        let frame = cpus(&seen, &Filter::default());
        assert!(frame[0].stat.is_some() && frame[1].stat.is_none());
        assert_eq!(Between::of(&seen).stat_problem(), None);
    }

    #[test]
    fn a_stat_of_other_cpus_is_unknown() {
        let mut seen = observed();
        for moment in [&mut seen.facts.now, &mut seen.facts.before] {
            let moment = Arc::make_mut(moment);
            moment.online = moment.cpus();
            moment.stat.pop();
        }
        let frame = cpus(&seen, &Filter::default());
        assert_eq!(frame.iter().map(|cpu| (cpu.cpu, cpu.stat)).collect::<Vec<_>>(), [(0, None), (1, None)]);
        assert!(Between::of(&seen).stat_problem().unwrap().contains("lists CPUs 0 while 0-1 are online"));
        assert!(busy_ns(&seen, &Filter::default()).is_empty());
    }

    #[test]
    fn a_backlog_counter_that_goes_back_is_unknown() {
        let mut seen = observed();
        assert!(softnet(&seen.facts, 0).is_some());
        Arc::make_mut(&mut seen.facts.before).softnet[0].processed = u32::MAX / 3;
        let now = seen.facts.now.softnet[0].processed;
        assert!(now < u32::MAX / 3 && softnet(&seen.facts, 0).is_none());
    }

    #[test]
    fn softirqs_of_a_cpu_without_a_before_are_unknown() {
        let mut seen = observed();
        seen.reading.unknown_cpus = vec![1];
        let frame = cpus(&seen, &Filter::default());
        assert!(frame[0].softirq.is_some() && frame[1].softirq.is_none());
    }
}
