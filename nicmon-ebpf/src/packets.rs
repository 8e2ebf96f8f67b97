//! What the programs that look at packets have in common.

use nicmon_common::WhosePackets;

use crate::{
    maps::read_static,
    memory::{Memory, Probed},
};

/// `ETH_P_IP` and `ETH_P_IPV6`, as they are in memory.
pub const ETH_P_IP: u16 = 0x0800_u16.to_be();
pub const ETH_P_IPV6: u16 = 0x86dd_u16.to_be();

/// The `T` at `base + offset`; zero if it cannot be read. Every T here is an integer or an array of integers.
#[inline(always)]
pub fn read<T: Copy>(base: u64, offset: u32) -> T {
    // SAFETY: the helper behind `Probed` checks the address.
    unsafe { Probed::read(base as *const u8, offset) }
}

/// Whose packets: a part of a static that the user side sets.
#[derive(Clone, Copy)]
pub struct Whose(pub *const WhosePackets);

/// Reads a member of the static. Volatile, as `config!` is.
macro_rules! member {
    ($whose:expr, $member:ident) => {
        // SAFETY: an address within a static.
        read_static(unsafe { &raw const (*$whose.0).$member })
    };
}

impl Whose {
    /// The device of a packet.
    #[inline(always)]
    pub fn device(self, skb: u64) -> u64 {
        read(skb, member!(self, skb_dev))
    }

    /// The protocol of a packet, as it is in memory.
    #[inline(always)]
    pub fn protocol(self, skb: u64) -> u16 {
        read(skb, member!(self, skb_protocol))
    }

    /// The inode of a device's namespace.
    #[inline(always)]
    pub fn netns_of(self, dev: u64) -> u32 {
        let net: u64 = read(dev, member!(self, dev_net));
        read(net, member!(self, net_inum))
    }

    /// The index of the NIC.
    #[inline(always)]
    pub fn ifindex(self) -> u32 {
        member!(self, ifindex)
    }

    /// The inode of its namespace.
    #[inline(always)]
    pub fn netns(self) -> u32 {
        member!(self, netns)
    }

    /// Whether a device in this namespace is the NIC.
    #[inline(always)]
    pub fn is_device(self, dev: u64, netns: u32) -> bool {
        netns == self.netns() && read::<u32>(dev, member!(self, dev_ifindex)) == self.ifindex()
    }
}
