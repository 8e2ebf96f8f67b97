//! perf's samples of a driver, to compare nicmon's with.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use testkit::{idle::is_idle, process::output, share::Share};

use crate::child::{Arrived, Nicmon};

/// Samples per CPU per second for nicmon and for perf. They differ because timers of the same frequency would
/// run in step (docs/kernel-notes.md).
pub(crate) const NICMON_HZ: &str = "997";
const PERF_HZ: &str = "999";

/// `perf record` of all CPUs into this file, while the command that the caller adds runs.
pub(crate) fn record(data: &Path) -> Command {
    record_with(&[], data)
}

/// The same with call stacks, and times on `CLOCK_MONOTONIC`.
pub(crate) fn record_stacks(data: &Path) -> Command {
    record_with(&["-g", "-k", "CLOCK_MONOTONIC"], data)
}

/// nicmon with these options beside perf with call stacks, for so many frames of a second. Returns the
/// frames, and where perf's data is for as long as the folder lives.
pub(crate) fn beside_nicmon(options: &[&str], seconds: u64) -> Result<(Vec<Arrived>, TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("perf.data");
    let seconds = seconds.to_string();
    let always = ["-F", NICMON_HZ, "-d", "1s", "-n", &seconds];
    let nicmon = Nicmon::start(&[options, &always].concat())?;
    output(record_stacks(&data).args(["sleep", &seconds]))?;
    Ok((nicmon.finish()?, folder, data))
}

fn record_with(options: &[&str], data: &Path) -> Command {
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-a", "-e", "cpu-clock", "-F", PERF_HZ]).args(options);
    perf.arg("-o").arg(data).arg("--");
    perf
}

/// What perf sampled.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) all: u64,
    pub(crate) busy: u64,
    /// The busy samples that fell into the driver.
    pub(crate) driver: u64,
    /// The driver's samples by function.
    pub(crate) functions: BTreeMap<String, u64>,
}

impl Samples {
    /// Reads the samples. The driver's functions are those whose names start with `prefix`, which holds for
    /// all that are called in these loads.
    pub(crate) fn read(data: &Path, prefix: &str) -> Result<Self> {
        let script = output(Command::new("perf").args(["script", "-F", "pid,ip,sym", "-i"]).arg(data))?;
        let mut samples = Self::default();
        for line in script.lines() {
            let mut words = line.split_whitespace();
            // A process id, an address, a name.
            let (Some(Ok(pid)), Some(_), Some(function)) =
                (words.next().map(str::parse), words.next(), words.next())
            else {
                continue;
            };
            samples.add(pid, function, prefix);
        }
        Ok(samples)
    }

    /// Counts a sample in this function.
    pub(crate) fn add(&mut self, pid: i64, function: &str, prefix: &str) {
        self.all += 1;
        if is_idle(pid, Some(function)) {
            return;
        }
        self.busy += 1;
        if function.trim_start_matches('_').starts_with(prefix) {
            self.driver += 1;
            *self.functions.entry(function.to_owned()).or_default() += 1;
        }
    }

    /// The driver's share of the busy samples.
    pub(crate) fn share(&self) -> Result<Share> {
        Share::of(self.driver, self.busy).context("no samples of perf")
    }
}

/// A sample with its call stack.
#[derive(Debug)]
pub(crate) struct Stacked {
    pub(crate) pid: i64,
    pub(crate) comm: String,
    /// When it was taken, on `CLOCK_MONOTONIC`.
    pub(crate) mono_ns: u64,
    /// The functions, the innermost first.
    pub(crate) functions: Vec<String>,
}

impl Stacked {
    /// Reads what [`record_stacks`] wrote.
    pub(crate) fn read(data: &Path) -> Result<Vec<Self>> {
        let script =
            output(Command::new("perf").args(["script", "-F", "comm,pid,time,ip,sym", "-i"]).arg(data))?;
        // Each sample is a line with name, pid and time, a line with address and name for each function, and
        // an empty line.
        let samples: Vec<Self> = script.split("\n\n").filter_map(Self::parse).collect();
        ensure!(!samples.is_empty(), "no samples of perf");
        Ok(samples)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.trim_start_matches('\n').lines();
        // A name may contain spaces.
        let (first, time) = lines.next()?.trim().rsplit_once(' ')?;
        let (comm, pid) = first.trim().rsplit_once(char::is_whitespace)?;
        let (seconds, fraction) = time.trim().strip_suffix(':')?.split_once('.')?;
        let ns = format!("{fraction:0<9}").parse::<u64>().ok()?;
        let name = |line: &str| line.split_whitespace().nth(1).unwrap_or("?").to_owned();
        Some(Self {
            pid: pid.parse().ok()?,
            comm: comm.trim().to_owned(),
            mono_ns: seconds.parse::<u64>().ok()? * 1_000_000_000 + ns,
            functions: lines.map(name).collect(),
        })
    }

    pub(crate) fn is_busy(&self) -> bool {
        !is_idle(self.pid, self.functions.first().map(String::as_str))
    }
}
