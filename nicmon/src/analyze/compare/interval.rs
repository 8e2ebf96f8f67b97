//! How sure a ratio of two figures is: block bootstrap over frames.
//!
//! A figure is a ratio of sums, as CPU time by bytes. Frames that follow each other are alike, so not frames are drawn
//! anew but blocks of them, from a circle (D. N. Politis, J. P. Romano, 1992). With few blocks the percentiles of what
//! was drawn are too near to each other: by sqrt((k-1)/k), as the variance of k draws is, and since the normal
//! distribution stands where Student's should. The interval is widened by both (T. Hesterberg, "What Teachers Should
//! Know About the Bootstrap", 2015, section 3.4), on the scale of logarithms, where ratios up and down are alike.
//!
//! Frames count by their traffic: of a minute in which five seconds had traffic, there are five frames, not sixty. So
//! the number of frames is Kish's effective one, `(sum d)^2 / sum d^2` of the denominators.

use fastrand::Rng;
use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};

/// Draws for one interval.
const RESAMPLES: usize = 2000;
/// The same frames give the same interval.
const SEED: u64 = 1;
/// Fewer frames with traffic give no interval.
pub(super) const FEWEST_FRAMES: f64 = 5.0;
/// So many recordings on end are drawn as wholes.
const FEWEST_RUNS: usize = 3;
/// Blocks that count as independent: between two and one Student's interval grows beyond all bounds.
const FEWEST_BLOCKS: f64 = 2.0;
/// The two-sided 95 % quantile of the normal distribution, which the widening replaces.
const Z: f64 = 1.959_963_984_540_054;

/// What one frame adds to a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Part {
    /// Added to what is divided.
    pub above: f64,
    /// Added to what it is divided by.
    pub below: f64,
    /// Which of the recordings on end it is of.
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

/// All frames as one.
pub(super) fn total(parts: &[Part]) -> Part {
    parts.iter().copied().fold(Part::default(), Part::plus)
}

/// Whether both figures come from the same frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frames {
    /// Of two recordings: drawn for each by itself.
    Apart,
    /// Of one, part for part: drawn for both at once, so what made both dear at a time does not blur the ratio.
    Same,
}

/// The interval of a ratio, and what was drawn for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    pub bounds: [f64; 2],
    /// Of how many sides frames were drawn, not whole recordings: what recordings differ by is not in it for these.
    pub by_frames: u8,
}

/// What is drawn.
struct Pool {
    /// Whether parts are whole recordings.
    is_runs: bool,
    /// Sums of the parts before each, and at the end of all.
    sums: Vec<Part>,
    /// Parts of a block.
    block: usize,
    /// Number of blocks that count as independent.
    blocks: f64,
    /// By how much deviations of what is drawn are too small.
    widening: f64,
}

impl Pool {
    /// `None` where there are too few frames.
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

    /// Where the blocks of one draw begin.
    fn draw(&self, rng: &mut Rng, starts: &mut Vec<usize>) {
        starts.clear();
        starts.extend((0..self.len().div_ceil(self.block)).map(|_| rng.usize(..self.len())));
    }

    /// The sum of these blocks, as many parts as there are.
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

/// Frames that count; 0 without traffic.
pub(super) fn effective(parts: &[Part]) -> f64 {
    let (sum, squares) = parts
        .iter()
        .fold((0.0, 0.0), |(sum, squares), part| (sum + part.below, squares + part.below * part.below));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The root of the number of frames: long enough for frames that are alike over some of them, and leaves as many blocks.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a positive number of frames")]
fn block_length(frames: f64) -> usize {
    (frames.sqrt() as usize).max(1)
}

/// How alike frames are that follow each other: the correlation of what they deviate from the whole, from 0 to 0.95,
/// less its bias in short series (M. G. Kendall, 1954).
fn likeness(parts: &[Part]) -> f64 {
    let all = total(parts);
    let off: Vec<f64> = parts.iter().map(|part| part.above - all.above / all.below * part.below).collect();
    let squares: f64 = off.iter().map(|off| off * off).sum();
    let products: f64 = off.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let count = off.len() as f64;
    if squares > 0.0 { ((count * products / squares + 1.0) / (count - 3.0)).clamp(0.0, 0.95) } else { 0.0 }
}

/// What blocks see of the variance of a sum, in variances of independent frames, where each frame is like the one
/// before by `alike`: what is beyond a block they do not see. Of blocks without end it is (1 + alike) / (1 - alike).
fn seen_by_blocks(block: usize, alike: f64) -> f64 {
    let length = block as f64;
    let (mut seen, mut power) = (1.0, 1.0);
    for distance in 1..block {
        power *= alike;
        seen += 2.0 * (1.0 - distance as f64 / length) * power;
    }
    seen
}

/// The interval of the ratio of two figures (b by a) that holds the true one with this confidence; `None` with too few
/// frames, or where many draws have nothing of what is divided.
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
    // A draw with nothing to divide is at one end; one with nothing to divide by says nothing.
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

/// The interval, if a recording differs from others of the same work by this standard deviation, as a part of 1.
/// Where whole recordings were drawn, what they differ by is in the interval already.
pub(super) fn allowing(interval: Interval, ratio: f64, deviation: f64, confidence: f64) -> Option<[f64; 2]> {
    let quantile = Normal::standard().inverse_cdf(0.5 + confidence / 2.0);
    let between = quantile * deviation * f64::from(interval.by_frames).sqrt();
    let [low, high] = interval.bounds.map(|bound| bound.ln() - ratio.ln());
    // What does not depend on each other adds in squares.
    let allowing = [ratio * (-low.hypot(between)).exp(), ratio * high.hypot(between).exp()];
    allowing.iter().all(|bound| bound.is_finite()).then_some(allowing)
}

/// The frames in which there was anything. Of one recording: for either.
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
    // Nothing varies in either.
    if degrees.is_nan() { degrees_a.min(degrees_b) } else { degrees }
}

/// Of those that are finite.
fn variance(values: &[f64]) -> f64 {
    let finite = || values.iter().filter(|value| value.is_finite());
    let count = finite().count() as f64;
    let mean = finite().sum::<f64>() / count;
    finite().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count
}

#[cfg(test)]
mod tests;
