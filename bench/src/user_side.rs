//! nicmon's own process: CPU time, memory, and the time to the first frame.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use testkit::{
    load::{UdpLoad, UdpPlan, VethPair},
    process,
};

use crate::{
    Args,
    contenders::start_nicmon,
    figures::{Figures, Verdicts},
};

const WINDOW: Duration = Duration::from_secs(10);

struct Usage {
    cpu_pct: f64,
    rss_bytes: u64,
}

pub(crate) fn measure(args: &Args, verdicts: &mut Verdicts) -> Result<()> {
    let pair = VethPair::create("nicmon-bench")?;
    let (mut nicmon, _) = start_nicmon(&args.nicmon)?;
    eprintln!("bench: user side, idle and under load, {WINDOW:?} each");
    let idle = watch(nicmon.pid())?;
    let plan = UdpPlan { pps: 60_000, limit: WINDOW * 2, sender_cpu: args.cpu, busy_poll: false };
    let load = UdpLoad::start(&pair, plan)?;
    let loaded = watch(nicmon.pid())?;
    let totals = load.stop()?;
    nicmon.stop()?;
    println!("nicmon's user side at one frame per second, {WINDOW:?} each");
    println!("  {:<26}{:>10}{:>12}", "", "CPU", "resident");
    let rate = totals.sent as f64 / totals.time.as_secs_f64();
    let under_load = format!("{rate:.0} packets per second");
    for (label, usage) in [("idle", &idle), (under_load.as_str(), &loaded)] {
        println!("  {label:<26}{:>8.3} %{:>9.1} MB", usage.cpu_pct, usage.rss_bytes as f64 / 1e6);
    }
    let cpu = idle.cpu_pct.max(loaded.cpu_pct);
    verdicts.add(format!("user side: {cpu:.3} % of a CPU, limit 0.3 %"), Some(cpu <= 0.3));
    let rss = idle.rss_bytes.max(loaded.rss_bytes) as f64 / 1e6;
    verdicts.add(format!("user side: {rss:.1} MB resident, limit 25 MB"), Some(rss <= 25.0));
    Ok(())
}

fn watch(pid: u32) -> Result<Usage> {
    let (start, before) = (Instant::now(), cpu_time(pid)?);
    process::sleep(WINDOW)?;
    let used = cpu_time(pid)?.saturating_sub(before);
    let cpu_pct = 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
    Ok(Usage { cpu_pct, rss_bytes: resident(pid)? })
}

/// CPU time of all threads in ns. It comes from schedstat because /proc/PID/stat is too coarse: 0.3 % of ten
/// seconds is three of its ticks.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let mut ns = 0;
    for thread in fs::read_dir(&folder).with_context(|| format!("nicmon is gone: cannot read {folder}"))? {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {} (CONFIG_SCHED_INFO)", path.display()))?;
        ns += first_number(&text).with_context(|| format!("cannot parse {}", path.display()))?;
    }
    Ok(Duration::from_nanos(ns))
}

fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/statm");
    let text = fs::read_to_string(&path).with_context(|| format!("nicmon is gone: cannot read {path}"))?;
    let pages = text.split_once(' ').and_then(|(_, rest)| first_number(rest));
    Ok(pages.with_context(|| format!("cannot parse {path}"))? * rustix::param::page_size() as u64)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Time from exec to the first frame, with an interval of one second.
pub(crate) fn measure_start(args: &Args, verdicts: &mut Verdicts) -> Result<()> {
    const TRIES: u32 = 5;
    let mut figures = Figures::default();
    for _ in 0..TRIES {
        let (mut nicmon, time) = start_nicmon(&args.nicmon)?;
        nicmon.stop()?;
        figures.add([time.as_secs_f64()]);
    }
    let text = |figure: Option<f64>| figure.map_or("-".into(), |f| format!("{f:.3} s"));
    let (best, median) = (text(figures.best()), text(figures.median()));
    println!("First frame after the start, {TRIES} starts: best {best}, median {median}");
    verdicts.add(
        format!("first frame: {median} after the start (median), limit 1.3 s"),
        figures.median().map(|m| m <= 1.3),
    );
    Ok(())
}
