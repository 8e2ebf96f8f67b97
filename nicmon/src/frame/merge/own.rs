//! `self`.

use super::sum::{add_rows, gap_of, reported_gap, sum, sum_of_known};
use crate::frame::{OwnCost, OwnCpu, OwnProgram, pct_of};

/// A time, and its range.
type Ranged = (Option<u64>, Option<[u64; 2]>);

/// What nicmon itself cost; `None` before the first frame.
#[derive(Debug, Default)]
pub(super) struct OwnSum {
    own: Option<OwnCost>,
    bpf_gap_ns: u64,
}

impl OwnSum {
    pub(super) fn add(&mut self, more: &OwnCost, interval_ns: u64) {
        let OwnCost { bpf_est_ns, bpf_est_ci_ns, bpf_runs, programs, cpus, cpu_ns, .. } = more;
        let OwnCost { read_ns, make_ns, rss_bytes, lost, overhead_pct: _, nr_throttled, bpf_gap_ns, .. } =
            more;
        let gap_ns = gap_of(*bpf_gap_ns, interval_ns, bpf_est_ns.is_some());
        self.bpf_gap_ns = self.bpf_gap_ns.saturating_add(gap_ns);
        let Some(to) = &mut self.own else {
            self.own = Some(more.clone());
            return;
        };
        to.bpf_est_ci_ns = range((to.bpf_est_ns, to.bpf_est_ci_ns), (*bpf_est_ns, *bpf_est_ci_ns));
        to.bpf_est_ns = sum_of_known(to.bpf_est_ns, *bpf_est_ns);
        to.bpf_runs = sum(to.bpf_runs, *bpf_runs);
        // Like `bpf_runs`, of which they are the parts, they are unknown if they are in one of the frames.
        to.programs = to.programs.take().zip(programs.as_ref()).map(|(mut sums, more)| {
            add_programs(&mut sums, more);
            sums
        });
        to.cpus = to.cpus.take().zip(cpus.as_ref()).map(|(mut sums, more)| {
            add_rows(&mut sums, more, |row| row.cpu, add_cpu);
            sums
        });
        to.cpu_ns = to.cpu_ns.saturating_add(*cpu_ns);
        to.read_ns = sum(to.read_ns, *read_ns);
        to.make_ns = sum(to.make_ns, *make_ns);
        to.rss_bytes = *rss_bytes;
        to.lost = sum(to.lost, *lost);
        // Unknown in the first frame only, unless it always is.
        to.nr_throttled = sum_of_known(to.nr_throttled, *nr_throttled);
    }

    pub(super) fn own(&self, interval_ns: u64) -> Option<OwnCost> {
        let mut own = self.own.clone()?;
        let known_ns = interval_ns.saturating_sub(self.bpf_gap_ns);
        for cpu in own.cpus.iter_mut().flatten() {
            cpu.overhead_pct = cpu.bpf_est_ns.map(|ns| pct_of(ns, known_ns));
        }
        let pct = |bpf_ns| pct_of(bpf_ns, known_ns) + pct_of(own.cpu_ns, interval_ns);
        Some(OwnCost {
            overhead_pct: own.bpf_est_ns.map(pct),
            bpf_gap_ns: reported_gap(self.bpf_gap_ns, interval_ns, own.bpf_est_ns.is_some()),
            ..own
        })
    }
}

fn add_programs(sums: &mut Vec<OwnProgram>, programs: &[OwnProgram]) {
    for more in programs {
        let Some(to) = sums.iter_mut().find(|to| to.program == more.program) else {
            sums.push(more.clone());
            continue;
        };
        let OwnProgram { program: _, runs, est_ns, est_ci_ns } = more;
        to.runs = to.runs.saturating_add(*runs);
        to.est_ci_ns = range((to.est_ns, to.est_ci_ns), (*est_ns, *est_ci_ns));
        to.est_ns = sum_of_known(to.est_ns, *est_ns);
    }
}

/// The share is made anew from the sum.
fn add_cpu(to: &mut OwnCpu, more: &OwnCpu) {
    to.bpf_runs = to.bpf_runs.saturating_add(more.bpf_runs);
    to.bpf_est_ns = sum_of_known(to.bpf_est_ns, more.bpf_est_ns);
}

/// The range of the sum of two times. It is unknown if a time is known and its range is not, as in recordings
/// of nicmon 0.1.0.
fn range(one: Ranged, other: Ranged) -> Option<[u64; 2]> {
    let lacks = |(time, range): Ranged| time.is_some() && range.is_none();
    if lacks(one) || lacks(other) {
        return None;
    }
    match (one.1, other.1) {
        (Some([low, high]), Some([more_low, more_high])) => {
            Some([low.saturating_add(more_low), high.saturating_add(more_high)])
        }
        (one, other) => one.or(other),
    }
}
