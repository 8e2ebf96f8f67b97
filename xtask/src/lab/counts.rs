//! TCP in both directions, several flows at a time: packets, and the interrupts of each queue.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::{
    Args, Done, device::Device, frames::Sums, job, net, plan::Plan, results::Results, table::Verdicts,
};

/// Flows at a time: enough for the hash to reach each of a few queues.
const FLOWS: u64 = 8;

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::Igb, Device::Virtio]);
    plan.queues = args.queues.unwrap_or(4);
    plan.bytes /= FLOWS;
    plan.script.push_str(include_str!("scripts/counts.sh"));
    plan.measurements = plan.devices.len() as u64;
    for index in 0..plan.devices.len() {
        let (folder, nic, url) = (job::folder(index), job::nic(index), job::url(index));
        let (host, bytes, seconds) = (net::host_address(index), plan.bytes, plan.transfer_s() * FLOWS);
        let _ = writeln!(plan.script, "counts {folder} {nic} {url} {seconds} {host} {bytes} {FLOWS}");
    }
    plan
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    for (index, device) in done.plan.numbered() {
        let results = Results::open(&done.out.join(job::folder(index)));
        let results = results.with_context(|| format!("the transfers over {}", device.model()))?;
        let name = results.interface()?;
        let nicmon = Sums::read(&results.text("frames")?, &name, device, (0, 0))?;
        println!("{}", device.driver());
        verdicts.packets(&nicmon, results.grown("rx_packets")?, results.grown("tx_packets")?);
        // Drivers choose what their polls return, so nicmon never derives packets from it.
        println!("  -       work is {}, with {} packets received", nicmon.work, nicmon.rx_packets);
        verdicts.all_interrupts(&nicmon, &results.interrupts()?);
        verdicts.losses(&nicmon);
    }
    Ok(())
}
