//! Lists the CPUs and keeps a thread on one of them.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::thread::CpuSet;

/// The online CPUs, in order.
///
/// # Errors
/// When /sys/devices/system/cpu/online cannot be read.
pub fn online_cpus() -> Result<Vec<usize>> {
    let path = "/sys/devices/system/cpu/online";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bound = |s: &str| s.parse::<usize>().with_context(|| format!("{path}: `{s}` is not a CPU"));
        cpus.extend(bound(first)?..=bound(last)?);
    }
    Ok(cpus)
}

/// An online CPU other than `cpu`, if there is one.
///
/// # Errors
/// As [`online_cpus`].
pub fn other_cpu(cpu: usize) -> Result<Option<usize>> {
    Ok(online_cpus()?.into_iter().find(|&c| c != cpu))
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// When that CPU is offline or not ours to use (a cpuset).
pub fn pin_thread(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    if cpu < CpuSet::MAX_CPU {
        set.set(cpu);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on CPU {cpu}: is it online (/sys/devices/system/cpu/online)?"))
}
