//! How many packets NICs put back instead of sending them, read only of those for which it matters.

use std::collections::BTreeMap;

use crate::host::qdisc::requeues;

/// What was read last, by interface index.
#[derive(Debug, Default)]
pub(super) struct Requeues {
    last: BTreeMap<u32, u32>,
}

impl Requeues {
    /// What was put back since the previous frame, by interface index in nicmon's own namespace. A NIC that
    /// the previous frame had no reason to read is absent, and so is one that cannot be read.
    pub(super) fn since_last(&mut self, ifindices: impl Iterator<Item = u32>) -> BTreeMap<u32, u64> {
        let now = ifindices.filter_map(|ifindex| Some((ifindex, requeues(ifindex).ok()??))).collect();
        self.follow(now)
    }

    fn follow(&mut self, now: BTreeMap<u32, u32>) -> BTreeMap<u32, u64> {
        let last = std::mem::replace(&mut self.last, now);
        let since = |(ifindex, now): (&u32, &u32)| {
            // It begins at 0 again if the queueing discipline is replaced.
            Some((*ifindex, u64::from(now.checked_sub(*last.get(ifindex)?)?)))
        };
        self.last.iter().filter_map(since).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_previous_frame_had() {
        let mut requeues = Requeues::default();
        assert_eq!(requeues.follow([(2, 10)].into()), [].into());
        assert_eq!(requeues.follow([(2, 15), (3, 7)].into()), [(2, 5)].into());
        assert_eq!(requeues.follow([(3, 7)].into()), [(3, 0)].into());
        assert_eq!(requeues.follow([(2, u32::MAX)].into()), [].into(), "of a longer time");
        assert_eq!(requeues.follow([(2, 4)].into()), [].into(), "another queueing discipline");
        assert_eq!(requeues.follow([(2, 9)].into()), [(2, 5)].into());
    }
}
