//! perf's samples of a driver, beside which nicmon's stand.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context as _, Result};
use testkit::{idle::is_idle, process::output, share::Share};

/// Samples a second and CPU that nicmon is to take, and perf: timers of one frequency run in step (docs/kernel-notes.md).
pub(crate) const NICMON_HZ: &str = "997";
const PERF_HZ: &str = "999";

/// `perf record` of all CPUs into this file, around what is added.
pub(crate) fn record(data: &Path) -> Command {
    record_with(&[], data)
}

/// The same with call stacks.
pub(crate) fn record_stacks(data: &Path) -> Command {
    record_with(&["-g"], data)
}

fn record_with(options: &[&str], data: &Path) -> Command {
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-a", "-e", "cpu-clock", "-F", PERF_HZ]).args(options);
    perf.arg("-o").arg(data).arg("--");
    perf
}

/// What it sampled.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) all: u64,
    pub(crate) busy: u64,
    /// Of the busy ones, those in the driver.
    pub(crate) driver: u64,
    /// The driver's, by function.
    pub(crate) functions: BTreeMap<String, u64>,
}

impl Samples {
    /// Reads them; the driver's functions are those whose names begin with `prefix`, as all have that are called in these
    /// loads.
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

    fn add(&mut self, pid: i64, function: &str, prefix: &str) {
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
