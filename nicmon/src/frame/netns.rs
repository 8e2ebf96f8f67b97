//! `netns[]`: counters of the network namespaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One network namespace over the interval. Its counters cover IPv4 (`/proc/net/snmp` and `netstat`),
/// including the IPv4 packets of IPv6 sockets. They are `null` in the first interval of a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Netns {
    /// Inode number of the namespace, as in `nics[].netns`.
    #[schemars(title = "Inode of the namespace")]
    pub inum: u32,
    /// Its name under `/run/netns`, as `ip netns` shows it; `null` if it has none.
    #[schemars(title = "Name of the namespace")]
    pub name: Option<String>,
    /// The control group of a process in the namespace; `null` if no such process is seen, and for nicmon's
    /// own namespace, where processes of many groups run.
    #[schemars(title = "Control group of a process in it")]
    pub cgroup: Option<String>,
    /// Datagrams dropped because the receive buffer of a UDP socket was full.
    #[schemars(title = "UDP datagrams dropped: socket buffer full")]
    pub udp_rcvbuf_errors: Option<u64>,
    /// Connections dropped at listening TCP sockets for any reason, such as a full accept queue.
    #[schemars(title = "Connections dropped at listening TCP sockets")]
    pub listen_drops: Option<u64>,
    /// How many packets as they arrived make up one packet that IP received: the work of GRO. `null` if
    /// nothing arrived. Packets that a device or a virtual machine's host merged without saying how many
    /// count as one.
    #[schemars(title = "Packets that GRO merges into one")]
    pub gro_ratio: Option<f64>,
    /// Packets that IP received: the denominator of `gro_ratio`.
    #[schemars(title = "Packets that IP received")]
    #[serde(default)]
    pub ip_packets: Option<u64>,
    /// Who reads the UDP socket that drops most. It is looked for only if `udp_rcvbuf_errors` rises;
    /// otherwise absent. In a report it is the last reader, and the counts are of all.
    #[schemars(title = "Who reads the UDP socket that drops most")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_reader: Option<UdpReader>,
    /// The part of a report's interval in which these counters were `null`, usually the first interval of a
    /// namespace. The counters leave it out. Absent if there was none, and in every frame that is not a
    /// report.
    #[schemars(title = "Part of a report without these counters")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_ns: Option<u64>,
}

/// The process that reads a UDP socket, and the CPU quota of its control group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UdpReader {
    /// The process; `null` if it cannot be found. Processes of other users take `CAP_SYS_PTRACE` and
    /// `CAP_DAC_READ_SEARCH`.
    #[schemars(title = "Process")]
    pub pid: Option<u32>,
    /// Its name (lossy UTF-8).
    #[schemars(title = "Name of the process")]
    pub comm: Option<String>,
    /// Datagrams that the socket dropped; `null` in the first interval of the drops.
    #[schemars(title = "Datagrams dropped by its socket")]
    pub dropped: Option<u64>,
    /// Periods (100 ms unless set otherwise) in which its control group or a parent used up its CPU quota;
    /// `null` in the first interval of the drops, and if it cannot be read.
    #[schemars(title = "Periods in which its CPU quota was used up")]
    pub nr_throttled: Option<u64>,
    /// For how long the quotas stopped their tasks, added up over CPUs and groups; `null` as `nr_throttled`.
    #[schemars(title = "Time stopped by CPU quotas")]
    pub throttled_ns: Option<u64>,
}
