//! What a frame holds. Serialised, it is one line of `nicmon --json`.
//!
//! Every value covers the frame's interval unless its comment says otherwise. `None` (`null`) means unknown here; an
//! absent array element means a measured zero. Within `nicmon.frame/1`, fields are only ever added.
//!
//! A field is described in one place, beside its declaration, in two lengths. Its title is what people read: the help of
//! the screen and the heads of columns. Its comment is the definition, and speaks of `null` because readers of JSON see
//! it. The JSON Schema and docs/fields.md are made from both. The unit is in the name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cpu::Cpu,
    drivers::{Driver, Gap, SampleEvent, Sampling},
    irq::Irq,
    netns::Netns,
    nic::Nic,
    stacks::SampledStack,
    topology::Topology,
};

/// The value of [`Frame::schema`].
pub const SCHEMA: &str = "nicmon.frame/1";

/// What happened on one host during one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Name and version of this schema: `nicmon.frame/1`.
    #[schemars(title = "Name and version of this format")]
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Number of the frame in its stream, from 0.
    #[schemars(title = "Number of the frame in its stream")]
    pub seq: u64,
    /// End of the interval, RFC 3339 in UTC.
    #[schemars(title = "End of the interval, UTC")]
    pub time: String,
    /// End of the interval on `CLOCK_MONOTONIC`.
    #[schemars(title = "End of the interval on the monotonic clock")]
    pub mono_ns: u64,
    /// The kernel's boot id: tells whether two frames' `mono_ns` may be compared.
    #[schemars(title = "Boot of the machine")]
    pub boot_id: Option<String>,
    /// Length of the interval, as measured: a late tick makes it longer.
    #[schemars(title = "Length of the interval")]
    pub interval_ns: u64,
    /// Facts of the whole machine.
    #[schemars(title = "The machine")]
    pub host: Host,
    /// Every online CPU (or those chosen by `-C`), ascending.
    #[schemars(title = "CPUs")]
    pub cpus: Vec<Cpu>,
    /// NICs, worst load first.
    #[schemars(title = "NICs")]
    pub nics: Vec<Nic>,
    /// What drivers cost, dearest first; `null` where the CPUs are not sampled or kernel symbols cannot be read, and for
    /// a second or two after a kernel module came or went.
    #[schemars(title = "What the drivers cost")]
    #[serde(default)]
    pub drivers: Option<Vec<Driver>>,
    /// Call stacks of network code by samples, most first; `null` without `--stacks`, or where `drivers` is.
    #[schemars(title = "Call stacks of network code")]
    #[serde(default)]
    pub stacks: Option<Vec<SampledStack>>,
    /// Device interrupts that fired, by irq and action.
    #[schemars(title = "Device interrupts")]
    pub irqs: Vec<Irq>,
    /// Network namespaces that could be entered, ascending by inode.
    #[schemars(title = "Network namespaces")]
    #[serde(default)]
    pub netns: Vec<Netns>,
    /// How the network is set up: in the first frame, after each change and every 60 s.
    #[schemars(title = "Network configuration")]
    #[serde(default)]
    pub topology: Option<Topology>,
    /// What nicmon itself cost.
    #[schemars(title = "Cost of nicmon itself")]
    #[serde(rename = "self")]
    pub own: OwnCost,
}

impl Frame {
    /// Whether it shows every CPU. Packets are of all of them: beside these no time of some CPUs may stand.
    pub fn has_all_cpus(&self) -> bool {
        self.cpus.len() >= self.host.cpus_online as usize
    }
}

