//! The drivers, the most expensive first. Exact and sampled figures are in separate columns.

use ratatui::{layout::Rect, style::Style};

use super::{
    parts,
    table::{Column, Row, Side, Table},
};
use crate::{
    frame::Origin,
    present::text::printable,
    tui::{
        Canvas, State, Target, Theme,
        costs::{self, Cost},
        text::{Figure, scaled, short_pct, whole},
    },
};

/// `~` marks estimates from samples.
pub(super) const COLUMNS: [Column; 8] = [
    Column { head: "ORIGIN", width: 9, rank: 6, side: Side::Left },
    Column { head: "IRQ%", width: 6, rank: 2, side: Side::Right },
    Column { head: "~CODE%", width: 7, rank: 3, side: Side::Right },
    Column { head: "~BUSY%", width: 7, rank: 0, side: Side::Right },
    Column { head: "95% INTERVAL", width: 14, rank: 1, side: Side::Right },
    Column { head: "SAMPLES", width: 8, rank: 4, side: Side::Right },
    Column { head: "~ns/PKT", width: 8, rank: 5, side: Side::Right },
    Column { head: "~s/GB", width: 7, rank: 7, side: Side::Right },
];

/// Draws the rows that fit, including the chosen one.
pub(super) fn render(state: &State, rows: &[costs::Row], chosen: usize, area: Rect, canvas: &mut Canvas) {
    let table = Table { theme: state.theme, title: "DRIVER", names: (12, 34), columns: &COLUMNS };
    let lines: Vec<Row> =
        rows.iter().enumerate().map(|(at, row)| line(state.theme, row, at == chosen)).collect();
    let room = usize::from(area.height.saturating_sub(1));
    table.render(&lines, chosen.saturating_sub(room.saturating_sub(1)), area, canvas);
}

fn line(theme: Theme, row: &costs::Row, is_chosen: bool) -> Row {
    let (mark, style) = if is_chosen { ("> ", Theme::mark()) } else { ("  ", Theme::name()) };
    let name = (format!("{mark}{}", printable(row.name)), style);
    let cells = match &row.cost {
        Some(cost) => cells(theme, cost),
        None => vec![("-".to_owned(), theme.quiet())],
    };
    Row { name, cells, target: Some(Target::Driver(row.subject.clone())) }
}

fn cells(theme: Theme, cost: &Cost) -> Vec<(String, Style)> {
    let origin = cost.origin.map_or("?", Origin::label);
    let text = |value: Option<f64>, form: fn(f64) -> String| Figure::from(value).text(form);
    let load = |value: Option<f64>| (text(value, short_pct), theme.load(value.unwrap_or(0.0)));
    let [share, interval] = parts::figures(cost.share);
    let samples = cost.samples.map(|samples| samples as f64);
    let others =
        [share, interval, text(samples, whole), text(cost.ns_per_packet, whole), text(cost.s_per_gb, scaled)];
    let mut cells = vec![(origin.to_owned(), Style::new()), load(cost.irq_pct), load(cost.code_pct)];
    cells.extend(others.map(|text| (text, Style::new())));
    cells
}
