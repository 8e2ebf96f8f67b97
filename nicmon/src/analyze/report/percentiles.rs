//! How long polls and softirqs took: percentiles.

use super::{
    recording::Report,
    text::{name, ns, rows, wrapped},
};
use crate::{
    frame::{Histogram, Percentiles, percentiles},
    present::{
        table::{Column, Table},
        text::{known, scaled},
    },
};

const COLUMNS: [Column; 7] = [
    Column::words("WHAT"),
    Column::figures("COUNT"),
    Column::figures("50 %"),
    Column::figures("99 %"),
    Column::figures("99.9 %"),
    Column::figures("LONGEST"),
    Column::figures("WORK"),
];

pub(super) fn section(report: &Report<'_>) -> String {
    let mut table = Table::new(COLUMNS);
    for row in percentiles(report.frame) {
        table.add(cells(&row));
    }
    if table.len() == 0 {
        return String::new();
    }
    let text = "How long polls and softirqs took, in \u{b5}s: the time within which 50 %, 99 % and 99.9 % of \
                them ended, at most 6.25 % off (\"?\" if there were too few to say). WORK: the most, usually \
                packets, that 50 % and 99 % of the polls returned";
    format!("{}{}", wrapped(text), rows(&table, report))
}

fn cells(row: &Percentiles<'_>) -> [String; 7] {
    let us = |value: Option<u64>| known(value, |value| ns(value as f64 / 1e3));
    let Histogram { p50, p99, p999, .. } = row.times;
    [
        name(&row.what.label()),
        scaled(row.times.values() as f64, 6),
        us(*p50),
        us(*p99),
        us(*p999),
        us(row.longest_ns),
        row.what.work().map(|work| format!("{}, {}", count(work.p50), count(work.p99))).unwrap_or_default(),
    ]
}

fn count(work: Option<u64>) -> String {
    known(work, |work| work.to_string())
}
