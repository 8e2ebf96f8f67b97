//! What was measured, and what follows from it.

use super::{
    OverheadError,
    estimate::Measure,
    model::{Attached, OverheadReport, SCHEMA},
};

/// Hooks that a packet passes: softirq entry, `napi_poll`, softirq exit.
const HOOKS: f64 = 3.0;
/// How far the hooks counted per packet may be from that: timers have softirqs, too.
const HOOKS_OFF: f64 = 0.1;
/// With fewer rounds, chance decides.
const FEWEST: usize = 100;

/// One block with nicmon's programs.
#[derive(Debug, Clone, Copy)]
pub(super) struct NicmonBlock {
    pub(super) ns_per_packet: f64,
    /// Runs of the programs on the load's CPU, and the time within them.
    pub(super) runs: u64,
    pub(super) inside_ns: u64,
    /// Polls of the backlog there: one per packet.
    pub(super) polls: u64,
}

/// The blocks, one of each kind per round, in ns per packet.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    pub(super) without: Vec<f64>,
    pub(super) empty: Vec<f64>,
    pub(super) nicmon: Vec<NicmonBlock>,
    /// The rounds with which a new load of the programs began.
    loads: Vec<usize>,
}

impl Rounds {
    pub(super) fn count(&self) -> usize {
        self.without.len()
    }

    pub(super) fn begin_load(&mut self) {
        self.loads.push(self.count());
    }

    pub(super) fn report(
        &self,
        cpu: u32,
        attached: Attached,
        is_whole: bool,
    ) -> Result<OverheadReport, OverheadError> {
        let rounds = self.count();
        if rounds < FEWEST {
            return Err(OverheadError::TooFew { rounds, fewest: FEWEST });
        }
        self.check_hooks()?;
        // All three kinds of blocks of each round.
        let each = |value: &dyn Fn(f64, f64, &NicmonBlock) -> f64| {
            let both = self.without.iter().zip(&self.empty).zip(&self.nicmon);
            let values: Vec<f64> =
                both.map(|((without, empty), nicmon)| value(*without, *empty, nicmon)).collect();
            Measure::of(&values, &self.loads).ok_or(OverheadError::TooFew { rounds, fewest: FEWEST })
        };
        let empty_ns = each(&|without, empty, _| empty - without)?;
        let call_ns = empty_ns.times(1.0 / HOOKS);
        let measured =
            |without: f64, block: &NicmonBlock| (block.ns_per_packet - without) / block.ns_per_packet * 100.0;
        let own = |block: &NicmonBlock| {
            let ns = block.inside_ns as f64 + block.runs as f64 * call_ns.mean;
            ns / block.polls as f64 / block.ns_per_packet * 100.0
        };
        Ok(OverheadReport {
            schema: SCHEMA.to_owned(),
            cpu,
            attached,
            is_whole,
            blocks: u32::try_from(rounds).unwrap_or(u32::MAX),
            loads: u32::try_from(self.loads.len()).unwrap_or(u32::MAX),
            without_ns: each(&|without, _, _| without)?.mean,
            empty_ns,
            nicmon_ns: each(&|without, _, nicmon| nicmon.ns_per_packet - without)?,
            call_ns,
            measured_pct: each(&|without, _, nicmon| measured(without, nicmon))?,
            self_pct: each(&|_, _, nicmon| own(nicmon))?.mean,
            difference_pct: each(&|without, _, nicmon| own(nicmon) - measured(without, nicmon))?,
        })
    }

    /// That each packet has passed three hooks. With RPS on loopback, or a backlog that a thread polls, it
    /// does not.
    fn check_hooks(&self) -> Result<(), OverheadError> {
        let sum = |of: fn(&NicmonBlock) -> u64| self.nicmon.iter().map(of).sum::<u64>() as f64;
        let hooks = sum(|block| block.runs) / sum(|block| block.polls);
        if (hooks - HOOKS).abs() <= HOOKS_OFF { Ok(()) } else { Err(OverheadError::OtherHooks { hooks }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many rounds of packets of 2,000 ns, to which three calls of 30 ns and 150 ns within programs are
    /// added.
    fn rounds(count: usize, hooks: u64) -> Rounds {
        let block =
            NicmonBlock { ns_per_packet: 2240.0, runs: 10_000 * hooks, inside_ns: 1_500_000, polls: 10_000 };
        let (without, empty) = (vec![2000.0; count], vec![2090.0; count]);
        Rounds { without, empty, nicmon: vec![block; count], loads: vec![0, count / 2] }
    }

    #[test]
    fn both_shares_follow_from_the_blocks() {
        let report = rounds(100, 3).report(1, Attached::BtfTracepoint, true).unwrap();
        assert!((report.call_ns.mean - 30.0).abs() < 1e-9);
        assert!((report.measured_pct.mean - 240.0 / 22.4).abs() < 1e-9);
        assert!((report.self_pct - 240.0 / 22.4).abs() < 1e-9);
        assert!(report.difference_pct.mean.abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        let report = |rounds: Rounds| rounds.report(1, Attached::BtfTracepoint, true);
        assert!(matches!(report(rounds(99, 3)), Err(OverheadError::TooFew { rounds: 99, .. })));
        assert!(matches!(report(rounds(100, 2)), Err(OverheadError::OtherHooks { .. })));
    }
}
