//! What sampling costs: the time of nicmon's program `sample` and what the user side needs in addition,
//! beside `perf record -e cpu-clock` at the same rate. Neither figure contains the timer interrupt itself.
//!
//! For nicmon, the figure is the cost while it runs, because monitors run for days. For perf, it covers a
//! whole run of the same length, because perf does most of its work at the start and at the end.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};
use testkit::{
    load::{UdpLoad, UdpPlan, VethPair},
    process::{self, Running},
};

use crate::{
    Args,
    contenders::start_nicmon_with,
    figures::Verdicts,
    programs::{Program, programs},
    user_side::cpu_time,
};

const WINDOW: Duration = Duration::from_secs(10);
/// Almost no samples: at this rate, the user side needs as much as without samples.
const SELDOM: &str = "1";

/// Cost in percent of one CPU.
struct Cost {
    program_pct: f64,
    user_pct: f64,
}

pub(crate) fn measure(args: &Args, verdicts: &mut Verdicts) -> Result<()> {
    let pair = VethPair::create("nicmon-bench")?;
    let plan = UdpPlan { pps: 60_000, limit: WINDOW * 8, sender_cpu: args.cpu, busy_poll: false };
    let load = UdpLoad::start(&pair, plan)?;
    eprintln!("bench: samples, at 1, 99 and 999 Hz, and perf at 999 Hz, {WINDOW:?} each");
    let at = |frequency| nicmon(args, frequency);
    let (seldom, slow, fast) = (at(SELDOM)?, at("99")?, at("999")?);
    let perf_pct = perf()?;
    load.stop()?;

    println!("Samples of all CPUs under 60,000 packets per second, in percent of one CPU, {WINDOW:?} each");
    println!("  {:<26}{:>10}{:>14}", "", "BPF time", "user side");
    for (label, cost) in [("nicmon -F 1", &seldom), ("nicmon -F 99", &slow), ("nicmon -F 999", &fast)] {
        println!("  {label:<26}{:>8.4} %{:>12.4} %", cost.program_pct, cost.user_pct);
    }
    println!("  {:<26}{:>10}{perf_pct:>12.4} %", "perf record -F 999, whole", "");
    for (label, cost, limit) in [("99", &slow, 0.1), ("999", &fast, 1.0)] {
        let pct = cost.program_pct + (cost.user_pct - seldom.user_pct).max(0.0);
        verdicts
            .add(format!("samples at {label} Hz: {pct:.3} % of a CPU, limit {limit} %"), Some(pct <= limit));
    }
    let (ours, limit) = (fast.program_pct + fast.user_pct, perf_pct / 5.0);
    verdicts.add(
        format!(
            "samples at 999 Hz, with the whole user side: {ours:.3} % of a CPU, limit {limit:.3} % \
             (a fifth of perf's)"
        ),
        Some(ours <= limit),
    );
    Ok(())
}

fn nicmon(args: &Args, frequency: &str) -> Result<Cost> {
    let others = programs();
    let (mut nicmon, _) = start_nicmon_with(&args.nicmon, &["-F", frequency, "--max-overhead", "off"])?;
    // The statistics slow down every program on the host. They stop when this descriptor is closed, even if
    // we are killed.
    let statistics = enable_stats(Stats::RunTime).context("cannot switch the BPF statistics on")?;
    let (start, before) = (Instant::now(), program_time(&others));
    let user_pct = watch(&nicmon)?;
    let program = program_time(&others).saturating_sub(before);
    let program_pct = 100.0 * program.as_secs_f64() / start.elapsed().as_secs_f64();
    drop(statistics);
    nicmon.stop()?;
    Ok(Cost { program_pct, user_pct })
}

/// CPU time of a `perf record` of this length, as measured by `perf stat`, in percent of one CPU.
fn perf() -> Result<f64> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let (data, seconds) = (folder.path().join("perf.data"), WINDOW.as_secs().to_string());
    let said = folder.path().join("stat");
    let mut stat = Command::new("perf");
    stat.args(["stat", "-x", ",", "-e", "task-clock", "-o"]).arg(&said).arg("--");
    stat.args(["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", "999", "-o"]).arg(&data);
    process::run(stat.args(["--", "sleep", &seconds]))?;
    let text = fs::read_to_string(&said).context("perf stat wrote nothing")?;
    let line = text
        .lines()
        .find(|line| line.contains("task-clock"))
        .context("perf stat did not report task-clock")?;
    let ms: f64 =
        line.split(',').next().unwrap_or_default().parse().context("cannot parse what perf stat reported")?;
    Ok(ms / 10.0 / WINDOW.as_secs_f64())
}

/// Time of all programs named `sample` that are not in `others`.
fn program_time(others: &BTreeMap<u32, Program>) -> Duration {
    let ours =
        programs().into_iter().filter(|(id, program)| !others.contains_key(id) && program.name == "sample");
    ours.map(|(_, program)| program.time).sum()
}

/// CPU time of a process during the window, in percent of one CPU.
fn watch(tool: &Running) -> Result<f64> {
    let (start, before) = (Instant::now(), cpu_time(tool.pid())?);
    process::sleep(WINDOW)?;
    let used = cpu_time(tool.pid())?.saturating_sub(before);
    Ok(100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64())
}
