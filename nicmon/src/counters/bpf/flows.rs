//! The flow window: looks at some hundred packets that a CPU receives from a NIC, to tell whether they are of
//! one flow.

use std::{
    thread,
    time::{Duration, Instant},
};

use aya::sys::{Stats, enable_stats};
use nicmon_common::{FLOW_SAMPLES, FlowConfig, FlowWindow};

use super::{
    ProbeError,
    cost::Counters,
    mapped,
    packets::{ENTRIES, load, need, program, whose},
};
use crate::{
    counters::FlowLook,
    frame::WhoseFlows,
    host::{btf::KernelBtf, monotonic_ns},
};

/// How long to look. Detaching comes on top of it, and all of it is to last less than 100 ms.
const LONGEST: Duration = Duration::from_millis(60);
/// How long to wait for the first packet at one of the places where drivers hand packets over.
const FIRST: Duration = Duration::from_millis(20);
/// How often to see whether there are enough packets.
const STEP: Duration = Duration::from_millis(3);
const PROGRAM: &str = "flow_look";

/// Looks at packets until there are [`FLOW_SAMPLES`], or for less than 100 ms. Blocks for that long.
///
/// # Errors
/// As for [`super::Probe::attach`].
pub fn look_at_flows(of: WhoseFlows, kernel: &KernelBtf) -> Result<FlowLook, ProbeError> {
    let mut ebpf = load("FLOWS", &config(of, kernel)?)?;
    let window = mapped::<FlowWindow>(&mut ebpf, "FLOW_WINDOW", 1)?;
    let own = program(&mut ebpf, PROGRAM)?;
    // Without CAP_SYS_ADMIN, its cost is unknown.
    let statistics = enable_stats(Stats::RunTime).ok();
    let count = || window.get(0).map_or(0, |window| window.count as usize);
    let mut looked = Duration::ZERO;
    // Most drivers hand over at the first place. A program at all of them takes four times as long to attach.
    for tracepoint in ENTRIES {
        if count() > 0 || looked >= LONGEST {
            break;
        }
        let Ok(link) = own.attach(tracepoint) else { continue };
        let start = Instant::now();
        let goes_on = || match count() {
            0 => start.elapsed() < FIRST,
            some => some < FLOW_SAMPLES && start.elapsed() < LONGEST,
        };
        while goes_on() {
            thread::sleep(STEP);
        }
        own.detach(link).map_err(|error| ProbeError::program("detach", PROGRAM, error))?;
        looked += start.elapsed();
    }
    let attached_ns = u64::try_from(looked.as_nanos()).unwrap_or(u64::MAX);
    let cost = ebpf.program(PROGRAM).and_then(Counters::of);
    let Some(seen) = window.get(0) else { return Err(ProbeError::Object { what: "FLOW_WINDOW" }) };
    let samples = seen.samples.iter().take(seen.count as usize).copied().collect();
    let cost_ns = cost.filter(|_| statistics.is_some()).map(|cost| cost.run_time_ns);
    Ok(FlowLook { samples, attached_ns, cost_ns })
}

fn config(of: WhoseFlows, kernel: &KernelBtf) -> Result<FlowConfig, ProbeError> {
    let (byte, bit) = kernel.bit("sk_buff", "l4_hash").ok_or(ProbeError::Member("sk_buff.l4_hash"))?;
    Ok(FlowConfig {
        whose: whose(of.ifindex, of.netns, kernel)?,
        cpu: of.cpu,
        // Unguessable is not needed: no hash leaves nicmon.
        seed: u32::try_from(monotonic_ns() & u64::from(u32::MAX)).unwrap_or(0),
        skb_hash: need(kernel, "sk_buff", &["hash"], "sk_buff.hash")?,
        skb_l4_hash: byte,
        l4_hash_mask: 1 << bit,
        skb_data: need(kernel, "sk_buff", &["data"], "sk_buff.data")?,
        skb_len: need(kernel, "sk_buff", &["len"], "sk_buff.len")?,
        skb_data_len: need(kernel, "sk_buff", &["data_len"], "sk_buff.data_len")?,
    })
}
