//! Observations of real drivers for nicmon's scenario tests (`nicmon/tests/scenarios`), with what the kernel counted at
//! the same time. They stay where `--keep` says.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use super::{Args, Done, device::Device, job, plan::Plan};

/// What is captured: a name, for how many seconds, and the load, in which numbers stand for the URLs of the devices.
const SCENARIOS: [(&str, u64, &str); 5] = [
    ("virtio-4-queues", 4, "downloads_of 0 8"),
    ("8139cp-hard-irq", 4, "downloads_of 1 1"),
    ("shared-irq-line", 4, "both 2 3"),
    ("cpu-goes-and-returns", 9, "without_cpu_1 0"),
    ("idle", 3, "true"),
];

pub(super) fn plan(args: &Args) -> Plan {
    // The last two stand where their plain interrupt lines are one.
    let devices = [Device::Virtio, Device::Rtl8139, Device::E1000, Device::Rtl8139];
    let mut plan = Plan::of(args, &devices);
    plan.queues = args.queues.unwrap_or(4);
    plan.measurements = SCENARIOS.len() as u64;
    plan.script.push_str(include_str!("scripts/scenarios.sh"));
    for (index, _) in plan.numbered().collect::<Vec<_>>() {
        let _ = writeln!(plan.script, "up {}", job::nic(index));
    }
    for (name, seconds, load) in SCENARIOS {
        let urls = load.split(' ').enumerate().map(|(at, word)| match word.parse::<usize>() {
            // The last word is a number of flows, but for `both`, which takes two URLs.
            Ok(index) if at == 1 || load.starts_with("both") => job::url(index),
            _ => word.to_owned(),
        });
        let _ = writeln!(plan.script, "scenario {name} {seconds} {}", urls.collect::<Vec<_>>().join(" "));
    }
    plan
}

/// Every capture must be whole.
pub(super) fn judge(done: &Done<'_>) -> Result<()> {
    for (name, frames, _) in SCENARIOS {
        let file = done.out.join(name).join("observations");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let captured = text.lines().count() as u64;
        ensure!(captured == frames, "{name}: {captured} observations of {frames} were captured");
        println!("{name}: {captured} observations");
    }
    Ok(())
}
