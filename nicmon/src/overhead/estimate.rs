//! The mean of many small differences, most of which are undisturbed.

use schemars::JsonSchema;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// One in this many values at each end is ignored: mostly blocks in which something else happened.
const TRIM: usize = 10;

/// A mean, its standard error, and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Measure {
    /// The mean.
    #[schemars(title = "Mean")]
    pub mean: f64,
    /// Its standard error.
    #[schemars(title = "Standard error of the mean")]
    pub error: f64,
    /// Its 95 % interval.
    #[schemars(title = "95 % interval of the mean")]
    pub ci: [f64; 2],
}

/// A trimmed mean, its error, and how many values it is of.
struct Trimmed {
    mean: f64,
    error: f64,
    kept: usize,
}

impl Measure {
    /// The trimmed mean of these values. They belong to groups, which begin at `starts`, and whose means may
    /// differ by more than chance explains; then the error is that of these means. `None` of too few.
    pub fn of(values: &[f64], starts: &[usize]) -> Option<Self> {
        let all = Trimmed::of(values)?;
        let (mut error, mut freedom) = (all.error, all.kept - 1);
        let ends = starts.iter().skip(1).copied().chain([values.len()]);
        let groups = starts.iter().zip(ends).filter_map(|(start, end)| Trimmed::of(values.get(*start..end)?));
        let means: Vec<f64> = groups.map(|group| group.mean).collect();
        if means.len() > 2 {
            let of_means = standard_error(&means);
            if of_means > error {
                (error, freedom) = (of_means, means.len() - 1);
            }
        }
        let t = StudentsT::new(0.0, 1.0, freedom as f64).ok()?.inverse_cdf(0.975);
        Some(Self { mean: all.mean, error, ci: [all.mean - t * error, all.mean + t * error] })
    }

    /// Multiplied by a positive number.
    pub(super) fn times(self, factor: f64) -> Self {
        let Self { mean, error, ci } = self;
        Self { mean: mean * factor, error: error * factor, ci: ci.map(|bound| bound * factor) }
    }
}

impl Trimmed {
    /// With the error that follows from the winsorised variance (Yuen, 1974). `None` of fewer than 10.
    fn of(values: &[f64]) -> Option<Self> {
        if values.len() < TRIM {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (cut, count) = (sorted.len() / TRIM, sorted.len() as f64);
        let kept = &sorted[cut..sorted.len() - cut];
        let (first, last) = (kept[0], kept[kept.len() - 1]);
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        // The values cut off count as the outermost of those that were kept.
        let winsorised: Vec<f64> = sorted.iter().map(|value| value.clamp(first, last)).collect();
        let error = standard_error(&winsorised) * count / kept.len() as f64;
        Some(Self { mean, error, kept: kept.len() })
    }
}

fn standard_error(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0) / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal noise, by the sum of twelve numbers.
    fn noise(random: &mut fastrand::Rng) -> f64 {
        (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
    }

    /// How many of 2000 intervals contain the true mean, if groups differ by so much. One value in twenty is
    /// disturbed.
    fn inside(between: f64) -> usize {
        let mut random = fastrand::Rng::with_seed(7);
        let starts: Vec<usize> = (0..8).map(|group| group * 50).collect();
        let inside = (0..2000).filter(|_| {
            let mut values = Vec::new();
            for _ in &starts {
                let level = 10.0 + between * noise(&mut random);
                for _ in 0..50 {
                    let disturbed = if random.u32(..20) == 0 { 50.0 * (random.f64() - 0.5) } else { 0.0 };
                    values.push(level + 2.0 * noise(&mut random) + disturbed);
                }
            }
            let measure = Measure::of(&values, &starts).unwrap();
            measure.ci[0] <= 10.0 && 10.0 <= measure.ci[1]
        });
        inside.count()
    }

    #[test]
    fn the_true_difference_is_inside_in_95_of_100() {
        for between in [0.0, 0.1, 1.0] {
            let inside = inside(between);
            assert!((1860..=1990).contains(&inside), "{inside} of 2000 at {between}");
        }
    }

    #[test]
    fn too_few_say_nothing() {
        assert_eq!(Measure::of(&[1.0; 9], &[0]), None);
        assert_eq!(Measure::of(&[1.0; 30], &[0]), Some(Measure { mean: 1.0, error: 0.0, ci: [1.0, 1.0] }));
    }
}
