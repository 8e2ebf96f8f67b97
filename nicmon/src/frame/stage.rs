//! The stages of a packet's way through the kernel, into which samples are sorted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the network stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The NIC's own driver.
    Driver,
    /// Memory for packets: socket buffers, slab and page allocator, page pool.
    Alloc,
    /// BPF programs with their maps and helpers: XDP, tc, socket filters.
    Bpf,
    /// Merging of received packets (GRO).
    Gro,
    /// Packet sockets: tcpdump and other programs that see every packet.
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
    /// Everything else.
    Other,
}

impl Stage {
    /// All of them, in the order of a packet's way.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 12] = [
        Self::Driver,
        Self::Alloc,
        Self::Bpf,
        Self::Gro,
        Self::Tap,
        Self::Netfilter,
        Self::Conntrack,
        Self::Bridge,
        Self::Ip,
        Self::Tcp,
        Self::Udp,
        Self::Other,
    ];

    /// The word for people, the same in every output; at most 9 characters.
    pub fn label(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Alloc => "alloc",
            Self::Bpf => "bpf",
            Self::Gro => "gro",
            Self::Tap => "tap",
            Self::Netfilter => "netfilter",
            Self::Conntrack => "conntrack",
            Self::Bridge => "bridge",
            Self::Ip => "ip",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Other => "other",
        }
    }
}
