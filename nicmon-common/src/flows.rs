//! What the program of the flow window shares with user space: the packets that one CPU receives from one
//! NIC, for a moment.

use crate::WhosePackets;

/// The most packets that are looked at.
pub const FLOW_SAMPLES: usize = 1000;
/// One in this many packets is taken apart if the NIC's hash does not cover its ports: a random one, since
/// flows may take turns.
pub const FLOWS_ONE_IN: u32 = 64;
/// The same of the first [`FLOWS_FIRST`], so that few packets suffice.
pub const FLOWS_FIRST_ONE_IN: u32 = 16;
/// How many packets are the first.
pub const FLOWS_FIRST: u32 = 256;
/// [`FlowSample::flags`]: the NIC hashed addresses and ports.
pub const FLOW_HASHED: u32 = 1;
/// [`FlowSample::flags`]: the packet was taken apart.
pub const FLOW_DISSECTED: u32 = 2;

/// Whose packets to look at, and the byte offsets of the other members that the program reads.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FlowConfig {
    /// The NIC.
    pub whose: WhosePackets,
    /// The CPU.
    pub cpu: u32,
    /// A number that differs from window to window, so that hashes cannot be compared.
    pub seed: u32,
    /// `sk_buff.hash`
    pub skb_hash: u32,
    /// The byte that has `sk_buff.l4_hash`
    pub skb_l4_hash: u32,
    /// Its bit
    pub l4_hash_mask: u32,
    /// `sk_buff.data`
    pub skb_data: u32,
    /// `sk_buff.len`
    pub skb_len: u32,
    /// `sk_buff.data_len`
    pub skb_data_len: u32,
}

/// What is kept of a packet: hashes, and no address.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FlowSample {
    /// `FLOW_*`
    pub flags: u32,
    /// The NIC's hash, whatever it covers; 0 if it gave none.
    pub hash: u32,
    /// A hash of addresses, protocol and ports, if it was taken apart.
    pub flow: u32,
    /// A hash of the two addresses, likewise.
    pub pair: u32,
}

/// The window. Only the program on the chosen CPU writes it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FlowWindow {
    /// The samples.
    pub samples: [FlowSample; FLOW_SAMPLES],
    /// How many there are.
    pub count: u32,
    /// The number of the next packet that is taken apart.
    pub next: u32,
}
