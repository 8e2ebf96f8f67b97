//! Settings of an interface, from the generic netlink family `ethtool` (Linux 5.6; the requests used here
//! need 5.7).
//!
//! The kernel omits attributes that the driver does not support (`net/ethtool/channels.c`, `rings.c`,
//! `coalesce.c`): they stay `None`.

use std::{collections::BTreeMap, io};

use super::{
    generic::Family,
    netlink::{Ask, Attributes, push, read_u32, text},
    netns::Netns,
};
use crate::frame::topology::{Channels, Coalesce, Offload, Rings};

const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_RINGS_GET: u8 = 15;
const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
const ETHTOOL_MSG_COALESCE_GET: u8 = 19;
const NLA_F_NESTED: u16 = 0x8000;
/// The attribute of every request that names the interface.
const ETHTOOL_A_HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_LINKMODES_SPEED: u16 = 5;
const ETHTOOL_A_FEATURES_HW: u16 = 2;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_FEATURES_NOCHANGE: u16 = 5;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

/// Reads settings of interfaces in a network namespace. Each call takes the kernel's
/// RTNL lock, and some ask the device, so do not call it every interval.
#[derive(Debug)]
pub struct Ethtool(Family);

impl Ethtool {
    /// Opens the family.
    ///
    /// # Errors
    /// The kernel has no such family, or no socket can be created.
    pub fn open(netns: &Netns) -> io::Result<Self> {
        Family::open(netns, b"ethtool\0").map(Self)
    }

    /// Channels; `None` if the driver does not report them, or the interface no longer exists.
    pub fn channels(&mut self, ifindex: u32) -> Option<Channels> {
        self.ask(ETHTOOL_MSG_CHANNELS_GET, ifindex, channels)
    }

    /// Rings; `None` as above.
    pub fn rings(&mut self, ifindex: u32) -> Option<Rings> {
        self.ask(ETHTOOL_MSG_RINGS_GET, ifindex, rings)
    }

    /// Coalescing; `None` as above.
    pub fn coalesce(&mut self, ifindex: u32) -> Option<Coalesce> {
        self.ask(ETHTOOL_MSG_COALESCE_GET, ifindex, coalesce)
    }

    /// Offloads by name, without those that are permanently off; `None` if the interface no longer exists.
    pub fn offloads(&mut self, ifindex: u32) -> Option<BTreeMap<String, Offload>> {
        self.ask(ETHTOOL_MSG_FEATURES_GET, ifindex, offloads)
    }

    /// Speed of the link in Mbit/s; `None` if there is no link, or the device does not know its speed.
    pub fn speed_mbps(&mut self, ifindex: u32) -> Option<u32> {
        self.ask(ETHTOOL_MSG_LINKMODES_GET, ifindex, |message| {
            let speed = Attributes(message).value(ETHTOOL_A_LINKMODES_SPEED);
            // `SPEED_UNKNOWN` is -1.
            speed.and_then(read_u32).filter(|speed| ![0, u32::MAX].contains(speed))
        })?
    }

    fn ask<T>(&mut self, command: u8, ifindex: u32, parse: impl Fn(&[u8]) -> T) -> Option<T> {
        let mut header = Vec::new();
        push(&mut header, ETHTOOL_A_HEADER_DEV_INDEX, &ifindex.to_ne_bytes());
        let mut request = Vec::new();
        push(&mut request, ETHTOOL_A_HEADER | NLA_F_NESTED, &header);
        let mut answer = None;
        // EOPNOTSUPP: the driver does not have it. ENODEV: the interface no longer exists. Either way it is
        // unknown.
        self.0.ask(Ask::One, command, &request, |message| answer = Some(parse(message))).ok()?;
        answer
    }
}

fn channels(message: &[u8]) -> Channels {
    let mut channels = Channels::default();
    for (attribute, value) in Attributes(message) {
        // `ETHTOOL_A_CHANNELS_*` (`include/uapi/linux/ethtool_netlink.h`, also below).
        let field = match attribute {
            2 => &mut channels.rx_max,
            3 => &mut channels.tx_max,
            4 => &mut channels.other_max,
            5 => &mut channels.combined_max,
            6 => &mut channels.rx,
            7 => &mut channels.tx,
            8 => &mut channels.other,
            9 => &mut channels.combined,
            _ => continue,
        };
        *field = read_u32(value);
    }
    channels
}

