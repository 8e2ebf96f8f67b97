//! `cpus[]`: what happened on each CPU.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::windowed::Windowed;

/// One CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// The kernel's number of the CPU.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// The kernel's own accounting (`/proc/stat`); `null` in the first interval of a CPU, and if it
    /// contradicts itself or the CPUs that are online (see `host.problems`).
    #[schemars(title = "CPU time as the kernel accounts it")]
    pub stat: Option<CpuStat>,
    /// The part of a report's interval in which `stat` was `null`. The shares in `stat` are shares of the
    /// rest. Absent if there was none, and in every frame that is not a report.
    #[schemars(title = "Part of a report without the kernel's accounting")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat_gap_ns: Option<u64>,
    /// Time in device interrupt handlers, exact. Timers and IPIs are not device interrupts.
    #[schemars(title = "Time in handlers of device interrupts, exact")]
    pub hardirq_ns: Option<u64>,
    /// The same, estimated from windows. In a report it may have exact parts. Absent if it is exact.
    #[schemars(title = "Time in handlers of device interrupts, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardirq_est_ns: Option<u64>,
    /// Softirqs by vector; `null` in the first interval of a CPU if the kernel's own files are the source.
    #[schemars(title = "Softirqs by vector")]
    pub softirq: Option<Softirqs>,
    /// CPU time of the ksoftirqd thread. It overlaps `softirq`.
    #[schemars(title = "CPU time of ksoftirqd; overlaps softirqs")]
    pub ksoftirqd_ns: Option<u64>,
    /// The kernel's packet backlog counters for the CPU.
    #[schemars(title = "Packet backlog counters")]
    pub softnet: Option<Softnet>,
    /// How fast the CPU ran at the end of the interval. It is read only while the frame before says that
    /// receiving saturates the CPU (`single-cpu-receive`). Absent if it was not read, and without cpufreq.
    #[schemars(title = "How fast a saturated CPU runs")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freq: Option<CpuFreq>,
}

impl Cpu {
    /// Time in device interrupt handlers, exact or estimated.
    pub fn hardirq_time_ns(&self) -> Option<u64> {
        self.hardirq_ns.or(self.hardirq_est_ns)
    }
}

/// The frequency of a CPU as cpufreq says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CpuFreq {
    /// Its frequency.
    #[schemars(title = "Frequency")]
    pub now_khz: u64,
    /// The highest that the hardware allows, with boost.
    #[schemars(title = "Highest frequency")]
    pub max_khz: u64,
}

/// Shares of the interval according to the kernel's own accounting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuStat {
    /// Tasks in user mode, including nice tasks and guests.
    #[schemars(title = "User mode")]
    pub user_pct: f64,
    /// Tasks in the kernel.
    #[schemars(title = "Kernel mode")]
    pub system_pct: f64,
    /// Softirqs.
    #[schemars(title = "Softirqs")]
    pub softirq_pct: f64,
    /// Hard interrupts.
    #[schemars(title = "Hard interrupts")]
    pub irq_pct: f64,
    /// Idle while a task waited for a disk.
    #[schemars(title = "Idle, waiting for a disk")]
    pub iowait_pct: f64,
    /// Idle for any other reason.
    #[schemars(title = "Idle")]
    pub idle_pct: f64,
    /// Time in which the hypervisor ran something else. It makes every measured time longer.
    #[schemars(title = "Taken by the hypervisor")]
    pub steal_pct: f64,
}

/// Softirq time of a CPU by vector, without the device interrupts nested in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Softirqs {
    /// High-priority tasklets.
    #[schemars(title = "HI: high-priority tasklets")]
    pub hi: Vector,
    /// Timers of the timer wheel.
    #[schemars(title = "TIMER: timer wheel")]
    pub timer: Vector,
    /// Completion of sent packets, and queueing disciplines.
    #[schemars(title = "NET_TX: completion of sent packets, queueing disciplines")]
    pub net_tx: Vector,
    /// NAPI polls: receiving and, with most drivers, completion of sent packets.
    #[schemars(title = "NET_RX: NAPI polls")]
    pub net_rx: NetRx,
    /// Completion of disk requests.
    #[schemars(title = "BLOCK: completion of disk requests")]
    pub block: Vector,
    /// Polling of disk controllers.
    #[schemars(title = "IRQ_POLL: polling of disk controllers")]
    pub irq_poll: Vector,
    /// Tasklets.
    #[schemars(title = "TASKLET: tasklets")]
    pub tasklet: Vector,
    /// Load balancing of the scheduler.
    #[schemars(title = "SCHED: load balancing of the scheduler")]
    pub sched: Vector,
    /// High-resolution timers that run in softirq context.
    #[schemars(title = "HRTIMER: high-resolution timers in softirq")]
    pub hrtimer: Vector,
    /// RCU callbacks.
    #[schemars(title = "RCU: callbacks of RCU")]
    pub rcu: Vector,
}

