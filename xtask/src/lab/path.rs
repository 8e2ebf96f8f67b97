//! `nicmon path` of a NIC whose load begins and ends while it counts: what was sent must have come in, or be
//! lost by a counter, and nothing may be left over.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Args, Done,
    device::Device,
    frames::{array, number},
    job,
    load::{Load, SENT},
    plan::Plan,
    results::Results,
    table::Verdicts,
};

/// How long `nicmon path` runs: half of it counts packets.
const SECONDS: u64 = 30;
/// What a guest's CPU can take.
const LIGHT: Load = Load { flows: 16, pps: 3_000, addresses: None, phases_s: None };
/// What an emulated 8139 cannot.
const HEAVY: Load = Load { flows: 16, pps: 40_000, addresses: None, phases_s: None };

pub(super) fn plan(args: &Args) -> Plan {
    let mut plan = Plan::of(args, &[Device::Virtio]);
    plan.programs = vec!["perl".to_owned()];
    plan.script.push_str(include_str!("scripts/path.sh"));
    plan.load = Some(if plan.devices == [Device::Rtl8139] { HEAVY } else { LIGHT });
    plan.measurements = 1;
    let _ = writeln!(plan.script, "path {} {} {SECONDS}", job::folder(0), job::nic(0));
    plan
}

pub(super) fn judge(done: &Done<'_>, verdicts: &mut Verdicts) -> Result<()> {
    let results = Results::open(&done.out.join(job::folder(0)))?;
    let path: Value = serde_json::from_str(&results.text("path")?).context("cannot parse the path")?;
    check(&results, &path, verdicts)
}

/// Checks that what was sent is what came in, and that nothing is left over.
pub(super) fn check(results: &Results, path: &Value, verdicts: &mut Verdicts) -> Result<()> {
    let sent: u64 = results.text(SENT)?.trim().parse()?;
    let stages = || array(&path["receive"]);
    let ring = stages().find(|stage| stage["stage"] == "ring").context("no ring")?;
    let came = number(&ring["packets"]);
    verdicts.check(
        came.abs_diff(sent) * 1000 <= sent,
        &format!("{came} packets came to the NIC, {sent} were sent"),
    );
    for stage in stages() {
        let name = stage["stage"].as_str().unwrap_or("?");
        for loss in array(&stage["lost"]) {
            println!("  -       {name}: {} lost by {} in {}", loss["packets"], loss["by"], loss["function"]);
        }
        let Some(left) = stage["unexplained"].as_i64() else { continue };
        verdicts.check(
            left.unsigned_abs() * 100 < came,
            &format!("{name}: {left} of {} packets are unexplained", stage["packets"]),
        );
    }
    for note in array(&path["notes"]) {
        println!("  -       {note}");
    }
    Ok(())
}
