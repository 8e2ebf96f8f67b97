//! The same runs, counted and timed by bpftrace on the same tracepoints.
//!
//! Two monitors on the same hooks time each other: the one that is called first does its work before the
//! other has read its clock. Hence the tolerance, and the tests in both orders.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nicmon::frame::NapiMode;
use rustix::process::Signal;
use serde_json::Value;
use testkit::load::Namespace;

use crate::{
    check::{BACKLOG, pct, polled},
    child::{Lines, Nicmon},
    loads::{Loop, Loopback, Pinned, loopback_namespace, mono_ns},
    tell,
};

/// `NET_RX` by CPU. It prints the maps five times per second, so a window around the load can be cut out.
const SCRIPT: &str = "
    tracepoint:irq:softirq_entry /args->vec == 3/ { @start[cpu] = nsecs; }
    tracepoint:irq:softirq_exit /args->vec == 3 && @start[cpu]/ {
        @ns[cpu] = sum(nsecs - @start[cpu]); @count[cpu] = count(); delete(@start[cpu]);
    }
    interval:ms:200 { print(@count); print(@ns); }";

/// Finds tracefs below debugfs. If that is not mounted, it is mounted for bpftrace alone.
const WITH_TRACEFS: &str = "
    test -d /sys/kernel/debug/tracing/events/irq || mount -t debugfs debugfs /sys/kernel/debug || exit 1
    exec bpftrace -B line -f json -e \"$1\"";

/// The CPU whose runs are compared. The monitors and their readers stay on the other one.
const LOADED: u32 = 1;
/// How much longer a run may take with the other monitor's program in it, as a part of the run of a packet
/// that comes alone: here up to an eighth. A slow machine is slow in both.
const PROGRAM: f64 = 0.2;
/// How long the load runs.
const LOAD: Duration = Duration::from_secs(2);
/// How long it is quiet at both ends, so that each monitor prints at least once.
const QUIET: Duration = Duration::from_millis(700);

/// Runs on the loaded CPU, and their time in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    ns: u64,
}

impl Sum {
    fn since(self, before: Self) -> Self {
        Self { count: self.count - before.count, ns: self.ns - before.ns }
    }

    fn mean(self) -> f64 {
        self.ns as f64 / self.count.max(1) as f64
    }
}

