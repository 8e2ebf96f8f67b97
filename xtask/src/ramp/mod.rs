//! `cargo xtask ramp`: whether the headroom that nicmon reports is what a NIC can receive.
//!
//! A veth receives, RPS passes its packets to another CPU, and a thousand firewall rules make each of them
//! expensive. At a third of the rate at which that CPU is full, nicmon reports an interval. Then the rate
//! rises until the CPU is full.

mod figures;
mod network;
mod watch;

use std::{
    ops::Range,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use testkit::{load, process};

use self::{
    figures::{Ramp, Step, Verdict, median, saturation},
    network::Network,
    watch::Watch,
};
use crate::workspace::{self, Profile};

/// The search for the saturation starts here, and gives up beyond the other.
const SEARCH: std::ops::Range<f64> = 10_000.0..1_500_000.0;
const SEARCH_STEP: f64 = 1.3;
/// A ramp starts at this part of the saturation that is expected, and rises by this part of it.
const FIRST: f64 = 0.75;
const STEP: f64 = 0.05;
const MOST_STEPS: u32 = 30;
/// How long a new rate is left alone before it is measured.
const SETTLE: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(2);
/// How long nicmon watches a third of the saturation, after a start that is not counted.
const BEFORE: Duration = Duration::from_secs(3);
const WATCH: Duration = Duration::from_secs(10);
/// What is measured while other tasks take more of the target CPU than this is measured again.
const OTHERS_PCT: f64 = 5.0;
/// How long the target CPU must be quiet before something is measured, and how long we wait for that.
const QUIET: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_mins(10);

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask ramp
  cargo xtask ramp --runs 1 --keep /tmp/ramp")]
pub(crate) struct Args {
    /// Number of ramps
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// The CPU that sends; RPS passes the packets to another one
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Firewall rules that each packet passes and that match none
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=50_000))]
    rules: u32,
    /// Keep nicmon's frames in this folder, a file for each ramp
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Run this program instead of building nicmon
    #[arg(long, hide = true)]
    nicmon: Option<PathBuf>,
}

pub(crate) fn main(args: &Args) -> Result<ExitCode> {
    let nicmon = workspace::as_root_with_nicmon(args.nicmon.as_ref(), Profile::Quick)?;
    process::catch_signals()?;
    let target = load::other_cpu(args.cpu)?.context("this needs two CPUs")?;
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let folder = args.keep.as_deref().unwrap_or(scratch.path());
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;

    let network = Network::create(args.cpu, target, args.rules)?;
    let mut known = vec![search(&network)?];
    println!("CPU {target} is full at about {:.0} packets per second; {} rules", known[0], args.rules);
    println!("{}", Ramp::HEAD);
    let mut ramps = Vec::new();
    for number in 1..=args.runs {
        let watch = Watch::start(&nicmon, &folder.join(format!("{number}.ndjson")))?;
        let expected = median(known.clone()).context("no rate")?;
        let ramp = one(&network, watch, expected)?;
        println!("{}", ramp.row(number));
        known.push(ramp.measured);
        ramps.push(ramp);
    }
    let verdict = Verdict::of(&ramps);
    println!("{verdict}");
    Ok(if verdict.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Roughly the rate at which the target CPU is full.
fn search(network: &Network) -> Result<f64> {
    let mut steps = Vec::new();
    let mut pps = SEARCH.start;
    while pps < SEARCH.end {
        steps.push(measure(network, pps)?);
        if let Some(found) = saturation(&steps) {
            return Ok(found);
        }
        pps *= SEARCH_STEP;
    }
    bail!("the target CPU is not full at {pps:.0} packets per second: give it more --rules")
}

/// One ramp, given the saturation that is expected.
fn one(network: &Network, watch: Watch, expected: f64) -> Result<Ramp> {
    let (third, time) = undisturbed(network, expected / 3.0, BEFORE, WATCH)?;
    let mut steps = Vec::new();
    for number in 0..MOST_STEPS {
        steps.push(measure(network, expected * (FIRST + STEP * f64::from(number)))?);
        if let Some(measured) = saturation(&steps).filter(|_| steps.len() > 1) {
            let interval = watch.headroom(network, &time)?;
            return Ok(Ramp { third, interval, measured, last: steps[steps.len() - 1] });
        }
    }
    bail!("the target CPU is still not full at {:.0} packets per second", steps[steps.len() - 1].rate)
}

/// What the target CPU does at a rate.
fn measure(network: &Network, pps: f64) -> Result<Step> {
    Ok(undisturbed(network, pps, SETTLE, MEASURE)?.0)
}

/// What the target CPU does at a rate without other tasks, and when that was on the clock of frames.
fn undisturbed(network: &Network, pps: f64, settle: Duration, time: Duration) -> Result<(Step, Range<u64>)> {
    let start = Instant::now();
    loop {
        let load = network.send(pps, settle + time)?;
        process::sleep(settle)?;
        let (from, before) = (watch::now_ns(), network.counters()?);
        process::sleep(time)?;
        let (to, step) = (watch::now_ns(), network.counters()?.since(&before)?);
        load.stop()?;
        if step.tasks_pct <= OTHERS_PCT {
            return Ok((step, from..to));
        }
        loop {
            ensure!(start.elapsed() < PATIENCE, "other tasks keep the target CPU busy: try again later");
            let before = network.counters()?;
            process::sleep(QUIET)?;
            if network.counters()?.since(&before)?.tasks_pct <= OTHERS_PCT {
                break;
            }
        }
    }
}
