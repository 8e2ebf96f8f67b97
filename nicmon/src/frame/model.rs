//! What a frame holds. Serialised, it is one line of `nicmon --json`.
//!
//! Every value covers the frame's interval unless its comment says otherwise. `None` (`null`) means unknown
//! here; an absent array element means a measured zero. Within `nicmon.frame/1`, fields are only ever added.
//!
//! A field is described in one place, beside its declaration, in two lengths. Its title is what people read:
//! the help of the screen and the heads of columns. Its comment is the definition, and speaks of `null`
//! because readers of JSON see it. The JSON Schema and docs/reference/fields.md are made from both. The unit
//! is in the name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cpu::Cpu,
    drivers::{Driver, Gap, SampleEvent, Sampling},
    findings::{Finding, Headroom, NotJudged},
    histogram::SoftirqTimes,
    irq::Irq,
    netns::Netns,
    nic::Nic,
    own::OwnCost,
    sockets::SocketUse,
    stacks::SampledStack,
    topology::Topology,
    windowed::Windows,
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
    /// Number of the frame in its stream, counted from 0.
    #[schemars(title = "Number of the frame in its stream")]
    pub seq: u64,
    /// End of the interval, in UTC (RFC 3339).
    #[schemars(title = "End of the interval, UTC")]
    pub time: String,
    /// End of the interval on `CLOCK_MONOTONIC`.
    #[schemars(title = "End of the interval on the monotonic clock")]
    pub mono_ns: u64,
    /// The kernel's boot id. The `mono_ns` of two frames can be compared only if their boot ids are equal.
    #[schemars(title = "Boot of the machine")]
    pub boot_id: Option<String>,
    /// Length of the interval as measured; a late tick makes it longer.
    #[schemars(title = "Length of the interval")]
    pub interval_ns: u64,
    /// When nicmon measured, if only in windows: because measuring all the time would cost more than
    /// `--max-overhead`. Exact times are then `null`, estimates stand beside them, counts of polls are
    /// `null`, and what is absent from `napis` is unknown. What the kernel itself counts stays. Absent if
    /// nicmon measured all the time.
    #[schemars(title = "Windows in which nicmon measured")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Windows>,
    /// Facts about the whole machine.
    #[schemars(title = "The machine")]
    pub host: Host,
    /// Every online CPU, or those chosen with `-C`, in ascending order.
    #[schemars(title = "CPUs")]
    pub cpus: Vec<Cpu>,
    /// How long softirqs took, by vector, in the order of `cpus[].softirq`, without those that did not run.
    /// `null` if the eBPF programs are not in use.
    #[schemars(title = "How long softirqs took")]
    #[serde(default)]
    pub softirqs: Option<Vec<SoftirqTimes>>,
    /// The NICs, highest load first.
    #[schemars(title = "NICs")]
    pub nics: Vec<Nic>,
    /// What the drivers cost, the most expensive first. `null` if the CPUs are not sampled or kernel symbols
    /// cannot be read, and for a second or two after a kernel module was loaded or unloaded.
    #[schemars(title = "What the drivers cost")]
    #[serde(default)]
    pub drivers: Option<Vec<Driver>>,
    /// What receiving and sending cost outside polls, in the tasks that read and write sockets, the most
    /// expensive first. No figure per packet or per byte includes it. `null` if the CPUs
    /// are not sampled, kernel symbols cannot be read, or the kernel could not unwind a stack.
    #[schemars(title = "What sockets cost the tasks that use them")]
    #[serde(default)]
    pub sockets: Option<Vec<SocketUse>>,
    /// Call stacks of network code, most samples first. `null` without `--stacks`, and whenever `drivers` is
    /// `null`.
    #[schemars(title = "Call stacks of network code")]
    #[serde(default)]
    pub stacks: Option<Vec<SampledStack>>,
    /// Device interrupts that fired, one entry per interrupt line and action.
    #[schemars(title = "Device interrupts")]
    pub irqs: Vec<Irq>,
    /// Network namespaces that nicmon could enter, in ascending order of their inodes.
    #[schemars(title = "Network namespaces")]
    #[serde(default)]
    pub netns: Vec<Netns>,
    /// How the network is configured: in the first frame, after each change and every 60 s.
    #[schemars(title = "Network configuration")]
    #[serde(default)]
    pub topology: Option<Topology>,
    /// What this frame and those before it mean, the worst first (in a report, in the order of time); `null`
    /// if it could not be judged. "Nothing found" is said of what the kernel sees: `AF_XDP`, DPDK and
    /// hardware offloads bypass it.
    #[schemars(title = "Findings")]
    #[serde(default)]
    pub findings: Option<Vec<Finding>>,
    /// How many packets NICs could receive before a CPU is full, the least headroom first. NICs with little
    /// traffic are absent; `null` if it could not be judged.
    #[schemars(title = "Headroom")]
    #[serde(default)]
    pub headroom: Option<Vec<Headroom>>,
    /// Rules that could not be judged, and why. Absent if all were.
    #[schemars(title = "What could not be judged, and why")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<NotJudged>,
    /// Version of the rules behind `findings` and `headroom`; `null` if the frame was not judged.
    #[schemars(title = "Version of the rules")]
    #[serde(default)]
    pub rules_version: Option<u32>,
    /// What nicmon itself cost.
    #[schemars(title = "Cost of nicmon itself")]
    #[serde(rename = "self")]
    pub own: OwnCost,
}

