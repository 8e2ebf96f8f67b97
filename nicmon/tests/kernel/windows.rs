//! What is measured in windows: beside what is measured all the time, and its cost.

use std::{ops::Range, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nicmon::{
    collect::{Collector, Options},
    frame::{Estimate, Frame, Measure, Merged, NetRx, pct_of},
};
use testkit::load::{FlowsPlan, Phases, UdpFlows, VethPair};

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

/// Frames of 10 ms, measured all the time. Windows are chosen from them, and the estimate is compared with
/// the sum of all.
pub(crate) fn on_one_recording() -> Result<()> {
    /// How many of each load: about one in thirty is disturbed so much that chance cannot explain it.
    const RECORDINGS: usize = 3;
    let mut inside = 0;
    let namespace = loopback_namespace("nicmon-t-recording-lo")?;
    let load = Loopback::start(&namespace, 1, Loop::Single, Duration::from_mins(2))?;
    for _ in 0..RECORDINGS {
        inside += judge("a constant load", &short_frames()?, 1, 3.0)?;
    }
    load.stop()?;
    drop(namespace);

    let pair = VethPair::create("nicmon-t-recording")?;
    let load = UdpFlows::start(&pair.tx, bursts()?)?;
    for _ in 0..RECORDINGS {
        inside += judge("bursts", &short_frames()?, 0, 25.0)?;
    }
    load.stop()?;
    // Over many recordings it is 96 of 100, and some more or less in each, because all windows of a recording
    // see the same ten seconds.
    let inside_pct = inside as f64 * 100.0 / (2 * RECORDINGS * TIMES) as f64;
    ensure!(inside_pct >= 88.0, "only {inside_pct} % of the intervals have the truth inside");
    Ok(())
}

fn bursts() -> Result<FlowsPlan> {
    Ok(FlowsPlan {
        from: VethPair::TX_ADDRESS.parse()?,
        to: VethPair::RX_ADDRESS.parse()?,
        flows: 4,
        addresses: 1,
        pps: 40_000,
        sender_cpu: Some(0),
        phases: Some(Phases { on: Duration::from_millis(130), every: Duration::from_millis(370) }),
        limit: Duration::from_mins(2),
    })
}

/// A thousand frames that are shorter than users can have them.
fn short_frames() -> Result<Vec<Frame>> {
    const SHORT: Duration = Duration::from_millis(10);
    let mut collector = Collector::start(Options { interval: SHORT, ..Options::default() })?;
    let mut frames = Vec::new();
    for _ in 0..1000 {
        std::thread::sleep(SHORT);
        frames.push(collector.frame()?);
    }
    Ok(frames)
}

/// One CPU in one frame: time of `NET_RX`, and what the kernel counted.
struct Moment {
    ns: u64,
    counted: [u64; 4],
}

impl Moment {
    fn of(frame: &Frame, cpu: u32) -> Option<Self> {
        let row = frame.cpus.iter().find(|row| row.cpu == cpu)?;
        let net_rx = row.softirq?.net_rx.vector;
        let busy_pct = row.stat.map_or(0.0, |stat| 100.0 - stat.idle_pct - stat.iowait_pct - stat.steal_pct);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the interval")]
        let busy_ns = (busy_pct.max(0.0) / 100.0 * frame.interval_ns as f64) as u64;
        let packets = row.softnet.map_or(0, |softnet| softnet.processed);
        Some(Self { ns: net_rx.ns?, counted: [net_rx.count, packets, busy_ns, frame.interval_ns] })
    }
}

/// How often windows are chosen from a recording.
const TIMES: usize = 1000;

/// Takes one window of 100 ms from each second, many times. The estimates of ten seconds must be close.
/// Returns how many intervals have the truth inside.
fn judge(what: &str, frames: &[Frame], cpu: u32, close_pct: f64) -> Result<usize> {
    const SECOND: usize = 100;
    const WINDOW: usize = 10;
    let moments: Vec<Moment> = frames.iter().filter_map(|frame| Moment::of(frame, cpu)).collect();
    ensure!(moments.len() == 1000, "{} of 1000 frames have times", moments.len());
    let truth: u64 = moments.iter().map(|moment| moment.ns).sum();
    ensure!(truth > 0, "nothing was received");
    let mut random = fastrand::Rng::with_seed(5);
    let (mut inside, mut off, mut width) = (0, 0.0_f64, 0.0_f64);
    for _ in 0..TIMES {
        let starts: Vec<usize> = (0..moments.len() / SECOND)
            .map(|second| second * SECOND + random.usize(..=SECOND - WINDOW))
            .collect();
        let windows: Vec<&[Moment]> = starts.iter().map(|start| &moments[*start..start + WINDOW]).collect();
        let estimate = estimated(&windows, &moments).context("no estimate")?;
        let [low, high] = estimate.ci_ns.context("no interval")?;
        inside += usize::from((low..=high).contains(&truth));
        off += (estimate.ns() as f64 / truth as f64 - 1.0).powi(2);
        width += pct_of(high - low, 2 * truth) / TIMES as f64;
    }
    let off_pct = (off / TIMES as f64).sqrt() * 100.0;
    let text = format!(
        "{what}: {off_pct:.2} % off (root mean square), {inside} of {TIMES} intervals right, \
         +-{width:.1} % wide on average"
    );
    tell("windows", &text);
    ensure!(off_pct <= close_pct, "{what}: estimates are {off_pct} % off");
    ensure!(width <= 25.0, "{what}: intervals are +-{width} % wide");
    Ok(inside)
}

fn estimated(windows: &[&[Moment]], all: &[Moment]) -> Option<Estimate> {
    let sum = |moments: &[Moment], of: &dyn Fn(&Moment) -> u64| moments.iter().map(of).sum::<u64>();
    let seen_ns: Vec<u64> = windows.iter().map(|window| sum(window, &|moment| moment.ns)).collect();
    let measure = |at: usize| {
        let counted = |moments: &[Moment]| sum(moments, &|moment| moment.counted[at]);
        let each = windows.iter().map(|window| Some(counted(window))).collect();
        Measure::new(each, windows.len(), counted(all))
    };
    Measure::best((0..4).map(measure), &seen_ns)?.estimate(&seen_ns)
}
