//! Packets and bytes of each queue, as far as the driver counts them.

use std::{collections::BTreeMap, ffi::OsStr, io};

use super::{
    ethtool_ioctl::EthtoolIoctl,
    netlink::{Attributes, push, read_u32, read_u64},
    netns::Netns,
    queues::{Direction, dump},
};

const NETDEV_CMD_QSTATS_GET: u8 = 12;
const NETDEV_A_QSTATS_IFINDEX: u16 = 1;
const NETDEV_A_QSTATS_QUEUE_TYPE: u16 = 2;
const NETDEV_A_QSTATS_QUEUE_ID: u16 = 3;
const NETDEV_A_QSTATS_SCOPE: u16 = 4;
const NETDEV_A_QSTATS_RX_PACKETS: u16 = 8;
const NETDEV_A_QSTATS_RX_BYTES: u16 = 9;
const NETDEV_A_QSTATS_TX_PACKETS: u16 = 10;
const NETDEV_A_QSTATS_TX_BYTES: u16 = 11;
const NETDEV_QSTATS_SCOPE_QUEUE: u32 = 1;

/// What went through a queue since its driver began to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Packets.
    pub packets: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// The queues of one interface.
pub type QueuesCounted = BTreeMap<(Direction, u32), QueueCounts>;

/// The queues of all interfaces in a network namespace, by interface index, whose drivers tell the
/// kernel (`netdev_nl_stats_write_rx` in `net/core/netdev-genl.c`). Empty before Linux 6.10.
///
/// # Errors
/// No netlink socket can be created, or the kernel refuses for another reason than that it does not know the
/// request.
pub fn told_to_kernel(netns: &Netns) -> io::Result<BTreeMap<u32, QueuesCounted>> {
    let mut request = Vec::new();
    push(&mut request, NETDEV_A_QSTATS_SCOPE, &NETDEV_QSTATS_SCOPE_QUEUE.to_ne_bytes());
    let mut all: BTreeMap<u32, QueuesCounted> = BTreeMap::new();
    let told = dump(netns, NETDEV_CMD_QSTATS_GET, &request, parse)?;
    for (ifindex, key, counts) in told.into_iter().flatten() {
        all.entry(ifindex).or_default().insert(key, counts);
    }
    Ok(all)
}

fn parse(message: &[u8]) -> Option<(u32, (Direction, u32), QueueCounts)> {
    let number = |wanted| Attributes(message).value(wanted).and_then(read_u32);
    // An integer of either length.
    let count = |wanted| {
        let value = Attributes(message).value(wanted)?;
        read_u64(value).or_else(|| read_u32(value).map(u64::from))
    };
    let (direction, packets, bytes) = match number(NETDEV_A_QSTATS_QUEUE_TYPE)? {
        0 => (Direction::Rx, NETDEV_A_QSTATS_RX_PACKETS, NETDEV_A_QSTATS_RX_BYTES),
        1 => (Direction::Tx, NETDEV_A_QSTATS_TX_PACKETS, NETDEV_A_QSTATS_TX_BYTES),
        _ => return None,
    };
    let counts = QueueCounts { packets: count(packets), bytes: count(bytes) };
    // Some drivers tell other things of their queues than these, such as wakeups.
    if counts == QueueCounts::default() {
        return None;
    }
    Some((number(NETDEV_A_QSTATS_IFINDEX)?, (direction, number(NETDEV_A_QSTATS_QUEUE_ID)?), counts))
}

/// Drivers' own statistics (`ethtool -S`) of interfaces in a network namespace.
#[derive(Debug)]
pub struct Statistics(EthtoolIoctl);

impl Statistics {
    /// Takes a socket of the namespace.
    ///
    /// # Errors
    /// No socket can be created.
    pub fn open(netns: &Netns) -> io::Result<Self> {
        EthtoolIoctl::open(netns).map(Self)
    }

    /// All that the driver of an interface counts, by its names; empty if it counts nothing.
    pub fn all(&self, name: &OsStr) -> Vec<(String, u64)> {
        self.0.statistics(name).unwrap_or_default()
    }

    /// The queues of one interface.
    pub fn of(&self, name: &OsStr) -> QueuesCounted {
        named(self.all(name))
    }
}

/// The queues among a driver's statistics. Their names are the driver's choice, so only those count that can
/// mean nothing else, and only if there is one for each queue from 0 on.
pub fn named(statistics: impl IntoIterator<Item = (String, u64)>) -> QueuesCounted {
    let mut values: BTreeMap<(Direction, Unit), BTreeMap<u32, u64>> = BTreeMap::new();
    for (name, value) in statistics {
        if let Some((direction, queue, unit)) = meaning(&name) {
            values.entry((direction, unit)).or_default().insert(queue, value);
        }
    }
    // Each by itself: beside real queues may stand sizes of packets (`rx_64_bytes`).
    values.retain(|_, of| of.keys().copied().eq(0..u32::try_from(of.len()).unwrap_or(0)));
    let mut all = QueuesCounted::new();
    for ((direction, unit), of) in values {
        for (queue, value) in of {
            let counts = all.entry((direction, queue)).or_default();
            match unit {
                Unit::Packets => counts.packets = Some(value),
                Unit::Bytes => counts.bytes = Some(value),
            }
        }
    }
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Packets,
    Bytes,
}

