//! Estimates from windows, judged on recordings: frames of 10 ms in which everything was measured all the
//! time. Windows are chosen from them many times, and each estimate is compared with the sum of all frames.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use nicmon::{
    collect::{Collector, Options},
    frame::{Estimate, Frame, Measure, pct_of},
};
use testkit::load::{FlowsPlan, Phases, Receive, UdpFlows, UdpLoad, VethPair, tcp_throughput};

use crate::{
    check::nic,
    loads::{Loop, Loopback, inode, loopback_namespace, plan},
    tell,
};

/// A load that is not stopped ends by itself, long after it was recorded.
const LIMIT: Duration = Duration::from_mins(2);

/// Six loads, one recording each.
pub(crate) fn judged() -> Result<()> {
    let inside = [constant()?, bursts()?, tcp()?, rps()?, long_runs()?];
    rare_nic()?;
    // It is 96 of 100 in the mean, and some more or less in each recording, because all windows of a
    // recording see the same ten seconds.
    let inside_pct = inside.iter().sum::<usize>() as f64 * 100.0 / (inside.len() * TIMES) as f64;
    ensure!(inside_pct >= 88.0, "only {inside_pct} % of the intervals have the truth inside");
    Ok(())
}

/// A packet per poll, as fast as CPU 1 can.
fn constant() -> Result<usize> {
    let namespace = loopback_namespace("nicmon-t-recording-lo")?;
    let load = Loopback::start(&namespace, 1, Loop::Single, LIMIT)?;
    let frames = short_frames()?;
    load.stop()?;
    judge("a constant load", &net_rx(&frames, 1)?, 3.0)
}

fn bursts() -> Result<usize> {
    let pair = VethPair::create("nicmon-t-recording")?;
    let load = UdpFlows::start(&pair.tx, phases(40_000, 130, 370)?)?;
    let frames = short_frames()?;
    load.stop()?;
    judge("bursts", &net_rx(&frames, 0)?, 25.0)
}

/// Bursts of TCP from CPU 0, which also receives the segments.
fn tcp() -> Result<usize> {
    let pair = VethPair::create("nicmon-t-recording-tcp")?;
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            for burst in 0..40 {
                tcp_throughput(&pair, 0, Duration::from_millis(130))?;
                thread::sleep(Duration::from_millis(170 + 20 * (burst % 5)));
            }
            Ok::<_, anyhow::Error>(())
        });
        let frames = short_frames()?;
        let inside = judge("bursts of TCP", &net_rx(&frames, 0)?, 25.0);
        load.join().map_err(|_| anyhow!("the load panicked"))??;
        inside
    })
}

/// CPU 0 polls the NIC and passes all packets to CPU 1.
fn rps() -> Result<usize> {
    let pair = VethPair::create("nicmon-t-recording-rps")?;
    pair.receive_by(Receive::Rps, 0)?;
    let load = UdpLoad::start(&pair, testkit::load::UdpPlan { limit: LIMIT, ..plan(0) })?;
    let frames = short_frames()?;
    load.stop()?;
    judge("RPS", &net_rx(&frames, 1)?, 25.0)
}

/// So many rules for each packet that a run ends only at its limit of time, 2 jiffies
/// (`netdev_budget_usecs`, `net/core/dev.c`), on a CPU that has no time for more.
fn long_runs() -> Result<usize> {
    const RULES: usize = 8_000;
    let pair = VethPair::create("nicmon-t-recording-long")?;
    pair.receive_by(Receive::Rps, 0)?;
    let restore = format!(
        "(echo '*filter'; for _ in $(seq {RULES}); do echo -A INPUT -s 198.51.100.1 -j DROP; done; \
         echo COMMIT) | iptables-restore"
    );
    testkit::process::run(pair.rx.command("sh").args(["-c", &restore]))?;
    let load = UdpFlows::start(&pair.tx, FlowsPlan { phases: None, ..phases(200_000, 0, 0)? })?;
    let frames = short_frames()?;
    load.stop()?;
    let longest_ns = longest_ns(&frames, 1);
    let limit_us: u64 = fs::read_to_string("/proc/sys/net/core/netdev_budget_usecs")?.trim().parse()?;
    let text = format!("the longest run took {longest_ns} ns, the kernel's limit is {limit_us} us");
    tell("windows", &text);
    // It is checked after each poll, and in whole jiffies, of which it has two.
    ensure!(longest_ns >= limit_us * 500, "{text}");
    judge("long runs", &net_rx(&frames, 1)?, 25.0)
}

