//! What happened between two readings of the kernel's counters. There are two sources: nicmon's own eBPF
//! programs ([`bpf`]), which also measure times, and the kernel's files ([`procfs`]), which only count.

#[cfg(feature = "bpf")]
pub mod bpf;
#[cfg(feature = "bpf")]
pub(crate) mod counted;
mod flows;
mod path;
pub mod procfs;
mod windows;

use serde::{Deserialize, Serialize};

use nicmon_common::{DEVICE_OPS, NapiKey, PollStats, SOFTIRQ_VECTORS};

pub use self::{
    flows::FlowLook,
    path::{PathDropAt, PathPlace, PathReading},
    windows::{Counted, SeenInWindow, SeenInWindows},
};
pub use crate::frame::SampleEvent;
use crate::frame::{Direction, Histogram};

/// What was counted since the previous reading. `None` means that this source cannot know the value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reading {
    /// When the counters were read, on `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// Indexed by CPU number, with an entry for each possible CPU.
    pub cpus: Vec<CpuActivity>,
    /// CPUs of which nothing is known in this interval, because their counters appeared or went back.
    #[serde(default)]
    pub unknown_cpus: Vec<u32>,
    /// NAPIs that were polled.
    pub napis: Option<Vec<NapiActivity>>,
    /// Irq actions that fired.
    pub irqs: Vec<IrqActivity>,
    /// Dropped packets. Also `None` if the kernel gives no drop reasons.
    pub drops: Option<Vec<DropActivity>>,
    /// How long softirqs, delays and polls were. Not in observations that nicmon 0.1.0 saved.
    #[serde(default)]
    pub histograms: Option<Histograms>,
    /// What the CPUs were doing, from samples; `None` if they are not sampled.
    pub samples: Option<Samples>,
    /// Runs of the eBPF programs.
    pub bpf_runs: Option<u64>,
    /// Their time, estimated. Also `None` if no program's cost is known.
    pub bpf_est_ns: Option<u64>,
    /// What each program had of it, and each CPU. Not in observations that nicmon 0.1.0 saved.
    #[serde(default)]
    pub programs: Option<ProgramCosts>,
    /// Events that the eBPF programs could not count.
    pub lost: Option<u64>,
    /// Why drops are not counted, if that is to save CPU time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drops_paused: Option<String>,
    /// Why it is measured all the time, although that costs too much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows_refused: Option<String>,
    /// What could be counted but not filed.
    #[serde(default)]
    pub unfiled: Unfiled,
    /// What was measured, if only in windows. All times outside are then `None`, and of `napis` it is known
    /// only that they were polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<SeenInWindows>,
}

/// What the eBPF programs cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCosts {
    /// The programs that ran.
    pub programs: Vec<ProgramCost>,
    /// The CPUs on which any ran.
    pub cpus: Vec<CpuCost>,
}

/// What one program cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramCost {
    /// Its name.
    pub program: String,
    /// How often it ran.
    pub runs: u64,
    /// Their time; `None` if no program's cost is known.
    pub cost: Option<CostRange>,
}

/// What all programs cost on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCost {
    /// The CPU.
    pub cpu: u32,
    /// How often they ran.
    pub runs: u64,
    /// Their time; `None` if no program's cost is known.
    pub cost: Option<CostRange>,
}

/// A time that is known to lie between two others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostRange {
    /// At least.
    pub low_ns: u64,
    /// Most likely.
    pub ns: u64,
    /// At most.
    pub high_ns: u64,
}

impl CostRange {
    /// Together with another.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            low_ns: self.low_ns + other.low_ns,
            ns: self.ns + other.ns,
            high_ns: self.high_ns + other.high_ns,
        }
    }
}

/// Whose events found no slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfiled {
    /// Interfaces of which polls are missing: the inode of the namespace, and the index.
    pub nics: Vec<(u32, u32)>,
    /// Whether polls of other interfaces may be missing, too.
    pub other_nics: bool,
    /// Whether irq actions are missing.
    pub irqs: bool,
}

/// Runs of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// How many ended.
    pub count: u64,
    /// Their time.
    pub ns: Option<u64>,
    /// The longest run.
    pub max_ns: Option<u64>,
}

impl Runs {
    /// Together with runs of another part of the same interval.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            ns: self.ns.zip(other.ns).map(|(ns, more)| ns + more),
            max_ns: self.max_ns.max(other.max_ns),
        }
    }
}

/// Histograms by CPU.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Histograms {
    /// Times of softirqs.
    pub runs: Vec<VectorTimes>,
    /// Raise-to-run delays; `None` if they are not measured.
    pub delays: Option<Vec<VectorTimes>>,
    /// Polls in `NET_RX`.
    pub polls: Vec<PollTimes>,
    /// NAPIs that were polled in `NET_RX` on a CPU that had no histogram left for them.
    pub missing: Vec<(u32, NapiKey)>,
}

/// Times of a softirq vector on one CPU, in ns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VectorTimes {
    /// The CPU.
    pub cpu: u32,
    /// The vector.
    pub vector: usize,
    /// Its times.
    pub times: Histogram,
}

/// Polls of one NAPI on one CPU.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PollTimes {
    /// The CPU.
    pub cpu: u32,
    /// Which NAPI; `None` for the per-CPU backlog.
    pub napi: Option<NapiKey>,
    /// How long they took, in ns.
    pub times: Histogram,
    /// How much work they returned, usually packets.
    pub packets: Histogram,
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
    /// `NET_RX` time that was split between NAPIs by their work.
    pub mixed_ns: Option<u64>,
    /// Polls of the per-CPU backlog.
    pub backlog: PollActivity,
}

