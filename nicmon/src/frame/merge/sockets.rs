//! `sockets[]`.

use std::{cmp::Reverse, collections::HashMap};

use super::KEPT;
use crate::frame::{Direction, Gap, Host, OTHER_COMMS, SampledPart, SocketUse, ranked};

/// Samples and time by program and direction.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// `None` until a frame has any.
    sums: Option<HashMap<(String, Direction), Sum>>,
    gap: Gap,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    samples: u64,
    est_ns: u64,
}

impl Sum {
    fn add(&mut self, samples: u64, est_ns: u64) {
        self.samples = self.samples.saturating_add(samples);
        self.est_ns = self.est_ns.saturating_add(est_ns);
    }
}

impl Sockets {
    pub(super) fn add(&mut self, sockets: Option<&[SocketUse]>, host: &Host, interval_ns: u64) {
        let Some(sockets) = sockets else {
            self.gap = self.gap.plus(host.sockets_gap.unwrap_or_else(|| host.whole(interval_ns)));
            return;
        };
        self.gap = self.gap.plus(host.sockets_gap.unwrap_or_default());
        let sums = self.sums.get_or_insert_default();
        for SocketUse { comm, direction, samples, est_ns, est_ci_ns: _ } in sockets {
            sums.entry((comm.clone(), *direction)).or_default().add(*samples, *est_ns);
        }
        if sums.len() > 2 * KEPT {
            take_cheapest_together(sums);
        }
    }

    /// The most expensive first, and the part of the interval in which they were unknown. There are intervals
    /// only if all samples were taken at the same rate.
    pub(super) fn sockets(&self, host: &Host, interval_ns: u64) -> (Option<Vec<SocketUse>>, Option<Gap>) {
        let Some(sums) = &self.sums else { return (None, None) };
        let part = SampledPart { host, interval_ns, known: host.whole(interval_ns).without(self.gap) };
        let uses = sums.iter().map(|((comm, direction), Sum { samples, est_ns })| {
            SocketUse::of(comm.clone(), *direction, *samples, *est_ns, part)
        });
        (Some(ranked(uses.collect(), part)), Some(self.gap).filter(|gap| gap.ns > 0))
    }
}

/// Names of threads come and go without end, so only those that cost most are kept apart.
fn take_cheapest_together(sums: &mut HashMap<(String, Direction), Sum>) {
    let mut all: Vec<_> = sums.drain().collect();
    all.sort_unstable_by_key(|(_, sum)| Reverse(sum.est_ns));
    let cheapest = all.split_off(KEPT);
    sums.extend(all);
    for ((_, direction), sum) in cheapest {
        sums.entry((OTHER_COMMS.to_owned(), direction)).or_default().add(sum.samples, sum.est_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    #[test]
    fn names_without_end_do_not_fill_the_memory() {
        const RECORDING: &str = include_str!("../../../tests/fixtures/frames/drivers.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        let mut sums = Sockets::default();
        for number in 0..10_000_u64 {
            let (comm, est_ns) = (format!("worker-{number}"), number);
            let one = SocketUse { comm, direction: Direction::Rx, samples: 1, est_ns, est_ci_ns: None };
            sums.add(Some(&[one]), &frame.host, 1_000_000);
            assert!(sums.sums.as_ref().expect("sums").len() <= 2 * KEPT + 1);
        }
        let (sockets, gap) = sums.sockets(&frame.host, 10_000_000_000);
        let sockets = sockets.expect("known");
        assert_eq!((sockets[0].comm.as_str(), gap), ("worker-9999", None));
        assert_eq!(sockets.iter().map(|one| one.samples).sum::<u64>(), 10_000);
        assert_eq!(sockets.iter().map(|one| one.est_ns).sum::<u64>(), 9_999 * 5_000);
    }
}