/// Facts of the whole machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Node name.
    #[schemars(title = "Host name")]
    pub hostname: String,
    /// Kernel release.
    #[schemars(title = "Kernel release")]
    pub kernel: String,
    /// Number of online CPUs.
    #[schemars(title = "Online CPUs")]
    pub cpus_online: u32,
    /// Who counts.
    #[schemars(title = "Where the counts come from")]
    #[serde(default)]
    pub source: Source,
    /// Why it is not the kernel programs; `null` where it is, or where the kernel's counts were asked for.
    #[schemars(title = "Why the eBPF programs are not in use")]
    #[serde(default)]
    pub source_reason: Option<String>,
    /// How this kernel accounts the time that `cpus[].stat` shows; `null` where its BTF cannot be read.
    #[schemars(title = "How the kernel accounts CPU time")]
    pub accounting: Option<Accounting>,
    /// True where the kernel is `PREEMPT_RT`: softirq times then include preemption.
    #[schemars(title = "PREEMPT_RT kernel")]
    pub preempt_rt: bool,
    /// What samples are taken by; `null` where the CPUs are not sampled.
    #[schemars(title = "What triggers a sample")]
    #[serde(default)]
    pub sample_event: Option<SampleEvent>,
    /// Why `drivers` is `null`, where the CPUs should be sampled.
    #[schemars(title = "Why driver costs are unknown")]
    #[serde(default)]
    pub drivers_reason: Option<String>,
    /// The part of a report's interval in which `drivers` was `null`: the figures of drivers leave it out. Absent where
    /// there is none, as in all frames but reports.
    #[schemars(title = "Part of a report without driver costs")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers_gap: Option<Gap>,
    /// How the CPUs were sampled; `null` where they were not.
    #[schemars(title = "How the CPUs were sampled")]
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// Packets the kernel dropped, by reason, most first; `null` where the kernel names no reason (before 5.17).
    #[schemars(title = "Packets the kernel dropped, by reason")]
    pub drops: Option<Vec<DroppedPackets>>,
}

/// Who counts softirqs and interrupts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// nicmon's kernel programs: counts and exact times.
    #[default]
    Bpf,
    /// The kernel's own files: counts only, every time is `null`.
    Proc,
}

/// The kernel's way of accounting CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accounting {
    /// Sampled once a tick: short softirqs are missed or overcounted.
    Tick,
    /// `CONFIG_IRQ_TIME_ACCOUNTING`: hard and soft irq time measured at each switch.
    IrqTime,
    /// `CONFIG_VIRT_CPU_ACCOUNTING`: everything measured at each switch.
    Virt,
}

impl Accounting {
    /// What people read, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::IrqTime => "irq_time",
            Self::Virt => "virt",
        }
    }
}

/// Packets dropped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Drop")]
pub struct DroppedPackets {
    /// Name of the `skb_drop_reason`, as the kernel's BTF has it, without its prefix.
    #[schemars(title = "Reason for the drop")]
    pub reason: String,
    /// Packets dropped for this reason.
    #[schemars(title = "Packets dropped for this reason")]
    pub count: u64,
    /// Where in the kernel they were dropped, most first.
    #[schemars(title = "Where they were dropped")]
    pub locations: Vec<DropLocation>,
}

/// A place in the kernel that dropped packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropLocation {
    /// The function that dropped them, or `null` where kallsyms hides addresses.
    #[schemars(title = "Kernel function that dropped them")]
    pub symbol: Option<String>,
    /// Packets dropped there.
    #[schemars(title = "Packets dropped there")]
    pub count: u64,
}

/// What nicmon itself cost in the interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnCost {
    /// Time in nicmon's kernel programs, estimated as runs times the calibrated cost of one.
    #[schemars(title = "Time in nicmon's eBPF programs, estimated")]
    pub bpf_est_ns: Option<u64>,
    /// Runs of nicmon's kernel programs.
    #[schemars(title = "Runs of nicmon's eBPF programs")]
    pub bpf_runs: Option<u64>,
    /// CPU time of nicmon's process.
    #[schemars(title = "CPU time of the nicmon process")]
    pub cpu_ns: u64,
    /// Resident memory of its process, at the end of the interval.
    #[schemars(title = "Memory of the nicmon process")]
    pub rss_bytes: u64,
    /// Events that could not be counted: full map, unpaired event, recursion; `null` where no programs run.
    #[schemars(title = "Events nicmon could not count")]
    pub lost: Option<u64>,
    /// `bpf_est_ns` and `cpu_ns` in percent of one CPU; `null` where `bpf_est_ns` is.
    #[schemars(title = "Overhead of nicmon, in percent of one CPU")]
    pub overhead_pct: Option<f64>,
    /// The part of a report's interval in which `bpf_est_ns` was `null`: it is left out there, and `overhead_pct` takes
    /// it to have been as in the rest. Absent where there is none, as in all frames but reports.
    #[schemars(title = "Part of a report without the cost of the eBPF programs")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf_gap_ns: Option<u64>,
}
