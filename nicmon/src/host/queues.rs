//! Which NAPI serves which queue.

use std::{io, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    generic::Family,
    netlink::{Ask, Attributes, read_u32},
    netns::Netns,
};
use crate::frame::topology::QueueKind;

const NETDEV_CMD_QUEUE_GET: u8 = 10;
const NETDEV_CMD_NAPI_GET: u8 = 11;
const NETDEV_A_QUEUE_ID: u16 = 1;
const NETDEV_A_QUEUE_IFINDEX: u16 = 2;
const NETDEV_A_QUEUE_TYPE: u16 = 3;
const NETDEV_A_QUEUE_NAPI_ID: u16 = 4;
const NETDEV_A_NAPI_ID: u16 = 2;
const NETDEV_A_NAPI_IRQ: u16 = 3;

/// Direction of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Received packets.
    Rx,
    /// Packets to send.
    Tx,
}

impl From<Direction> for QueueKind {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Rx => Self::Rx,
            Direction::Tx => Self::Tx,
        }
    }
}

/// One queue that a NAPI is known to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueNapi {
    /// The interface.
    pub ifindex: u32,
    /// Number of the queue, each direction counting from 0.
    pub queue: u32,
    /// Its direction.
    pub direction: Direction,
    /// The kernel's id of the NAPI; never 0.
    pub napi_id: u32,
}

/// The queues of a namespace, in the order in which [`of_napi`] looks for them.
pub fn sorted(mut queues: Vec<QueueNapi>) -> Arc<[QueueNapi]> {
    queues.sort_unstable_by_key(|queue| (queue.ifindex, queue.napi_id));
    queues.into()
}

/// Loads queues that may have been saved in another order.
pub(super) fn load<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Arc<[QueueNapi]>>, D::Error> {
    Ok(Option::<Vec<QueueNapi>>::deserialize(from)?.map(sorted))
}

/// The queues that a NAPI serves, of those that [`sorted`] returned.
pub fn of_napi(sorted: &[QueueNapi], ifindex: u32, napi_id: u32) -> &[QueueNapi] {
    let key = |queue: &QueueNapi| (queue.ifindex, queue.napi_id);
    let first = sorted.partition_point(|queue| key(queue) < (ifindex, napi_id));
    let count = sorted[first..].partition_point(|queue| key(queue) == (ifindex, napi_id));
    &sorted[first..first + count]
}

/// The queues of all interfaces in a network namespace that are up, and whose driver
/// reports their NAPIs (`netif_queue_set_napi`). `None` if the kernel cannot report them (before 6.8).
///
/// The format is that of `netdev_nl_queue_fill_one` (`net/core/netdev-genl.c`,
/// Documentation/netlink/specs/netdev.yaml). It takes the kernel's RTNL lock, so do not call it every
/// interval.
///
/// # Errors
/// No netlink socket can be created, or the kernel refuses for another reason than that it does not know the
/// request.
pub fn queues(netns: &Netns) -> io::Result<Option<Vec<QueueNapi>>> {
    dump(netns, NETDEV_CMD_QUEUE_GET, &[], parse)
}

/// The interrupts of NAPIs as (NAPI id, irq), if their driver reports them (`netif_napi_set_irq`). Namespace,
/// cost and errors are those of [`queues()`].
///
/// # Errors
/// As [`queues()`].
pub fn napi_irqs(netns: &Netns) -> io::Result<Option<Vec<(u32, u32)>>> {
    dump(netns, NETDEV_CMD_NAPI_GET, &[], parse_napi)
}

