//! The code of drivers, compared with perf: the same samples, sorted by perf's symbols and by nicmon's
//! ranges.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use nicmon::{
    frame::Origin,
    symbols::{DriverText, Kallsyms, Seed},
};
use testkit::{
    load::{Receive, UdpLoad, VethPair},
    process::output,
};

use crate::{check::pct, loads::plan, perf, tell};

/// In a kernel that has veth built in and no `modules.builtin.ranges`, veth's code is inferred. Otherwise the
/// same must hold for the code of its module.
pub(crate) fn veth_as_perf() -> Result<()> {
    let pair = VethPair::create("nicmon-t-text")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("perf.data");
    output(perf::record(&data).args(["sleep", "12"]))?;
    load.stop()?;
    let script = output(Command::new("perf").args(["script", "-F", "ip,sym", "-i"]).arg(&data))?;

    let kallsyms = Kallsyms::read(Path::new("/proc"))?;
    let address = |name: &str| kallsyms.address_of(name).with_context(|| format!("no {name} in kallsyms"));
    let ops = ["veth_open", "veth_close", "veth_xmit", "eth_mac_addr", "passthru_features_check"];
    let seed = Seed {
        driver: "veth".to_owned(),
        polls: vec![address("veth_poll")?],
        ops: ops.into_iter().map(address).collect::<Result<_>>()?,
    };
    let text = DriverText::new(&kallsyms, None, &[seed]);
    let origin = text.origin("veth")?;
    ensure!(matches!(origin, Origin::Module | Origin::Inferred), "{origin:?}");

    let (mut all, mut perfs, mut both, mut only_ours) = (0_u64, 0, 0, Vec::new());
    for line in script.lines() {
        let Some((ip, symbol)) = line.trim().split_once(' ') else { continue };
        let Ok(ip) = u64::from_str_radix(ip, 16) else { continue };
        all += 1;
        let is_perfs = symbol.trim_start_matches('_').starts_with("veth_");
        let is_ours = text.driver_at(ip) == Some("veth");
        perfs += u64::from(is_perfs);
        both += u64::from(is_perfs && is_ours);
        if is_ours && !is_perfs {
            only_ours.push(symbol.to_owned());
        }
    }
    tell(
        "veth's text",
        &format!(
            "{origin:?}: {both} of perf's {perfs} samples in veth, of {all}; others of ours: {only_ours:?}"
        ),
    );
    ensure!(perfs >= 20, "only {perfs} of {all} samples are in veth: the load did not run");
    ensure!(pct(both, perfs) >= 95.0, "{both} of perf's {perfs} samples");
    // All of veth's functions that are called in this load have its name as prefix.
    ensure!(only_ours.is_empty(), "not veth's: {only_ours:?}");
    Ok(())
}
