//! Observations of real drivers for nicmon's scenario tests (`nicmon/tests/scenarios`), with the kernel's
//! counters at the same time. `--keep` keeps them and prints where they are.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use super::{Args, Done, device::Device, job, plan::Plan};

/// The scenarios to capture: name, length in seconds, and load. `@N` stands for the URL of
/// device N.
const SCENARIOS: [(&str, u64, &str); 6] = [
    ("virtio-4-queues", 4, "downloads_of @0 8"),
    ("8139cp-hard-irq", 4, "downloads_of @1 1"),
    ("shared-irq-line", 4, "both @2 @3"),
    ("cpu-goes-and-returns", 9, "without_cpu_1 @0"),
    ("one-hot-cpu", 12, "on_cpu_0 eth0 @0"),
    ("idle", 3, "true"),
];

pub(super) fn plan(args: &Args) -> Plan {
    // The last two are in slots that share one plain interrupt line.
    let devices = [Device::Virtio, Device::Rtl8139, Device::E1000, Device::Rtl8139];
    let mut plan = Plan::of(args, &devices);
    plan.queues = args.queues.unwrap_or(4);
    plan.measurements = SCENARIOS.len() as u64;
    plan.script.push_str(include_str!("scripts/scenarios.sh"));
    for (index, _) in plan.numbered().collect::<Vec<_>>() {
        let _ = writeln!(plan.script, "up {}", job::nic(index));
    }
    for (name, seconds, load) in SCENARIOS {
        let mut load = load.to_owned();
        for (index, _) in plan.numbered() {
            load = load.replace(&format!("@{index}"), &job::url(index));
        }
        let _ = writeln!(plan.script, "scenario {name} {seconds} {load}");
    }
    plan
}

/// Checks that every capture is complete.
pub(super) fn judge(done: &Done<'_>) -> Result<()> {
    for (name, frames, _) in SCENARIOS {
        let file = done.out.join(name).join("observations");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let captured = text.lines().count() as u64;
        ensure!(captured == frames, "{name}: only {captured} of {frames} observations were captured");
        println!("{name}: {captured} observations");
    }
    Ok(())
}
