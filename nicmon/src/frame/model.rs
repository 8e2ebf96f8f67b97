//! What a frame holds: serialised as it stands, it is one line of `nicmon --json`.
//!
//! Every value is of this frame's interval unless its comment says otherwise. `None` (`null`) means unknown
//! here; an absent array element means a measured zero. Fields are only ever added within `nicmon.frame/1`.
//!
//! The comment of a field is the one place where its meaning stands: the JSON Schema, docs/reference/fields.md and
//! the help of the screen's columns are made from it. So it speaks of `null`, not of `None`. The unit is in the
//! name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    drivers::{Driver, Gap, SampleEvent, Sampling, StageShare},
    netns::Netns,
    stacks::SampledStack,
    topology::Topology,
};

/// The value of [`Frame::schema`].
pub const SCHEMA: &str = "nicmon.frame/1";

/// What happened on one host during one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Name and version of this schema: `nicmon.frame/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Number of the frame in its stream, from 0.
    pub seq: u64,
    /// End of the interval, RFC 3339 in UTC.
    pub time: String,
    /// End of the interval on `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// The kernel's boot id: tells whether two frames' `mono_ns` may be compared.
    pub boot_id: Option<String>,
    /// Length of the interval, as measured: a late tick makes it longer.
    pub interval_ns: u64,
    /// Facts of the whole machine.
    pub host: Host,
    /// Every online CPU (or those chosen by `-C`), ascending.
    pub cpus: Vec<Cpu>,
    /// NICs, worst load first.
    pub nics: Vec<Nic>,
    /// What drivers cost, dearest first; `null` where the CPUs are not sampled or kernel symbols cannot be read, and for
    /// a second or two after a kernel module came or went.
    #[serde(default)]
    pub drivers: Option<Vec<Driver>>,
    /// Call stacks of network code by samples, most first; `null` without `--stacks`, or where `drivers` is.
    #[serde(default)]
    pub stacks: Option<Vec<SampledStack>>,
    /// Device interrupts that fired, by irq and action.
    pub irqs: Vec<Irq>,
    /// Network namespaces that could be entered, ascending by inode.
    #[serde(default)]
    pub netns: Vec<Netns>,
    /// How the network is set up: in the first frame, after each change and every 60 s.
    #[serde(default)]
    pub topology: Option<Topology>,
    /// What nicmon itself cost.
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
    pub hostname: String,
    /// Kernel release.
    pub kernel: String,
    /// Number of online CPUs.
    pub cpus_online: u32,
    /// Who counts.
    #[serde(default)]
    pub source: Source,
    /// Why it is not the kernel programs; `null` where it is, or where the kernel's counts were asked for.
    #[serde(default)]
    pub source_reason: Option<String>,
    /// How this kernel accounts the time that `cpus[].stat` shows; `null` where its BTF cannot be read.
    pub accounting: Option<Accounting>,
    /// True where the kernel is `PREEMPT_RT`: softirq times then include preemption.
    pub preempt_rt: bool,
    /// What samples are taken by; `null` where the CPUs are not sampled.
    #[serde(default)]
    pub sample_event: Option<SampleEvent>,
    /// Why `drivers` is `null`, where the CPUs should be sampled.
    #[serde(default)]
    pub drivers_reason: Option<String>,
    /// The part of a report's interval in which `drivers` was `null`: the figures of drivers leave it out. Absent where
    /// there is none, as in all frames but reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drivers_gap: Option<Gap>,
    /// How the CPUs were sampled; `null` where they were not.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// Packets the kernel dropped, by reason, most first; `null` where the kernel names no reason (before 5.17).
    pub drops: Option<Vec<Drop>>,
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

/// Packets dropped for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drop {
    /// Name of the `skb_drop_reason`, as the kernel's BTF has it, without its prefix.
    pub reason: String,
    /// Packets dropped for this reason.
    pub count: u64,
    /// Where in the kernel they were dropped, most first.
    pub locations: Vec<DropLocation>,
}

