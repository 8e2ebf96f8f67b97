//! `self`: what nicmon itself cost.

use crate::{
    collect::Observation,
    counters::{CostRange, CpuCost, ProgramCost, ProgramCosts},
    frame::{OwnCost, OwnCpu, OwnProgram, pct_of},
};

pub(super) fn own_cost(seen: &Observation) -> OwnCost {
    let Observation { reading, own, interval_ns, .. } = seen;
    let costs = reading.programs.as_ref();
    OwnCost {
        bpf_est_ns: reading.bpf_est_ns,
        bpf_est_ci_ns: reading.bpf_est_ns.and_then(|_| whole_range(costs?)),
        bpf_runs: reading.bpf_runs,
        programs: costs.map(|costs| costs.programs.iter().map(program).collect()),
        cpus: costs.map(|costs| costs.cpus.iter().map(|cost| cpu(cost, *interval_ns)).collect()),
        cpu_ns: own.cpu_ns,
        read_ns: own.read_ns,
        make_ns: own.make_ns,
        rss_bytes: own.rss_bytes,
        lost: reading.lost,
        overhead_pct: reading.bpf_est_ns.map(|bpf_ns| pct_of(bpf_ns + own.cpu_ns, *interval_ns)),
        nr_throttled: own.nr_throttled,
        bpf_gap_ns: None,
    }
}

fn range(cost: CostRange) -> [u64; 2] {
    [cost.low_ns, cost.high_ns]
}

/// Of all CPUs.
fn whole_range(costs: &ProgramCosts) -> Option<[u64; 2]> {
    let mut cpus = costs.cpus.iter();
    cpus.try_fold([0, 0], |[low, high], cpu| Some([low + cpu.cost?.low_ns, high + cpu.cost?.high_ns]))
}

fn program(cost: &ProgramCost) -> OwnProgram {
    let ProgramCost { program, runs, cost } = cost;
    OwnProgram {
        program: program.clone(),
        runs: *runs,
        est_ns: cost.map(|cost| cost.ns),
        est_ci_ns: cost.map(range),
    }
}

fn cpu(cost: &CpuCost, interval_ns: u64) -> OwnCpu {
    let CpuCost { cpu, runs, cost } = *cost;
    let est_ns = cost.map(|cost| cost.ns);
    OwnCpu { cpu, bpf_runs: runs, bpf_est_ns: est_ns, overhead_pct: est_ns.map(|ns| pct_of(ns, interval_ns)) }
}