fn rings(message: &[u8]) -> Rings {
    let mut rings = Rings::default();
    for (attribute, value) in Attributes(message) {
        // `ETHTOOL_A_RINGS_*`.
        let field = match attribute {
            2 => &mut rings.rx_max,
            3 => &mut rings.rx_mini_max,
            4 => &mut rings.rx_jumbo_max,
            5 => &mut rings.tx_max,
            6 => &mut rings.rx,
            7 => &mut rings.rx_mini,
            8 => &mut rings.rx_jumbo,
            9 => &mut rings.tx,
            10 => &mut rings.rx_buf_len_bytes,
            11 => {
                // `ETHTOOL_TCP_DATA_SPLIT_*`: 0 is unknown.
                rings.tcp_data_split = value.first().filter(|&&split| split != 0).map(|&split| split == 2);
                continue;
            }
            12 => &mut rings.cqe_size_bytes,
            13 => {
                rings.tx_push = flag(value);
                continue;
            }
            _ => continue,
        };
        *field = read_u32(value);
    }
    rings
}

fn coalesce(message: &[u8]) -> Coalesce {
    let mut coalesce = Coalesce::default();
    for (attribute, value) in Attributes(message) {
        // `ETHTOOL_A_COALESCE_*`.
        let field = match attribute {
            2 => &mut coalesce.rx_usecs,
            3 => &mut coalesce.rx_frames,
            4 => &mut coalesce.rx_usecs_irq,
            5 => &mut coalesce.rx_frames_irq,
            6 => &mut coalesce.tx_usecs,
            7 => &mut coalesce.tx_frames,
            8 => &mut coalesce.tx_usecs_irq,
            9 => &mut coalesce.tx_frames_irq,
            10 => &mut coalesce.stats_block_usecs,
            13 => &mut coalesce.pkt_rate_low_per_s,
            14 => &mut coalesce.rx_usecs_low,
            15 => &mut coalesce.rx_frames_low,
            16 => &mut coalesce.tx_usecs_low,
            17 => &mut coalesce.tx_frames_low,
            18 => &mut coalesce.pkt_rate_high_per_s,
            19 => &mut coalesce.rx_usecs_high,
            20 => &mut coalesce.rx_frames_high,
            21 => &mut coalesce.tx_usecs_high,
            22 => &mut coalesce.tx_frames_high,
            23 => &mut coalesce.sample_interval_secs,
            _ => {
                let field = match attribute {
                    11 => &mut coalesce.adaptive_rx,
                    12 => &mut coalesce.adaptive_tx,
                    24 => &mut coalesce.cqe_mode_tx,
                    25 => &mut coalesce.cqe_mode_rx,
                    _ => continue,
                };
                *field = flag(value);
                continue;
            }
        };
        *field = read_u32(value);
    }
    coalesce
}

fn flag(value: &[u8]) -> Option<bool> {
    value.first().map(|&flag| flag != 0)
}

/// The set `HW` names every feature, with a value if the device can switch it; the other sets name only their
/// members (`features_fill_reply` in `net/ethtool/features.c`, `ethnl_put_bitset32` in `bitset.c`). As in
/// ethtool, a feature that cannot or must not be switched is fixed.
fn offloads(message: &[u8]) -> BTreeMap<String, Offload> {
    let set = |wanted| bits(Attributes(message).value(wanted).unwrap_or_default());
    let (active, nochange) = (set(ETHTOOL_A_FEATURES_ACTIVE), set(ETHTOOL_A_FEATURES_NOCHANGE));
    set(ETHTOOL_A_FEATURES_HW)
        .into_iter()
        .map(|(name, can_switch)| {
            let offload = Offload {
                on: active.contains_key(&name),
                fixed: !can_switch || nochange.contains_key(&name),
            };
            (name, offload)
        })
        .filter(|(_, offload)| offload.on || !offload.fixed)
        .collect()
}

