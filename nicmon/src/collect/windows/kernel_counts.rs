//! What the kernel counts, interval by interval, while the programs are not attached all the time.

use std::time::Duration;

use crate::{
    collect::CollectError,
    counters::{
        Counted, Reading,
        counted::{AtMoment, Counters},
        procfs::Counts,
    },
    host::{self, Roots},
};

/// The readers, and what the kernel had counted at the start of the interval.
pub(super) struct KernelCounts {
    counters: Counters,
    counts: Counts,
    start: AtMoment,
}

/// What the kernel counted in an interval.
pub(super) struct Interval {
    pub(super) length: Duration,
    /// By CPU number; `None` where that is unknown.
    pub(super) counted: Vec<Option<Counted>>,
    counts: Reading,
}

impl KernelCounts {
    /// Begins the first interval.
    ///
    /// # Errors
    /// What the kernel counts cannot be read.
    pub(super) fn begin(roots: &Roots) -> Result<Self, CollectError> {
        let mut counts = Counts::open(roots)?;
        let mut counters = Counters::open(roots)?;
        counts.read(roots)?;
        let start = counters.read()?;
        Ok(Self { counters, counts, start })
    }

    /// What it has counted until now.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn now(&mut self) -> Result<AtMoment, host::Error> {
        self.counters.read()
    }

    /// Ends the interval, and begins the next.
    ///
    /// # Errors
    /// What the kernel counts cannot be read.
    pub(super) fn end(&mut self, roots: &Roots) -> Result<Interval, CollectError> {
        let now = self.counters.read()?;
        let counts = self.counts.read(roots)?;
        let length = Duration::from_nanos(now.ns_since(&self.start));
        let counted = now.since(&self.start);
        self.start = now;
        Ok(Interval { length, counted, counts })
    }
}

impl Interval {
    /// The reading with the kernel's own counts in place of those that the programs missed.
    pub(super) fn complete(self, reading: Reading) -> Reading {
        let Reading { mono_ns, cpus, unknown_cpus, irqs, .. } = self.counts;
        Reading { mono_ns, cpus, unknown_cpus, irqs, ..reading }
    }
}
