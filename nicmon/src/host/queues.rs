//! Which NAPI serves which queue.

use std::io;

use super::netlink::{Ask, Attributes, Socket, push, read_u16, read_u32};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_QUEUE_GET: u8 = 10;
const NETDEV_A_QUEUE_ID: u16 = 1;
const NETDEV_A_QUEUE_IFINDEX: u16 = 2;
const NETDEV_A_QUEUE_TYPE: u16 = 3;
const NETDEV_A_QUEUE_NAPI_ID: u16 = 4;
/// Of `struct genlmsghdr`: command, version, reserved.
const GENLMSGHDR_BYTES: usize = 4;

/// What a queue carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Received packets.
    Rx,
    /// Packets to send.
    Tx,
}

/// One queue that a NAPI is known to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// The queues of all interfaces of the network namespace of the calling thread whose driver tells their NAPI
/// (`netif_queue_set_napi`) and that are up; `None` where the kernel cannot tell (before 6.8).
///
/// The format is that of `netdev_nl_queue_fill_one` (`net/core/netdev-genl.c`,
/// Documentation/netlink/specs/netdev.yaml). It takes the kernel's RTNL lock: not for every interval.
///
/// # Errors
/// No netlink socket can be had, or the kernel refuses for another reason than that it does not know the
/// question.
pub fn queues() -> io::Result<Option<Vec<QueueNapi>>> {
    let unknown = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP));
    match dump() {
        Ok(queues) => Ok(Some(queues)),
        Err(error) if unknown(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn dump() -> io::Result<Vec<QueueNapi>> {
    let mut socket = Socket::open(Some(rustix::net::netlink::GENERIC))?;
    let mut get_family = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
    push(&mut get_family, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
    let mut family = None;
    socket.ask(Ask::One, GENL_ID_CTRL, &get_family, |message| {
        let attributes = message.get(GENLMSGHDR_BYTES..).unwrap_or_default();
        family = Attributes(attributes)
            .find(|(attribute, _)| *attribute == CTRL_ATTR_FAMILY_ID)
            .and_then(|(_, id)| read_u16(id));
    })?;
    let family = family.ok_or(io::ErrorKind::InvalidData)?;

    let mut queues = Vec::new();
    // An interrupted dump is as good as a complete one: the next follows the change of links that broke into
    // it.
    socket
        .ask(Ask::All, family, &[NETDEV_CMD_QUEUE_GET, 1, 0, 0], |message| queues.extend(parse(message)))?;
    Ok(queues)
}

fn parse(message: &[u8]) -> Option<QueueNapi> {
    let (mut ifindex, mut queue, mut kind, mut napi_id) = (None, None, None, None);
    for (attribute, value) in Attributes(message.get(GENLMSGHDR_BYTES..)?) {
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
            testing::{in_new_namespace, ip},
        },
        *,
    };

    #[test]
    fn messages() {
        let message = |direction: u32, napi_id: Option<u32>| {
            let mut message = vec![NETDEV_CMD_QUEUE_GET, 1, 0, 0];
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
    }

    #[test]
    fn of_this_namespace() {
        match queues().unwrap() {
            None => eprintln!("DID NOT RUN: this kernel has no queue-get"),
            Some(queues) => {
                let known = links::links().unwrap();
                assert!(queues.iter().all(|queue| known.iter().any(|link| link.ifindex == queue.ifindex)));
            }
        }
    }

    #[test]
    fn of_an_empty_namespace() {
        in_new_namespace(|| {
            if ip("link add nm_a type veth peer name nm_b") && ip("link set nm_a up") {
                let all = queues().unwrap();
                assert!(all.is_none_or(|queues| queues.iter().all(|queue| queue.ifindex > 1)));
            }
        });
    }
}
