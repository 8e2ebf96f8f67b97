//! What a frame holds: serialised as it stands, it is one line of `nicmon --json`.
//!
//! Every value is of this frame's interval unless its comment says otherwise. `None` (`null`) means unknown
//! here; an absent array element means a measured zero. Fields are only ever added within `nicmon.frame/1`.

use serde::{Deserialize, Serialize};

/// The value of [`Frame::schema`].
pub const SCHEMA: &str = "nicmon.frame/1";

/// What happened on one host during one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// [`SCHEMA`].
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
    /// Device interrupts that fired, by irq and action.
    pub irqs: Vec<Irq>,
    /// What nicmon itself cost.
    #[serde(rename = "self")]
    pub own: OwnCost,
}

/// Facts of the whole machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Node name.
    pub hostname: String,
    /// Kernel release.
    pub kernel: String,
    /// Number of online CPUs.
    pub cpus_online: u32,
    /// How this kernel accounts the time that `cpus[].stat` shows.
    pub accounting: Accounting,
    /// True where the kernel is `PREEMPT_RT`: softirq times then include preemption.
    pub preempt_rt: bool,
    /// Packets the kernel dropped, by reason, most first; `None` where the kernel names no reason (before 5.17).
    pub drops: Option<Vec<Drop>>,
}

/// The kernel's way of accounting CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// Name of the `skb_drop_reason`, as the kernel's BTF has it, without its prefix.
    pub reason: String,
    /// Packets.
    pub count: u64,
    /// Where in the kernel, most first.
    pub locations: Vec<DropLocation>,
}

/// A place in the kernel that dropped packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropLocation {
    /// The function, or `None` where kallsyms hides addresses.
    pub symbol: Option<String>,
    /// Packets.
    pub count: u64,
}

/// One CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The kernel's number of the CPU.
    pub cpu: u32,
    /// The kernel's own accounting (`/proc/stat`); `None` in the first interval of a CPU.
    pub stat: Option<CpuStat>,
    /// Time in device interrupt handlers, exact; timers and IPIs are not device interrupts.
    pub hardirq_ns: Option<u64>,
    /// Softirq time by vector; `None` where the programs are not attached.
    pub softirq: Option<Softirqs>,
    /// CPU time of ksoftirqd; overlaps `softirq`.
    pub ksoftirqd_ns: Option<u64>,
    /// The kernel's per-CPU packet backlog counters.
    pub softnet: Option<Softnet>,
}

/// Shares of the interval by the kernel's own accounting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of /proc/stat; user includes nice and guests")]
pub struct CpuStat {
    pub user_pct: f64,
    pub system_pct: f64,
    pub softirq_pct: f64,
    pub irq_pct: f64,
    pub iowait_pct: f64,
    pub idle_pct: f64,
    pub steal_pct: f64,
}

/// Softirq time of a CPU by vector, less the device interrupts nested in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the kernel's softirq vectors")]
pub struct Softirqs {
    pub hi: Vector,
    pub timer: Vector,
    pub net_tx: Vector,
    pub net_rx: NetRx,
    pub block: Vector,
    pub irq_poll: Vector,
    pub tasklet: Vector,
    pub sched: Vector,
    pub hrtimer: Vector,
    pub rcu: Vector,
}

/// Runs of one softirq vector that ended in the interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// Runs.
    pub count: u64,
    /// Their time.
    pub ns: u64,
    /// The longest of them.
    pub max_ns: u64,
    /// Delay from raise to run; only with `--latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// Runs of `NET_RX`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct NetRx {
    /// Count, time, maximum.
    #[serde(flatten)]
    pub vector: Vector,
    /// Time of runs that polled no NAPI.
    pub other_ns: u64,
    /// Time of runs that unexpectedly polled two NAPIs, split between them by their work: the only
    /// part of `napis[].cpus[].poll_ns` that is not measured poll by poll.
    pub mixed_ns: u64,
}

