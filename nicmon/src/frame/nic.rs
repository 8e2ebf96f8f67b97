//! `nics[]`: what went through each NIC, and what its polls and interrupts took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cpu::{Softirqs, Vector},
    drivers::StageShare,
    flows::Flows,
    histogram::Histogram,
    windowed::Windowed,
};

/// Chooses one of a CPU's softirqs.
pub(super) type OfSoftirqs = fn(&Softirqs) -> Vector;

/// One network interface, or work of no interface shown as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Nic {
    /// Name of the interface (lossy UTF-8). `(backlog)` is the per-CPU backlog, which serves RPS, loopback
    /// and devices without NAPI. `(tasklet)`, `(hrtimer)` and other names of softirqs are network code that
    /// ran there instead of in a poll, known only from samples: `stages`, and at least `stack_est_ns`.
    #[schemars(title = "NIC")]
    pub name: String,
    /// Interface index; 0 for the backlog and for softirqs.
    #[schemars(title = "Interface index")]
    pub ifindex: u32,
    /// Inode of its network namespace; `null` for the backlog and for softirqs.
    #[schemars(title = "Network namespace")]
    pub netns: Option<u32>,
    /// Name of the driver, as `ethtool -i` shows it.
    #[schemars(title = "Driver")]
    pub driver: Option<String>,
    /// Interface counters; `null` where its namespace cannot be entered.
    #[serde(flatten)]
    pub counters: NicCounters,
    /// How often a packet was put back into the queueing discipline, because the transmit queue was full.
    /// Read only while `NET_TX` softirqs run on more than two CPUs and the NIC has one transmit queue, and
    /// absent otherwise. In a report it is the sum of those readings.
    #[schemars(title = "Packets put back because its transmit queue was full")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_requeues: Option<u64>,
    /// What its packets have in common, if they saturate a CPU and the counters of its queues do not say why.
    /// Absent otherwise, and with `--no-flow-window`. In a report, what was seen last.
    #[schemars(title = "What its packets have in common")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<Flows>,
    /// The part of a report's interval in which one of the interface counters was `null`, usually the first
    /// interval of a new interface. The counters leave it out. Absent if there was none, and in every frame
    /// that is not a report.
    #[schemars(title = "Part of a report without interface counters")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters_gap_ns: Option<u64>,
    /// Time of its polls: the driver and the stack up to the socket, never the driver alone. Busy polls have
    /// no time.
    #[schemars(title = "Time of its polls: driver and stack")]
    pub poll_ns: Option<u64>,
    /// The same, estimated from windows. In a report it may have exact parts. Absent if it is exact.
    #[schemars(title = "Time of its polls, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_est_ns: Option<u64>,
    /// The 95 % interval of `poll_est_ns`. Absent until there were 8 windows.
    #[schemars(title = "95 % interval of this time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_est_ci_ns: Option<[u64; 2]>,
    /// How long its polls in softirqs took, in ns. The only poll of a run has all of the run's time; what
    /// follows the last poll of other runs is in `poll_ns` alone. Absent if there were none, and if that is
    /// unknown.
    #[schemars(title = "How long its polls in softirqs took")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_ns_histogram: Option<Histogram>,
    /// How much work its polls in softirqs returned, usually packets. Absent like `poll_ns_histogram`.
    #[schemars(title = "How much work its polls in softirqs returned")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_work_histogram: Option<Histogram>,
    /// The part of `poll_ns` that comes from the schedstat of NAPI threads, split between CPUs by work.
    #[schemars(title = "Part of the poll time in NAPI threads, estimated")]
    pub threaded_est_ns: Option<u64>,
    /// Time of its interrupt handlers, exact. `null` if its interrupts cannot be identified: hardware in
    /// another namespace, USB devices, several NICs on one device.
    #[schemars(title = "Time of its interrupt handlers, exact")]
    pub hardirq_ns: Option<u64>,
    /// The same, estimated from windows. In a report it may have exact parts. Absent if it is exact.
    #[schemars(title = "Time of its interrupt handlers, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardirq_est_ns: Option<u64>,
    /// Time of its driver's code in its polls and elsewhere, outside hard irqs, estimated from samples.
    #[schemars(title = "Time of its driver's code, estimated")]
    #[serde(default)]
    pub driver_est_ns: Option<u64>,
    /// True if a part of `driver_est_ns` was split between NICs of one driver by their packets.
    #[schemars(title = "Driver time was split between NICs by packets")]
    #[serde(default)]
    pub driver_est_split: bool,
    /// Time of its polls outside its driver's code, estimated from samples. It covers polls in softirqs and
    /// in its own threads, not busy polls.
    #[schemars(title = "Time of its polls outside the driver, estimated")]
    #[serde(default)]
    pub stack_est_ns: Option<u64>,
    /// Where its polls (except busy ones) spent their time, by samples, most first. `null` whenever
    /// `driver_est_ns` is, and in a report of frames that were sampled at different rates.
    #[schemars(title = "Where its polls spent their time, by samples")]
    #[serde(default)]
    pub stages: Option<Vec<StageShare>>,
    /// The part of a report's interval in which `driver_est_ns`, `stack_est_ns` or `stages` was `null`. All
    /// three leave it out. Absent if there was none, and in every frame that is not a report.
    #[schemars(title = "Part of a report without these estimates")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_gap_ns: Option<u64>,
    /// What it cost on each CPU. CPUs on which nothing happened are absent; if polls are not counted, all
    /// CPUs are present with unknown values.
    #[schemars(title = "Its cost on each CPU")]
    pub cpus: Vec<NicCpu>,
    /// What it cost by NAPI and by who polled it; `null` if polls are not counted.
    #[schemars(title = "Its cost by NAPI")]
    pub napis: Option<Vec<Napi>>,
}