/// A NIC that is polled for 50 ms in ten seconds, on a CPU that has other work: most windows do not see it.
/// Those that do must have the truth inside of their interval, but for some that see only the edge of the 50
/// ms: of 14 places that a window can have there, that can be two.
fn rare_nic() -> Result<()> {
    let namespace = loopback_namespace("nicmon-t-recording-rare")?;
    let other = Loopback::start(&namespace, 0, Loop::Single, LIMIT)?;
    let pair = VethPair::create("nicmon-t-recording-nic")?;
    let load = UdpFlows::start(&pair.tx, phases(100_000, 50, 10_000)?)?;
    let frames = short_frames()?;
    load.stop()?;
    other.stop()?;
    let netns = inode(&pair.rx)?;
    let mut moments = net_rx(&frames, 0)?;
    for (moment, frame) in moments.iter_mut().zip(&frames) {
        // It has no row before its namespace was looked into.
        let cpus = nic(frame, Some(netns), VethPair::RX_NAME).map_or(&[][..], |nic| &nic.cpus);
        moment.ns = cpus.iter().find(|on| on.cpu == 0).and_then(|on| on.poll_ns).unwrap_or(0);
    }
    let judged = Judged::of(&moments)?;
    tell("windows", &format!("a NIC polled for 50 ms in ten seconds: {judged}"));
    ensure!(judged.seen > 0, "no choice of windows saw it");
    ensure!(judged.inside * 100 >= judged.seen * 75, "{judged}");
    Ok(())
}

/// A load from CPU 0 that lasts so many of so many ms.
fn phases(pps: u32, on_ms: u64, every_ms: u64) -> Result<FlowsPlan> {
    Ok(FlowsPlan {
        from: VethPair::TX_ADDRESS.parse()?,
        to: VethPair::RX_ADDRESS.parse()?,
        flows: 4,
        addresses: 1,
        pps,
        sender_cpu: Some(0),
        phases: Some(Phases { on: Duration::from_millis(on_ms), every: Duration::from_millis(every_ms) }),
        limit: LIMIT,
    })
}

/// The longest run of `NET_RX` on this CPU.
fn longest_ns(frames: &[Frame], cpu: u32) -> u64 {
    let rows = frames.iter().flat_map(|frame| &frame.cpus).filter(|row| row.cpu == cpu);
    rows.filter_map(|row| row.softirq?.net_rx.vector.max_ns).max().unwrap_or(0)
}

/// A thousand frames that are shorter than users can have them. The first second does not count: a thread of
/// nicmon reads the kernel's symbols, and the load on its CPU is half of what it is afterwards.
fn short_frames() -> Result<Vec<Frame>> {
    const SHORT: Duration = Duration::from_millis(10);
    let mut collector = Collector::start(Options { interval: SHORT, ..Options::default() })?;
    let mut frame = || {
        thread::sleep(SHORT);
        collector.frame()
    };
    for _ in 0..100 {
        frame()?;
    }
    Ok((0..1000).map(|_| frame()).collect::<Result<_, _>>()?)
}

/// One CPU in one frame.
struct Moment {
    /// Time of its `NET_RX`.
    net_rx_ns: u64,
    /// The time that is to be estimated: this or a part of it.
    ns: u64,
    /// What the kernel counted.
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
        let ns = net_rx.ns?;
        Some(Self { net_rx_ns: ns, ns, counted: [net_rx.count, packets, busy_ns, frame.interval_ns] })
    }
}

