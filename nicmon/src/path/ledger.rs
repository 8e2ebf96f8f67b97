//! From two readings to the ledger: a pure function.

use std::{cmp::Reverse, collections::HashMap};

use nicmon_common::Passed;

use super::{
    counters::Counters,
    model::{Loss, Onward, PacketPath, PathStage, QueueShare, SCHEMA, StageCounts, all_elsewhere, all_lost},
    stage::{Lost, lost_in},
    time::StageTimes,
    xdp::XdpCounts,
};
use crate::{
    frame::{Nic, Stage, topology},
    host::{links::LinkStats, queue_counters::QueueCounts, queues::Direction},
    symbols::{Kallsyms, stage_of},
};

/// The part of a NIC's packets that other interfaces may carry, lest counters of the namespace say nothing
/// about it.
const OTHERS: f64 = 0.001;

/// All that the ledger is made of.
pub struct Observed<'a> {
    /// How the NIC is set up.
    pub setup: &'a topology::Nic,
    /// What the counters grew by.
    pub grown: &'a Counters,
    /// How long that took.
    pub interval_ns: u64,
    /// The NIC in the frames that were measured before, as one, and how long that was.
    pub timed: Option<(&'a Nic, u64)>,
    /// The names of the functions that dropped packets.
    pub kallsyms: Option<&'a Kallsyms>,
}

/// The ledger of a NIC; `None` if its counters were reset or it is gone.
pub fn ledger(seen: &Observed<'_>) -> Option<PacketPath> {
    let (nic, grown) = (seen.setup, seen.grown);
    let link = *grown.links.get(&nic.ifindex)?;
    let mut drops = Drops::of(seen);
    let shared = why_shared(nic, grown, link);
    let xdp = XdpCounts::of(&grown.driver);
    let times = seen.timed.map(|(timed, _)| StageTimes::of(timed));
    let lost_in_gro = drops.take(PathStage::Gro);
    let taken = taken_by_driver(nic, link, grown, &lost_in_gro);
    let mut receive = vec![
        ring(link, taken),
        driver(taken, xdp, grown, drops.take(PathStage::Driver)),
        gro(grown, lost_in_gro, drops.entering_segments),
    ];
    receive.extend(stack(grown, &mut drops, shared.is_none()));
    for stage in &mut receive {
        if let Some((est, ci)) = times.as_ref().and_then(|times| times.of_stage(stage.stage)) {
            (stage.est_ns_per_packet, stage.est_ci_ns_per_packet) = (Some(est), Some(ci));
        }
    }
    let transmit = transmit(link, &mut drops);
    let copies = drops.copies;
    let notes = [
        shared,
        xdp.note(nic),
        (copies > 0).then(|| format!("Packet sockets lost {copies} copies of packets, which went on.")),
        seen.kallsyms.is_none().then(|| {
            "The kernel's symbols cannot be read, so losses without a reason are in the stage core."
                .to_owned()
        }),
    ];
    Some(PacketPath {
        schema: SCHEMA.to_owned(),
        nic: nic.name.clone(),
        ifindex: nic.ifindex,
        netns: nic.netns,
        driver: nic.driver.clone(),
        interval_ns: seen.interval_ns,
        timed_ns: seen.timed.map_or(0, |(_, ns)| ns),
        receive,
        transmit,
        queues: queues(grown),
        poll_ns_per_packet: times.and_then(|times| times.poll_ns_per_packet),
        drops_lost: grown.programs.drops_lost,
        notes: notes.into_iter().flatten().collect(),
    })
}

/// Why the counters of the namespace are not those of this NIC.
fn why_shared(nic: &topology::Nic, grown: &Counters, link: LinkStats) -> Option<String> {
    let upper = nic.master.clone().into_iter().chain(nic.upper.clone().into_iter().flatten()).next();
    if let Some(upper) = upper {
        return Some(format!(
            "Its packets go on to {upper}, so what happens to them after the stage core is unknown here: ask \
             for the path of {upper}."
        ));
    }
    let others = grown.links.iter().filter(|(ifindex, _)| **ifindex != nic.ifindex);
    let others = others.fold(0_u64, |sum, (_, other)| sum.saturating_add(other.rx_packets));
    let is_alone = others as f64 <= link.rx_packets as f64 * OTHERS;
    (!is_alone).then(|| {
        format!(
            "Other interfaces of this namespace received {others} packets, and IP counts all of them \
             together: what happens after the stage core is unknown, except for drops."
        )
    })
}

