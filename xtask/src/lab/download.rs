//! A download over each NIC, with nicmon and perf at the same time. nicmon began with this experiment.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::{
    Args, Done,
    device::Device,
    frames, job, perf,
    plan::Plan,
    results::Results,
    table::{self, Row, Verdicts},
};

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::Rtl8139, Device::Virtio]);
    plan.programs = vec!["perf".to_owned()];
    plan.script.push_str(include_str!("scripts/download.sh"));
    plan.measurements = plan.devices.iter().map(|device| device.downloads()).sum();
    for (index, device) in plan.numbered().collect::<Vec<_>>() {
        let _ = writeln!(plan.script, "{}", measure(&plan, index, device, &job::folder(index)));
    }
    plan
}

/// The line of the job that measures the downloads of a NIC.
pub(super) fn measure(plan: &Plan, index: usize, device: Device, folder: &str) -> String {
    let (nic, url, downloads) = (job::nic(index), job::url(index), device.downloads());
    format!("measure {folder} {nic} {url} {} {downloads}", plan.transfer_s() * downloads)
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    let rows = done.plan.numbered().map(|(index, device)| {
        row(done, index, device).with_context(|| format!("the download over {}", device.model()))
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    table::print(&rows);
    for row in &rows {
        verdicts.of_row(row);
    }
    Ok(())
}

/// Reads the results of one download.
fn row(done: &Done<'_>, index: usize, device: Device) -> Result<Row> {
    let results = Results::open(&done.out.join(job::folder(index)))?;
    let nicmon =
        frames::Sums::read(&results.text("frames")?, &results.interface()?, device, results.window_ns()?)?;
    let perf = perf::Samples::read(
        &results.path("perf.data"),
        &results.text("kallsyms")?,
        &[device.module()],
        device.companions(),
        nicmon.sampled.window_ns.context("no frame lies within the transfer: increase --megabytes")?,
    )?;
    Ok(Row {
        device,
        bytes: done.plan.bytes * device.downloads(),
        window_ns: results.window_ns()?,
        nicmon,
        perf,
        rx_packets: results.grown("rx_packets")?,
        tx_packets: results.grown("tx_packets")?,
        interrupts: results.interrupts()?,
    })
}