/// A place in the kernel that dropped packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropLocation {
    /// The function that dropped them, or `null` where kallsyms hides addresses.
    pub symbol: Option<String>,
    /// Packets dropped there.
    pub count: u64,
}

/// One CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// The kernel's own accounting (`/proc/stat`); `null` in the first interval of a CPU.
    pub stat: Option<CpuStat>,
    /// The part of a report's interval in which `stat` was `null`: its shares are of the rest. Absent where there is
    /// none, as in all frames but reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stat_gap_ns: Option<u64>,
    /// Time in device interrupt handlers, exact; timers and IPIs are not device interrupts.
    pub hardirq_ns: Option<u64>,
    /// Softirqs by vector; `null` in the first interval of a CPU where the kernel's files count.
    pub softirq: Option<Softirqs>,
    /// CPU time of ksoftirqd; overlaps `softirq`.
    pub ksoftirqd_ns: Option<u64>,
    /// The kernel's per-CPU packet backlog counters.
    pub softnet: Option<Softnet>,
}

/// Shares of the interval by the kernel's own accounting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuStat {
    /// Tasks in user mode, with nice ones and guests.
    pub user_pct: f64,
    /// Tasks in the kernel.
    pub system_pct: f64,
    /// Softirqs.
    pub softirq_pct: f64,
    /// Hard interrupts.
    pub irq_pct: f64,
    /// Idle while a task waited for a disk.
    pub iowait_pct: f64,
    /// Idle otherwise.
    pub idle_pct: f64,
    /// Taken by the hypervisor for others: it stretches every time.
    pub steal_pct: f64,
}

/// Softirq time of a CPU by vector, less the device interrupts nested in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Softirqs {
    /// High-priority tasklets.
    pub hi: Vector,
    /// Timers of the timer wheel.
    pub timer: Vector,
    /// Completion of sent packets, and queueing disciplines.
    pub net_tx: Vector,
    /// NAPI polls: receiving, and mostly completion of sent packets, too.
    pub net_rx: NetRx,
    /// Completion of disk requests.
    pub block: Vector,
    /// Polling of disk controllers.
    pub irq_poll: Vector,
    /// Tasklets.
    pub tasklet: Vector,
    /// Load balancing of the scheduler.
    pub sched: Vector,
    /// High-resolution timers that run in softirq.
    pub hrtimer: Vector,
    /// Callbacks of RCU.
    pub rcu: Vector,
}

/// Runs of one softirq vector that ended in the interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Vector {
    /// Number of runs.
    pub count: u64,
    /// Time of these runs.
    pub ns: Option<u64>,
    /// Time of the longest of these runs, never more than `ns`.
    pub max_ns: Option<u64>,
    /// Delay from raising the vector to running it; absent without `--latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// Runs of `NET_RX`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NetRx {
    /// Count, time, maximum.
    #[serde(flatten)]
    pub vector: Vector,
    /// Time of runs that polled no NAPI.
    pub other_ns: Option<u64>,
    /// Time of runs that unexpectedly polled two NAPIs, split between them by their work: the only
    /// part of `napis[].cpus[].poll_ns` that is not measured poll by poll.
    pub mixed_ns: Option<u64>,
}

/// Delay between raising a softirq and running it, from the oldest raise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Runs whose raise was seen.
    pub count: u64,
    /// Sum of the delays.
    pub ns: u64,
    /// The longest delay.
    pub max_ns: u64,
}

/// Counters of `/proc/net/softnet_stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Softnet {
    /// Packets processed by the backlog and NAPI receive path of the CPU.
    pub processed: u64,
    /// Packets dropped because the backlog was full.
    pub dropped: u64,
    /// Times `NET_RX` ended with work left, its budget or time used up.
    pub time_squeeze: u64,
    /// Times the CPU was woken by an IPI of RPS.
    pub received_rps: u64,
    /// Packets waiting in the backlog at the end of the interval.
    pub backlog_len: Option<u32>,
}

