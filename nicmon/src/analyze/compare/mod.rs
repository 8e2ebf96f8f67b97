//! Two recordings side by side: what each driver costs, the ratio with its interval, and a verdict if the
//! interval excludes 1.
//!
//! The frames of a recording show how much they differ, and so how certain its figures are. They do not show
//! how much another recording of the same work would differ, with the work on other CPUs, memory in other
//! places and other programs running. That is much more, so the interval allows for it: from the recordings
//! themselves if each side consists of several, else by a deviation that the caller states.

mod cell;
mod claim;
mod differences;
mod figures;
mod interval;
mod long_run;
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

/// Confidence of all verdicts together.
const CONFIDENCE: f64 = 0.95;

/// Compares `a` with `b` or, without `b`, two drivers of `a`. `run_to_run` is the standard deviation of one
/// recording among recordings of the same work, as a fraction (0.05 for 5 %).
///
/// # Errors
/// There are no drivers to compare, or a wanted driver does not exist.
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
        // Every pair may differ by chance (C. E. Bonferroni, 1936).
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
