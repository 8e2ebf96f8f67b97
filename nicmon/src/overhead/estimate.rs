//! The mean of many small differences, most of which are undisturbed.

use schemars::JsonSchema;
use serde::Serialize;

/// One in this many values at each end is ignored: mostly blocks in which something else happened.
const TRIM: usize = 10;
/// Half-width of a 95 % interval, in standard errors. There are hundreds of blocks.
const Z: f64 = 1.96;

/// A mean, and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Measure {
    /// The mean.
    #[schemars(title = "Mean")]
    pub mean: f64,
    /// Its 95 % interval.
    #[schemars(title = "95 % interval of the mean")]
    pub ci: [f64; 2],
}

impl Measure {
    /// The trimmed mean of these values, with the error that follows from the winsorised variance (Yuen,
    /// 1974). `None` of fewer than 30.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        if values.len() < 30 {
            return None;
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (cut, count) = (sorted.len() / TRIM, sorted.len() as f64);
        let kept = &sorted[cut..sorted.len() - cut];
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        // The values cut off count as the outermost of those that were kept.
        let (first, last) = (kept[0], kept[kept.len() - 1]);
        let winsorised = || sorted.iter().map(|value| value.clamp(first, last));
        let middle = winsorised().sum::<f64>() / count;
        let squares: f64 = winsorised().map(|value| (value - middle).powi(2)).sum();
        let error = (squares / (count - 1.0) / count).sqrt() * count / kept.len() as f64;
        Some(Self { mean, ci: [mean - Z * error, mean + Z * error] })
    }

    /// Multiplied by a positive number.
    pub(super) fn times(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, ci: self.ci.map(|bound| bound * factor) }
    }

    /// Its standard error.
    pub fn error(self) -> f64 {
        (self.ci[1] - self.ci[0]) / 2.0 / Z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal noise, by the sum of twelve numbers, with one disturbed block in twenty.
    fn noisy(random: &mut fastrand::Rng) -> f64 {
        let noise = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let disturbed = if random.u32(..20) == 0 { 50.0 * (random.f64() - 0.5) } else { 0.0 };
        10.0 + 2.0 * noise + disturbed
    }

    #[test]
    fn the_true_difference_is_inside_in_95_of_100() {
        let mut random = fastrand::Rng::with_seed(7);
        let inside = (0..2000).filter(|_| {
            let values: Vec<f64> = (0..400).map(|_| noisy(&mut random)).collect();
            let measure = Measure::of(&values).unwrap();
            measure.ci[0] <= 10.0 && 10.0 <= measure.ci[1]
        });
        let inside = inside.count();
        assert!((1870..=1940).contains(&inside), "{inside} of 2000");
    }

    #[test]
    fn too_few_say_nothing() {
        assert_eq!(Measure::of(&[1.0; 29]), None);
        assert_eq!(Measure::of(&[1.0; 30]), Some(Measure { mean: 1.0, ci: [1.0, 1.0] }));
    }
}
