//! What happened between two readings: differences of the programs' counters.

use nicmon_common::{CpuState, NET_RX, NapiKey, NapiStats, PollStats, RunStats, SOFTIRQ_VECTORS};

use super::ProgramId;

/// What the programs counted since the reading before.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When it was read, on `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// By number of the CPU, for all possible ones.
    pub cpus: Vec<CpuActivity>,
    /// NAPIs that were polled.
    pub napis: Vec<NapiActivity>,
    /// Irq actions that fired.
    pub irqs: Vec<IrqActivity>,
    /// Dropped packets; `None` where the kernel gives no reasons.
    pub drops: Option<Vec<DropActivity>>,
    /// Runs of each program.
    pub runs: Vec<(ProgramId, u64)>,
    /// Their time, estimated; `None` where a cost is unknown.
    pub bpf_est_ns: Option<u64>,
    /// Events that could not be counted.
    pub lost: u64,
}

/// Runs of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Runs {
    /// Runs that ended.
    pub count: u64,
    /// Their time.
    pub ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// One CPU.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuActivity {
    /// Time in device interrupts.
    pub hardirq_ns: u64,
    /// Softirqs by vector.
    pub vectors: [Runs; SOFTIRQ_VECTORS],
    /// Raise-to-run delays by vector.
    pub latency: [Runs; SOFTIRQ_VECTORS],
    /// `NET_RX` time of runs without a poll.
    pub other_ns: u64,
    /// `NET_RX` time split by work.
    pub mixed_ns: u64,
    /// The backlog's polls.
    pub backlog: PollActivity,
}

/// Polls of one NAPI on one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    pub(super) fn polls(&self) -> u64 {
        self.softirq.polls + self.threaded.polls + self.busy.polls
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.polls() == 0 && self.softirq_ns == 0
    }

    pub(super) fn between(now: &NapiStats, before: &NapiStats) -> Self {
        Self {
            softirq: polls_between(now.softirq, before.softirq),
            softirq_ns: now.softirq_ns.wrapping_sub(before.softirq_ns),
            threaded: polls_between(now.threaded, before.threaded),
            busy: polls_between(now.busy, before.busy),
            thread_pid: u32::try_from(now.thread_pid).ok().filter(|pid| *pid != 0),
        }
    }
}

/// One NAPI.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone)]
pub struct IrqActivity {
    /// The line.
    pub irq: u32,
    /// Name of the action.
    pub action: String,
    /// Most of its work runs in a thread.
    pub threaded: bool,
    /// By CPU, only those where it fired.
    pub cpus: Vec<(u32, Runs)>,
}

/// Packets dropped for one reason at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropActivity {
    /// Name of the reason without its prefix.
    pub reason: String,
    /// Address in the kernel.
    pub location: u64,
    /// Packets.
    pub count: u64,
}

impl Runs {
    pub(super) fn between(now: &RunStats, before: &RunStats) -> Self {
        let ns = now.ns.wrapping_sub(before.ns);
        // A run that ends with the interval has only its part in `ns`: nothing is longer than that.
        Self { count: now.count.wrapping_sub(before.count), ns, max_ns: now.max_ns.min(ns) }
    }
}

impl CpuActivity {
    pub(super) fn between(now: &CpuState, before: &CpuState) -> Self {
        let each = |now: &[RunStats; SOFTIRQ_VECTORS], before: &[RunStats; SOFTIRQ_VECTORS]| {
            std::array::from_fn(|at| Runs::between(&now[at], &before[at]))
        };
        let mut vectors: [Runs; SOFTIRQ_VECTORS] = each(&now.vectors, &before.vectors);
        vectors[NET_RX as usize] = Runs::between(&now.net_rx, &before.net_rx);
        Self {
            hardirq_ns: now.irq_total_ns.wrapping_sub(before.irq_total_ns),
            vectors,
            latency: each(&now.latency, &before.latency),
            other_ns: now.other_ns.wrapping_sub(before.other_ns),
            mixed_ns: now.mixed_ns.wrapping_sub(before.mixed_ns),
            backlog: PollActivity::between(&now.backlog, &before.backlog),
        }
    }
}

fn polls_between(now: PollStats, before: PollStats) -> PollStats {
    PollStats {
        polls: now.polls.wrapping_sub(before.polls),
        work: now.work.wrapping_sub(before.work),
        repolls: now.repolls.wrapping_sub(before.repolls),
    }
}
