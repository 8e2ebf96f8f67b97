//! How the network of a machine is configured. This is needed to judge the numbers in frames.
//!
//! As in frames, `None` (`null`) means unknown, and an empty array means that there is nothing. What a driver
//! does not support is unknown too, because the kernel refuses to report it.

mod ethtool;
mod nic;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{ethtool::*, nic::*};

/// How the network of a host is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// Network interfaces by namespace (nicmon's own first) and index.
    #[schemars(title = "Network interfaces")]
    pub nics: Vec<Nic>,
    /// Online CPUs in ascending order.
    #[schemars(title = "CPUs")]
    pub cpus: Vec<Cpu>,
    /// Settings for receiving packets, for the whole machine.
    #[schemars(title = "Receive settings of the machine")]
    pub sysctls: Sysctls,
    /// What receives packets from the devices in nicmon's namespace; `null` if it cannot be read.
    #[schemars(title = "Receivers of packets")]
    pub packet_types: Option<Vec<PacketType>>,
}

/// Where a CPU is, and what it is reserved for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// The kernel's number of the CPU.
    #[schemars(title = "CPU number")]
    pub cpu: u32,
    /// Its package (socket).
    #[schemars(title = "Package (socket)")]
    pub package: Option<u32>,
    /// Its core. The number is unique within the package only.
    #[schemars(title = "Core")]
    pub core: Option<u32>,
    /// The CPUs that share its core, including itself.
    #[schemars(title = "CPUs that share its core")]
    pub siblings: Option<Vec<u32>>,
    /// Its NUMA node; `null` if it is unknown, and on a kernel without NUMA nodes.
    #[schemars(title = "NUMA node")]
    pub numa_node: Option<u32>,
    /// True if the scheduler leaves it alone (`isolcpus=`).
    #[schemars(title = "Isolated from the scheduler (isolcpus)")]
    pub isolated: Option<bool>,
    /// True if it runs without a tick while it has only one task (`nohz_full=`); `null` if the kernel cannot
    /// do that.
    #[schemars(title = "Runs without a tick (nohz_full)")]
    pub nohz_full: Option<bool>,
}

/// Settings under `/proc/sys/net/core`; `null` if the kernel lacks them or shows them only in the initial
/// namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Sysctls {
    /// Most packets that one run of `NET_RX` handles.
    #[schemars(title = "Most packets in one run of NET_RX")]
    pub netdev_budget: Option<u64>,
    /// Microseconds after which a run of `NET_RX` ends.
    #[schemars(title = "Longest run of NET_RX, in microseconds")]
    pub netdev_budget_usecs: Option<u64>,
    /// Most packets that wait in the backlog of one CPU.
    #[schemars(title = "Most packets waiting in a CPU's backlog")]
    pub netdev_max_backlog: Option<u64>,
    /// Most packets that one poll of the backlog handles.
    #[schemars(title = "Most packets in one poll of the backlog")]
    pub dev_weight: Option<u64>,
    /// Factor applied to `dev_weight` for receiving.
    #[schemars(title = "Factor on dev_weight for receiving")]
    pub dev_weight_rx_bias: Option<u64>,
    /// Factor applied to `dev_weight` for sending.
    #[schemars(title = "Factor on dev_weight for sending")]
    pub dev_weight_tx_bias: Option<u64>,
    /// Packets that GRO passes to the stack at once.
    #[schemars(title = "Packets GRO passes to the stack at once")]
    pub gro_normal_batch: Option<u64>,
    /// Entries in the flow table of RFS; 0 if RFS is off.
    #[schemars(title = "Size of the RFS flow table; 0 is off")]
    pub rps_sock_flow_entries: Option<u64>,
    /// Microseconds for which `poll` and `select` busy-poll.
    #[schemars(title = "Busy polling in poll and select, in microseconds")]
    pub busy_poll: Option<u64>,
    /// Microseconds for which a read from a socket busy-polls.
    #[schemars(title = "Busy polling in a socket read, in microseconds")]
    pub busy_read: Option<u64>,
}

/// A receiver of packets (`/proc/net/ptype`): a protocol or a packet tap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PacketType {
    /// `ALL`, or the Ethernet protocol as four hexadecimal digits.
    #[schemars(title = "Protocol")]
    pub protocol: String,
    /// The one device it receives from; `null` for all devices.
    #[schemars(title = "The one device it receives from")]
    pub device: Option<String>,
    /// The kernel function that receives the packets.
    #[schemars(title = "Receiving kernel function")]
    pub function: String,
    /// True for a packet socket (`AF_PACKET`): it looks at every packet, and usually copies it.
    #[schemars(title = "Packet socket that sees every packet")]
    pub tap: bool,
}
