//! `netns[]`.

use super::{
    KEPT,
    sum::{gap_of, keep, reported_gap, sum, sum_of_known},
};
use crate::frame::{Bounded, Netns, UdpReader};

/// The namespaces by inode.
#[derive(Debug, Default)]
pub(super) struct Namespaces(Bounded<u32, Sum, KEPT>);

/// One namespace.
#[derive(Debug, Default)]
struct Sum {
    name: Option<String>,
    cgroup: Option<String>,
    udp_reader: Option<UdpReader>,
    counters: Option<Counters>,
    gap_ns: u64,
}

/// The counters, summed over the intervals in which they were known.
#[derive(Debug, Clone, Copy)]
struct Counters {
    udp_rcvbuf_errors: u64,
    listen_drops: u64,
    ip_packets: Option<u64>,
    /// Packets as they arrived: `gro_ratio` times `ip_packets`.
    segments: f64,
}

impl Namespaces {
    pub(super) fn add(&mut self, namespaces: &[Netns], left_out: Option<u64>, interval_ns: u64) {
        self.0.start_frame(left_out);
        for namespace in namespaces {
            let Netns { inum, name, cgroup, udp_rcvbuf_errors, listen_drops, gro_ratio, ip_packets, .. } =
                namespace;
            let Netns { udp_reader, gap_ns, .. } = namespace;
            let to = self.0.of(*inum);
            keep(&mut to.name, name.as_ref());
            keep(&mut to.cgroup, cgroup.as_ref());
            if let Some(more) = udp_reader {
                add_reader(to.udp_reader.get_or_insert_default(), more);
            }
            let more =
                udp_rcvbuf_errors.zip(*listen_drops).map(|(udp_rcvbuf_errors, listen_drops)| Counters {
                    udp_rcvbuf_errors,
                    listen_drops,
                    ip_packets: *ip_packets,
                    segments: gro_ratio.unwrap_or(0.0) * ip_packets.unwrap_or(0) as f64,
                });
            to.gap_ns = to.gap_ns.saturating_add(gap_of(*gap_ns, interval_ns, more.is_some()));
            to.counters = match (to.counters, more) {
                (Some(one), Some(other)) => Some(Counters {
                    udp_rcvbuf_errors: one.udp_rcvbuf_errors.saturating_add(other.udp_rcvbuf_errors),
                    listen_drops: one.listen_drops.saturating_add(other.listen_drops),
                    ip_packets: sum(one.ip_packets, other.ip_packets),
                    segments: one.segments + other.segments,
                }),
                (one, other) => one.or(other),
            };
        }
        self.0.end_frame(|sum| sum.counters.and_then(|counters| counters.ip_packets));
    }

    /// How many namespaces are left out.
    pub(super) fn left_out(&self) -> Option<u64> {
        self.0.left_out()
    }

    pub(super) fn netns(&self, interval_ns: u64) -> Vec<Netns> {
        let namespaces = self.0.iter().map(|(inum, sum)| Netns {
            inum: *inum,
            name: sum.name.clone(),
            cgroup: sum.cgroup.clone(),
            udp_reader: sum.udp_reader.clone(),
            udp_rcvbuf_errors: sum.counters.map(|counters| counters.udp_rcvbuf_errors),
            listen_drops: sum.counters.map(|counters| counters.listen_drops),
            gro_ratio: sum.counters.and_then(|counters| {
                let packets = counters.ip_packets.filter(|packets| *packets > 0)?;
                Some(counters.segments / packets as f64)
            }),
            ip_packets: sum.counters.and_then(|counters| counters.ip_packets),
            gap_ns: reported_gap(sum.gap_ns, interval_ns, sum.counters.is_some()),
        });
        let mut namespaces: Vec<Netns> = namespaces.collect();
        namespaces.sort_by_key(|namespace| namespace.inum);
        namespaces
    }
}

/// Unknown counts are those of first intervals, which have no previous reading: the others still count.
fn add_reader(to: &mut UdpReader, more: &UdpReader) {
    let UdpReader { pid, comm, dropped, nr_throttled, throttled_ns } = more;
    if pid.is_some() {
        (to.pid, to.comm) = (*pid, comm.clone());
    }
    to.dropped = sum_of_known(to.dropped, *dropped);
    to.nr_throttled = sum_of_known(to.nr_throttled, *nr_throttled);
    to.throttled_ns = sum_of_known(to.throttled_ns, *throttled_ns);
}
