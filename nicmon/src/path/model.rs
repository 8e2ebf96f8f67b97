//! What `nicmon path` says. Serialised, it is the output of `nicmon path --json`.
//!
//! Each field is described beside its declaration, as those of frames are; `null` is unknown.

use schemars::JsonSchema;
use serde::Serialize;

/// The value of [`PacketPath::schema`].
pub const SCHEMA: &str = "nicmon.path/1";

/// Where the packets of one NIC went during one interval.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct PacketPath {
    /// Name and version of this format: `nicmon.path/1`.
    #[schemars(title = "Name and version of this format")]
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Name of the interface.
    #[schemars(title = "NIC")]
    pub nic: String,
    /// Interface index.
    #[schemars(title = "Interface index")]
    pub ifindex: u32,
    /// Inode of its network namespace.
    #[schemars(title = "Network namespace")]
    pub netns: u32,
    /// Name of the driver.
    #[schemars(title = "Driver")]
    pub driver: Option<String>,
    /// How long packets were counted.
    #[schemars(title = "How long packets were counted")]
    pub interval_ns: u64,
    /// How long time was measured, before packets were counted.
    #[schemars(title = "How long time was measured")]
    pub timed_ns: u64,
    /// The way in, stage by stage.
    #[schemars(title = "The way in")]
    pub receive: Vec<StageCounts>,
    /// The way out.
    #[schemars(title = "The way out")]
    pub transmit: Vec<StageCounts>,
    /// What went through each queue; empty if neither the kernel nor `ethtool -S` counts it.
    #[schemars(title = "What went through each queue")]
    pub queues: Vec<QueueShare>,
    /// Time of its polls per packet received, exact, with everything that happens in them.
    #[schemars(title = "Time of its polls per packet")]
    pub poll_ns_per_packet: Option<f64>,
    /// Drops that were not counted, for lack of room. They are among what is unexplained.
    #[schemars(title = "Drops that were not counted")]
    pub drops_lost: u64,
    /// What a reader must know: why figures are unknown, and what may be among what is unexplained.
    #[schemars(title = "Notes")]
    pub notes: Vec<String>,
}

/// One stage of the way. `packets` = all of `lost` + all of `elsewhere` + `next` + `unexplained`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct StageCounts {
    /// The stage.
    #[schemars(title = "Stage")]
    pub stage: PathStage,
    /// Packets that came into it. From `gro` on, packets that GRO merged count as one.
    #[schemars(title = "Packets into it")]
    pub packets: Option<u64>,
    /// Packets lost in it, most first.
    #[schemars(title = "Lost in it")]
    pub lost: Vec<Loss>,
    /// Packets that left the way here without being lost.
    #[schemars(title = "Left the way here")]
    pub elsewhere: Vec<Onward>,
    /// Packets that came into the next stage, by a counter of their own.
    #[schemars(title = "Packets into the next stage")]
    pub next: Option<u64>,
    /// What remains: too few packets come out if it is positive, too many if it is negative. `null` if one
    /// of the others is unknown, or if `next` has no counter of its own.
    #[schemars(title = "Unexplained")]
    pub unexplained: Option<i64>,
    /// Time of this stage in polls, per packet that the NIC received, estimated.
    #[schemars(title = "Time per packet, estimated")]
    pub est_ns_per_packet: Option<f64>,
    /// Its 95 % interval.
    #[schemars(title = "95 % interval of this time")]
    pub est_ci_ns_per_packet: Option<[f64; 2]>,
}

/// A stage of the way of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PathStage {
    /// The NIC's receive ring: what the NIC lost.
    #[default]
    Ring,
    /// The driver: its XDP program, and packets that it drops itself.
    Driver,
    /// Merging (GRO), and the backlog for packets that RPS sends to other CPUs or that have no NAPI.
    Gro,
    /// The core of the stack: generic XDP, packet sockets, tc, bridges, and the choice of the protocol.
    Core,
    /// Netfilter: iptables, nftables, connection tracking.
    Netfilter,
    /// IPv4 and IPv6.
    Ip,
    /// TCP, UDP, ICMP and their sockets.
    Socket,
    /// Queueing disciplines, and all else before the driver sends.
    Queue,
    /// The driver, sending.
    Transmit,
}

impl PathStage {
    /// The word for people, the same in every output.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ring => "ring",
            Self::Driver => "driver",
            Self::Gro => "gro",
            Self::Core => "core",
            Self::Netfilter => "netfilter",
            Self::Ip => "ip",
            Self::Socket => "socket",
            Self::Queue => "queue",
            Self::Transmit => "transmit",
        }
    }
}

/// Packets lost for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Loss {
    /// Name of the counter or of the kernel's drop reason; `null` if the kernel gives no reason.
    #[schemars(title = "Counter or drop reason")]
    pub by: Option<String>,
    /// Function of the kernel that dropped them; `null` if a counter says it.
    #[schemars(title = "Function that dropped them")]
    pub function: Option<String>,
    /// How many.
    #[schemars(title = "Packets")]
    pub packets: u64,
}

/// Packets that went somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Onward {
    /// Where to.
    #[schemars(title = "Where to")]
    pub to: String,
    /// How many.
    #[schemars(title = "Packets")]
    pub packets: u64,
}

/// All packets lost in a stage.
pub fn all_lost(lost: &[Loss]) -> u64 {
    lost.iter().fold(0, |sum, loss| sum.saturating_add(loss.packets))
}

/// All packets that left the way in a stage without being lost.
pub fn all_elsewhere(elsewhere: &[Onward]) -> u64 {
    elsewhere.iter().fold(0, |sum, onward| sum.saturating_add(onward.packets))
}

/// What went through one queue in the interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QueueShare {
    /// Receive or transmit.
    #[schemars(title = "Receive or transmit")]
    pub kind: crate::frame::topology::QueueKind,
    /// Its number.
    #[schemars(title = "Queue number")]
    pub index: u32,
    /// Packets.
    #[schemars(title = "Packets")]
    pub packets: Option<u64>,
    /// Bytes.
    #[schemars(title = "Bytes")]
    pub bytes: Option<u64>,
}

/// The JSON Schema (draft 2020-12) of what `nicmon path --json` prints.
pub fn schema() -> serde_json::Value {
    crate::frame::schema_of::<PacketPath>()
}