/// Drops by stage. What a stage has taken is gone.
struct Drops {
    by_stage: HashMap<PathStage, Vec<Loss>>,
    /// Segments of those lost before GRO was done.
    entering_segments: u64,
    /// Of those in the stage of sockets, by TCP.
    tcp: u64,
    copies: u64,
}

impl Drops {
    fn of(seen: &Observed<'_>) -> Self {
        let mut this = Self { by_stage: HashMap::new(), entering_segments: 0, tcp: 0, copies: 0 };
        for (at, passed) in &seen.grown.programs.drops {
            let function = seen.kallsyms.and_then(|kallsyms| kallsyms.function_at(at.location));
            let of = function.as_ref().map_or(Stage::Other, stage_of);
            let function = function.map(|function| function.name);
            let stage = match lost_in(at.reason.as_deref(), function, of, at.place) {
                Lost::Copy => {
                    this.copies += passed.packets;
                    continue;
                }
                Lost::InTcp => {
                    this.tcp += passed.packets;
                    PathStage::Socket
                }
                Lost::In(stage) => stage,
            };
            if stage == PathStage::Gro {
                this.entering_segments += passed.segments;
            }
            let function = function.map(str::to_owned);
            this.by_stage.entry(stage).or_default().push(Loss {
                by: at.reason.clone(),
                function,
                packets: passed.packets,
            });
        }
        this
    }

    fn take(&mut self, stage: PathStage) -> Vec<Loss> {
        let mut lost = self.by_stage.remove(&stage).unwrap_or_default();
        lost.sort_by(|one, other| (Reverse(one.packets), &one.by).cmp(&(Reverse(other.packets), &other.by)));
        lost
    }
}

/// A stage whose parts are all known, or not.
fn stage(
    stage: PathStage,
    packets: Option<u64>,
    lost: Vec<Loss>,
    elsewhere: Vec<Onward>,
    next: Option<u64>,
) -> StageCounts {
    let gone = all_lost(&lost).saturating_add(all_elsewhere(&elsewhere));
    let unexplained = packets.zip(next).map(|(packets, next)| signed(packets) - signed(gone) - signed(next));
    StageCounts { stage, packets, lost, elsewhere, next, unexplained, ..StageCounts::default() }
}

fn signed(packets: u64) -> i64 {
    i64::try_from(packets).unwrap_or(i64::MAX)
}

fn by_counter(name: &str, packets: u64) -> Option<Loss> {
    (packets > 0).then(|| Loss { by: Some(name.to_owned()), function: None, packets })
}

fn onward(to: &str, packets: u64) -> Option<Onward> {
    (packets > 0).then(|| Onward { to: to.to_owned(), packets })
}

/// Packets that the driver handed over. veth and loopback count only those that the backlog took
/// (`veth_xmit` in drivers/net/veth.c, `loopback_xmit` in drivers/net/loopback.c).
fn taken_by_driver(nic: &topology::Nic, link: LinkStats, grown: &Counters, lost: &[Loss]) -> u64 {
    let programs = &grown.programs;
    let counts_late = nic.kind.as_deref() == Some("veth") || nic.name == "lo";
    let is_queued = counts_late && programs.queued.packets > programs.entered.packets;
    link.rx_packets.saturating_add(if is_queued { all_lost(lost) } else { 0 })
}

/// Only the NIC's own counters know its ring, so there is nothing to compare.
fn ring(link: LinkStats, taken: u64) -> StageCounts {
    let lost = [
        by_counter("rx_missed_errors", link.rx_missed),
        by_counter("rx_fifo_errors", link.rx_fifo),
        by_counter("rx_crc_errors", link.rx_crc),
    ];
    let lost: Vec<Loss> = lost.into_iter().flatten().collect();
    let packets = taken.saturating_add(all_lost(&lost));
    let ring = stage(PathStage::Ring, Some(packets), lost, Vec::new(), Some(taken));
    StageCounts { unexplained: None, ..ring }
}

