//! Figures and names as text. `?` means unknown.

use std::fmt::Display;

use unicode_width::UnicodeWidthChar as _;

use crate::frame::{Frame, pct_of};

/// Replaces a figure that does not fit with any number of digits. A part of a number would be wrong.
const NO_ROOM: char = '#';
/// Prefixes for powers of a thousand.
const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];

/// Makes text harmless to a terminal and to columns: replaces each character that is not plainly visible by
/// U+FFFD.
///
/// These are control characters (C0, C1, DEL), which a terminal obeys; line and paragraph separators; marks
/// that change the direction of writing, which can disguise a text as another; and characters without a
/// width. Names of interfaces may contain them (`dev_valid_name`, net/core/dev.c), and a recording may
/// contain anything.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same for text of several lines; line ends are kept.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Whether a character is not plainly visible; see [`printable`].
pub(super) fn is_unsafe(c: char) -> bool {
    // Most names are plain ASCII.
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}');
    // Widths come from a table that a later version of its crate may change, so characters that must not pass
    // are listed here as well.
    let changes_direction = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let is_invisible = matches!(
        c,
        '\u{00ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control()
        || is_separator
        || changes_direction
        || is_invisible
        || c.width().is_none_or(|width| width == 0)
}

/// A value as `form` shows it, or `?`.
pub(crate) fn known<T>(value: Option<T>, form: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "?".to_owned(), form)
}

/// A value as it is, or `?`.
pub(crate) fn plain(value: Option<impl Display>) -> String {
    known(value, |value| value.to_string())
}

/// A percentage in at most `width` characters, with at most two decimals. `0` is zero; `0.00` is too small to
/// show.
pub(crate) fn pct(value: f64, width: usize) -> String {
    if let Some(text) = not_above_zero(value, width, pct) {
        return text;
    }
    let texts = [2, 1, 0].map(|decimals| format!("{value:.decimals$}"));
    texts.into_iter().find(|text| text.len() <= width).unwrap_or_else(|| scaled(value, width))
}

/// A time in percent of another, in at most `width` characters; `?` if the time is unknown.
pub(crate) fn share(ns: Option<u64>, of_ns: u64, width: usize) -> String {
    known(ns, |ns| pct(pct_of(ns, of_ns), width))
}

/// A time of a frame as text, with a mark if it was estimated from windows.
pub(crate) fn about(frame: &Frame, time: String) -> String {
    let is_number = time.starts_with(|first: char| first.is_ascii_digit());
    if frame.window.is_some() && is_number { format!("~{time}") } else { time }
}

/// A count or a rate in at most `width` characters: as many significant digits as leave room for a decimal
/// point and a prefix (k, M, G, ...). A narrower column shows fewer digits, never a part of the number.
pub(crate) fn scaled(value: f64, width: usize) -> String {
    if let Some(text) = not_above_zero(value, width, scaled) {
        return text;
    }
    if value < 1.0 {
        return below_one(value, width);
    }
    let digits = width.saturating_sub(2).max(1);
    let mut left = value;
    for (at, prefix) in PREFIXES.into_iter().enumerate() {
        let text = significant(left, digits, prefix);
        // With a prefix, the number must be near 1 or above.
        let is_in_range = (prefix.is_empty() || left >= 0.95) && stays_below_1000(left, digits);
        if is_in_range && text.len() <= width {
            return text;
        }
        left /= 1000.0;
        // A tenth of the next prefix may be shorter: `.5M` for `500k`.
        let Some(next) = PREFIXES.get(at + 1) else { break };
        let tenths = format!("{left:.1}{next}");
        match tenths.strip_prefix('0') {
            Some(text) if text.len() <= width && !text.starts_with(".0") => return text.to_owned(),
            _ => {}
        }
    }
    let exponent = format!("{value:.0e}");
    if exponent.len() <= width { exponent } else { no_room(width) }
}

/// Keeps at least one decimal: rounded to a whole number, it would be 0 or 1.
fn below_one(value: f64, width: usize) -> String {
    let decimals = width.saturating_sub(3).max(1);
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('0') {
        _ if text.len() <= width => text,
        Some(fraction) if fraction.len() <= width => fraction.to_owned(),
        _ => no_room(width),
    }
}

/// A figure that is not a positive number: no counter has one, but a recording may. `None` for all others.
fn not_above_zero(value: f64, width: usize, form: impl FnOnce(f64, usize) -> String) -> Option<String> {
    let text = match value {
        _ if !value.is_finite() => "?".to_owned(),
        0.0 => "0".to_owned(),
        _ if value < 0.0 => format!("-{}", form(-value, width.saturating_sub(1))),
        _ => return None,
    };
    let is_cut = text.len() > width || text == "-" || text.contains(NO_ROOM);
    Some(if is_cut { no_room(width) } else { text })
}

/// What stands for a figure that does not fit.
pub(crate) fn no_room(width: usize) -> String {
    NO_ROOM.to_string().repeat(width)
}

/// Whether the value stays below a thousand when rounded to this many significant digits (at least three).
fn stays_below_1000(value: f64, digits: usize) -> bool {
    let decimals = i32::try_from(digits.saturating_sub(3)).unwrap_or(0);
    value < 1000.0 - 0.5 * 10_f64.powi(-decimals)
}

/// The value with this many significant digits, but at least those before the decimal point. A whole number
/// without a prefix gets no decimals.
fn significant(value: f64, digits: usize, prefix: &str) -> String {
    let is_whole = prefix.is_empty() && value.fract() == 0.0;
    let most = if is_whole { 0 } else { digits - 1 };
    let mut texts = (0..=most).rev().map(|decimals| (decimals, format!("{value:.decimals$}")));
    let fits = |(decimals, text): &(usize, String)| text.len() - usize::from(*decimals > 0) <= digits;
    let text = texts.find(fits).map_or_else(|| format!("{value:.0}"), |(_, text)| text);
    text + prefix
}

/// A number in at most `width` characters, without a prefix if it fits: in times in ns, a prefix would put a
/// unit within a unit.
pub(crate) fn whole(value: f64, width: usize) -> String {
    if let Some(text) = not_above_zero(value, width, whole) {
        return text;
    }
    let text = format!("{value:.0}");
    if text.len() <= width { text } else { scaled(value, width) }
}

/// A number with three significant digits; a very small one has two and an exponent.
pub(crate) fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        0.0 => 0,
        odd if !odd.is_finite() => return "?".to_owned(),
        large if large >= 1e15 => return format!("{number:.1e}"),
        small if small < 0.01 => return format!("{number:.1e}"),
        small if small < 0.1 => 4,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

/// Lower and upper bound, each as `form` shows it.
pub(crate) fn interval([low, high]: [f64; 2], form: impl Fn(f64) -> String) -> String {
    format!("[{}, {}]", form(low), form(high))
}

/// `1 frame`, `2 frames`.
pub(crate) fn plural(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Seconds with one decimal; less than one second with milliseconds.
pub(crate) fn seconds(ns: u64) -> String {
    let decimals = if ns < 1_000_000_000 { 3 } else { 1 };
    format!("{:.decimals$}", ns as f64 / 1e9)
}

/// As much of a text as fits this many columns of a terminal.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests;