impl Nic {
    /// Whether this row is network code in a softirq other than `NET_RX`, which only samples show.
    pub fn is_softirq(&self) -> bool {
        self.netns.is_none() && self.napis.is_none()
    }

    /// Time of its polls, exact or estimated.
    pub fn poll_time_ns(&self) -> Option<u64> {
        self.poll_ns.or(self.poll_est_ns)
    }

    /// Time of its interrupt handlers, exact or estimated.
    pub fn hardirq_time_ns(&self) -> Option<u64> {
        self.hardirq_ns.or(self.hardirq_est_ns)
    }

    /// The softirq that this row is of, and how to find it among a CPU's; `None` for NICs, and for softirqs
    /// in which network code is rare.
    pub(super) fn softirq(&self) -> Option<(&'static str, OfSoftirqs)> {
        match self.name.as_str() {
            _ if !self.is_softirq() => None,
            "(tasklet)" => Some(("TASKLET", |softirqs| softirqs.tasklet)),
            "(hrtimer)" => Some(("HRTIMER", |softirqs| softirqs.hrtimer)),
            "(net_tx)" => Some(("NET_TX", |softirqs| softirqs.net_tx)),
            _ => None,
        }
    }

    /// Its polls in softirqs.
    pub(crate) fn softirq_polls(&self) -> u64 {
        self.napis.as_deref().map_or(0, softirq_polls)
    }

    /// Whether all its polls have a time. Busy polls have none.
    pub fn is_timed(&self) -> bool {
        self.napis.iter().flatten().all(|napi| napi.mode != NapiMode::Busy)
    }
}

/// The polls of these NAPIs in softirqs.
pub(crate) fn softirq_polls(napis: &[Napi]) -> u64 {
    let in_softirqs = |napi: &&Napi| matches!(napi.mode, NapiMode::Softirq | NapiMode::Backlog);
    let rows = napis.iter().filter(in_softirqs).flat_map(|napi| &napi.cpus);
    rows.fold(0, |sum: u64, row| sum.saturating_add(row.relative_polls()))
}

/// Interface counters over the interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NicCounters {
    /// Packets received.
    #[schemars(title = "Packets received")]
    pub rx_packets: Option<u64>,
    /// Bytes received.
    #[schemars(title = "Bytes received")]
    pub rx_bytes: Option<u64>,
    /// Packets sent.
    #[schemars(title = "Packets sent")]
    pub tx_packets: Option<u64>,
    /// Bytes sent.
    #[schemars(title = "Bytes sent")]
    pub tx_bytes: Option<u64>,
    /// Drop counters.
    #[schemars(title = "Drop counters")]
    pub drops: Option<NicDrops>,
}

