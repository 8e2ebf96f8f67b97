//! Where the samples of the chosen driver fell: functions, processes and companions, each share with its
//! interval.

use ratatui::layout::Rect;

use super::table::{Column, Row, Side, Table};
use crate::{
    frame::Share,
    present::text::{interval, printable},
    tui::{
        Canvas, State,
        costs::{Counted, Details},
        text::{short_pct, whole},
    },
};

/// Stands for functions that the frames do not list.
const UNLISTED: &str = "(not listed)";

pub(super) const FUNCTION_COLUMNS: [Column; 5] = [
    Column { head: "CONTEXT", width: 8, rank: 4, side: Side::Left },
    Column { head: "PROCESS", width: 16, rank: 3, side: Side::Left },
    Column { head: "~BUSY%", width: 7, rank: 0, side: Side::Right },
    Column { head: "95% INTERVAL", width: 14, rank: 1, side: Side::Right },
    Column { head: "SAMPLES", width: 8, rank: 2, side: Side::Right },
];

const COLUMNS: [Column; 3] = [
    Column { head: "~BUSY%", width: 7, rank: 0, side: Side::Right },
    Column { head: "95% INTERVAL", width: 14, rank: 1, side: Side::Right },
    Column { head: "SAMPLES", width: 8, rank: 2, side: Side::Right },
];

/// Draws the functions, starting with the first one to show.
pub(super) fn functions(state: &State, name: &str, details: &Details, area: Rect, canvas: &mut Canvas) {
    let title = format!("FUNCTION OF {}", printable(name));
    let table = Table { theme: state.theme, title: &title, names: (12, 64), columns: &FUNCTION_COLUMNS };
    let mut rows: Vec<Row> = details
        .functions
        .iter()
        .map(|counted| {
            let function = &counted.what;
            row(function.symbol, &[function.context, function.comm], counted)
        })
        .collect();
    rows.extend(details.unlisted.iter().map(|rest| row(UNLISTED, &["", ""], rest)));
    table.render(&rows, state.drivers.function, area, canvas);
}

/// Draws the samples of the same functions by process.
pub(super) fn processes(state: &State, details: &Details, area: Rect, canvas: &mut Canvas) {
    let table = Table { theme: state.theme, title: "PROCESS", names: (15, 24), columns: &COLUMNS };
    let mut rows: Vec<Row> =
        details.processes.iter().map(|counted| row(counted.what, &[], counted)).collect();
    rows.extend(details.unlisted.iter().map(|rest| row(UNLISTED, &[], rest)));
    table.render(&rows, 0, area, canvas);
}

/// Draws the code that works for the driver and for others.
pub(super) fn companions(state: &State, details: &Details, area: Rect, canvas: &mut Canvas) {
    let table = Table { theme: state.theme, title: "COMPANION", names: (15, 24), columns: &COLUMNS };
    let rows: Vec<Row> = details.companions.iter().map(|counted| row(counted.what, &[], counted)).collect();
    table.render(&rows, 0, area, canvas);
}

fn row<T>(name: &str, words: &[&str], counted: &Counted<T>) -> Row {
    let mut cells: Vec<String> = words.iter().map(|word| printable(word)).collect();
    cells.extend(figures(counted.share));
    cells.push(whole(counted.samples as f64));
    Row::new(printable(name), cells)
}

/// A share and its interval as text.
pub(super) fn figures(share: Option<Share>) -> [String; 2] {
    match share {
        Some(Share { pct: share, ci_pct }) => [short_pct(share), interval(ci_pct, short_pct)],
        None => ["?".to_owned(), "?".to_owned()],
    }
}
