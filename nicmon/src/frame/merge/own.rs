//! `self`.

use super::sum::{gap_of, reported_gap, sum, sum_of_known};
use crate::frame::{OwnCost, pct_of};

/// What nicmon itself cost; `None` before the first frame.
#[derive(Debug, Default)]
pub(super) struct OwnSum {
    own: Option<OwnCost>,
    bpf_gap_ns: u64,
}

impl OwnSum {
    pub(super) fn add(&mut self, more: &OwnCost, interval_ns: u64) {
        let OwnCost { bpf_est_ns, bpf_runs, cpu_ns, rss_bytes, lost, .. } = more;
        let OwnCost { overhead_pct: _, nr_throttled, bpf_gap_ns, .. } = more;
        let gap_ns = gap_of(*bpf_gap_ns, interval_ns, bpf_est_ns.is_some());
        self.bpf_gap_ns = self.bpf_gap_ns.saturating_add(gap_ns);
        let Some(to) = &mut self.own else {
            self.own = Some(more.clone());
            return;
        };
        to.bpf_est_ns = sum_of_known(to.bpf_est_ns, *bpf_est_ns);
        to.bpf_runs = sum(to.bpf_runs, *bpf_runs);
        to.cpu_ns = to.cpu_ns.saturating_add(*cpu_ns);
        to.rss_bytes = *rss_bytes;
        to.lost = sum(to.lost, *lost);
        // Unknown in the first frame only, unless it always is.
        to.nr_throttled = sum_of_known(to.nr_throttled, *nr_throttled);
    }

    pub(super) fn own(&self, interval_ns: u64) -> Option<OwnCost> {
        let own = self.own.clone()?;
        let known_ns = interval_ns.saturating_sub(self.bpf_gap_ns);
        let pct = |bpf_ns| pct_of(bpf_ns, known_ns) + pct_of(own.cpu_ns, interval_ns);
        Some(OwnCost {
            overhead_pct: own.bpf_est_ns.map(pct),
            bpf_gap_ns: reported_gap(self.bpf_gap_ns, interval_ns, own.bpf_est_ns.is_some()),
            ..own
        })
    }
}
