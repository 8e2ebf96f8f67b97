//! The load is shown under the right mode, whoever polls.

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::{Napi, NapiMode};
use testkit::{
    load::{Receive, UdpLoad, UdpPlan, VethPair},
    process::output,
};

use crate::{
    check::{BACKLOG, napis, nic, pct, polled, within},
    child::{Arrived, Nicmon},
    loads::{inode, napi_threads, plan, thread_ns},
    perf, tell,
};

/// The modes of a NAPI.
fn mode(wanted: NapiMode) -> impl Fn(&Napi) -> bool {
    move |napi| napi.mode == wanted
}

fn rx_packets(frames: &[Arrived], netns: u32) -> Result<u64> {
    frames
        .iter()
        .map(|arrived| {
            let nic = nic(&arrived.frame, Some(netns), VethPair::RX_NAME).context("the veth is missing")?;
            nic.counters.rx_packets.context("rx_packets is null")
        })
        .sum()
}

pub(crate) fn threaded() -> Result<()> {
    let pair = VethPair::create("nicmon-t-threaded")?;
    pair.receive_by(Receive::Threaded, 0)?;
    let netns = inode(&pair.rx)?;
    let pids = napi_threads(VethPair::RX_NAME)?;
    let used = || pids.iter().map(|pid| thread_ns(*pid)).sum::<Result<u64>>();
    let load = UdpLoad::start(&pair, plan(0))?;

    let mut nicmon = Nicmon::start(&["-F", perf::NICMON_HZ])?;
    nicmon.more(1)?;
    let before = used()?;
    nicmon.more(3)?;
    let after = used()?;
    let frames = nicmon.stop()?;
    load.stop()?;

    let frames = &frames[1..4];
    let (name, netns_of) = (VethPair::RX_NAME, Some(netns));
    let by_thread = polled(frames, netns_of, name, mode(NapiMode::Threaded), None);
    let by_softirq = polled(frames, netns_of, name, mode(NapiMode::Softirq), None);
    let packets = rx_packets(frames, netns)?;
    let thread = after - before;
    tell(
        "modes, threaded",
        &format!(
            "work {} of {packets} packets, {} in softirqs; poll_ns {} is {:.1} % of the thread's {thread}",
            by_thread.work,
            by_softirq.work,
            by_thread.ns,
            pct(by_thread.ns, thread)
        ),
    );
    ensure!(packets > 10_000, "only {packets} packets: the load did not run");
    ensure!(within(by_thread.work, packets, 1.0), "threaded work {} of {packets} packets", by_thread.work);
    ensure!(by_softirq.work == 0, "{} packets in softirqs although the NAPI has a thread", by_softirq.work);
    ensure!(by_thread.untimed == 0 && by_thread.ns > 0, "threaded polls have no time: {by_thread:?}");
    ensure!(within(by_thread.ns, thread, 20.0), "poll_ns {} but the thread ran {thread} ns", by_thread.ns);
    let (mut sampled, mut stages) = (0, 0);
    for arrived in frames {
        let nic = nic(&arrived.frame, netns_of, name).context("the veth is missing")?;
        ensure!(nic.poll_ns.is_some_and(|ns| ns > 0), "poll_ns is {:?}", nic.poll_ns);
        ensure!(nic.threaded_est_ns == nic.poll_ns, "an estimate is not marked as one: {nic:?}");
        let est = nic.driver_est_ns.zip(nic.stack_est_ns).context("its polls are not sampled")?;
        sampled += est.0 + est.1;
        stages += nic.stages.iter().flatten().map(|stage| stage.samples).sum::<u64>();
        let shown: Option<u64> = napis(nic).flat_map(|napi| &napi.cpus).map(|row| row.polls).sum();
        let on_cpus: Option<u64> = nic.cpus.iter().map(|row| row.polls).sum();
        ensure!(on_cpus == shown, "{shown:?} polls of NAPIs, {on_cpus:?} on CPUs");
    }
    tell("modes, threaded", &format!("{sampled} ns by samples, {stages} of them in its polls"));
    // These are two estimates of the same time, both by ticks (docs/kernel-notes.md).
    ensure!(
        sampled > thread / 2 && sampled < thread * 2,
        "samples give {sampled} ns, the thread ran {thread}"
    );
    ensure!(stages > 20, "{stages} samples in its thread's polls");
    Ok(())
}

