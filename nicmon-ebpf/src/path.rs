//! For `nicmon path` alone: counts the packets of one NIC where the driver hands them over, where the stack
//! receives them, and where they are dropped. These run for each packet of the machine.

use aya_ebpf::bindings::BPF_NOEXIST;
use nicmon_common::{PATH_ENTERING, PATH_OUTGOING, PATH_RECEIVED, Passed, PathCounts, PathDropKey};

use crate::{
    maps::{PATH, PATH_COUNTS, PATH_DROPS, read_static},
    packets::{ETH_P_IP, ETH_P_IPV6, Whose, read},
};

/// Reads a member of [`PATH`]. Volatile, as `config!` is.
macro_rules! path {
    ($member:ident) => {
        read_static(&raw const PATH.$member)
    };
}

/// The kernel is in the upper half of the address space. A UDP socket keeps numbers where `skb->dev` was,
/// the last of whose bytes is 0 or 1 (`struct udp_dev_scratch` in `include/linux/udp.h`).
const KERNEL: u64 = 1 << 63;
const WHOSE: Whose = Whose(&raw const PATH.whose);

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
unsafe fn add(passed: *mut Passed, skb: u64) {
    // SAFETY: the caller's: in this CPU's element, written by the caller's program alone.
    unsafe {
        (*passed).packets += 1;
        (*passed).segments += segments(skb);
    }
}

/// The driver hands a packet over. It counts in a field of [`PathCounts`] that no other program writes.
#[inline(always)]
fn hand_over(skb: u64, field: impl Fn(*mut PathCounts) -> *mut Passed) -> i32 {
    let Some(counts) = counts() else { return 0 };
    let dev = WHOSE.device(skb);
    if WHOSE.is_device(dev, WHOSE.netns_of(dev)) {
        // SAFETY: this CPU's element; see `PathCounts` for who writes what.
        unsafe { add(field(counts), skb) };
    }
    0
}

/// The driver hands a packet over, to be received at once.
#[inline(always)]
pub fn enter(skb: u64) -> i32 {
    // SAFETY: an address within this CPU's element; nothing is read.
    hand_over(skb, |counts| unsafe { &raw mut (*counts).entered })
}

/// The driver hands a packet over that is to wait in the backlog.
#[inline(always)]
pub fn queue(skb: u64) -> i32 {
    // SAFETY: as above.
    hand_over(skb, |counts| unsafe { &raw mut (*counts).queued })
}

/// The stack receives a packet.
#[inline(always)]
pub fn receive(skb: u64) -> i32 {
    let Some(counts) = counts() else { return 0 };
    let dev = WHOSE.device(skb);
    let netns = WHOSE.netns_of(dev);
    // SAFETY: this CPU's element; see `PathCounts` for who writes what.
    unsafe {
        (*counts).last_netns = u64::from(netns);
        if WHOSE.is_device(dev, netns) {
            add(&raw mut (*counts).received, skb);
            match WHOSE.protocol(skb) {
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
    let dev = WHOSE.device(skb);
    let came_in: u32 = read(skb, path!(skb_iif));
    if came_in == WHOSE.ifindex() {
        // Without a device, the packet was received just before on this CPU.
        let netns = if dev & KERNEL != 0 { u64::from(WHOSE.netns_of(dev)) } else { last_netns };
        return (netns == u64::from(WHOSE.netns())).then_some(PATH_RECEIVED);
    }
    if came_in != 0 || dev & KERNEL == 0 || !WHOSE.is_device(dev, WHOSE.netns_of(dev)) {
        return None;
    }
    let sk: u64 = read(skb, path!(skb_sk));
    Some(if sk == 0 { PATH_ENTERING } else { PATH_OUTGOING })
}
