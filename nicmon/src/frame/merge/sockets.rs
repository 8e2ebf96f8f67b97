//! `sockets[]`.

use std::collections::HashMap;

use crate::frame::{Direction, SocketUse, ranked};

/// Samples and time by program and direction.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// `None` until a frame has any.
    sums: Option<HashMap<(String, Direction), (u64, u64)>>,
    gap_ns: u64,
}

impl Sockets {
    pub(super) fn add(&mut self, sockets: Option<&[SocketUse]>, gap_ns: Option<u64>, interval_ns: u64) {
        let Some(sockets) = sockets else {
            self.gap_ns = self.gap_ns.saturating_add(interval_ns);
            return;
        };
        self.gap_ns = self.gap_ns.saturating_add(gap_ns.unwrap_or(0));
        let sums = self.sums.get_or_insert_default();
        for SocketUse { comm, direction, samples, est_ns, est_ci_ns: _ } in sockets {
            let (all, all_ns) = sums.entry((comm.clone(), *direction)).or_default();
            (*all, *all_ns) = (all.saturating_add(*samples), all_ns.saturating_add(*est_ns));
        }
    }

    /// The most expensive first, and the part of the time in which they were unknown. `busy` is the number of
    /// busy samples, if all stand for the same.
    pub(super) fn sockets(&self, busy: Option<u64>) -> (Option<Vec<SocketUse>>, Option<u64>) {
        let Some(sums) = &self.sums else { return (None, None) };
        let uses = sums.iter().map(|((comm, direction), (samples, est_ns))| {
            SocketUse::of(comm.clone(), *direction, *samples, *est_ns, busy)
        });
        (Some(ranked(uses.collect(), busy)), Some(self.gap_ns).filter(|ns| *ns > 0))
    }
}
