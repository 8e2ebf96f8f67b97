//! What is measured in windows: beside what is measured all the time, and its cost. And what is not measured
//! where windows would disturb isolated CPUs.

use std::{ops::Range, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::{Frame, Merged, NetRx, pct_of};

use crate::{
    child::{Arrived, Nicmon},
    loads::{Loop, Loopback, loopback_namespace},
    tell,
};

/// One nicmon measures all the time, and another at the same time in windows. Each measures the other's
/// programs, too, so they are compared under a load of long runs: RPS gives a CPU many packets at once.
pub(crate) fn beside_exact() -> Result<()> {
    const SECONDS: usize = 12;
    let namespace = loopback_namespace("nicmon-t-windows")?;
    let set_up = "ip link set lo mtu 1500 && echo 2 > /sys/class/net/lo/queues/rx-0/rps_cpus";
    testkit::process::run(namespace.command("sh").args(["-c", set_up]))?;
    let load = Loopback::start(&namespace, 0, Loop::Fragments, Duration::from_mins(1))?;
    let mut all = Nicmon::start(&["-d", "1s"])?;
    let mut windowed = Nicmon::start(&["-d", "1s", "--max-overhead", "0.3", "--windows"])?;
    let first = windowed.more(4)?.frame.mono_ns;
    let last = windowed.more(SECONDS)?.frame.mono_ns;
    while all.more(1)?.frame.mono_ns < last {}
    let (est, exact) = (sum(&windowed.frames, first..last)?, sum(&all.frames, first..last)?);
    for cpu in [0, 1] {
        let pct = |ns: u64, frame: &Frame| pct_of(ns, frame.interval_ns);
        let (est_ns, [low, high]) = estimated_ns(&est, cpu)?;
        let width = pct(high - low, &est) / 2.0;
        let (est, exact) = (pct(est_ns, &est), pct(exact_ns(&exact, cpu)?, &exact));
        let text =
            format!("NET_RX of CPU {cpu}: {est:.2} % +-{width:.2} in windows, {exact:.2} % all the time");
        tell("windows", &text);
        let allowed = 2.0 * width + 0.05 * exact;
        ensure!((est - exact).abs() <= allowed, "{text}, which may differ by {allowed:.2}");
    }
    all.stop()?;
    for arrived in windowed.stop()?.iter().skip(4) {
        (0..2).try_for_each(|cpu| divided(&arrived.frame, cpu))?;
    }
    load.stop().map(drop)
}

/// The sum of the frames whose middle is in this time.
fn sum(frames: &[Arrived], time: Range<u64>) -> Result<Frame> {
    let middle = |frame: &Frame| frame.mono_ns - frame.interval_ns / 2;
    let mut merged = Merged::default();
    for arrived in frames.iter().filter(|arrived| time.contains(&middle(&arrived.frame))) {
        merged.add(&arrived.frame);
    }
    merged.frame().context("no frames")
}

fn net_rx(frame: &Frame, cpu: u32) -> Result<NetRx> {
    let row = frame.cpus.iter().find(|row| row.cpu == cpu).context("no such CPU")?;
    Ok(row.softirq.context("no softirqs")?.net_rx)
}

fn exact_ns(frame: &Frame, cpu: u32) -> Result<u64> {
    net_rx(frame, cpu)?.vector.ns.context("no exact time")
}

fn estimated_ns(frame: &Frame, cpu: u32) -> Result<(u64, [u64; 2])> {
    let NetRx { vector, .. } = net_rx(frame, cpu)?;
    let windows = frame.window.context("it was measured all the time")?.count;
    Ok((
        vector.est_ns.context("no estimate")?,
        vector.est_ci_ns.with_context(|| format!("{windows} windows"))?,
    ))
}

/// What NAPIs and others have of a CPU's `NET_RX` is all of it.
fn divided(frame: &Frame, cpu: u32) -> Result<()> {
    let net_rx = net_rx(frame, cpu)?;
    let est_ns = net_rx.vector.est_ns.context("no estimate")?;
    let nics = frame.nics.iter().flat_map(|nic| &nic.cpus).filter(|on| on.cpu == cpu);
    let polls_ns: u64 = nics.filter_map(|on| on.poll_est_ns).sum();
    let filed_ns = polls_ns + net_rx.other_est_ns.context("no estimate of the rest")?;
    ensure!(filed_ns.abs_diff(est_ns) <= 100, "{filed_ns} ns of NAPIs and others are not {est_ns}");
    Ok(())
}

/// After a step of the load, at most two intervals cost more than the limit.
pub(crate) fn below_limit() -> Result<()> {
    const LIMIT: f64 = 1.0;
    let namespace = loopback_namespace("nicmon-t-limit")?;
    let mut nicmon = Nicmon::start(&["-d", "1s", "--max-overhead", "1", "--windows"])?;
    ensure!(nicmon.more(2)?.frame.window.is_none(), "windows, although nothing costs anything");
    let load = Loopback::start(&namespace, 1, Loop::Single, Duration::from_mins(1))?;
    let before = nicmon.frames.len();
    nicmon.more(9)?;
    load.stop()?;
    let cost = |arrived: &Arrived| {
        let cpus = arrived.frame.own.cpus.iter().flatten();
        cpus.filter_map(|cpu| cpu.overhead_pct).fold(0.0, f64::max)
    };
    let costs: Vec<f64> = nicmon.frames[before..].iter().map(cost).collect();
    let above = costs.iter().filter(|cost| **cost > LIMIT).count();
    tell("windows", &format!("cost of the CPU that pays most, in % of it: {costs:.2?}"));
    ensure!(costs[..3].iter().any(|cost| *cost > LIMIT), "it never cost too much: {costs:?}");
    ensure!(above <= 2, "{above} intervals cost more than {LIMIT} %: {costs:?}");
    // It measures all the time again once that is cheap enough.
    for _ in 0..40 {
        if nicmon.more(1)?.frame.window.is_none() {
            return nicmon.stop().map(drop);
        }
    }
    anyhow::bail!("it goes on measuring in windows, although nothing costs anything")
}

/// Where a CPU is isolated, nicmon falls back to counts and samples, and measures again later. It does not
/// matter that the kernel isolates none: nicmon knows it from a file.
pub(crate) fn with_an_isolated_cpu() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "1\n")?;
    let script = r#"mount --bind "$1" /sys/devices/system/cpu/isolated && shift && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(file.path()).arg(env!("CARGO_BIN_EXE_nicmon"));
    let options = ["-d", "1s", "--max-overhead", "1", "-F", "999", "-C", "0,1"];
    let mut nicmon = Nicmon::start_as(command, &options)?;
    ensure!(nicmon.more(2)?.frame.window.is_none(), "it fell back, although nothing costs anything");
    let frames = falls_back(&mut nicmon)?;
    // The programs cost something until they are detached.
    let without = frames.iter().skip_while(|frame| frame.window.is_none()).skip(1).take(3);
    let checked = without.map(counts_only).collect::<Result<Vec<()>>>()?;
    ensure!(checked.len() == 3, "it measured all the time for too long");
    for _ in 0..25 {
        if nicmon.more(1)?.frame.window.is_none() {
            let again = &nicmon.more(1)?.frame;
            ensure!(net_rx(again, 1)?.vector.ns.is_some(), "no time, although it measures again");
            return nicmon.stop().map(drop);
        }
    }
    anyhow::bail!("it goes on without measuring, although nothing costs anything")
}

