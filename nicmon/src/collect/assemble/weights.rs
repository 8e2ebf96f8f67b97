//! What one sample on a CPU stands for.
//!
//! **A timer's sample** stands for the timer's period, as long as the CPU gave the samples that its busy time
//! should have given. It may give fewer: the kernel throttles an event that exceeds
//! `kernel.perf_event_max_sample_rate`, which it lowers by itself under load (`perf_sample_event_took` and
//! `__perf_event_account_interrupt` in `kernel/events/core.c`), an emulated machine delivers timers late, and
//! a ring may overflow. Then the busy samples share the busy time. That time is the kernel's accounting, but
//! never more than the ticks that did not come could have shown: a CPU whose ticks all came is not corrected
//! by accounting that may be wrong itself. Ticks of idle CPUs often do not come, and are no loss. Unless the
//! kernel is known to limit the samples, what chance can explain is not corrected either.
//!
//! **A sample by cycles** stands for a time that depends on the speed of the CPU, so the busy samples of each
//! CPU share the busy time of that CPU. So do samples that were taken in windows only. CPUs with few samples
//! are taken together. CPUs that are not sampled do not count: nobody knows what they did.

use std::collections::BTreeMap;

use crate::{
    counters::{SampleEvent, SampleKind, Samples},
    frame::cpu_list,
};

/// With fewer busy samples of a CPU, what one of them stands for is left to chance.
const FEW: u64 = 30;
/// By how many standard errors samples must be missing before that is believed.
const SURELY: f64 = 3.0;
/// The kernel's accounting is read in ticks, two of which may be counted in the neighbouring interval.
const TICKS_OFF: f64 = 2.0;
/// With less than this part of the samples, a CPU is reported.
const THIN: f64 = 0.5;

/// What samples stand for, by CPU.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    by_cpu: BTreeMap<u32, f64>,
    /// For a CPU without an entry.
    otherwise: f64,
    /// Samples that busy CPUs should have given; `None` with cycles, whose rate depends on the speed of a
    /// CPU.
    pub(super) busy_expected: Option<u64>,
    /// Sampled CPUs that gave less than half of the samples that their busy time should have given.
    thin: Vec<Thin>,
}

/// A CPU with too few samples.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Thin {
    cpu: u32,
    taken: u64,
    expected: f64,
}

/// What was sampled and accounted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) ns: u64,
    /// Of the kernel's accounting.
    pub(super) ticks_per_second: u64,
    /// Whether samples were taken all the time, not only in windows.
    pub(super) is_sampled_throughout: bool,
}

/// One sampled CPU in one interval.
#[derive(Debug, Clone, Copy, Default)]
struct Sampled {
    taken: u64,
    busy: u64,
    /// How long it was busy by the kernel's accounting; `None` if that is unknown.
    busy_ns: Option<u64>,
}

impl Weights {
    /// `busy_ns` is how long each CPU was busy by the kernel's accounting. `limit` is the most samples per
    /// second that the kernel takes on a CPU, as far as that is known.
    pub(super) fn of(
        samples: &Samples,
        busy_ns: &[(u32, u64)],
        interval: Interval,
        limit: Option<u32>,
    ) -> Self {
        let mut cpus: BTreeMap<u32, Sampled> =
            samples.cpus.iter().map(|cpu| (*cpu, Sampled::default())).collect();
        for sample in &samples.taken {
            let seen = cpus.entry(sample.cpu).or_default();
            seen.taken += 1;
            seen.busy += u64::from(sample.kind != SampleKind::Idle);
        }
        for (cpu, ns) in busy_ns {
            if let Some(seen) = cpus.get_mut(cpu) {
                seen.busy_ns = Some(*ns);
            }
        }
        let period_ns = 1e9 / f64::from(samples.frequency.max(1));
        match samples.event {
            SampleEvent::CpuClock if interval.is_sampled_throughout => {
                let is_limited = limit.is_some_and(|limit| limit < samples.frequency);
                of_timer(&cpus, period_ns, interval, is_limited)
            }
            SampleEvent::CpuClock | SampleEvent::Cycles => of_cycles(&cpus, period_ns),
        }
    }

    /// What one sample on this CPU stands for, in ns.
    pub(super) fn ns(&self, cpu: u32) -> f64 {
        self.by_cpu.get(&cpu).copied().unwrap_or(self.otherwise)
    }