/// One network interface, or the per-CPU backlog shown as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Nic {
    /// Name of the interface, lossy UTF-8; `(backlog)` is the per-CPU backlog (RPS, loopback, devices without NAPI).
    pub name: String,
    /// Interface index; 0 for the backlog.
    pub ifindex: u32,
    /// Inode of its network namespace; `null` for the backlog.
    pub netns: Option<u32>,
    /// Driver as `ethtool -i` names it.
    pub driver: Option<String>,
    /// Interface counters; `null` where its namespace cannot be entered.
    #[serde(flatten)]
    pub counters: NicCounters,
    /// The part of a report's interval in which one of these counters was `null`, mostly the first of a new interface:
    /// they leave it out. Absent where there is none, as in all frames but reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters_gap_ns: Option<u64>,
    /// Time of its polls: driver and stack up to the socket, never the driver's alone. Busy polls carry no time.
    pub poll_ns: Option<u64>,
    /// The part of `poll_ns` that comes from NAPI threads' schedstat, split over CPUs by work.
    pub threaded_est_ns: Option<u64>,
    /// Time of its interrupt handlers, exact; `null` where they cannot be told: hardware in another namespace, USB
    /// devices, several NICs of one device.
    pub hardirq_ns: Option<u64>,
    /// Time of its driver's code in its polls and elsewhere, outside hard irqs, estimated from samples.
    #[serde(default)]
    pub driver_est_ns: Option<u64>,
    /// True where a part of `driver_est_ns` was split by packets between NICs of one driver.
    #[serde(default)]
    pub driver_est_split: bool,
    /// Time of its polls, in softirqs and in its own threads but not of busy ones, outside its driver's code, estimated
    /// from samples.
    #[serde(default)]
    pub stack_est_ns: Option<u64>,
    /// Where the time of its polls (but of busy ones) went, by samples, most first; `null` where `driver_est_ns` is, and in a
    /// report of frames that were sampled at different rates.
    #[serde(default)]
    pub stages: Option<Vec<StageShare>>,
    /// The part of a report's interval in which one of `driver_est_ns`, `stack_est_ns` and `stages` was `null`: they
    /// leave it out. Absent where there is none, as in all frames but reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_gap_ns: Option<u64>,
    /// What it cost by CPU; CPUs where nothing happened are absent. Where polls are not counted all are there, unknown.
    pub cpus: Vec<NicCpu>,
    /// What it cost by NAPI and by who polled it; `null` where polls are not counted.
    pub napis: Option<Vec<Napi>>,
}

impl Nic {
    /// Whether all its polls have a time: busy ones have none.
    pub fn is_timed(&self) -> bool {
        self.napis.iter().flatten().all(|napi| napi.mode != NapiMode::Busy)
    }
}

/// Interface counters over the interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NicCounters {
    /// Packets received.
    pub rx_packets: Option<u64>,
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// Packets sent.
    pub tx_packets: Option<u64>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
    /// Drop counters.
    pub drops: Option<NicDrops>,
}

/// Drop counters of `rtnl_link_stats64`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NicDrops {
    /// Received packets that were dropped for want of room or use in the host (`rx_dropped`).
    pub rx_dropped: u64,
    /// Packets that the NIC dropped for want of buffers (`rx_missed_errors`).
    pub rx_missed: u64,
    /// Packets lost to an overrun of the NIC's FIFO (`rx_fifo_errors`).
    pub rx_fifo: u64,
    /// Packets with a wrong checksum of the frame (`rx_crc_errors`).
    pub rx_crc: u64,
    /// Packets that no protocol wanted (`rx_nohandler`).
    pub rx_nohandler: u64,
    /// Packets dropped on the way out (`tx_dropped`).
    pub tx_dropped: u64,
}

