//! Where the polls of the chosen driver's NICs spent their time.

use ratatui::layout::Rect;

use super::{
    parts,
    table::{Column, Row, Side, Table},
};
use crate::{
    frame::{Share, Stage},
    present::text::printable,
    tui::{
        Canvas, State,
        costs::{Counted, Details},
    },
};

/// Number of functions listed that belong to no stage.
const OTHERS: usize = 4;
/// Length of the longest bar.
const BAR: u16 = 10;
const COLUMNS: [Column; 3] = [
    Column { head: "", width: BAR + 1, rank: 2, side: Side::Left },
    Column { head: "~POLL%", width: 7, rank: 0, side: Side::Right },
    Column { head: "95% INTERVAL", width: 14, rank: 1, side: Side::Right },
];

/// Draws one row per stage.
pub(super) fn render(state: &State, details: &Details, area: Rect, canvas: &mut Canvas) {
    let title = format!("STAGE OF {}", nics(details));
    let table = Table { theme: state.theme, title: &title, names: (10, 12), columns: &COLUMNS };
    let rows: Vec<Row> = match &details.polls {
        Some(polls) => polls.stages.iter().flat_map(|counted| rows_of(counted, &polls.others)).collect(),
        None => vec![Row::new("?".to_owned(), Vec::new())],
    };
    table.render(&rows, 0, area, canvas);
}

/// Number of rows for all stages and the functions that belong to none.
pub(super) fn rows(details: &Details) -> usize {
    details.polls.as_ref().map_or(1, |polls| polls.stages.len() + polls.others.len().min(OTHERS))
}

fn rows_of(counted: &Counted<Stage>, others: &[Counted<&str>]) -> Vec<Row> {
    let [share, interval] = parts::figures(counted.share);
    let mut rows = vec![Row::new(counted.what.label().to_owned(), vec![bar(counted.share), share, interval])];
    if counted.what == Stage::Other {
        rows.extend(others.iter().take(OTHERS).map(|function| {
            let [share, interval] = parts::figures(function.share);
            Row::new(format!("  {}", printable(function.what)), vec![String::new(), share, interval])
        }));
    }
    rows
}

/// The NICs whose polls these are.
fn nics(details: &Details) -> String {
    match details.nics.as_slice() {
        [only] => printable(only),
        many => format!("{} NICs", many.len()),
    }
}

/// A bar with `|` up to the lower bound of the interval and `:` from there to the upper bound.
fn bar(share: Option<Share>) -> String {
    let Some(Share { ci_pct: [low, high], .. }) = share else { return String::new() };
    (0..BAR)
        .map(|at| f64::from(at) * 100.0 / f64::from(BAR))
        .map_while(|from| match () {
            () if from + 50.0 / f64::from(BAR) <= low => Some('|'),
            () if from < high => Some(':'),
            () => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_reach_to_the_bounds() {
        let of = |low, high| bar(Some(Share { pct: low, ci_pct: [low, high] }));
        assert_eq!(of(83.9, 87.5), "||||||||:");
        assert_eq!(of(0.0, 100.0), "::::::::::");
        assert_eq!(of(100.0, 100.0), "||||||||||");
        assert_eq!(of(0.0, 0.3), ":");
        assert_eq!(of(0.0, 0.0), "");
        assert_eq!(bar(None), "");
    }
}
