//! When to measure in windows, and when to measure all the time again.

use crate::counters::bpf::CpuShare;

/// How long the cost must be above the limit.
const LASTING_NS: u64 = 1_000_000_000;
/// Above this many times the limit, that is not waited for.
const AT_ONCE: f64 = 2.0;

/// Windows save nothing if their programs have a smaller part of the cost: then it is samples that cost.
const PART: f64 = 0.1;

/// The limit, and since when the cost is above it.
#[derive(Debug)]
pub(in crate::collect) struct Entry {
    pub(super) max_pct: f64,
    above_since_ns: Option<u64>,
}

impl Entry {
    pub(in crate::collect) fn new(max_pct: f64) -> Self {
        Self { max_pct, above_since_ns: None }
    }

    /// Forgets what came before windows.
    pub(super) fn forget(&mut self) {
        self.above_since_ns = None;
    }

    /// Whether to measure in windows from now on, after an interval of this length that ended now. Counting
    /// drops is given up first, so its cost does not count here.
    pub(super) fn is_due(&mut self, now_ns: u64, interval_ns: u64, costliest: CpuShare) -> bool {
        let pct = costliest.pct - costliest.drops_pct;
        if pct <= self.max_pct || costliest.windowed_pct < PART * pct {
            self.above_since_ns = None;
            return false;
        }
        let since_ns = *self.above_since_ns.get_or_insert(now_ns.saturating_sub(interval_ns));
        now_ns.saturating_sub(since_ns) >= LASTING_NS || pct > AT_ONCE * self.max_pct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_too_much_must_last_and_much_too_much_need_not() {
        const TENTH: u64 = 100_000_000;
        let share = |pct, drops_pct| CpuShare { cpu: 0, pct, drops_pct, windowed_pct: pct - drops_pct };
        let mut entry = Entry::new(5.0);
        let mut due = |tenth: u64, share| entry.is_due(tenth * TENTH, TENTH, share);
        assert!((1..10).all(|tenth| !due(tenth, share(6.0, 0.0))));
        assert!(!due(10, share(4.0, 0.0)));
        assert!((11..20).all(|tenth| !due(tenth, share(6.0, 0.0))));
        assert!(due(20, share(6.0, 0.0)) && due(21, share(6.0, 0.0)));
        assert!(!due(22, share(12.0, 8.0)), "drops are given up first");
        assert!(due(23, share(12.0, 0.0)));
    }
}
