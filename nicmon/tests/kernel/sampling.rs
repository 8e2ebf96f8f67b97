//! Samples: against exact poll time, and against perf's samples of the same load at the same time.

use anyhow::{Context as _, Result, ensure};
use testkit::{
    load::{Receive, UdpLoad, VethPair},
    process::output,
    share::Share,
};

use crate::{
    check::{nic, pct},
    child::Nicmon,
    loads::{inode, plan},
    perf, tell,
};

/// Seconds that both look at the load.
const SECONDS: u64 = 8;

pub(crate) fn agree() -> Result<()> {
    let pair = VethPair::create("nicmon-t-samples")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("perf.data");
    let frames = SECONDS.to_string();
    let nicmon = Nicmon::start(&["-F", perf::NICMON_HZ, "-d", "1s", "-n", &frames])?;
    output(perf::record(&data).args(["sleep", &frames]))?;
    let frames = nicmon.finish()?;
    load.stop()?;
    let perfs = perf::Samples::read(&data, "veth_")?;

    let (mut exact, mut sampled, mut ours, mut busy, mut taken, mut expected) = (0, 0, 0, 0, 0, 0);
    for arrived in &frames {
        let frame = &arrived.frame;
        ensure!(frame.host.drivers_reason.is_none(), "{:?}", frame.host.drivers_reason);
        let sampling = frame.host.sampling.context("the CPUs are not sampled")?;
        ensure!(sampling.lost == 0, "{} samples are lost", sampling.lost);
        taken += sampling.samples;
        expected += sampling.expected.unwrap_or(sampling.samples);
        // The first frame's kernel symbols may not have been read in time.
        let Some(drivers) = &frame.drivers else { continue };
        busy += sampling.busy;
        let veth = drivers.iter().find(|driver| driver.driver == "veth").context("no driver veth")?;
        ours += veth.samples.with_context(|| format!("veth's code is unknown: {:?}", veth.unknown))?;
        let nic = nic(frame, Some(inode(&pair.rx)?), VethPair::RX_NAME).context("no veth")?;
        // Where two NICs share the driver it is split by packets, which the first frame of a namespace does not know.
        let Some((driver, stack)) = nic.driver_est_ns.zip(nic.stack_est_ns) else {
            ensure!(
                nic.counters.rx_packets.is_none() || frame.seq == 0,
                "no estimate in frame {}",
                frame.seq
            );
            continue;
        };
        exact += nic.poll_ns.context("poll_ns is null")?;
        sampled += driver + stack;
        let shares: u64 = nic.stages.iter().flatten().map(|stage| stage.samples).sum();
        ensure!(shares > 0, "no stage has a sample");
    }
    let mine = Share::of(ours, busy).context("no samples")?;
    let theirs = perfs.share()?;
    tell(
        "samples",
        &format!(
            "{taken} of {expected}, perf {}; polls {exact} ns exact, {sampled} by samples; veth {ours} of {busy}, perf \
             {} of {}: {}",
            perfs.all,
            perfs.driver,
            perfs.busy,
            mine.beside(theirs)
        ),
    );
    // Where a host gives the CPUs to others, or wakes idle ones late, both miss ticks: then nicmon must get about as many
    // as perf, whose time is not quite the same. One CPU too few would be half.
    ensure!(pct(taken.abs_diff(perfs.all), perfs.all) <= 25.0, "{taken} samples, perf took {}", perfs.all);
    // A timer's samples are no measure of exact time: ticks that fell due with interrupts off are taken where they come on
    // again (docs/kernel-notes.md). But they are of the same work.
    ensure!(sampled > exact / 2 && sampled < exact * 2, "samples give {sampled} ns of {exact} ns of polls");
    ensure!(mine.can_be(theirs), "veth has {mine}, in perf {theirs}");
    Ok(())
}
