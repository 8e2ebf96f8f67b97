//! Namespaces that frames leave out, so that a frame costs what is active: what may be missed there.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use crate::host::{links::Link, netns::NamespaceFacts};

/// Namespaces that exist and are not read for each frame.
#[derive(Debug, Default)]
pub(super) struct Unread {
    looked: HashMap<u32, Look>,
    /// Whether one of them was never looked at, or has NICs that count.
    is_blind: bool,
}

/// What was there at the last look into a namespace.
#[derive(Debug)]
struct Look {
    at: Instant,
    counts: bool,
}

impl Unread {
    /// Notes what is in a namespace that is read now, and maybe not later.
    pub(super) fn saw(&mut self, inum: u32, namespace: &NamespaceFacts, at: Instant) {
        self.looked.insert(inum, Look { at, counts: counts(namespace) });
    }

    /// Which of the existing namespaces that are not read to look into, at most so many: those that nobody
    /// has looked into first, then those longest ago.
    pub(super) fn next_to_look_into(&mut self, unread: BTreeSet<u32>, most: usize) -> Vec<u32> {
        self.looked.retain(|inum, _| unread.contains(inum));
        let mut next: Vec<u32> = unread.into_iter().collect();
        next.sort_by_key(|inum| self.looked.get(inum).map(|look| look.at));
        self.is_blind = next.iter().skip(most).any(|inum| self.is_blind_to(*inum));
        next.truncate(most);
        next
    }

    /// Takes note of namespaces that were looked into and are not read from now on.
    pub(super) fn left_out(&mut self, inums: impl IntoIterator<Item = u32>) {
        for inum in inums {
            self.is_blind |= self.is_blind_to(inum);
        }
    }

    fn is_blind_to(&self, inum: u32) -> bool {
        self.looked.get(&inum).is_none_or(|look| look.counts)
    }

    /// Whether NICs that count packets may be in a namespace that is not read.
    pub(super) fn is_blind(&self) -> bool {
        self.is_blind
    }
}

/// Whether a namespace has NICs that are up and whose packets only their own counters show.
pub(super) fn counts(namespace: &NamespaceFacts) -> bool {
    namespace.links.iter().any(|facts| facts.link.up && counts_alone(&facts.link))
}

/// Whether only a NIC's own counters show its packets. A pair has another end, and hardware has polls.
pub(super) fn counts_alone(link: &Link) -> bool {
    link.kind.is_some() && link.peer.is_none()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::{ip_counters::IpCounters, links::Peer, netns::LinkFacts};

    fn namespace(kind: Option<&str>, peer: Option<Peer>) -> NamespaceFacts {
        let link = Link {
            address: Vec::new(),
            alt_names: Vec::new(),
            ifindex: 2,
            name: "x".into(),
            up: true,
            kind: kind.map(str::to_owned),
            master: None,
            peer,
            stats: None,
        };
        NamespaceFacts {
            links: vec![LinkFacts { link, driver: None }],
            queues: None,
            ip: IpCounters::default(),
            udp_dropper: None,
            name: None,
            cgroup: None,
        }
    }

    #[test]
    fn nics_without_another_end_count_alone() {
        let peer = Some(Peer { ifindex: 3, is_here: false });
        assert!(counts(&namespace(Some("macvlan"), None)));
        assert!(!counts(&namespace(Some("veth"), peer)) && !counts(&namespace(None, None)));
        // Such as tunl0, which each namespace has once the module is loaded.
        let mut down = namespace(Some("ipip"), None);
        down.links[0].link.up = false;
        assert!(!counts(&down));
    }

    #[test]
    fn what_was_never_looked_into_may_hide_packets() {
        let mut unread = Unread::default();
        let now = Instant::now();
        let later = |s| now + Duration::from_secs(s);
        let (idle, busy) = (namespace(None, None), namespace(Some("macvlan"), None));
        assert_eq!(unread.next_to_look_into([1, 2, 3].into(), 2), [1, 2]);
        assert!(unread.is_blind(), "3 is unknown");
        unread.saw(1, &idle, later(2));
        unread.saw(2, &idle, later(1));
        unread.left_out([1, 2]);
        assert_eq!(unread.next_to_look_into([1, 2, 3].into(), 2), [3, 2]);
        assert!(!unread.is_blind());
        unread.saw(3, &busy, later(3));
        unread.left_out([3, 2]);
        assert!(unread.is_blind(), "there was no room for 3");
        // It is read now, or is gone.
        assert_eq!(unread.next_to_look_into([1, 2].into(), 2), [2, 1]);
        assert!(!unread.is_blind());
        // A namespace that cannot be entered stays unknown.
        assert_eq!(unread.next_to_look_into([4].into(), 2), [4]);
        unread.left_out([4]);
        assert!(unread.is_blind());
    }
}