/// `NET_RX` of a CPU in each frame.
fn net_rx(frames: &[Frame], cpu: u32) -> Result<Vec<Moment>> {
    let moments: Vec<Moment> = frames.iter().filter_map(|frame| Moment::of(frame, cpu)).collect();
    ensure!(moments.len() == 1000, "{} of 1000 frames have times", moments.len());
    Ok(moments)
}

/// How often windows are chosen from a recording.
const TIMES: usize = 1000;

/// Estimates of ten seconds, each from one window of 100 ms per second.
#[derive(Default)]
struct Judged {
    /// How many saw anything of it. The others are not estimated: nothing is known.
    seen: usize,
    /// How many of these have the truth in their interval.
    inside: usize,
    /// Root mean square of how far they are off, and the mean half-width of their intervals, in percent.
    off_pct: f64,
    width_pct: f64,
}

impl Judged {
    fn of(moments: &[Moment]) -> Result<Self> {
        const SECOND: usize = 100;
        const WINDOW: usize = 10;
        let truth: u64 = moments.iter().map(|moment| moment.ns).sum();
        ensure!(truth > 0, "nothing was received");
        let mut random = fastrand::Rng::with_seed(5);
        let mut judged = Self::default();
        for _ in 0..TIMES {
            let starts: Vec<usize> = (0..moments.len() / SECOND)
                .map(|second| second * SECOND + random.usize(..=SECOND - WINDOW))
                .collect();
            let windows: Vec<&[Moment]> =
                starts.iter().map(|start| &moments[*start..start + WINDOW]).collect();
            if windows.iter().copied().flatten().all(|moment| moment.ns == 0) {
                continue;
            }
            let estimate = estimated(&windows, moments).context("no estimate")?;
            let [low, high] = estimate.ci_ns.context("no interval")?;
            judged.seen += 1;
            judged.inside += usize::from((low..=high).contains(&truth));
            judged.off_pct += (estimate.ns() as f64 / truth as f64 - 1.0).powi(2);
            judged.width_pct += pct_of(high - low, 2 * truth);
        }
        judged.off_pct = (judged.off_pct / judged.seen as f64).sqrt() * 100.0;
        judged.width_pct /= judged.seen as f64;
        Ok(judged)
    }
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seen, inside, off_pct, width_pct } = self;
        write!(f, "{off_pct:.2} % off (root mean square), {inside} of {seen} intervals right, ")?;
        write!(f, "+-{width_pct:.1} % wide on average")
    }
}

/// The estimates must be close. Returns how many intervals have the truth inside.
fn judge(what: &str, moments: &[Moment], close_pct: f64) -> Result<usize> {
    let judged = Judged::of(moments)?;
    tell("windows", &format!("{what}: {judged}"));
    ensure!(judged.seen == TIMES, "{what}: {} of {TIMES} saw anything", judged.seen);
    ensure!(judged.off_pct <= close_pct, "{what}: estimates are {} % off", judged.off_pct);
    ensure!(judged.width_pct <= 25.0, "{what}: intervals are +-{} % wide", judged.width_pct);
    Ok(judged.inside)
}

/// As nicmon does: by what goes with the `NET_RX` time of the CPU best.
fn estimated(windows: &[&[Moment]], all: &[Moment]) -> Option<Estimate> {
    let sum = |moments: &[Moment], of: &dyn Fn(&Moment) -> u64| moments.iter().map(of).sum::<u64>();
    let in_windows =
        |of: &dyn Fn(&Moment) -> u64| -> Vec<u64> { windows.iter().map(|window| sum(window, of)).collect() };
    let measure = |at: usize| {
        let counted = |moments: &[Moment]| sum(moments, &|moment| moment.counted[at]);
        let each = windows.iter().map(|window| Some(counted(window))).collect();
        Measure::new(each, windows.len(), counted(all))
    };
    Measure::best((0..4).map(measure), &in_windows(&|moment| moment.net_rx_ns))?
        .estimate(&in_windows(&|moment| moment.ns))
}
