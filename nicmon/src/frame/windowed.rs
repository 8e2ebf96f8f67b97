//! Times that were measured in windows, and totals estimated from them.
//!
//! nicmon measures in windows if measuring all the time costs too much. What the kernel counts all the time
//! says how much of a time was to be expected in the windows and in the whole interval. The estimate is the
//! ratio estimator of survey sampling: what was seen, divided by what was expected there, times what was
//! expected in all (W. G. Cochran, Sampling Techniques, chapter 6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// With fewer windows, nobody knows how much they differ.
pub const LEAST_WINDOWS: u64 = 8;

/// How many windows the residuals lack: the ratio and the choice of what goes with the time best fit them
/// better than others. What `spread` divides by allows, besides, for windows with much that pull the ratio
/// their way. With ten windows, the usual formula has the truth inside in 88 of 100; this one in 95
/// (docs/decisions/0039).
const TAKEN: f64 = 3.0;

/// When the programs were attached, in an interval that was measured in windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Windows {
    /// For how long nicmon measured.
    #[schemars(title = "Time in which nicmon measured")]
    pub attached_ns: u64,
    /// How many windows there were. It may be none.
    #[schemars(title = "Windows in which nicmon measured")]
    pub count: u64,
}

/// What was seen of a time in windows, and what was expected. Sums of frames add these up, field by field,
/// and make the estimate anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Windowed {
    /// How many windows there were.
    #[schemars(title = "Windows in which it was measured")]
    pub count: u64,
    /// The time measured in them, exact.
    #[schemars(title = "Time measured in the windows, exact")]
    pub seen_ns: u64,
    /// The time that was expected in them: what the kernel counted in them, times what went with it in the
    /// last 30 windows.
    #[schemars(title = "Time expected in the windows")]
    pub expected_seen_ns: u64,
    /// The time that was expected in the whole interval, likewise.
    #[schemars(title = "Time expected in the interval")]
    pub expected_ns: u64,
    /// Time that was known without windows: of the thread of a NAPI and, in a report, of frames that were
    /// measured all the time.
    #[schemars(title = "Time known without windows")]
    #[serde(default, skip_serializing_if = "is_0")]
    pub known_ns: u64,
    /// Sums over the windows, in square nanoseconds: seen times seen, seen times expected, and expected times
    /// expected. They say how much the windows differ.
    #[schemars(title = "How much the windows differ")]
    pub squares: [f64; 3],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_0(ns: &u64) -> bool {
    *ns == 0
}

/// How much windows differ from what is expected of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    windows: u64,
    /// Of what was seen around what was expected, per window.
    variance: f64,
    /// What was expected of a window, on average.
    expected: f64,
}

impl Windowed {
    /// A time that was known without windows.
    pub(crate) fn known(ns: u64) -> Self {
        Self { known_ns: ns, ..Self::default() }
    }

    /// Adds a window.
    pub(crate) fn add_window(&mut self, seen_ns: u64, expected_ns: f64) {
        let seen = seen_ns as f64;
        self.count += 1;
        self.seen_ns = self.seen_ns.saturating_add(seen_ns);
        self.expected_seen_ns = self.expected_seen_ns.saturating_add(whole(expected_ns));
        let [seen_seen, both, expected] = &mut self.squares;
        *seen_seen += seen * seen;
        *both += seen * expected_ns;
        *expected += expected_ns * expected_ns;
    }

    /// The same windows in an interval in which so much was expected.
    #[must_use]
    pub(crate) fn expecting(self, expected_ns: f64) -> Self {
        Self { expected_ns: whole(expected_ns), ..self }
    }

    /// Together with another time, or with the same in another interval.
    #[must_use]
    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            count: self.count.saturating_add(more.count),
            seen_ns: self.seen_ns.saturating_add(more.seen_ns),
            expected_seen_ns: self.expected_seen_ns.saturating_add(more.expected_seen_ns),
            expected_ns: self.expected_ns.saturating_add(more.expected_ns),
            known_ns: self.known_ns.saturating_add(more.known_ns),
            squares: std::array::from_fn(|at| self.squares[at] + more.squares[at]),
        }
    }

    /// The estimate of the whole time. If the windows had nothing of what it depends on, it is what was
    /// expected.
    pub fn est_ns(&self) -> u64 {
        let est = match self.ratio() {
            Some(ratio) => whole(ratio * self.expected_ns as f64),
            None => self.expected_ns,
        };
        // What was seen is certain.
        self.known_ns.saturating_add(est.max(self.seen_ns))
    }

    /// The 95 % interval of the estimate; `None` if too few windows say how much they differ.
    pub fn est_ci_ns(&self, spread: Option<Spread>) -> Option<[u64; 2]> {
        let half = self.half_width(spread?)?;
        let est_ns = self.est_ns();
        let least = self.known_ns.saturating_add(self.seen_ns);
        Some([est_ns.saturating_sub(half).max(least), est_ns.saturating_add(half)])
    }

    /// What was seen for each nanosecond that was expected.
    fn ratio(&self) -> Option<f64> {
        (self.expected_seen_ns > 0).then(|| self.seen_ns as f64 / self.expected_seen_ns as f64)
    }

    /// How much these windows differ.
    pub fn spread(&self) -> Option<Spread> {
        if self.count < LEAST_WINDOWS {
            return None;
        }
        let [seen_seen, both, expected] = self.squares;
        let ratio = self.ratio().unwrap_or(0.0);
        let residuals = (seen_seen - 2.0 * ratio * both + ratio * ratio * expected).max(0.0);
        let windows = self.count as f64;
        Some(Spread {
            windows: self.count,
            variance: residuals * windows / ((windows - 2.0) * (windows - TAKEN)),
            expected: self.expected_seen_ns as f64 / windows,
        })
    }

    fn half_width(&self, spread: Spread) -> Option<u64> {
        let (expected, seen) = (self.expected_ns as f64, self.expected_seen_ns as f64);
        let variance = if self.expected_seen_ns > 0 {
            let unseen = (1.0 - seen / expected.max(seen)).max(0.0);
            (expected / seen).powi(2) * self.count as f64 * spread.variance * unseen
        } else if spread.expected > 0.0 {
            // Nothing was measured here: the interval differs from what is expected of it as so many windows
            // would, and what is expected is uncertain, too.
            let like_windows = expected / spread.expected;
            spread.variance * like_windows * (1.0 + like_windows / spread.windows as f64)
        } else {
            return (self.expected_ns == 0).then_some(0);
        };
        if variance <= 0.0 {
            return Some(0);
        }
        let degrees = spread.windows as f64 - TAKEN;
        let quantile = StudentsT::new(0.0, 1.0, degrees).ok()?.inverse_cdf(0.975);
        Some(whole(quantile * variance.sqrt()))
    }
}