    /// Why samples are missing, if more than half of those of a busy CPU are. `limit` is the kernel's, in
    /// samples per second, as far as it is known.
    pub(super) fn reason(&self, frequency: u32, limit: Option<u32>) -> Option<String> {
        let worst = self
            .thin
            .iter()
            .min_by(|a, b| (a.taken as f64 / a.expected).total_cmp(&(b.taken as f64 / b.expected)))?;
        let cpus: Vec<u32> = self.thin.iter().map(|thin| thin.cpu).collect();
        let which = match cpus.as_slice() {
            [cpu] => format!("CPU {cpu}"),
            cpus => format!("each of the CPUs {}", cpu_list(cpus)),
        };
        let Thin { cpu, taken, expected } = *worst;
        let why = match limit {
            Some(limit) if limit < frequency => format!(
                "the kernel allows only {limit} samples per second: use a lower -F, or \
                 `sysctl kernel.perf_event_max_sample_rate=100000`"
            ),
            _ => "the timer came too late or not at all, as on an overloaded virtual machine: try a lower -F"
                .to_owned(),
        };
        Some(format!(
            "{which} gave less than half of its samples (CPU {cpu}: {taken} of {expected:.0} while it was \
             busy); {why}"
        ))
    }
}

fn of_timer(cpus: &BTreeMap<u32, Sampled>, period_ns: f64, interval: Interval, is_limited: bool) -> Weights {
    let mut weights =
        Weights { by_cpu: BTreeMap::new(), otherwise: period_ns, busy_expected: None, thin: Vec::new() };
    let mut all_expected = 0.0;
    for (cpu, seen) in cpus {
        let busy = seen.busy as f64;
        let expected = busy + seen.missing(period_ns, interval, is_limited);
        all_expected += expected;
        if busy > 0.0 && expected > busy {
            weights.by_cpu.insert(*cpu, period_ns * expected / busy);
        }
        // So few samples the accounting may have expected by mistake.
        if busy < THIN * expected && expected > TICKS_OFF * interval.samples_per_tick(period_ns) {
            weights.thin.push(Thin { cpu: *cpu, taken: seen.busy, expected });
        }
    }
    weights.busy_expected = Some(whole(all_expected));
    weights
}

impl Interval {
    fn samples_per_tick(self, period_ns: f64) -> f64 {
        1e9 / period_ns / (self.ticks_per_second as f64).max(1.0)
    }
}

impl Sampled {
    /// How many of a timer's samples are missing while the CPU was busy: where the kernel is known to limit
    /// them, by the accounting; else only if chance cannot explain it.
    fn missing(&self, period_ns: f64, interval: Interval, is_limited: bool) -> f64 {
        let Some(busy_ns) = self.busy_ns else { return 0.0 };
        let (busy_ns, interval_ns) = (busy_ns as f64, interval.ns as f64);
        let due = busy_ns / period_ns;
        let not_taken = (interval_ns / period_ns - self.taken as f64).max(0.0);
        let missing = (due - self.busy as f64).min(not_taken);
        if is_limited {
            return missing.max(0.0);
        }
        // Both the samples and the ticks of the accounting hit busy time by chance, unless all of it is busy.
        let idle_part = 1.0 - (busy_ns / interval_ns).min(1.0);
        let samples_per_tick = interval.samples_per_tick(period_ns);
        let variance = due * idle_part * (1.0 + samples_per_tick);
        let surely = SURELY * variance.sqrt() + TICKS_OFF * samples_per_tick.max(1.0);
        if missing > surely { missing } else { 0.0 }
    }
}

fn of_cycles(cpus: &BTreeMap<u32, Sampled>, nominal_ns: f64) -> Weights {
    let share = |busy_ns: f64, busy: u64| (busy > 0 && busy_ns > 0.0).then(|| busy_ns / busy as f64);
    let pool = |of: &dyn Fn(&Sampled) -> bool| {
        let known = || cpus.values().filter(|seen| seen.busy_ns.is_some() && of(seen));
        let busy: u64 = known().map(|seen| seen.busy).sum();
        (busy, share(known().filter_map(|seen| seen.busy_ns).sum::<u64>() as f64, busy))
    };
    let is_few = |seen: &Sampled| seen.busy < FEW;
    let (few, of_few) = pool(&is_few);
    let (_, of_all) = pool(&|_| true);
    let otherwise = if few >= FEW { of_few } else { of_all }.unwrap_or(nominal_ns);
    let own = cpus.iter().filter(|(_, seen)| !is_few(seen));
    let by_cpu = own.filter_map(|(cpu, seen)| Some((*cpu, share(seen.busy_ns? as f64, seen.busy)?)));
    Weights { by_cpu: by_cpu.collect(), otherwise, busy_expected: None, thin: Vec::new() }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of samples")]
fn whole(samples: f64) -> u64 {
    samples.round() as u64
}

#[cfg(test)]
mod tests;
