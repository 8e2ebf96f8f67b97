//! How certain a ratio of two figures is: a block bootstrap over frames.
//!
//! A figure is a ratio of sums, such as CPU time divided by bytes. Consecutive frames are similar, so blocks
//! of frames are resampled instead of single frames, from a circle (D. N. Politis, J. P. Romano, 1992). With
//! few blocks, the percentiles of the resamples are too close together, for two reasons: the variance of k
//! draws is too small by (k-1)/k, and the normal distribution takes the place of Student's. The interval is
//! widened by both (T. Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 3.4), on a
//! logarithmic scale, on which a ratio and its inverse are symmetric.
//!
//! Frames count by their traffic: a minute with traffic in five seconds has five frames, not sixty. The
//! number of frames is therefore Kish's effective number, `(sum d)^2 / sum d^2` of the denominators.

use fastrand::Rng;
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

/// Number of resamples for one interval.
const RESAMPLES: usize = 2000;
/// A fixed seed: the same frames give the same interval.
const SEED: u64 = 1;
/// With fewer frames with traffic, there is no interval.
pub(super) const FEWEST_FRAMES: f64 = 5.0;
/// From this number of joined recordings on, whole recordings are resampled.
const FEWEST_RUNS: usize = 3;
/// Fewest independent blocks: between two and one, Student's interval grows without bound.
const FEWEST_BLOCKS: f64 = 2.0;
/// The two-sided 95 % quantile of the normal distribution; the widening replaces it.
const Z: f64 = 1.959_963_984_540_054;

/// What one frame adds to a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Part {
    /// Added to the dividend.
    pub above: f64,
    /// Added to the divisor.
    pub below: f64,
    /// Which of the joined recordings it belongs to.
    pub run: u32,
}

impl Part {
    fn plus(self, other: Self) -> Self {
        Self { above: self.above + other.above, below: self.below + other.below, run: other.run }
    }

    fn minus(self, other: Self) -> Self {
        Self { above: self.above - other.above, below: self.below - other.below, run: self.run }
    }

    fn log(self) -> f64 {
        (self.above / self.below).ln()
    }
}

/// The sum of all frames.
pub(super) fn total(parts: &[Part]) -> Part {
    parts.iter().copied().fold(Part::default(), Part::plus)
}

/// Whether both figures come from the same frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    /// Two recordings: resampled independently.
    Apart,
    /// One recording, frame by frame: both figures are resampled together, so whatever made both expensive at
    /// the same time does not blur the ratio.
    Same,
}

/// The interval of a ratio, and how it was obtained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub bounds: [f64; 2],
    /// On how many sides frames were resampled instead of whole recordings. For these sides, the interval
    /// does not contain how much recordings differ.
    pub by_frames: u8,
}

/// The parts to resample.
struct Pool {
    /// Whether the parts are whole recordings.
    is_runs: bool,
    /// The sum of all parts before each part and, last, of all parts.
    sums: Vec<Part>,
    /// Number of parts in a block.
    block: usize,
    /// Number of independent blocks.
    blocks: f64,
    /// Factor by which the deviations of resamples are too small.
    widening: f64,
}

impl Pool {
    /// `None` if there are too few frames.
    fn new(parts: &[Part]) -> Option<Self> {
        let runs = runs(parts);
        let is_runs = runs.len() >= FEWEST_RUNS;
        let parts = if is_runs { &*runs } else { parts };
        let count = effective(parts);
        if !is_runs && count < FEWEST_FRAMES {
            return None;
        }
        let (block, alike) = if is_runs { (1, 0.0) } else { (block_length(count), likeness(parts)) };
        let mut sums = vec![Part::default()];
        for part in parts {
            sums.push(sums[sums.len() - 1].plus(*part));
        }
        let whole = (1.0 + alike) / (1.0 - alike);
        let blocks = (count / block as f64).min(count / whole);
        let widening = (blocks / (blocks - 1.0) * whole / seen_by_blocks(block, alike)).sqrt();
        (blocks >= FEWEST_BLOCKS).then_some(Self { is_runs, sums, block, blocks, widening })
    }

    fn len(&self) -> usize {
        self.sums.len() - 1
    }

    /// Picks where the blocks of one resample start.
    fn draw(&self, rng: &mut Rng, starts: &mut Vec<usize>) {
        starts.clear();
        starts.extend((0..self.len().div_ceil(self.block)).map(|_| rng.usize(..self.len())));
    }

    /// The sum of these blocks, cut to the number of parts.
    fn sum(&self, starts: &[usize]) -> Part {
        let mut rest = self.len();
        let mut sum = Part::default();
        for start in starts {
            let length = self.block.min(rest);
            rest -= length;
            let end = start + length;
            sum = if end <= self.len() {
                sum.plus(self.sums[end].minus(self.sums[*start]))
            } else {
                let round = self.sums[end - self.len()];
                sum.plus(self.sums[self.len()].minus(self.sums[*start])).plus(round)
            };
        }
        sum
    }
}