/// What a name such as `rx_queue_3_packets`, `rx3_packets`, `tx-0.bytes` or `queue_1_tx_cnt` counts.
fn meaning(name: &str) -> Option<(Direction, u32, Unit)> {
    let (mut direction, mut queue, mut unit) = (None, None, None);
    for word in words(name) {
        let is_first = match word {
            "rx" | "rxq" => direction.replace(Direction::Rx).is_none(),
            "tx" | "txq" => direction.replace(Direction::Tx).is_none(),
            "packets" | "pkts" | "cnt" => unit.replace(Unit::Packets).is_none(),
            "bytes" => unit.replace(Unit::Bytes).is_none(),
            "queue" | "q" | "ring" => true,
            number => queue.replace(number.parse().ok()?).is_none(),
        };
        if !is_first {
            return None;
        }
    }
    Some((direction?, queue?, unit?))
}

/// Runs of letters, and runs of digits.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.flat_map(|part| {
        let chunks = part.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
        chunks.filter_map(|chunk| str::from_utf8(chunk).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_drivers() {
        use Direction::{Rx, Tx};
        let known = [
            // virtio_net, veth and ixgbe, igb, i40e, ena, mlx5.
            ("rx0_packets", (Rx, 0, Unit::Packets)),
            ("rx_queue_3_bytes", (Rx, 3, Unit::Bytes)),
            ("tx_queue_12_packets", (Tx, 12, Unit::Packets)),
            ("tx-0.bytes", (Tx, 0, Unit::Bytes)),
            ("queue_1_tx_cnt", (Tx, 1, Unit::Packets)),
            ("rx7_packets", (Rx, 7, Unit::Packets)),
        ];
        for (name, expected) in known {
            assert_eq!(meaning(name), Some(expected), "{name}");
        }
        let other =
            ["rx_packets", "rx0_xdp_packets", "rx_queue_0_drops", "rx_64_byte_packets", "rx_tx_1_bytes"];
        for name in
            other.into_iter().chain(["rx_1_to_2_bytes", "", "rx99999999999_packets", "port.rx_size_64"])
        {
            assert_eq!(meaning(name), None, "{name}");
        }
    }

    #[test]
    fn queues_without_the_first_are_none() {
        let of =
            |names: &[(&str, u64)]| named(names.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        let counts = |packets, bytes| QueueCounts { packets, bytes };
        let all = of(&[("rx0_packets", 5), ("rx0_bytes", 7), ("rx1_packets", 6), ("tx_64_bytes", 9)]);
        let expected =
            [((Direction::Rx, 0), counts(Some(5), Some(7))), ((Direction::Rx, 1), counts(Some(6), None))];
        assert_eq!(all, expected.into());
        let sizes = of(&[("rx0_packets", 5), ("rx1_packets", 6), ("rx_64_bytes", 9)]);
        let expected =
            [((Direction::Rx, 0), counts(Some(5), None)), ((Direction::Rx, 1), counts(Some(6), None))];
        assert_eq!(sizes, expected.into());
    }

    #[test]
    fn a_message() {
        let mut message = Vec::new();
        push(&mut message, NETDEV_A_QSTATS_IFINDEX, &4_u32.to_ne_bytes());
        push(&mut message, NETDEV_A_QSTATS_QUEUE_TYPE, &1_u32.to_ne_bytes());
        push(&mut message, NETDEV_A_QSTATS_QUEUE_ID, &2_u32.to_ne_bytes());
        push(&mut message, NETDEV_A_QSTATS_TX_PACKETS, &70_u32.to_ne_bytes());
        push(&mut message, NETDEV_A_QSTATS_TX_BYTES, &(1_u64 << 40).to_ne_bytes());
        let counts = QueueCounts { packets: Some(70), bytes: Some(1 << 40) };
        assert_eq!(parse(&message), Some((4, (Direction::Tx, 2), counts)));
        assert_eq!(parse(&message[..24]), None, "without a count");
        testkit::fuzz::inputs("queue_counters", &[&message], |message| {
            std::hint::black_box(parse(message));
        });
    }

    #[test]
    fn of_this_machine() {
        let known = super::super::links::links(&Netns::Own).unwrap();
        let told = told_to_kernel(&Netns::Own).unwrap();
        assert!(told.keys().all(|ifindex| known.iter().any(|link| link.ifindex == *ifindex)));
        assert_eq!(Statistics::open(&Netns::Own).unwrap().of(OsStr::new("nm_nothing")), QueuesCounted::new());
    }
}
