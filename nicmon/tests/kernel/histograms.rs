//! How long runs and polls took: as many values as the same frames count, which add up to their times, and
//! percentiles beside those of bpftrace.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::{Frame, Histogram, Merged, Napi, NapiMode, Softirqs};
use rustix::process::Signal;
use serde_json::Value;
use testkit::load::{Receive, UdpLoad, VethPair};

use crate::{
    bpftrace,
    check::{Polled, pct, polled},
    child::{Arrived, Nicmon},
    loads::{Loop, Loopback, Pinned, loopback_namespace, mono_ns, plan},
    tell,
};

/// The middle of a bucket may be so far off, in percent.
const OFF: f64 = 6.25;
/// Runs that may lie between two readings that belong together: those of some 100 us at the highest rate.
const BETWEEN: u64 = 100;
/// The width of the buckets of bpftrace, in ns.
const WIDTH_NS: u64 = 250;
/// How much longer a run may take with the other monitor's program in it, in nanoseconds: a fifth of the run
/// of a packet that comes alone, on a slow machine.
const PROGRAM_NS: f64 = 500.0;

/// Runs of `NET_RX` on CPU 1 by their time. bpftrace prints the map when it ends.
const PROGRAM: &str = "
    tracepoint:irq:softirq_entry /args->vec == 3 && cpu == 1/ { @start = nsecs; }
    tracepoint:irq:softirq_exit /args->vec == 3 && cpu == 1 && @start/ {
        @runs[(nsecs - @start) / 250] = count(); @start = 0;
    }";

fn merged(frames: &[Arrived]) -> Result<Frame> {
    let mut merged = Merged::default();
    for arrived in frames {
        merged.add(&arrived.frame);
    }
    merged.frame().context("no frames")
}

/// The values that a histogram stands for, by the middles of its buckets.
fn total(histogram: &Histogram) -> f64 {
    let middle = |at: usize| {
        let least = nicmon_common::least_of_bucket(at);
        (least + nicmon_common::least_of_bucket(at + 1) - 1) as f64 / 2.0
    };
    let first = histogram.first as usize;
    histogram.counts.iter().enumerate().map(|(at, count)| middle(first + at) * *count as f64).sum()
}

/// That a histogram has this many values, which add up to this.
fn agrees(what: &str, histogram: &Histogram, count: u64, sum: u64) -> Result<()> {
    let values = histogram.values();
    let apart = (total(histogram) / sum.max(1) as f64 - 1.0) * 100.0;
    let text = format!("{what}: {values} values for {count}, their sum {apart:+.2} % off");
    ensure!(values.abs_diff(count) <= BETWEEN + count / 1000, "{text}");
    // Of few values, some may belong to another frame.
    ensure!(count < 1000 || apart.abs() <= OFF, "{text}");
    if count >= 1000 {
        tell("histograms", &text);
    }
    Ok(())
}

pub(crate) fn alone() -> Result<()> {
    let namespace = loopback_namespace("nicmon-t-histogram")?;
    let load = Loopback::start(&namespace, 1, Loop::Single, Duration::from_secs(30))?;
    let frames = Nicmon::start(&["-n", "5", "-d", "400ms", "--latency"])?.finish()?;
    load.stop()?;
    all_agree(&frames, "(backlog)")
}

pub(crate) fn veth() -> Result<()> {
    let pair = VethPair::create("nicmon-t-histogram")?;
    pair.receive_by(Receive::Napi, 0)?;
    let load = UdpLoad::start(&pair, plan(0))?;
    let frames = Nicmon::start(&["-n", "5", "-d", "400ms", "--latency"])?.finish()?;
    load.stop()?;
    all_agree(&frames, "demo-rx")
}

