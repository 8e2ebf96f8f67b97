//! `drivers[]`: what the drivers cost, as exact interrupt time plus samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the CPUs were sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sampling {
    /// Samples that were asked for, per CPU per second (with `cycles`, of a busy CPU at its highest
    /// frequency); `null` in a report of frames with different rates.
    #[schemars(title = "Samples asked for, per CPU per second")]
    pub frequency_per_s: Option<u32>,
    /// Number of CPUs that are sampled. Isolated CPUs and CPUs that run without a tick are not.
    #[schemars(title = "CPUs that are sampled")]
    pub cpus: u32,
    /// Samples that were taken.
    #[schemars(title = "Samples taken")]
    pub samples: u64,
    /// Samples in which the CPU was idle: in the idle task, outside interrupts, softirqs and, if symbols are
    /// known, the kernel's softirq loop.
    #[schemars(title = "Samples of an idle CPU")]
    pub idle: u64,
    /// Samples in user mode.
    #[schemars(title = "Samples in user mode")]
    pub user: u64,
    /// Samples that are not `idle`. Shares are shares of these.
    #[schemars(title = "Busy samples: all that are not idle")]
    pub busy: u64,
    /// Samples that the busy CPUs should have given: `busy`, and those that are missing although the kernel
    /// says that the CPU was busy. Each sample of such a CPU stands for more than the timer's period; `null`
    /// with `cycles`.
    #[schemars(title = "Samples that busy CPUs should have given")]
    #[serde(default)]
    pub busy_expected: Option<u64>,
    /// Samples that the timer should have taken in the interval; `null` with `cycles`, which an idle CPU does
    /// not count.
    #[schemars(title = "Samples that the timer should have taken")]
    pub expected: Option<u64>,
    /// Samples that were overwritten before they were read. Shares are then shares of what is left.
    #[schemars(title = "Samples lost before they were read")]
    pub lost: u64,
}

/// A part of a report's interval in which something was unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Length of the gap.
    #[schemars(title = "Length of the gap")]
    pub ns: u64,
    /// Busy samples in the gap, which no share counts.
    #[schemars(title = "Busy samples in the gap")]
    pub busy: u64,
}

impl Gap {
    /// Both together.
    pub(crate) fn plus(self, more: Self) -> Self {
        Self { ns: self.ns.saturating_add(more.ns), busy: self.busy.saturating_add(more.busy) }
    }

    /// What is left of an interval and its busy samples.
    pub(crate) fn without(self, gap: Self) -> Self {
        Self { ns: self.ns.saturating_sub(gap.ns), busy: self.busy.saturating_sub(gap.busy) }
    }
}

/// What triggers a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SampleEvent {
    /// CPU cycles, in an NMI: code with interrupts off is sampled too.
    #[serde(rename = "cycles")]
    Cycles,
    /// A timer: code with interrupts off (above all, hard-irq handlers) is not sampled, and the code after it
    /// is sampled too often.
    #[serde(rename = "cpu-clock")]
    CpuClock,
}

impl SampleEvent {
    /// The word for people, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::CpuClock => "cpu-clock",
        }
    }
}

