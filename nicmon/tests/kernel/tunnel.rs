//! A tunnel, whose poll function all tunnels share: only its own driver's code counts for it, as in perf.

use anyhow::{Context as _, Result, ensure};
use testkit::{
    load::{Receive, UdpLoad, VethPair},
    process::output,
    share::Share,
};

use crate::{
    child::Nicmon,
    loads::{ip, plan},
    perf, tell,
};

/// How many seconds nicmon and perf watch the load.
const SECONDS: &str = "8";
/// The name of the tunnel's ends. They get the load's addresses; the veth pair gets the outer ones instead.
const NAME: &str = "nicmon-vx";
const OUTER: [&str; 2] = ["198.51.100.1", "198.51.100.2"];

pub(crate) fn as_perf() -> Result<()> {
    let pair = VethPair::create("nicmon-t-tunnel")?;
    pair.receive_by(Receive::Napi, 0)?;
    lay(&pair)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("perf.data");
    let nicmon = Nicmon::start(&["-F", perf::NICMON_HZ, "-d", "1s", "-n", SECONDS])?;
    output(perf::record(&data).args(["sleep", SECONDS]))?;
    let frames = nicmon.finish()?;
    load.stop()?;
    let theirs = perf::Samples::read(&data, "vxlan_")?;

    let (mut ours, mut busy) = (0, 0);
    for arrived in &frames {
        // The first frame may come before the kernel symbols have been read.
        let frame = &arrived.frame;
        let Some(drivers) = &frame.drivers else { continue };
        let vxlan = drivers.iter().find(|driver| driver.driver == "vxlan").context("no driver vxlan")?;
        // Nothing is known about it until it is first polled.
        let Some(samples) = vxlan.samples else { continue };
        ours += samples;
        busy += frame.host.sampling.context("the CPUs are not sampled")?.busy;
        let foreign = vxlan.functions.iter().find(|function| function.symbol.starts_with("gro_"));
        ensure!(foreign.is_none(), "this belongs to all tunnels, not to vxlan: {foreign:?}");
    }
    let mine = Share::of(ours, busy).context("no samples of vxlan")?;
    let share = theirs.share()?;
    tell("tunnel, as perf", &format!("vxlan {ours}, perf {} samples: {}", theirs.driver, mine.beside(share)));
    ensure!(theirs.driver >= 20, "perf has {} samples in vxlan: the load did not run", theirs.driver);
    ensure!(mine.can_be(share), "vxlan has {mine}, in perf {share}");
    Ok(())
}

/// Lays a vxlan over the pair, and puts the load's addresses on it.
fn lay(pair: &VethPair) -> Result<()> {
    let inner = [VethPair::TX_ADDRESS, VethPair::RX_ADDRESS];
    for (end, namespace) in [&pair.tx, &pair.rx].into_iter().enumerate() {
        let (name, here, there) = (namespace.name(), OUTER[end], OUTER[1 - end]);
        let device = if end == 0 { VethPair::TX_NAME } else { VethPair::RX_NAME };
        ip(&format!("-n {name} addr flush dev {device}"))?;
        ip(&format!("-n {name} neigh flush dev {device} nud permanent"))?;
        ip(&format!("-n {name} addr add {here}/24 dev {device}"))?;
        ip(&format!("-n {name} link add {NAME} type vxlan id 7 local {here} remote {there} dstport 4789"))?;
        ip(&format!("-n {name} addr add {}/24 dev {NAME}", inner[end]))?;
        ip(&format!("-n {name} link set {NAME} up"))?;
    }
    Ok(())
}
