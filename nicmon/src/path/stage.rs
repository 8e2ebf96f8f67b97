//! In which stage of a packet's way it was dropped.

use super::model::PathStage;
use crate::{counters::PathPlace, frame::Stage};

/// How a drop counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// A packet lost in this stage.
    In(PathStage),
    /// A packet lost by TCP, after the counter of segments had it.
    InTcp,
    /// A copy for a packet socket: the packet itself went on.
    Copy,
}

/// Reasons (`include/net/dropreason-core.h`) that can only be of one stage; one that ends in `*` is a prefix.
const REASONS: [(&str, PathStage); 21] = [
    ("XDP", PathStage::Core),
    ("TC_INGRESS", PathStage::Core),
    ("UNHANDLED_PROTO", PathStage::Core),
    ("OTHERHOST", PathStage::Core),
    ("NETFILTER_DROP", PathStage::Netfilter),
    ("QDISC_*", PathStage::Queue),
    ("TC_EGRESS", PathStage::Queue),
    ("NEIGH_*", PathStage::Queue),
    ("DEV_*", PathStage::Queue),
    ("SKB_GSO_SEG", PathStage::Queue),
    ("FULL_RING", PathStage::Transmit),
    ("IP_*", PathStage::Ip),
    ("IPV6*", PathStage::Ip),
    ("FRAG*", PathStage::Ip),
    ("DUP_FRAG", PathStage::Ip),
    ("XFRM_*", PathStage::Ip),
    ("UNICAST_IN_L2_MULTICAST", PathStage::Ip),
    ("SOCKET_*", PathStage::Socket),
    ("PROTO_MEM", PathStage::Socket),
    ("UDP_CSUM", PathStage::Socket),
    ("ICMP_CSUM", PathStage::Socket),
];

/// Functions that put packets into the backlog, for kernels that give no reason. The compiler may make one
/// function of them (net/core/dev.c).
const BACKLOG: [&str; 4] = [
    "enqueue_to_backlog",
    "netif_rx_internal",
    "netif_receive_skb_internal",
    "netif_receive_skb_list_internal",
];

/// Where a packet was lost: by the reason if that can only be of one stage, else by the function that dropped
/// it, and by the stage of the stack that this is of.
pub(super) fn lost_in(reason: Option<&str>, name: Option<&str>, function: Stage, place: PathPlace) -> Lost {
    // A veth passes on packets that still belong to the socket of their sender, as if they were on their way
    // out.
    if reason == Some("CPU_BACKLOG") || name.is_some_and(|name| BACKLOG.contains(&name)) {
        return Lost::In(PathStage::Gro);
    }

    match (place, function) {
        (PathPlace::Entering, Stage::Gro) => return Lost::In(PathStage::Gro),
        // All else before the stack receives a packet is the driver's, also if its code is in a library.
        (PathPlace::Entering, _) => return Lost::In(PathStage::Driver),

        (PathPlace::Outgoing, _) => return Lost::In(PathStage::Queue),
        (PathPlace::Received, Stage::Tap) => return Lost::Copy,
        (PathPlace::Received, Stage::Tcp) => return Lost::InTcp,
        (PathPlace::Received, _) => {}
    }
    let fits = |pattern: &str, reason: &str| {
        pattern.strip_suffix('*').map_or(pattern == reason, |prefix| reason.starts_with(prefix))
    };
    let by_reason = reason.and_then(|reason| REASONS.iter().find(|(pattern, _)| fits(pattern, reason)));
    if let Some((_, stage)) = by_reason {
        return Lost::In(*stage);
    }
    Lost::In(match function {
        Stage::Udp => PathStage::Socket,
        Stage::Netfilter | Stage::Conntrack => PathStage::Netfilter,
        Stage::Ip => PathStage::Ip,
        Stage::Gro => PathStage::Gro,
        _ => PathStage::Core,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_counts_before_a_function() {
        let of = |reason, function| lost_in(reason, None, function, PathPlace::Received);
        // Netfilter's verdict is carried out by IP's code on some kernels.
        assert_eq!(of(Some("NETFILTER_DROP"), Stage::Ip), Lost::In(PathStage::Netfilter));
        assert_eq!(of(Some("IP_INNOROUTES"), Stage::Ip), Lost::In(PathStage::Ip));
        assert_eq!(of(Some("NOT_SPECIFIED"), Stage::Udp), Lost::In(PathStage::Socket));
        assert_eq!(of(None, Stage::Netfilter), Lost::In(PathStage::Netfilter));
        assert_eq!(of(Some("XDP"), Stage::Bpf), Lost::In(PathStage::Core));
        assert_eq!(of(Some("NO_SOCKET"), Stage::Tcp), Lost::InTcp);
        assert_eq!(of(Some("NO_SOCKET"), Stage::Udp), Lost::In(PathStage::Socket));
        assert_eq!(of(Some("PACKET_SOCK_ERROR"), Stage::Tap), Lost::Copy);
        let entering = |reason, function| lost_in(reason, None, function, PathPlace::Entering);
        assert_eq!(entering(Some("CPU_BACKLOG"), Stage::Other), Lost::In(PathStage::Gro));
        assert_eq!(entering(None, Stage::Gro), Lost::In(PathStage::Gro));
        assert_eq!(entering(Some("NOT_SPECIFIED"), Stage::Other), Lost::In(PathStage::Driver));
        assert_eq!(
            lost_in(Some("QDISC_DROP"), None, Stage::Other, PathPlace::Outgoing),
            Lost::In(PathStage::Queue)
        );
        let by_function = lost_in(None, Some("netif_rx_internal"), Stage::Other, PathPlace::Outgoing);
        assert_eq!(by_function, Lost::In(PathStage::Gro));
    }
}
