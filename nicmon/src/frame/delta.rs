//! Differences of counters that may wrap or restart, and rates.

/// How much a counter gained; `None` if it was reset, because then the gain is unknown.
///
/// Some drivers keep 32-bit counters behind the 64-bit interface. A counter that falls from the upper half of
/// the 32-bit range to the lower half has wrapped.
pub fn gained(now: u64, before: u64) -> Option<u64> {
    const WRAP: u64 = 1 << 32;
    match now.checked_sub(before) {
        Some(gained) => Some(gained),
        None if before < WRAP && before - now > WRAP / 2 => Some(now + WRAP - before),
        None => None,
    }
}

/// A time in percent of the interval; 0 if the interval has no length.
pub fn pct_of(ns: u64, interval_ns: u64) -> f64 {
    if interval_ns == 0 { 0.0 } else { ns as f64 * 100.0 / interval_ns as f64 }
}

/// How many per second; `None` if the count is unknown or the interval has no length.
pub fn per_s(count: Option<u64>, interval_ns: u64) -> Option<f64> {
    count.filter(|_| interval_ns > 0).map(|count| count as f64 * 1e9 / interval_ns as f64)
}

/// Nanoseconds for each of `count`; `None` if `count` is 0.
pub fn ns_per(ns: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| ns as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_wrap_or_reset() {
        assert_eq!(gained(7, 5), Some(2));
        assert_eq!(gained(5, 5), Some(0));
        assert_eq!(gained(9, (1 << 32) - 1), Some(10), "a 32-bit counter wrapped");
        assert_eq!(gained(9, 1 << 20), None, "a reset");
        assert_eq!(gained(9, 1 << 40), None, "a reset");
    }

    #[test]
    fn percent_of_nothing_is_zero() {
        assert!(pct_of(5, 0).abs() < f64::EPSILON);
        assert!((pct_of(250, 1000) - 25.0).abs() < f64::EPSILON);
    }
}
