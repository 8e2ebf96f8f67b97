//! On what the collecting thread spends its CPU time.

use std::mem::{replace, take};

/// CPU time of an interval, in ns.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) read_ns: u64,
    pub(super) make_ns: u64,
}

/// Counts it. An interval ends in the middle of a reading, so that the second half of a reading and the
/// making of its frame are part of the next interval.
#[derive(Debug, Default)]
pub(super) struct OwnParts {
    so_far: Parts,
    since_ns: u64,
}

impl OwnParts {
    /// Whatever was done before belongs to neither part. `now_ns` is the thread's CPU time so far, here and
    /// below.
    pub(super) fn start(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }

    /// What the interval that ends now had.
    pub(super) fn end_of_interval(&mut self, now_ns: u64) -> Parts {
        self.so_far.read_ns += self.lap_ns(now_ns);
        take(&mut self.so_far)
    }

    pub(super) fn end_of_reading(&mut self, now_ns: u64) {
        self.so_far.read_ns += self.lap_ns(now_ns);
    }

    /// A frame was made of what was read just before.
    pub(super) fn end_of_making(&mut self, now_ns: u64) {
        self.so_far.make_ns += self.lap_ns(now_ns);
    }

    fn lap_ns(&mut self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(replace(&mut self.since_ns, now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_of_the_interval_in_which_it_was_done() {
        let mut parts = OwnParts::default();
        parts.start(1000);
        assert_eq!(parts.end_of_interval(1010), Parts { read_ns: 10, make_ns: 0 });
        parts.end_of_reading(1030);
        parts.start(1100);
        parts.end_of_making(1103);
        parts.start(2000);
        assert_eq!(parts.end_of_interval(2001), Parts { read_ns: 21, make_ns: 3 });
        parts.start(3000);
        assert_eq!(parts.end_of_interval(3004), Parts { read_ns: 4, make_ns: 0 });
    }
}
