//! Sums of values that may be unknown.

/// The sum of both; unknown if either is.
pub(super) fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.saturating_add(other?))
}

/// The sum of what is known; unknown only if both are.
pub(super) fn sum_of_known(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    sum(one, other).or(one).or(other)
}

/// The longer of both; unknown if either is.
pub(super) fn longest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.max(other?))
}

/// Keeps the last known value of something that is not summed.
pub(super) fn keep<T: Clone>(last: &mut Option<T>, now: Option<&T>) {
    if let Some(now) = now {
        *last = Some(now.clone());
    }
}

/// Adds rows of CPUs to the sums, which are in ascending order of CPUs.
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

/// The gap as a frame reports it: absent if there is none, and absent if the value was never known, which
/// `null` already says.
pub(super) fn reported_gap(gap_ns: u64, interval_ns: u64, is_known: bool) -> Option<u64> {
    let is_told = gap_ns > 0 && (is_known || gap_ns != interval_ns);
    is_told.then_some(gap_ns)
}

/// The gap of an element in a frame, in nanoseconds.
pub(super) fn gap_of(told: Option<u64>, interval_ns: u64, is_known: bool) -> u64 {
    told.unwrap_or(if is_known { 0 } else { interval_ns })
}
