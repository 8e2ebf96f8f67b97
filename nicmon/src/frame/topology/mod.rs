//! How a machine's network is set up: what the numbers of frames are to be judged by.
//!
//! As in frames, `None` (`null`) is unknown here, and an empty array is a known nothing. What a driver does not
//! support is unknown, too: the kernel refuses to tell it.

mod ethtool;
mod nic;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{ethtool::*, nic::*};

/// How the network of a host is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// Network interfaces, by namespace (nicmon's own first) and index.
    #[schemars(title = "Network interfaces")]
    pub nics: Vec<Nic>,
    /// Online CPUs, ascending.
    #[schemars(title = "CPUs")]
    pub cpus: Vec<Cpu>,
    /// Settings of the whole machine's receive path.
    #[schemars(title = "Receive settings of the machine")]
    pub sysctls: Sysctls,
    /// Who receives packets from the devices of nicmon's namespace; `null` where it cannot be read.
    #[schemars(title = "Receivers of packets")]
    pub packet_types: Option<Vec<PacketType>>,
}

/// Where a CPU is, and what it is kept for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// The kernel's number of the CPU.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// Its package (socket).
    #[schemars(title = "Package (socket)")]
    pub package: Option<u32>,
    /// Its core; the number is unique within the package only.
    #[schemars(title = "Core")]
    pub core: Option<u32>,
    /// The CPUs that share its core, itself among them.
    #[schemars(title = "CPUs that share its core")]
    pub siblings: Option<Vec<u32>>,
    /// Its NUMA node; `null` as well where the kernel knows no nodes.
    #[schemars(title = "NUMA node")]
    pub numa_node: Option<u32>,
    /// True where the scheduler leaves it alone (`isolcpus=`).
    #[schemars(title = "Isolated from the scheduler (isolcpus)")]
    pub isolated: Option<bool>,
    /// True where it runs without a tick while it has one task (`nohz_full=`); `null` where the kernel cannot.
    #[schemars(title = "Runs without a tick (nohz_full)")]
    pub nohz_full: Option<bool>,
}

/// Settings below `/proc/sys/net/core`; `null` where the kernel lacks them or shows them only in the first namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Sysctls {
    /// Packets that a run of `NET_RX` handles at most.
    #[schemars(title = "Most packets in one run of NET_RX")]
    pub netdev_budget: Option<u64>,
    /// Microseconds after which a run of `NET_RX` ends.
    #[schemars(title = "Longest run of NET_RX, in microseconds")]
    pub netdev_budget_usecs: Option<u64>,
    /// Packets that wait in the backlog of a CPU at most.
    #[schemars(title = "Most packets waiting in a CPU's backlog")]
    pub netdev_max_backlog: Option<u64>,
    /// Packets that a poll of the backlog handles at most.
    #[schemars(title = "Most packets in one poll of the backlog")]
    pub dev_weight: Option<u64>,
    /// Factor to that for receiving.
    #[schemars(title = "Factor on dev_weight for receiving")]
    pub dev_weight_rx_bias: Option<u64>,
    /// Factor to that for sending.
    #[schemars(title = "Factor on dev_weight for sending")]
    pub dev_weight_tx_bias: Option<u64>,
    /// Packets that GRO hands to the stack together.
    #[schemars(title = "Packets GRO passes to the stack at once")]
    pub gro_normal_batch: Option<u64>,
    /// Entries of the table of flows for RFS; 0 is off.
    #[schemars(title = "Size of the RFS flow table; 0 is off")]
    pub rps_sock_flow_entries: Option<u64>,
    /// Microseconds that `poll` and `select` busy-poll.
    #[schemars(title = "Busy polling in poll and select, in microseconds")]
    pub busy_poll: Option<u64>,
    /// Microseconds that a read of a socket busy-polls.
    #[schemars(title = "Busy polling in a socket read, in microseconds")]
    pub busy_read: Option<u64>,
}

/// A handler of received packets (`/proc/net/ptype`): a protocol's, or a packet tap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PacketType {
    /// `ALL`, or the Ethernet protocol in four hexadecimal digits.
    #[schemars(title = "Protocol")]
    pub protocol: String,
    /// The one device it receives from; `null` is all of them.
    #[schemars(title = "The one device it receives from")]
    pub device: Option<String>,
    /// The kernel function that receives.
    #[schemars(title = "Receiving kernel function")]
    pub function: String,
    /// True where that is a packet socket (`AF_PACKET`): each packet costs the tap a look, and mostly a copy.
    #[schemars(title = "Packet socket that sees every packet")]
    pub tap: bool,
}