/// A driver whose XDP program sees packets as the stack does (veth) drops them as the stack does, and its
/// counter has them, too.
fn driver(taken: u64, xdp: XdpCounts, grown: &Counters, drops: Vec<Loss>) -> StageCounts {
    let is_counted = |loss: &Loss| {
        xdp.dropped > 0 && loss.function.as_deref().is_some_and(|function| function.contains("xdp"))
    };
    let mut lost: Vec<Loss> = drops.into_iter().filter(|loss| !is_counted(loss)).collect();
    lost.extend(by_counter("xdp_drop (ethtool -S)", xdp.dropped));
    let elsewhere = [onward("xdp_tx", xdp.sent), onward("xdp_redirect", xdp.redirected)];
    let elsewhere = elsewhere.into_iter().flatten().collect();
    stage(PathStage::Driver, Some(taken), lost, elsewhere, Some(handed_over(grown).packets))
}

/// Packets that the driver gave to the stack.
fn handed_over(grown: &Counters) -> Passed {
    let (entered, queued) = (grown.programs.entered, grown.programs.queued);
    Passed {
        packets: entered.packets.saturating_add(queued.packets),
        segments: entered.segments.saturating_add(queued.segments),
    }
}

/// Packets as they were before GRO are conserved: what is lost of them is unexplained.
fn gro(grown: &Counters, lost: Vec<Loss>, lost_segments: u64) -> StageCounts {
    let (entered, received) = (handed_over(grown), grown.programs.received);
    let merged_in = |packets: u64, segments: u64| segments.saturating_sub(packets);
    let merged = merged_in(received.packets, received.segments)
        .saturating_add(merged_in(all_lost(&lost), lost_segments))
        .saturating_sub(merged_in(entered.packets, entered.segments));
    let elsewhere = onward("merged into others", merged).into_iter().collect();
    stage(PathStage::Gro, Some(entered.packets), lost, elsewhere, Some(received.packets))
}

/// From the core of the stack to sockets. `is_alone` says whether the namespace's counters are this NIC's.
fn stack(grown: &Counters, drops: &mut Drops, is_alone: bool) -> [StageCounts; 4] {
    let both = |v4, v6| grown.both_ips(v4, v6).filter(|_| is_alone);
    let programs = &grown.programs;
    let lost = drops.take(PathStage::Core);
    let unhandled =
        lost.iter().filter(|loss| loss.by.as_deref() == Some("UNHANDLED_PROTO")).map(|loss| loss.packets);
    let others = programs.received.packets.saturating_sub(programs.ipv4 + programs.ipv6);
    let others = onward("other protocols than IP", others.saturating_sub(unhandled.sum()));
    let in_receives = both("IpInReceives", "Ip6InReceives");
    let core = stage(
        PathStage::Core,
        Some(programs.received.packets),
        lost,
        others.into_iter().collect(),
        in_receives,
    );

    let lost = drops.take(PathStage::Netfilter);
    let passed = in_receives.map(|packets| packets.saturating_sub(all_lost(&lost)));
    let netfilter = StageCounts {
        unexplained: None,
        ..stage(PathStage::Netfilter, in_receives, lost, Vec::new(), passed)
    };

    let fragments = both("IpReasmReqds", "Ip6ReasmReqds")
        .map(|joined| joined.saturating_sub(both("IpReasmOKs", "Ip6ReasmOKs").unwrap_or(0)));
    let elsewhere = [
        both("IpForwDatagrams", "Ip6OutForwDatagrams").and_then(|packets| onward("forwarded", packets)),
        fragments.and_then(|packets| onward("fragments joined", packets)),
    ];
    let delivered = both("IpInDelivers", "Ip6InDelivers");
    let lost = drops.take(PathStage::Ip);
    let ip = stage(PathStage::Ip, passed, lost, elsewhere.into_iter().flatten().collect(), delivered);
    [core, netfilter, ip, sockets(grown, drops, delivered)]
}