/// What one driver cost, with all its NICs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Driver {
    /// Name of the driver, as `ethtool -i` shows it.
    #[schemars(title = "Driver")]
    pub driver: String,
    /// How the driver's code was found; `null` if it was not found, and then everything sampled is `null`
    /// too.
    #[schemars(title = "How its code was found")]
    pub origin: Option<Origin>,
    /// Why the driver's code is unknown.
    #[schemars(title = "Why its code is unknown")]
    pub unknown: Option<String>,
    /// Samples in the driver's code, outside hard irqs.
    #[schemars(title = "Samples in its code, outside interrupt handlers")]
    pub samples: Option<u64>,
    /// `samples` in percent of all samples that were not idle.
    #[schemars(title = "Its share of all busy samples")]
    pub busy_share_pct: Option<f64>,
    /// The 95 % interval of `busy_share_pct`: lower and upper bound.
    #[schemars(title = "95 % interval of this share")]
    pub busy_share_ci_pct: Option<[f64; 2]>,
    /// Time of its interrupt handlers, exact; `null` if those of one of its NICs are unknown.
    #[schemars(title = "Time of its interrupt handlers, exact")]
    pub hardirq_ns: Option<u64>,
    /// The same, estimated from windows. In a report it may have exact parts. Absent if it is exact.
    #[schemars(title = "Time of its interrupt handlers, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardirq_est_ns: Option<u64>,
    /// Time of its code outside hard irqs, estimated from `samples`. Each sample stands for the timer's
    /// period. With `cycles`, and where a busy CPU gave fewer samples than it should have, it stands for an
    /// equal part of the time in which its CPU was busy by the kernel's accounting.
    #[schemars(title = "Time of its other code, estimated")]
    pub sampled_est_ns: Option<u64>,
    /// `hardirq_ns` and `sampled_est_ns` in percent of one CPU. An estimate, because the latter is one.
    #[schemars(title = "Its CPU time, in percent of one CPU, estimated")]
    pub cost_cpu_pct: Option<f64>,
    /// Packets that its NICs received and sent, in all namespaces that are read, also those that no frame
    /// lists; `null` if some are unknown or not all CPUs are sampled.
    #[schemars(title = "Packets its NICs received and sent")]
    #[serde(default)]
    pub packets: Option<u64>,
    /// Bytes that its NICs received and sent; `null` if `packets` is.
    #[schemars(title = "Bytes its NICs received and sent")]
    #[serde(default)]
    pub bytes: Option<u64>,
    /// The part of `hardirq_ns` and `sampled_est_ns` that `packets` and `bytes` took. This is all of it,
    /// except in reports in which the packets were unknown for a while; `null` if `packets` is.
    #[schemars(title = "CPU time that these packets took, estimated")]
    #[serde(default)]
    pub counted_est_ns: Option<u64>,
    /// Driver time per packet, `counted_est_ns` divided by `packets`; `null` if there were no packets.
    #[schemars(title = "Driver time per packet, estimated")]
    pub ns_per_packet: Option<f64>,
    /// CPU seconds of `counted_est_ns` per 10^9 of `bytes`; `null` if there were no bytes.
    #[schemars(title = "Driver CPU seconds per GB (10^9 bytes), estimated")]
    pub cpu_s_per_gb: Option<f64>,
    /// Code that works for this driver and for others. It is never part of the figures above.
    #[schemars(title = "Code that works for it and for others")]
    pub companions: Vec<Companion>,
    /// Its functions with the most samples, at most 20. A report lists every function that was among these in
    /// a frame.
    #[schemars(title = "Its functions with the most samples")]
    pub functions: Vec<SampledFunction>,
    /// The part of a report's interval in which its code was unknown while that of other drivers was known.
    /// Its figures leave it out. Absent if there was none, and in every frame that is not a report.
    #[schemars(title = "Part of a report in which its code was unknown")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

impl Driver {
    /// All the CPU time the driver took, in nanoseconds: `hardirq_ns` and `sampled_est_ns`. `None` if either
    /// is unknown.
    pub fn cost_ns(&self) -> Option<u64> {
        cost_ns(self.hardirq_time_ns(), self.sampled_est_ns)
    }

    /// Time of its interrupt handlers, exact or estimated.
    pub fn hardirq_time_ns(&self) -> Option<u64> {
        self.hardirq_ns.or(self.hardirq_est_ns)
    }
}

/// Exact and sampled time together, in nanoseconds. A sum that does not fit stays at the largest number.
pub(crate) fn cost_ns(hardirq_ns: Option<u64>, sampled_est_ns: Option<u64>) -> Option<u64> {
    Some(hardirq_ns?.saturating_add(sampled_est_ns?))
}

/// How the code of a driver was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is a loaded module: exact.
    Module,
    /// From the kernel's list of built-in code (modules.builtin.ranges): exact.
    BuiltinRanges,
    /// Inferred from the names of the functions around it.
    Inferred,
}

impl Origin {
    /// The word for people, the same in every output; at most 8 characters.
    pub fn label(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::BuiltinRanges => "builtin",
            Self::Inferred => "inferred",
        }
    }
}

