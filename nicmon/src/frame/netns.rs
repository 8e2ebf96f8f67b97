//! `netns[]`: what the network namespaces say of themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One network namespace over the interval. Its counters are of IPv4 (`/proc/net/snmp` and `netstat`); of an IPv6
/// socket they hold the IPv4 packets. `null` in the first interval of a namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Netns {
    /// Inode number of the namespace, as in `nics[].netns`.
    #[schemars(title = "Inode of the namespace")]
    pub inum: u32,
    /// Its name below `/run/netns`, as `ip netns` shows it; `null` where it has none.
    #[schemars(title = "Name of the namespace")]
    pub name: Option<String>,
    /// The control group of a process that lives in it; `null` where none is seen, and of nicmon's own namespace,
    /// where processes of many groups live.
    #[schemars(title = "Control group of a process in it")]
    pub cgroup: Option<String>,
    /// Datagrams dropped because a UDP socket's receive buffer was full.
    #[schemars(title = "UDP datagrams dropped: socket buffer full")]
    pub udp_rcvbuf_errors: Option<u64>,
    /// Connections dropped at listening TCP sockets, for whatever reason (a full accept queue is one).
    #[schemars(title = "Connections dropped at listening TCP sockets")]
    pub listen_drops: Option<u64>,
    /// Packets as they came, for each that IP received: what GRO has merged. `null` where nothing came. Packets that a
    /// device or a virtual machine's host had merged without telling how many count as one.
    #[schemars(title = "Packets that GRO merges into one")]
    pub gro_ratio: Option<f64>,
    /// Packets that IP received: what `gro_ratio` is for each of.
    #[schemars(title = "Packets that IP received")]
    #[serde(default)]
    pub ip_packets: Option<u64>,
    /// The part of a report's interval in which these counters were `null`, mostly the first of a namespace: they leave
    /// it out. Absent where there is none, as in all frames but reports.
    #[schemars(title = "Part of a report without these counters")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_ns: Option<u64>,
}
