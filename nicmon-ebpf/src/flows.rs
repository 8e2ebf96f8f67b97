//! For the flow window alone: keeps hashes of the packets that one CPU receives from one NIC, up to a
//! thousand.

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_get_smp_processor_id};
use nicmon_common::{
    FLOW_DISSECTED, FLOW_HASHED, FLOW_SAMPLES, FLOWS_FIRST, FLOWS_FIRST_ONE_IN, FLOWS_ONE_IN, FlowSample,
};

use crate::{
    maps::{FLOW_WINDOW, FLOWS, read_static},
    packets::{ETH_P_IP, ETH_P_IPV6, Whose, read},
};

/// Reads a member of [`FLOWS`]. Volatile, as `config!` is.
macro_rules! flows {
    ($member:ident) => {
        read_static(&raw const FLOWS.$member)
    };
}

const WHOSE: Whose = Whose(&raw const FLOWS.whose);
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Bytes of an IPv6 header and two ports. Packets with less than that in one piece are not taken apart.
const HEADERS: u32 = 44;

/// The driver hands a packet over, before GRO.
#[inline(always)]
pub fn look(skb: u64) -> i32 {
    // SAFETY: the helper has no preconditions.
    if unsafe { bpf_get_smp_processor_id() } as u32 != flows!(cpu) {
        return 0;
    }
    let Some(window) = FLOW_WINDOW.get_ptr_mut(0) else { return 0 };
    // SAFETY: only this CPU writes the element. User space reads the count at any moment, hence volatile.
    let count = unsafe { (&raw const (*window).count).read_volatile() };
    if count as usize >= FLOW_SAMPLES || !is_of_nic(skb) {
        return 0;
    }
    // SAFETY: this CPU's element. `count` is within the array, and the sample is written before it counts.
    unsafe {
        let is_next = count == (*window).next;
        if is_next {
            let one_in = if count < FLOWS_FIRST { FLOWS_FIRST_ONE_IN } else { FLOWS_ONE_IN };
            (*window).next = (count / one_in + 1) * one_in + bpf_get_prandom_u32() % one_in;
        }
        let sample = sample(skb, is_next);
        let samples = (&raw mut (*window).samples).cast::<FlowSample>();
        samples.add(count as usize).write_volatile(sample);
        (&raw mut (*window).count).write_volatile(count + 1);
    }
    0
}

#[inline(always)]
fn is_of_nic(skb: u64) -> bool {
    let dev = WHOSE.device(skb);
    WHOSE.is_device(dev, WHOSE.netns_of(dev))
}

#[inline(always)]
fn sample(skb: u64, is_next: bool) -> FlowSample {
    let hash: u32 = read(skb, flows!(skb_hash));
    let bits: u8 = read(skb, flows!(skb_l4_hash));
    let mut sample = FlowSample { flags: 0, hash, flow: 0, pair: 0 };
    if hash != 0 && u32::from(bits) & flows!(l4_hash_mask) != 0 {
        sample.flags = FLOW_HASHED;
    } else if is_next {
        dissect(skb, &mut sample);
    }
    sample
}

/// Drivers call `eth_type_trans` before, so the data begins with the header of IP.
#[inline(always)]
fn dissect(skb: u64, sample: &mut FlowSample) {
    let (length, in_pages): (u32, u32) = (read(skb, flows!(skb_len)), read(skb, flows!(skb_data_len)));
    if length.wrapping_sub(in_pages) < HEADERS {
        return;
    }
    let data: u64 = read(skb, flows!(skb_data));
    let (pair, protocol, ports_at) = match WHOSE.protocol(skb) {
        ETH_P_IP => {
            let [source, target]: [u32; 2] = read(data, 12);
            let [version, ..]: [u8; 4] = read(data, 0);
            (mix(mix(flows!(seed), source), target), read::<u8>(data, 9), u32::from(version & 15) * 4)
        }
        ETH_P_IPV6 => {
            let words: [u32; 8] = read(data, 8);
            let mut pair = flows!(seed);
            let mut at = 0;
            while at < 8 {
                pair = mix(pair, words[at]);
                at += 1;
            }
            (pair, read::<u8>(data, 6), 40)
        }
        _ => return,
    };
    let ports: u32 = if protocol == TCP || protocol == UDP { read(data, ports_at) } else { 0 };
    sample.flags = FLOW_DISSECTED;
    sample.pair = pair;
    sample.flow = mix(mix(pair, ports), u32::from(protocol));
}

/// One step of a hash (the finaliser of `MurmurHash3`).
#[inline(always)]
fn mix(hash: u32, word: u32) -> u32 {
    let mut mixed = hash ^ word.wrapping_mul(0xcc9e_2d51);
    mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    mixed ^ (mixed >> 16)
}
