//! When windows begin, and how many there are.

use std::time::Duration;

use fastrand::Rng;

/// How long a window is if that is affordable.
const LENGTH: Duration = Duration::from_millis(100);
/// How long it is at least, unless the interval is short. Runs of softirqs take up to some 8 ms, and a window
/// has several of them.
const LEAST_LENGTH: Duration = Duration::from_millis(40);
/// How long the programs are attached before it begins. By then they have seen the start of each softirq that
/// runs, except of those that take longer than this.
pub(super) const WARM_UP: Duration = Duration::from_millis(12);
/// The shortest window takes at most this part of a short interval.
const MOST: f64 = 0.6;
/// Part of the limit that windows are to use: the next one may cost more than the last. Loads vary by some
/// 30 % from window to window.
pub(super) const AIM: f64 = 0.7;
/// The least part of the time in which to measure.
const LEAST_PART: f64 = 0.005;

/// An interval has at most so many windows. In a long one they are longer.
const MOST_WINDOWS: u32 = 10;

/// Keeps the cost of windows below the limit.
#[derive(Debug)]
pub(super) struct Schedule {
    /// What windows may cost, in percent of the CPU that pays most.
    max_pct: f64,
    /// What the programs cost while they are attached, likewise.
    attached_pct: f64,
    /// For how long they may still be attached.
    credit: Duration,
    /// Whether none was measured yet.
    is_first: bool,
    random: Rng,
}

/// The windows of an interval.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// When they begin to warm up, counted from the start of the interval.
    pub(super) starts: Vec<Duration>,
    /// How long each is after that.
    pub(super) length: Duration,
}

impl Schedule {
    /// The first interval has a window.
    pub(super) fn new(attached_pct: f64, random: Rng) -> Self {
        Self { max_pct: 0.0, attached_pct, credit: Duration::ZERO, is_first: true, random }
    }

    /// What windows may cost from now on.
    pub(super) fn limit(&mut self, max_pct: f64) {
        self.max_pct = max_pct;
    }

    /// Takes in what a window cost the CPU that paid most for it.
    pub(super) fn learn(&mut self, attached_pct: f64) {
        self.is_first = false;
        // More is believed at once, and less only slowly.
        self.attached_pct = attached_pct.max(self.attached_pct * 0.8 + attached_pct * 0.2);
    }

    /// What the programs cost while they are attached, in percent of the CPU that pays most.
    pub(super) fn attached_pct(&self) -> f64 {
        self.attached_pct
    }

    /// The part of the time in which the programs may be attached.
    pub(super) fn part(&self) -> f64 {
        (AIM * self.max_pct / self.attached_pct.max(f64::MIN_POSITIVE)).clamp(LEAST_PART, 1.0)
    }

    /// The windows of the next interval: each at random in a part of the interval of its own.
    pub(super) fn plan(&mut self, interval: Duration) -> Plan {
        let most = interval.mul_f64(MOST);
        let (usual, shortest) = ((LENGTH + WARM_UP).min(most), (LEAST_LENGTH + WARM_UP).min(most));
        self.credit += interval.mul_f64(self.part());
        if self.is_first {
            self.credit = self.credit.max(shortest);
        }
        let windows = times(self.credit, usual).min(times(interval.mul_f64(0.95), usual));
        let windows = windows.clamp(1, MOST_WINDOWS);
        if self.credit < shortest {
            return Plan { starts: Vec::new(), length: shortest.saturating_sub(WARM_UP) };
        }
        let stratum = interval / windows;
        // All of it is used up, so that intervals cost the same.
        let each = (self.credit / windows).clamp(shortest, stratum.mul_f64(0.95).max(shortest));
        self.credit = self.credit.saturating_sub(each * windows).min(shortest);
        let slack = stratum.saturating_sub(each);
        let starts = (0..windows).map(|number| stratum * number + slack.mul_f64(self.random.f64())).collect();
        Plan { starts, length: each.saturating_sub(WARM_UP) }
    }
}

/// How many times one fits into the other.
fn times(all: Duration, each: Duration) -> u32 {
    u32::try_from(all.as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(max_pct: f64, attached_pct: f64) -> Schedule {
        let mut schedule = Schedule::new(attached_pct, Rng::with_seed(1));
        schedule.limit(max_pct);
        schedule
    }

    /// The part of so many intervals in which the programs are attached.
    fn attached(schedule: &mut Schedule, interval: Duration, intervals: u32) -> f64 {
        let mut sum = Duration::ZERO;
        for _ in 0..intervals {
            let Plan { starts, length } = schedule.plan(interval);
            let each = length + WARM_UP;
            let ends = starts.iter().map(|start| *start + each);
            let next = starts.iter().skip(1).copied().chain([interval]);
            assert!(ends.zip(next).all(|(end, next)| end <= next), "windows overlap: {starts:?} {length:?}");
            assert!(starts.len() <= MOST_WINDOWS as usize && length <= interval);
            sum += each * u32::try_from(starts.len()).unwrap();
        }
        sum.as_secs_f64() / (interval.as_secs_f64() * f64::from(intervals))
    }

    #[test]
    fn the_cost_stays_below_the_limit() {
        for (attached_pct, interval_ms) in [
            (10.0, 1000),
            (25.0, 1000),
            (80.0, 1000),
            (7.0, 1000),
            (30.0, 100),
            (40.0, 1000),
            (30.0, 10_000),
            (80.0, 250),
            (12.0, 3_600_000),
        ] {
            let interval = Duration::from_millis(interval_ms);
            let mut schedule = schedule(5.0, attached_pct);
            schedule.learn(attached_pct);
            let cost_pct = attached(&mut schedule, interval, 500) * attached_pct;
            assert!((2.9..=3.8).contains(&cost_pct), "{attached_pct} %, {interval_ms} ms: {cost_pct} %");
        }
    }

    #[test]
    fn the_first_interval_has_a_window_whatever_it_costs() {
        let mut schedule = schedule(0.1, 90.0);
        assert_eq!(schedule.plan(SECOND).starts.len(), 1);
        schedule.learn(90.0);
        assert!(schedule.plan(SECOND).starts.is_empty(), "it has to be paid for");
    }

    #[test]
    fn more_cost_is_believed_at_once_and_less_slowly() {
        let mut schedule = schedule(5.0, 10.0);
        schedule.learn(80.0);
        assert!((schedule.part() - AIM * 5.0 / 80.0).abs() < 1e-9);
        schedule.learn(10.0);
        assert!(schedule.part() < 0.07);
        for _ in 0..60 {
            schedule.learn(1.0);
        }
        assert!(schedule.part() >= 1.0, "there is room for all the time");
    }
}
