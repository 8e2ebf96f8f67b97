//! A sampled share, and how certain it is.

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A share of samples, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The observed share, in percent.
    pub pct: f64,
    /// Lower and upper bound of the 95 % interval, in percent.
    pub ci_pct: [f64; 2],
}

impl Share {
    /// The share if `hits` of `of` samples were hits; `None` without samples, or with more hits than samples.
    ///
    /// The interval is Wilson's score interval (E. B. Wilson, 1927). It also holds for few samples and for
    /// shares near 0 or 100 %, where the usual interval would extend below 0 or have no width. It assumes
    /// independent samples. Timer ticks come close to that as long as nothing runs in step with them; work in
    /// step with the tick is sampled too often or never, and no interval shows it. Samples of several CPUs
    /// may be added up first if all CPUs are sampled at the same rate.
    pub fn of(hits: u64, of: u64) -> Option<Self> {
        if of == 0 || hits > of {
            return None;
        }
        let n = of as f64;
        let seen = hits as f64 / n;
        let scale = 1.0 + Z * Z / n;
        let centre = (seen + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (seen * (1.0 - seen) / n + Z * Z / (4.0 * n * n)).sqrt();
        // Exact at both ends, where rounding would leave a trace.
        let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
        let high = if hits == of { 1.0 } else { (centre + half).min(1.0) };
        Some(Self { pct: seen * 100.0, ci_pct: [low * 100.0, high * 100.0] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 0.005
    }

    #[test]
    fn known_intervals() {
        // R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29.
        for (hits, of, low, high) in
            [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)]
        {
            let share = Share::of(hits, of).unwrap();
            assert!(close(share.ci_pct[0], low) && close(share.ci_pct[1], high), "{hits} of {of}: {share:?}");
        }
    }

    #[test]
    fn nothing_of_nothing_is_unknown() {
        assert_eq!(Share::of(0, 0), None);
        assert_eq!(Share::of(2, 1), None);
    }

    #[test]
    fn all_is_all() {
        let all = Share::of(7, 7).unwrap();
        assert!(close(all.pct, 100.0) && close(all.ci_pct[1], 100.0) && all.ci_pct[0] < 100.0);
        assert!(Share::of(u64::MAX, u64::MAX).unwrap().ci_pct[0] > 99.99);
    }

    #[test]
    fn the_truth_is_inside_in_95_of_100() {
        let mut numbers = fastrand::Rng::with_seed(42);
        for (truth, of) in [(0.02, 500), (0.17, 300), (0.5, 100), (0.9, 1000)] {
            const RUNS: u32 = 2000;
            let mut inside = 0_u32;
            for _ in 0..RUNS {
                let hits = (0..of).filter(|_| numbers.f64() < truth).count();
                let [low, high] = Share::of(hits as u64, of).unwrap().ci_pct;
                inside += u32::from((low..=high).contains(&(truth * 100.0)));
            }
            let coverage = f64::from(inside) / f64::from(RUNS);
            // Wilson's coverage varies around 0.95 with n and p. Three standard deviations over 2000 runs are
            // 0.015.
            assert!((0.93..=0.98).contains(&coverage), "{truth} of {of}: {coverage}");
        }
    }
}
