//! What all NICs of a driver received and sent.

use super::{
    super::{observation::NicKey, unread::counts_alone},
    Observation,
};

/// Packets and bytes of all NICs of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// The traffic of a driver's NICs in all namespaces that are read, shown in the frame or not: its samples are
/// of all of them. `None` if a NIC is new or gone, if one has traffic with an end that is not read, or if
/// there may be more of them in a namespace that is not read.
pub(super) fn of_driver(seen: &Observation, driver: &str) -> Option<Traffic> {
    if works_unseen(seen, driver) {
        return None;
    }
    let (now, before) = (&seen.facts.now, &seen.facts.before);
    let mut traffic = Traffic { packets: 0, bytes: 0 };
    for (inum, namespace) in &now.links {
        for facts in namespace.links.iter().filter(|facts| facts.driver.as_deref() == Some(driver)) {
            let key = (*inum, facts.link.ifindex);
            if seen.facts.is_blind && counts_alone(&facts.link) {
                return None;
            }
            let packets = now.gained_packets(before, key)?;
            if packets > 0 && !now.knows_peer(*inum, &facts.link) {
                return None;
            }
            traffic.packets = traffic.packets.checked_add(packets)?;
            traffic.bytes = traffic.bytes.checked_add(now.gained_bytes(before, key)?)?;
        }
        let gone = before.links.get(inum).into_iter().flat_map(|namespace| &namespace.links).any(|facts| {
            facts.driver.as_deref() == Some(driver) && now.link((*inum, facts.link.ifindex)).is_none()
        });
        if gone {
            return None;
        }
    }
    Some(traffic)
}

/// Whether the driver polled for a NIC whose counters cannot be read.
fn works_unseen(seen: &Observation, driver: &str) -> bool {
    let Some(code) = seen.code.drivers.as_deref() else { return false };
    let is_of = |poll: u64| {
        code.seeds.iter().any(|seed| seed.driver == driver && seed.polls.contains(&poll))
            || code.text.driver_at(poll).is_some_and(|text| {
                code.text.slot(driver).is_ok_and(|slot| {
                    code.text.texts().get(usize::from(slot)).is_some_and(|own| own.name == text)
                })
            })
    };
    let mut unseen = seen.reading.napis.iter().flatten().filter(|napi| {
        let key: NicKey = (napi.key.netns, napi.key.ifindex);
        seen.facts.link(key).is_none()
    });
    unseen.any(|napi| is_of(napi.poll_fn))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        collect::observation::Moment,
        host::{
            ip_counters::IpCounters,
            links::{Link, LinkStats, Peer},
            netns::{LinkFacts, NamespaceFacts},
        },
    };

    /// A real observation; its namespaces are replaced.
    const SEEN: &str = include_str!("../../../tests/scenarios/veth-by-napi.ndjson");

    fn veth(ifindex: u32, peer: u32, is_here: bool, [rx, tx]: [u64; 2]) -> LinkFacts {
        let stats = LinkStats {
            rx_packets: rx,
            rx_bytes: rx * 100,
            tx_packets: tx,
            tx_bytes: tx * 100,
            ..LinkStats::default()
        };
        let link = Link {
            address: Vec::new(),
            alt_names: Vec::new(),
            ifindex,
            name: format!("v{ifindex}").into(),
            up: true,
            kind: Some("veth".to_owned()),
            master: None,
            peer: Some(Peer { ifindex: peer, is_here }),
            stats: Some(stats),
        };
        LinkFacts { link, driver: Some("veth".into()) }
    }

    fn moment(namespaces: impl IntoIterator<Item = (u32, Vec<LinkFacts>)>) -> Arc<Moment> {
        let namespace = |links| NamespaceFacts {
            links,
            queues: None,
            ip: IpCounters::default(),
            udp_dropper: None,
            name: None,
            cgroup: None,
        };
        let links: BTreeMap<u32, NamespaceFacts> =
            namespaces.into_iter().map(|(inum, links)| (inum, namespace(links))).collect();
        Arc::new(Moment { links, ..Moment::default() })
    }

    fn packets(before: &Arc<Moment>, now: &Arc<Moment>) -> Option<u64> {
        packets_if(false, before, now)
    }

    fn packets_if(is_blind: bool, before: &Arc<Moment>, now: &Arc<Moment>) -> Option<u64> {
        let mut seen = Observation::load(SEEN.lines().next().expect("a line")).expect("an observation");
        seen.facts.before = Arc::clone(before);
        seen.facts.now = Arc::clone(now);
        seen.facts.is_blind = is_blind;
        seen.reading.napis = Some(Vec::new());
        let traffic = of_driver(&seen, "veth");
        assert!(traffic.is_none_or(|traffic| traffic.bytes == traffic.packets * 100));
        traffic.map(|traffic| traffic.packets)
    }

    /// Only one end of the pair is polled, so only one is in the list of NICs: both count.
    #[test]
    fn both_ends_of_a_pair_count_if_both_namespaces_are_read() {
        let before = moment([(1, vec![veth(2, 3, false, [0, 0])]), (7, vec![veth(3, 2, false, [0, 0])])]);
        let one_way = moment([(1, vec![veth(2, 3, false, [0, 50])]), (7, vec![veth(3, 2, false, [50, 0])])]);
        assert_eq!(packets(&before, &one_way), Some(100));
        let both_ways =
            moment([(1, vec![veth(2, 3, false, [1, 50])]), (7, vec![veth(3, 2, false, [50, 1])])]);
        assert_eq!(packets(&before, &both_ways), Some(102));
        let here =
            |far: [[u64; 2]; 2]| moment([(1, vec![veth(2, 3, true, far[0]), veth(3, 2, true, far[1])])]);
        assert_eq!(packets(&here([[0, 0]; 2]), &here([[4, 6], [6, 4]])), Some(20));
    }

    #[test]
    fn an_end_that_is_not_read_makes_it_unknown() {
        let one = |traffic| moment([(1, vec![veth(2, 3, false, traffic)])]);
        assert_eq!(packets(&one([0, 0]), &one([0, 50])), None);
        assert_eq!(packets(&one([5, 5]), &one([5, 5])), Some(0), "nothing went through either end");
        // An interface of the same index that is the end of another pair.
        let other =
            |traffic| moment([(1, vec![veth(2, 3, false, traffic)]), (7, vec![veth(3, 9, false, [0, 0])])]);
        assert_eq!(packets(&other([0, 0]), &other([0, 50])), None);
    }

    #[test]
    fn a_namespace_that_is_not_read_makes_it_unknown() {
        let alone = |traffic| {
            let mut facts = veth(2, 3, true, traffic);
            (facts.link.kind, facts.link.peer) = (Some("macvlan".to_owned()), None);
            moment([(1, vec![facts])])
        };
        let (before, now) = (alone([0, 0]), alone([5, 5]));
        assert_eq!([false, true].map(|is_blind| packets_if(is_blind, &before, &now)), [Some(10), None]);
        // The other end of a pair is known, so nothing is missing.
        let pair = |traffic| moment([(1, vec![veth(2, 3, true, traffic), veth(3, 2, true, traffic)])]);
        assert_eq!(packets_if(true, &pair([0, 0]), &pair([5, 5])), Some(20));
    }

    #[test]
    fn what_comes_or_goes_makes_it_unknown() {
        let two = moment([(1, vec![veth(2, 3, true, [5, 5]), veth(3, 2, true, [5, 5])])]);
        let gone = moment([(1, vec![])]);
        assert_eq!(packets(&two, &gone), None);
        assert_eq!(packets(&gone, &two), None);
        assert_eq!(packets(&gone, &gone), Some(0));
    }
}