/// Code that serves drivers but is not a driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Companion {
    /// Its module, or the part of the kernel.
    #[schemars(title = "Module or part of the kernel")]
    pub name: String,
    /// Samples in it, for any driver.
    #[schemars(title = "Samples in it, for any driver")]
    pub samples: u64,
    /// `samples` in percent of all samples that were not idle.
    #[schemars(title = "Its share of all busy samples")]
    pub busy_share_pct: Option<f64>,
}

/// A function in one context and one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampledFunction {
    /// Name of the function.
    #[schemars(title = "Function")]
    pub symbol: String,
    /// Where it ran.
    #[schemars(title = "Where it ran")]
    pub context: Context,
    /// Name of the current thread (lossy UTF-8); in an interrupt, the thread that was interrupted.
    #[schemars(title = "Running thread; in an interrupt, the interrupted one")]
    pub comm: String,
    /// Samples in it.
    #[schemars(title = "Samples in it")]
    pub samples: u64,
    /// `samples` in percent of all samples that were not idle.
    #[schemars(title = "Its share of all busy samples")]
    pub share_pct: Option<f64>,
}

/// Where kernel code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// A device interrupt handler.
    Hardirq,
    /// A softirq.
    Softirq,
    /// A thread, of a program or of the kernel.
    Task,
    /// Any of them: the programs that tell them apart were detached, to save CPU time.
    Unknown,
}

impl Context {
    /// The word for people, the same in every output; at most 7 characters.
    pub fn label(self) -> &'static str {
        match self {
            Self::Hardirq => "hardirq",
            Self::Softirq => "softirq",
            Self::Task => "task",
            Self::Unknown => "unknown",
        }
    }
}

/// The samples in polls of one NIC that fell into one stage of the network stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageShare {
    /// The stage.
    #[schemars(title = "Stage of the network stack")]
    pub stage: super::Stage,
    /// Samples in it.
    #[schemars(title = "Samples in it")]
    pub samples: u64,
    /// `samples` in percent of the samples in polls of this NIC.
    #[schemars(title = "Its share of the samples in polls of this NIC")]
    pub share_pct: f64,
    /// The 95 % interval of `share_pct`: lower and upper bound.
    #[schemars(title = "95 % interval of this share")]
    pub ci_pct: [f64; 2],
    /// For `other`, its functions with the most samples, at most 5; a report lists every function that was
    /// among these in a frame. The names of the other stages say what they are, and they list none.
    #[schemars(title = "Functions in no stage with the most samples")]
    #[serde(default)]
    pub functions: Vec<StageFunction>,
}

/// A function in the polls of one NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageFunction {
    /// Name of the function.
    #[schemars(title = "Function")]
    pub symbol: String,
    /// Samples in it.
    #[schemars(title = "Samples in it")]
    pub samples: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Stage;

    #[test]
    fn a_cost_is_known_if_both_parts_are() {
        assert_eq!(cost_ns(Some(2), Some(3)), Some(5));
        assert_eq!((cost_ns(None, Some(3)), cost_ns(Some(2), None)), (None, None));
        assert_eq!(cost_ns(Some(u64::MAX), Some(1)), Some(u64::MAX));
    }

    /// A reader of a table may look for the same word in JSON.
    #[test]
    fn labels_are_the_words_of_json() {
        fn word(value: impl Serialize) -> String {
            serde_json::to_value(value).expect("JSON").as_str().expect("a word").to_owned()
        }
        for event in [SampleEvent::Cycles, SampleEvent::CpuClock] {
            assert_eq!(event.label(), word(event));
        }
        for context in [Context::Hardirq, Context::Softirq, Context::Task, Context::Unknown] {
            assert_eq!(context.label(), word(context));
        }
        for stage in Stage::ALL {
            assert_eq!(stage.label(), word(stage));
        }
        // The whole word does not fit a column.
        assert_eq!(word(Origin::BuiltinRanges), format!("{}_ranges", Origin::BuiltinRanges.label()));
        for origin in [Origin::Module, Origin::Inferred] {
            assert_eq!(origin.label(), word(origin));
        }
    }
}
