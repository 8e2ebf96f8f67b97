//! How long softirqs and polls took: percentiles.

use super::{
    recording::Report,
    text::{name, ns, rows, wrapped},
};
use crate::{
    frame::{Histogram, Percentiles, What, percentiles},
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
    Column::figures("PACKETS"),
];

pub(super) fn section(report: &Report<'_>) -> String {
    let mut table = Table::new(COLUMNS);
    for row in percentiles(report.frame) {
        table.add(cells(&row));
    }
    if table.len() == 0 {
        return String::new();
    }
    let text = "How long softirqs and polls took, in \u{b5}s: 50 % of them took at most so long, 99 %, \
                99.9 % (within 6.25 %; \"?\" if fewer than 30 took longer). Packets: how many half of the \
                polls had at most, and 99 %";
    format!("{}{}", wrapped(text), rows(&table, report))
}

fn cells(row: &Percentiles<'_>) -> [String; 7] {
    let us = |value: Option<u64>| known(value, |value| ns(value as f64 / 1e3));
    let Histogram { p50, p99, p999, .. } = row.times;
    let (what, packets) = match row.what {
        What::Runs(vector) => (name(&vector.to_uppercase()), None),
        What::Delays(vector) => (format!("{}, raise to run", name(&vector.to_uppercase())), None),
        What::Polls(nic, work) => (format!("{}, polls", name(nic)), Some(work)),
    };
    [
        what,
        scaled(row.times.values() as f64, 6),
        us(*p50),
        us(*p99),
        us(*p999),
        us(row.longest_ns),
        packets.map(|work| format!("{}, {}", count(work.p50), count(work.p99))).unwrap_or_default(),
    ]
}

fn count(packets: Option<u64>) -> String {
    known(packets, |packets| packets.to_string())
}