/// UDP counts a datagram when a program reads it, TCP a segment when it arrives.
fn sockets(grown: &Counters, drops: &mut Drops, delivered: Option<u64>) -> StageCounts {
    const ARRIVED: [&str; 6] = [
        "UdpInDatagrams",
        "Udp6InDatagrams",
        "UdpLiteInDatagrams",
        "UdpLite6InDatagrams",
        "IcmpInMsgs",
        "Icmp6InMsgs",
    ];
    let count = |name: &str| grown.ip.get(name).copied().unwrap_or(0);
    let tcp = count("TcpInSegs").saturating_sub(drops.tcp);
    let arrived = ARRIVED.iter().fold(tcp, |sum, name| sum.saturating_add(count(name)));
    let lost = drops.take(PathStage::Socket);
    stage(PathStage::Socket, delivered, lost, Vec::new(), delivered.map(|_| arrived))
}

/// What the driver sent has no counter of the stack's before it.
fn transmit(link: LinkStats, drops: &mut Drops) -> Vec<StageCounts> {
    let queue =
        StageCounts { stage: PathStage::Queue, lost: drops.take(PathStage::Queue), ..StageCounts::default() };
    let mut lost = drops.take(PathStage::Transmit);
    lost.extend(by_counter("tx_dropped", link.tx_dropped));
    let packets = link.tx_packets.saturating_add(link.tx_dropped);
    let transmit = StageCounts {
        stage: PathStage::Transmit,
        packets: Some(packets),
        lost,
        next: Some(link.tx_packets),
        ..StageCounts::default()
    };
    vec![queue, transmit]
}