/// All that the family `netdev` answers to a command with these attributes, for a network
/// namespace; `None` if the kernel does not know the command.
pub(super) fn dump<T>(
    netns: &Netns,
    command: u8,
    attributes: &[u8],
    parse: fn(&[u8]) -> Option<T>,
) -> io::Result<Option<Vec<T>>> {
    let unknown = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP));
    let mut found = Vec::new();
    // An interrupted dump is good enough: the change of links that interrupted it leads to another.
    let done = Family::open(netns, b"netdev\0").and_then(|mut family| {
        family.ask(Ask::All, command, attributes, |message| found.extend(parse(message)))
    });
    match done {
        Ok(_) => Ok(Some(found)),
        Err(error) if unknown(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `netdev_nl_napi_fill_one` (`net/core/netdev-genl.c`).
fn parse_napi(message: &[u8]) -> Option<(u32, u32)> {
    let number = |wanted| Attributes(message).value(wanted).and_then(read_u32);
    Some((number(NETDEV_A_NAPI_ID)?, number(NETDEV_A_NAPI_IRQ)?))
}

fn parse(message: &[u8]) -> Option<QueueNapi> {
    let (mut ifindex, mut queue, mut kind, mut napi_id) = (None, None, None, None);
    for (attribute, value) in Attributes(message) {
        match attribute {
            NETDEV_A_QUEUE_ID => queue = read_u32(value),
            NETDEV_A_QUEUE_IFINDEX => ifindex = read_u32(value),
            NETDEV_A_QUEUE_TYPE => kind = read_u32(value),
            NETDEV_A_QUEUE_NAPI_ID => napi_id = read_u32(value),
            _ => {}
        }
    }
    let direction = match kind? {
        0 => Direction::Rx,
        1 => Direction::Tx,
        _ => return None,
    };
    Some(QueueNapi { ifindex: ifindex?, queue: queue?, direction, napi_id: napi_id.filter(|&id| id != 0)? })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            links,
            netlink::push,
            testing::{in_new_namespace, ip},
        },
        *,
    };

    #[test]
    fn messages() {
        let message = |direction: u32, napi_id: Option<u32>| {
            let mut message = Vec::new();
            push(&mut message, NETDEV_A_QUEUE_ID, &5_u32.to_ne_bytes());
            push(&mut message, NETDEV_A_QUEUE_TYPE, &direction.to_ne_bytes());
            push(&mut message, NETDEV_A_QUEUE_IFINDEX, &2_u32.to_ne_bytes());
            if let Some(id) = napi_id {
                push(&mut message, NETDEV_A_QUEUE_NAPI_ID, &id.to_ne_bytes());
            }
            message
        };
        let expected = QueueNapi { ifindex: 2, queue: 5, direction: Direction::Tx, napi_id: 8193 };
        assert_eq!(parse(&message(1, Some(8193))), Some(expected));
        assert_eq!(parse(&message(0, Some(8193))), Some(QueueNapi { direction: Direction::Rx, ..expected }));
        assert_eq!(parse(&message(0, None)), None);
        assert_eq!(parse(&message(0, Some(0))), None);
        assert_eq!(parse(&message(2, Some(8193))), None);
        assert_eq!(parse(&[]), None);

        let mut napi = Vec::new();
        push(&mut napi, NETDEV_A_NAPI_ID, &8193_u32.to_ne_bytes());
        assert_eq!(parse_napi(&napi), None);
        push(&mut napi, NETDEV_A_NAPI_IRQ, &38_u32.to_ne_bytes());
        assert_eq!(parse_napi(&napi), Some((8193, 38)));
    }

    #[test]
    fn of_this_namespace() {
        if let (Some(queues), Some(irqs)) = (queues(&Netns::Own).unwrap(), napi_irqs(&Netns::Own).unwrap()) {
            let served = |napi_id| queues.iter().any(|queue| queue.napi_id == napi_id);
            assert!(irqs.iter().all(|&(napi_id, _)| served(napi_id)));
        }
        match queues(&Netns::Own).unwrap() {
            None => testkit::not_run::say_of_this_thread("this kernel has no queue-get"),
            Some(queues) => {
                let known = links::links(&Netns::Own).unwrap();
                assert!(queues.iter().all(|queue| known.iter().any(|link| link.ifindex == queue.ifindex)));
            }
        }
    }

    #[test]
    fn queues_of_a_napi_are_found_in_any_order() {
        let queue = |ifindex, napi_id, queue| QueueNapi { ifindex, queue, direction: Direction::Rx, napi_id };
        let all = [queue(3, 9, 1), queue(2, 8, 0), queue(2, 7, 5), queue(2, 8, 4), queue(4, 1, 0)];
        let saved = serde_json::to_value(Some(all)).unwrap();
        let all = load(saved).unwrap().unwrap();
        let numbers = |ifindex, napi_id| {
            let mut numbers: Vec<u32> = of_napi(&all, ifindex, napi_id).iter().map(|own| own.queue).collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!((numbers(2, 8), numbers(2, 7), numbers(3, 9)), (vec![0, 4], vec![5], vec![1]));
        assert!(numbers(1, 1).is_empty() && numbers(2, 9).is_empty() && numbers(9, 9).is_empty());
    }

    #[test]
    fn of_an_empty_namespace() {
        in_new_namespace(|| {
            if ip("link add nm_a type veth peer name nm_b") && ip("link set nm_a up") {
                let all = queues(&Netns::Own).unwrap();
                assert!(all.is_none_or(|queues| queues.iter().all(|queue| queue.ifindex > 1)));
            }
        });
    }

    #[test]
    fn anything_is_read_without_a_panic() {
        let mut message = Vec::new();
        for attribute in
            [NETDEV_A_QUEUE_ID, NETDEV_A_QUEUE_IFINDEX, NETDEV_A_QUEUE_TYPE, NETDEV_A_QUEUE_NAPI_ID]
        {
            push(&mut message, attribute, &1_u32.to_ne_bytes());
        }
        testkit::fuzz::inputs("queues", &[&message], |message| {
            std::hint::black_box((parse(message), parse_napi(message)));
        });
    }
}