/// Delay between raising a softirq and running it, from the oldest raise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Runs whose raise was seen.
    pub count: u64,
    /// Sum of the delays.
    pub ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// Counters of `/proc/net/softnet_stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// Name, lossy UTF-8; `(backlog)` is the per-CPU backlog (RPS, loopback, devices without NAPI).
    pub name: String,
    /// Interface index; 0 for the backlog.
    pub ifindex: u32,
    /// Inode of its network namespace; `None` for the backlog.
    pub netns: Option<u32>,
    /// Driver as `ethtool -i` names it.
    pub driver: Option<String>,
    /// Interface counters; `None` where its namespace cannot be entered.
    #[serde(flatten)]
    pub counters: NicCounters,
    /// Time of its polls: driver and stack up to the socket, never the driver's alone. Busy polls carry no time.
    pub poll_ns: Option<u64>,
    /// The part of `poll_ns` that comes from NAPI threads' schedstat, split over CPUs by work.
    pub threaded_est_ns: Option<u64>,
    /// Time of its interrupt handlers, exact; `None` for hardware in another namespace, whose interrupts cannot be told.
    pub hardirq_ns: Option<u64>,
    /// The same by CPU; CPUs where nothing happened are absent.
    pub cpus: Vec<NicCpu>,
    /// The same by NAPI.
    pub napis: Vec<Napi>,
}

/// Interface counters over the interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of rtnl_link_stats64")]
pub struct NicDrops {
    pub rx_dropped: u64,
    pub rx_missed: u64,
    pub rx_fifo: u64,
    pub rx_crc: u64,
    pub rx_nohandler: u64,
    pub tx_dropped: u64,
}

/// One NIC on one CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NicCpu {
    /// The CPU.
    pub cpu: u32,
    /// Time of polls in `NET_RX` and in NAPI threads; `None` where there were only busy polls, whose time is unknown.
    pub poll_ns: Option<u64>,
    /// Time of interrupt handlers.
    pub hardirq_ns: Option<u64>,
    /// Polls.
    pub polls: u64,
    /// Sum of what the polls returned: packets only for drivers that return packets.
    pub work: u64,
    /// Polls that returned their whole budget, and so were polled again.
    pub repolls: u64,
    /// `poll_ns` and, as far as known, `hardirq_ns` in percent of the interval.
    pub load_pct: Option<f64>,
}

/// One NAPI in one mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Napi {
    /// The kernel's id; 0 is normal for NAPIs that only transmit.
    pub napi_id: u32,
    /// Symbol of the driver's poll function.
    pub poll_fn: Option<String>,
    /// Queue index where the kernel tells it.
    pub queue: Option<u32>,
    /// What it serves.
    pub kind: Option<NapiKind>,
    /// Who polled it.
    pub mode: NapiMode,
    /// By CPU.
    pub cpus: Vec<NapiCpu>,
}

/// What a NAPI serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the field's")]
pub enum NapiKind {
    Rx,
    Tx,
    Combined,
    Backlog,
}

/// Who polls a NAPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NapiCpu {
    /// The CPU.
    pub cpu: u32,
    /// Time of polls; `None` when busy-polled.
    pub poll_ns: Option<u64>,
    /// Polls.
    pub polls: u64,
    /// Sum of what they returned.
    pub work: u64,
    /// Polls that returned their whole budget.
    pub repolls: u64,
}

/// One action of one device interrupt line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Irq {
    /// Line number.
    pub irq: u32,
    /// Name of the action, as in `/proc/interrupts`.
    pub action: String,
    /// Name of its NIC; `None` where it is no NIC's or cannot be told.
    pub nic: Option<String>,
    /// Its queue, from the action's name.
    pub queue: Option<u32>,
    /// True where only the primary handler is timed, the rest running in a thread.
    pub threaded: bool,
    /// By CPU.
    pub cpus: Vec<IrqCpu>,
}

/// One interrupt action on one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IrqCpu {
    /// The CPU.
    pub cpu: u32,
    /// Handler calls.
    pub count: u64,
    /// Their time.
    pub ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// What nicmon itself cost in the interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnCost {
    /// Time in its kernel programs, estimated as runs times the calibrated cost of one.
    pub bpf_est_ns: Option<u64>,
    /// Runs of its kernel programs.
    pub bpf_runs: Option<u64>,
    /// CPU time of its process.
    pub cpu_ns: u64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Events that could not be counted: full map, unpaired event, recursion.
    pub lost: u64,
    /// `bpf_est_ns` and `cpu_ns` in percent of one CPU; `None` where `bpf_est_ns` is.
    pub overhead_pct: Option<f64>,
}
