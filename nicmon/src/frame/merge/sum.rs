//! Sums in which something may be unknown.

/// Both together; unknown if one is.
pub(super) fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.saturating_add(other?))
}

/// The longer of both; unknown if one is.
pub(super) fn longest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.max(other?))
}

/// Notes what is known of something that does not add up.
pub(super) fn keep<T: Clone>(last: &mut Option<T>, now: Option<&T>) {
    if let Some(now) = now {
        *last = Some(now.clone());
    }
}

/// Adds rows of CPUs to those that are there, ascending by CPU.
pub(super) fn add_rows<R: Clone>(
    sums: &mut Vec<R>,
    rows: &[R],
    cpu: impl Fn(&R) -> u32,
    add: impl Fn(&mut R, &R),
) {
    for row in rows {
        match sums.binary_search_by_key(&cpu(row), &cpu) {
            Ok(at) => add(&mut sums[at], row),
            Err(at) => sums.insert(at, row.clone()),
        }
    }
}

/// A time left out, as frames tell it: not where there is none, and not of what is unknown all the time, which `null`
/// says already.
pub(super) fn told_gap(gap_ns: u64, interval_ns: u64, is_known: bool) -> Option<u64> {
    let is_told = gap_ns > 0 && (is_known || gap_ns != interval_ns);
    is_told.then_some(gap_ns)
}

/// The time left out of an element in a frame.
pub(super) fn gap_of(told: Option<u64>, interval_ns: u64, is_known: bool) -> u64 {
    told.unwrap_or(if is_known { 0 } else { interval_ns })
}
