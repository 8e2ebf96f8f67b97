//! Which NICs carry the packets of others, so that a byte is counted once.
//!
//! The bytes of a bridge, bond or VLAN are also bytes of the NICs below it, and so are those of a synthetic
//! NIC whose packets take a virtual function (Azure: `enP...` with the master `eth0`). What a NIC carried
//! itself is what no NIC below it counted.

use std::collections::{HashMap, HashSet};

use super::{Nic, topology::Topology};

/// Kinds of interfaces that pass their packets on to others (`IFLA_INFO_KIND`).
const STACKED_KINDS: [&str; 31] = [
    "amt",
    "bareudp",
    "batadv",
    "bond",
    "bridge",
    "dsa",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "hsr",
    "ifb",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ipvlan",
    "ipvtap",
    "macsec",
    "macvlan",
    "macvtap",
    "openvswitch",
    "sit",
    "team",
    "vlan",
    "vrf",
    "vti",
    "vxlan",
    "wireguard",
    "xfrm",
];
/// The drivers of some of them, as `ethtool -i` names them, for streams without a topology.
const STACKED_DRIVERS: [&str; 13] = [
    "802.1Q VLAN Support",
    "bonding",
    "bridge",
    "geneve",
    "ifb",
    "ipvlan",
    "macsec",
    "macvlan",
    "openvswitch",
    "team",
    "vrf",
    "vxlan",
    "wireguard",
];
/// Kinds of interfaces without a NAPI; nothing ever polls them (`drivers/net` and `net` have no
/// `netif_napi_add` or `gro_cells_init` for them). They hand packets to the backlog (`netif_rx`) or to other
/// NICs, or receive none.
const UNPOLLED_KINDS: [&str; 22] = [
    "batadv",
    "bond",
    "bridge",
    "dummy",
    "gtp",
    "hsr",
    "ifb",
    "ipvlan",
    "ipvtap",
    "macvlan",
    "macvtap",
    "netkit",
    "nlmon",
    "openvswitch",
    "ppp",
    "sit",
    "team",
    "vcan",
    "vlan",
    "vrf",
    "vsockmon",
    "vxcan",
];

/// An interface: the inode of its namespace, and its index there.
type Key = (u32, u32);

/// Whether interfaces of this kind have a NAPI that can be polled. Kinds of which that is not known for sure
/// count as such, and so does hardware, which has no kind.
pub fn can_be_polled(kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| !UNPOLLED_KINDS.contains(&kind))
}

/// How the NICs of a machine are stacked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layers {
    /// By NIC: the NICs directly below it.
    below: HashMap<Key, HashSet<Key>>,
    /// NICs of a kind that passes packets on.
    stacked: HashSet<Key>,
}

impl Layers {
    /// The layers that a topology shows: by the links above and below each NIC, which nicmon knows in its own
    /// namespace only, by the master that a NIC belongs to, and by the kinds of NICs.
    pub fn of(topology: &Topology) -> Self {
        let mut layers = Self::default();
        let key_of: HashMap<(u32, &str), Key> = topology
            .nics
            .iter()
            .map(|nic| ((nic.netns, nic.name.as_str()), (nic.netns, nic.ifindex)))
            .collect();
        for nic in &topology.nics {
            let key = (nic.netns, nic.ifindex);
            let find = |name: &String| key_of.get(&(nic.netns, name.as_str())).copied();
            if nic.kind.as_deref().is_some_and(|kind| STACKED_KINDS.contains(&kind)) {
                layers.stacked.insert(key);
            }
            let lower = nic.lower.iter().flatten().filter_map(find).map(|lower| (key, lower));
            let upper =
                nic.upper.iter().flatten().chain(&nic.master).filter_map(find).map(|upper| (upper, key));
            for (upper, lower) in lower.chain(upper) {
                if upper != lower {
                    layers.below.entry(upper).or_default().insert(lower);
                }
            }
        }
        layers
    }

    /// The bytes of each NIC of a frame, received and sent, that none of its NICs below it counted; `None` is
    /// unknown.
    pub fn own_bytes(&self, nics: &[Nic]) -> Vec<Option<u64>> {
        let bytes_of: HashMap<Key, u64> =
            nics.iter().filter_map(|nic| Some((key(nic)?, nic.counters.bytes().unwrap_or(0)))).collect();
        let carriers = nics.iter().filter(|nic| nic.driver.is_some() && !self.is_stacked(nic));
        let carriers: HashSet<Key> = carriers.filter_map(key).collect();
        let own = |nic: &Nic| {
            let all = nic.counters.bytes()?;
            let mut below = key(nic).map_or_else(HashSet::new, |key| self.next_below(key, &bytes_of));
            // What a tunnel, or a VLAN in a container, goes through is not known, but it is one of these.
            if below.is_empty() && self.is_stacked(nic) {
                below.clone_from(&carriers);
            }
            Some(
                below
                    .iter()
                    .filter_map(|lower| bytes_of.get(lower))
                    .fold(all, |all, of| all.saturating_sub(*of)),
            )
        };
        nics.iter().map(own).collect()
    }

    fn is_stacked(&self, nic: &Nic) -> bool {
        key(nic).is_some_and(|key| self.stacked.contains(&key) || self.below.contains_key(&key))
            || nic.driver.as_deref().is_some_and(|driver| STACKED_DRIVERS.contains(&driver))
    }

