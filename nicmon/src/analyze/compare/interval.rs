//! How certain a ratio of two figures is.
//!
//! A figure is a ratio of sums, such as CPU time divided by bytes. On a logarithmic scale, on which a ratio
//! and its inverse are symmetric, each frame deviates from the figure by its part of the dividend less its
//! part of the divisor. How uncertain the sum of these deviations is follows from how much frames differ and
//! how similar consecutive frames are ([`long_run`]). The interval is Student's.
//!
//! Two drivers of one recording are compared frame by frame: the deviations of one are taken from those of
//! the other, and the result is one series. Swapping the drivers changes its sign and nothing else, so the
//! interval of a/b is the inverse of that of b/a.

use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

use super::long_run::{self, Deviation, Variance};

/// With fewer frames with traffic, there is no interval.
pub(super) const FEWEST_FRAMES: f64 = 5.0;
/// From this number of joined recordings on, recordings show how much they differ.
const FEWEST_RUNS: usize = 3;

/// What one frame adds to a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Part {
    /// Added to the dividend.
    pub above: f64,
    /// Added to the divisor.
    pub below: f64,
    /// The variance of `above` that comes from counting samples; 0 if it is exact.
    pub chance: f64,
    /// Which of the joined recordings it belongs to.
    pub run: u32,
}

impl Part {
    fn plus(self, other: Self) -> Self {
        Self {
            above: self.above + other.above,
            below: self.below + other.below,
            chance: self.chance + other.chance,
            run: other.run,
        }
    }

    fn log(self) -> f64 {
        (self.above / self.below).ln()
    }

    /// The deviation of one frame from the figure, whose sum over all frames is `all`.
    fn deviation(self, all: Self) -> Deviation {
        Deviation {
            off: self.above / all.above - self.below / all.below,
            weight: self.below / all.below,
            chance: self.chance / (all.above * all.above),
        }
    }
}

/// The sum of all frames.
pub(super) fn total(parts: &[Part]) -> Part {
    parts.iter().copied().fold(Part::default(), Part::plus)
}

/// The effective number of frames; 0 without traffic.
pub(super) fn effective(parts: &[Part]) -> f64 {
    long_run::effective(parts.iter().map(|part| part.below))
}

/// Whether both figures come from the same frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    /// Two recordings, independent of each other.
    Apart,
    /// One recording, frame by frame: whatever made both expensive at the same time does not blur the ratio.
    Same,
}

/// The interval of a ratio, and how it was obtained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub bounds: [f64; 2],
    /// On how many sides frames were compared instead of whole recordings. For these sides, the interval does
    /// not contain how much recordings differ.
    pub by_frames: u8,
}

/// One side's frames, or whole recordings where there are enough of them.
struct Side {
    is_runs: bool,
    parts: Vec<Part>,
    /// How many of them count.
    count: f64,
}

impl Side {
    fn of(parts: Vec<Part>) -> Self {
        let runs: Vec<Part> = parts.chunk_by(|a, b| a.run == b.run).map(total).collect();
        let is_runs = runs.len() >= FEWEST_RUNS;
        let parts = if is_runs { runs } else { parts };
        Self { is_runs, count: effective(&parts), parts }
    }

    fn deviations(&self) -> Vec<Deviation> {
        let all = total(&self.parts);
        self.parts.iter().map(|part| part.deviation(all)).collect()
    }

    /// The variance of the logarithm; `None` if there are too few frames.
    fn variance(&self, deviations: &[Deviation], count: f64) -> Option<Variance> {
        if self.is_runs {
            return long_run::of_independent(deviations);
        }
        if count >= FEWEST_FRAMES { long_run::of_frames(deviations, count) } else { None }
    }
}

/// The interval that contains the true ratio of two figures (b divided by a) with this confidence; `None` if
/// there are too few frames.
pub(super) fn of_ratio(a: &[Part], b: &[Part], frames: Frames, confidence: f64) -> Option<Interval> {
    let (a, b) = without_pauses(a, b, frames);
    let ratio = total(&b).log() - total(&a).log();
    let (a, b) = (Side::of(a), Side::of(b));
    let (of_a, of_b) = (a.deviations(), b.deviations());
    let variance = match frames {
        Frames::Apart => a.variance(&of_a, a.count)?.and(b.variance(&of_b, b.count)?),
        Frames::Same => {
            let both: Vec<Deviation> = of_a.iter().zip(&of_b).map(|(a, b)| difference(*a, *b)).collect();
            a.variance(&both, a.count.min(b.count))?
        }
    };
    let student = StudentsT::new(0.0, 1.0, variance.degrees).ok()?.inverse_cdf(0.5 + confidence / 2.0);
    let half = student * variance.value.sqrt();
    let bounds = [(ratio - half).exp(), (ratio + half).exp()];
    let by_frames = u8::from(!a.is_runs) + u8::from(!b.is_runs);
    bounds.iter().all(|bound| bound.is_finite()).then_some(Interval { bounds, by_frames })
}

/// What a frame adds to the logarithm of b divided by a.
fn difference(a: Deviation, b: Deviation) -> Deviation {
    Deviation { off: b.off - a.off, weight: a.weight + b.weight, chance: a.chance + b.chance }
}

/// The interval with an allowance for recordings of the same work that differ by this standard deviation, as
/// a fraction. If whole recordings were compared, the interval already contains how much they differ.
pub(super) fn allowing(interval: Interval, ratio: f64, deviation: f64, confidence: f64) -> Option<[f64; 2]> {
    let quantile = Normal::standard().inverse_cdf(0.5 + confidence / 2.0);
    let between = quantile * deviation * f64::from(interval.by_frames).sqrt();
    let [low, high] = interval.bounds.map(|bound| bound.ln() - ratio.ln());
    // Independent deviations add in squares.
    let allowing = [ratio * (-low.hypot(between)).exp(), ratio * high.hypot(between).exp()];
    allowing.iter().all(|bound| bound.is_finite()).then_some(allowing)
}

/// The frames in which anything happened; within one recording, for either driver.
fn without_pauses(a: &[Part], b: &[Part], frames: Frames) -> (Vec<Part>, Vec<Part>) {
    let is_any = |part: &Part| part.above > 0.0 || part.below > 0.0;
    match frames {
        Frames::Apart => {
            let some = |parts: &[Part]| parts.iter().copied().filter(is_any).collect();
            (some(a), some(b))
        }
        Frames::Same => a.iter().zip(b).filter(|(a, b)| is_any(a) || is_any(b)).unzip(),
    }
}

#[cfg(test)]
mod tests;