fn runs(parts: &[Part]) -> Vec<Part> {
    parts.chunk_by(|a, b| a.run == b.run).map(total).collect()
}

/// The effective number of frames; 0 without traffic.
pub(super) fn effective(parts: &[Part]) -> f64 {
    let (sum, squares) = parts
        .iter()
        .fold((0.0, 0.0), |(sum, squares), part| (sum + part.below, squares + part.below * part.below));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The square root of the number of frames: long enough for frames that stay similar for a while, and it
/// leaves as many blocks as a block has frames.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of frames is small and positive"
)]
fn block_length(frames: f64) -> usize {
    (frames.sqrt() as usize).max(1)
}

/// How similar consecutive frames are: the correlation of their deviations from the whole, between 0 and
/// 0.95, corrected for its bias in short series (M. G. Kendall, 1954).
fn likeness(parts: &[Part]) -> f64 {
    let all = total(parts);
    let off: Vec<f64> = parts.iter().map(|part| part.above - all.above / all.below * part.below).collect();
    let squares: f64 = off.iter().map(|off| off * off).sum();
    let products: f64 = off.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let count = off.len() as f64;
    if squares > 0.0 { ((count * products / squares + 1.0) / (count - 3.0)).clamp(0.0, 0.95) } else { 0.0 }
}

/// The part of a sum's variance that blocks capture, in variances of independent frames, if consecutive
/// frames correlate by `alike`. Blocks miss what reaches beyond them; infinitely long ones would capture (1 +
/// alike) / (1 - alike).
fn seen_by_blocks(block: usize, alike: f64) -> f64 {
    let length = block as f64;
    let (mut seen, mut power) = (1.0, 1.0);
    for distance in 1..block {
        power *= alike;
        seen += 2.0 * (1.0 - distance as f64 / length) * power;
    }
    seen
}

/// The interval that contains the true ratio of two figures (b divided by a) with this confidence; `None` if
/// there are too few frames, or if in many resamples a divisor is 0.
pub(super) fn of_ratio(a: &[Part], b: &[Part], frames: Frames, confidence: f64) -> Option<Interval> {
    let (a, b) = &without_pauses(a, b, frames);
    let (pool_a, pool_b) = (Pool::new(a)?, Pool::new(b)?);
    let (log_a, log_b) = (total(a).log(), total(b).log());
    let mut rng = Rng::with_seed(SEED);
    let (mut starts, mut of_a, mut of_b) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RESAMPLES {
        pool_a.draw(&mut rng, &mut starts);
        of_a.push((pool_a.sum(&starts).log() - log_a) * pool_a.widening);
        if frames == Frames::Apart {
            pool_b.draw(&mut rng, &mut starts);
        }
        of_b.push((pool_b.sum(&starts).log() - log_b) * pool_b.widening);
    }
    let mut off: Vec<f64> = of_a.iter().zip(&of_b).map(|(a, b)| b - a).collect();
    // A resample whose dividend is 0 lies at one end; one whose divisor is 0 says nothing.
    off.retain(|off| !off.is_nan());
    if off.len() < RESAMPLES / 2 {
        return None;
    }
    off.sort_by(f64::total_cmp);
    let degrees = match frames {
        Frames::Same => pool_a.blocks.min(pool_b.blocks) - 1.0,
        Frames::Apart => welch(&of_a, pool_a.blocks - 1.0, &of_b, pool_b.blocks - 1.0),
    };
    let student = StudentsT::new(0.0, 1.0, degrees).ok()?.inverse_cdf(0.5 + confidence / 2.0);
    let bound = |at: usize| (log_b - log_a + off[at] * student / Z).exp();
    let tail = off.len() / 40;
    let bounds = [bound(tail), bound(off.len() - 1 - tail)];
    let by_frames = u8::from(!pool_a.is_runs) + u8::from(!pool_b.is_runs);
    bounds.iter().all(|bound| bound.is_finite()).then_some(Interval { bounds, by_frames })
}

/// The interval with an allowance for recordings of the same work that differ by this standard deviation, as
/// a fraction. If whole recordings were resampled, the interval already contains how much they differ.
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

/// Degrees of freedom of a difference (B. L. Welch, 1947).
fn welch(a: &[f64], degrees_a: f64, b: &[f64], degrees_b: f64) -> f64 {
    let (a, b) = (variance(a), variance(b));
    let degrees = (a + b) * (a + b) / (a * a / degrees_a + b * b / degrees_b);
    // Neither varies.
    if degrees.is_nan() { degrees_a.min(degrees_b) } else { degrees }
}

/// The variance of the finite values.
fn variance(values: &[f64]) -> f64 {
    let finite = || values.iter().filter(|value| value.is_finite());
    let count = finite().count() as f64;
    let mean = finite().sum::<f64>() / count;
    finite().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count
}

#[cfg(test)]
mod tests;