/// The named bits of a set, and whether each has a value.
fn bits(set: &[u8]) -> BTreeMap<String, bool> {
    let bits = Attributes(set).value(ETHTOOL_A_BITSET_BITS);
    let mut named = BTreeMap::new();
    for (_, bit) in Attributes(bits.unwrap_or_default()) {
        let name = Attributes(bit).value(ETHTOOL_A_BITSET_BIT_NAME).map(text).unwrap_or_default();
        // Bits that stand for no feature have no name.
        if !name.is_empty() {
            let name = String::from_utf8_lossy(name).into_owned();
            named.insert(name, Attributes(bit).value(ETHTOOL_A_BITSET_BIT_VALUE).is_some());
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            links,
            testing::{in_new_namespace, ip},
        },
        *,
    };

    fn numbers(attributes: &[(u16, u32)]) -> Vec<u8> {
        let mut message = Vec::new();
        push(&mut message, ETHTOOL_A_HEADER | NLA_F_NESTED, &[]);
        for (attribute, number) in attributes {
            push(&mut message, *attribute, &number.to_ne_bytes());
        }
        message
    }

    #[test]
    fn of_a_device() {
        let expected =
            Channels { combined: Some(4), combined_max: Some(8), rx_max: Some(1), ..Channels::default() };
        assert_eq!(channels(&numbers(&[(2, 1), (5, 8), (9, 4), (77, 1)])), expected);
        let expected = Rings { rx: Some(256), rx_max: Some(512), tx_push: Some(false), ..Rings::default() };
        assert_eq!(rings(&numbers(&[(2, 512), (6, 256), (11, 0), (13, 0)])), expected);
        assert_eq!(rings(&numbers(&[(11, 2)])).tcp_data_split, Some(true));
        assert_eq!(rings(&numbers(&[(11, 1)])).tcp_data_split, Some(false));
        let expected = Coalesce {
            rx_usecs: Some(3),
            tx_frames_high: Some(9),
            sample_interval_secs: Some(2),
            adaptive_rx: Some(true),
            cqe_mode_rx: Some(false),
            ..Coalesce::default()
        };
        assert_eq!(coalesce(&numbers(&[(2, 3), (22, 9), (23, 2), (11, 1), (25, 0)])), expected);
        // Truncated anywhere, it does not panic.
        let whole = numbers(&[(2, 3), (11, 1)]);
        for end in 0..whole.len() {
            coalesce(&whole[..end]);
        }
    }

    #[test]
    fn of_features() {
        let set = |bits: &[(&str, bool)]| {
            let mut list = Vec::new();
            for (name, value) in bits {
                let mut bit = Vec::new();
                push(&mut bit, 1, &0_u32.to_ne_bytes());
                push(&mut bit, ETHTOOL_A_BITSET_BIT_NAME, format!("{name}\0").as_bytes());
                if *value {
                    push(&mut bit, ETHTOOL_A_BITSET_BIT_VALUE, &[]);
                }
                push(&mut list, 1, &bit);
            }
            let mut set = Vec::new();
            push(&mut set, ETHTOOL_A_BITSET_BITS, &list);
            set
        };
        let mut message = Vec::new();
        let hw = set(&[
            ("rx-gro", true),
            ("rx-lro", true),
            ("loopback", false),
            ("netns-local", true),
            ("", true),
        ]);
        push(&mut message, ETHTOOL_A_FEATURES_HW, &hw);
        push(&mut message, ETHTOOL_A_FEATURES_ACTIVE, &set(&[("rx-gro", false), ("netns-local", false)]));
        push(&mut message, ETHTOOL_A_FEATURES_NOCHANGE, &set(&[("netns-local", false)]));
        let offload = |on, fixed| Offload { on, fixed };
        let expected = [
            ("netns-local", offload(true, true)),
            ("rx-gro", offload(true, false)),
            ("rx-lro", offload(false, false)),
        ];
        assert_eq!(offloads(&message), expected.map(|(name, offload)| (name.to_owned(), offload)).into());
        assert_eq!(offloads(&[]), BTreeMap::new());
    }

    #[test]
    fn of_a_veth() {
        in_new_namespace(|| {
            if !ip("link add nm_a numtxqueues 2 numrxqueues 2 type veth peer name nm_b") {
                return;
            }
            let link =
                links::links(&Netns::Own).unwrap().into_iter().find(|link| link.name == "nm_a").unwrap();
            let mut ethtool = Ethtool::open(&Netns::Own).unwrap();
            let channels = ethtool.channels(link.ifindex).unwrap();
            assert_eq!((channels.rx_max, channels.tx_max), (Some(2), Some(2)));
            assert_eq!(ethtool.speed_mbps(link.ifindex), Some(10_000));
            let offloads = ethtool.offloads(link.ifindex).unwrap();
            assert!(!offloads["rx-gro"].fixed && !offloads["tx-tcp-segmentation"].fixed);
            assert!(offloads["tx-tcp-segmentation"].on && !offloads.contains_key("rx-lro"));
            assert_eq!(ethtool.coalesce(link.ifindex), None);
            assert_eq!(ethtool.channels(1 << 30), None);
        });
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let (mut bit, mut set, mut message) = (Vec::new(), Vec::new(), Vec::new());
        push(&mut bit, ETHTOOL_A_BITSET_BIT_NAME, b"rx-gro\0");
        push(&mut bit, ETHTOOL_A_BITSET_BIT_VALUE, &[]);
        push(&mut set, 1 | NLA_F_NESTED, &bit);
        let bits = std::mem::take(&mut set);
        push(&mut set, ETHTOOL_A_BITSET_BITS | NLA_F_NESTED, &bits);
        for attribute in 1..10 {
            push(&mut message, attribute, &4_u32.to_ne_bytes());
        }
        push(&mut message, ETHTOOL_A_FEATURES_HW | NLA_F_NESTED, &set);
        push(&mut message, ETHTOOL_A_FEATURES_ACTIVE | NLA_F_NESTED, &set);
        testkit::fuzz::inputs("ethtool", &[&message], |message| {
            drop((channels(message), rings(message), coalesce(message), offloads(message)));
        });
    }
}
