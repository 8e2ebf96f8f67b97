//! Sums of values that may be unknown.

use crate::frame::Windowed;

/// The sum of both; unknown if either is.
pub(super) fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.saturating_add(other?))
}

/// The sum of what is known; unknown only if both are.
pub(super) fn sum_of_known(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    sum(one, other).or(one).or(other)
}

/// Adds a time that is exact or estimated, each in a field of its own. With an estimate, the sum is one.
pub(super) fn add_time(sums: (&mut Option<u64>, &mut Option<u64>), more: (Option<u64>, Option<u64>)) {
    let (exact, est) = sums;
    if est.is_none() && more.1.is_none() {
        *exact = sum(*exact, more.0);
    } else {
        *est = sum(exact.take().or(*est), more.0.or(more.1));
    }
}

/// Adds a time that was measured in windows or all the time.
pub(super) fn add_windows(
    (ns, windows): (Option<u64>, Option<Windowed>),
    (more_ns, more_windows): (Option<u64>, Option<Windowed>),
) -> (Option<u64>, Option<Windowed>) {
    if windows.is_none() && more_windows.is_none() {
        return (sum(ns, more_ns), None);
    }
    let one = windows.or(ns.map(Windowed::known));
    let other = more_windows.or(more_ns.map(Windowed::known));
    (None, one.zip(other).map(|(one, other)| one.plus(other)))
}

/// The estimate that windows give, and its interval.
pub(super) fn estimate(windows: Option<Windowed>) -> (Option<u64>, Option<[u64; 2]>) {
    let Some(windows) = windows else { return (None, None) };
    (Some(windows.est_ns()), windows.est_ci_ns(windows.spread()))
}

/// The longer of both; unknown if either is.
pub(super) fn longest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.max(other?))
}

/// The longest of those that are known.
pub(super) fn longest_known<const N: usize>(all: [Option<u64>; N]) -> Option<u64> {
    all.into_iter().flatten().max()
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