pub(crate) fn rps() -> Result<()> {
    let pair = VethPair::create("nicmon-t-rps")?;
    pair.receive_by(Receive::Rps, 0)?;
    let netns = inode(&pair.rx)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let frames = Nicmon::start(&["-n", "3"])?.finish()?;
    load.stop()?;
    let packets = rx_packets(&frames, netns)?;
    let here = polled(&frames, None, BACKLOG, mode(NapiMode::Backlog), Some(1));
    let other = polled(&frames, None, BACKLOG, mode(NapiMode::Backlog), Some(0));
    let veth = polled(&frames, Some(netns), VethPair::RX_NAME, mode(NapiMode::Softirq), Some(0));
    let softnet = || {
        let cpus = frames.iter().flat_map(|arrived| &arrived.frame.cpus).filter(|cpu| cpu.cpu == 1);
        cpus.filter_map(|cpu| cpu.softnet)
    };
    let woken: u64 = softnet().map(|softnet| softnet.received_rps).sum();
    // If the host takes the CPU away, its queue overflows.
    let dropped: u64 = softnet().map(|softnet| softnet.dropped).sum();
    tell(
        "modes, RPS",
        &format!(
            "{packets} packets: veth on cpu 0 {}, backlog on cpu 1 {} in {} polls and {} ns, \
             on cpu 0 {}; received_rps {woken}",
            veth.work, here.work, here.polls, here.ns, other.work
        ),
    );
    ensure!(packets > 10_000, "only {packets} packets: the load did not run");
    ensure!(
        (here.work + dropped) as f64 >= packets as f64 * 0.95,
        "the backlog of cpu 1 had {} of {packets}, and dropped {dropped}",
        here.work
    );
    ensure!(here.work > packets / 2, "the backlog of cpu 1 had {} of {packets}", here.work);
    ensure!(here.ns > 0 && here.untimed == 0, "the backlog has no time: {here:?}");
    ensure!(within(veth.work, packets, 1.0), "the veth polled {} of {packets}", veth.work);
    ensure!(woken > 0, "received_rps is 0");
    Ok(())
}

pub(crate) fn busy() -> Result<()> {
    let pair = VethPair::create("nicmon-t-busy")?;
    // After a poll the interrupt stays off for this long. Otherwise the softirq would take the packets first.
    let set_up = format!(
        "cd /sys/class/net/{} && echo 2 > napi_defer_hard_irqs && echo 200000 > gro_flush_timeout",
        VethPair::RX_NAME
    );
    output(pair.rx.command("sh").args(["-c", &set_up]))?;
    let netns = inode(&pair.rx)?;
    let load = UdpLoad::start(&pair, UdpPlan { busy_poll: true, ..plan(0) })?;
    let frames = Nicmon::start(&["-n", "3"])?.finish()?;
    load.stop()?;
    let (name, netns_of) = (VethPair::RX_NAME, Some(netns));
    let packets = rx_packets(&frames, netns)?;
    let busy = polled(&frames, netns_of, name, mode(NapiMode::Busy), None);
    let softirq = polled(&frames, netns_of, name, mode(NapiMode::Softirq), None);
    tell(
        "modes, busy",
        &format!(
            "{packets} packets: {} in {} busy polls, {} in {} softirq polls of {} ns",
            busy.work, busy.polls, softirq.work, softirq.polls, softirq.ns
        ),
    );
    ensure!(packets > 10_000, "only {packets} packets: the load did not run");
    ensure!(busy.polls > 100 && busy.work > 100, "no busy polls: {busy:?}");
    ensure!(within(busy.work + softirq.work, packets, 1.0), "work of both modes is not {packets}");
    let mut timed = 0;
    for arrived in &frames {
        let nic = nic(&arrived.frame, netns_of, name).context("the veth is missing")?;
        for napi in napis(nic).filter(|napi| napi.mode == NapiMode::Busy) {
            timed += napi.cpus.iter().filter(|row| row.poll_ns.is_some()).count();
        }
        let softirq = napis(nic).filter(|napi| napi.mode == NapiMode::Softirq).flat_map(|napi| &napi.cpus);
        let measured: u64 = softirq.filter_map(|row| row.poll_ns).sum();
        ensure!(nic.poll_ns.unwrap_or(0) == measured, "poll_ns {:?}, measured {measured}", nic.poll_ns);
    }
    ensure!(timed == 0, "{timed} rows of busy polls have a time");
    Ok(())
}