impl NicCounters {
    /// Packets received and sent; `None` if either is unknown.
    pub fn packets(&self) -> Option<u64> {
        Some(self.rx_packets?.saturating_add(self.tx_packets?))
    }

    /// Bytes received and sent; `None` if either is unknown.
    pub fn bytes(&self) -> Option<u64> {
        Some(self.rx_bytes?.saturating_add(self.tx_bytes?))
    }
}

/// Drop counters of `rtnl_link_stats64`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NicDrops {
    /// Received packets that the host dropped because it had no room or no use for them (`rx_dropped`).
    #[schemars(title = "Received, then dropped by the host")]
    pub rx_dropped: u64,
    /// Packets that the NIC dropped for lack of buffers (`rx_missed_errors`).
    #[schemars(title = "Dropped by the NIC for lack of buffers")]
    pub rx_missed: u64,
    /// Packets lost because the NIC's FIFO overran (`rx_fifo_errors`).
    #[schemars(title = "Lost to a FIFO overrun in the NIC")]
    pub rx_fifo: u64,
    /// Packets whose frame checksum was wrong (`rx_crc_errors`).
    #[schemars(title = "Received with a wrong frame checksum")]
    pub rx_crc: u64,
    /// Packets that no protocol wanted (`rx_nohandler`).
    #[schemars(title = "Received, but no protocol wanted them")]
    pub rx_nohandler: u64,
    /// Packets dropped on the way out (`tx_dropped`).
    #[schemars(title = "Dropped on the way out")]
    pub tx_dropped: u64,
}

/// One NIC on one CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NicCpu {
    /// The kernel's number of the CPU.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// Time of polls in `NET_RX` and in NAPI threads; `null` if there were only busy polls, whose time is
    /// unknown.
    #[schemars(title = "Time of its polls on this CPU")]
    pub poll_ns: Option<u64>,
    /// Time of its interrupt handlers on this CPU, exact.
    #[schemars(title = "Time of its interrupt handlers on this CPU, exact")]
    pub hardirq_ns: Option<u64>,
    /// Number of polls.
    #[schemars(title = "Polls")]
    pub polls: Option<u64>,
    /// Sum of what the polls returned. This counts packets only if the driver returns packets.
    #[schemars(title = "Work that the polls returned")]
    pub work: Option<u64>,
    /// Polls that returned their whole budget and so were polled again.
    #[schemars(title = "Polls that used their whole budget")]
    pub repolls: Option<u64>,
    /// `poll_ns` and, if known, `hardirq_ns` in percent of the interval.
    #[schemars(title = "Load on this CPU")]
    pub load_pct: Option<f64>,
    /// `poll_ns`, estimated from windows. In a report it may have exact parts. Absent if it is exact.
    #[schemars(title = "Time of its polls on this CPU, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_est_ns: Option<u64>,
    /// The 95 % interval of `poll_est_ns`. Absent until there were 8 windows.
    #[schemars(title = "95 % interval of this time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_est_ci_ns: Option<[u64; 2]>,
    /// `hardirq_ns`, estimated likewise.
    #[schemars(title = "Time of its interrupt handlers on this CPU, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardirq_est_ns: Option<u64>,
    /// `load_pct` made from these estimates.
    #[schemars(title = "Load on this CPU, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_est_pct: Option<f64>,
    /// What `poll_est_ns` is made from.
    #[schemars(title = "What the windows saw of its polls")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windowed: Option<Box<Windowed>>,
}

impl NicCpu {
    /// A CPU on which what the NIC did is unknown.
    pub(crate) fn unknown(cpu: u32) -> Self {
        Self { cpu, ..Self::default() }
    }

    /// Time of its polls, exact or estimated.
    pub fn poll_time_ns(&self) -> Option<u64> {
        self.poll_ns.or(self.poll_est_ns)
    }