/// Polls of one NAPI on one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollActivity {
    /// Polls in `NET_RX`.
    pub softirq: PollStats,
    /// Time of the polls in `NET_RX`.
    pub softirq_ns: u64,
    /// Polls in the NAPI's thread.
    pub threaded: PollStats,
    /// Polls in other tasks (busy polling).
    pub busy: PollStats,
    /// Pid of the NAPI's thread, once it has one.
    pub thread_pid: Option<u32>,
    /// Softirqs and device interrupts that ran while that thread was the current task.
    #[serde(default)]
    pub interrupted_ns: u64,
    /// Whether there may be more of them, because too many threads poll on this CPU.
    #[serde(default)]
    pub interrupted_unknown: bool,
}

impl PollActivity {
    /// Polls in all modes.
    pub fn polls(&self) -> u64 {
        self.softirq.polls + self.threaded.polls + self.busy.polls
    }

    /// Adds what happened in another part of the same interval.
    pub fn add(&mut self, other: Self) {
        let add = |sum: &mut PollStats, more: PollStats| {
            sum.polls += more.polls;
            sum.work += more.work;
            sum.repolls += more.repolls;
        };
        add(&mut self.softirq, other.softirq);
        add(&mut self.threaded, other.threaded);
        add(&mut self.busy, other.busy);
        self.softirq_ns += other.softirq_ns;
        self.interrupted_ns += other.interrupted_ns;
        self.interrupted_unknown |= other.interrupted_unknown;
        self.thread_pid = other.thread_pid.or(self.thread_pid);
    }

    /// True if nothing happened.
    pub fn is_nothing(&self) -> bool {
        self.polls() == 0 && self.softirq_ns == 0
    }
}

/// Addresses of functions of a NAPI's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFunctions {
    /// `napi->poll`. Drivers may share one.
    pub poll: u64,
    /// Some functions of the device's `net_device_ops`, 0 if the device lacks one. Drivers may share some
    /// of these, too.
    pub ops: [u64; DEVICE_OPS],
}

/// One NAPI.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NapiActivity {
    /// Which NAPI.
    pub key: NapiKey,
    /// The name of its device when the NAPI was first seen.
    pub name: String,
    /// Address of its poll function.
    pub poll_fn: u64,
    /// By CPU; only CPUs on which it was polled.
    pub cpus: Vec<(u32, PollActivity)>,
}

impl NapiActivity {
    /// Adds what it did on a CPU in another part of the same interval.
    pub fn add(&mut self, cpu: u32, polls: PollActivity) {
        match self.cpus.binary_search_by_key(&cpu, |(cpu, _)| *cpu) {
            Ok(at) => self.cpus[at].1.add(polls),
            Err(at) => self.cpus.insert(at, (cpu, polls)),
        }
    }
}

/// One irq action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IrqActivity {
    /// The interrupt line.
    pub irq: u32,
    /// Name of the action.
    pub action: String,
    /// Whether most of its work runs in a thread.
    pub threaded: Option<bool>,
    /// By CPU; only CPUs on which it fired, and those where that is unknown.
    pub cpus: Vec<(u32, Option<Runs>)>,
}

/// Packets dropped for one reason at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropActivity {
    /// Name of the reason, without its prefix.
    pub reason: String,
    /// Where in the kernel, as an address.
    pub location: u64,
    /// Number of packets.
    pub count: u64,
}

/// How to sample the CPUs.
#[derive(Debug, Clone, Copy)]
pub struct HowToSample {
    /// Samples per CPU per second.
    pub frequency: u32,
    /// Whether to keep the kernel's call stacks.
    pub stacks: bool,
}

/// What the CPUs were doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Samples {
    /// The event that triggers a sample.
    pub event: SampleEvent,
    /// Samples per CPU per second, as requested.
    pub frequency: u32,
    /// CPUs that are sampled, in ascending order.
    pub cpus: Vec<u32>,
    /// The samples.
    pub taken: Vec<TakenSample>,
    /// Samples that were overwritten before they were read.
    pub lost: u64,
    /// Whether calls of sockets were looked for in all of them, with success.
    #[serde(default)]
    pub has_sockets: bool,
    /// Why a timer triggers the samples: which CPUs refused cycles, and with which error. `None` with cycles.
    pub timer_reason: Option<String>,
}

/// What a CPU was doing at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenSample {
    /// The CPU.
    pub cpu: u32,
    /// Address of the instruction.
    pub address: u64,
    /// The context it ran in.
    pub kind: SampleKind,
    /// The poll it was in, in `NET_RX` or in a NAPI thread; `None` outside polls.
    pub poll: Option<SamplePoll>,
    /// The current thread.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// The kernel's call stack, innermost function first; empty if stacks are not kept.
    pub stack: Vec<u64>,
    /// Which way packets go through the socket in whose call it was. Looked for in one of
    /// [`SOCKETS_ONE_IN`](nicmon_common::SOCKETS_ONE_IN) samples of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<Direction>,
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
    /// The kernel's loop over pending softirqs, outside the softirqs themselves.
    SoftirqLoop,
    /// The kernel, and nobody knows in which context: the programs that follow it are detached.
    Kernel,
}

/// Whose poll a sample was in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SamplePoll {
    /// A NAPI's.
    Napi(NapiKey),
    /// The per-CPU backlog's.
    Backlog,
}
