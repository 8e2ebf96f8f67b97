//! How often nicmon's own programs ran, on which CPU, and what that cost.

use nicmon_common::CpuState;

use super::{
    ProgramId,
    budget::CpuShare,
    cost::{RunCost, RunCosts},
    windows::is_windowed,
};
use crate::counters::{CostRange, CpuActivity, CpuCost, NapiActivity, ProgramCost, ProgramCosts};
use crate::frame::pct_of;

/// Runs between two readings.
#[derive(Debug, Default)]
pub(super) struct OwnRuns {
    programs: Vec<ProgramId>,
    /// By CPU, for those on which any ran: the runs of each program, in the order of `programs`.
    cpus: Vec<(u32, Vec<u64>)>,
    interval_ns: u64,
    /// When the interval ended, on `CLOCK_MONOTONIC`.
    mono_ns: u64,
}

/// Counts them, from the events that the programs counted: one run for each. The interval is given by when it
/// ended and how long it was.
pub(super) fn count(
    programs: impl Iterator<Item = ProgramId>,
    (mono_ns, interval_ns): (u64, u64),
    now: &[CpuState],
    before: &[CpuState],
    activity: &[CpuActivity],
    napis: &[NapiActivity],
) -> OwnRuns {
    let mut polls: Vec<u64> = activity.iter().map(|cpu| cpu.backlog.polls()).collect();
    for (cpu, of_napi) in napis.iter().flat_map(|napi| &napi.cpus) {
        if let Some(polls) = polls.get_mut(*cpu as usize) {
            *polls += of_napi.polls();
        }
    }
    let programs: Vec<ProgramId> = programs.collect();
    let runs = |cpu: usize| {
        let (now, before) = (&now[cpu], &before[cpu]);
        let of = |program: &ProgramId| match program {
            ProgramId::SoftirqEntry | ProgramId::SoftirqExit => {
                activity[cpu].vectors.iter().map(|vector| vector.count).sum()
            }
            ProgramId::IrqHandlerEntry | ProgramId::IrqHandlerExit => now.irq.count - before.irq.count,
            ProgramId::NapiPoll => polls[cpu],
            ProgramId::KfreeSkb => now.drops - before.drops,
            ProgramId::SoftirqRaise => now.raises - before.raises,
            ProgramId::Sample => now.sampler.samples.wrapping_sub(before.sampler.samples).into(),
        };
        programs.iter().map(of).collect::<Vec<u64>>()
    };
    let all = (0..now.len()).map(|cpu| (u32::try_from(cpu).unwrap_or(u32::MAX), runs(cpu)));
    let cpus = all.filter(|(_, runs)| runs.iter().any(|runs| *runs > 0)).collect();
    OwnRuns { programs, cpus, interval_ns, mono_ns }
}

impl OwnRuns {
    /// Adds the runs of what follows.
    pub(super) fn add(&mut self, more: Self) {
        self.interval_ns += more.interval_ns;
        self.mono_ns = more.mono_ns;
        if self.programs.is_empty() {
            (self.programs, self.cpus) = (more.programs, more.cpus);
            return;
        }
        for (cpu, runs) in more.cpus {
            match self.cpus.binary_search_by_key(&cpu, |(cpu, _)| *cpu) {
                Ok(at) => self.cpus[at].1.iter_mut().zip(runs).for_each(|(sum, more)| *sum += more),
                Err(at) => self.cpus.insert(at, (cpu, runs)),
            }
        }
    }

    /// The programs with their runs on all CPUs.
    pub(super) fn totals(&self) -> impl Iterator<Item = (ProgramId, u64)> {
        let total = |at: usize| self.cpus.iter().map(|(_, runs)| runs[at]).sum();
        self.programs.iter().enumerate().map(move |(at, program)| (*program, total(at)))
    }

    /// How often each program ran per second, on all CPUs together.
    pub(super) fn per_s(&self) -> impl Iterator<Item = (ProgramId, f64)> {
        let seconds = self.interval_ns as f64 / 1e9;
        self.totals()
            .map(move |(program, runs)| (program, if seconds > 0.0 { runs as f64 / seconds } else { 0.0 }))
    }

    /// When the interval ended, on `CLOCK_MONOTONIC`, and how long it was.
    pub(super) fn interval(&self) -> (u64, u64) {
        (self.mono_ns, self.interval_ns)
    }

    /// The CPU that paid most for the programs; `None` if no cost is known.
    pub(super) fn costliest_cpu(&self, costs: Option<&RunCosts>) -> Option<CpuShare> {
        let share = |(cpu, runs): &(u32, Vec<u64>)| {
            let pct = |is_counted: fn(ProgramId) -> bool| {
                Some(pct_of(self.cost_on_cpu(runs, costs, is_counted)?.ns, self.interval_ns))
            };
            let drops_pct = pct(|program| program == ProgramId::KfreeSkb)?;
            let windowed_pct = pct(is_windowed)?;
            Some(CpuShare { cpu: *cpu, pct: pct(|_| true)?, drops_pct, windowed_pct })
        };
        self.cpus.iter().filter_map(share).max_by(|one, other| one.pct.total_cmp(&other.pct))
    }

    /// The time of the programs that are detached outside windows, by CPU.
    pub(super) fn windowed_ns(&self, costs: Option<&RunCosts>) -> Vec<(u32, u64)> {
        let ns = |(cpu, runs): &(u32, Vec<u64>)| Some((*cpu, self.cost_on_cpu(runs, costs, is_windowed)?.ns));
        self.cpus.iter().filter_map(ns).collect()
    }

    /// Their cost.
    pub(super) fn costs(&self, costs: Option<&RunCosts>) -> ProgramCosts {
        let programs = self.totals().filter(|(_, runs)| *runs > 0).map(|(program, runs)| ProgramCost {
            program: program.name().to_owned(),
            runs,
            cost: cost_of(costs, program).map(|cost| cost.times(runs)),
        });
        let cpus = self.cpus.iter().map(|(cpu, runs)| CpuCost {
            cpu: *cpu,
            runs: runs.iter().sum(),
            cost: self.cost_on_cpu(runs, costs, |_| true),
        });
        ProgramCosts { programs: programs.collect(), cpus: cpus.collect() }
    }

    /// What those programs cost on a CPU that are to be counted; `None` if it is not known of one that ran.
    fn cost_on_cpu(
        &self,
        runs: &[u64],
        costs: Option<&RunCosts>,
        is_counted: fn(ProgramId) -> bool,
    ) -> Option<CostRange> {
        let mut each = self.programs.iter().zip(runs).filter(|(id, runs)| **runs > 0 && is_counted(**id));
        each.try_fold(CostRange::default(), |sum, (program, runs)| {
            Some(sum.plus(cost_of(costs, *program)?.times(*runs)))
        })
    }
}

/// What a run costs. A program that ran too rarely to be measured is assumed to cost as much as the most
/// expensive one.
fn cost_of(costs: Option<&RunCosts>, program: ProgramId) -> Option<RunCost> {
    let costs = costs?;
    costs.get(program).or_else(|| costs.most_expensive())
}