fn queues(grown: &Counters) -> Vec<QueueShare> {
    let share = |((direction, index), counts): (&(Direction, u32), &QueueCounts)| QueueShare {
        kind: (*direction).into(),
        index: *index,
        packets: counts.packets,
        bytes: counts.bytes,
    };
    grown.queues.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::counters::{PathDropAt, PathPlace, PathReading};

    const ALL: u64 = 1000;

    fn nic() -> topology::Nic {
        topology::Nic { name: "eth0".to_owned(), ifindex: 2, netns: 7, ..topology::Nic::default() }
    }

    fn passed(packets: u64, segments: u64) -> Passed {
        Passed { packets, segments }
    }

    /// A thousand UDP datagrams that a program reads.
    fn healthy() -> Counters {
        let link = LinkStats { rx_packets: ALL, ..LinkStats::default() };
        let programs = PathReading {
            entered: passed(ALL, ALL),
            received: passed(ALL, ALL),
            ipv4: ALL,
            ..PathReading::default()
        };
        let ip = ["IpInReceives", "IpInDelivers", "UdpInDatagrams"].map(|name| (name.to_owned(), ALL));
        Counters {
            links: [(2, link)].into(),
            driver: BTreeMap::new(),
            ip: ip.into(),
            queues: BTreeMap::new(),
            programs,
        }
    }

    fn drop_at(reason: &str, place: PathPlace) -> PathDropAt {
        PathDropAt { reason: Some(reason.to_owned()), location: 0, place }
    }

    fn ledger_of(nic: &topology::Nic, grown: &Counters) -> PacketPath {
        let seen = Observed { setup: nic, grown, interval_ns: 1_000_000_000, timed: None, kallsyms: None };
        ledger(&seen).expect("the NIC is there")
    }

    fn of(path: &PacketPath, stage: PathStage) -> &StageCounts {
        path.receive.iter().find(|counts| counts.stage == stage).expect("a stage")
    }

    fn unexplained(path: &PacketPath) -> Vec<Option<i64>> {
        path.receive.iter().map(|counts| counts.unexplained).collect()
    }

    #[test]
    fn nothing_is_left_over_where_nothing_is_lost() {
        let path = ledger_of(&nic(), &healthy());
        assert_eq!(unexplained(&path), [None, Some(0), Some(0), Some(0), None, Some(0), Some(0)]);
        assert!(path.receive.iter().all(|stage| stage.lost.is_empty() && stage.elsewhere.is_empty()));
    }

    #[test]
    fn a_loss_is_in_its_own_stage_and_leaves_nothing_over() {
        let mut grown = healthy();
        grown.programs.drops.insert(drop_at("NETFILTER_DROP", PathPlace::Received), passed(40, 40));
        grown.programs.drops.insert(drop_at("SOCKET_RCVBUFF", PathPlace::Received), passed(60, 60));
        grown.ip.insert("IpInDelivers".to_owned(), ALL - 40);
        grown.ip.insert("UdpInDatagrams".to_owned(), ALL - 100);
        let path = ledger_of(&nic(), &grown);
        assert_eq!(unexplained(&path), [None, Some(0), Some(0), Some(0), None, Some(0), Some(0)]);
        let netfilter = of(&path, PathStage::Netfilter);
        assert_eq!((netfilter.lost[0].packets, netfilter.next), (40, Some(960)));
        assert_eq!(of(&path, PathStage::Socket).lost[0].packets, 60);
        // Packets that vanish without a counter are said to.
        grown.ip.insert("UdpInDatagrams".to_owned(), ALL - 107);
        assert_eq!(of(&ledger_of(&nic(), &grown), PathStage::Socket).unexplained, Some(7));
    }

    #[test]
    fn merged_packets_are_not_lost() {
        let mut grown = healthy();
        grown.programs.received = passed(100, ALL - 3);
        let path = ledger_of(&nic(), &grown);
        let gro = of(&path, PathStage::Gro);
        assert_eq!((gro.elsewhere[0].packets, gro.next, gro.unexplained), (ALL - 103, Some(100), Some(3)));
    }

    #[test]
    fn several_nics_are_not_split() {
        let mut grown = healthy();
        let few = LinkStats { rx_packets: 1, ..LinkStats::default() };
        grown.links.insert(1, few);
        assert_eq!(of(&ledger_of(&nic(), &grown), PathStage::Ip).unexplained, Some(0));
        grown.links.insert(1, LinkStats { rx_packets: 2, ..few });
        let path = ledger_of(&nic(), &grown);
        assert_eq!(of(&path, PathStage::Core).packets, Some(ALL));
        for stage in [PathStage::Netfilter, PathStage::Ip, PathStage::Socket] {
            let counts = of(&path, stage);
            assert_eq!((counts.packets, counts.next, counts.unexplained), (None, None, None), "{stage:?}");
        }
        assert!(path.notes[0].starts_with("Other interfaces of this namespace received 2 packets"));
        let port = topology::Nic { master: Some("br0".to_owned()), ..nic() };
        let path = ledger_of(&port, &healthy());
        assert!(of(&path, PathStage::Ip).packets.is_none() && path.notes[0].contains("br0"), "{path:?}");
    }

    #[test]
    fn a_veth_does_not_count_what_the_backlog_had_no_room_for() {
        let mut grown = healthy();
        let at = drop_at("CPU_BACKLOG", PathPlace::Outgoing);
        grown.programs.drops.insert(at, passed(100, 100));
        grown.programs.entered = Passed::default();
        grown.programs.queued = passed(ALL + 100, ALL + 100);
        let veth = topology::Nic { kind: Some("veth".to_owned()), ..nic() };
        let path = ledger_of(&veth, &grown);
        assert_eq!(unexplained(&path), [None, Some(0), Some(0), Some(0), None, Some(0), Some(0)]);
        assert_eq!(of(&path, PathStage::Ring).packets, Some(ALL + 100));
        // Other drivers count before.
        grown.links.insert(2, LinkStats { rx_packets: ALL + 100, ..LinkStats::default() });
        assert_eq!(of(&ledger_of(&nic(), &grown), PathStage::Driver).unexplained, Some(0));
    }

    #[test]
    fn what_xdp_dropped_counts_once() {
        let mut grown = healthy();
        grown.links.insert(2, LinkStats { rx_packets: ALL + 50, ..LinkStats::default() });
        grown.driver.insert("rx_queue_0_xdp_drops".to_owned(), 50);
        assert_eq!(of(&ledger_of(&nic(), &grown), PathStage::Driver).unexplained, Some(0));
        grown.links.clear();
        assert_eq!(
            ledger(&Observed { setup: &nic(), grown: &grown, interval_ns: 1, timed: None, kallsyms: None }),
            None
        );
    }
}
