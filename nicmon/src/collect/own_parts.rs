//! On what the collecting thread spends its CPU time.

use std::mem::take;

use crate::host::own::thread_cpu_ns;

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
    pub(super) fn start(&mut self) {
        self.since_ns = thread_cpu_ns();
    }

    /// What the interval that ends now had.
    pub(super) fn end_of_interval(&mut self) -> Parts {
        self.so_far.read_ns += self.lap_ns();
        take(&mut self.so_far)
    }

    pub(super) fn end_of_reading(&mut self) {
        self.so_far.read_ns += self.lap_ns();
    }

    /// A frame was made of what was read just before.
    pub(super) fn end_of_making(&mut self) {
        self.so_far.make_ns += self.lap_ns();
    }

    fn lap_ns(&mut self) -> u64 {
        let now_ns = thread_cpu_ns();
        now_ns.saturating_sub(std::mem::replace(&mut self.since_ns, now_ns))
    }
}

#[cfg(test)]
mod tests {
    use std::hint;

    use super::*;

    fn work() {
        hint::black_box((0..200_000_u64).fold(0, |sum, number| hint::black_box(sum ^ number)));
    }

    #[test]
    fn each_part_is_of_the_interval_in_which_it_was_done() {
        let mut parts = OwnParts::default();
        parts.start();
        work();
        let first = parts.end_of_interval();
        assert!(first.read_ns > 0 && first.make_ns == 0, "{first:?}");
        work();
        parts.end_of_reading();
        work();
        parts.end_of_making();
        // Elsewhere.
        work();
        parts.start();
        let second = parts.end_of_interval();
        assert!(second.read_ns > 0 && second.make_ns > 0, "{second:?}");
        // What was done elsewhere is in neither: that would be as much again.
        assert!(second.read_ns < first.read_ns * 3 / 2, "{first:?} {second:?}");
        parts.start();
        let third = parts.end_of_interval();
        assert!(third.make_ns == 0 && third.read_ns < second.read_ns, "{third:?} {second:?}");
    }
}