impl Frame {
    /// Whether the frame has every online CPU. Packets are always counted on all CPUs, so times of some CPUs
    /// must not be compared with them.
    pub fn has_all_cpus(&self) -> bool {
        self.cpus.len() >= self.host.cpus_online as usize
    }

    /// How long a NIC's counters were known, in ns: a sum of frames may lack some.
    pub fn counters_known_ns(&self, nic: &Nic) -> u64 {
        self.interval_ns.saturating_sub(nic.counters_gap_ns.unwrap_or(0))
    }

    /// Whether a NIC's times and packets are of the same time, CPUs and polls.
    pub fn can_divide_by_packets(&self, nic: &Nic) -> bool {
        nic.counters_gap_ns.is_none() && nic.is_timed() && self.has_all_cpus()
    }

    /// How long it was known what sockets cost.
    pub fn sockets_known_ns(&self) -> u64 {
        self.interval_ns.saturating_sub(self.host.sockets_gap.map_or(0, |gap| gap.ns))
    }

    /// The softirqs `TASKLET`, `HRTIMER` and `NET_TX` of a CPU, with their time, exact or estimated, if
    /// samples found network code in them there. All of `NET_TX` is network code; of the others it is a part.
    pub fn network_softirqs<'a>(
        &'a self,
        cpu: &'a Cpu,
    ) -> impl Iterator<Item = (&'static str, Option<u64>)> + 'a {
        let softirqs = self.nics.iter().filter_map(|nic| Some((nic, nic.softirq()?)));
        let here = softirqs.filter(|(nic, _)| nic.cpus.iter().any(|row| row.cpu == cpu.cpu));
        here.map(|(_, (name, of))| (name, cpu.softirq.and_then(|all| of(&all).time_ns())))
    }
}

