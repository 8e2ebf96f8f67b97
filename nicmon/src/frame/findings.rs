//! `findings[]` and `headroom[]`: what a frame and those before it mean.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that deserves a look. docs/findings has a page about each `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What was found.
    #[schemars(title = "What was found")]
    pub id: FindingId,
    /// How bad it is.
    #[schemars(title = "How bad it is")]
    pub severity: Severity,
    /// Why it happens on this CPU; `null` where `id` says it all.
    #[schemars(title = "Why it happens here")]
    pub cause: Option<Cause>,
    /// Why a packet costs as much as it does. Empty if nothing unusual was seen.
    #[schemars(title = "What makes packets expensive")]
    pub contributing: Vec<Contributing>,
    /// What it is about.
    #[schemars(title = "What it is about")]
    pub subject: Subject,
    /// End of the first frame in which it was seen, in UTC (RFC 3339).
    #[schemars(title = "Seen since")]
    pub since: String,
    /// For how long it stood in a report. Absent in every frame that is not a report.
    #[schemars(title = "Stood for, in a report")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood_ns: Option<u64>,
    /// True if this frame no longer shows it: it is over once it has been good for some seconds. Cause,
    /// subject and `why` are then those of the last frame that showed it. Absent if it is not so.
    #[schemars(title = "No longer seen, and soon over")]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fades: bool,
    /// The figures of this frame behind it; empty in a report.
    #[schemars(title = "The figures behind it")]
    pub evidence: Vec<Evidence>,
    /// One sentence for people.
    #[schemars(title = "What happens, in one sentence")]
    pub why: String,
    /// What could make it wrong.
    #[schemars(title = "What could make it wrong")]
    pub caveats: Vec<String>,
}

/// What tells findings in a stream apart: what, when it began, and CPU, NIC and namespace as far as they
/// belong to the finding and are not only named with it.
pub type FindingKey = (FindingId, String, Option<u32>, Option<String>, Option<u32>);

impl Finding {
    /// What tells it apart from other findings.
    pub fn key(&self) -> FindingKey {
        let Subject { nic, netns, cpu, .. } = &self.subject;
        let (cpu, nic, netns) = match self.id {
            FindingId::MachineSaturated | FindingId::OwnCost => (None, None, None),
            FindingId::RingOverrun | FindingId::WastedSteering | FindingId::SingleTxQueue => {
                (None, nic.clone(), *netns)
            }
            FindingId::SocketDrops => (None, None, *netns),
            _ => (*cpu, None, None),
        };
        (self.id, self.since.clone(), cpu, nic, netns)
    }
}

/// A rule that could not be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotJudged {
    /// The rule.
    #[schemars(title = "Rule")]
    pub id: FindingId,
    /// Why.
    #[schemars(title = "Why it was not judged")]
    pub why: String,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingId {
    /// Receiving fills one CPU while others are idle.
    SingleCpuReceive,
    /// Receiving fills a CPU, and no other core is idle.
    MachineSaturated,
    /// Tasks fill a CPU that also receives.
    CpuShared,
    /// Network code takes much of a CPU in a softirq other than `NET_RX`.
    SoftirqOutsideNapi,
    /// A CPU's backlog was full.
    BacklogDrops,
    /// A NIC had no buffers left.
    RingOverrun,
    /// A NIC interrupts a CPU for each packet or two.
    InterruptStorm,
    /// Network work runs on an isolated CPU.
    Intrusion,
    /// RPS moves packets that the NIC's queues spread already.
    WastedSteering,
    /// Many CPUs send through a NIC's only transmit queue.
    SingleTxQueue,
    /// A program reads too slowly from its sockets.
    SocketDrops,
    /// nicmon itself takes much of a CPU.
    OwnCost,
}

impl FindingId {
    /// Its name, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::SingleCpuReceive => "single-cpu-receive",
            Self::MachineSaturated => "machine-saturated",
            Self::CpuShared => "cpu-shared",
            Self::SoftirqOutsideNapi => "softirq-outside-napi",
            Self::BacklogDrops => "backlog-drops",
            Self::RingOverrun => "ring-overrun",
            Self::InterruptStorm => "interrupt-storm",
            Self::Intrusion => "intrusion",
            Self::WastedSteering => "wasted-steering",
            Self::SingleTxQueue => "single-tx-queue",
            Self::SocketDrops => "socket-drops",
            Self::OwnCost => "own-cost",
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; often meant.
    Info,
    /// It costs throughput or delay, or soon will.
    Warning,
    /// Packets are lost or delayed.
    Critical,
}

