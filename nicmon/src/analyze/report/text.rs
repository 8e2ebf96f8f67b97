//! Figures and names as text. `?` is unknown.

use unicode_width::UnicodeWidthChar as _;

pub(super) use crate::analyze::words::{counted, seconds as s};
use crate::frame::pct_of;

/// Made by `form` if it is known.
pub(super) fn known<T>(value: Option<T>, form: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "?".to_owned(), form)
}

/// A percentage.
pub(super) fn pct(value: f64) -> String {
    let digits = match value {
        value if value < 99.995 => 2,
        value if value < 999.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// A time in percent of another.
pub(super) fn share(ns: Option<u64>, of_ns: u64) -> String {
    known(ns, |ns| pct(pct_of(ns, of_ns)))
}

/// Milliseconds.
pub(super) fn ms(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e6)
}

/// Nanoseconds of one packet.
pub(super) fn ns(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// How many a second.
pub(super) fn rate(count: Option<u64>, ns: u64) -> String {
    known(count.filter(|_| ns > 0), |count| scaled(count as f64 * 1e9 / ns as f64))
}

/// A number in at most 6 characters: four digits and a unit of a thousand's power.
pub(super) fn scaled(value: f64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut left = value;
    for unit in UNITS {
        if left < 999.95 {
            let digits = match left {
                left if left.fract() == 0.0 && unit.is_empty() => 0,
                left if left < 9.9995 => 3,
                left if left < 99.995 => 2,
                _ => 1,
            };
            return format!("{left:.digits$}{unit}");
        }
        left /= 1000.0;
    }
    format!("{value:.0e}")
}

/// Lower and upper bound.
pub(super) fn interval(bounds: [f64; 2], form: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", form(bounds[0]), form(bounds[1]))
}

/// Text that cannot harm a terminal or shift a column: control characters and those without a width become a
/// replacement character.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.width().is_none_or(|width| width == 0) { '\u{fffd}' } else { c }).collect()
}

/// A name, or as much of it as a line has room for.
pub(super) fn name(name: &str) -> String {
    shortened(&printable(name), 64)
}

/// The first names of them, at most so many.
pub(super) fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>, top: usize) -> String {
    let more = if all.len() > top { " ..." } else { "" };
    let first: Vec<String> = all.take(top).map(name).collect();
    format!("{}{more}", first.join(", "))
}

/// As much of it as has room.
pub(super) fn shortened(text: &str, room: usize) -> String {
    let mut left = room;
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    text.chars().take_while(fits).collect()
}

/// A sentence in lines of 80 columns, those after the first indented by two.
pub(super) fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > 80 {
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
