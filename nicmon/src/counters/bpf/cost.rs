//! What a run of each program costs, calibrated with the kernel's BPF statistics.
//!
//! Statistics slow down every BPF program on the machine, so they are on for a window of 50 ms and never
//! longer: the kernel turns them off when the descriptor is closed, whatever happens to this process.

use std::{
    collections::HashMap,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use aya::{
    programs::Program,
    sys::{Stats, enable_stats},
};

use super::programs::ProgramId;

/// How long statistics stay on.
pub const WINDOW: Duration = Duration::from_millis(50);
/// With fewer runs than this in a window, the cost is not measured.
const LEAST_RUNS: u64 = 8;
/// What it costs to enter a program and return from it, which the statistics do not cover. Measured as
/// the cost that three empty programs add to a packet: docs/kernel-notes/2026-11-22-an-empty-program.md.
const DISPATCH_NS: f64 = 53.0;
/// What the statistics show for an empty program, if it did not run in the window. Same source.
const EMPTY_NS: f64 = 58.0;

/// Cost per run, by program.
#[derive(Debug, Default, Clone)]
pub struct RunCosts {
    ns: HashMap<ProgramId, f64>,
}

impl RunCosts {
    /// Cost of one run in ns; `None` if the program was not seen running.
    pub fn get(&self, program: ProgramId) -> Option<f64> {
        self.ns.get(&program).copied()
    }

    /// Time of these runs in ns. A program that ran too rarely to be measured is assumed to cost as much
    /// as the most expensive of the others. `None` if none was measured.
    pub fn estimate(&self, runs: &[(ProgramId, u64)]) -> Option<u64> {
        let dearest = self.ns.values().copied().reduce(f64::max)?;
        let total: f64 =
            runs.iter().map(|(program, count)| self.get(*program).unwrap_or(dearest) * *count as f64).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of positive ns")]
        Some(total as u64)
    }

    /// Adopts what another window measured.
    pub(super) fn merge(&mut self, newer: Self) {
        self.ns.extend(newer.ns);
    }
}

/// Measures the running programs over one window; blocks for [`WINDOW`]. Returns `None` without
/// `CAP_SYS_ADMIN`.
pub(super) fn calibrate(programs: &[(ProgramId, &Program)], empty: Option<&Program>) -> Option<RunCosts> {
    let count = || {
        let programs =
            programs.iter().map(|(_, program)| Counters::of(program)).collect::<Option<Vec<_>>>()?;
        Some((programs, empty.and_then(Counters::of)))
    };
    let statistics = enable_stats(Stats::RunTime).ok()?;
    let (before, empty_before) = count()?;
    std::thread::sleep(WINDOW);
    let (after, empty_after) = count()?;
    drop(statistics);

    let empty_ns = empty_before
        .zip(empty_after)
        .and_then(|(before, after)| after.ns_per_run_since(before))
        .unwrap_or(EMPTY_NS);
    let ns = programs
        .iter()
        .zip(before.into_iter().zip(after))
        .filter_map(|((program, _), (before, after))| {
            let measured = after.ns_per_run_since(before)?;
            Some((*program, (measured - empty_ns).max(0.0) + DISPATCH_NS))
        })
        .collect();
    Some(RunCosts { ns })
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
