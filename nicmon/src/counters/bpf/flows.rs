//! The flow window: looks at some hundred packets that a CPU receives from a NIC, to tell whether they are of
//! one flow.

use std::{
    thread,
    time::{Duration, Instant},
};

use aya::{
    EbpfLoader,
    programs::{Program, RawTracePoint},
    sys::{Stats, enable_stats},
};
use nicmon_common::{FLOW_SAMPLES, FlowConfig, FlowWindow};

use super::{ProbeError, cost::Counters, mapped, object::OBJECT, path::ENTRIES};
use crate::{
    counters::{FlowLook, WhoseFlows},
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
pub fn look_at_flows(whose: WhoseFlows, kernel: &KernelBtf) -> Result<FlowLook, ProbeError> {
    let config = config(whose, kernel)?;
    let mut ebpf = EbpfLoader::new()
        // Raw tracepoints need no types of the kernel, and reading them takes most of the time.
        .btf(None)
        .override_global("FLOWS", &config, true)
        .load(OBJECT)
        .map_err(ProbeError::object)?;
    let window = mapped::<FlowWindow>(&mut ebpf, "FLOW_WINDOW", 1)?;
    let program = ebpf.program_mut(PROGRAM).ok_or(ProbeError::Object { what: PROGRAM })?;
    let Program::RawTracePoint(own) = program else { return Err(ProbeError::Object { what: PROGRAM }) };
    RawTracePoint::load(own).map_err(|error| ProbeError::program("load", PROGRAM, error))?;
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

fn config(whose: WhoseFlows, kernel: &KernelBtf) -> Result<FlowConfig, ProbeError> {
    let need =
        |structure, path: &[&str], name| kernel.offset(structure, path).ok_or(ProbeError::Member(name));
    let (byte, bit) = kernel.bit("sk_buff", "l4_hash").ok_or(ProbeError::Member("sk_buff.l4_hash"))?;
    Ok(FlowConfig {
        ifindex: whose.ifindex,
        netns: whose.netns,
        cpu: whose.cpu,
        // Unguessable is not needed: no hash leaves this process.
        seed: u32::try_from(monotonic_ns() & u64::from(u32::MAX)).unwrap_or(0),
        skb_dev: need("sk_buff", &["dev"], "sk_buff.dev")?,
        skb_hash: need("sk_buff", &["hash"], "sk_buff.hash")?,
        skb_l4_hash: byte,
        l4_hash_mask: 1 << bit,
        skb_protocol: need("sk_buff", &["protocol"], "sk_buff.protocol")?,
        skb_data: need("sk_buff", &["data"], "sk_buff.data")?,
        skb_len: need("sk_buff", &["len"], "sk_buff.len")?,
        skb_data_len: need("sk_buff", &["data_len"], "sk_buff.data_len")?,
        dev_ifindex: need("net_device", &["ifindex"], "net_device.ifindex")?,
        dev_net: need("net_device", &["nd_net", "net"], "net_device.nd_net")?,
        net_inum: need("net", &["ns", "inum"], "net.ns.inum")?,
    })
}
