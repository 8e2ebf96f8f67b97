//! Counts only, where measuring costs too much and windows would disturb CPUs that are to be left alone.
//!
//! What the kernel counts and the timers' samples stay. Times of softirqs, polls and interrupts are unknown.

use std::time::Duration;

use super::{kernel_counts::KernelCounts, schedule::AIM};
use crate::{
    collect::CollectError,
    counters::{
        Reading, SampleKind, Samples, SeenInWindows,
        bpf::{CpuShare, Probe},
    },
    frame::pct_of,
    host::Roots,
};

/// How long measuring must have been affordable before it begins again: attaching interrupts each CPU, too.
const LASTING: Duration = Duration::from_secs(10);

/// Counts without times.
pub(super) struct Counting {
    why: String,
    /// What measuring may cost, in percent of a CPU.
    max_pct: f64,
    /// What measuring cost on the CPU that paid most, per softirq that ran there.
    ns_per_run: f64,
    kernel: KernelCounts,
    /// For how long it would have been affordable.
    affordable: Duration,
}

impl Counting {
    /// Detaches what measures, at the end of the interval `last`.
    ///
    /// # Errors
    /// What the kernel counts cannot be read. Everything stays attached.
    pub(super) fn begin(
        probe: &mut Probe,
        roots: &Roots,
        (max_pct, costliest): (f64, CpuShare),
        because: &str,
        last: &Reading,
    ) -> Result<Self, CollectError> {
        let kernel = KernelCounts::begin(roots)?;
        probe.close_window();
        // Or all samples would belong to what ran last.
        probe.forget_what_runs();
        let runs: u64 = (last.cpus.get(costliest.cpu as usize))
            .map_or(0, |cpu| cpu.vectors.iter().map(|runs| runs.count).sum());
        let cost_ns = costliest.windowed_pct / 100.0 * probe.interval_ns() as f64;
        Ok(Self {
            why: format!(
                "{because}, so they are detached, and no time of a softirq, poll or interrupt is known; to \
                 have estimates, use --windows, which interrupts isolated and tickless CPUs twice for each \
                 window; to measure all the time, use --max-overhead off"
            ),
            max_pct,
            ns_per_run: cost_ns / runs.max(1) as f64,
            kernel,
            affordable: Duration::ZERO,
        })
    }

    /// Ends the interval.
    pub(super) fn read(&mut self, probe: &mut Probe, roots: &Roots) -> Result<Reading, CollectError> {
        let mut reading = probe.read()?;
        let mut interval = self.kernel.end(roots)?;
        let counted = std::mem::take(&mut interval.counted);
        let most_runs = counted.iter().flatten().map(|counted| counted.runs.iter().sum::<u64>()).max();
        self.follow(most_runs.unwrap_or(0), interval.length);
        if let Some(samples) = &mut reading.samples {
            forget_contexts(samples);
        }
        Ok(Reading {
            napis: None,
            histograms: None,
            windows: Some(SeenInWindows { why: self.why.clone(), counted, ..SeenInWindows::default() }),
            ..interval.complete(reading)
        })
    }

    /// Learns what measuring would have cost on the CPU with most runs.
    fn follow(&mut self, most_runs: u64, interval: Duration) {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let cost_pct = self.ns_per_run * pct_of(most_runs, interval_ns);
        self.affordable =
            if cost_pct <= AIM * self.max_pct { self.affordable + interval } else { Duration::ZERO };
    }

    /// Whether to measure again.
    pub(super) fn is_affordable(&self) -> bool {
        self.affordable >= LASTING
    }
}

/// The programs that know what runs on a CPU are detached, so in the kernel anything may be on top of a task.
fn forget_contexts(samples: &mut Samples) {
    for sample in &mut samples.taken {
        if !matches!(sample.kind, SampleKind::User | SampleKind::Idle) {
            sample.kind = SampleKind::Kernel;
        }
        (sample.poll, sample.socket) = (None, None);
    }
    samples.has_sockets = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_must_have_been_affordable_for_ten_seconds() {
        let roots = Roots::default();
        let mut counting = Counting {
            why: String::new(),
            max_pct: 5.0,
            ns_per_run: 350.0,
            kernel: KernelCounts::begin(&roots).unwrap(),
            affordable: Duration::ZERO,
        };
        let mut follow = |runs_per_s: u64, seconds: u64| {
            counting.follow(runs_per_s * seconds, Duration::from_secs(seconds));
            counting.is_affordable()
        };
        // 3.5 % of a CPU.
        assert!(!follow(100_000, 9));
        assert!(!follow(101_000, 1));
        assert!(!follow(100_000, 9));
        assert!(follow(0, 1));
    }
}
