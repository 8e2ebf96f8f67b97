//! Two recordings side by side: what each driver costs, the ratio with its interval, and a verdict where that excludes 1.
//!
//! A recording knows how its frames differ, and so how sure its figures are. It does not know how another recording of
//! the same work would differ: by which CPU the work fell on, where memory lay, what else the machine did. That is much
//! more (README.md tells how much), so the interval allows for it: by the recordings themselves where each side is
//! several on end, else by a deviation that the caller states.

mod claim;
mod differences;
mod figures;
mod interval;
mod model;
mod pair;
mod pairs;
mod series;
#[cfg(test)]
mod tests;
mod verdict;

use self::pair::Both;
pub use self::{
    claim::{Claim, Judgement},
    figures::Figure,
    model::*,
    pairs::{PairError, Wanted},
    series::Recording,
};

/// Of all verdicts together.
const CONFIDENCE: f64 = 0.95;

/// Compares `a` with `b`, or without it two drivers of `a`. `run_to_run` is the standard deviation of one recording
/// among others of the same work, as a part of 1.
///
/// # Errors
/// There are no drivers to compare, or those that are wanted are not there.
pub fn compare(
    a: &Recording,
    b: Option<&Recording>,
    wanted: &[Wanted],
    run_to_run: f64,
) -> Result<Comparison, PairError> {
    let (pairs, left_out) = pairs::choose(a, b, wanted)?;
    let both = Both {
        a,
        b: b.unwrap_or(a),
        is_one: b.is_none(),
        // Each pair has its chance to differ by chance (C. E. Bonferroni, 1936).
        confidence: 1.0 - (1.0 - CONFIDENCE) / pairs.len().max(1) as f64,
        run_to_run,
    };
    Ok(Comparison {
        schema: SCHEMA.to_owned(),
        a: a.about.clone(),
        b: both.b.about.clone(),
        confidence_pct: CONFIDENCE * 100.0,
        run_to_run_pct: run_to_run * 100.0,
        differences: differences::between(&a.about, &both.b.about),
        drivers: pairs.iter().map(|pair| both.pair(pair)).collect(),
        left_out,
    })
}
