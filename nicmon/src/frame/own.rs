//! `self`: what nicmon itself costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What nicmon itself cost in the interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnCost {
    /// Time in nicmon's eBPF programs, estimated: their runs, each times what a run of that program costs.
    #[schemars(title = "Time in nicmon's eBPF programs, estimated")]
    pub bpf_est_ns: Option<u64>,
    /// The range of `bpf_est_ns`. It is wide because it is not known what the kernel needs to call a
    /// program, unless `nicmon overhead` has measured that since the machine booted. Absent if `bpf_est_ns`
    /// is `null`, and in sums of frames of which one lacks it.
    #[schemars(title = "Range of that time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf_est_ci_ns: Option<[u64; 2]>,
    /// Runs of nicmon's eBPF programs.
    #[schemars(title = "Runs of nicmon's eBPF programs")]
    pub bpf_runs: Option<u64>,
    /// Each of the programs that ran. Absent if none are attached, and in recordings of nicmon 0.1.0.
    #[schemars(title = "Each eBPF program")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<Vec<OwnProgram>>,
    /// The CPUs on which they ran. Absent if none are attached, and in recordings of nicmon 0.1.0.
    #[schemars(title = "CPUs on which nicmon's programs ran")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Vec<OwnCpu>>,
    /// CPU time of nicmon's processes: its own, and that of the broker, which keeps the privileges, as of its
    /// last answer.
    #[schemars(title = "CPU time of nicmon's processes")]
    pub cpu_ns: u64,
    /// Of `cpu_ns`, reading counters, samples and facts. What is in neither this nor `make_ns` went into
    /// findings, writing or drawing frames, and everything else.
    #[schemars(title = "CPU time that nicmon spent on reading")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_ns: Option<u64>,
    /// Of `cpu_ns`, making a frame from what was read.
    #[schemars(title = "CPU time that nicmon spent on making frames")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub make_ns: Option<u64>,
    /// Resident memory of nicmon at the end of the interval, and what its broker holds that no file backs.
    /// Pages that the two still share count twice.
    #[schemars(title = "Memory of nicmon's processes")]
    pub rss_bytes: u64,
    /// Events that could not be counted, because a map was full, an event had no partner or a program
    /// recursed; `null` if no eBPF programs run.
    #[schemars(title = "Events nicmon could not count")]
    pub lost: Option<u64>,
    /// `bpf_est_ns` and `cpu_ns` in percent of one CPU; `null` if `bpf_est_ns` is.
    #[schemars(title = "Overhead of nicmon, in percent of one CPU")]
    pub overhead_pct: Option<f64>,
    /// Periods (100 ms unless set otherwise) in which nicmon's control group or a parent used up its CPU
    /// quota, so that nicmon had to wait. Absent if that is unknown.
    #[schemars(title = "Periods in which nicmon's CPU quota was used up")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nr_throttled: Option<u64>,
    /// The part of a report's interval in which `bpf_est_ns` was `null`. The sum leaves it out, and
    /// `overhead_pct` assumes the same rate as in the rest. Absent if there was none, and in every frame that
    /// is not a report.
    #[schemars(title = "Part of a report without the cost of the eBPF programs")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf_gap_ns: Option<u64>,
}

/// One of nicmon's eBPF programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnProgram {
    /// Its name, which is that of its tracepoint; `sample` takes samples.
    #[schemars(title = "eBPF program")]
    pub program: String,
    /// How often it ran.
    #[schemars(title = "Runs of the program")]
    pub runs: u64,
    /// Their time, estimated. `null` if no program's cost is known.
    #[schemars(title = "Time of the program, estimated")]
    pub est_ns: Option<u64>,
    /// The range of `est_ns`.
    #[schemars(title = "Range of that time")]
    pub est_ci_ns: Option<[u64; 2]>,
}

/// What nicmon's eBPF programs cost on one CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnCpu {
    /// CPU number.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// Runs of the programs on it.
    #[schemars(title = "Runs of nicmon's eBPF programs")]
    pub bpf_runs: u64,
    /// Time of the programs on it, estimated.
    #[schemars(title = "Time in nicmon's eBPF programs, estimated")]
    pub bpf_est_ns: Option<u64>,
    /// That time in percent of this CPU. nicmon's process comes on top, wherever it runs.
    #[schemars(title = "That time, in percent of this CPU")]
    pub overhead_pct: Option<f64>,
}