    /// Time of its interrupt handlers, exact or estimated.
    pub fn hardirq_time_ns(&self) -> Option<u64> {
        self.hardirq_ns.or(self.hardirq_est_ns)
    }

    /// Its load, exact or estimated.
    pub fn known_load_pct(&self) -> Option<f64> {
        self.load_pct.or(self.load_est_pct)
    }
}

/// One NAPI in one mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Napi {
    /// The kernel's id of the NAPI. 0 is normal for a NAPI that only transmits.
    #[schemars(title = "NAPI id")]
    pub napi_id: u32,
    /// Symbol of the driver's poll function.
    #[schemars(title = "Poll function")]
    pub poll_fn: Option<String>,
    /// Queue index, if the kernel reports it.
    #[schemars(title = "Queue")]
    pub queue: Option<u32>,
    /// What the NAPI serves.
    #[schemars(title = "What it serves")]
    pub kind: Option<NapiKind>,
    /// Who polled the NAPI.
    #[schemars(title = "Who polls it")]
    pub mode: NapiMode,
    /// Its polls on each CPU. CPUs on which nothing happened are absent.
    #[schemars(title = "Its polls on each CPU")]
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
    /// A queue in both directions.
    Combined,
    /// The per-CPU backlog.
    Backlog,
}

/// Who polls a NAPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NapiMode {
    /// The `NET_RX` softirq; the time is exact.
    Softirq,
    /// Its own kernel thread; the time comes from the thread's schedstat, split between CPUs by work.
    Threaded,
    /// A task that busy-polls its socket; the time is unknown.
    Busy,
    /// The per-CPU backlog in `NET_RX`; the time is exact.
    Backlog,
}

/// One NAPI on one CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NapiCpu {
    /// The kernel's number of the CPU.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// Time of the polls; `null` for busy polls.
    #[schemars(title = "Time of its polls on this CPU")]
    pub poll_ns: Option<u64>,
    /// The same, estimated from windows. In a report it may have exact parts. Absent if it is exact.
    #[schemars(title = "Time of its polls on this CPU, estimated")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_est_ns: Option<u64>,
    /// Number of polls; `null` if nicmon measured in windows, since only its programs count polls.
    #[schemars(title = "Polls")]
    pub polls: Option<u64>,
    /// Sum of what the polls returned. This counts packets only if the driver returns packets.
    #[schemars(title = "Work that the polls returned")]
    pub work: Option<u64>,
    /// Polls that returned their whole budget and so were polled again.
    #[schemars(title = "Polls that used their whole budget")]
    pub repolls: Option<u64>,
    /// Its polls in the windows of the interval or, if it had none, in the last windows. Only proportions
    /// between NAPIs mean anything. Absent if all polls were counted.
    #[schemars(title = "Its polls in the last windows")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<Box<RecentPolls>>,
}

/// Polls that were counted in windows only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentPolls {
    /// Number of polls.
    #[schemars(title = "Polls in the last windows")]
    pub polls: u64,
    /// Sum of what they returned.
    #[schemars(title = "Work that these polls returned")]
    pub work: u64,
    /// Those of them that returned their whole budget.
    #[schemars(title = "Polls of these that used their whole budget")]
    pub repolls: u64,
}

impl NapiCpu {
    /// Time of its polls, exact or estimated.
    pub fn poll_time_ns(&self) -> Option<u64> {
        self.poll_ns.or(self.poll_est_ns)
    }

    /// Polls, to be compared with those of other NAPIs in the same frame.
    pub(crate) fn relative_polls(&self) -> u64 {
        self.polls.or(self.recent.as_ref().map(|recent| recent.polls)).unwrap_or(0)
    }

    /// Work, to be compared likewise.
    pub(crate) fn relative_work(&self) -> u64 {
        self.work.or(self.recent.as_ref().map(|recent| recent.work)).unwrap_or(0)
    }

    /// Polls that used their whole budget, to be compared likewise.
    pub(crate) fn relative_repolls(&self) -> u64 {
        self.repolls.or(self.recent.as_ref().map(|recent| recent.repolls)).unwrap_or(0)
    }
}