/// The frames of a load that costs too much. All its packets are counted, each in a run of its own.
fn falls_back(nicmon: &mut Nicmon) -> Result<Vec<Frame>> {
    let namespace = loopback_namespace("nicmon-t-isolated")?;
    let load = Loopback::start(&namespace, 1, Loop::Single, Duration::from_mins(1))?;
    let start = nicmon.frames.len();
    nicmon.more(7)?;
    let sent = load.stop()?;
    nicmon.more(2)?;
    let frames: Vec<Frame> = nicmon.frames[start..].iter().map(|arrived| arrived.frame.clone()).collect();
    let runs: u64 = frames.iter().filter_map(|frame| Some(net_rx(frame, 1).ok()?.vector.count)).sum();
    tell("windows", &format!("{runs} runs of NET_RX counted, {sent} packets sent"));
    ensure!((sent * 99 / 100..sent * 105 / 100).contains(&runs), "{runs} runs, {sent} packets");
    Ok(frames)
}

fn counts_only(frame: &Frame) -> Result<()> {
    let windows = frame.window.context("it measures all the time, although that costs too much")?;
    ensure!(windows.count == 0 && windows.attached_ns == 0, "there are windows");
    let rx = net_rx(frame, 1)?;
    ensure!(rx.vector.count > 1000, "only {} runs of NET_RX counted", rx.vector.count);
    ensure!(rx.vector.ns.is_none() && rx.vector.est_ns.is_none(), "a time of NET_RX, which nobody measured");
    ensure!(frame.nics.iter().all(|nic| nic.poll_ns.or(nic.poll_est_ns).is_none()), "a time of polls");
    let said = frame.host.problems.iter().find(|problem| problem.contains("--windows"));
    ensure!(said.is_some(), "nothing says why there are no times: {:?}", frame.host.problems);
    let sampling = frame.host.sampling.as_ref().context("no samples")?;
    ensure!(sampling.busy > 300, "only {} samples of a busy CPU", sampling.busy);
    let pays = frame.own.cpus.iter().flatten().filter_map(|cpu| cpu.overhead_pct).fold(0.0, f64::max);
    ensure!(pays < 1.0, "it still costs {pays} % of a CPU");
    Ok(())
}
