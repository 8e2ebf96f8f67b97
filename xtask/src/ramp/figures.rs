//! What a ramp gives, and the verdict about all of them.

use std::fmt;

use super::watch::Interval;

/// A CPU with less idle time is full.
pub(super) const FULL_IDLE_PCT: f64 = 5.0;
/// The upper bound may be this many times the lower one.
const WIDEST: f64 = 2.0;
/// Of ten ramps, this many must end within the interval.
const INSIDE_OF_TEN: usize = 8;

/// What a CPU did at one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    /// Packets that it handled, per second.
    pub(super) rate: f64,
    /// The shares are of the time that was not stolen.
    pub(super) idle_pct: f64,
    pub(super) tasks_pct: f64,
    pub(super) steal_pct: f64,
}

/// The packets per second at which a CPU is full, from steps of a rising rate. `None` before it is full.
pub(super) fn saturation(steps: &[Step]) -> Option<f64> {
    let at = steps.iter().position(|step| step.idle_pct <= FULL_IDLE_PCT)?;
    let full = steps[at];
    let Some(before) = at.checked_sub(1).map(|at| steps[at]) else { return Some(full.rate) };
    let part = (before.idle_pct - FULL_IDLE_PCT) / (before.idle_pct - full.idle_pct);
    Some(before.rate + part * (full.rate - before.rate))
}

pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*lower, *upper))
}

/// One ramp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ramp {
    /// At a third of the saturation.
    pub(super) third: Step,
    /// What nicmon said then.
    pub(super) interval: Interval,
    /// Packets per second at which the CPU was full.
    pub(super) measured: f64,
    /// The last step.
    pub(super) last: Step,
}

impl Ramp {
    pub(super) const HEAD: &str = "\
RAMP  AT A THIRD  TASKS%      LOW     HIGH  HIGH/LOW  MEASURED  TASKS%  STEAL%  INSIDE";

    pub(super) fn row(&self, number: u32) -> String {
        let Self { third, interval: Interval { low, high }, measured, last } = self;
        let inside = if self.is_inside() { "yes" } else { "NO" };
        let (rate, before) = (third.rate, third.tasks_pct);
        let wide = high / low;
        format!(
            "{number:>4}  {rate:>10.0}  {before:>6.1}  {low:>7.0}  {high:>7.0}  {wide:>8.2}  \
             {measured:>8.0}  {:>6.1}  {:>6.1}  {inside:>6}",
            last.tasks_pct, last.steal_pct
        )
    }

    fn is_inside(&self) -> bool {
        (self.interval.low..=self.interval.high).contains(&self.measured)
    }
}

/// Whether nicmon's headroom is good enough.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    ramps: usize,
    inside: usize,
    /// The widest interval: the upper bound by the lower one.
    widest: f64,
}

impl Verdict {
    pub(super) fn of(ramps: &[Ramp]) -> Self {
        Self {
            ramps: ramps.len(),
            inside: ramps.iter().filter(|ramp| ramp.is_inside()).count(),
            widest: ramps.iter().map(|ramp| ramp.interval.high / ramp.interval.low).fold(0.0, f64::max),
        }
    }

    pub(super) fn is_met(&self) -> bool {
        self.ramps > 0 && self.inside * 10 >= self.ramps * INSIDE_OF_TEN && self.widest <= WIDEST
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ramps, inside, widest } = self;
        let met = if self.is_met() { "met" } else { "NOT MET" };
        write!(
            f,
            "{met}: {inside} of {ramps} ramps ended inside ({INSIDE_OF_TEN} of 10 must), and the widest \
             interval reaches to {widest:.2} times its lower bound (at most {WIDEST})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rate: f64, idle_pct: f64) -> Step {
        Step { rate, idle_pct, tasks_pct: 0.0, steal_pct: 0.0 }
    }

    fn ramp(low: f64, high: f64, measured: f64) -> Ramp {
        let interval = Interval { low, high };
        Ramp { third: step(1.0, 70.0), interval, measured, last: step(3.0, 0.0) }
    }

    #[test]
    fn the_saturation_lies_between_two_steps() {
        assert_eq!(saturation(&[]), None);
        assert_eq!(saturation(&[step(100.0, 30.0), step(120.0, 15.0)]), None);
        let steps = [step(100.0, 30.0), step(120.0, 15.0), step(140.0, 0.0)];
        assert!((saturation(&steps).unwrap() - 133.3).abs() < 0.1);
        assert_eq!(saturation(&[step(100.0, 5.0)]), Some(100.0), "nothing to go by before it");
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn eight_of_ten_and_none_too_wide() {
        let ramps = |inside: usize, high: f64| {
            let measured = |number: usize| if number < inside { 120.0 } else { 99.0 };
            let ramps: Vec<Ramp> = (0..10).map(|number| ramp(100.0, high, measured(number))).collect();
            Verdict::of(&ramps)
        };
        assert!(ramps(8, 150.0).is_met() && ramps(10, 200.0).is_met());
        assert!(!ramps(7, 150.0).is_met() && !ramps(10, 201.0).is_met());
        assert!(!Verdict::of(&[]).is_met());
        assert!(ramps(7, 150.0).to_string().starts_with("NOT MET: 7 of 10"));
    }
}