/// One NIC on one CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NicCpu {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// Time of polls in `NET_RX` and in NAPI threads; `null` where there were only busy polls, whose time is unknown.
    pub poll_ns: Option<u64>,
    /// Time of its interrupt handlers there, exact.
    pub hardirq_ns: Option<u64>,
    /// Number of polls.
    pub polls: Option<u64>,
    /// Sum of what the polls returned: packets only for drivers that return packets.
    pub work: Option<u64>,
    /// Polls that returned their whole budget, and so were polled again.
    pub repolls: Option<u64>,
    /// `poll_ns` and, as far as known, `hardirq_ns` in percent of the interval.
    pub load_pct: Option<f64>,
}

/// One NAPI in one mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Napi {
    /// The kernel's id; 0 is normal for NAPIs that only transmit.
    pub napi_id: u32,
    /// Symbol of the driver's poll function.
    pub poll_fn: Option<String>,
    /// Queue index where the kernel tells it.
    pub queue: Option<u32>,
    /// What the NAPI serves.
    pub kind: Option<NapiKind>,
    /// Who polled the NAPI.
    pub mode: NapiMode,
    /// Its polls by CPU; CPUs where nothing happened are absent.
    pub cpus: Vec<NapiCpu>,
}

/// What a NAPI serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NapiKind {
    /// A receive queue.
    Rx,
    /// A transmit queue.
    Tx,
    /// A queue of both.
    Combined,
    /// The per-CPU backlog.
    Backlog,
}

/// Who polls a NAPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NapiMode {
    /// `NET_RX` softirq; time exact.
    Softirq,
    /// Its own kernel thread; time from the thread's schedstat, split over CPUs by work.
    Threaded,
    /// A task that busy-polls its socket; time unknown.
    Busy,
    /// The per-CPU backlog in `NET_RX`; time exact.
    Backlog,
}

/// One NAPI on one CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NapiCpu {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// Time of polls; `null` when busy-polled.
    pub poll_ns: Option<u64>,
    /// Number of polls.
    pub polls: u64,
    /// Sum of what the polls returned: packets only for drivers that return packets.
    pub work: u64,
    /// Polls that returned their whole budget, and so were polled again.
    pub repolls: u64,
}

/// One action of one device interrupt line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Irq {
    /// Number of the interrupt line.
    pub irq: u32,
    /// Name of the action, as in `/proc/interrupts`.
    pub action: String,
    /// Name of its NIC; `null` where it is no NIC's or cannot be told.
    pub nic: Option<String>,
    /// Its queue, from the action's name.
    pub queue: Option<u32>,
    /// True where only the primary handler is timed, the rest running in a thread.
    pub threaded: Option<bool>,
    /// Its handler calls by CPU; CPUs where nothing happened are absent.
    pub cpus: Vec<IrqCpu>,
}

/// One interrupt action on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IrqCpu {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// Number of handler calls.
    pub count: u64,
    /// Time of these calls.
    pub ns: Option<u64>,
    /// Time of the longest of these calls.
    pub max_ns: Option<u64>,
}

/// What nicmon itself cost in the interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnCost {
    /// Time in nicmon's kernel programs, estimated as runs times the calibrated cost of one.
    pub bpf_est_ns: Option<u64>,
    /// Runs of nicmon's kernel programs.
    pub bpf_runs: Option<u64>,
    /// CPU time of nicmon's process.
    pub cpu_ns: u64,
    /// Resident memory of its process, at the end of the interval.
    pub rss_bytes: u64,
    /// Events that could not be counted: full map, unpaired event, recursion; `null` where no programs run.
    pub lost: Option<u64>,
    /// `bpf_est_ns` and `cpu_ns` in percent of one CPU; `null` where `bpf_est_ns` is.
    pub overhead_pct: Option<f64>,
    /// The part of a report's interval in which `bpf_est_ns` was `null`: it is left out there, and `overhead_pct` takes
    /// it to have been as in the rest. Absent where there is none, as in all frames but reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf_gap_ns: Option<u64>,
}