    /// The next NICs below that the frame has; it may leave out what is between them. Links that lead in a
    /// circle are followed once.
    fn next_below(&self, of: Key, shown: &HashMap<Key, u64>) -> HashSet<Key> {
        let (mut found, mut seen, mut next) = (HashSet::new(), HashSet::from([of]), vec![of]);
        while let Some(key) = next.pop() {
            for lower in self.below.get(&key).into_iter().flatten().filter(|lower| seen.insert(**lower)) {
                if shown.contains_key(lower) {
                    found.insert(*lower);
                } else {
                    next.push(*lower);
                }
            }
        }
        found
    }
}

fn key(nic: &Nic) -> Option<Key> {
    Some((nic.netns?, nic.ifindex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, topology};

    /// A NIC of a frame with so many bytes.
    fn nic(ifindex: u32, driver: &str, bytes: u64) -> Nic {
        const RECORDING: &str = include_str!("../../tests/fixtures/frames/demo-cpu1.ndjson");
        let line = RECORDING.lines().next().expect("the recording has frames");
        let frame: Frame = serde_json::from_str(line).expect("the recording's lines are frames");
        let mut nic = frame.nics.into_iter().next().expect("it has NICs");
        (nic.ifindex, nic.netns, nic.driver) = (ifindex, Some(1), Some(driver.to_owned()));
        (nic.counters.rx_bytes, nic.counters.tx_bytes) = (Some(bytes), Some(0));
        nic
    }

    fn link(
        ifindex: u32,
        name: &str,
        kind: Option<&str>,
        master: Option<&str>,
        lower: &[&str],
    ) -> topology::Nic {
        topology::Nic {
            name: name.to_owned(),
            ifindex,
            netns: 1,
            kind: kind.map(str::to_owned),
            master: master.map(str::to_owned),
            lower: Some(lower.iter().map(|name| (*name).to_owned()).collect()),
            ..topology::Nic::default()
        }
    }

    fn own(links: Vec<topology::Nic>, nics: &[Nic]) -> Vec<u64> {
        let layers = Layers::of(&Topology { nics: links, ..Topology::default() });
        layers.own_bytes(nics).into_iter().map(|bytes| bytes.expect("it is known")).collect()
    }

    #[test]
    fn a_byte_counts_once() {
        // A VLAN on a bond of two NICs.
        let links = || {
            vec![
                link(1, "eth0", None, Some("bond0"), &[]),
                link(2, "eth1", None, Some("bond0"), &[]),
                link(3, "bond0", Some("bond"), None, &["eth0", "eth1"]),
                link(4, "bond0.7", Some("vlan"), None, &["bond0"]),
            ]
        };
        let all = [nic(1, "ice", 70), nic(2, "ice", 30), nic(3, "bonding", 100), nic(4, "vlan", 90)];
        assert_eq!(own(links(), &all), [70, 30, 0, 0]);
        // Only some of them are shown: those that remain are still counted once.
        assert_eq!(own(links(), &all[2..]), [100, 0]);
        assert_eq!(own(links(), &all[3..]), [90]);
        assert_eq!(own(links(), &[all[0].clone(), all[1].clone(), all[3].clone()]), [70, 30, 0]);
        // In another namespace, sysfs does not say what is below, but netlink reports the master.
        let mut unseen = links();
        for link in &mut unseen {
            link.lower = None;
        }
        assert_eq!(own(unseen, &all), [70, 30, 0, 0]);
    }

    #[test]
    fn a_bridge_is_not_its_nic() {
        let links =
            vec![link(1, "eth0", None, Some("br0"), &[]), link(5, "br0", Some("bridge"), None, &["eth0"])];
        assert_eq!(own(links, &[nic(1, "virtio_net", 1000), nic(5, "bridge", 1000)]), [1000, 0]);
        // A recording without a topology: the driver says it.
        assert_eq!(own(Vec::new(), &[nic(1, "virtio_net", 1000), nic(5, "bridge", 990)]), [1000, 0]);
        // Nothing else is there, so nothing is counted twice.
        assert_eq!(own(Vec::new(), &[nic(5, "bridge", 990)]), [990]);
    }

    /// Azure: the synthetic NIC counts what its virtual function carries as well.
    #[test]
    fn a_virtual_function_is_below_its_synthetic_nic() {
        let links =
            vec![link(2, "eth0", None, None, &["enP1s1"]), link(3, "enP1s1", None, Some("eth0"), &[])];
        assert_eq!(own(links, &[nic(2, "hv_netvsc", 1010), nic(3, "mlx5_core", 1000)]), [10, 1000]);
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let mut nics = [nic(1, "ice", 5), nic(2, "ice", 7)];
        nics[0].counters.rx_bytes = None;
        assert_eq!(Layers::default().own_bytes(&nics), [None, Some(7)]);
        // Links in a circle, as a damaged recording may have them.
        let links = vec![link(1, "a", None, None, &["b"]), link(2, "b", None, None, &["a"])];
        let layers = Layers::of(&Topology { nics: links, ..Topology::default() });
        assert_eq!(layers.own_bytes(&nics), [None, Some(7)]);
    }

    #[test]
    fn bridges_are_never_polled() {
        let never = [
            "bridge",
            "bond",
            "vlan",
            "team",
            "openvswitch",
            "batadv",
            "gtp",
            "sit",
            "nlmon",
            "vcan",
            "vxcan",
        ];
        assert!(never.iter().all(|kind| !can_be_polled(Some(kind))));
        // Tunnels have GRO cells, which are NAPIs (net/core/gro_cells.c).
        assert!(can_be_polled(None) && can_be_polled(Some("veth")) && can_be_polled(Some("vxlan")));
    }
}
