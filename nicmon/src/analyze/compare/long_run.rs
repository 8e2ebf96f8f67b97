//! How uncertain a sum over frames is when consecutive frames are similar.
//!
//! The variance of such a sum is its spectrum at frequency 0. It is estimated from the lowest cosines over
//! the recording, all with the same weight, and their number gives the degrees of freedom of Student's
//! distribution (E. Lazarus, D. Lewis, J. Stock, M. Watson, "HAR Inference", 2018). A short recording of
//! similar frames has little power at frequency 0 but no cosine that is low enough to show it, so each cosine
//! is corrected by the spectrum of an AR(1) series (prewhitening; D. Andrews, J. Monahan, 1992) plus noise
//! without memory, which is what sampling adds. The correction is itself uncertain, which costs degrees of
//! freedom.

/// Two frames that tell nothing new about each other are the fewest that show how much they differ.
const FEWEST_INDEPENDENT: f64 = 2.0;
/// Frames that resemble each other more than this cannot be told from a trend.
const MOST_ALIKE: f64 = 0.98;
/// Over how many distances the decay of similarity is measured.
const DISTANCES: usize = 3;
/// From how many standard errors on similarity counts: two for that of frames two apart, and fewer where the
/// noise that hides it is known.
const SEEN: f64 = 2.0;
const SEEN_UNDER_KNOWN_NOISE: f64 = 1.0;
/// How many standard errors are added to the part of the variance that is not known noise.
const MARGIN_OF_KNOWN_NOISE: f64 = 0.5;
/// How many times the asymptotic variance of the correction is taken; in short series it is larger. See
/// decision 0031 for what other values give.
const CORRECTION: f64 = 2.0;

/// A frame's deviation from the figure, and its part of the traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Deviation {
    /// What it adds to the logarithm of the figure; all of them add up to 0.
    pub off: f64,
    /// Its part of the whole, of any unit.
    pub weight: f64,
    /// The part of the variance of `off` that counting samples causes.
    pub chance: f64,
}

/// The variance of a logarithm, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Variance {
    pub value: f64,
    /// Degrees of freedom.
    pub degrees: f64,
}

impl Variance {
    /// Of a difference of two independent logarithms (B. L. Welch, 1947).
    pub(super) fn and(self, other: Self) -> Self {
        let value = self.value + other.value;
        let degrees = value * value
            / (self.value * self.value / self.degrees + other.value * other.value / other.degrees);
        // Neither varies.
        let degrees = if degrees.is_nan() { self.degrees.min(other.degrees) } else { degrees };
        Self { value, degrees }
    }
}

/// Kish's effective number of weights, `(sum w)^2 / sum w^2`; 0 if all are 0. A minute with traffic in five
/// seconds has five frames, not sixty.
pub(super) fn effective(weights: impl Iterator<Item = f64>) -> f64 {
    let (sum, squares) =
        weights.fold((0.0, 0.0), |(sum, squares), weight| (sum + weight, squares + weight * weight));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The variance of a sum of independent deviations; `None` for fewer than two.
pub(super) fn of_independent(deviations: &[Deviation]) -> Option<Variance> {
    let count = effective(deviations.iter().map(|one| one.weight));
    let squares: f64 = deviations.iter().map(|one| one.off * one.off).sum();
    let degrees = count - 1.0;
    (count >= FEWEST_INDEPENDENT).then(|| Variance { value: squares * count / degrees, degrees })
}

/// The variance of a sum of deviations of consecutive frames, of which `count` count; `None` if they are so
/// similar that hardly two are independent.
pub(super) fn of_frames(deviations: &[Deviation], count: f64) -> Option<Variance> {
    let spectrum = Spectrum::of(deviations, count);
    if count / spectrum.at(0.0) < FEWEST_INDEPENDENT {
        return None;
    }
    let cosines = cosines(count);
    let all: f64 = deviations.iter().map(|one| one.weight).sum();
    let (mut value, mut slope) = (0.0, 0.0);
    for number in 1..=cosines {
        let number = number as f64;
        // Along the traffic, not along the clock: else a short burst looks constant to each low cosine.
        let mut before = 0.0;
        let amplitude: f64 = deviations
            .iter()
            .map(|one| {
                let at = (before + one.weight / 2.0) / all;
                before += one.weight;
                one.off * (std::f64::consts::PI * number * at).cos()
            })
            .sum();
        let frequency = std::f64::consts::PI * number / count;
        value += 2.0 * amplitude * amplitude * spectrum.at(0.0) / spectrum.at(frequency);
        slope += spectrum.slope(frequency);
    }
    let cosines = cosines as f64;
    let slope = slope / cosines;
    let of_correction = slope * slope * (1.0 - spectrum.alike * spectrum.alike) / count;
    Some(Variance {
        value: value / cosines,
        // A variance with d degrees of freedom has a logarithm with a variance of about 2 / d.
        degrees: 2.0 / (2.0 / cosines + CORRECTION * of_correction),
    })
}

/// The square root of the number of frames, and at least two.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
fn cosines(count: f64) -> usize {
    (count.sqrt() as usize).max(2)
}

/// The spectrum of deviations, relative to that of independent ones.
struct Spectrum {
    /// The correlation of consecutive frames, without the noise.
    alike: f64,
    /// The part of the variance that is not noise.
    part: f64,
}

impl Spectrum {
    fn of(deviations: &[Deviation], count: f64) -> Self {
        let squares: f64 = deviations.iter().map(|one| one.off * one.off).sum();
        // Corrected for the bias of short series (M. G. Kendall, 1954).
        let correlation = |distance: usize| {
            let later = deviations.iter().skip(distance);
            let products: f64 = deviations.iter().zip(later).map(|(one, other)| one.off * other.off).sum();
            if squares > 0.0 { (count * products / squares + 1.0) / (count - 3.0) } else { 0.0 }
        };
        let error = count.sqrt().recip();
        let next = correlation(1).clamp(0.0, MOST_ALIKE);
        let mut alike = next;
        // Noise lowers the similarity of all frames alike, but not how it decays with the distance.
        if count >= (4 * DISTANCES) as f64 && correlation(2) > SEEN * error {
            let near: f64 = (1..=DISTANCES).map(correlation).sum();
            let far: f64 = (2..=DISTANCES + 1).map(correlation).sum();
            if near > 0.0 {
                alike = alike.max((far / near).min(MOST_ALIKE));
            }
        }
        // Frames that differ less than counting alone would make them do not obey its law.
        let noise: f64 = deviations.iter().map(|one| one.chance).sum();
        let rest = 1.0 - noise / squares;
        if noise > 0.0 && rest > 0.0 && next > SEEN_UNDER_KNOWN_NOISE * error {
            let rest = (rest + MARGIN_OF_KNOWN_NOISE * std::f64::consts::SQRT_2 * error).min(1.0);
            alike = alike.max((next / rest).min(MOST_ALIKE));
        }
        Self { alike, part: if alike > 0.0 { (next / alike).min(1.0) } else { 0.0 } }
    }

    fn at(&self, frequency: f64) -> f64 {
        let Self { alike, part } = self;
        let series = (1.0 - alike * alike) / (1.0 + alike * alike - 2.0 * alike * frequency.cos());
        part * series + 1.0 - part
    }

    /// How fast the logarithm of the correction of a frequency changes with `alike`.
    fn slope(&self, frequency: f64) -> f64 {
        let Self { alike, .. } = self;
        let cosine = frequency.cos();
        2.0 * (alike - cosine) / (1.0 + alike * alike - 2.0 * alike * cosine) + 2.0 / (1.0 - alike)
    }
}
