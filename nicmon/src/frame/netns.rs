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
    /// The part of a report's interval in which these counters were `null`, usually the first interval of a
    /// namespace. The counters leave it out. Absent if there was none, and in every frame that is not a
    /// report.
    #[schemars(title = "Part of a report without these counters")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_ns: Option<u64>,
}
