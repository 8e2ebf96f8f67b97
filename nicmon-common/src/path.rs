//! What the programs of `nicmon path` share with user space: packets of one NIC at two places of their way,
//! and those dropped later.

use crate::WhosePackets;

/// The NIC, and the byte offsets of the other members that these programs read.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PathConfig {
    /// The NIC.
    pub whose: WhosePackets,
    /// `sk_buff.sk`
    pub skb_sk: u32,
    /// `sk_buff.skb_iif`
    pub skb_iif: u32,
    /// `sk_buff.head`
    pub skb_head: u32,
    /// `sk_buff.end`
    pub skb_end: u32,
    /// `skb_shared_info.gso_segs`
    pub info_gso_segs: u32,
}

/// Packets that passed a place.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    /// Packets; merged ones count as one.
    pub packets: u64,
    /// The number of packets that they were before they were merged, as far as the kernel knows it.
    pub segments: u64,
}

/// What one CPU counted. Each field has one writer, the program that its comment names.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathCounts {
    /// Handed over by the driver, to be received at once (`path_enter`).
    pub entered: Passed,
    /// Handed over by the driver, to be received from the backlog (`path_queue`).
    pub queued: Passed,
    /// Received by the stack, after GRO and the backlog (`path_receive`).
    pub received: Passed,
    /// Of those received, IPv4 packets (`path_receive`).
    pub ipv4: u64,
    /// Of those received, IPv6 packets (`path_receive`).
    pub ipv6: u64,
    /// Namespace of the packet that was received last, of any NIC (`path_receive`).
    pub last_netns: u64,
    /// Drops that were not counted for lack of room (`path_drop`).
    pub drops_lost: u64,
}

/// Why and where a packet was dropped.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PathDropKey {
    /// The address in the kernel that dropped it.
    pub location: u64,
    /// The kernel's number of the reason; 0 before 5.17.
    pub reason: u32,
    /// One of the `PATH_*`.
    pub place: u32,
}

/// [`PathDropKey::place`]: after the stack received it from the NIC (`skb_iif`).
pub const PATH_RECEIVED: u32 = 0;
/// [`PathDropKey::place`]: between the driver and that, in GRO or in the backlog.
pub const PATH_ENTERING: u32 = 1;
/// [`PathDropKey::place`]: of a socket of this machine, on its way out through the NIC.
pub const PATH_OUTGOING: u32 = 2;
/// How many [`PathDropKey`]s can be counted.
pub const MAX_PATH_DROPS: u32 = 512;
