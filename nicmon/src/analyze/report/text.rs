//! Forms of figures, names and sentences that only a report has.

use super::recording::Report;
use crate::frame::per_s;
use crate::present::{
    table::{Table, WIDTH},
    text::{self, known, printable, scaled, shortened},
};

/// Columns of a name at most.
const NAME: usize = 64;

/// A percentage.
pub(super) fn pct(value: f64) -> String {
    text::pct(value, 5)
}

/// A time in percent of another.
pub(super) fn share(ns: Option<u64>, of_ns: u64) -> String {
    text::share(ns, of_ns, 5)
}

/// Milliseconds.
pub(super) fn ms(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e6)
}

/// Nanoseconds per packet.
pub(super) fn ns(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// How many per second.
pub(super) fn rate(count: Option<u64>, ns: u64) -> String {
    known(per_s(count, ns), |rate| scaled(rate, 6))
}

/// A name, or as much of it as a line has room for.
pub(super) fn name(name: &str) -> String {
    shortened(&printable(name), NAME)
}

/// At most `top` of these names.
pub(super) fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>, top: usize) -> String {
    let more = if all.len() > top { " ..." } else { "" };
    let first: Vec<String> = all.take(top).map(name).collect();
    format!("{}{more}", first.join(", "))
}

/// The rows of a table that fit the report, and how many are left out. Empty without rows.
pub(super) fn rows<const N: usize>(table: &Table<N>, report: &Report<'_>) -> String {
    match table.len() {
        0 => String::new(),
        all if all <= report.top => table.text(),
        all => format!("{}  {} more; --top {all} shows them\n", table.first(report.top), all - report.top),
    }
}

/// A sentence in lines of 80 columns; lines after the first are indented by two.
pub(super) fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            lines.push_str("\n  ");
            column = 2;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
    }
    lines.push('\n');
    lines
}
