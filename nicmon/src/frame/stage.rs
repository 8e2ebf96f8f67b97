//! The stages of a packet's way through the kernel, as samples are sorted by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the network stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The NIC's own driver.
    Driver,
    /// Memory of packets: socket buffers, slab and page allocator, page pool.
    Alloc,
    /// BPF programs, their maps and helpers: XDP, tc, socket filters.
    Bpf,
    /// Merging packets on receive (GRO).
    Gro,
    /// Packet sockets: tcpdump and others that look at every packet.
    Tap,
    /// Netfilter: iptables, nftables, NAT, IPVS.
    Netfilter,
    /// Connection tracking.
    Conntrack,
    /// The Ethernet bridge.
    Bridge,
    /// IPv4 and IPv6: headers, routes, neighbours.
    Ip,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// What is none of these.
    Other,
}
