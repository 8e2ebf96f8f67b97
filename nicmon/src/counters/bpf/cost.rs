//! What a run of each program costs, calibrated with the kernel's BPF statistics.
//!
//! Statistics slow down every BPF program on the machine, so they are on for a window of 50 ms and never
//! longer: the kernel turns them off when the descriptor is closed, whatever happens to this process.

use std::{
    collections::HashMap,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use aya::programs::Program;

use super::{call_cost::CallCost, programs::ProgramId};
use crate::{
    counters::CostRange,
    privileges::{Privileges, Request},
};

/// How long statistics stay on.
pub const WINDOW: Duration = Duration::from_millis(50);
/// With fewer runs than this in a window, the cost is not measured.
const LEAST_RUNS: u64 = 8;

/// What one run costs, in ns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunCost {
    /// Within the program.
    inside: f64,
    /// What the kernel needs to call it.
    call: CallCost,
}

impl RunCost {
    /// Of so many runs.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
    pub(super) fn times(self, runs: u64) -> CostRange {
        let all = |call: f64| ((self.inside + call) * runs as f64) as u64;
        CostRange { low_ns: all(self.call.low), ns: all(self.call.likely), high_ns: all(self.call.high) }
    }
}

/// Cost per run, by program.
#[derive(Debug, Default, Clone)]
pub struct RunCosts {
    inside: HashMap<ProgramId, f64>,
    /// How often it ran when that was measured, per second.
    per_s: HashMap<ProgramId, f64>,
    call: CallCost,
}

/// A cost is outdated if the program runs this many times as often as when it was measured.
const OUTDATED: f64 = 8.0;

impl RunCosts {
    /// `None` if the program was not seen running.
    pub fn get(&self, program: ProgramId) -> Option<RunCost> {
        Some(RunCost { inside: *self.inside.get(&program)?, call: self.call })
    }

    /// Of the programs that were seen.
    pub(super) fn most_expensive(&self) -> Option<RunCost> {
        let inside = self.inside.values().copied().reduce(f64::max)?;
        Some(RunCost { inside, call: self.call })
    }

    /// Adopts what another window measured.
    pub(super) fn merge(&mut self, newer: Self) {
        self.inside.extend(newer.inside);
        self.per_s.extend(newer.per_s);
        self.call = newer.call;
    }

    /// Whether the program runs so much more often now that its cost must be measured anew: a program that
    /// runs often finds its code and data in the caches.
    pub(super) fn is_outdated(&self, program: ProgramId, per_s: f64) -> bool {
        self.per_s.get(&program).is_none_or(|then| per_s > then * OUTDATED)
    }
}

/// Measures the running programs over one window; blocks for [`WINDOW`]. Returns `None` without
/// `CAP_SYS_ADMIN`.
pub(super) fn calibrate(
    privileges: &Privileges,
    programs: &[(ProgramId, &Program)],
    empty: Option<&Program>,
    call: CallCost,
) -> Option<RunCosts> {
    let count = || {
        let programs =
            programs.iter().map(|(_, program)| Counters::of(program)).collect::<Option<Vec<_>>>()?;
        Some((programs, empty.and_then(Counters::of)))
    };
    let ((), statistics) = privileges.ask(Request::EnableStatistics).ok()?;
    let (before, empty_before) = count()?;
    std::thread::sleep(WINDOW);
    let (after, empty_after) = count()?;
    drop(statistics);

    let empty_ns = empty_before
        .zip(empty_after)
        .and_then(|(before, after)| after.ns_per_run_since(before))
        // Nothing runs often, and so nothing costs much: what the statistics themselves took may count as
        // well.
        .unwrap_or(0.0);
    let mut costs = RunCosts { call, ..RunCosts::default() };
    for ((program, _), (before, after)) in programs.iter().zip(before.into_iter().zip(after)) {
        if let Some(ns) = after.ns_per_run_since(before) {
            costs.inside.insert(*program, (ns - empty_ns).max(0.0));
            costs.per_s.insert(*program, (after.runs - before.runs) as f64 / WINDOW.as_secs_f64());
        }
    }
    Some(costs)
}

/// What the kernel counted for a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counters {
    pub(super) run_time_ns: u64,
    runs: u64,
    /// Events it missed because it was already running on that CPU; since Linux 5.12.
    pub(super) recursion_misses: u64,
}

impl Counters {
    /// Reads the counts from the program's file in `fdinfo` (kernel/bpf/syscall.c:
    /// `bpf_prog_show_fdinfo`).
    pub(super) fn of(program: &Program) -> Option<Self> {
        let fd = program.fd().ok()?.as_fd().as_raw_fd();
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok())
        };
        Some(Self {
            run_time_ns: field("run_time_ns")?,
            runs: field("run_cnt")?,
            recursion_misses: field("recursion_misses").unwrap_or(0),
        })
    }

    fn ns_per_run_since(self, before: Self) -> Option<f64> {
        let runs = self.runs.checked_sub(before.runs).filter(|runs| *runs >= LEAST_RUNS)?;
        Some((self.run_time_ns - before.run_time_ns) as f64 / runs as f64)
    }
}