impl Severity {
    /// The word for people, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Why receiving fills just this CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The NIC has one receive queue.
    OneQueue,
    /// The NIC could have more queues than are enabled.
    QueuesNotEnabled,
    /// Several queues interrupt this CPU.
    IrqsShareCpu,
    /// One queue gets more packets than the others.
    UnevenRss,
    /// One flow, which cannot be spread over queues.
    ElephantFlow,
    /// Many flows between the same two addresses, and the NIC's hash covers nothing else.
    HashAddressesOnly,
    /// The thread that polls a NAPI stays on this CPU.
    NapiThreadPinned,
    /// RPS passes packets to this CPU.
    RpsTarget,
    /// The queues' interrupts go to other CPUs by now, but the polls never end, so they stay here.
    AffinityNotFollowed,
    /// A virtual device: its packets are received where they are sent.
    SenderCpu,
    /// None of these.
    Unknown,
}

impl Cause {
    /// Its name, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::OneQueue => "one-queue",
            Self::QueuesNotEnabled => "queues-not-enabled",
            Self::IrqsShareCpu => "irqs-share-cpu",
            Self::UnevenRss => "uneven-rss",
            Self::ElephantFlow => "elephant-flow",
            Self::HashAddressesOnly => "hash-addresses-only",
            Self::NapiThreadPinned => "napi-thread-pinned",
            Self::RpsTarget => "rps-target",
            Self::AffinityNotFollowed => "affinity-not-followed",
            Self::SenderCpu => "sender-cpu",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a packet costs as much as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Contributing {
    /// Firewall rules take much of the polls' time.
    NetfilterRules,
    /// A packet socket sees, and usually copies, every packet.
    PacketTap,
    /// An XDP program runs in the stack instead of the driver.
    GenericXdp,
    /// BPF programs of other tools take much of the polls' time.
    OtherBpf,
    /// GRO merges next to nothing.
    GroIneffective,
    /// The CPU is on another NUMA node than the NIC.
    RemoteNuma,
    /// Another hardware thread of the core is busy.
    SmtBusy,
    /// The CPU runs slower than it could.
    CpuSlow,
}

impl Contributing {
    /// Its name, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::NetfilterRules => "netfilter-rules",
            Self::PacketTap => "packet-tap",
            Self::GenericXdp => "generic-xdp",
            Self::OtherBpf => "other-bpf",
            Self::GroIneffective => "gro-ineffective",
            Self::RemoteNuma => "remote-numa",
            Self::SmtBusy => "smt-busy",
            Self::CpuSlow => "cpu-slow",
        }
    }
}

/// What a finding is about; `null` for what it does not concern or is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// The NIC, as in `nics[].name`.
    #[schemars(title = "NIC")]
    pub nic: Option<String>,
    /// Inode of its network namespace.
    #[schemars(title = "Network namespace")]
    pub netns: Option<u32>,
    /// The CPU.
    #[schemars(title = "CPU")]
    pub cpu: Option<u32>,
    /// The receive queue.
    #[schemars(title = "Receive queue")]
    pub queue: Option<u32>,
    /// The interrupt line.
    #[schemars(title = "Interrupt line")]
    pub irq: Option<u32>,
    /// Name of the thread (lossy UTF-8).
    #[schemars(title = "Thread")]
    pub comm: Option<String>,
}

/// A figure behind a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What it is, for people.
    #[schemars(title = "What it is")]
    pub what: String,
    /// Where it stands, or the largest part of what it is made from: a JSON pointer (RFC 6901) into this
    /// frame. `/topology` is the last one that the stream carried.
    #[schemars(title = "Field of the frame")]
    pub field: String,
    /// The figure.
    #[schemars(title = "Value")]
    pub value: f64,
    /// Its unit.
    #[schemars(title = "Unit")]
    pub unit: Unit,
    /// The limit that it is compared with; `null` if it only explains.
    #[schemars(title = "Limit")]
    pub threshold: Option<f64>,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the field")]
pub enum Unit {
    /// Percent of the CPU's time that was not stolen.
    PctOfCpu,
    Pct,
    PerS,
    Packets,
    Count,
    NsPerS,
    Ns,
}

/// The packet rate that a NIC could receive before its busiest CPU is full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Headroom {
    /// The NIC, as in `nics[].name`.
    #[schemars(title = "NIC")]
    pub nic: String,
    /// Inode of its network namespace.
    #[schemars(title = "Network namespace")]
    pub netns: Option<u32>,
    /// The CPU that would be full first.
    #[schemars(title = "CPU that would be full first")]
    pub cpu: u32,
    /// Received packets per second at which that CPU is full: lower and upper bound. The lower one uses idle
    /// time only, at today's cost per packet; the upper one also takes the time of tasks, which could run
    /// elsewhere, and the marginal cost of a packet.
    #[schemars(title = "Packets per second at which it is full")]
    pub saturation_rx_packets_ci_per_s: [f64; 2],
    /// The same, as a multiple of today's rate.
    #[schemars(title = "The same as a multiple of today's rate")]
    pub factor_ci: [f64; 2],
}
