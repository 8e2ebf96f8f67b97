//! Whose packets the programs of `nicmon path` and of the flow window look at.

/// The NIC, and the byte offsets of the members that say whether a packet is of it, from the running kernel's
/// BTF.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WhosePackets {
    /// Index of the interface.
    pub ifindex: u32,
    /// Inode of its network namespace.
    pub netns: u32,
    /// `sk_buff.dev`
    pub skb_dev: u32,
    /// `sk_buff.protocol`
    pub skb_protocol: u32,
    /// `net_device.ifindex`
    pub dev_ifindex: u32,
    /// `net_device.nd_net.net`
    pub dev_net: u32,
    /// `net.ns.inum`
    pub net_inum: u32,
}