fn all_agree(frames: &[Arrived], loaded: &str) -> Result<()> {
    let frame = merged(frames)?;
    let softirqs = frame.softirqs.as_ref().context("no softirqs")?;
    for (number, name) in Softirqs::NAMES.into_iter().enumerate() {
        let vectors = frame.cpus.iter().filter_map(|cpu| Some(*cpu.softirq.as_ref()?.vectors()[number]));
        let (mut runs, mut delays) = ((0, 0), (0, 0));
        for vector in vectors {
            runs = (runs.0 + vector.count, runs.1 + vector.ns.context("no time")?);
            let delay = vector.latency.context("no delays")?;
            delays = (delays.0 + delay.count, delays.1 + delay.ns);
        }
        let none = Histogram::default();
        let times = softirqs.iter().find(|times| times.vector == name);
        agrees(name, times.map_or(&none, |times| &times.run_ns_histogram), runs.0, runs.1)?;
        let delayed = times.and_then(|times| times.raise_to_run_ns_histogram.as_ref()).unwrap_or(&none);
        agrees(&format!("{name}, raise to run"), delayed, delays.0, delays.1)?;
    }
    let nic = frame.nics.iter().find(|nic| nic.name == loaded).context("the NIC is missing")?;
    let in_softirqs = |napi: &Napi| matches!(napi.mode, NapiMode::Softirq | NapiMode::Backlog);
    let Polled { polls, work, .. } = polled(frames, nic.netns, loaded, in_softirqs, None);
    ensure!(polls > 10_000, "{polls} polls: the load did not run");
    let times = nic.poll_ns_histogram.as_ref().context("no times of polls")?;
    agrees("polls", times, polls, nic.poll_ns.context("no time of polls")?)?;
    agrees("packets", nic.poll_work_histogram.as_ref().context("no packets of polls")?, polls, work)
}

/// Percentiles of the same runs. Each monitor times the program of the one that is called first.
pub(crate) fn beside_bpftrace() -> Result<()> {
    let namespace = loopback_namespace("nicmon-t-histogram-b")?;
    let set_up = "ip link set lo mtu 1500 && echo 2 > /sys/class/net/lo/queues/rx-0/rps_cpus";
    testkit::process::run(namespace.command("sh").args(["-c", set_up]))?;
    let pinned = Pinned::to(0)?;
    let mut nicmon = Nicmon::start(&["-d", "200ms", "-C", "1"])?;
    nicmon.more(1)?;
    let mut bpftrace = bpftrace::start(PROGRAM)?;
    let begin_ns = mono_ns();
    Loopback::start(&namespace, 0, Loop::Fragments, Duration::from_secs(3))?.wait()?;
    // Two more frames, so that both have all of the load.
    thread::sleep(Duration::from_millis(500));
    bpftrace.signal(Signal::INT);
    let mut frames = nicmon.stop()?;
    drop(pinned);
    // What somebody else sent before bpftrace was there.
    frames.retain(|arrived| arrived.frame.mono_ns > begin_ns);
    let mut theirs = BTreeMap::new();
    while let Some((_, line)) = bpftrace.next()? {
        let Ok(Value::Object(line)) = serde_json::from_str(&line) else { continue };
        for (at, count) in line["data"]["@runs"].as_object().into_iter().flatten() {
            theirs.insert(at.parse::<u64>()?, count.as_u64().context("no count")?);
        }
    }
    let frame = merged(&frames)?;
    let net_rx = frame.softirqs.iter().flatten().find(|times| times.vector == "net_rx");
    let ours = &net_rx.context("no NET_RX")?.run_ns_histogram;
    ensure!(ours.values() > 2_000, "{} runs: the load did not run", ours.values());
    for (name, part, found) in [("50 %", 0.5, ours.p50), ("99 %", 0.99, ours.p99)] {
        let found = found.with_context(|| format!("no {name}"))?;
        let exact = percentile(&theirs, part).context("no runs")?;
        let apart = (found as f64 / exact - 1.0) * 100.0;
        tell("histograms", &format!("{name}: {found} ns, {exact} ns by bpftrace, {apart:+.1} % apart"));
        let most = OFF + (PROGRAM_NS + WIDTH_NS as f64) * 100.0 / exact;
        ensure!(apart.abs() <= most, "{name}: {apart:+.2} % apart, at most {most:.2} are allowed");
    }
    let count: u64 = theirs.values().sum();
    ensure!(pct(ours.values().abs_diff(count), count) <= 1.0, "{} runs, {count} by bpftrace", ours.values());
    Ok(())
}

fn percentile(runs: &BTreeMap<u64, u64>, part: f64) -> Option<f64> {
    let all: u64 = runs.values().sum();
    let mut left = (all as f64 * part).ceil();
    for (at, count) in runs {
        left -= *count as f64;
        if left <= 0.0 {
            return Some((at * WIDTH_NS + WIDTH_NS / 2) as f64);
        }
    }
    None
}