/// The interval of a sum of estimates that may all be off the same way: windows are those of all CPUs. `None`
/// if that of one is unknown.
pub fn sum_of_intervals(parts: impl Iterator<Item = Option<[u64; 2]>>) -> Option<[u64; 2]> {
    let mut parts = parts;
    parts.try_fold([0_u64; 2], |[low, high], part| {
        let [more_low, more_high] = part?;
        Some([low.saturating_add(more_low), high.saturating_add(more_high)])
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number of ns")]
fn whole(ns: f64) -> u64 {
    ns.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of which each saw `seen` of `expected`, in an interval in which `expected_ns` were.
    fn windowed(windows: &[(u64, f64)], expected_ns: u64) -> Windowed {
        let mut sum = Windowed { expected_ns, ..Windowed::default() };
        for (seen, expected) in windows {
            sum.add_window(*seen, *expected);
        }
        sum
    }

    #[test]
    fn the_estimate_is_what_was_seen_for_what_was_expected() {
        let one = windowed(&[(120, 100.0)], 1000);
        assert_eq!(one.est_ns(), 1200);
        assert_eq!(one.est_ci_ns(one.spread()), None, "one window says nothing of others");
        let other = windowed(&[(80, 100.0)], 3000);
        assert_eq!(one.plus(other).est_ns(), 4000, "the ratio is made anew");
        assert_eq!(one.plus(Windowed::known(500)).est_ns(), 1700);
        assert_eq!(windowed(&[], 700).est_ns(), 700, "nothing but what was expected");
        assert_eq!(windowed(&[(90, 0.0)], 50).est_ns(), 90, "what was seen is certain");
        assert_eq!(windowed(&[(0, 100.0)], 1000).est_ns(), 0);
    }

    #[test]
    fn windows_that_are_alike_leave_no_doubt() {
        let alike = windowed(&[(50, 100.0); 10], 10_000);
        assert_eq!(alike.est_ci_ns(alike.spread()), Some([5000, 5000]));
        let all = windowed(&[(50, 100.0), (70, 100.0)].repeat(5), 1000);
        assert_eq!(all.est_ci_ns(all.spread()), Some([600, 600]), "the windows were the whole interval");
    }

    #[test]
    fn the_truth_is_inside_in_at_least_90_of_100() {
        // An interval of a hundred pieces, of which ten are windows. Pieces differ in what is expected of
        // them, and in what goes with it.
        let mut random = fastrand::Rng::with_seed(11);
        let (mut inside, mut bias) = (0, 0.0);
        for _ in 0..1000 {
            let pieces: Vec<(u64, f64)> = (0..100)
                .map(|_| {
                    let expected = 200.0 + 1800.0 * random.f64();
                    (whole(expected * (0.5 + random.f64())), expected)
                })
                .collect();
            let truth: u64 = pieces.iter().map(|(ns, _)| ns).sum();
            let expected: f64 = pieces.iter().map(|(_, expected)| expected).sum();
            let chosen: Vec<_> = pieces.chunks(10).map(|chunk| chunk[random.usize(..10)]).collect();
            let sum = windowed(&chosen, whole(expected));
            let [low, high] = sum.est_ci_ns(sum.spread()).expect("ten windows");
            inside += u32::from((low..=high).contains(&truth));
            bias += sum.est_ns() as f64 / truth as f64 - 1.0;
        }
        assert!((930..=990).contains(&inside), "{inside} of 1000");
        assert!(bias.abs() < 10.0, "{bias} in 1000");
    }

    #[test]
    fn without_a_window_the_last_ones_say_how_uncertain_it_is() {
        let last = windowed(&[(90, 100.0), (110, 100.0)].repeat(15), 0);
        let none = windowed(&[], 1000);
        let [low, high] = none.est_ci_ns(last.spread()).expect("thirty windows");
        assert!(low < 1000 && high > 1000 && high - low < 200, "{low} to {high}");
        assert_eq!(windowed(&[], 0).est_ci_ns(windowed(&[(0, 0.0); 9], 0).spread()), Some([0, 0]));
    }
}
