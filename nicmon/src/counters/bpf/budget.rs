//! Keeps what the programs cost below a limit, on the CPU that pays most.
//!
//! The program that counts dropped packets is the only one that runs for each packet, and the only one that
//! nicmon can do without. So it is detached while the cost is above the limit and a good part of that is its
//! own. How many packets are dropped meanwhile is unknown, and therefore also whether it may come back: it is
//! tried again from time to time.

/// How long the cost must be above the limit.
const LASTING_NS: u64 = 1_000_000_000;
/// At least this part of the cost must be that of counting drops.
const PART: f64 = 0.1;
/// How long to do without it at first. Each time that it was too much again at once, twice as long.
const FIRST_REST_NS: u64 = 60_000_000_000;
const LONGEST_REST_NS: u64 = 960_000_000_000;

/// What the programs cost on a CPU, in percent of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CpuShare {
    /// The CPU.
    pub cpu: u32,
    /// All programs.
    pub pct: f64,
    /// Of that, the program that counts drops.
    pub drops_pct: f64,
    /// Of that, the programs that are detached outside windows.
    pub windowed_pct: f64,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    /// Stop counting drops.
    Pause,
    /// Count them again, and say with [`Budget::resumed`] whether that worked.
    Resume,
}

/// The limit, and how it is kept.
#[derive(Debug)]
pub(super) struct Budget {
    max_pct: f64,
    /// Since when the cost is above the limit.
    above_since_ns: Option<u64>,
    /// Since when drops are not counted, and on which CPU they were too expensive.
    paused: Option<(u64, u32)>,
    /// When they were last counted again.
    resumed_ns: u64,
    rest_ns: u64,
}

impl Budget {
    /// At most so many percent of a CPU.
    pub(super) fn of(max_pct: f64) -> Self {
        Self { max_pct, above_since_ns: None, paused: None, resumed_ns: 0, rest_ns: FIRST_REST_NS }
    }

    /// The CPU on which counting drops was too expensive; `None` while they are counted.
    pub(super) fn paused_for(&self) -> Option<u32> {
        self.paused.map(|(_, cpu)| cpu)
    }

    pub(super) fn max_pct(&self) -> f64 {
        self.max_pct
    }

    /// Takes in the cost of an interval, on the CPU that paid most. The interval is given by when it ended
    /// and how long it was.
    pub(super) fn follow(&mut self, (now_ns, interval_ns): (u64, u64), costliest: Option<CpuShare>) -> Step {
        if let Some((since_ns, _)) = self.paused {
            let is_rested = now_ns.saturating_sub(since_ns) >= self.rest_ns;
            return if is_rested { Step::Resume } else { Step::Stay };
        }
        let too_much =
            costliest.filter(|share| share.pct > self.max_pct && share.drops_pct >= share.pct * PART);
        let Some(share) = too_much else {
            self.above_since_ns = None;
            return Step::Stay;
        };
        let since_ns = *self.above_since_ns.get_or_insert(now_ns.saturating_sub(interval_ns));
        if now_ns.saturating_sub(since_ns) < LASTING_NS {
            return Step::Stay;
        }
        let is_again = since_ns.saturating_sub(self.resumed_ns) < LASTING_NS && self.resumed_ns > 0;
        self.rest_ns = if is_again { (self.rest_ns * 2).min(LONGEST_REST_NS) } else { FIRST_REST_NS };
        (self.paused, self.above_since_ns) = (Some((now_ns, share.cpu)), None);
        Step::Pause
    }

    /// Notes whether the program is attached again, as [`Step::Resume`] asked for. If the kernel refused,
    /// drops stay unknown until the next try.
    pub(super) fn resumed(&mut self, now_ns: u64, is_attached: bool) {
        if is_attached {
            (self.paused, self.resumed_ns) = (None, now_ns);
        } else {
            self.paused = self.paused.map(|(_, cpu)| (now_ns, cpu));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn share(pct: f64, drops_pct: f64) -> CpuShare {
        CpuShare { cpu: 3, pct, drops_pct, windowed_pct: pct - drops_pct }
    }

    /// The steps of a second each, in which the cost is what `cost` says.
    fn steps(budget: &mut Budget, from: u64, to: u64, cost: impl Fn(u64) -> CpuShare) -> Vec<(u64, Step)> {
        let step = |second: u64| {
            let step = budget.follow((second * SECOND, SECOND), Some(cost(second)));
            if step == Step::Resume {
                budget.resumed(second * SECOND, true);
            }
            (second, step)
        };
        (from..to).map(step).filter(|(_, step)| *step != Step::Stay).collect()
    }

    #[test]
    fn a_flood_of_drops_is_not_counted_and_tried_again_later_and_later() {
        let mut budget = Budget::of(5.0);
        let flood = |_| share(8.0, 4.0);
        let expected = [
            (1, Step::Pause),
            (61, Step::Resume),
            (62, Step::Pause),
            (182, Step::Resume),
            (183, Step::Pause),
            (423, Step::Resume),
        ];
        assert_eq!(steps(&mut budget, 1, 424, flood), expected);
        // It is over; the next one waits for a minute again.
        assert_eq!(steps(&mut budget, 424, 500, |_| share(1.0, 0.0)), []);
        assert_eq!(
            steps(&mut budget, 500, 562, flood),
            [(500, Step::Pause), (560, Step::Resume), (561, Step::Pause)]
        );
    }

    #[test]
    fn drops_are_unknown_until_the_program_is_attached_again() {
        let mut budget = Budget::of(5.0);
        let mut follow = |second: u64, is_attached: bool| {
            let step = budget.follow((second * SECOND, SECOND), Some(share(8.0, 4.0)));
            if step == Step::Resume {
                budget.resumed(second * SECOND, is_attached);
            }
            (step, budget.paused_for())
        };
        assert_eq!(follow(1, false), (Step::Pause, Some(3)));
        assert_eq!(follow(61, false), (Step::Resume, Some(3)));
        assert_eq!(follow(120, true), (Step::Stay, Some(3)));
        assert_eq!(follow(121, true), (Step::Resume, None));
    }

    #[test]
    fn what_helps_nothing_is_not_done() {
        let mut budget = Budget::of(5.0);
        assert_eq!(steps(&mut budget, 1, 100, |_| share(20.0, 1.9)), []);
        assert_eq!(steps(&mut budget, 100, 200, |_| share(5.0, 5.0)), []);
        assert_eq!(budget.follow((200 * SECOND, SECOND), None), Step::Stay);
        assert_eq!(budget.paused_for(), None);
    }

    #[test]
    fn a_moment_above_the_limit_is_no_reason() {
        let mut budget = Budget::of(5.0);
        for tenth in 1..100 {
            let cost = if tenth % 10 < 9 { share(9.0, 9.0) } else { share(1.0, 0.0) };
            assert_eq!(budget.follow((tenth * SECOND / 10, SECOND / 10), Some(cost)), Step::Stay);
        }
        let mut step = Step::Stay;
        for tenth in 100..110 {
            step = budget.follow((tenth * SECOND / 10, SECOND / 10), Some(share(9.0, 9.0)));
        }
        assert_eq!((step, budget.paused_for()), (Step::Pause, Some(3)));
    }
}