struct Compared {
    nicmon: Sum,
    bpftrace: Sum,
    packets_a_run: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum First {
    Nicmon,
    Bpftrace,
}

pub(crate) fn nicmon_first() -> Result<()> {
    single("bpftrace, nicmon attached first", First::Nicmon)
}

pub(crate) fn bpftrace_first() -> Result<()> {
    single("bpftrace, bpftrace attached first", First::Bpftrace)
}

fn single(name: &str, first: First) -> Result<()> {
    let namespace = loopback_namespace("nicmon-t-bpftrace")?;
    let both = compare(name, &namespace, LOADED as usize, Loop::Single, first)?;
    let apart = (both.nicmon.mean() - both.bpftrace.mean()).abs();
    ensure!(apart <= PROGRAM * both.bpftrace.mean(), "they differ by {apart:.0} ns per run");
    Ok(())
}

pub(crate) fn many_packets() -> Result<()> {
    let namespace = loopback_namespace("nicmon-t-bpftrace-rps")?;
    let alone = compare("bpftrace, packets alone", &namespace, LOADED as usize, Loop::Single, First::Nicmon)?;
    let program_ns = PROGRAM * alone.bpftrace.mean();
    let set_up = format!(
        "ip link set lo mtu 1500 && echo {:x} > /sys/class/net/lo/queues/rx-0/rps_cpus",
        1_u32 << LOADED
    );
    testkit::process::run(namespace.command("sh").args(["-c", &set_up]))?;
    let mut aparts = Vec::new();
    for first in [First::Nicmon, First::Bpftrace] {
        let order = if first == First::Nicmon { "nicmon first" } else { "bpftrace first" };
        let both = compare(&format!("bpftrace, RPS, {order}"), &namespace, 0, Loop::Fragments, first)?;
        ensure!(both.packets_a_run >= 8.0, "only {:.1} packets per run", both.packets_a_run);
        let apart_ns = both.nicmon.mean() - both.bpftrace.mean();
        let apart = apart_ns * 100.0 / both.bpftrace.mean();
        // One monitor times the other's program, which on a fast machine is more than 2 % of a short run.
        let is_others_program = apart_ns.abs() <= program_ns;
        ensure!(apart.abs() <= 2.0 || is_others_program, "{order}: the times per run differ by {apart:.2} %");
        aparts.push(apart);
    }
    // That cancels out in the mean of both orders.
    let mean = aparts.iter().sum::<f64>() / 2.0;
    ensure!(
        mean.abs() <= 1.5,
        "the times per run differ by {mean:.2} % in the mean of both orders: {aparts:.2?}"
    );
    Ok(())
}

/// Loads CPU `sender` for a while, while both monitors watch, and compares what they saw.
fn compare(name: &str, namespace: &Namespace, sender: usize, what: Loop, first: First) -> Result<Compared> {
    let pinned = Pinned::to(0)?;
    let (nicmon, mut bpftrace);
    if first == First::Nicmon {
        nicmon = start_nicmon()?;
        bpftrace = start(SCRIPT)?;
    } else {
        bpftrace = start(SCRIPT)?;
        nicmon = start_nicmon()?;
    }
    std::thread::sleep(QUIET);
    let (begin, begin_ns) = (Instant::now(), mono_ns());
    Loopback::start(namespace, sender, what, LOAD)?.wait()?;
    let (end, end_ns) = (Instant::now(), mono_ns());
    // Longer than before the load: what arrives too late here is missing from the sums.
    std::thread::sleep(QUIET * 2);
    let lines = bpftrace.waiting();
    bpftrace.signal(Signal::INT);
    let frames = nicmon.stop()?;
    drop(pinned);

    let inside: Vec<_> = {
        let after = frames
            .iter()
            .position(|arrived| arrived.frame.mono_ns > end_ns)
            .context("no frame after the load")?;
        let from = frames
            .iter()
            .position(|arrived| arrived.frame.mono_ns > begin_ns)
            .context("no frame in the load")?;
        frames.iter().take(after + 1).skip(from).collect()
    };
    let mut nicmon = Sum::default();
    for cpu in inside.iter().flat_map(|arrived| &arrived.frame.cpus).filter(|cpu| cpu.cpu == LOADED) {
        let net_rx = cpu.softirq.context("no softirq times")?.net_rx.vector;
        nicmon.count += net_rx.count;
        nicmon.ns += net_rx.ns.context("no softirq times")?;
    }
    let bpftrace = bpftrace_sum(&lines, begin, end)?;
    let is_backlog = |napi: &nicmon::frame::Napi| napi.mode == NapiMode::Backlog;
    let packets = polled(inside.iter().copied(), None, BACKLOG, is_backlog, Some(LOADED)).work;
    let compared = Compared { nicmon, bpftrace, packets_a_run: packets as f64 / nicmon.count.max(1) as f64 };
    tell(
        name,
        &format!(
            "runs {} and {} by bpftrace, {:.1} and {:.1} ns per run, {:.1} packets per run",
            nicmon.count,
            bpftrace.count,
            nicmon.mean(),
            bpftrace.mean(),
            compared.packets_a_run
        ),
    );
    ensure!(nicmon.count > 2_000, "{} runs: the load did not run", nicmon.count);
    // Neither window ends exactly with the load, so they may differ by what else polled in half a second.
    let background = 30;
    ensure!(
        nicmon.count.abs_diff(bpftrace.count) <= background,
        "runs {} and {} by bpftrace ({:.4} %)",
        nicmon.count,
        bpftrace.count,
        pct(nicmon.count, bpftrace.count)
    );
    Ok(compared)
}

fn start_nicmon() -> Result<Nicmon> {
    let mut nicmon = Nicmon::start(&["-d", "200ms"])?;
    nicmon.more(1)?;
    Ok(nicmon)
}

/// Starts bpftrace with a program, and waits until that is attached.
pub(crate) fn start(program: &str) -> Result<Lines> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", WITH_TRACEFS, "sh", program]);
    let mut bpftrace = Lines::start(command)?;
    // It starts to print once everything is attached.
    loop {
        match bpftrace.next()? {
            Some((_, line)) if line.contains("attached_probes") => break,
            Some(_) => {}
            None => anyhow::bail!("bpftrace ended: {}", bpftrace.stderr()),
        }
    }
    std::thread::sleep(Duration::from_millis(400));
    // By now the shell has become bpftrace, so the child's pid is bpftrace's.
    let comm = fs::read_to_string(format!("/proc/{}/comm", bpftrace.pid())).unwrap_or_default();
    ensure!(comm.trim() == "bpftrace", "{comm:?} is not bpftrace: {}", bpftrace.stderr());
    Ok(bpftrace)
}

/// The first sums after the load, less the last ones before it.
fn bpftrace_sum(lines: &[(Instant, String)], begin: Instant, end: Instant) -> Result<Sum> {
    // Its reading of the maps lags behind its clock.
    const LAG: Duration = Duration::from_millis(250);
    let at = |name: &str| -> Result<(u64, u64)> {
        let key = LOADED.to_string();
        let sums: Vec<(Instant, u64)> = lines
            .iter()
            .filter_map(|(at, line)| {
                let value: Value = serde_json::from_str(line).ok()?;
                let map = value.get("data")?.get(name)?;
                Some((*at, map.get(&key).and_then(Value::as_u64).unwrap_or(0)))
            })
            .collect();
        let before = sums.iter().rfind(|(at, _)| *at < begin).map_or(0, |(_, sum)| *sum);
        let after =
            sums.iter().find(|(at, _)| *at > end + LAG).with_context(|| format!("no {name} in {lines:?}"))?;
        Ok((before, after.1))
    };
    let ((count_before, count), (ns_before, ns)) = (at("@count")?, at("@ns")?);
    Ok(Sum { count, ns }.since(Sum { count: count_before, ns: ns_before }))
}
