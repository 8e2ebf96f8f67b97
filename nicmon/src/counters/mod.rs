//! What happened between two readings of the kernel's counters, and the two sources of it: nicmon's own eBPF programs
//! ([`bpf`]), which measure times as well, and the kernel's files ([`procfs`]), which only count.

#[cfg(feature = "bpf")]
pub mod bpf;
pub mod procfs;

use serde::{Deserialize, Serialize};

use nicmon_common::{DEVICE_OPS, NapiKey, PollStats, SOFTIRQ_VECTORS};

pub use crate::frame::SampleEvent;

/// What was counted since the reading before. What this source of counts cannot know is `None`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reading {
    /// When it was read, on `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// By number of the CPU, for all possible ones.
    pub cpus: Vec<CpuActivity>,
    /// NAPIs that were polled.
    pub napis: Option<Vec<NapiActivity>>,
    /// Irq actions that fired.
    pub irqs: Vec<IrqActivity>,
    /// Dropped packets; `None` where the kernel gives no reasons, too.
    pub drops: Option<Vec<DropActivity>>,
    /// What the CPUs were doing, by samples; `None` where they are not sampled.
    pub samples: Option<Samples>,
    /// Runs of the kernel programs.
    pub bpf_runs: Option<u64>,
    /// Their time, estimated; `None` where a cost is unknown, too.
    pub bpf_est_ns: Option<u64>,
    /// Events that the kernel programs could not count.
    pub lost: Option<u64>,
}

/// Runs of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// Runs that ended.
    pub count: u64,
    /// Their time.
    pub ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
}

/// One CPU.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct CpuActivity {
    /// Time in device interrupts.
    pub hardirq_ns: Option<u64>,
    /// Softirqs by vector.
    pub vectors: [Runs; SOFTIRQ_VECTORS],
    /// Raise-to-run delays by vector.
    pub latency: [Runs; SOFTIRQ_VECTORS],
    /// `NET_RX` time of runs without a poll.
    pub other_ns: Option<u64>,
    /// `NET_RX` time split by work.
    pub mixed_ns: Option<u64>,
    /// The backlog's polls.
    pub backlog: PollActivity,
}

/// Polls of one NAPI on one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollActivity {
    /// In `NET_RX`.
    pub softirq: PollStats,
    /// Their time.
    pub softirq_ns: u64,
    /// In the NAPI's thread.
    pub threaded: PollStats,
    /// In other tasks.
    pub busy: PollStats,
    /// Pid of the NAPI's thread, once it has one.
    pub thread_pid: Option<u32>,
}

impl PollActivity {
    /// Polls in all modes.
    pub fn polls(&self) -> u64 {
        self.softirq.polls + self.threaded.polls + self.busy.polls
    }

    /// True if nothing happened.
    pub fn is_nothing(&self) -> bool {
        self.polls() == 0 && self.softirq_ns == 0
    }
}

/// Functions of a NAPI's driver, by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFunctions {
    /// `napi->poll`; drivers may share one.
    pub poll: u64,
    /// Some of its device's `net_device_ops`, 0 where there is none; some of these may be shared, too.
    pub ops: [u64; DEVICE_OPS],
}

/// One NAPI.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NapiActivity {
    /// Which.
    pub key: NapiKey,
    /// Its device's name when it was first seen.
    pub name: String,
    /// Address of its poll function.
    pub poll_fn: u64,
    /// By CPU, only those where it was polled.
    pub cpus: Vec<(u32, PollActivity)>,
}

/// One irq action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IrqActivity {
    /// The line.
    pub irq: u32,
    /// Name of the action.
    pub action: String,
    /// Most of its work runs in a thread.
    pub threaded: Option<bool>,
    /// By CPU, only those where it fired.
    pub cpus: Vec<(u32, Runs)>,
}

/// Packets dropped for one reason at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropActivity {
    /// Name of the reason without its prefix.
    pub reason: String,
    /// Address in the kernel.
    pub location: u64,
    /// Packets.
    pub count: u64,
}

/// How the CPUs are to be sampled.
#[derive(Debug, Clone, Copy)]
pub struct HowToSample {
    /// Samples a second and CPU.
    pub frequency: u32,
    /// Keep the kernel's call stacks.
    pub stacks: bool,
}

/// What the CPUs were doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Samples {
    /// What samples are taken by.
    pub event: SampleEvent,
    /// Samples a second and CPU, as asked for.
    pub frequency: u32,
    /// CPUs that are sampled.
    pub cpus: u32,
    /// The samples.
    pub taken: Vec<TakenSample>,
    /// Samples that were taken and written over before they were read.
    pub lost: u64,
}

/// What a CPU was doing at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenSample {
    /// The CPU.
    pub cpu: u32,
    /// Address of the instruction.
    pub address: u64,
    /// In which context.
    pub kind: SampleKind,
    /// In whose poll in `NET_RX` or in a thread of NAPIs; `None` outside these.
    pub poll: Option<SamplePoll>,
    /// The current thread.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// The kernel's call stack, innermost first; empty where stacks are not kept.
    pub stack: Vec<u64>,
}

/// The context of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SampleKind {
    /// The idle task, outside interrupts.
    Idle,
    /// User mode.
    User,
    /// A task in the kernel, or a kernel thread.
    Task,
    /// A device interrupt handler.
    HardIrq,
    /// A softirq, by vector.
    Softirq(u32),
    /// The kernel's loop over pending softirqs, before, between and after them.
    SoftirqLoop,
}

/// Whose poll it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SamplePoll {
    /// A NAPI's.
    Napi(NapiKey),
    /// The per-CPU backlog's.
    Backlog,
}
