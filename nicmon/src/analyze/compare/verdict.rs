//! What can be claimed about a pair of drivers.
//!
//! Several figures are compared, and each of them may differ by chance. They are therefore tested in a fixed
//! order, and nothing is claimed after the first figure without a difference (W. Maurer, L. Hothorn, W.
//! Lehmacher, 1995). The chance of any wrong claim is then that of the first test, and intervals need not be
//! wider.

use std::fmt::Write as _;

use super::{
    figures::Figure,
    model::{Compared, Side, Verdict},
};
use crate::present::text::{digits, interval};

/// Figures that verdicts rest on, in this order. `cost` is left out because it depends on the amount of
/// traffic.
const CLAIMED: [Figure; 4] =
    [Figure::CostPerGb, Figure::CostPerPacket, Figure::BusyShare, Figure::PollNsPerPacket];

/// The differences that hold.
pub(super) fn verdicts(figures: &[Compared]) -> Vec<Verdict> {
    let known = CLAIMED.iter().filter_map(|claimed| {
        let compared = figures.iter().find(|compared| compared.figure == *claimed)?;
        Some((*claimed, compared.ratio?, compared.ratio_ci?))
    });
    known
        .map_while(|(figure, ratio, [low, high])| {
            if low > 1.0 {
                Some(Verdict { figure, dearer: Side::B, times: ratio, times_ci: [low, high] })
            } else if high < 1.0 && low > 0.0 {
                let times_ci = [1.0 / high, 1.0 / low];
                Some(Verdict { figure, dearer: Side::A, times: 1.0 / ratio, times_ci })
            } else {
                None
            }
        })
        .collect()
}

/// A verdict in words; `a` and `b` are the names of the drivers.
pub(super) fn sentence(verdict: &Verdict, a: &str, b: &str) -> String {
    let (more, less) = match verdict.dearer {
        Side::A => (a, b),
        Side::B => (b, a),
    };
    let Verdict { times, times_ci, .. } = verdict;
    let times = format!("{} times {}", digits(*times), interval(*times_ci, digits));
    match verdict.figure {
        Figure::BusyShare => format!("{more} takes {times} the share of busy samples of {less}"),
        Figure::PollNsPerPacket => format!("polls of {more} take {times} the time per packet of {less}"),
        Figure::CostPerPacket => format!("{more} costs {times} the CPU per packet of {less}"),
        _ => format!("{more} costs {times} the CPU per GB of {less}"),
    }
}

/// All verdicts in words; without any, the reason.
pub(super) fn summary(verdicts: &[Verdict], figures: &[Compared], a: &str, b: &str) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let between = if text.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{between}{}", sentence(verdict, a, b));
    }
    if !text.is_empty() {
        return text;
    }
    let claimed = || figures.iter().filter(|compared| CLAIMED.contains(&compared.figure));
    if claimed().any(|compared| compared.ratio_ci.is_some()) {
        let some =
            if claimed().all(|compared| compared.ratio_ci.is_some()) { "" } else { " in known figures" };
        return format!("no difference at 95 % confidence{some}");
    }
    let why = figures.iter().find_map(|compared| compared.unknown.as_deref());
    format!("no verdict: {}", why.unwrap_or("no figure is known for both"))
}
