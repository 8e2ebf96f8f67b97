//! What queueing disciplines count.

use std::io;

use super::{
    netlink::{Ask, Attributes, Socket, read_u32},
    netns::Netns,
};

const RTM_GETQDISC: u16 = 38;
const TC_H_ROOT: u32 = u32::MAX;
const TCA_STATS2: u16 = 7;
const TCA_STATS_QUEUE: u16 = 3;
/// Size of `struct tcmsg`: family, padding, index, handle, parent, info.
const TCMSG_BYTES: usize = 20;
/// Where `struct gnet_stats_queue` (`include/uapi/linux/gen_stats.h`) has it.
const REQUEUES_AT: usize = 12;

/// How often a packet was put back into the root queueing discipline of an interface in the calling thread's
/// namespace, because the driver's queue was full (`dev_requeue_skb`, `net/sched/sch_generic.c`). It wraps
/// around at 2^32. `None` if the interface has no such discipline.
///
/// The kernel tells everyone who follows changes of traffic control, too (`tc monitor`, some network
/// managers), so ask only when there is a reason.
///
/// # Errors
/// No netlink socket can be created, or the kernel refuses.
pub fn requeues(ifindex: u32) -> io::Result<Option<u32>> {
    let mut requeues = None;
    Socket::open(&Netns::Own, None)?.ask(Ask::Echo, RTM_GETQDISC, &request(ifindex), |message| {
        requeues = parse(message);
    })?;
    Ok(requeues)
}

fn request(ifindex: u32) -> [u8; TCMSG_BYTES] {
    let mut request = [0; TCMSG_BYTES];
    request[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    request[12..16].copy_from_slice(&TC_H_ROOT.to_ne_bytes());
    request
}

fn parse(message: &[u8]) -> Option<u32> {
    let stats = Attributes(message.get(TCMSG_BYTES..)?).value(TCA_STATS2)?;
    let queue = Attributes(stats).value(TCA_STATS_QUEUE)?;
    read_u32(queue.get(REQUEUES_AT..)?)
}

#[cfg(test)]
mod tests {
    use super::{super::netlink::push, *};

    #[test]
    fn a_message() {
        let mut queue = Vec::new();
        push(&mut queue, TCA_STATS_QUEUE, &[1_u32, 2, 3, 4, 5].map(u32::to_ne_bytes).concat());
        let mut message = request(7).to_vec();
        assert_eq!(parse(&message), None);
        push(&mut message, TCA_STATS2, &queue);
        assert_eq!(parse(&message), Some(4));
        for end in 0..message.len() {
            assert_eq!(parse(&message[..end]), None, "{end}");
        }
    }

    #[test]
    fn of_loopback_and_of_nothing() {
        // Loopback has no queue, so nothing is put back.
        assert!(matches!(requeues(1), Ok(None | Some(0))));
        assert_eq!(requeues(i32::MAX.cast_unsigned()).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