/// Facts about the whole machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Node name of the machine.
    #[schemars(title = "Host name")]
    pub hostname: String,
    /// Kernel release.
    #[schemars(title = "Kernel release")]
    pub kernel: String,
    /// Number of online CPUs.
    #[schemars(title = "Online CPUs")]
    pub cpus_online: u32,
    /// What counts softirqs and interrupts.
    #[schemars(title = "Where the counts come from")]
    #[serde(default)]
    pub source: Source,
    /// Why the eBPF programs are not in use; `null` if they are, or if the kernel's own counts were asked
    /// for.
    #[schemars(title = "Why the eBPF programs are not in use")]
    #[serde(default)]
    pub source_reason: Option<String>,
    /// How the kernel accounts the CPU time in `cpus[].stat`; `null` if its BTF cannot be read.
    #[schemars(title = "How the kernel accounts CPU time")]
    pub accounting: Option<Accounting>,
    /// True on a `PREEMPT_RT` kernel. Softirq times then include preemption.
    #[schemars(title = "PREEMPT_RT kernel")]
    pub preempt_rt: bool,
    /// What triggers a sample; `null` if the CPUs are not sampled.
    #[schemars(title = "What triggers a sample")]
    #[serde(default)]
    pub sample_event: Option<SampleEvent>,
    /// Why a timer triggers the samples: which CPUs do not count cycles, and the error of the kernel. `null`
    /// with `cycles`.
    #[schemars(title = "Why samples come from a timer")]
    #[serde(default)]
    pub sample_event_reason: Option<String>,
    /// Why `drivers` is `null` although the CPUs should be sampled.
    #[schemars(title = "Why driver costs are unknown")]
    #[serde(default)]
    pub drivers_reason: Option<String>,
    /// The part of a report's interval in which `drivers` was `null`. The driver figures leave it out. Absent
    /// if there was none, and in every frame that is not a report.
    #[schemars(title = "Part of a report without driver costs")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers_gap: Option<Gap>,
    /// The part of a report's interval in which `sockets` was `null`. Its figures leave it out. Absent if
    /// there was none, and in every frame that is not a report.
    #[schemars(title = "Part of a report without costs of sockets")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sockets_gap: Option<Gap>,
    /// How the CPUs were sampled; `null` if they were not.
    #[schemars(title = "How the CPUs were sampled")]
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// What could not be read or cannot be believed, why, and what to do: one sentence each. Figures that
    /// depend on it are `null`. Absent if there was nothing.
    #[schemars(title = "What could not be read, and why")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Why less than half of the samples that a busy CPU should have given were taken, and on which CPUs;
    /// `null` if every CPU gave more. The times of drivers are right on average, but less certain.
    #[schemars(title = "Why samples of busy CPUs are missing")]
    #[serde(default)]
    pub sampling_reason: Option<String>,
    /// How many NICs a report leaves out, because too many came and went: those with the least load. Absent
    /// if there were none, and in every frame that is not a report.
    #[schemars(title = "NICs that a report leaves out")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nics_left_out: Option<u64>,
    /// How many network namespaces a report leaves out, likewise: those with the fewest packets.
    #[schemars(title = "Network namespaces that a report leaves out")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns_left_out: Option<u64>,
    /// Packets that the kernel dropped, by reason, most first; `null` if the kernel gives no reasons (before
    /// 5.17), or while counting them would cost more than `--max-overhead`, which is then in `problems`.
    #[schemars(title = "Packets the kernel dropped, by reason")]
    pub drops: Option<Vec<DroppedPackets>>,
}

impl Host {
    /// All of an interval, with the busy samples in it.
    pub(crate) fn whole(&self, interval_ns: u64) -> Gap {
        Gap { ns: interval_ns, busy: self.sampling.map_or(0, |sampling| sampling.busy) }
    }
}

/// What counts softirqs and interrupts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// nicmon's eBPF programs: counts and exact times.
    #[default]
    Bpf,
    /// The kernel's own files: counts only; every time is `null`.
    Proc,
}

/// The kernel's way of accounting CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accounting {
    /// Sampled once per tick: short softirqs are missed or counted too often.
    Tick,
    /// `CONFIG_IRQ_TIME_ACCOUNTING`: hard and soft irq time is measured at each switch.
    IrqTime,
    /// `CONFIG_VIRT_CPU_ACCOUNTING`: everything is measured at each switch.
    Virt,
}

impl Accounting {
    /// The word for people, the same in every output.
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
    /// Name of the `skb_drop_reason` in the kernel's BTF, without its prefix.
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
    /// The function that dropped them; `null` if kallsyms hides addresses.
    #[schemars(title = "Kernel function that dropped them")]
    pub symbol: Option<String>,
    /// Packets dropped there.
    #[schemars(title = "Packets dropped there")]
    pub count: u64,
}
