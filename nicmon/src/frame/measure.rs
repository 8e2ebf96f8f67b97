//! Estimates a time from windows, by what the kernel counts all the time.

use super::windowed::{LEAST_WINDOWS, Windowed};

/// What the kernel counted of something that goes with a time, in windows and in the interval.
#[derive(Debug, Clone)]
pub struct Measure {
    /// In each window; `None` if it is not known there.
    windows: Vec<Option<u64>>,
    /// How many windows are of this interval: the last ones.
    new: usize,
    /// In the interval.
    all: u64,
}

/// An estimated time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// What it is made from.
    pub windowed: Windowed,
    /// Its 95 % interval; `None` if too few windows say how much they differ.
    pub ci_ns: Option<[u64; 2]>,
}

impl Measure {
    /// What was counted in each window (`None` if that is unknown), of which so many are of this interval,
    /// and in the interval.
    pub fn new(windows: Vec<Option<u64>>, new: usize, all: u64) -> Self {
        Self { windows, new, all }
    }

    /// The one of these that went with the times of the windows best. Of few windows, nobody knows: then it
    /// is the first that counted anything.
    pub fn best(measures: impl Iterator<Item = Self>, seen_ns: &[u64]) -> Option<Self> {
        let counting: Vec<Self> = measures.filter(|measure| measure.sum() > 0).collect();
        // They can be compared in windows in which all of them are known.
        let known = |at: &usize| counting.iter().all(|measure| measure.windows[*at].is_some());
        let comparable: Vec<usize> = (0..seen_ns.len()).filter(known).collect();
        if (comparable.len() as u64) < LEAST_WINDOWS {
            return counting.into_iter().next();
        }
        let misses = |measure: &Self| measure.misses(seen_ns, &comparable);
        counting.iter().min_by(|one, other| misses(one).total_cmp(&misses(other))).cloned()
    }

    /// The same, but with no more in the interval than makes a time of so many ns: no CPU has more.
    #[must_use]
    pub fn at_most(self, seen_ns: &[u64], most_ns: u64) -> Self {
        let Some(ns) = self.ns(seen_ns).filter(|ns| *ns > most_ns) else { return self };
        let all = u128::from(self.all) * u128::from(most_ns) / u128::from(ns);
        Self { all: u64::try_from(all).unwrap_or(u64::MAX), ..self }
    }

    /// What was counted in the interval.
    pub fn all(&self) -> u64 {
        self.all
    }

    fn sum(&self) -> u64 {
        self.windows.iter().flatten().sum()
    }

    /// What was counted in the windows in which that is known, with the time seen there.
    fn with<'a>(&'a self, seen_ns: &'a [u64]) -> impl Iterator<Item = (u64, u64)> + 'a {
        seen_ns.iter().zip(&self.windows).filter_map(|(ns, counted)| Some((*ns, (*counted)?)))
    }

    /// Time for each that was counted.
    fn ratio(&self, seen_ns: &[u64]) -> Option<f64> {
        let sum = self.sum();
        let ns: u64 = self.with(seen_ns).map(|(ns, _)| ns).sum();
        (sum > 0).then(|| ns as f64 / sum as f64)
    }

    /// The sum of squares by which it misses the times of these windows.
    fn misses(&self, seen_ns: &[u64], windows: &[usize]) -> f64 {
        let ratio = self.ratio(seen_ns).unwrap_or(0.0);
        let miss = |at: &usize| seen_ns[*at] as f64 - ratio * self.windows[*at].unwrap_or(0) as f64;
        windows.iter().map(|at| miss(at).powi(2)).sum()
    }

    /// The time of the interval, from what was seen in each window; `None` if it happened, and was in no
    /// window.
    pub fn estimate(&self, seen_ns: &[u64]) -> Option<Estimate> {
        let (recent, windowed) = self.windowed(seen_ns)?;
        Some(Estimate { windowed, ci_ns: windowed.est_ci_ns(recent.spread()) })
    }

    /// The same without its interval, which takes longer.
    pub fn ns(&self, seen_ns: &[u64]) -> Option<u64> {
        Some(self.windowed(seen_ns)?.1.est_ns())
    }

    /// All windows, and those of this interval with what was expected of it.
    fn windowed(&self, seen_ns: &[u64]) -> Option<(Windowed, Windowed)> {
        let ratio = match self.ratio(seen_ns) {
            Some(ratio) => ratio,
            None if self.all == 0 => 0.0,
            None => return None,
        };
        let old = seen_ns.len().saturating_sub(self.new);
        let (mut recent, mut new) = (Windowed::default(), Windowed::default());
        for (at, (ns, counted)) in seen_ns.iter().zip(&self.windows).enumerate() {
            let Some(counted) = counted else { continue };
            recent.add_window(*ns, ratio * *counted as f64);
            if at >= old {
                new.add_window(*ns, ratio * *counted as f64);
            }
        }
        Some((recent, new.expecting(ratio * self.all as f64)))
    }
}

impl Estimate {
    /// Of something that happened so often in the interval and in no window: it is taken to go as what took
    /// `ns` for `count` elsewhere, and no longer than `most_ns`. `None` if nothing happened elsewhere either.
    pub fn as_elsewhere((ns, count): (u64, u64), all: u64, most_ns: u64) -> Option<Self> {
        let each_ns = ns as f64 / (count > 0).then_some(count as f64)?;
        let expected_ns = (each_ns * all as f64).min(most_ns as f64);
        Some(Self { windowed: Windowed::default().expecting(expected_ns), ci_ns: None })
    }

    /// The time.
    pub fn ns(&self) -> u64 {
        self.windowed.est_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(windows: &[u64], new: usize, all: u64) -> Measure {
        Measure::new(windows.iter().copied().map(Some).collect(), new, all)
    }

    #[test]
    fn the_windows_of_the_interval_say_what_its_time_was() {
        let estimate = measure(&[10, 10, 20], 1, 200).estimate(&[100, 100, 400]).expect("an estimate");
        assert_eq!(estimate.ns(), 4000, "20 ns each, as in the last window");
        let estimate = measure(&[10, 10, 20], 0, 200).estimate(&[100, 100, 400]).expect("an estimate");
        assert_eq!(estimate.ns(), 3000, "15 ns each, as in all of them");
        assert_eq!(estimate.ci_ns, None, "there are too few");
    }

    #[test]
    fn what_was_in_no_window_is_unknown() {
        assert_eq!(measure(&[0, 0], 1, 7).estimate(&[0, 0]), None);
        assert_eq!(measure(&[0, 0], 1, 0).estimate(&[0, 0]).map(|estimate| estimate.ns()), Some(0));
        assert_eq!(measure(&[], 0, 7).estimate(&[]), None);
    }

    #[test]
    fn the_yardstick_that_misses_least_is_taken() {
        let seen_ns: Vec<u64> = (1..=10).map(|window| 50 * window).collect();
        let steady = measure(&[10; 10], 0, 77);
        let following = measure(&(1..=10).collect::<Vec<_>>(), 0, 88);
        let best = |windows: usize| {
            let both = [&steady, &following]
                .map(|measure| Measure { windows: measure.windows[..windows].to_vec(), ..measure.clone() });
            Measure::best(both.into_iter(), &seen_ns[..windows]).map(|best| best.all)
        };
        assert_eq!((best(10), best(7)), (Some(88), Some(77)));
    }
}
