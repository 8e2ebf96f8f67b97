//! Time per run of each of nicmon's kernel programs, from the kernel's BPF statistics.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};

use crate::{Args, contenders::start_nicmon, loopback};

const WINDOW: Duration = Duration::from_secs(3);

pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) time: Duration,
    runs: u64,
}

pub(crate) fn measure(args: &Args) -> Result<()> {
    let others: BTreeSet<_> = programs().into_keys().collect();
    let (mut nicmon, _) = start_nicmon(&args.nicmon)?;
    let before = programs();
    // The statistics slow down every program on the host. They stop when this descriptor is closed, even if
    // we are killed.
    let statistics = enable_stats(Stats::RunTime).context("cannot switch the BPF statistics on")?;
    let start = Instant::now();
    while start.elapsed() < WINDOW {
        loopback::slices(args.cpu, 1, args.packets)?;
    }
    let after = programs();
    drop(statistics);
    nicmon.stop()?;
    println!(
        "nicmon's programs, ns per run, {WINDOW:?} of UDP over loopback (an empty run shows about 60 ns)"
    );
    println!("  {:<26}{:>12}{:>10}", "", "runs", "ns per run");
    for (id, program) in after.iter().filter(|(id, _)| !others.contains(id)) {
        let old = before.get(id);
        let runs = program.runs.saturating_sub(old.map_or(0, |p| p.runs));
        let time = program.time.saturating_sub(old.map_or(Duration::ZERO, |p| p.time));
        let each =
            if runs == 0 { "-".into() } else { format!("{:.0}", time.as_nanos() as f64 / runs as f64) };
        println!("  {:<26}{runs:>12}{each:>10}", program.name);
    }
    Ok(())
}

/// All loaded programs by id, except those that are unloaded while we read.
pub(crate) fn programs() -> BTreeMap<u32, Program> {
    let infos = loaded_programs().filter_map(Result::ok);
    let entry = |info: aya::programs::ProgramInfo| {
        let name = info.name_as_str().unwrap_or("?").to_owned();
        (info.id(), Program { name, time: info.run_time(), runs: info.run_count() })
    };
    infos.map(entry).collect()
}
