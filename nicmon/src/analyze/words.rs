//! Numbers with their words, as every text of nicmon's tells them.

/// `1 frame`, `2 frames`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Seconds; of less than one, also the milliseconds.
pub(crate) fn seconds(ns: u64) -> String {
    let digits = if ns < 1_000_000_000 { 3 } else { 1 };
    format!("{:.digits$}", ns as f64 / 1e9)
}
