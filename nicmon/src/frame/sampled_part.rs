//! How many samples might have hit something, on which the 95 % interval of an estimated time rests.

use super::{Gap, Host, SampleEvent};

/// The part of an interval in which something was sampled.
#[derive(Debug, Clone, Copy)]
pub struct SampledPart<'a> {
    /// How the CPUs were sampled in the whole interval.
    pub host: &'a Host,
    /// The interval.
    pub interval_ns: u64,
    /// Length of the part, and busy samples in it.
    pub known: Gap,
}

impl SampledPart<'_> {
    /// How many samples might have hit something whose samples stand for `ns_per_sample` each; `None` if
    /// they were not all taken at one rate.
    ///
    /// A timer ticks in time, so each tick might have hit, also those of an idle CPU: how much of the time
    /// was busy is as uncertain as whose it was. Cycles are counted only by busy CPUs, and for how long they
    /// were busy is known from the kernel's accounting.
    pub fn trials(&self, ns_per_sample: f64) -> Option<u64> {
        let sampling = self.host.sampling?;
        let frequency_per_s = sampling.frequency_per_s?;
        let (Some(SampleEvent::CpuClock), Some(expected)) = (self.host.sample_event, sampling.expected)
        else {
            return Some(self.known.busy);
        };
        // What was expected of a timer is the CPU time that was sampled, in periods. If ticks are missing,
        // each of those that came stands for more than one.
        let sampled_ns = expected as f64 * 1e9 / f64::from(frequency_per_s.max(1));
        let part = self.known.ns as f64 / self.interval_ns.max(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of samples"
        )]
        let trials = (sampled_ns * part / ns_per_sample.max(1.0)).round() as u64;
        Some(trials)
    }
}
