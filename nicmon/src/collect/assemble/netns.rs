//! `netns[]`: the namespaces that were read.

use super::super::observation::Observation;
use crate::{
    frame::{Netns, gained},
    host::ip_counters::IpCounters,
};

/// Those that could be entered, in ascending order of inode.
pub(super) fn netns(seen: &Observation) -> Vec<Netns> {
    let facts = &seen.facts;
    let namespaces = facts.now.links.iter();
    namespaces
        .map(|(inum, namespace)| {
            let before = facts.before.links.get(inum).map(|before| before.ip).unwrap_or_default();
            let difference = Difference { now: namespace.ip, before };
            Netns {
                inum: *inum,
                name: namespace.name.as_deref().map(str::to_owned),
                cgroup: namespace.cgroup.as_deref().map(str::to_owned),
                udp_rcvbuf_errors: difference.of(|ip| ip.udp_rcvbuf_errors),
                listen_drops: difference.of(|ip| ip.listen_drops),
                gro_ratio: difference.gro_ratio(),
                ip_packets: difference.of(|ip| ip.in_receives),
                udp_reader: seen.udp_readers.get(inum).cloned(),
                gap_ns: None,
            }
        })
        .collect()
}

/// Counters now and at the previous frame.
struct Difference {
    now: IpCounters,
    before: IpCounters,
}

impl Difference {
    fn of(&self, counter: fn(&IpCounters) -> Option<u64>) -> Option<u64> {
        gained(counter(&self.now)?, counter(&self.before)?)
    }

    fn gro_ratio(&self) -> Option<f64> {
        let (segments, packets) = (self.of(|ip| ip.in_segments)?, self.of(|ip| ip.in_receives)?);
        (packets > 0).then(|| segments as f64 / packets as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let counters = |in_receives, in_segments| IpCounters {
            in_receives: Some(in_receives),
            in_segments: Some(in_segments),
            ..IpCounters::default()
        };
        let difference = |now, before| Difference { now, before };
        assert_eq!(difference(counters(10, 50), counters(0, 0)).gro_ratio(), Some(5.0));
        assert_eq!(difference(counters(10, 50), counters(10, 50)).gro_ratio(), None);
        assert_eq!(difference(counters(10, 50), IpCounters::default()).gro_ratio(), None);
        assert_eq!(difference(counters(10, 50), counters(0, 0)).of(|ip| ip.listen_drops), None);
    }
}
