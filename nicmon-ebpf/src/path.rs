//! For `nicmon path` alone: counts the packets of one NIC where the driver hands them over, where the stack
//! receives them, and where they are dropped. These run for each packet of the machine.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_probe_read_kernel};
use nicmon_common::{PATH_ENTERING, PATH_OUTGOING, PATH_RECEIVED, Passed, PathCounts, PathDropKey};

use crate::maps::{PATH, PATH_COUNTS, PATH_DROPS, read_static};

/// Reads a member of [`PATH`]. Volatile, as `config!` is.
macro_rules! path {
    ($member:ident) => {
        read_static(&raw const PATH.$member)
    };
}

/// The kernel is in the upper half of the address space. A UDP socket keeps numbers where `skb->dev` was,
/// the last of whose bytes is 0 or 1 (`struct udp_dev_scratch` in `include/linux/udp.h`).
const KERNEL: u64 = 1 << 63;
/// `ETH_P_IP` and `ETH_P_IPV6`, as they are in memory.
const ETH_P_IP: u16 = 0x0800_u16.to_be();
const ETH_P_IPV6: u16 = 0x86dd_u16.to_be();

/// The `T` at `base + offset`; zero if it cannot be read.
#[inline(always)]
fn read<T: Copy>(base: u64, offset: u32) -> T {
    // SAFETY: the helper checks the address. Every T here is an integer, of which zero is a valid value.
    unsafe {
        bpf_probe_read_kernel((base as *const u8).wrapping_add(offset as usize).cast::<T>())
            .unwrap_or_else(|_| core::mem::zeroed())
    }
}

#[inline(always)]
fn counts() -> Option<*mut PathCounts> {
    PATH_COUNTS.get_ptr_mut(0)
}

/// The number of packets that this one was before it was merged.
#[inline(always)]
fn segments(skb: u64) -> u64 {
    let head: u64 = read(skb, path!(skb_head));
    let end: u32 = read(skb, path!(skb_end));
    let segments: u16 = read(head.wrapping_add(u64::from(end)), path!(info_gso_segs));
    u64::from(segments.max(1))
}

#[inline(always)]
fn netns_of(dev: u64) -> u32 {
    let net: u64 = read(dev, path!(dev_net));
    read(net, path!(net_inum))
}

#[inline(always)]
fn is_of_nic(dev: u64) -> bool {
    read::<u32>(dev, path!(dev_ifindex)) == path!(ifindex) && netns_of(dev) == path!(netns)
}

#[inline(always)]
unsafe fn add(passed: *mut Passed, skb: u64) {
    // SAFETY: the caller's: in this CPU's element, written by the caller's program alone.
    unsafe {
        (*passed).packets += 1;
        (*passed).segments += segments(skb);
    }
}

/// The driver hands a packet over.
#[inline(always)]
pub fn enter(skb: u64) -> i32 {
    let Some(counts) = counts() else { return 0 };
    // SAFETY: this CPU's element; see `PathCounts` for who writes what.
    unsafe {
        (*counts).runs[0] += 1;
        if is_of_nic(read(skb, path!(skb_dev))) {
            add(&raw mut (*counts).entered, skb);
        }
    }
    0
}

/// The driver hands a packet over that is to wait in the backlog.
#[inline(always)]
pub fn queue(skb: u64) -> i32 {
    let Some(counts) = counts() else { return 0 };
    // SAFETY: as above.
    unsafe {
        (*counts).runs[3] += 1;
        if is_of_nic(read(skb, path!(skb_dev))) {
            add(&raw mut (*counts).queued, skb);
        }
    }
    0
}

/// The stack receives a packet.
#[inline(always)]
pub fn receive(skb: u64) -> i32 {
    let Some(counts) = counts() else { return 0 };
    let dev: u64 = read(skb, path!(skb_dev));
    let netns = netns_of(dev);
    // SAFETY: as above.
    unsafe {
        (*counts).runs[1] += 1;
        (*counts).last_netns = u64::from(netns);
        if netns == path!(netns) && read::<u32>(dev, path!(dev_ifindex)) == path!(ifindex) {
            add(&raw mut (*counts).received, skb);
            match read::<u16>(skb, path!(skb_protocol)) {
                ETH_P_IP => (*counts).ipv4 += 1,
                ETH_P_IPV6 => (*counts).ipv6 += 1,
                _ => {}
            }
        }
    }
    0
}

/// A packet is dropped.
#[inline(always)]
pub fn dropped(skb: u64, location: u64, reason: u32) -> i32 {
    let Some(counts) = counts() else { return 0 };
    // SAFETY: this CPU's element and counters of this CPU. Only this program writes them; see `drops` for
    // what happens if it interrupts itself.
    unsafe {
        (*counts).runs[2] += 1;
        let Some(place) = place_of(skb, (&raw const (*counts).last_netns).read_volatile()) else { return 0 };
        let key = PathDropKey { location, reason, place };
        if PATH_DROPS.get_ptr(key).is_none() {
            let none = Passed { packets: 0, segments: 0 };
            let _ = PATH_DROPS.insert(key, none, u64::from(BPF_NOEXIST));
        }
        if let Some(passed) = PATH_DROPS.get_ptr_mut(key) {
            add(passed, skb);
        } else {
            (*counts).drops_lost += 1;
        }
    }
    0
}

/// Where on the NIC's path a dropped packet was; `None` if it was on that of another NIC.
#[inline(always)]
fn place_of(skb: u64, last_netns: u64) -> Option<u32> {
    let dev: u64 = read(skb, path!(skb_dev));
    let came_in: u32 = read(skb, path!(skb_iif));
    if came_in == path!(ifindex) {
        // Without a device, the packet was received just before on this CPU.
        let netns = if dev & KERNEL != 0 { u64::from(netns_of(dev)) } else { last_netns };
        return (netns == u64::from(path!(netns))).then_some(PATH_RECEIVED);
    }
    if came_in != 0 || dev & KERNEL == 0 || !is_of_nic(dev) {
        return None;
    }
    let sk: u64 = read(skb, path!(skb_sk));
    Some(if sk == 0 { PATH_ENTERING } else { PATH_OUTGOING })
}
