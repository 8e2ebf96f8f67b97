//! The flow window: what it sees of flows that are known, and that it ends in time.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::{
    counters::{FlowLook, bpf::look_at_flows},
    frame::WhoseFlows,
    host::btf::{KERNEL_BTF, KernelBtf},
};
use nicmon_common::{FLOW_DISSECTED, FLOW_HASHED, FLOW_SAMPLES, FlowSample};
use testkit::{
    load::{FlowsPlan, UdpFlows, VethPair},
    process::output,
};

use crate::{loads::inode, tell};

/// Enough that a window of 80 ms sees a thousand packets.
const PPS: u32 = 40_000;
/// The longest time that a program may stay attached, as the documents promise.
const LONGEST: Duration = Duration::from_millis(100);

/// What is seen while so many flows come.
fn look(pair: &VethPair, flows: u16) -> Result<FlowLook> {
    let index = output(pair.rx.command("cat").arg(format!("/sys/class/net/{}/ifindex", VethPair::RX_NAME)))?;
    let address = |text: &str| text.parse::<Ipv4Addr>().context("not an address");
    let plan = FlowsPlan {
        from: address(VethPair::TX_ADDRESS)?,
        to: address(VethPair::RX_ADDRESS)?,
        flows,
        addresses: 1,
        pps: PPS,
        sender_cpu: Some(0),
        phases: None,
        limit: Duration::from_secs(10),
    };
    let load = UdpFlows::start(&pair.tx, plan)?;
    std::thread::sleep(Duration::from_millis(300));
    let kernel = KernelBtf::read(Path::new(KERNEL_BTF))?;
    let whose = WhoseFlows { netns: inode(&pair.rx)?, ifindex: index.trim().parse()?, cpu: 0 };
    let start = Instant::now();
    let look = look_at_flows(whose, &kernel)?;
    let all = start.elapsed();
    load.stop()?;
    let attached = Duration::from_nanos(look.attached_ns);
    ensure!(attached <= LONGEST, "attached for {attached:?}");
    ensure!(attached <= all, "attached for {attached:?} of {all:?}");
    ensure!(look.samples.len() == FLOW_SAMPLES, "{} packets in {attached:?}", look.samples.len());
    let cost = look.cost_ns.context("root can switch statistics on")?;
    tell("flows", &format!("{flows} flows: attached for {attached:?}, {cost} ns in the program"));
    Ok(look)
}

fn distinct(samples: &[FlowSample], of: impl Fn(&FlowSample) -> u32) -> usize {
    samples.iter().map(of).collect::<HashSet<_>>().len()
}

/// A veth hands on the hash that the sender's socket has, if it has one.
pub(crate) fn one_and_many() -> Result<()> {
    let pair = VethPair::create("nicmon-t-flows")?;
    for flows in [1_u16, 64] {
        let samples = look(&pair, flows)?.samples;
        let hashed: Vec<FlowSample> =
            samples.iter().copied().filter(|sample| sample.flags & FLOW_HASHED != 0).collect();
        let dissected: Vec<FlowSample> =
            samples.iter().copied().filter(|sample| sample.flags & FLOW_DISSECTED != 0).collect();
        let (seen, of) = if hashed.is_empty() {
            // 16 of the first 256, then 12; the last of them often comes after the thousandth packet, and the
            // first of the 12 may be in the place of two.
            ensure!((26..=28).contains(&dissected.len()), "{} taken apart", dissected.len());
            ensure!(distinct(&dissected, |sample| sample.pair) == 1, "one pair of addresses: {dissected:?}");
            (distinct(&dissected, |sample| sample.flow), dissected.len())
        } else {
            ensure!(hashed.len() == samples.len() && dissected.is_empty(), "{} with a hash", hashed.len());
            (distinct(&hashed, |sample| sample.hash), hashed.len())
        };
        // 26 packets of 64 flows: that they are of fewer than 8 never happens.
        let expected = if flows == 1 { 1..=1 } else { 8..=64 };
        ensure!(expected.contains(&seen), "{seen} flows in {of} packets, not {expected:?}");
        tell("flows", &format!("{seen} flows in {of} packets, {} with a hash", hashed.len()));
    }
    // The kernel frees a detached program a moment later.
    let start = Instant::now();
    while output(Command::new("bpftool").args(["prog", "show"]))?.contains("flow_look") {
        ensure!(start.elapsed() < Duration::from_secs(5), "the program is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