impl Softirqs {
    /// The names of the fields, in the kernel's order of vectors (include/linux/interrupt.h).
    pub const NAMES: [&'static str; 10] =
        ["hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"];

    /// Time of all vectors, exact or estimated, in nanoseconds; `None` if one is unknown.
    pub fn all_ns(&self) -> Option<u64> {
        self.vectors().iter().try_fold(0_u64, |sum, vector| Some(sum.saturating_add(vector.time_ns()?)))
    }

    /// All of them, to be changed.
    pub(crate) fn vectors_mut(&mut self) -> [&mut Vector; Self::NAMES.len()] {
        let Self { hi, timer, net_tx, net_rx, block, irq_poll, tasklet, sched, hrtimer, rcu } = self;
        [hi, timer, net_tx, &mut net_rx.vector, block, irq_poll, tasklet, sched, hrtimer, rcu]
    }

    /// All of them, in the order of the names.
    pub fn vectors(&self) -> [&Vector; Self::NAMES.len()] {
        let Self { hi, timer, net_tx, net_rx, block, irq_poll, tasklet, sched, hrtimer, rcu } = self;
        [hi, timer, net_tx, &net_rx.vector, block, irq_poll, tasklet, sched, hrtimer, rcu]
    }
}

/// Runs of one softirq vector that ended in the interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vector {
    /// Number of runs.
    #[schemars(title = "Runs of this softirq")]
    pub count: u64,
    /// Total time of these runs.
    #[schemars(title = "Time of these runs")]
    pub ns: Option<u64>,
    /// Time of the longest of these runs; never more than `ns`.
    #[schemars(title = "Longest run")]
    pub max_ns: Option<u64>,
    /// Total time of the runs, estimated from windows. In a report it may have exact parts. Absent if `ns` is
    /// exact, and if it ran and no window has seen it.
    #[schemars(title = "Time of these runs, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est_ns: Option<u64>,
    /// The 95 % interval of `est_ns`. Absent until there were 8 windows.
    #[schemars(title = "95 % interval of this time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est_ci_ns: Option<[u64; 2]>,
    /// Time of the longest run in the windows; others may have been longer.
    #[schemars(title = "Longest run in the windows")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seen_ns: Option<u64>,
    /// What `est_ns` is made from.
    #[schemars(title = "What the windows saw")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windowed: Option<Windowed>,
    /// Delay between raising the softirq and running it; absent without `--latency`.
    #[schemars(title = "Delay from raise to run")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

impl Vector {
    /// Their time, exact or estimated.
    pub fn time_ns(&self) -> Option<u64> {
        self.ns.or(self.est_ns)
    }
}

/// Runs of `NET_RX`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetRx {
    /// Count, time, maximum.
    #[serde(flatten)]
    pub vector: Vector,
    /// Time of runs that polled no NAPI.
    #[schemars(title = "Time of runs that polled no NAPI")]
    pub other_ns: Option<u64>,
    /// The same, estimated from windows. Absent if it is exact.
    #[schemars(title = "Time of runs that polled no NAPI, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_est_ns: Option<u64>,
    /// Time of runs that unexpectedly polled two NAPIs, split between them by their work. This is the only
    /// part of `napis[].cpus[].poll_ns` that is not measured poll by poll.
    #[schemars(title = "Time of runs split between NAPIs by their work")]
    pub mixed_ns: Option<u64>,
}

/// Delay between raising a softirq and running it, counted from the oldest raise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Runs whose raise was seen.
    #[schemars(title = "Runs whose raise was seen")]
    pub count: u64,
    /// Sum of the delays.
    #[schemars(title = "Sum of the delays")]
    pub ns: u64,
    /// The longest delay.
    #[schemars(title = "Longest delay")]
    pub max_ns: u64,
}

/// Counters of `/proc/net/softnet_stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Softnet {
    /// Packets that the CPU processed in its backlog and in the receive path of NAPI.
    #[schemars(title = "Packets the CPU took from NICs and backlogs")]
    pub processed: u64,
    /// Packets dropped because the backlog was full.
    #[schemars(title = "Packets dropped because the CPU's backlog was full")]
    pub dropped: u64,
    /// Times that `NET_RX` ended with work left because its budget or its time was used up.
    #[schemars(title = "NET_RX ended with work left; a few are normal")]
    pub time_squeeze: u64,
    /// Times that an IPI of RPS woke the CPU.
    #[schemars(title = "IPIs of RPS received")]
    pub received_rps: u64,
    /// Packets waiting in the backlog at the end of the interval.
    #[schemars(title = "Packets waiting in the backlog")]
    pub backlog_len: Option<u32>,
}
